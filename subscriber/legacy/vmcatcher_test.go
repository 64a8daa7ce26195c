package legacy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// database makes a SQLite database of SQL, with sqlite3.
func database(t *testing.T, sql string) string {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("sqlite3 is not installed")
		}
		t.Skip("sqlite3 is not installed")
	}
	file := filepath.Join(t.TempDir(), "vmcatcher.db")
	cmd := exec.Command("sqlite3", "-batch", "-init", "/dev/null", file)
	cmd.Stdin = strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("sqlite3: %v\n%s", err, out)
	}
	return file
}

func output(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// fixture is what the database of testdata means.
func fixture(t *testing.T, res *Result) {
	t.Helper()
	alice, bob := " by /DC=org/DC=example/CN=Alice of /DC=org/DC=example/CN=Example CA", " by /DC=org/DC=example/CN=Bob O'Hara of /DC=org/DC=example/CN=Example CA"
	check(t, res, []string{
		"cernvm-example-org https://cernvm.example.org/releases/image.list 63175437-7d59-4851-b333-c96cb6545a86" + alice + bob + " +2 -0 none=false notes=1",
		"ops-example-org https://vmcaster.example.org/store/vo/ops.example.org/image.list 11111111-0000-4000-8000-000000000002 (token-canary-1:)" + alice + " +0 -1 none=false notes=1",
		"lists-example-org https://lists.example.org/none.list 11111111-0000-4000-8000-000000000003 (joe:password-canary-2)" + bob + " +0 -0 none=true notes=0",
	}, []string{
		"11111111-0000-4000-8000-000000000004 lost=true: it was read from a file, and lists are fetched from a web server",
		"11111111-0000-4000-8000-000000000005 lost=false: it is not authorised: vmcatcher took no images from it",
		"11111111-0000-4000-8000-000000000006 lost=true: nobody is authorised to sign it: vmcatcher accepted no version of it",
	})
}

// The whole dump, the dump of what is wanted, and the dump that an old sqlite3
// writes, which quotes every name, say the same.
func TestVMCatcher_Dumps(t *testing.T) {
	file := database(t, source(t, "vmcatcher.sql"))
	whole := output(t, "sqlite3", "-readonly", file, ".dump")
	if !strings.Contains(whole, "replace(") || !strings.Contains(whole, "imageListInstance") {
		t.Fatalf("an unexpected dump:\n%.2000s", whole)
	}
	fixture(t, read(t, whole, VMCatcher))
	wanted := output(t, DumpCommand(file)...)
	if strings.Contains(wanted, "imageListInstance VALUES") || len(wanted) > len(whole)/10 {
		t.Errorf("the dump of what is wanted has the messages in it")
	}
	fixture(t, read(t, wanted, VMCatcher))
	fixture(t, read(t, regexp.MustCompile(`INSERT INTO (\w+) `).ReplaceAllString(whole, `INSERT INTO "$1" `), VMCatcher))
}

// Before 0.5 there was no update mode, before 0.4 no credentials either.
func TestVMCatcher_Older(t *testing.T) {
	file := database(t, source(t, "vmcatcher.sql")+`ALTER TABLE subscription DROP COLUMN "updateMode";
		ALTER TABLE subscription DROP COLUMN "userName"; ALTER TABLE subscription DROP COLUMN password; ALTER TABLE subscription DROP COLUMN "trustAnchor";`)
	res := read(t, output(t, "sqlite3", file, ".dump"), VMCatcher)
	if len(res.Lists) != 3 || len(res.Lists[1].Images.Include) != 1 || res.Lists[1].Username != "" {
		t.Errorf("%+v", res.Lists)
	}
}

// A dump that was cut short anywhere is none.
func TestVMCatcher_CutShort(t *testing.T) {
	whole := strings.TrimSpace(output(t, DumpCommand(database(t, source(t, "vmcatcher.sql")))...))
	for n := range len(whole) {
		if res, err := Read(strings.NewReader(whole[:n]), VMCatcher); err != errCut {
			t.Fatalf("cut after %d of %d bytes: %+v, %v", n, len(whole), res, err)
		}
	}
	fixture(t, read(t, whole, VMCatcher))
}

const begin, commit = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n", "\nCOMMIT;\n"

func rowsOf(t *testing.T, text string) ([]row, error) {
	t.Helper()
	d, err := readDump(strings.NewReader(text), "t")
	if err != nil {
		return nil, err
	}
	return d.rows["t"], nil
}

func TestDump_Values(t *testing.T) {
	for text, want := range map[string]string{
		`'it''s'`: "it's", `''`: "", `''''`: "'", `'a;b--c/*d'`: "a;b--c/*d", `-1.5e-20`: "-1.5e-20", `1e999`: "1e999", `X'00fF'`: "00fF", `+7`: "+7",
		`replace('a\nb','\n',char(10))`: "a\nb", `replace(replace('a\012b\r','\r',char(13)),'\012',char(10))`: "a\nb\r",
		`unistr('a\u000ab\\c\U0001f600\+00263a\263A')`: "a\nb\\c😀☺☺", `char(65,66)`: "AB", `char()`: "?",
	} {
		rows, err := rowsOf(t, begin+"CREATE TABLE t (v);\nINSERT INTO t VALUES("+text+");"+commit)
		if want == "?" {
			if err == nil {
				t.Errorf("%s: %v", text, rows)
			}
			continue
		}
		if err != nil || len(rows) != 1 || rows[0]["v"] != want {
			t.Errorf("%s: %v, %v; want %q", text, rows, err, want)
		}
	}
}

func TestDump_Statements(t *testing.T) {
	text := begin + "-- a 'comment\nCREATE TABLE IF NOT EXISTS \"T\" (\"a b\" INTEGER DEFAULT (1, 2), 'c' TEXT, /* d, */ [e] REAL, `f`, PRIMARY KEY (c), CHECK (e IN (0, 1)));\n" +
		"INSERT INTO other VALUES(x'00','; INSERT INTO t VALUES(9,9,9,9);');\nINSERT INTO t VALUES(1,NULL,3,4),(5,'6',7,8);\n" +
		"INSERT INTO \"t\"(f,[a b]) VALUES('x','y');\nCREATE INDEX i ON t (c);" + commit
	rows, err := rowsOf(t, text)
	if err != nil || len(rows) != 3 {
		t.Fatalf("%v, %v", rows, err)
	}
	if _, null := rows[0]["c"]; null || rows[0]["a b"] != "1" || rows[1]["c"] != "6" || rows[1]["f"] != "8" || rows[2]["f"] != "x" || rows[2]["a b"] != "y" {
		t.Errorf("%v", rows)
	}
}

func TestDump_Refusals(t *testing.T) {
	table := "CREATE TABLE t (a,b);\n"
	for text, want := range map[string]string{
		"/**** ERROR: (26) file is not a database *****/\nROLLBACK; -- due to errors\n":             "could not read the whole",
		table + "CREATE TRIGGER x AFTER INSERT ON t BEGIN INSERT INTO t VALUES(1,2); END;" + commit: "trigger",
		table + table + commit:                                                            "twice",
		table + "INSERT INTO t VALUES(1);" + commit:                                       "1 values in a table of 2",
		table + "INSERT INTO t SELECT 1,2;" + commit:                                      "not an INSERT of values",
		table + "INSERT INTO t VALUES(1,readfile('/etc/passwd'));" + commit:               "function",
		table + "INSERT INTO t VALUES(1,(SELECT 2));" + commit:                            "not a value",
		table + "INSERT INTO t VALUES(1,2)" + commit:                                      "does not end",
		"INSERT INTO t VALUES(1,2);" + commit:                                             "not created",
		table + "INSERT INTO t VALUES(1,'" + strings.Repeat("x", 70<<10) + "');" + commit: "64 KiB",
		table + "INSERT INTO t VALUES(1,replace('" + strings.Repeat("x", 1000) + "','x','" + strings.Repeat("y", 1000) + "'));" + commit: "too long",
		table + "INSERT INTO t VALUES(1," + strings.Repeat("replace(", 20) + "1" + strings.Repeat(",'a','b')", 20) + ");" + commit:       "not a value",
		table + strings.Repeat("INSERT INTO t VALUES(1,'"+strings.Repeat("x", 60<<10)+"');\n", 300) + commit:                             "too much",
		table + "INSERT INTO t VALUES(1,2);": "cut short", table + "\x00" + commit: "NUL", table + ") x;" + commit: "statement",
	} {
		if rows, err := rowsOf(t, begin+text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100q: %d rows, %v; want %q", text, len(rows), err, want)
		}
	}
	if _, err := Read(strings.NewReader(begin+table+commit), ""); err == nil || !strings.Contains(err.Error(), "not the database of vmcatcher") {
		t.Errorf("another database: %v", err)
	}
}

// Years of messages pass by without being kept: 64 MiB of them in seconds,
// and in little memory.
func TestDump_LargeMessages(t *testing.T) {
	blob := "INSERT INTO other VALUES(1,X'" + strings.Repeat("00", 1<<20) + "');\n"
	start := time.Now()
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := rowsOf(t, begin+"CREATE TABLE t (a);\n"+strings.Repeat(blob, 32)+commit); err != nil {
			t.Fatal(err)
		}
	})
	if took := time.Since(start); took > 2*time.Minute || allocated > 10_000 {
		t.Errorf("took %v, %v allocations", took, allocated)
	}
}
