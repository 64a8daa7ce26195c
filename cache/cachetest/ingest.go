package cachetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"vouch/cache"
)

func testIngest(t *testing.T, s *cache.Store) {
	for _, size := range []int{0, 1, 4095, 512 << 10, 512<<10 + 1, 5 << 20} {
		content := Content(1, size)
		d, stamp := Ingest(t, s, content)
		wantFile(t, s, cache.BlobPath(d), content)
		again, err := s.Stat(d)
		must(t, err)
		if again != stamp || stamp.Size != int64(size) || stamp.Mode&0o777 != 0o444 {
			t.Errorf("size %d: Commit said %+v, Stat %+v", size, stamp, again)
		}
		checked, err := s.Check(t.Context(), d, int64(size), 0)
		must(t, err)
		if checked != stamp {
			t.Errorf("size %d: Check said %+v, want %+v", size, checked, stamp)
		}
	}
	wantNoPartials(t, s)
	if n, _ := Verify(t, s); n != 6 {
		t.Errorf("%d blobs, want 6", n)
	}
}

// testIngestRefuses commits what is not what was signed.
func testIngestRefuses(t *testing.T, s *cache.Store) {
	content := Content(1, 3<<20)
	d := DigestOf(content)
	wrong := bytes.Clone(content)
	wrong[len(wrong)-1] ^= 1
	errBroken := errors.New("connection reset")
	for _, c := range []struct {
		name   string
		source io.Reader
		read   error // of ReadFrom
		commit error
	}{
		{"one bit wrong", bytes.NewReader(wrong), nil, cache.ErrCorrupt},
		{"one byte short", bytes.NewReader(content[1:]), nil, cache.ErrSize},
		{"one byte long", io.MultiReader(bytes.NewReader(content), bytes.NewReader([]byte{0})), cache.ErrSize, cache.ErrSize},
		{"nothing", bytes.NewReader(nil), nil, cache.ErrSize},
		{"endless", endless{}, cache.ErrSize, cache.ErrSize},
		{"broken off", io.MultiReader(bytes.NewReader(content[:1000]), iotest.ErrReader(errBroken)), errBroken, cache.ErrSize},
	} {
		p, err := s.Begin(d, int64(len(content)))
		must(t, err)
		must(t, p.Restart(""))
		_, err = p.ReadFrom(c.source)
		if !errors.Is(err, c.read) {
			t.Errorf("%s: read: got error %v, want %v", c.name, err, c.read)
		}
		if _, err := p.Commit(t.Context()); !errors.Is(err, c.commit) {
			t.Errorf("%s: commit: got error %v, want %v", c.name, err, c.commit)
		}
		must(t, p.Discard())
		if _, err := s.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: there is a blob (%v)", c.name, err)
		}
		wantNoPartials(t, s)
	}
	testWriteBeyond(t, s, d, content)
	testCancelled(t, s, d, content)
}

// testWriteBeyond is T-05 for io.Writer: what is beyond the size goes nowhere.
func testWriteBeyond(t *testing.T, s *cache.Store, d cache.Digest, content []byte) {
	p, err := s.Begin(d, int64(len(content)))
	must(t, err)
	defer p.Discard()
	n, err := p.Write(append(bytes.Clone(content), "too much"...))
	wantErr(t, err, cache.ErrSize)
	if n != len(content) || p.Offset() != int64(n) {
		t.Errorf("took %d of %d bytes, offset %d", n, len(content), p.Offset())
	}
	_, err = p.Commit(t.Context())
	wantErr(t, err, cache.ErrSize)
	fi, err := os.Stat(filepath.Join(s.Dir(), "partial", d.String()+".part"))
	must(t, err)
	if fi.Size() > int64(len(content)) {
		t.Errorf("wrote %d bytes of %d", fi.Size(), len(content))
	}
}

// testCancelled commits for a run that has been stopped: the bytes stay, the
// name does not come.
func testCancelled(t *testing.T, s *cache.Store, d cache.Digest, content []byte) {
	p, err := s.Begin(d, int64(len(content)))
	must(t, err)
	_, err = p.Write(content)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Commit(ctx)
	wantErr(t, err, context.Canceled)
	_, err = s.Stat(d)
	wantErr(t, err, fs.ErrNotExist)
	must(t, p.Close())
	p, err = s.Begin(d, int64(len(content)))
	must(t, err)
	if p.Offset() != int64(len(content)) {
		t.Errorf("%d bytes held, want all", p.Offset())
	}
	_, err = p.Commit(t.Context())
	must(t, err)
}

func testIngestOneAtATime(t *testing.T, s *cache.Store) {
	content := Content(1, 1000)
	d := DigestOf(content)
	p, err := s.Begin(d, 1000)
	must(t, err)
	_, err = s.Begin(d, 1000)
	wantErr(t, err, cache.ErrBusy)
	_, err = s.Begin(DigestOf(nil), -1)
	wantErr(t, err, cache.ErrSize)
	must(t, p.Close())
	_, err = p.Write(content)
	wantErr(t, err, fs.ErrClosed)
	_, err = p.Commit(t.Context())
	wantErr(t, err, fs.ErrClosed)
	Ingest(t, s, content)
	// Bytes that are verified replace a blob, whatever became of it.
	Ingest(t, s, content)
	wantFile(t, s, cache.BlobPath(d), content)
}

// testResumeAnyCut is the property that a transfer cut anywhere, any number
// of times, gives identical bytes and takes none of them twice.
func testResumeAnyCut(t *testing.T, s *cache.Store) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		content := Content(byte(random.Uint32()), random.IntN(2<<20))
		d := DigestOf(content)
		taken := int64(0)
		for cut := random.IntN(8); cut >= 0; cut-- {
			p, err := s.Begin(d, int64(len(content)))
			must(t, err)
			if p.Offset() != taken {
				t.Fatalf("holds %d bytes of the %d taken", p.Offset(), taken)
			}
			upTo := taken + random.Int64N(int64(len(content))-taken+1)
			if cut == 0 {
				upTo = int64(len(content))
			}
			feed(t, p, content[taken:upTo], random)
			taken = upTo
			if cut > 0 {
				must(t, p.Close())
				continue
			}
			_, err = p.Commit(t.Context())
			must(t, err)
		}
		wantFile(t, s, cache.BlobPath(d), content)
		must(t, s.RemoveBlob(d))
	}
	wantNoPartials(t, s)
}

// feed gives bytes to a partial in one of the ways a transfer might.
func feed(t *testing.T, p *cache.Partial, b []byte, random *rand.Rand) {
	var err error
	switch random.IntN(3) {
	case 0:
		_, err = p.ReadFrom(bytes.NewReader(b))
	case 1:
		_, err = p.ReadFrom(iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(b))))
	case 2:
		_, err = io.CopyBuffer(struct{ io.Writer }{p}, onlyReader{bytes.NewReader(b)}, make([]byte, 1+random.IntN(100_000)))
	}
	must(t, err)
}

// testResumeRules damages a partial between two processes in every way that
// resume must notice.
func testResumeRules(t *testing.T, s *cache.Store) {
	content := Content(7, 2<<20)
	d := DigestOf(content)
	half := int64(len(content) / 2)
	part := filepath.Join(s.Dir(), "partial", d.String()+".part")
	sidecar := filepath.Join(s.Dir(), "partial", d.String()+".json")
	for _, c := range []struct {
		name   string
		damage func() error
		size   int64 // of the next Begin
		offset int64
	}{
		{"nothing", func() error { return nil }, 2 << 20, half},
		{"no checkpoint", func() error { return os.Remove(sidecar) }, 2 << 20, 0},
		{"torn checkpoint", func() error { return os.Truncate(sidecar, 20) }, 2 << 20, 0},
		{"empty checkpoint", func() error { return os.Truncate(sidecar, 0) }, 2 << 20, 0},
		{"no bytes", func() error { return os.Remove(part) }, 2 << 20, 0},
		{"fewer bytes", func() error { return os.Truncate(part, half-1) }, 2 << 20, 0},
		{"bytes beyond the size", func() error { return os.Truncate(part, 3<<20) }, 2 << 20, 0},
		{"another size signed", func() error { return nil }, 2<<20 + 1, 0},
		{"same bytes, touched", func() error { return os.WriteFile(part, content[:half], 0o600) }, 2 << 20, half},
	} {
		p, err := s.Begin(d, int64(len(content)))
		must(t, err)
		must(t, p.Restart(`"v1"`))
		feed(t, p, content[:half], rand.New(rand.NewPCG(1, 2)))
		must(t, p.Close())
		must(t, c.damage())
		p, err = s.Begin(d, c.size)
		must(t, err)
		validator := `"v1"`
		if c.offset == 0 {
			validator = ""
		}
		if p.Offset() != c.offset || p.Validator() != validator {
			t.Errorf("%s: offset %d validator %q, want %d %q", c.name, p.Offset(), p.Validator(), c.offset, validator)
		}
		if c.size == int64(len(content)) {
			_, err = p.Write(content[p.Offset():])
			must(t, err)
			_, err = p.Commit(t.Context())
			must(t, err)
			wantFile(t, s, cache.BlobPath(d), content)
		}
		must(t, p.Discard())
		wantNoPartials(t, s)
	}
	testResumeTampered(t, s, d, content, part)
}

// testResumeTampered changes a byte that the saved hash state vouches for.
func testResumeTampered(t *testing.T, s *cache.Store, d cache.Digest, content []byte, part string) {
	must(t, s.RemoveBlob(d))
	p, err := s.Begin(d, int64(len(content)))
	must(t, err)
	_, err = p.Write(content[:1<<20])
	must(t, err)
	must(t, p.Close())
	FlipBit(t, part, 1000)
	p, err = s.Begin(d, int64(len(content)))
	must(t, err)
	_, err = p.Write(content[p.Offset():])
	must(t, err)
	_, err = p.Commit(t.Context())
	wantErr(t, err, cache.ErrCorrupt)
	_, err = s.Stat(d)
	wantErr(t, err, fs.ErrNotExist)
}

// endless is a server that never stops.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
