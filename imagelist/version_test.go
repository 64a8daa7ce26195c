package imagelist_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"vouch/imagelist"
)

// ascending is the documented order: each version is older than all after
// it, those on one line are equal.
var ascending = [][]string{
	{""},
	{".", "-", ",", "/"},
	{"..", "./"},
	{".1"},
	{".a"},
	{"0", "00", "000"},
	{"0.", "0-"},
	{"0.0", "0.00"},
	{"0.0.2", "0,0,2", "0/0-2"},
	{"0.1"},
	{"1", "01", strings.Repeat("0", 10000) + "1"},
	{"1.", "1-"},
	{"1..1"},
	{"1.0", "1-0", "1.00"},
	{"1.0.0"},
	{"1.0.9"},
	{"1.0.10", "1.0.010"},
	{"1.0.a"},
	{"1.9", "1,9"},
	{"1.9.9"},
	{"1.10", "1/10"},
	{"1.10-rc"},
	{"1.10rc"},
	{"1.9rc"},
	{"1.A"},
	{"1.a"},
	{"1.a.1"},
	{"1.b"},
	{"1.é"},
	{"2"},
	{"10"},
	{"20150618211400"},
	{"20150618211401"},
	{"99999999999999999999"},
	{"100000000000000000000"},
	{strings.Repeat("8", 10000)},
	{strings.Repeat("9", 10000)},
	{"1" + strings.Repeat("0", 10000)},
	{"+1"},
	{"1a"},
	{"A"},
	{"a"},
	{"v1"},
	{"v1.1"},
	{"v10"},
	{"v2"},
	{"٣"},
}

func TestT02_CompareVersions(t *testing.T) {
	pairs := 0
	for i, older := range ascending {
		for j, newer := range ascending[i:] {
			for _, a := range older {
				for _, b := range newer {
					pairs++
					checkOrder(t, a, b, j == 0)
				}
			}
		}
	}
	if pairs < 200 {
		t.Errorf("only %d pairs", pairs)
	}
}

func checkOrder(t *testing.T, a, b string, equal bool) {
	t.Helper()
	want := -1
	if equal {
		want = 0
	}
	if c := imagelist.CompareVersions(a, b); c != want {
		t.Errorf("CompareVersions(%.30q, %.30q) = %d, want %d", a, b, c, want)
	}
	if c := imagelist.CompareVersions(b, a); c != -want {
		t.Errorf("CompareVersions(%.30q, %.30q) = %d, want %d", b, a, c, -want)
	}
}

// T-02: an order that is not transitive could be walked in a circle, back to an
// old list.
func TestT02_CompareVersionsIsAnOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50000 {
		if err := lawful(randomVersion(random), randomVersion(random), randomVersion(random)); err != nil {
			t.Fatal(err)
		}
	}
}

func randomVersion(r *rand.Rand) string {
	const alphabet = "0019.-,/aé"
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteByte(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// lawful says which law of a total preorder three versions break.
func lawful(a, b, c string) error {
	ab, bc, ac := imagelist.CompareVersions(a, b), imagelist.CompareVersions(b, c), imagelist.CompareVersions(a, c)
	switch {
	case imagelist.CompareVersions(a, a) != 0:
		return fmt.Errorf("%q differs from itself", a)
	case ab != -imagelist.CompareVersions(b, a):
		return fmt.Errorf("%q and %q are not antisymmetric", a, b)
	case ab <= 0 && bc <= 0 && ac > 0, ab == 0 && ac != bc:
		return fmt.Errorf("%q, %q, %q are not transitive: %d %d %d", a, b, c, ab, bc, ac)
	}
	return nil
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1.9", "1.10", "1.1.0")
	f.Add("", "0", "00.")
	f.Add("20150618211400", "a", "1-rc/2")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if err := lawful(a, b, c); err != nil {
			t.Fatal(err)
		}
	})
}
