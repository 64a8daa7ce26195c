package diskimage

import (
	"bytes"
	"encoding/binary"
)

// known is what a raw image commonly begins with.
var known = []struct {
	offset int
	magic  string
	what   string
}{
	{510, "\x55\xaa", "an MBR partition table or boot sector"},
	{512, "EFI PART", "a GPT partition table"},
	{1024 + 56, "\x53\xef", "an ext2, ext3 or ext4 file system"},
	{0, "XFSB", "an XFS file system"},
	{64<<10 + 64, "_BHRfS_M", "a btrfs file system"},
	{0, "hsqs", "a squashfs file system"},
	{0, "LUKS\xba\xbe", "a LUKS encrypted volume"},
	{512, "LABELONE", "an LVM physical volume"},
}

// readRaw is for what no format claims: a disk as it is, or an ISO 9660 image.
func readRaw(c *content, head []byte) (*finding, error) {
	f := found("raw", 0)
	if c.whole {
		f.VirtualSize = c.size
	}
	for _, k := range known {
		if at(head, k.offset, k.magic) {
			f.note("it begins with %s", k.what)
		}
	}
	if at(head, 32<<10+1, "CD001") {
		f.Format = "iso"
	} else if len(f.Notes) == 0 {
		f.note("nothing known is at its beginning: no partition table, no file system")
	}
	if c.whole && c.size%512 != 0 {
		f.note("its size is not a multiple of 512 bytes, as a disk's is")
	}
	checkGPT(f, c, head)
	return f, nil
}

func at(b []byte, offset int, magic string) bool {
	return len(b) > offset && bytes.HasPrefix(b[offset:], []byte(magic))
}

// checkGPT compares the size of the disk that a GPT was made for: its other
// copy is in the last sector.
func checkGPT(f *finding, c *content, head []byte) {
	if !c.whole || len(head) < 1024 || !at(head, 512, "EFI PART") {
		return
	}
	last := binary.LittleEndian.Uint64(head[512+32:])
	if last >= uint64(c.size)/512 {
		f.note("its GPT is of a disk of %d sectors, and it has %d: cut short?", last+1, c.size/512)
	}
}
