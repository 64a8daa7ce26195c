package cache

import (
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	bufferSize = 512 << 10
	ringSize   = 8 // 4 MiB per stream

	// A crash loses what came after the last checkpoint that is on disk, and
	// that may be the one before the newest: half of what we promise.
	checkpointEvery = Checkpoint/2 - ringSize*bufferSize/2

	// No file system asks for more where a direct write begins and ends; the
	// memory of so large a buffer is aligned by the runtime, and were it not,
	// the kernel would say so.
	directAlign = 4 << 10

	maxEmptyReads = 100
)

var buffers = sync.Pool{New: func() any { return &buffer{data: make([]byte, 0, bufferSize)} }}

// buffer is one piece of the file on its way to the hasher and the writer.
type buffer struct {
	data       []byte
	at         int64        // of data in the file
	checkpoint bool         // the hash state after data is to be kept
	users      atomic.Int32 // of hasher and writer, who has not had it yet
}

func (b *buffer) end() int64 { return b.at + int64(len(b.data)) }

// A stream appends bytes to a file and hashes them meanwhile. SHA-512 is
// serial and the slowest part, so reader, hasher and writer each have their
// own goroutine and hand buffers round in a ring; whoever is slowest holds up
// the others, and memory stays at ringSize buffers.
//
// It never writes beyond limit. One goroutine feeds it; offset may be read by
// any.
type stream struct {
	file   *os.File
	hash   hash.Hash
	limit  int64
	offset atomic.Int64 // bytes taken: in order, perhaps not yet in the file

	// save keeps the hash state of the first offset bytes, which are on disk
	// by then. nil: no checkpoints. Its failure costs reading again after a
	// crash, not the transfer, so it has no error to return.
	save func(offset int64, state []byte)

	over   bool // somebody sent more than limit
	cur    *buffer
	ring   *ring // nil while idle
	failed atomic.Pointer[error]
}

// ring is the goroutines between two drains.
type ring struct {
	free         chan *buffer
	owned        int // buffers taken from the pool
	toHash       chan *buffer
	toWrite      chan *buffer
	hashed       chan []byte // states at checkpoints
	written      chan int64  // offsets of the same checkpoints
	hasherWriter sync.WaitGroup
	keeper       sync.WaitGroup
}

// Write takes p, up to the limit: beyond it, ErrSize.
func (s *stream) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		space, err := s.space()
		if err != nil {
			return n, err
		}
		if len(space) == 0 {
			return n, s.tooLong()
		}
		m := copy(space, p)
		s.took(m)
		n, p = n+m, p[m:]
	}
	return n, s.err()
}

// ReadFrom reads r until its end straight into the ring. It returns ErrSize
// when r has more than the limit allows, and what r returned otherwise; the
// bytes before that are taken.
func (s *stream) ReadFrom(r io.Reader) (n int64, err error) {
	for empty := 0; empty < maxEmptyReads; empty++ {
		space, err := s.space()
		if err != nil {
			return n, err
		}
		if len(space) == 0 {
			return n, s.expectEnd(r)
		}
		m, err := r.Read(space)
		s.took(m)
		n += int64(m)
		if err == io.EOF {
			return n, s.err()
		}
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		}
	}
	return n, io.ErrNoProgress
}

// expectEnd is for a reader that has delivered everything it may.
func (s *stream) expectEnd(r io.Reader) error {
	var one [1]byte
	for range maxEmptyReads {
		n, err := r.Read(one[:])
		switch {
		case n > 0:
			return s.tooLong()
		case err == io.EOF:
			return s.err()
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func (s *stream) tooLong() error {
	s.over = true
	return fmt.Errorf("%w: more than the %d bytes signed", ErrSize, s.limit)
}

// space is where the next bytes go; none when the limit is reached.
func (s *stream) space() ([]byte, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	left := s.limit - s.offset.Load()
	if left <= 0 {
		return nil, nil
	}
	if s.cur == nil {
		s.start()
		s.cur = s.ring.take()
		s.cur.at = s.offset.Load()
	}
	n := len(s.cur.data)
	return s.cur.data[n:min(int64(cap(s.cur.data)), int64(n)+left)], nil
}

// took says that n bytes are now in the space.
func (s *stream) took(n int) {
	if n == 0 {
		return
	}
	s.cur.data = s.cur.data[:len(s.cur.data)+n]
	s.offset.Add(int64(n))
	if len(s.cur.data) == cap(s.cur.data) {
		s.flush()
	}
}

// flush hands the current buffer on.
func (s *stream) flush() {
	b := s.cur
	if b == nil {
		return
	}
	s.cur = nil
	b.checkpoint = s.save != nil && b.end()/checkpointEvery > b.at/checkpointEvery
	b.users.Store(2)
	s.ring.toHash <- b
	s.ring.toWrite <- b
}

func (s *stream) start() {
	if s.ring != nil {
		return
	}
	r := &ring{
		free:    make(chan *buffer, ringSize),
		toHash:  make(chan *buffer, ringSize),
		toWrite: make(chan *buffer, ringSize),
		hashed:  make(chan []byte),
		written: make(chan int64),
	}
	s.ring = r
	r.hasherWriter.Go(func() { s.hashAll(r) })
	r.hasherWriter.Go(func() { s.writeAll(r) })
	r.keeper.Go(func() { s.keepAll(r) })
}

// drain waits until everything taken is hashed and in the file, and stops the
// goroutines. The stream can be fed again afterwards.
func (s *stream) drain() error {
	if s.ring == nil {
		return s.err()
	}
	s.flush()
	r := s.ring
	s.ring = nil
	close(r.toHash)
	close(r.toWrite)
	r.hasherWriter.Wait()
	close(r.hashed)
	r.keeper.Wait()
	for range r.owned {
		buffers.Put(<-r.free)
	}
	return s.err()
}

func (r *ring) take() *buffer {
	if r.owned < ringSize && len(r.free) == 0 {
		r.owned++
		b := buffers.Get().(*buffer)
		b.data = b.data[:0]
		return b
	}
	return <-r.free
}

// done gives a buffer back when hasher and writer have both had it.
func (r *ring) done(b *buffer) {
	if b.users.Add(-1) == 0 {
		b.data = b.data[:0]
		r.free <- b
	}
}

func (s *stream) hashAll(r *ring) {
	for b := range r.toHash {
		s.hash.Write(b.data)
		checkpoint := b.checkpoint
		r.done(b)
		if checkpoint {
			r.hashed <- s.state()
		}
	}
}

func (s *stream) writeAll(r *ring) {
	w := writer{file: s.file}
	defer w.bypass(false)
	for b := range r.toWrite {
		if s.err() == nil {
			if err := w.write(b); err != nil {
				s.fail(err)
			}
		}
		checkpoint, end := b.checkpoint, b.end()
		r.done(b)
		if checkpoint {
			r.written <- end
		}
	}
}

// A writer puts buffers into a file. Copying them to the page cache first costs
// the processor as much as hashing them does, and nobody reads them from there
// soon: so whole buffers pass it by, where the file system lets them.
type writer struct {
	file      *os.File
	bypassing bool // the file's descriptor is in that state now
	refused   bool // the file system does not let us
}

func (w *writer) write(b *buffer) error {
	whole := len(b.data) == cap(b.data) && b.at%directAlign == 0
	if w.bypass(whole && !w.refused); w.bypassing {
		_, err := w.file.WriteAt(b.data, b.at)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		w.refused = true
		w.bypass(false)
	}
	_, err := w.file.WriteAt(b.data, b.at)
	return err
}

// bypass has writes go past the page cache, or through it.
func (w *writer) bypass(on bool) {
	if on == w.bypassing {
		return
	}
	if err := setDirect(w.file, on); err != nil {
		w.refused = true
		return
	}
	w.bypassing = on
}

// keepAll saves checkpoints. A hash state tells of bytes that went past, not
// of bytes on disk: so these come first, or a power failure could leave a
// state that vouches for a hole. It also leaves little for the sync at the
// end.
func (s *stream) keepAll(r *ring) {
	for state := range r.hashed {
		end := <-r.written
		if s.err() != nil {
			continue
		}
		if err := datasync(s.file); err != nil {
			s.fail(err)
			continue
		}
		s.save(end, state)
	}
}

// state is the hash state; resuming from it needs the same bytes before it.
func (s *stream) state() []byte {
	state, err := s.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		s.fail(err)
	}
	return state
}

// fail remembers the first error of the file: from then on nothing more is
// taken, and the file is lost.
func (s *stream) fail(err error) { s.failed.CompareAndSwap(nil, &err) }

func (s *stream) err() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// copyVerified fills the empty file dst from src and syncs it. It returns
// ErrSize or ErrCorrupt unless src has exactly these bytes.
func copyVerified(dst *os.File, src io.Reader, d Digest, size int64) error {
	if err := reserve(dst, size); err != nil {
		return err
	}
	s := &stream{file: dst, hash: newHash(), limit: size}
	_, err := s.ReadFrom(src)
	if err := errors.Join(err, s.drain()); err != nil {
		return err
	}
	if n := s.offset.Load(); n != size {
		return fmt.Errorf("%w: %d bytes of %d", ErrSize, n, size)
	}
	if Digest(s.hash.Sum(nil)) != d {
		return ErrCorrupt
	}
	return dst.Sync()
}
