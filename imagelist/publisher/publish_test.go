package publisher_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vouch/imagelist/publisher"
	"vouch/imagelist/publisher/destination"
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
