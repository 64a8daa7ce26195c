package diskimage

import (
	"encoding/binary"
	"strings"
)

var be, le = binary.BigEndian, binary.LittleEndian

// qcow2: docs/interop/qcow2.txt of QEMU. A backing file or an external data
// file is opened by name with the rights of the hypervisor.
const (
	qcow2Dirty = 1 << iota
	qcow2Corrupt
	qcow2DataFile
	qcow2Compression
	qcow2ExtendedL2
	qcow2Known = iota // bits
)

const (
	extEnd      = 0
	extDataFile = 0x44415441
	extBacking  = 0xe2792aca

	maxExtensions = 64
	maxName       = 1023 // bytes of a backing file's name
)

const todoBacking = "it is only the difference to another file; write it whole: qemu-img convert -O qcow2 IMAGE NEW"

func isQcow2(head, _ []byte) bool {
	return at(head, 0, "QFI\xfb") && !at(head, 4, "\x00\x00\x00\x01")
}

type qcow2 struct {
	c            *content
	h            []byte // the header, 104 bytes; of version 2, zeros after 72
	version      uint32
	clusterSize  uint64
	headerLength uint64
	incompatible uint64
}

func readQcow2(c *content) (*finding, error) {
	q := &qcow2{c: c}
	if err := q.header(); err != nil {
		return nil, err
	}
	if err := q.others(); err != nil {
		return nil, err
	}
	if err := q.sound(); err != nil {
		return nil, err
	}
	size, err := virtual("qcow2", be.Uint64(q.h[24:]), 1)
	if err != nil {
		return nil, err
	}
	f := found("qcow2", size)
	if n := be.Uint32(q.h[60:]); n > 0 {
		f.note("%d internal snapshots: earlier states of the disk, with all that was deleted since, are published too", n)
	}
	return f, nil
}

func (q *qcow2) header() error {
	h, err := q.c.part("qcow2", 0, 72)
	if err != nil {
		return err
	}
	q.h, q.version, q.headerLength = make([]byte, 104), be.Uint32(h[4:]), 72
	copy(q.h, h)
	switch q.version {
	case 2:
	case 3:
		if h, err = q.c.part("qcow2", 0, 104); err != nil {
			return err
		}
		copy(q.h, h)
		q.incompatible = be.Uint64(h[72:])
		q.headerLength = uint64(be.Uint32(h[100:]))
	default:
		return broken("qcow2", "version %d; known are 2 and 3", q.version)
	}
	bits := be.Uint32(q.h[20:])
	if bits < 9 || bits > 21 {
		return broken("qcow2", "clusters of 2^%d bytes; 2^9 to 2^21 can be", bits)
	}
	q.clusterSize = 1 << bits
	if q.version == 3 && q.headerLength < 104 || q.headerLength > q.clusterSize || q.headerLength%8 != 0 {
		return broken("qcow2", "a header of %d bytes", q.headerLength)
	}
	return nil
}

// others refuses what makes the reader open another file.
func (q *qcow2) others() error {
	if off := be.Uint64(q.h[8:]); off != 0 {
		return backed(q.c, "qcow2", off, be.Uint32(q.h[16:]))
	}
	name, err := q.dataFile()
	if err != nil {
		return err
	}
	if name != "" || q.incompatible&qcow2DataFile != 0 {
		return refuse("qcow2", todoFlatten, "its data is in an external data file, %q", name)
	}
	return nil
}

// backed is the refusal of an image with a backing file, whose name is at off.
// That it cannot be read makes it no better.
func backed(c *content, format string, off uint64, size uint32) error {
	name, err := c.upTo(off, uint64(min(size, maxName)))
	if err != nil {
		return err
	}
	return refuse(format, todoBacking, "it has a backing file, %q", name)
}

// dataFile walks the header extensions, to the end of the first cluster.
func (q *qcow2) dataFile() (string, error) {
	off := q.headerLength
	for range maxExtensions {
		if off+8 > q.clusterSize || off+8 > uint64(q.c.size) {
			return "", nil
		}
		head, err := q.c.part("qcow2", off, 8)
		if err != nil {
			return "", err
		}
		kind, size := be.Uint32(head), uint64(be.Uint32(head[4:]))
		if kind == extEnd {
			return "", nil
		}
		if off += 8; size > q.clusterSize-off {
			return "", broken("qcow2", "a header extension of %d bytes goes beyond the header's cluster", size)
		}
		if kind == extDataFile {
			name, err := q.c.part("qcow2", off, min(size, maxName))
			return string(name), err
		}
		off += (size + 7) &^ 7
	}
	return "", broken("qcow2", "more than %d header extensions", maxExtensions)
}

// sound refuses what qemu-img would not open, or no subscriber could use.
func (q *qcow2) sound() error {
	if unknown := q.incompatible >> qcow2Known; unknown != 0 {
		return broken("qcow2", "it needs features that are not known here: %#x", unknown<<qcow2Known)
	}
	if q.incompatible&qcow2Corrupt != 0 {
		return broken("qcow2", "it is marked as corrupt")
	}
	if q.incompatible&qcow2Dirty != 0 {
		return refuse("qcow2", "shut the virtual machine down that uses it, then qemu-img check -r all IMAGE", "it was not closed: somebody writes to it, or crashed doing so")
	}
	if method := be.Uint32(q.h[32:]); method != 0 {
		return refuse("qcow2", "subscribers have no key; write it in the clear: qemu-img convert", "it is encrypted (method %d)", method)
	}
	if err := q.inside("L1 table", be.Uint64(q.h[40:]), uint64(be.Uint32(q.h[36:]))*8); err != nil {
		return err
	}
	return q.inside("refcount table", be.Uint64(q.h[48:]), uint64(be.Uint32(q.h[56:]))*q.clusterSize)
}

func (q *qcow2) inside(what string, off, n uint64) error {
	if size := uint64(q.c.size); q.c.whole && n > 0 && (off > size || n > size-off) {
		return broken("qcow2", "its %s is at %d, the file ends at %d", what, off, size)
	}
	return nil
}

// readQcow is for version 1, which nobody should make any more.
func readQcow(c *content) (*finding, error) {
	h, err := c.part("qcow", 0, 48)
	if err != nil {
		return nil, err
	}
	if off := be.Uint64(h[8:]); off != 0 {
		return nil, backed(c, "qcow", off, be.Uint32(h[16:]))
	}
	if method := be.Uint32(h[36:]); method != 0 {
		return nil, refuse("qcow", "subscribers have no key; write it in the clear: qemu-img convert", "it is encrypted (method %d)", method)
	}
	size, err := virtual("qcow", be.Uint64(h[24:]), 1)
	if err != nil {
		return nil, err
	}
	f := found("qcow", size)
	f.note("qcow of version 1 is long out of use; qemu-img convert -O qcow2 makes a new one")
	return f, nil
}

// readQED is for docs/interop/qed_spec.txt of QEMU.
func readQED(c *content) (*finding, error) {
	h, err := c.part("qed", 0, 64)
	if err != nil {
		return nil, err
	}
	features := le.Uint64(h[16:])
	name := le.Uint32(h[56:])
	if features&1 != 0 || name != 0 {
		return nil, backed(c, "qed", uint64(name), le.Uint32(h[60:]))
	}
	if features&2 != 0 {
		return nil, broken("qed", "it was not closed, and is to be checked")
	}
	size, err := virtual("qed", le.Uint64(h[48:]), 1)
	if err != nil {
		return nil, err
	}
	f := found("qed", size)
	f.note("qed is long out of use; qemu-img convert -O qcow2 makes a new one")
	return f, nil
}

func isParallels(head, _ []byte) bool {
	return at(head, 0, "WithoutFreeSpace") || at(head, 0, "WithouFreSpacExt")
}

// readParallels is for docs/interop/parallels.txt of QEMU: one file has no
// name of another in it.
func readParallels(c *content) (*finding, error) {
	h, err := c.part("parallels", 0, 64)
	if err != nil {
		return nil, err
	}
	sectors := le.Uint64(h[36:])
	if strings.HasPrefix(string(h), "WithoutFreeSpace") {
		sectors &= 1<<32 - 1
	}
	size, err := virtual("parallels", sectors, 512)
	if err != nil {
		return nil, err
	}
	return found("parallels", size), nil
}
