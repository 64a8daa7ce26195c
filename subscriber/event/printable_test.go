package event

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"vouch/subscriber/event/eventtest"
)

func TestT45_PrintableEscapesWhatIsHidden(t *testing.T) {
	for _, r := range eventtest.Hidden() {
		want := fmt.Sprintf(`a\u%04xb`, r)
		switch {
		case r < 0x80:
			want = fmt.Sprintf(`a\x%02xb`, r)
		case r > 0xffff:
			want = fmt.Sprintf(`a\U%08xb`, r)
		}
		if got := Printable("a" + string(r) + "b"); got != want {
			t.Errorf("U+%04X: got %q, want %q", r, got, want)
		}
	}
}

func TestT45_Printable(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"CernVM 4 (µCernVM) ñ 日本": "CernVM 4 (µCernVM) ñ 日本",
		"tab\there":               `tab\x09here`,
		"\x1b]0;pwned\x07":        `\x1b]0;pwned\x07`,
		"a\xffb\xc3":              `a\xffb\xc3`,
		"\xed\xa0\x80":            `\xed\xa0\x80`, // a surrogate
		"gnp.\u202eexe":           `gnp.\u202eexe`,
		`back\slash "quote"`:      `back\slash "quote"`,
		"no\u00a0break \ufffd":    "no\u00a0break \ufffd",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestT45_PrintableJSONMeansTheSame(t *testing.T) {
	var text strings.Builder
	for _, r := range eventtest.Hidden() {
		text.WriteRune(r)
	}
	in := map[string]string{"title\u200b": text.String(), "plain": "日本 <&>"}
	raw, err := json.MarshalIndent(in, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	out := PrintableJSON(raw)
	for _, r := range string(out) {
		if hidden(r) && r != '\n' && r != '\t' {
			t.Errorf("U+%04X is left in the output", r)
		}
	}
	var back map[string]string
	if err := json.Unmarshal(out, &back); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if fmt.Sprint(back) != fmt.Sprint(in) {
		t.Errorf("got %q, want %q", back, in)
	}
	if bad := PrintableJSON([]byte("\"a\xffb\"")); string(bad) != `"a\ufffdb"` || !utf8.Valid(bad) {
		t.Errorf("invalid UTF-8: %q", bad)
	}
}

// FuzzPrintable: nothing hidden is left, what can be seen is kept as it is,
// and a text that is printable stays the same; JSON means what it meant.
func FuzzPrintable(f *testing.F) {
	for _, r := range eventtest.Hidden() {
		f.Add("a" + string(r) + "b")
	}
	f.Add("\xff\xed\xa0\x80\xf5")
	f.Add("{\"a\":\t[\"\u202e\",\n\"\U000e0001\"]}")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !printable(got) || Printable(got) != got || len(got) > 4*len(s) {
			t.Fatalf("%q of %q", got, s)
		}
		if printable(s) && got != s {
			t.Fatalf("%q became %q", s, got)
		}
		seen := strings.Map(func(r rune) rune {
			if hidden(r) || r == utf8.RuneError {
				return -1
			}
			return r
		}, s)
		for _, r := range seen {
			_, rest, found := strings.Cut(got, string(r))
			if !found {
				t.Fatalf("%q lost %q of %q", got, r, s)
			}
			got = rest
		}
		checkPrintableJSON(t, s)
	})
}

// checkPrintableJSON compares what two readers of JSON would see.
func checkPrintableJSON(t *testing.T, s string) {
	var before, after any
	if json.Unmarshal([]byte(s), &before) != nil {
		return
	}
	text := PrintableJSON([]byte(s))
	if err := json.Unmarshal(text, &after); err != nil || !reflect.DeepEqual(before, after) {
		t.Fatalf("%q became %q: %v", s, text, err)
	}
	if out := strings.NewReplacer("\n", "", "\r", "", "\t", "").Replace(string(text)); !printable(out) {
		t.Fatalf("%q", text)
	}
}
