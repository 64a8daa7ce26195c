package publisher_test

import (
	"context"
	"crypto/sha512"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
	"vouch/imagelist/publisher"
	"vouch/imagelist/publisher/destination"
	"vouch/imagelist/publisher/diskimage"
	"vouch/imagelist/publisher/history"
	"vouch/imagelist/smime"
)

// bench is an endorser at work.
type bench struct {
	*listtest.World
	dir string
	o   publisher.Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{World: listtest.New(t), dir: filepath.Join(t.TempDir(), "ws"), o: publisher.Options{HistoryKey: filepath.Join(t.TempDir(), "history.key")}}
	w, err := publisher.Init(t.Context(), b.dir, publisher.Beginning{
		Identifier: "list-1", URI: "https://lists.example.org/image.list", Title: "T", Who: b.who(), At: b.At,
	}, b.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) who() publisher.Who {
	return publisher.Who{Responsible: "Alice Example", Certificate: b.Alice.Cert}
}

func (b *bench) open() *publisher.Workspace {
	b.T.Helper()
	w, err := publisher.Open(b.T.Context(), b.dir, b.o)
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(func() { w.Close() })
	return w
}

// addition is an image of these bytes.
func (b *bench) addition(id imagelist.ImageID, bytes string) publisher.Addition {
	return publisher.Addition{
		File: "/nowhere/" + string(id), Identifier: id, URI: "https://images.example.org/" + string(id), NoSBOM: "a test",
		Facts: &diskimage.Facts{Size: int64(len(bytes)), SHA512: sha512.Sum512([]byte(bytes)), Format: "raw"},
		Keys:  []publisher.KeyValue{{Key: "dc:title", Value: "Image " + string(id)}}, Who: b.who(), At: b.At,
	}
}

func add(t testing.TB, w *publisher.Workspace, a publisher.Addition) *publisher.Added {
	t.Helper()
	done, err := w.Add(a)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// sign makes the next version.
func (b *bench) sign(w *publisher.Workspace) (*publisher.Signed, error) {
	composed, err := w.Compose(b.Alice.Cert, publisher.DefaultLifetime, b.At)
	if err != nil {
		return nil, err
	}
	message, err := smime.Sign(composed.Content, b.Alice.Cert, b.Alice.Key, nil, smime.SignOptions{At: b.At})
	if err != nil {
		return nil, err
	}
	signed, _, err := w.Complete(composed, message, publisher.Trust{Store: b.Anchors(), Strict: true}, b.who(), b.At)
	return signed, err
}

func (b *bench) publish(w *publisher.Workspace, path string) (*publisher.Publication, error) {
	d, err := destination.Open(b.T.Context(), path, destination.Options{})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return w.Publish(b.T.Context(), d, publisher.Publishing{Who: b.who(), At: b.At})
}

// holds checks what must be true of a workspace at any time: the history
// verifies, and draft and history agree.
func (b *bench) holds(w *publisher.Workspace) {
	b.T.Helper()
	r, err := history.Verify(os.DirFS(b.dir))
	if err != nil {
		b.T.Fatal(err)
	}
	if r.Problem != nil {
		b.T.Fatalf("history: %v", r.Problem)
	}
	if _, err := w.Compose(b.Alice.Cert, publisher.DefaultLifetime, b.At); err != nil {
		b.T.Fatalf("draft and history disagree: %v", err)
	}
}

func kinds(t testing.TB, dir string) string {
	t.Helper()
	entries, err := history.Read(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Kind))
	}
	return strings.Join(all, " ")
}

func TestE4_ReleaseReplaceRevoke(t *testing.T) {
	b := newBench(t)
	w := b.open()
	add(t, w, b.addition("one", "first"))
	add(t, w, b.addition("two", "second"))
	first, err := b.sign(w)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := b.Verify(first.Message); err != nil || v.List().Version != "1" || len(v.List().Images) != 2 {
		t.Fatalf("a subscriber says %v", err)
	}
	if first.List.Checkpoint == "" {
		t.Error("the list carries no checkpoint of the history")
	}

	a := b.addition("", "first, patched")
	a.Replace, a.URI = "one", "https://images.example.org/one-2"
	a.Keys = nil
	done := add(t, w, a)
	if done.Image.Version != "2" || done.Image.Title != "Image one" || done.Replaced.Version != "1" {
		t.Errorf("replaced: %+v", done)
	}
	if _, err := w.Remove([]imagelist.ImageID{"two"}, "CVE-2026-12345", b.who(), b.At); err != nil {
		t.Fatal(err)
	}
	second, err := b.sign(w)
	if err != nil {
		t.Fatal(err)
	}
	l := second.List
	if len(l.Images) != 1 || len(l.Revoked) != 1 || l.Revoked[0].Reason != "CVE-2026-12345" || l.Revoked[0].Identifier != "two" || !l.Revoked[0].Date.Equal(b.At.Truncate(time.Second)) {
		t.Errorf("second list: %+v", l.Revoked)
	}
	b.holds(w)
	if have := kinds(t, b.dir); have != "init endorse endorse sign replace remove sign" {
		t.Errorf("history: %s", have)
	}
}

// An image that no list ever named is nothing to tell subscribers.
func TestE7_RemovalOfWhatWasNeverPublished(t *testing.T) {
	b := newBench(t)
	w := b.open()
	add(t, w, b.addition("one", "first"))
	if _, err := w.Remove([]imagelist.ImageID{"one"}, "a mistake", b.who(), b.At); err != nil {
		t.Fatal(err)
	}
	l, err := w.Draft()
	if err != nil || len(l.Revoked) != 0 || len(l.Images) != 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if have := kinds(t, b.dir); have != "init endorse remove" {
		t.Errorf("history: %s", have)
	}
	if s, err := b.sign(w); err != nil || len(s.List.Images) != 0 {
		t.Errorf("an empty list shuts a list down, and can be signed: %v", err)
	}
}

func TestE6_SomebodyIsResponsible(t *testing.T) {
	b := newBench(t)
	w := b.open()
	settings := w.Settings
	settings.Responsible = ""
	if err := w.Remember(settings, w.Local); err != nil {
		t.Fatal(err)
	}
	a := b.addition("one", "first")
	a.Who = publisher.Who{}
	if _, err := w.Add(a); err == nil || !strings.Contains(err.Error(), "responsible") {
		t.Errorf("endorsed by nobody: %v", err)
	}
}

// What the subscriber's code refuses is not kept, and neither is what was not
// to be signed.
func TestComplete_Refuses(t *testing.T) {
	b := newBench(t)
	w := b.open()
	add(t, w, b.addition("one", "first"))
	composed, err := w.Compose(b.Alice.Cert, publisher.DefaultLifetime, b.At)
	if err != nil {
		t.Fatal(err)
	}
	by := func(id *listtest.Identity, content []byte) []byte {
		m, err := smime.Sign(content, id.Cert, id.Key, nil, smime.SignOptions{At: b.At})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	rogue := b.Rogue.Issue("Alice", listtest.RSA())
	for name, tt := range map[string]struct {
		message []byte
		says    string
	}{
		"nothing":           {nil, "not-signed"},
		"unsigned":          {composed.Content, "not-signed"},
		"other content":     {by(b.Alice, slices.Concat(composed.Content[:len(composed.Content)-2], []byte(" \r\n"))), "not what was to be signed"},
		"another signer":    {by(b.Bob, composed.Content), "endorser-mismatch"},
		"a rogue authority": {by(rogue, composed.Content), "endorser-mismatch"},
	} {
		_, _, err := w.Complete(composed, tt.message, publisher.Trust{Store: b.Anchors(), Strict: true}, b.who(), b.At)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
	carol, err := w.Compose(b.Carol.Cert, publisher.DefaultLifetime, b.At)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Complete(carol, by(b.Carol, carol.Content), publisher.Trust{Store: b.Anchors()}, b.who(), b.At); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("a revoked certificate: %v", err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "signed")); !errors.Is(err, os.ErrNotExist) {
		t.Error("something was kept")
	}
	if have := kinds(t, b.dir); have != "init endorse" {
		t.Errorf("history: %s", have)
	}
}

// A machine that does not know the signer's CA can sign all the same; one
// that was told where the anchors are cannot.
func TestComplete_UnknownAuthority(t *testing.T) {
	for _, strict := range []bool{false, true} {
		b := newBench(t)
		w := b.open()
		rogue := b.Rogue.Issue("Alice", listtest.RSA())
		composed, err := w.Compose(rogue.Cert, publisher.DefaultLifetime, b.At)
		if err != nil {
			t.Fatal(err)
		}
		message, err := smime.Sign(composed.Content, rogue.Cert, rogue.Key, nil, smime.SignOptions{At: b.At})
		if err != nil {
			t.Fatal(err)
		}
		_, notes, err := w.Complete(composed, message, publisher.Trust{Store: b.Anchors(), Strict: strict}, b.who(), b.At)
		if strict == (err == nil) || !strict && len(notes) != 1 {
			t.Errorf("strict %v: %v, %v", strict, notes, err)
		}
	}
}

func TestCompose_Refuses(t *testing.T) {
	b := newBench(t)
	w := b.open()
	add(t, w, b.addition("one", "first"))
	expiring := b.addition("two", "second")
	expiring.Keys = append(expiring.Keys, publisher.KeyValue{Key: "dc:date:expires", Value: b.At.Add(time.Hour).Format(time.RFC3339)})
	add(t, w, expiring)
	if _, err := b.sign(w); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		lifetime time.Duration
		at       time.Time
		says     string
	}{
		"longer than the certificate": {10 * 365 * 24 * time.Hour, b.At, "expires"},
		"no lifetime":                 {0, b.At, "not after dc:date:created"},
		"a clock behind":              {time.Hour, b.At.Add(-2 * time.Hour), "still to come"},
		"an image that has expired":   {time.Hour, b.At.Add(2 * time.Hour), "hv:images[1].hv:image.dc:date:expires"},
	} {
		if _, err := w.Compose(b.Alice.Cert, tt.lifetime, tt.at); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

// The next list never takes the place of a newer one, another's, or of what
// is no list.
func TestPublish_Refuses(t *testing.T) {
	b := newBench(t)
	w := b.open()
	add(t, w, b.addition("one", "first"))
	place := filepath.Join(t.TempDir(), "image.list")
	if _, err := b.publish(w, place); err == nil || !strings.Contains(err.Error(), "no signed list here yet") {
		t.Errorf("nothing is signed: %v", err)
	}
	if _, err := b.sign(w); err != nil {
		t.Fatal(err)
	}
	newer := b.Message(listtest.List(func(l *listtest.Builder) { l.Set("dc:identifier", "list-1"); l.Set("hv:version", "9") }))
	other := b.Message()
	reused := b.Message(listtest.List(func(l *listtest.Builder) { l.Set("dc:identifier", "list-1"); l.Set("hv:version", "1") }))
	for says, there := range map[string][]byte{
		"a newer version is live": newer, "another list is there": other, "not a signed list": []byte("index"), "another list of version": reused,
	} {
		if err := os.WriteFile(place, there, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := b.publish(w, place)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
		if have, _ := os.ReadFile(place); string(have) != string(there) {
			t.Errorf("%s: what was there is gone", says)
		}
	}
	os.Remove(place)
	if p, err := b.publish(w, place); err != nil || p.Replaced != "" || p.Unchanged {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := b.publish(w, place); err != nil || !p.Unchanged {
		t.Errorf("%+v, %v", p, err)
	}
	if have := kinds(t, b.dir); have != "init endorse sign publish" {
		t.Errorf("history: %s", have)
	}
	// A list that vouches for what was removed since is not shown to anybody new.
	if _, err := w.Remove([]imagelist.ImageID{"one"}, "leak", b.who(), b.At); err != nil {
		t.Fatal(err)
	}
	if _, err := b.publish(w, filepath.Join(t.TempDir(), "elsewhere")); err == nil || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("published what was removed: %v", err)
	}
}

// Two at once: one works, the other waits a little and then says who.
func TestF14_OneAtATime(t *testing.T) {
	b := newBench(t)
	w := b.open()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := publisher.Open(ctx, b.dir, b.o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one: %v", err)
	}
	_, err := publisher.Open(t.Context(), b.dir, b.o)
	if locked, ok := errors.AsType[*publisher.LockedError](err); !ok || locked.PID != os.Getpid() {
		t.Errorf("a second one: %v", err)
	}
	if r, err := publisher.Open(t.Context(), b.dir, publisher.Options{ReadOnly: true}); err != nil {
		t.Errorf("a reader: %v", err)
	} else if _, err := r.Status(time.Hour, b.At); err != nil {
		t.Errorf("a reader: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b.open()
}

func TestStatus_Due(t *testing.T) {
	b := newBench(t)
	w := b.open()
	due := func(within time.Duration) string {
		t.Helper()
		s, err := w.Status(within, b.At)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, d := range s.Due {
			all = append(all, d.What)
		}
		return strings.Join(all, "; ")
	}
	const week = 7 * 24 * time.Hour
	add(t, w, b.addition("one", "first"))
	if have := due(week); have != "" {
		t.Errorf("due: %s", have)
	}
	if _, err := b.sign(w); err != nil {
		t.Fatal(err)
	}
	if have := due(week); have != "" {
		t.Errorf("due: %s", have)
	}
	if have := due(5 * week); have != "the list expires" {
		t.Errorf("due: %s", have)
	}
	if have := due(500 * week); have != "the list expires; the signer's certificate expires" {
		t.Errorf("due: %s", have)
	}
	place := filepath.Join(t.TempDir(), "image.list")
	if _, err := b.publish(w, place); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Remove([]imagelist.ImageID{"one"}, "leak", b.who(), b.At); err != nil {
		t.Fatal(err)
	}
	if have := due(week); have != "the removal of image one is not signed" {
		t.Errorf("due: %s", have)
	}
	if _, err := b.sign(w); err != nil {
		t.Fatal(err)
	}
	if have := due(week); have != "version 2 is signed and not published" {
		t.Errorf("due: %s", have)
	}
	if _, err := b.publish(w, place); err != nil {
		t.Fatal(err)
	}
	if have := due(week); have != "" {
		t.Errorf("due: %s", have)
	}
}

// What a person writes of the endorser is a change; what signing filled in is not.
func TestChanged_Endorser(t *testing.T) {
	b := newBench(t)
	w := b.open()
	if _, err := b.sign(w); err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) bool {
		t.Helper()
		name := filepath.Join(b.dir, "draft.json")
		raw, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(raw), old) {
			t.Fatalf("%v\n%s", err, raw)
		}
		if err := os.WriteFile(name, []byte(strings.Replace(string(raw), old, new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		w.Close()
		w = b.open()
		changed, err := w.Changed()
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if edit(`"dc:title": "T"`, `"dc:title":  "T"`) {
		t.Error("white space is a change")
	}
	if !edit(`"hv:email": ""`, `"hv:email": "alice@example.org"`) {
		t.Error("the endorser's mail is no change")
	}
	if s, err := b.sign(w); err != nil || s.List.Endorsers[0].Email != "alice@example.org" {
		t.Errorf("%v", err)
	}
	if changed, err := w.Changed(); err != nil || changed {
		t.Errorf("changed after signing: %v, %v", changed, err)
	}
	composed, err := w.Compose(b.Bob.Cert, publisher.DefaultLifetime, b.At)
	if err != nil {
		t.Fatal(err)
	}
	message, err := smime.Sign(composed.Content, b.Bob.Cert, b.Bob.Key, nil, smime.SignOptions{At: b.At})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Complete(composed, message, publisher.Trust{Store: b.Anchors()}, b.who(), b.At); err != nil {
		t.Fatal(err)
	}
	if changed, err := w.Changed(); err != nil || changed {
		t.Errorf("another endorser's signature is a change of the draft: %v, %v", changed, err)
	}
}
