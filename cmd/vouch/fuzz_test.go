package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
	"vouch/imagelist/smime"
	"vouch/testdata/cases"
)

// longestVerdict bounds what is said of a message that was refused, however
// long the message is (T-45).
const longestVerdict = 16 << 10

// FuzzVerdict: what is printed of a hostile message, as it is and as the
// content of an endorser's message, does nothing to a terminal, is bounded, and
// is one document in JSON.
func FuzzVerdict(f *testing.F) {
	w := listtest.New(f)
	store, q := w.Anchors(), imagelist.Question{}
	all, err := cases.Read()
	if err != nil {
		f.Fatal(err)
	}
	const every = 16 // one takes milliseconds here
	for i := 0; i < len(all); i += every {
		c := all[i]
		if len(c.Message) > 8<<10 {
			continue
		}
		f.Add(c.Message, false)
		if signed, err := smime.Open(c.Message, smime.Options{}); err == nil {
			f.Add(signed.Content, true)
		}
	}
	f.Add([]byte("Content-Type: \x1b]0;x\x07\u202e; x=\xff\n\n"), false)
	f.Add([]byte(`{"hv:imagelist":{"dc:identifier":"\u001b[31m\u202e","hv:\u009b":1,"hv:images":[]}}`), true)
	f.Fuzz(func(t *testing.T, raw []byte, sign bool) {
		if sign {
			if raw, err = smime.Sign(raw, w.Bob.Cert, w.Bob.Key, nil, smime.SignOptions{At: w.At}); err != nil {
				return
			}
		}
		doc := verdictDocument{Schema: "vouch/verdict/v1", At: w.At}
		doc.judge(raw, store, w.At, q)
		s, text := testSession(t)
		s.writeVerdict(&doc)
		s.out.Flush()
		s.json = true
		before := text.Len()
		if err := s.result(doc, nil); err != nil {
			t.Fatal(err)
		}
		s.out.Flush()
		checkPrinted(t, text.String(), doc.Verdict == "rejected" && len(doc.Warnings) == 0)
		if !json.Valid(text.Bytes()[before:]) {
			t.Fatalf("no JSON: %q", text.Bytes()[before:])
		}
	})
}

// checkPrinted asserts that a text has nothing in it but what can be seen,
// line ends, and the blanks of indented JSON.
func checkPrinted(t *testing.T, text string, bounded bool) {
	t.Helper()
	if bounded && len(text) > longestVerdict {
		t.Fatalf("%d bytes: %q", len(text), text)
	}
	acts := func(r rune) bool {
		return r != '\n' && (!unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control))
	}
	if i := strings.IndexFunc(text, acts); i >= 0 || !utf8.ValidString(text) {
		t.Fatalf("byte %d of %q", i, text)
	}
}
