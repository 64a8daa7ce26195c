package cache

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
)

// checkpoint is partial/<128 hex>.json: the hash state of the first Offset
// bytes of the partial beside it, which were on disk before this was written.
type checkpoint struct {
	Validator string `json:"validator"`
	Size      int64  `json:"size"`
	Offset    int64  `json:"offset"`
	State     []byte `json:"state"`
	Boot      string `json:"boot"`             // bytes after Offset are believed only in this boot
	Ino       uint64 `json:"ino"`              // of the partial
	Closed    *Stamp `json:"closed,omitempty"` // of the partial, if it was closed in order
}

// save keeps a checkpoint while the transfer goes on. If it cannot, more is
// read again after a crash, and that is all.
func (p *Partial) save(offset int64, state []byte) {
	if stamp, err := FileStamp(p.file); err == nil {
		_ = p.write(checkpoint{Offset: offset, State: state, Ino: stamp.Ino})
	}
}

// saveClosed keeps the state of a partial that nobody will write to until it
// is resumed.
func (p *Partial) saveClosed() error {
	stamp, err := FileStamp(p.file)
	if err != nil {
		return err
	}
	return p.write(checkpoint{Offset: p.Offset(), State: p.stream.state(), Ino: stamp.Ino, Closed: &stamp})
}

// write puts a checkpoint in its place, durably.
func (p *Partial) write(c checkpoint) error {
	c.Validator, c.Size, c.Boot = p.validator, p.size, bootID()
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return p.store.replace(checkpointPath(p.digest), func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// resume takes up what an earlier process left, or makes the partial empty.
//
//   - closed in order and untouched since: the state is that of all bytes
//   - killed, same boot: the state, and what follows it is read and hashed
//   - killed, and the machine went down: the state; what follows may be holes
//     and is cut off
//   - touched by somebody, or a state of another Go: all of it is read again
//   - no checkpoint: nothing is known of these bytes; start over
func (p *Partial) resume() error {
	c, err := p.readCheckpoint()
	if err != nil {
		return err
	}
	fi, err := p.file.Stat()
	if err != nil {
		return err
	}
	now := stampOf(fi)
	if c == nil || c.Size != p.size || c.Ino != now.Ino || now.Size < c.Offset || now.Size > p.size {
		return p.reset()
	}
	end := now.Size
	if c.Closed == nil && (c.Boot == "" || c.Boot != bootID()) {
		end = c.Offset
	}
	start := c.Offset
	if (c.Closed != nil && *c.Closed != now) || !p.restore(c) {
		p.stream.hash.Reset()
		start = 0
	}
	p.validator = c.Validator
	return p.rehash(start, end)
}

// readCheckpoint returns nil when there is none that can be read.
func (p *Partial) readCheckpoint() (*checkpoint, error) {
	data, err := p.store.read(checkpointPath(p.digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c checkpoint
	if json.Unmarshal(data, &c) != nil || c.Offset < 0 {
		return nil, nil
	}
	return &c, nil
}

// restore sets the hash to the state of a checkpoint. A state ends with the
// number of bytes it stands for, so that it can be held against the offset.
func (p *Partial) restore(c *checkpoint) bool {
	n := len(c.State) - 8
	if n < 0 || binary.BigEndian.Uint64(c.State[n:]) != uint64(c.Offset) {
		return false
	}
	return p.stream.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(c.State) == nil
}

// rehash hashes the bytes from start to end and cuts off the rest.
func (p *Partial) rehash(start, end int64) error {
	if err := p.file.Truncate(end); err != nil {
		return err
	}
	tail := io.NewSectionReader(p.file, start, end-start)
	n, err := io.CopyBuffer(p.stream.hash, onlyReader{tail}, make([]byte, bufferSize))
	if err != nil {
		return err
	}
	if n != end-start {
		return io.ErrUnexpectedEOF
	}
	p.stream.offset.Store(end)
	return nil
}

// onlyReader hides other methods of a reader, so that io.CopyBuffer uses the
// buffer it is given.
type onlyReader struct{ io.Reader }
