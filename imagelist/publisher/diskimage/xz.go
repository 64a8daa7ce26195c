package diskimage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzReader decompresses xz streams (xz file format 1.1), for the first few
// MiB. The library's own reader allocates the dictionary that each block asks
// for, up to 4 GiB; nothing that we read goes back further than maxUnpacked. It
// verifies no checks: whoever decompresses all of it does.
type xzReader struct {
	src    *bufio.Reader
	check  int    // bytes after every block
	blocks uint64 // of the stream
	all    int    // blocks of all streams
	count  counter
	block  io.Reader // nil between two
}

const maxXZBlocks = 64

var xzChecks = map[byte]int{0: 0, 1: 4, 4: 8, 10: 32}

// counter counts the bytes of a block or an index, to find its padding.
type counter struct {
	*bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func newXZ(src *bufio.Reader) (*xzReader, error) {
	x := &xzReader{src: src}
	return x, x.header()
}

// header reads the header of a stream.
func (x *xzReader) header() error {
	var head [12]byte
	if _, err := io.ReadFull(x.src, head[:]); err != nil {
		return noEOF(err)
	}
	check, ok := xzChecks[head[7]]
	if string(head[:6]) != "\xfd7zXZ\x00" || head[6] != 0 || !ok {
		return fmt.Errorf("a stream that begins with %x", head[:8])
	}
	x.check, x.blocks = check, 0
	return nil
}

// Read returns io.EOF after the last stream.
func (x *xzReader) Read(p []byte) (int, error) {
	for {
		for x.block == nil {
			if err := x.open(); err != nil {
				return 0, err
			}
		}
		n, err := x.block.Read(p)
		if err != io.EOF {
			return n, err
		}
		x.block = nil
		if _, err := x.src.Discard(x.count.padding() + x.check); err != nil {
			return n, noEOF(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (c *counter) padding() int { return int(-c.n & 3) }

// open reads a block's header. Its first byte is 0 where the index begins.
func (x *xzReader) open() error {
	size, err := x.src.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	x.count = counter{Reader: x.src}
	if size == 0 {
		return x.next()
	}
	x.blocks++
	if x.all++; x.all > maxXZBlocks {
		return fmt.Errorf("more than %d blocks of few bytes", maxXZBlocks)
	}
	head := make([]byte, 4*int(size)+3)
	if _, err := io.ReadFull(x.src, head); err != nil {
		return noEOF(err)
	}
	if !onlyLZMA2(head) {
		return errors.New("a filter that is not known here; use xz without --x86 and the like")
	}
	x.block, err = lzma.Reader2Config{DictCap: maxUnpacked}.NewReader2(&x.count)
	return err
}

// next passes the index and the footer, and begins the next stream.
func (x *xzReader) next() error {
	n, err := binary.ReadUvarint(&x.count)
	if err == nil && n != x.blocks {
		return fmt.Errorf("an index of %d blocks after %d", n, x.blocks)
	}
	for i := uint64(0); i < 2*n && err == nil; i++ {
		_, err = binary.ReadUvarint(&x.count)
	}
	if err != nil {
		return noEOF(err)
	}
	x.count.n++ // the 0 at its beginning
	const sum, footer = 4, 12
	if _, err := x.src.Discard(x.count.padding() + sum + footer); err != nil {
		return noEOF(err)
	}
	for {
		b, err := x.src.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			x.src.UnreadByte()
			return x.header()
		}
	}
}

// noEOF is for where the stream cannot end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// onlyLZMA2 is true for a block header, from its flags on, with that one filter.
func onlyLZMA2(head []byte) bool {
	flags, rest := head[0], head[1:]
	for bit := byte(0x40); bit != 0; bit <<= 1 {
		if flags&bit == 0 {
			continue
		}
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return false
		}
		rest = rest[n:]
	}
	return flags&0x3f == 0 && rest[0] == 0x21
}
