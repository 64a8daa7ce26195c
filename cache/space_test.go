package cache_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"vouch/cache"
	"vouch/cache/cachetest"
)

// TestT24_DiskFull begins an image that does not fit: it is refused before a
// byte is asked for and leaves nothing, others go on, and it comes when there
// is space again.
func TestT24_DiskFull(t *testing.T) {
	s := open(t, cachetest.SmallFS(t, "size=1m"), cache.Options{GID: -1})
	first, second := cachetest.Content(1, 600<<10), cachetest.Content(2, 500<<10)
	d1, _ := cachetest.Ingest(t, s, first)
	d2 := cachetest.DigestOf(second)
	if _, err := s.Begin(d2, int64(len(second))); !errors.Is(err, cache.ErrNoSpace) {
		t.Errorf("got error %v, want ErrNoSpace", err)
	}
	if u, err := s.Usage(); err != nil || u.Partial != (cache.Tally{}) {
		t.Errorf("left %+v (%v)", u.Partial, err)
	}
	cachetest.Ingest(t, s, cachetest.Content(3, 200<<10))
	if err := s.RemoveBlob(d1); err != nil {
		t.Fatal(err)
	}
	cachetest.Ingest(t, s, second)
	if blobs, _ := cachetest.Verify(t, s); blobs != 2 {
		t.Errorf("%d blobs, want 2", blobs)
	}
}

// TestT24_Reserved takes the space of a running download away, as far as that
// is possible, and then fills the disk between two halves of one.
func TestT24_Reserved(t *testing.T) {
	dir := cachetest.SmallFS(t, "size=1m")
	s := open(t, dir, cache.Options{GID: -1})
	content := cachetest.Content(1, 600<<10)
	d, size := cachetest.DigestOf(content), int64(600<<10)
	p, err := s.Begin(d, size)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := s.Usage(); err != nil || u.Partial.Bytes < size {
		t.Errorf("usage does not tell of the space reserved: %+v (%v)", u.Partial, err)
	}
	fillDisk(t, dir)
	if _, err := p.Write(content[:100<<10]); err != nil {
		t.Fatal(err)
	}
	must(t, os.Remove(filepath.Join(dir, "filler")))
	must(t, p.Close())
	if u, err := s.Usage(); err != nil || u.Partial.Bytes > 110<<10 {
		t.Errorf("a closed download keeps what it does not need: %+v (%v)", u.Partial, err)
	}
	fillDisk(t, dir)
	if _, err := s.Begin(d, size); !errors.Is(err, cache.ErrNoSpace) {
		t.Errorf("got error %v, want ErrNoSpace", err)
	}
	must(t, os.Remove(filepath.Join(dir, "filler")))
	p, err = s.Begin(d, size)
	must(t, err)
	if p.Offset() != 100<<10 {
		t.Errorf("resumes at %d, want what it held before the disk was full", p.Offset())
	}
	_, err = p.ReadFrom(bytes.NewReader(content[p.Offset():]))
	must(t, err)
	_, err = p.Commit(t.Context())
	must(t, err)
}

// TestF03_FullEverywhere fills the disk, and then uses up its inodes: what
// was there stays, withdrawing and opening still work.
func TestF03_FullEverywhere(t *testing.T) {
	for _, c := range []struct {
		options string
		fill    func(*testing.T, string)
	}{{"size=1m", fillDisk}, {"size=1m,nr_inodes=24", fillInodes}} {
		t.Run(c.options, func(t *testing.T) { testFull(t, cachetest.SmallFS(t, c.options), c.fill) })
	}
}

func testFull(t *testing.T, dir string, fill func(*testing.T, string)) {
	s := open(t, dir, cache.Options{GID: -1})
	d, _ := cachetest.Ingest(t, s, cachetest.Content(1, 100<<10))
	_, err := s.Publish("image", d)
	must(t, err)
	must(t, s.WriteIndex([]byte("old")))
	fill(t, dir)
	if err := s.WriteIndex(make([]byte, 10<<10)); !errors.Is(err, cache.ErrNoSpace) {
		t.Errorf("index: got error %v, want ErrNoSpace", err)
	}
	if index, err := s.ReadIndex(); err != nil || string(index) != "old" {
		t.Errorf("index: %q (%v), want the old one", index, err)
	}
	content := cachetest.Content(2, 10<<10)
	if _, err := s.Begin(cachetest.DigestOf(content), int64(len(content))); !errors.Is(err, cache.ErrNoSpace) {
		t.Errorf("begin: got error %v, want ErrNoSpace", err)
	}
	again, err := cache.Open(dir, cache.Options{GID: -1})
	if err != nil {
		t.Fatalf("a full disk cannot be opened: %v", err)
	}
	defer again.Close()
	_, err = again.Unpublish("image", workAt)
	must(t, err)
	must(t, again.RemoveBlob(d))
	if left, err := os.ReadDir(filepath.Join(dir, "partial")); err != nil || len(left) > 0 {
		t.Errorf("left %v (%v)", left, err)
	}
	if _, err := again.Stat(d); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func fillDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
}

func fillInodes(t *testing.T, dir string) {
	t.Helper()
	for i := range 100 {
		if os.WriteFile(filepath.Join(dir, "filler"+string(rune('A'+i))), nil, 0o600) != nil {
			return
		}
	}
	t.Fatal("there are inodes left")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
