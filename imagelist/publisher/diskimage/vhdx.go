package diskimage

import "strings"

// VHDX: [MS-VHDX]. Two headers, two region tables, of which one is current; a
// reader chooses by checksum and sequence. Here both must be harmless.
const (
	vhdxHeaders   = 64 << 10  // and 64 KiB later
	vhdxRegions   = 192 << 10 // and 64 KiB later
	vhdxCopy      = 64 << 10
	vhdxTableSize = 64 << 10
	vhdxMaxItems  = 2047

	vhdxHasParent = 1 << 1
)

// As they lie in the file.
const (
	guidMetadata   = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	guidParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	guidDiskSize   = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	guidParent     = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"
)

func readVHDX(c *content) (*finding, error) {
	if err := checkVHDXLog(c); err != nil {
		return nil, err
	}
	var f *finding
	for i := range uint64(2) {
		table, err := c.part("vhdx", vhdxRegions+i*vhdxCopy, vhdxTableSize)
		if err != nil {
			return nil, err
		}
		if !at(table, 0, "regi") {
			continue
		}
		off, err := vhdxMetadata(table)
		if err != nil {
			return nil, err
		}
		if f, err = readVHDXMetadata(c, off); err != nil {
			return nil, err
		}
	}
	if f == nil {
		return nil, broken("vhdx", "no region table")
	}
	return f, nil
}

// checkVHDXLog refuses a journal that is to be replayed: it can change all that
// is looked at here.
func checkVHDXLog(c *content) error {
	headers := 0
	for i := range uint64(2) {
		h, err := c.part("vhdx", vhdxHeaders+i*vhdxCopy, 80)
		if err != nil {
			return err
		}
		if !at(h, 0, "head") {
			continue
		}
		if headers++; !zero(h[48:64]) {
			return refuse("vhdx", "shut the virtual machine down that uses it, or write it anew: qemu-img convert -O vhdx IMAGE NEW",
				"it was not closed: its journal is to be replayed")
		}
	}
	if headers == 0 {
		return broken("vhdx", "no header")
	}
	return nil
}

// vhdxMetadata is where a region table has the metadata.
func vhdxMetadata(table []byte) (uint64, error) {
	n := le.Uint32(table[8:])
	if n > vhdxMaxItems {
		return 0, broken("vhdx", "a region table of %d entries", n)
	}
	for i := range n {
		if e := table[16+32*i:]; at(e, 0, guidMetadata) {
			return le.Uint64(e[16:]), nil
		}
	}
	return 0, broken("vhdx", "a region table without metadata")
}

func readVHDXMetadata(c *content, off uint64) (*finding, error) {
	table, err := c.part("vhdx", off, vhdxTableSize)
	if err != nil {
		return nil, err
	}
	n := le.Uint16(table[10:])
	if !at(table, 0, "metadata") || n > vhdxMaxItems {
		return nil, broken("vhdx", "no metadata table at %d", off)
	}
	f := found("vhdx", 0)
	sized := false
	for i := range int(n) {
		e := table[32+32*i:]
		at := off + uint64(le.Uint32(e[16:]))
		switch string(e[:16]) {
		case guidParent:
			return nil, vhdxParent(c, at, le.Uint32(e[20:]))
		case guidParameters:
			b, err := c.part("vhdx", at, 8)
			if err != nil {
				return nil, err
			}
			if le.Uint32(b[4:])&vhdxHasParent != 0 {
				return nil, refuse("vhdx", todoBacking, "it is the difference to another disk")
			}
		case guidDiskSize:
			b, err := c.part("vhdx", at, 8)
			if err != nil {
				return nil, err
			}
			if f.VirtualSize, err = virtual("vhdx", le.Uint64(b), 1); err != nil {
				return nil, err
			}
			sized = true
		}
	}
	if !sized {
		return nil, broken("vhdx", "it does not say how large the disk is")
	}
	return f, nil
}

// vhdxParent is the refusal of a disk with a parent locator, and names the
// parent's path if it can.
func vhdxParent(c *content, off uint64, size uint32) error {
	b, err := c.upTo(off, uint64(min(size, vhdxTableSize)))
	if err != nil {
		return err
	}
	path := ""
	for i := 20; len(b) >= 20 && i < 20+12*int(le.Uint16(b[18:])) && i+12 <= len(b); i += 12 {
		key := cut(b, le.Uint32(b[i:]), le.Uint16(b[i+8:]))
		if p := cut(b, le.Uint32(b[i+4:]), le.Uint16(b[i+10:])); strings.HasSuffix(key, "path") && path == "" {
			path = p
		}
	}
	return refuse("vhdx", todoBacking, "it is the difference to another disk, %.200q", path)
}

func cut(b []byte, off uint32, n uint16) string {
	if uint64(off)+uint64(n) > uint64(len(b)) {
		return ""
	}
	return utf16Text(b[off:off+uint32(n)], le)
}
