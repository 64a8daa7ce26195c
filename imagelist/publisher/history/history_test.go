package history

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
)

const listID = imagelist.ListID(listtest.ListID)

// office is an endorser's workspace and what it needs besides.
type office struct {
	*listtest.World
	t     testing.TB
	dir   string
	key   *Key
	log   *Log
	clock time.Time
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{World: listtest.New(t), t: t, dir: t.TempDir(), clock: time.Date(2026, 11, 25, 17, 0, 0, 0, time.UTC)}
	o.key = newKey(t)
	o.open()
	return o
}

func newKey(t testing.TB) *Key {
	t.Helper()
	key, err := LoadOrCreateKey(filepath.Join(t.TempDir(), "keys", "history.key"), listID)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (o *office) open() {
	o.t.Helper()
	log, err := Open(o.dir, listID, o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	o.log = log
}

func (o *office) entry(kind Kind) Entry {
	o.clock = o.clock.Add(time.Minute)
	return Entry{Time: o.clock, Kind: kind, Responsible: "Alice Example"}
}

func (o *office) append(entries ...Entry) {
	o.t.Helper()
	if err := o.log.Append(entries...); err != nil {
		o.t.Fatal(err)
	}
}

// endorse is an entry for an image, with a bill of materials kept.
func (o *office) endorse(id, content string) Entry {
	o.t.Helper()
	bill := []byte(`{"bomFormat":"CycloneDX","image":"` + id + content + `"}`)
	name := sum512(bill) + ".json"
	o.write("sbom/"+name, bill)
	e := o.entry(Endorse)
	e.Image = Image{Identifier: imagelist.ImageID(id), Version: "1.0", SHA512: sum512([]byte(content)), Size: int64(len(content)), OS: "Debian 13"}
	e.SBOM = SBOM{SHA512: sum512(bill), Format: "CycloneDX 1.6 JSON", Name: name}
	return e
}

func (o *office) remove(id string) Entry {
	e := o.entry(Remove)
	e.Image.Identifier, e.Reason = imagelist.ImageID(id), "CVE-2026-1"
	return e
}

// message is a list of a version, signed over what the history is now.
func (o *office) message(version string) []byte {
	o.t.Helper()
	return o.World.Message(listtest.SignedBy(o.Bob), listtest.List(func(b *listtest.Builder) {
		b.NoImages().Version(version).Set("vouch:checkpoint", o.log.Checkpoint())
	}))
}

// sign signs a list, keeps it and returns the entry for it.
func (o *office) sign(version string) Entry {
	o.t.Helper()
	raw := o.message(version)
	o.write("signed/"+version+".smime", raw)
	e := o.entry(Sign)
	e.List = List{Identifier: listID, Version: version, SHA512: sum512(raw), Expires: o.At.AddDate(0, 0, 28).Truncate(time.Second)}
	cert := sha256.Sum256(o.Bob.Cert.Raw)
	e.Signer = Signer{DN: o.Bob.Endorser().DN, CA: o.Bob.Endorser().CA, SHA256: hex.EncodeToString(cert[:])}
	return e
}

func (o *office) write(name string, content []byte) {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		o.t.Fatal(err)
	}
}

// working makes a small workspace: five entries, one list, one bill.
func working(t testing.TB) *office {
	t.Helper()
	o := newOffice(t)
	o.append(o.entry(Init))
	o.append(o.endorse("image-1", "one"), o.remove("image-0"))
	o.append(o.sign("1.0.0"))
	publish := o.entry(Publish)
	publish.Destination = "/srv/lists"
	o.append(publish)
	return o
}

// files is the workspace in memory, to be spoilt.
func (o *office) files() fstest.MapFS { return snapshot(o.t, o.dir) }

func snapshot(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = &fstest.MapFile{Data: raw, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func verify(t testing.TB, fsys fs.FS, witnesses ...Witness) *Report {
	t.Helper()
	report, err := Verify(fsys, witnesses...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// holds fails unless the history is whole and has so many entries.
func holds(t testing.TB, fsys fs.FS, entries int64) *Report {
	t.Helper()
	r := verify(t, fsys)
	if !r.OK || r.Problem != nil || r.Size != entries {
		t.Fatalf("%d entries, want %d; problem: %v", r.Size, entries, r.Problem)
	}
	return r
}

// TestE6_WhatIsRecordedVerifies: everything told is there, in order, and the
// report says what was looked at.
func TestE6_WhatIsRecordedVerifies(t *testing.T) {
	o := working(t)
	r := holds(t, os.DirFS(o.dir), 5)
	if len(r.Keys) != 1 || r.Keys[0].Verifier != o.key.Verifier() || r.Keys[0].Since != 0 || r.List != listID {
		t.Errorf("keys %+v of list %s", r.Keys, r.List)
	}
	if len(r.Signed) != 1 || *r.Signed[0].Entry != 3 || r.Signed[0].Checkpoint != 3 || r.Witnessed != 3 || r.SBOMs != 1 {
		t.Errorf("signed %+v, witnessed %d, %d bills", r.Signed, r.Witnessed, r.SBOMs)
	}
	o.open()
	var kinds []Kind
	for i, e := range o.log.Entries() {
		kinds = append(kinds, e.Kind)
		if e.Index != int64(i) || e.Time.Nanosecond() != 0 || (e.Prev == "") != (i == 0) {
			t.Errorf("entry %+v", e)
		}
	}
	if want := []Kind{Init, Endorse, Remove, Sign, Publish}; !slices.Equal(kinds, want) {
		t.Errorf("kinds %q", kinds)
	}
}

// TestE9_Queries: from an image, a digest or a bill of materials to who
// endorsed what, when.
func TestE9_Queries(t *testing.T) {
	o := working(t)
	all, err := Read(os.DirFS(o.dir))
	if err != nil || len(all) != 5 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	bill, _ := imagelist.ParseDigest(all[1].SBOM.SHA512)
	for name, got := range map[string]Entries{
		"image":  all.OfImage("image-1"),
		"digest": all.OfDigest(sha512.Sum512([]byte("one"))),
		"bill":   all.OfDigest(bill),
	} {
		if len(got) != 1 || got[0].Index != 1 || got[0].Responsible != "Alice Example" {
			t.Errorf("by %s: %+v", name, got)
		}
	}
	if got := all.Since(all[3].Time); len(got) != 2 {
		t.Errorf("since: %d entries", len(got))
	}
	if _, err := Read(fstest.MapFS{}); !errors.Is(err, ErrNone) {
		t.Errorf("no history: %v", err)
	}
}

// TestE7_RemovalNeedsReason: what the policy asks for is asked for, and a
// refused entry leaves nothing.
func TestE7_RemovalNeedsReason(t *testing.T) {
	o := working(t)
	bad := map[string]func(*Entry){
		"reason": func(e *Entry) { e.Reason = "" },
		"image":  func(e *Entry) { e.Image.Identifier = "" },
		"kind":   func(e *Entry) { e.Kind = "other" },
		"key":    func(e *Entry) { e.Kind = NewKey },
		"time":   func(e *Entry) { e.Time = time.Time{} },
		"who":    func(e *Entry) { e.Kind, e.Responsible = Endorse, "" },
		"bill":   func(e *Entry) { e.Kind, e.Image.SHA512 = Endorse, sum512(nil) },
		"digest": func(e *Entry) { e.Image.SHA512 = "AB" },
		"utf-8":  func(e *Entry) { e.Reason = "\xff" },
		"length": func(e *Entry) { e.Reason = strings.Repeat("x", MaxLine) },
		"name":   func(e *Entry) { e.SBOM = SBOM{SHA512: sum512(nil), Name: "../x"} },
	}
	before := o.files()
	for name, spoil := range bad {
		e := o.remove("image-1")
		spoil(&e)
		if err := o.log.Append(o.remove("image-2"), e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if after := o.files(); len(after) != len(before) || o.log.Size() != 5 {
		t.Errorf("%d files, had %d; %d entries", len(after), len(before), o.log.Size())
	}
	o.append(o.remove("image-1"))
	holds(t, os.DirFS(o.dir), 6)
}

// TestAppendAt: to append again what may be there is harmless, also behind a
// key's own entry.
func TestAppendAt(t *testing.T) {
	o := working(t)
	entries := []Entry{o.remove("a"), o.remove("b")}
	for _, have := range []int{1, 2} { // the first, then both, are there already
		if err := o.log.AppendAt(5, entries[:have]...); err != nil {
			t.Fatal(err)
		}
		o.open()
		if err := o.log.AppendAt(5, entries...); err != nil || o.log.Size() != 7 {
			t.Fatalf("%d entries, %v", o.log.Size(), err)
		}
	}
	o.key = newKey(t)
	o.open()
	for range 2 {
		if err := o.log.AppendAt(7, entries...); err != nil || o.log.Size() != 10 {
			t.Fatalf("%d entries, %v", o.log.Size(), err)
		}
	}
	other := entries[0]
	other.Reason = "another"
	for size, e := range map[int64]Entry{5: other, 8: other, 11: entries[0]} {
		if err := o.log.AppendAt(size, e); !errors.Is(err, ErrDiffers) {
			t.Errorf("at %d: %v", size, err)
		}
	}
	holds(t, os.DirFS(o.dir), 10)
}

// TestKeys_Colleague: another key is introduced once, by an entry of its own,
// and both go on.
func TestKeys_Colleague(t *testing.T) {
	o := working(t)
	mine := o.key
	for i, key := range []*Key{newKey(t), mine} {
		o.key = key
		o.open()
		o.append(o.remove("image-1"))
		if got, want := o.log.Size(), int64(7+i); got != want {
			t.Errorf("%d entries, want %d", got, want)
		}
	}
	r := holds(t, os.DirFS(o.dir), 8)
	if len(r.Keys) != 2 || r.Keys[1].Since != 5 || r.Keys[1].Responsible != "Alice Example" {
		t.Errorf("keys %+v", r.Keys)
	}
	if e := o.log.Entries()[5]; e.Kind != NewKey || e.Key != r.Keys[1].Verifier {
		t.Errorf("entry 5: %+v", e)
	}
}

// TestKey_Guarded: made once, private, refused when others can use it, when it
// is of another list, and when it lies in the workspace.
func TestKey_Guarded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "k")
	key, err := LoadOrCreateKey(path, listID)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := LoadOrCreateKey(path, listID); err != nil || again.Verifier() != key.Verifier() {
		t.Errorf("again: %v", err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	var bad *KeyError
	if _, err := LoadOrCreateKey(path, "other-list"); !errors.As(err, &bad) {
		t.Errorf("other list: %v", err)
	}
	if _, err := Open(filepath.Dir(path), listID, key); !errors.As(err, &bad) || !strings.Contains(err.Error(), "lies in the workspace") {
		t.Errorf("in the workspace: %v", err)
	}
	link := path + "-link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(link, listID); !errors.As(err, &bad) {
		t.Errorf("link: %v", err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateKey(path, listID); !errors.As(err, &bad) || !strings.Contains(bad.Hint(), "chmod 600") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	for _, text := range []string{"", "PRIVATE+KEY+", "PRIVATE+KEY+a+b+c"} {
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateKey(path, listID); !errors.As(err, &bad) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("text %q: %v", text, err)
		}
	}
}

// TestNothingSecretInWorkspace: no file holds the private key.
func TestNothingSecretInWorkspace(t *testing.T) {
	o := working(t)
	for name, f := range o.files() {
		if bytes.Contains(f.Data, []byte("PRIVATE")) {
			t.Errorf("%s holds a key", name)
		}
	}
}
