package diskimage

// isVDI goes by the signature; the text before it is free.
func isVDI(head, _ []byte) bool { return at(head, 64, "\x7f\x10\xda\xbe") }

// readVDI is for VirtualBox's format, header version 1.1.
func readVDI(c *content) (*finding, error) {
	h, err := c.part("vdi", 0, 512)
	if err != nil {
		return nil, err
	}
	if major := le.Uint32(h[0x44:]) >> 16; major != 1 {
		return nil, broken("vdi", "header version %#x; known is 1.1", le.Uint32(h[0x44:]))
	}
	switch kind := le.Uint32(h[0x4c:]); {
	case kind == 3 || kind == 4:
		return nil, refuse("vdi", todoBacking, "it is the difference to another disk, whose UUID is %x", h[0x1a8:0x1b8])
	case kind != 1 && kind != 2:
		return nil, broken("vdi", "an image of type %d", kind)
	}
	if !zero(h[0x1a8:0x1c8]) {
		return nil, refuse("vdi", todoBacking, "it has a parent disk, whose UUID is %x", h[0x1a8:0x1b8])
	}
	size, err := virtual("vdi", le.Uint64(h[0x170:]), 1)
	if err != nil {
		return nil, err
	}
	blocks, bitmap := uint64(le.Uint32(h[0x180:])), uint64(le.Uint32(h[0x154:]))
	if c.whole && bitmap+blocks*4 > uint64(c.size) {
		return nil, broken("vdi", "its map of %d blocks is at %d, the file ends at %d", blocks, bitmap, c.size)
	}
	return found("vdi", size), nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
