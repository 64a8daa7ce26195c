package diskimage

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// What is compressed is looked at as far as this, and no further: so much in
// and so much out, whatever it would become.
const (
	maxUnpacked = 4 << 20 // a VHDX has its metadata in the fourth MiB
	maxPacked   = 8 << 20
	maxWindow   = 128 << 20 // zstd's own limit when it is not told otherwise
)

func isBzip2(head, _ []byte) bool {
	return at(head, 0, "BZh") && len(head) > 4 && head[3] >= '1' && head[3] <= '9' &&
		(at(head, 4, "1AY&SY") || at(head, 4, "\x17\x72\x45\x38\x50\x90"))
}

// readCompressed looks at what is inside, as far as that can be seen.
func readCompressed(kind string) func(*content) (*finding, error) {
	return func(c *content) (*finding, error) {
		switch c.inside {
		case "gz", "xz", "zst", "bz2":
			return nil, refuse(kind, "compress it once", "compressed twice")
		}
		inner, err := unpack(kind, c)
		if err != nil {
			return nil, err
		}
		if inner.size == 0 {
			return nil, broken(kind, "there is nothing in it")
		}
		f, err := inspect(inner)
		if r, ok := errors.AsType[*Refused](err); ok {
			r.Format += "." + kind
		}
		if err != nil {
			return nil, err
		}
		f.Format += "." + kind
		return f, nil
	}
}

// unpack decompresses the beginning of c.
func unpack(kind string, c *content) (*content, error) {
	in := &source{ReaderAt: c, left: min(c.size, maxPacked)}
	out, err := unpacker(kind, in)
	if err != nil {
		return nil, in.cause(kind, err)
	}
	defer out.Close()
	var b bytes.Buffer
	_, err = io.CopyN(&b, out, maxUnpacked)
	whole := err == io.EOF && in.off == c.size
	stopped := in.off == maxPacked && b.Len() >= headSize // by us, with enough seen
	if err != nil && !whole && !stopped || in.err != nil {
		return nil, in.cause(kind, err)
	}
	return &content{ReaderAt: bytes.NewReader(b.Bytes()), size: int64(b.Len()), whole: whole, inside: kind}, nil
}

func unpacker(kind string, in io.Reader) (io.ReadCloser, error) {
	switch r := bufio.NewReader(in); kind {
	case "gz":
		return gzip.NewReader(r)
	case "xz":
		x, err := newXZ(r)
		return io.NopCloser(x), err
	case "zst":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	default:
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
}

// source is the compressed bytes. It keeps the error of reading them, which is
// not the image's fault.
type source struct {
	io.ReaderAt
	off, left int64
	err       error
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.ReadAt(p[:min(int64(len(p)), s.left)], s.off)
	s.off, s.left = s.off+int64(n), s.left-int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *source) cause(kind string, err error) error {
	if s.err != nil {
		return s.err
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return broken(kind, "its beginning cannot be decompressed: %v", err)
}
