package cachetest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"vouch/cache"
)

// must fails the test at an error it does not expect.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails the test unless err is a want.
func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// wantFile fails the test unless the file at path, relative to the cache
// directory, has this content.
func wantFile(t testing.TB, s *cache.Store, path string, content []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(s.Dir(), path))
	must(t, err)
	if !bytes.Equal(got, content) {
		t.Errorf("%s: %d bytes, not the %d wanted", path, len(got), len(content))
	}
}

// wantGone fails the test if there is anything at path.
func wantGone(t testing.TB, s *cache.Store, path string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(s.Dir(), path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there (%v)", path, err)
	}
}

// wantMode fails the test unless the file has these permissions.
func wantMode(t testing.TB, s *cache.Store, path string, mode os.FileMode) {
	t.Helper()
	fi, err := os.Lstat(filepath.Join(s.Dir(), path))
	must(t, err)
	if fi.Mode().Perm() != mode {
		t.Errorf("%s: mode %v, want %v", path, fi.Mode().Perm(), mode)
	}
}

// partials are the names under partial/.
func partials(t testing.TB, s *cache.Store) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Dir(), "partial"))
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantNoPartials fails the test if anything is left under partial/.
func wantNoPartials(t testing.TB, s *cache.Store) {
	t.Helper()
	if names := partials(t, s); len(names) > 0 {
		t.Errorf("left in partial/: %q", names)
	}
}

// Verify reads everything the store shows and fails the test unless each blob
// has the bytes of its name, and each name under endorsed/ the bytes of one of
// the digests that are allowed (threats I1). It returns how many it read.
func Verify(t testing.TB, s *cache.Store, allowed ...cache.Digest) (blobs, names int) {
	t.Helper()
	digests, err := s.Blobs()
	must(t, err)
	for _, d := range digests {
		if got := digestOfFile(t, s, cache.BlobPath(d)); got != d {
			t.Errorf("blob %v has the bytes of %v", d, got)
		}
	}
	endorsed, err := s.Endorsed()
	must(t, err)
	for _, name := range endorsed {
		got := digestOfFile(t, s, cache.EndorsedPath(name))
		ok := false
		for _, d := range allowed {
			ok = ok || d == got
		}
		if !ok {
			t.Errorf("name %q has bytes nobody signed: %v", name, got)
		}
	}
	return len(digests), len(endorsed)
}

func digestOfFile(t testing.TB, s *cache.Store, path string) cache.Digest {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir(), path))
	must(t, err)
	return DigestOf(data)
}

// onlyReader hides what else a reader can do.
type onlyReader struct{ io.Reader }
