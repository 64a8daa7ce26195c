package cachetest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vouch/cache"
)

// FlipBit changes one bit of a file, as a disk would.
func FlipBit(t testing.TB, path string, offset int64) {
	t.Helper()
	edit(t, path, flipAt(offset))
}

// edit changes a file that is read-only.
func edit(t testing.TB, path string, change func(*os.File) error) {
	t.Helper()
	fi, err := os.Stat(path)
	must(t, err)
	must(t, os.Chmod(path, 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	must(t, errors.Join(change(f), f.Close(), os.Chmod(path, fi.Mode())))
}

func testBitRot(t *testing.T, s *cache.Store) {
	const size = 1 << 20
	for _, c := range []struct {
		name   string
		damage func(f *os.File) error
		want   error
	}{
		{"first block", flipAt(0), cache.ErrCorrupt},
		{"middle block", flipAt(size / 2), cache.ErrCorrupt},
		{"last block", flipAt(size - 1), cache.ErrCorrupt},
		{"truncated", func(f *os.File) error { return f.Truncate(size - 1) }, cache.ErrSize},
		{"empty", func(f *os.File) error { return f.Truncate(0) }, cache.ErrSize},
		{"extended", func(f *os.File) error { return f.Truncate(size + 1) }, cache.ErrSize},
		{"hole", func(f *os.File) error { _, err := f.WriteAt(make([]byte, 4096), 8192); return err }, cache.ErrCorrupt},
	} {
		content := Content(3, size)
		d, before := Ingest(t, s, content)
		path := filepath.Join(s.Dir(), cache.BlobPath(d))
		edit(t, path, c.damage)
		after, err := s.Stat(d)
		must(t, err)
		if after == before {
			t.Errorf("%s: the stamp is the same", c.name)
		}
		if _, err := s.Check(t.Context(), d, size, 0); !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
		must(t, s.Quarantine(d))
		if _, err := s.OpenBlob(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: served after it was found (%v)", c.name, err)
		}
		Ingest(t, s, content)
		if _, err := s.Check(t.Context(), d, size, 0); err != nil {
			t.Errorf("%s: %v after another download", c.name, err)
		}
	}
}

// testCheckPaced asks for a rate at which the check would take days.
func testCheckPaced(t *testing.T, s *cache.Store) {
	d, _ := Ingest(t, s, Content(1, 1<<20))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := s.Check(ctx, d, 1<<20, 1)
	wantErr(t, err, context.DeadlineExceeded)
}

func flipAt(offset int64) func(*os.File) error {
	return func(f *os.File) error {
		var b [1]byte
		if _, err := f.ReadAt(b[:], offset); err != nil {
			return err
		}
		b[0] ^= 1
		_, err := f.WriteAt(b[:], offset)
		return err
	}
}

// testStamp is about the moment between verifying and serving: what is opened
// is the inode that was checked, and whoever changed it since has left a
// trace.
func testStamp(t *testing.T, s *cache.Store) {
	content := Content(4, 1<<20)
	d, stamp := Ingest(t, s, content)
	f, err := s.OpenBlob(d)
	must(t, err)
	defer f.Close()
	opened, err := cache.FileStamp(f)
	must(t, err)
	if opened != stamp {
		t.Errorf("opened %+v, committed %+v", opened, stamp)
	}
	path := filepath.Join(s.Dir(), cache.BlobPath(d))
	old, err := os.Stat(path)
	must(t, err)
	for _, c := range []struct {
		name   string
		change func() error
	}{
		{"another file in its place", func() error { return replaceFile(path, content) }},
		{"written, times set back", func() error {
			FlipBit(t, path, 5)
			return os.Chtimes(path, old.ModTime(), old.ModTime())
		}},
		{"made writable", func() error { return os.Chmod(path, 0o644) }},
	} {
		before, err := s.Stat(d)
		must(t, err)
		time.Sleep(20 * time.Millisecond) // the clock of a file system may be that coarse
		must(t, c.change())
		if after, err := s.Stat(d); err != nil || after == before {
			t.Errorf("%s: the stamp is the same (%v)", c.name, err)
		}
	}
}

func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o444); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
