package imagelist_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"vouch/testdata/cases"
	"vouch/testdata/cases/judge"
)

// leastCases is how many of each family there have to be.
var leastCases = map[string]int{
	"envelope": 194, "structure": 167, "algorithm": 97, "chain": 180,
	"crl": 134, "policy": 116, "name": 71, "list": 198,
}

func readCases(t testing.TB) []*cases.Case {
	t.Helper()
	all, err := cases.Read()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCases: every case of testdata/cases gets the verdict it declares.
func TestCases(t *testing.T) {
	var anchors judge.Anchors
	count := map[string]int{}
	accepted := 0
	for _, c := range readCases(t) {
		count[c.Family()]++
		if c.Expect == cases.Accepted {
			accepted++
		}
		t.Run(c.ID, func(t *testing.T) {
			have, detail, err := judge.Ours(c, &anchors)
			if err != nil {
				t.Fatal(err)
			}
			if have != c.Expect {
				t.Errorf("%s: want %s, have %s (%s); %s", c.Description, c.Expect, have, detail, c.Clause)
			}
		})
	}
	for family, least := range leastCases {
		if count[family] < least {
			t.Errorf("%d cases of %s, there were %d", count[family], family, least)
		}
	}
	if len(count) != len(leastCases) {
		t.Errorf("families %v", count)
	}
	if accepted < 120 {
		t.Errorf("%d cases to be accepted", accepted)
	}
}

// TestCases_Differences: what we accept and OpenSSL refuses is of a class that
// is documented, and every class occurs.
func TestCases_Differences(t *testing.T) {
	used := map[string]bool{}
	for _, c := range readCases(t) {
		ours := c.Expect == cases.Accepted || c.Expect == "malformed-entry"
		refused := c.Smime == cases.Refuse || c.CMS == cases.Refuse
		if differs := ours && refused; differs != (c.Differs != "") {
			t.Errorf("%s: %s, OpenSSL says %s and %s, class %q", c.ID, c.Expect, c.Smime, c.CMS, c.Differs)
		}
		used[c.Differs] = true
		if c.Differs != "" && cases.Differences[c.Differs] == "" {
			t.Errorf("%s: unknown class %q", c.ID, c.Differs)
		}
	}
	for class := range cases.Differences {
		if !used[class] {
			t.Errorf("class %s without a case", class)
		}
	}
}

// TestCases_OpenSSL holds the recorded verdicts of OpenSSL against the real
// one: of every eighth case and all that differ, of all with
// VOUCH_ALL_CASES=1. Another OpenSSL than 3.0 may be of another opinion, as
// long as it accepts what we accept.
func TestCases_OpenSSL(t *testing.T) {
	version, err := exec.Command("openssl", "version").Output()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	recorded := strings.HasPrefix(string(version), "OpenSSL 3.0.")
	for i, c := range readCases(t) {
		if i%8 != 0 && c.Differs == "" && os.Getenv("VOUCH_ALL_CASES") == "" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			for tool, want := range map[string]string{"smime": c.Smime, "cms": c.CMS} {
				have, err := judge.OpenSSL(c, tool)
				if err != nil {
					t.Fatal(err)
				}
				if have != want && (recorded || have == cases.Refuse && c.Expect == cases.Accepted) {
					t.Errorf("openssl %s: %s, declared %s", tool, have, want)
				}
			}
		})
	}
}

// seedCases are the messages of the cases that are short enough to be bent
// often.
func seedCases(f *testing.F) {
	f.Helper()
	const longest = 16 << 10
	for _, c := range readCases(f) {
		if len(c.Message) <= longest {
			f.Add(c.Message)
		}
	}
}
