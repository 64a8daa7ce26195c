package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// requireMandoc is for tests that read the manual as a reader does.
func requireMandoc(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("mandoc"); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("mandoc is not installed")
	}
	t.Skip("mandoc is not installed")
}

// manPages is the manual in a directory of its own.
func manPages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("vouch", "man", "--sample", "../../etc/vouch.yaml", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("vouch man: %v\n%s", err, out)
	}
	return dir
}

// overstruck is how bold and underlined letters go to a pipe.
var overstruck = regexp.MustCompile(".\x08")

// reads is a page as it is shown: folded lines joined, so that text can be
// looked for.
func reads(t *testing.T, page string) string {
	t.Helper()
	out, err := exec.Command("mandoc", "-T", "utf8", "-O", "width=1000", page).Output()
	if err != nil {
		t.Fatal(err)
	}
	return overstruck.ReplaceAllString(string(out), "")
}

// mandoc finds nothing wrong in any page, long lines and a build without a
// date apart.
func TestMan_Lint(t *testing.T) {
	requireMandoc(t)
	pages, _ := filepath.Glob(manPages(t) + "/man?/*")
	out, _ := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "missing date") {
			t.Error(line)
		}
	}
}

// Every command that a person may type has a page of its own, which shows what
// --help shows: each flag, the description, the examples.
func TestMan_EveryCommand(t *testing.T) {
	requireMandoc(t)
	dir := manPages(t)
	seen := 0
	var look func(path []string, commands []*cli.Command)
	look = func(path []string, commands []*cli.Command) {
		for _, c := range commands {
			if c.Hidden {
				continue
			}
			seen++
			name := append(path[:len(path):len(path)], c.Name)
			manPageOf(t, reads(t, filepath.Join(dir, "man1", strings.Join(name, "-")+".1")), strings.Join(name, " "), c)
			look(name, c.Subcommands)
		}
	}
	look([]string{"vouch"}, (&session{err: io.Discard}).app().Commands)
	if pages, _ := filepath.Glob(dir + "/man1/*"); len(pages) != seen+1 {
		t.Errorf("%d pages for vouch and %d commands", len(pages), seen)
	}
}

func manPageOf(t *testing.T, page, name string, c *cli.Command) {
	want := []string{name, c.Usage, "EXIT STATUS", "SEE ALSO"}
	for _, f := range flagNames(c.Flags) {
		if len(f) > 1 {
			f = "-" + f
		}
		want = append(want, "-"+f)
	}
	for line := range strings.SplitSeq(c.Description, "\n") {
		if strings.HasPrefix(line, " ") {
			want = append(want, strings.TrimSpace(line))
		}
	}
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("%s: the page does not show %q", name, w)
		}
	}
}

// The page of the configuration shows all of the sample, whatever its lines
// begin with.
func TestMan_Sample(t *testing.T) {
	requireMandoc(t)
	page := reads(t, filepath.Join(manPages(t), "man5/vouch.yaml.5"))
	sample, err := os.ReadFile("../../etc/vouch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sample)) {
		if line = strings.TrimSpace(line); !strings.Contains(page, line) {
			t.Errorf("not shown: %q", line)
		}
	}
}

// What roff would obey is only shown.
func TestMan_Roff(t *testing.T) {
	requireMandoc(t)
	for _, line := range []string{".so /etc/passwd", "'br", `\fBbold\fR`, `a \(bu b`, "x\\", "~/.globus ^ ` ' -"} {
		m := &manPage{}
		m.head("x", 1, "y")
		m.section("description")
		m.literal([]string{line})
		file := filepath.Join(t.TempDir(), "x.1")
		if err := os.WriteFile(file, m.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if page := reads(t, file); !strings.Contains(page, line) {
			t.Errorf("%q became\n%s", line, page)
		}
	}
}
