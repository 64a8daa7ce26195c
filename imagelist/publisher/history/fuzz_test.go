package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// byHand is the hash of RFC 6962 §2.1 over lines.
func byHand(lines []string) []byte {
	if len(lines) == 1 {
		sum := sha256.Sum256([]byte("\x00" + lines[0]))
		return sum[:]
	}
	k := 1
	for 2*k < len(lines) {
		k *= 2
	}
	sum := sha256.Sum256(append(append([]byte{1}, byHand(lines[:k])...), byHand(lines[k:])...))
	return sum[:]
}

// FuzzEntry: never a panic, and what is read as an entry is one to any strict
// reader of JSON and can be written again.
func FuzzEntry(f *testing.F) {
	o := working(f)
	for _, line := range o.log.chain.lines {
		f.Add(line)
	}
	f.Add([]byte(`{"index":0,"time":"2026-11-25T17:00:00Z","kind":"other","new":{"a":[1]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseEntry(line)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%q", err)
			}
			return
		}
		if !json.Valid(line) || e.Kind == "" || e.Time.IsZero() {
			t.Errorf("%q is an entry: %+v", line, e)
		}
		again, err := e.line()
		if err != nil {
			if len(line) > MaxLine/2 {
				return // escapes may lengthen it
			}
			t.Fatalf("%+v: %v", e, err)
		}
		back, err := parseEntry(again)
		if err != nil {
			t.Fatal(err)
		}
		if third, err := back.line(); err != nil || !bytes.Equal(third, again) {
			t.Errorf("%s, then %s, %v", again, third, err)
		}
	})
}

// FuzzCheckpoint: whatever is read as a checkpoint is one of those that the
// key signed, byte by byte.
func FuzzCheckpoint(f *testing.F) {
	o := working(f)
	verifier, err := note.NewVerifier(o.key.Verifier())
	if err != nil {
		f.Fatal(err)
	}
	known := keyring{{Verifier: verifier, text: o.key.Verifier()}}
	signed := map[string]bool{}
	for i := int64(1); i <= o.log.Size(); i++ {
		raw, err := o.key.sign(o.log.chain.treeAt(i))
		if err != nil {
			f.Fatal(err)
		}
		signed[raw] = true
		f.Add(raw)
		f.Add(strings.Replace(raw, "\n", "\n0", 1))
		f.Add(raw + raw[strings.LastIndex(raw, "—"):])
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if cp, err := openCheckpoint(raw, Origin(listID), known); err == nil && !signed[raw] {
			t.Errorf("%q is a checkpoint: %+v", raw, cp)
		}
	})
}

// TestCheckpoint_OneSpelling: a key can sign what is no checkpoint, and that is
// not taken for one.
func TestCheckpoint_OneSpelling(t *testing.T) {
	key := newKey(t)
	verifier, err := note.NewVerifier(key.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	known := keyring{{Verifier: verifier, text: key.Verifier()}}
	good := checkpointText(Origin(listID), tlog.Tree{N: 7})
	for name, text := range map[string]string{
		"good":          good,
		"other origin":  checkpointText(Origin("other"), tlog.Tree{N: 7}),
		"leading zero":  strings.Replace(good, "\n7\n", "\n07\n", 1),
		"plus":          strings.Replace(good, "\n7\n", "\n+7\n", 1),
		"negative":      strings.Replace(good, "\n7\n", "\n-7\n", 1),
		"zero":          strings.Replace(good, "\n7\n", "\n0\n", 1),
		"unused bits":   strings.Replace(good, "AA=\n", "AB=\n", 1),
		"short root":    strings.Replace(good, "AAAA", "", 1),
		"more lines":    good + "extension\n",
		"fewer lines":   Origin(listID) + "\n7\n",
		"too long":      good + strings.Repeat("x", maxCheckpoint) + "\n",
		"enormous size": strings.Replace(good, "\n7\n", "\n99999999999999999999\n", 1),
	} {
		raw, err := note.Sign(&note.Note{Text: text}, key.signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openCheckpoint(string(raw), Origin(listID), known); (err == nil) != (name == "good") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzVerify: never a panic over any entries and any announcement, and nothing
// that an interrupted command left is whole.
func FuzzVerify(f *testing.F) {
	o := working(f)
	files := o.files()
	f.Add(files[entriesName].Data, files[checkpointName(1)].Data, []byte("{}"))
	f.Fuzz(func(t *testing.T, entries, checkpoint, next []byte) {
		r, err := Verify(fstest.MapFS{
			entriesName:       {Data: entries},
			checkpointName(1): {Data: checkpoint},
			nextName:          {Data: next},
		})
		if err != nil || r.OK {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
