package publisher_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/publisher"
	"vouch/imagelist/publisher/destination"
	"vouch/imagelist/publisher/history"
)

// publishImages publishes the list with its files.
func (b *bench) publishImages(w *publisher.Workspace, place string) error {
	b.T.Helper()
	d, err := destination.Open(b.T.Context(), place, destination.Options{})
	if err != nil {
		b.T.Fatal(err)
	}
	defer d.Close()
	_, err = w.Publish(b.T.Context(), d, publisher.Publishing{
		Images: true, Who: b.who(), At: b.At, Progress: func(string) destination.Progress { return nil },
	})
	return err
}

// A file that was written to after it was endorsed is not uploaded, however
// often it is tried, and neither is the list.
func TestPublish_ChangedImage(t *testing.T) {
	b := newBench(t)
	w := b.open()
	a := b.addition("one", "first")
	a.File = filepath.Join(t.TempDir(), "image")
	write := func(bytes string) {
		if err := os.WriteFile(a.File, []byte(bytes), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	add(t, w, a)
	if _, err := b.sign(w); err != nil {
		t.Fatal(err)
	}
	www := t.TempDir()
	write("other")
	for range 2 {
		if err := b.publishImages(w, filepath.Join(www, "image.list")); err == nil || !strings.Contains(err.Error(), "is not what was endorsed") {
			t.Errorf("other bytes: %v", err)
		}
		if left, _ := os.ReadDir(www); len(left) != 0 {
			t.Errorf("uploaded: %v", left)
		}
	}
	write("first")
	if err := b.publishImages(w, filepath.Join(www, "image.list")); err != nil {
		t.Error(err)
	}
}

// A list is due when it expires within the time and not before; what failed to
// be published is owed. Changes are no renewal.
func TestRenewal(t *testing.T) {
	const week = 7 * 24 * time.Hour
	b := newBench(t)
	w := b.open()
	is := func(at time.Time, due, owed bool) {
		t.Helper()
		if r, err := w.Renewal(week, at); err != nil || r.Due != due || r.Owed != owed {
			t.Errorf("%+v, %v", r, err)
		}
	}
	refused := func(says string) {
		t.Helper()
		var e *publisher.Error
		if r, err := w.Renewal(week, b.At); !errors.As(err, &e) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	refused("no signed list here yet")
	place := filepath.Join(t.TempDir(), "image.list")
	for range 2 {
		signed, err := b.sign(w)
		if err != nil {
			t.Fatal(err)
		}
		last := signed.List.Expires.Add(-week)
		is(b.At, false, true)
		is(last, false, true)
		is(last.Add(time.Second), true, true)
		if _, err := b.publish(w, place); err != nil {
			t.Fatal(err)
		}
		is(last, false, false)
		is(last.Add(time.Second), true, false)
	}
	add(t, w, b.addition("one", "first"))
	refused("the draft has changes")
}

// Policy E6: an entry names the individual, the time, the exact bytes, the
// operating system with its version, and the bill of materials.
func TestE6_EntryIsComplete(t *testing.T) {
	b := newBench(t)
	w := b.open()
	a := b.addition("one", "first")
	a.NoSBOM, a.SBOM = "", &publisher.SBOM{Content: []byte("{}"), Format: "CycloneDX 1.6 JSON", Extension: "json"}
	a.Keys = append(a.Keys, publisher.KeyValue{Key: "sl:os", Value: "Debian"}, publisher.KeyValue{Key: "sl:osversion", Value: "13.2"})
	a.BuiltAt = b.At.Add(-time.Hour)
	add(t, w, a)
	entries, err := history.Read(os.DirFS(b.dir))
	if err != nil {
		t.Fatal(err)
	}
	e := entries[len(entries)-1]
	sum := imagelist.Digest(a.Facts.SHA512)
	if e.Responsible != "Alice Example" || e.Signer.DN == "" || !e.Time.Equal(b.At) || e.Image.SHA512 != sum.String() || e.Image.Size != 5 ||
		e.Image.OS != "Debian" || e.Image.OSVersion != "13.2" || !e.Image.BuiltAt.Equal(a.BuiltAt) || e.SBOM.Format != "CycloneDX 1.6 JSON" {
		t.Errorf("recorded: %+v", e)
	}
	bom, err := imagelist.ParseDigest(e.SBOM.SHA512)
	if err != nil || len(entries.OfDigest(bom)) != 1 || len(entries.OfDigest(sum)) != 1 {
		t.Errorf("found by digest: %v", err) // E9
	}
}
