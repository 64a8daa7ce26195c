package diskimage

import (
	"encoding/binary"
	"unicode/utf16"
)

// VHD: Microsoft's "Virtual Hard Disk Image Format Specification" 1.0. The
// footer is at the end, and in front too unless the disk is fixed.
const (
	vhdFooterSize = 512
	vhdFixed      = 2
	vhdDynamic    = 3
	vhdDifference = 4
	vhdLocators   = 576 // 8 of 24 bytes, in the dynamic header
)

func isVHD(head, tail []byte) bool {
	return at(head, 0, "conectix") || isFooter(tail)
}

// isFooter counts: at the end of a file, eight letters are little.
func isFooter(b []byte) bool {
	return len(b) == vhdFooterSize && at(b, 0, "conectix") && be.Uint32(b[64:]) == vhdSum(b, 64)
}

// vhdSum is the complement of the sum of all bytes but those of the sum itself.
func vhdSum(b []byte, field int) uint32 {
	var n uint32
	for i, x := range b {
		if i < field || i >= field+4 {
			n += uint32(x)
		}
	}
	return ^n
}

func readVHD(c *content) (*finding, error) {
	front, err := c.part("vhd", 0, vhdFooterSize)
	if err != nil {
		return nil, err
	}
	footer := front
	if c.whole {
		if footer, err = c.part("vhd", uint64(c.size)-vhdFooterSize, vhdFooterSize); err != nil {
			return nil, err
		}
	}
	if !isFooter(footer) {
		return nil, broken("vhd", "the footer is missing or damaged")
	}
	kind := be.Uint32(footer[60:])
	if at(front, 0, "conectix") && (be.Uint32(front[60:]) != kind || be.Uint64(front[16:]) != be.Uint64(footer[16:])) {
		return nil, broken("vhd", "what it says at its beginning and at its end differ")
	}
	size, err := virtual("vhd", be.Uint64(footer[48:]), 1)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == vhdFixed && c.whole:
		if size > c.size-vhdFooterSize {
			return nil, broken("vhd", "a disk of %d bytes in a file of %d", size, c.size)
		}
	case kind == vhdDynamic || kind == vhdDifference:
		if err := checkVHDParent(c, be.Uint64(footer[16:]), kind); err != nil {
			return nil, err
		}
	default:
		return nil, broken("vhd", "a disk of type %d", kind)
	}
	return found("vhd", size), nil
}

// checkVHDParent refuses a differencing disk by any of the marks it has.
func checkVHDParent(c *content, off uint64, kind uint32) error {
	h, err := c.part("vhd", off, 1024)
	if err != nil {
		return err
	}
	if !at(h, 0, "cxsparse") {
		return broken("vhd", "no dynamic disk header at %d", off)
	}
	name := utf16Text(h[64:576], be)
	located := false
	for i := range 8 {
		located = located || !zero(h[vhdLocators+24*i:][:4])
	}
	if kind == vhdDifference || located || name != "" || !zero(h[40:56]) {
		return refuse("vhd", todoBacking, "it is the difference to another disk, %.200q", name)
	}
	return nil
}

// utf16Text is b up to the first NUL.
func utf16Text(b []byte, order binary.ByteOrder) string {
	var u []uint16
	for ; len(b) > 1; b = b[2:] {
		x := order.Uint16(b)
		if x == 0 {
			break
		}
		u = append(u, x)
	}
	return string(utf16.Decode(u))
}
