package diskimage

import (
	"bytes"
	"regexp"
	"strings"
)

// VMDK: VMware's "Virtual Disk Format 5.0" and block/vmdk.c of QEMU, which
// reads some of it in places of its own. A descriptor names the files that
// hold the data (extents) and, of a difference, the disk it belongs to.

const (
	sector        = 512
	maxDescriptor = 1 << 20
	gdAtEnd       = 1<<64 - 1 // the header at the front is without the directory: there is one at the end

	// QEMU looks for a parent here, whatever the header says.
	descriptorAt   = 1 * sector
	descriptorSize = 20 * sector

	todoOneFile = "put all in one file: qemu-img convert -O vmdk -o subformat=streamOptimized IMAGE NEW"
)

func isVMDK(head, _ []byte) bool {
	return at(head, 0, "KDMV") || at(head, 0, "COWD") ||
		at(head, 0, "\xbe\xba\xfe\xca\x00\x00\x00\x00") || isDescriptor(head)
}

// isDescriptor is true for what a hypervisor takes for a descriptor: comments
// and blank lines, then a version.
func isDescriptor(head []byte) bool {
	for line := range bytes.Lines(head[:min(len(head), 2048)]) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("# Disk DescriptorFile")) {
			return true
		}
		if len(line) > 0 && line[0] != '#' {
			return bytes.HasPrefix(bytes.ToLower(line), []byte("version="))
		}
	}
	return false
}

func readVMDK(c *content) (*finding, error) {
	first, err := c.part("vmdk", 0, 4)
	if err != nil {
		return nil, err
	}
	switch string(first) {
	case "KDMV":
		return readSparse(c)
	case "COWD", "\xbe\xba\xfe\xca":
		return nil, refuse("vmdk", todoOneFile, "it is one extent of a disk, and the descriptor is elsewhere")
	}
	text, err := c.upTo(0, maxDescriptor)
	if err != nil {
		return nil, err
	}
	d := parseDescriptor(text)
	if err := d.parents(); err != nil {
		return nil, err
	}
	return nil, refuse("vmdk", todoOneFile, "it is a descriptor only: its data is in %s", d.names())
}

type sparseHeader struct {
	capacity, descriptorAt, descriptorSize, directory uint64 // in sectors
}

func parseSparse(h []byte) sparseHeader {
	return sparseHeader{le.Uint64(h[12:]), le.Uint64(h[28:]), le.Uint64(h[36:]), le.Uint64(h[56:])}
}

func readSparse(c *content) (*finding, error) {
	h, err := c.part("vmdk", 0, sector)
	if err != nil {
		return nil, err
	}
	header := parseSparse(h)
	if err := checkParents(c, header); err != nil {
		return nil, err
	}
	if header.directory == gdAtEnd && c.whole {
		if err := checkFooter(c, header); err != nil {
			return nil, err
		}
	}
	size, err := virtual("vmdk", header.capacity, sector)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, refuse("vmdk", todoOneFile, "it has no data of its own, only a descriptor")
	}
	f := found("vmdk", size)
	if h[72] != 0 {
		f.note("it was not closed cleanly by whoever wrote it")
	}
	return f, nil
}

// checkParents looks at the descriptor where the header has it, and where QEMU
// expects it.
func checkParents(c *content, header sparseHeader) error {
	usual, err := c.upTo(descriptorAt, descriptorSize)
	if err != nil {
		return err
	}
	if err := parseDescriptor(usual).parents(); err != nil {
		return err
	}
	if header.descriptorAt > 1<<54 || header.descriptorSize > maxDescriptor/sector {
		return broken("vmdk", "a descriptor of %d sectors at sector %d", header.descriptorSize, header.descriptorAt)
	}
	size := header.descriptorSize * sector
	if header.descriptorAt == 0 || size == 0 {
		return refuse("vmdk", todoOneFile, "it is one extent of a disk, and the descriptor is elsewhere")
	}
	text, err := c.part("vmdk", header.descriptorAt*sector, size)
	if err != nil {
		return err
	}
	d := parseDescriptor(text)
	if err := d.parents(); err != nil {
		return err
	}
	return d.selfContained()
}

// checkFooter looks at the header at the end of a streamOptimized disk, which
// counts when it is there.
func checkFooter(c *content, front sparseHeader) error {
	if c.size < 4*sector {
		return broken("vmdk", "it ends before its footer")
	}
	h, err := c.part("vmdk", uint64(c.size)-2*sector, sector)
	if err != nil {
		return err
	}
	footer := parseSparse(h)
	if !at(h, 0, "KDMV") || footer.directory == gdAtEnd {
		return broken("vmdk", "the footer that its header speaks of is missing")
	}
	if footer.capacity != front.capacity {
		return broken("vmdk", "its header says %d sectors, its footer %d", front.capacity, footer.capacity)
	}
	if footer.descriptorAt == 0 && footer.descriptorSize == 0 {
		return nil
	}
	return checkParents(c, footer)
}

type extent struct{ kind, name string }

type descriptor struct {
	keys    map[string]string // in lower case
	extents []extent
	hint    bool // of a parent, in whatever place
}

var (
	extentLine = regexp.MustCompile(`(?i)^(?:rw|rdonly|noaccess)\s+\S+\s+([a-z0-9]+)(?:\s+"?([^"]*)"?.*)?$`)
	parentHint = []byte("parentfilenamehint")
)

const maxExtents = 1000

// parseDescriptor takes what is before the first NUL for text. What is not
// understood is left out.
func parseDescriptor(text []byte) *descriptor {
	text, _, _ = bytes.Cut(text, []byte{0})
	d := &descriptor{keys: map[string]string{}, hint: bytes.Contains(bytes.ToLower(text), parentHint)}
	for line := range bytes.Lines(text) {
		l := strings.TrimSpace(string(line))
		if m := extentLine.FindStringSubmatch(l); m != nil && len(d.extents) < maxExtents {
			d.extents = append(d.extents, extent{strings.ToUpper(m[1]), m[2]})
			continue
		}
		if k, v, ok := strings.Cut(l, "="); ok && !strings.HasPrefix(l, "#") && len(d.keys) < maxExtents {
			d.keys[strings.ToLower(strings.TrimSpace(k))] = strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return d
}

// otherFiles are keys of VMware's that name a file beside.
var otherFiles = []string{"changetrackpath", "ddb.sidecars", "ddb.nativeparenthint"}

// parents refuses what is not whole without another file.
func (d *descriptor) parents() error {
	if d.hint {
		return refuse("vmdk", todoBacking, "it names a parent disk, %.200q", d.keys[string(parentHint)])
	}
	if cid := d.keys["parentcid"]; cid != "" && !strings.EqualFold(cid, "ffffffff") {
		return refuse("vmdk", todoBacking, "it is the difference to another disk, whose content ID is %.200q", cid)
	}
	for _, k := range otherFiles {
		if name := d.keys[k]; name != "" {
			return refuse("vmdk", todoOneFile, "it wants another file: %s is %.200q", k, name)
		}
	}
	return nil
}

// selfContained refuses an embedded descriptor that has data in other files.
// The name of its one extent is what the file was called once.
func (d *descriptor) selfContained() error {
	if len(d.extents) == 0 {
		return refuse("vmdk", todoOneFile, "it is one extent of a disk, and the descriptor is elsewhere")
	}
	if kind := d.keys["createtype"]; kind != "" && !strings.EqualFold(kind, "monolithicSparse") && !strings.EqualFold(kind, "streamOptimized") {
		return refuse("vmdk", todoOneFile, "it is of the type %.200q, which has its data in other files: %s", kind, d.names())
	}
	e := d.extents[0]
	if len(d.extents) > 1 || e.kind != "SPARSE" || strings.ContainsAny(e.name, `/\:`) || e.name == ".." {
		return refuse("vmdk", todoOneFile, "its data is in other files: %s", d.names())
	}
	return nil
}

// names are the extents' files, the first few.
func (d *descriptor) names() string {
	var names []string
	for i, e := range d.extents {
		if i == 3 {
			names = append(names, "and more")
			break
		}
		names = append(names, e.kind+" "+quote(e.name))
	}
	if names == nil {
		return "no file that it names"
	}
	return strings.Join(names, ", ")
}
