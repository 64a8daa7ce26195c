package diskimage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzReader decompresses the first blocks of an xz stream (xz file format 1.1).
// The library's own reader allocates the dictionary that each block asks for,
// up to 4 GiB; nothing that we read goes back further than maxUnpacked. It does
// not verify the checks: whoever decompresses all of it does.
type xzReader struct {
	src    *bufio.Reader
	check  int // bytes after every block
	blocks int
	count  counter
	block  io.Reader // nil between two
}

const maxXZBlocks = 64

var xzChecks = map[byte]int{0: 0, 1: 4, 4: 8, 10: 32}

// counter counts the bytes of a block, to find its padding.
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
	var head [12]byte
	if _, err := io.ReadFull(src, head[:]); err != nil {
		return nil, err
	}
	check, ok := xzChecks[head[7]]
	if head[6] != 0 || !ok {
		return nil, fmt.Errorf("stream flags %#x", head[6:8])
	}
	return &xzReader{src: src, check: check}, nil
}

// Read ends with io.EOF after the first stream's last block, and reads then to
// the end of what there is.
func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.block == nil {
			if err := x.open(); err != nil {
				return 0, err
			}
		}
		n, err := x.block.Read(p)
		if err != io.EOF {
			return n, err
		}
		x.block = nil
		padding := int(-x.count.n & 3)
		if _, err := x.src.Discard(padding + x.check); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// open reads a block's header. Its first byte is 0 where the index begins.
func (x *xzReader) open() error {
	size, err := x.src.ReadByte()
	if err != nil {
		return err
	}
	if size == 0 {
		_, err := io.Copy(io.Discard, x.src)
		return errors.Join(err, io.EOF)
	}
	if x.blocks++; x.blocks > maxXZBlocks {
		return fmt.Errorf("more than %d blocks of few bytes", maxXZBlocks)
	}
	head := make([]byte, 4*int(size)+3)
	if _, err := io.ReadFull(x.src, head); err != nil {
		return err
	}
	if !onlyLZMA2(head) {
		return errors.New("a filter that is not known here; use xz without --x86 and the like")
	}
	x.count = counter{Reader: x.src}
	x.block, err = lzma.Reader2Config{DictCap: maxUnpacked}.NewReader2(&x.count)
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
