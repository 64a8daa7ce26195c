package imagelist_test

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"vouch/testdata/differential"
)

// TestDifferential asks OpenSSL for a second opinion on generated messages:
// 2,000 of them, or VOUCH_DIFFERENTIAL, of seed 1, or SEED. CASE names a file
// that an earlier run wrote.
func TestDifferential(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var report *differential.Report
	var err error
	if path := os.Getenv("CASE"); path != "" {
		report, err = differential.Replay(path)
	} else {
		n, seed := number(t, "VOUCH_DIFFERENTIAL", 2000), number(t, "SEED", 1)
		t.Logf("%d messages, SEED=%d", n, seed)
		report, err = differential.Run(seed, int(n))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d made, %d accepted, OpenSSL asked about %d of those refused", report.Made, report.Accepted, report.Asked)
	t.Logf("accepted, refused by OpenSSL: %v", report.Looser)
	t.Logf("refused, accepted by OpenSSL: %v", report.Stricter)
	checkReport(t, report)
	for _, f := range report.Findings {
		path, err := f.Write(os.TempDir())
		t.Errorf("%s\n\tmake differential CASE=%s (%v)", f.What, path, err)
	}
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// checkReport asserts that the run was worth something.
func checkReport(t *testing.T, r *differential.Report) {
	if r.Made >= 1000 && (r.Accepted < r.Made/10 || r.Asked < 100 || len(r.Looser) == 0 || len(r.Stricter) < 10) {
		t.Errorf("too little to compare: %+v", r)
	}
	for _, s := range differential.Stricter {
		if s.Class == "" || s.Reason == "" {
			t.Errorf("class %+v without a reason", s)
		}
	}
}
