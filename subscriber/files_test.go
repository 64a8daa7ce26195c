package subscriber_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// read is what the files said, all of which must be there.
func read(t *testing.T, f *subscriber.Files, w *subscribertest.World) (*subscriber.Status, *subscriber.Index) {
	t.Helper()
	st, err := f.Status(w.Config.StateDir)
	x, errX := f.Index(w.Config.Cache.Dir)
	events, errE := f.Events(w.Config.StateDir)
	if err := errors.Join(err, errX, errE); err != nil || len(events) == 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
	return st, x
}

// However many look, a file is parsed once for each time that it is replaced.
func TestFiles_ParsedOnce(t *testing.T) {
	w := subscribertest.New(t)
	f := new(subscriber.Files)
	if _, err := f.Status(w.Config.StateDir); !errors.Is(err, subscriber.ErrNoStatus) {
		t.Errorf("before anything has run: %v", err)
	}
	w.Publish("1", image{ID: "a", Content: "a"})
	expectExit(t, w.Sync(), 0)
	st, x := read(t, f, w)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if again, y := read(t, f, w); again != st || y != x {
				t.Error("files that nobody replaced are parsed again")
			}
		})
	}
	all.Wait()
	w.Publish("2", image{ID: "a", Content: "b"})
	expectExit(t, w.Sync(), 0)
	if again, y := read(t, f, w); again == st || y == x || y.Generation == x.Generation || again.Generation != y.Generation {
		t.Error("what was replaced is not parsed again")
	}
	path := filepath.Join(w.Config.StateDir, "status.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"{", string(good)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Status(w.Config.StateDir); (err != nil) != (text == "{") {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

// A daemon that nobody looks at does not keep what it parsed.
func TestFiles_Forgotten(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1", image{ID: "a", Content: "a"})
	expectExit(t, w.Sync(), 0)
	synctest.Test(t, func(t *testing.T) {
		f := new(subscriber.Files)
		st, x := read(t, f, w)
		for range 3 {
			time.Sleep(59 * time.Second)
			if again, y := read(t, f, w); again != st || y != x {
				t.Fatal("parsed again although it is asked for")
			}
		}
		time.Sleep(61 * time.Second)
		if again, y := read(t, f, w); again == st || y == x {
			t.Error("kept although nobody asks")
		}
		time.Sleep(2 * time.Minute) // no timer is left
	})
}
