package cachetest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vouch/cache"
)

func testDocuments(t *testing.T, s *cache.Store) {
	for _, c := range []struct {
		path  string
		mode  os.FileMode
		write func([]byte) error
		read  func() ([]byte, error)
	}{
		{"index.json", 0o444, s.WriteIndex, s.ReadIndex},
		{".vouch", 0o600, s.WriteOwner, s.ReadOwner},
		{"lists/" + name + ".smime", 0o444,
			func(b []byte) error { return s.WriteList(name, b) },
			func() ([]byte, error) { return s.ReadList(name) }},
	} {
		_, err := c.read()
		wantErr(t, err, fs.ErrNotExist)
		for _, content := range [][]byte{Content(1, 300_000), Content(2, 10), {}} {
			must(t, c.write(content))
			got, err := c.read()
			must(t, err)
			if !slices.Equal(got, content) {
				t.Errorf("%s: read %d bytes, not the %d written", c.path, len(got), len(content))
			}
			wantFile(t, s, c.path, content)
			wantMode(t, s, c.path, c.mode)
		}
	}
	broken := errors.New("no such entry")
	wantErr(t, s.WriteIndexFrom(func(w io.Writer) error {
		w.Write(Content(3, 200_000))
		return broken
	}), broken)
	wantFile(t, s, "index.json", nil)
	wantNoPartials(t, s)
	if ids, err := s.Lists(); err != nil || !slices.Equal(ids, []string{name}) {
		t.Errorf("lists: %q (%v)", ids, err)
	}
	for range 2 {
		must(t, s.RemoveList(name))
	}
	_, err := s.ReadList(name)
	wantErr(t, err, fs.ErrNotExist)
}

func testUsage(t *testing.T, s *cache.Store) {
	d, _ := Ingest(t, s, Content(1, 1<<20))
	_, err := s.Publish(name, d)
	must(t, err)
	_, err = s.Unpublish(name, at)
	must(t, err)
	must(t, s.WriteIndex([]byte("{}")))
	p, err := s.Begin(DigestOf(nil), 1<<20)
	must(t, err)
	defer p.Discard()
	foreign := []string{"endorsed/.hidden", "endorsed/link", "templates"}
	must(t, os.Mkdir(filepath.Join(s.Dir(), "templates"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.Dir(), "templates/one"), Content(1, 1000), 0o644))
	must(t, os.WriteFile(filepath.Join(s.Dir(), "endorsed/.hidden"), Content(1, 100), 0o644))
	must(t, os.Symlink("x", filepath.Join(s.Dir(), "endorsed/link")))
	u, err := s.Usage()
	must(t, err)
	if u.Blobs != (cache.Tally{Count: 1, Bytes: 1 << 20}) || u.Expired.Count != 1 || u.Endorsed.Count != 0 || u.Partial.Count != 1 {
		t.Errorf("usage: %+v", u)
	}
	// What is kept is the blob's inode, or has bytes of its own.
	if u.Expired.Bytes != 0 && u.Expired.Bytes != 1<<20 {
		t.Errorf("expired: %+v", u.Expired)
	}
	if u.Foreign != (cache.Tally{Count: 3, Bytes: 1101}) {
		t.Errorf("foreign: %+v", u.Foreign)
	}
	if got, err := s.Foreign(); err != nil || !slices.Equal(got, foreign) {
		t.Errorf("foreign: %q (%v), want %q", got, err, foreign)
	}
	if free, total, err := s.Free(); err != nil || free > total || total == 0 {
		t.Errorf("free: %d of %d (%v)", free, total, err)
	}
}

// testRemovePartials leaves what a killed process leaves, and more.
func testRemovePartials(t *testing.T, s *cache.Store) {
	begin := func(seed byte) (*cache.Partial, cache.Digest) {
		content := Content(seed, 1000)
		p, err := s.Begin(DigestOf(content), 1000)
		must(t, err)
		_, err = p.Write(content[:500])
		must(t, err)
		return p, DigestOf(content)
	}
	wanted, d1 := begin(1)
	must(t, wanted.Close())
	unwanted, _ := begin(2)
	must(t, unwanted.Close())
	live, d3 := begin(3)
	for _, file := range []string{".tmp-AAAA", "some-image", DigestOf(nil).String() + ".json", ".foreign"} {
		must(t, os.WriteFile(filepath.Join(s.Dir(), "partial", file), nil, 0o600))
	}
	must(t, s.RemovePartials(func(d cache.Digest) bool { return d == d1 || d == DigestOf(nil) }))
	want := []string{".foreign", d1.String() + ".json", d1.String() + ".part", d3.String() + ".part"}
	slices.Sort(want)
	if got := partials(t, s); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	must(t, live.Close())
	must(t, s.RemovePartials(nil))
	if got := partials(t, s); !slices.Equal(got, []string{".foreign"}) {
		t.Errorf("left %q", got)
	}
}
