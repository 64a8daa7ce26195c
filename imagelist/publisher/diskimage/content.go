package diskimage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	headSize = 68 << 10 // what the beginnings of all formats fit in
	tailSize = 512      // where a fixed VHD says what it is

	// manyBytes is the size of a disk that subscribers may have no room for.
	manyBytes = 2 << 40
)

// content is an image as the parsers see it: bytes by offset. What they read
// of it is bounded, whatever it says.
type content struct {
	io.ReaderAt
	size   int64
	whole  bool   // false: these are the first size bytes of something longer, decompressed
	inside string // ova, gz, xz, zst or bz2: what it was found in
}

// part is n bytes at off. A file that ends before is broken.
func (c *content) part(format string, off, n uint64) ([]byte, error) {
	if off <= uint64(c.size) && n <= uint64(c.size)-off {
		return c.upTo(off, n)
	}
	if !c.whole {
		return nil, refuse(format, "publish it without compressing it, or convert it to a compressed qcow2: qemu-img convert -c -O qcow2 IMAGE NEW",
			"what is to be checked lies at byte %d, and only the first %d decompressed are looked at", off, c.size)
	}
	return nil, broken(format, "it ends at byte %d; it says that there is more at %d", c.size, off)
}

// upTo is n bytes at off, or as many as there are. n is not from the file.
func (c *content) upTo(off, n uint64) ([]byte, error) {
	if off >= uint64(c.size) {
		return nil, nil
	}
	b := make([]byte, min(n, uint64(c.size)-off))
	got, err := c.ReadAt(b, int64(off))
	if got == len(b) || err == io.EOF {
		return b[:got], nil
	}
	return nil, fmt.Errorf("read at %d: %w", off, cause(err))
}

// patient stops reading when ctx is done.
type patient struct {
	ctx context.Context
	*os.File
}

func (p patient) ReadAt(b []byte, off int64) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.File.ReadAt(b, off)
}

// finding is what looking at a content tells.
type finding struct {
	Facts
	members *members // of an OVA with a manifest
}

// A format is told by its first bytes, or the last. read is for a content that
// claims is true of; it returns *Refused for what must not be published.
type format struct {
	name   string
	claims func(head, tail []byte) bool
	read   func(*content) (*finding, error)
}

func formats() []format {
	return []format{
		{"qcow", magic("QFI\xfb\x00\x00\x00\x01"), readQcow},
		{"qcow2", isQcow2, readQcow2},
		{"qed", magic("QED\x00"), readQED},
		{"vmdk", isVMDK, readVMDK},
		{"vdi", isVDI, readVDI},
		{"vhd", isVHD, readVHD},
		{"vhdx", magic("vhdxfile"), readVHDX},
		{"parallels", isParallels, readParallels},
		{"ova", isTar, readOVA},
		{"gz", magic("\x1f\x8b\x08"), readCompressed("gz")},
		{"xz", magic("\xfd7zXZ\x00"), readCompressed("xz")},
		{"zst", magic("\x28\xb5\x2f\xfd"), readCompressed("zst")},
		{"bz2", isBzip2, readCompressed("bz2")},
	}
}

func magic(m string) func(head, tail []byte) bool {
	return func(head, _ []byte) bool { return bytes.HasPrefix(head, []byte(m)) }
}

// inspect says what a content is. What more than one format claims would be
// one thing to us and another to a hypervisor.
func inspect(c *content) (*finding, error) {
	head, err := c.upTo(0, headSize)
	if err != nil {
		return nil, err
	}
	var tail []byte
	if c.whole && c.size >= tailSize {
		if tail, err = c.upTo(uint64(c.size)-tailSize, tailSize); err != nil {
			return nil, err
		}
	}
	var claim []format
	var names []string
	for _, f := range formats() {
		if f.claims(head, tail) {
			claim, names = append(claim, f), append(names, f.name)
		}
	}
	switch len(claim) {
	case 0:
		return readRaw(c, head)
	case 1:
		found, err := claim[0].read(c)
		if err == nil && found.VirtualSize > manyBytes {
			found.note("the guest sees a disk of %.1f TiB: subscribers may have no room for it", float64(found.VirtualSize)/(1<<40))
		}
		return found, err
	}
	return nil, refuse(strings.Join(names, " and "), "nobody can tell what it is: make it again with qemu-img convert",
		"it is in %d formats at once", len(claim))
}

func (f *finding) note(text string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(text, args...))
}

func found(format string, virtualSize int64) *finding {
	return &finding{Facts: Facts{Format: format, VirtualSize: virtualSize}}
}

// virtual is a count of bytes from a header, times unit, as the size of a disk.
func virtual(format string, n, unit uint64) (int64, error) {
	if n > (1<<63-1)/unit {
		return 0, broken(format, "a disk of %d times %d bytes is more than there can be", n, unit)
	}
	return int64(n * unit), nil
}
