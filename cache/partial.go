package cache

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

func newHash() hash.Hash { return sha512.New() }

// Partial is a blob that is still coming. It hashes while it writes, never
// writes beyond the signed size, and survives: what one process had, the next
// one's Begin goes on from.
//
// One goroutine uses a Partial; Offset may be called from any. After an error
// of the file itself (not of size or digest) the bytes are given up: every
// further call returns the error, and Close removes them.
type Partial struct {
	store     *Store
	digest    Digest
	size      int64
	file      *os.File
	stream    *stream
	validator string
	closed    bool
}

// Begin starts or resumes the ingest of the blob d, whose signed size in
// bytes this is. Offset tells how much is held already.
//
// The whole size is reserved at once. It returns ErrNoSpace if that is not
// possible (what was held before stays), ErrBusy while another Partial of d
// is open, ErrUnsafe if something else stands under its name.
func (s *Store) Begin(d Digest, size int64) (*Partial, error) {
	if size < 0 {
		return nil, wrap("begin "+d.String(), ErrSize)
	}
	if !s.claim(partPath(d)) {
		return nil, wrap("begin "+d.String(), ErrBusy)
	}
	p, err := s.begin(d, size)
	if err != nil {
		s.release(partPath(d))
		return nil, wrap("begin "+d.String(), err)
	}
	return p, nil
}

func (s *Store) begin(d Digest, size int64) (*Partial, error) {
	if err := s.replaceable(checkpointPath(d)); err != nil {
		return nil, err
	}
	f, err := s.openPart(partPath(d))
	if err != nil {
		return nil, err
	}
	p := &Partial{store: s, digest: d, size: size, file: f}
	p.stream = &stream{file: f, hash: newHash(), limit: size, save: p.save}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	if err = p.resume(); err == nil {
		err = reserve(f, size)
	}
	if err != nil {
		p.giveUp()
		return nil, err
	}
	return p, nil
}

// openPart opens or creates the file of a partial. One killed inside Commit
// may have its last, read-only mode already.
func (s *Store) openPart(path string) (*os.File, error) {
	err := s.chmod(path, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return s.root.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return s.open(path, os.O_RDWR)
}

// giveUp undoes a begin: what an earlier process held stays, without the
// space that could not be had.
func (p *Partial) giveUp() {
	if p.Offset() == 0 {
		p.erase()
	} else if unreserve(p.file) != nil {
		p.erase()
	}
	p.file.Close()
}

// Offset is how many bytes are held, from the first one on without a hole.
func (p *Partial) Offset() int64 { return p.stream.offset.Load() }

// Validator is what Restart was given for the bytes held, "" if nothing.
func (p *Partial) Validator() string { return p.validator }

// Write takes bytes. It returns ErrSize, with n short, at the first byte
// beyond the signed size; those before it are kept.
func (p *Partial) Write(b []byte) (int, error) {
	if p.closed {
		return 0, p.wrap(fs.ErrClosed)
	}
	n, err := p.stream.Write(b)
	return n, p.wrap(err)
}

// ReadFrom takes bytes from r until its end, without copying them on the way.
// It reads one byte more than the signed size at most, and returns ErrSize if
// that one comes; an error of r is returned as it is.
func (p *Partial) ReadFrom(r io.Reader) (int64, error) {
	if p.closed {
		return 0, p.wrap(fs.ErrClosed)
	}
	n, err := p.stream.ReadFrom(r)
	if errors.Is(err, ErrSize) || p.stream.err() != nil {
		err = p.wrap(err)
	}
	return n, err
}

// Restart drops what is held and remembers the validator (an entity tag, say)
// under which the bytes to come are served.
func (p *Partial) Restart(validator string) error {
	if p.closed {
		return p.wrap(fs.ErrClosed)
	}
	if err := p.stream.drain(); err != nil {
		return p.wrap(err)
	}
	if err := p.reset(); err != nil {
		return p.wrap(err)
	}
	p.validator = validator
	return p.wrap(reserve(p.file, p.size))
}

// reset makes the partial empty. The checkpoint goes first, durably: it must
// never be found beside other bytes than those it tells of.
func (p *Partial) reset() error {
	err := p.store.root.Remove(checkpointPath(p.digest))
	if err == nil {
		err = p.store.syncDir(partialDir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.validator = ""
	p.stream.hash.Reset()
	p.stream.offset.Store(0)
	p.stream.over = false
	return p.file.Truncate(0)
}

// Commit makes the finished partial the blob, durably: bytes, then name.
//
// It returns ErrSize when bytes are missing or too many came (what is held
// stays), ErrCorrupt when the bytes are not those of the digest (they are
// removed), ErrNoSpace, or the context's error before anything is visible. A
// blob that is there already is replaced by these verified bytes. Killed in
// here, there is either the partial or the blob.
func (p *Partial) Commit(ctx context.Context) (Stamp, error) {
	if p.closed {
		return Stamp{}, p.wrap(fs.ErrClosed)
	}
	if err := p.complete(); err != nil {
		return Stamp{}, p.wrap(err)
	}
	if err := ctx.Err(); err != nil {
		return Stamp{}, p.wrap(err)
	}
	if err := p.finish(); err != nil {
		p.stream.fail(err)
		return Stamp{}, p.wrap(err)
	}
	stamp, err := p.store.admit(partPath(p.digest), p.digest)
	if err != nil {
		return Stamp{}, p.wrap(err)
	}
	return stamp, p.wrap(errors.Join(p.store.remove(checkpointPath(p.digest)), p.end()))
}

// complete waits for the last byte and compares size and digest.
func (p *Partial) complete() error {
	if err := p.stream.drain(); err != nil {
		return err
	}
	if n := p.Offset(); n != p.size {
		return fmt.Errorf("%w: %d bytes of %d", ErrSize, n, p.size)
	}
	if p.stream.over {
		return fmt.Errorf("%w: more than %d bytes came", ErrSize, p.size)
	}
	if Digest(p.stream.hash.Sum(nil)) != p.digest {
		return errors.Join(ErrCorrupt, p.Discard())
	}
	return nil
}

// finish gives the file its last mode and makes it durable. If that fails,
// the file must not be synced again.
func (p *Partial) finish() error {
	if err := p.store.dress(p.file, p.store.opt.FileMode); err != nil {
		return err
	}
	return p.file.Sync()
}

// Close ends the use of the partial and keeps what it holds for the next
// Begin. After Commit, Discard or Close it does nothing.
func (p *Partial) Close() error {
	if p.closed {
		return nil
	}
	err := p.stream.drain()
	if err != nil || p.Offset() == 0 {
		return p.wrap(errors.Join(err, p.Discard()))
	}
	err = unreserve(p.file)
	if err == nil {
		err = datasync(p.file)
	}
	if err == nil {
		err = p.saveClosed()
	}
	if err != nil {
		return p.wrap(errors.Join(err, p.Discard()))
	}
	return p.wrap(p.end())
}

// Discard ends the use of the partial and removes what it holds. After
// Commit, Discard or Close it does nothing.
func (p *Partial) Discard() error {
	if p.closed {
		return nil
	}
	p.stream.drain() // its error is about bytes nobody wants any more
	return p.wrap(errors.Join(p.erase(), p.end()))
}

func (p *Partial) erase() error {
	return errors.Join(p.store.remove(checkpointPath(p.digest)), p.store.remove(partPath(p.digest)))
}

// end lets file and name go.
func (p *Partial) end() error {
	p.closed = true
	err := p.file.Close()
	p.store.release(partPath(p.digest))
	return err
}

func (p *Partial) wrap(err error) error { return wrap("ingest "+p.digest.String(), err) }
