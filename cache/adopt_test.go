package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vouch/cache"
	"vouch/cache/cachetest"
)

// source is a file outside the cache, on the same file system.
func source(t *testing.T, s *cache.Store, content []byte) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(s.Dir()), "old")
	must(t, os.MkdirAll(dir, 0o755))
	path := filepath.Join(dir, "image")
	os.Remove(path)
	must(t, os.WriteFile(path, content, 0o640))
	return path
}

func TestAdopt(t *testing.T) {
	content := cachetest.Content(1, 700_000)
	d, size := cachetest.DigestOf(content), int64(700_000)
	reflinks := cachetest.ReflinkFS(t)
	for how, base := range map[cache.AdoptMode]string{
		cache.AdoptLink: t.TempDir(), cache.AdoptCopy: t.TempDir(), cache.AdoptReflink: reflinks,
	} {
		s := open(t, base+"/cache", cache.Options{GID: -1})
		path := source(t, s, content)
		before, err := os.Stat(path)
		must(t, err)
		stamp, err := s.Adopt(t.Context(), path, d, size, how)
		must(t, err)
		if now, err := s.Check(t.Context(), d, size, 0); err != nil || now != stamp {
			t.Errorf("%s: stamp %+v, Check says %+v (%v)", how, stamp, now, err)
		}
		after, err := os.Stat(path)
		must(t, err)
		if linked := stamp.Ino == after.Sys().(*syscall.Stat_t).Ino; linked != (how == cache.AdoptLink) {
			t.Errorf("%s: linked: %v", how, linked)
		}
		if how != cache.AdoptLink && after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("%s: the source was %v, is %v", how, before.Mode(), after.Mode())
		}
		if _, err := s.Adopt(t.Context(), path, d, size, how); err != nil {
			t.Errorf("%s again: %v", how, err)
		}
		must(t, s.RemovePartials(nil))
	}
}

// TestAdoptRefuses leaves source and cache as they were.
func TestAdoptRefuses(t *testing.T) {
	s := open(t, t.TempDir()+"/cache", cache.Options{GID: -1})
	content := cachetest.Content(1, 1000)
	d := cachetest.DigestOf(content)
	path := source(t, s, content)
	dir := filepath.Dir(path)
	must(t, os.Symlink(path, dir+"/link"))
	must(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name, path string
		d          cache.Digest
		size       int64
		ctx        context.Context
		want       error
	}{
		{"other bytes", path, cachetest.DigestOf(nil), 1000, t.Context(), cache.ErrCorrupt},
		{"other size", path, d, 999, t.Context(), cache.ErrSize},
		{"symbolic link", dir + "/link", d, 1000, t.Context(), cache.ErrUnsafe},
		{"pipe", dir + "/fifo", d, 1000, t.Context(), cache.ErrUnsafe},
		{"directory", dir, d, 1000, t.Context(), cache.ErrUnsafe},
		{"missing", dir + "/none", d, 1000, t.Context(), os.ErrNotExist},
		{"stopped", path, d, 1000, stopped, context.Canceled},
	} {
		for _, how := range []cache.AdoptMode{cache.AdoptLink, cache.AdoptCopy} {
			if _, err := s.Adopt(c.ctx, c.path, c.d, c.size, how); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: got error %v, want %v", c.name, how, err, c.want)
			}
			fi, err := os.Stat(path)
			must(t, err)
			if fi.Mode() != 0o640 || fi.Sys().(*syscall.Stat_t).Nlink != 1 {
				t.Errorf("%s, %s: the source has mode %v", c.name, how, fi.Mode())
			}
		}
	}
	if blobs, err := s.Blobs(); err != nil || len(blobs) > 0 {
		t.Errorf("blobs %v (%v)", blobs, err)
	}
}

// TestAdoptLinkOwnFilesOnly says what to use for the files of others.
func TestAdoptLinkOwnFilesOnly(t *testing.T) {
	cachetest.NeedRoot(t)
	s := open(t, t.TempDir()+"/cache", cache.Options{GID: -1})
	content := cachetest.Content(1, 1000)
	for _, c := range []struct {
		name string
		path func() string
	}{
		{"foreign", func() string {
			path := source(t, s, content)
			must(t, os.Chown(path, 65534, 65534))
			return path
		}},
		{"linked twice", func() string {
			path := source(t, s, content)
			must(t, os.Link(path, path+".2"))
			return path
		}},
		{"another file system", func() string {
			path := filepath.Join(cachetest.SmallFS(t, "size=1m"), "image")
			must(t, os.WriteFile(path, content, 0o644))
			return path
		}},
	} {
		_, err := s.Adopt(t.Context(), c.path(), cachetest.DigestOf(content), 1000, cache.AdoptLink)
		if err == nil || !strings.Contains(err.Error(), "use --reflink or --copy") {
			t.Errorf("%s: got error %v", c.name, err)
		}
	}
}
