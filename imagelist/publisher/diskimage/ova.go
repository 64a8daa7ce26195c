package diskimage

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// OVA: DSP0243, a tar archive of an OVF descriptor, perhaps a manifest and a
// certificate, and the files that the descriptor refers to.

const (
	maxMembers = 100
	maxText    = 4 << 20 // of a descriptor or a manifest

	todoOVA = "pack it as it is meant to be: tar --format=ustar -cf NEW.ova NAME.ovf NAME.mf DISK.vmdk"
)

// isTar is true for a ustar header with a right checksum.
func isTar(head, _ []byte) bool {
	if !at(head, 257, "ustar") || len(head) < 512 {
		return false
	}
	sum := int64(0)
	for i, b := range head[:512] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	stated, err := strconv.ParseInt(strings.Trim(string(head[148:156]), " \x00"), 8, 64)
	return err == nil && stated == sum
}

// member is a file in the archive.
type member struct {
	name      string
	off, size int64
}

func readOVA(c *content) (*finding, error) {
	switch c.inside {
	case "":
	case "ova":
		return nil, refuse("tar", todoOVA, "an archive in an archive")
	default:
		return nil, refuse("tar", "publish the OVA as it is, or the disk image without the archive", "a compressed archive, whose members cannot be checked")
	}
	all, err := list(c)
	if err != nil {
		return nil, err
	}
	f := found("ova", 0)
	ovf, mf, err := documents(c, all)
	if err != nil {
		return nil, err
	}
	if err := checkReferences(ovf, all); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(strings.ToLower(all[0].name), ".ovf") {
		f.note("its descriptor is not the first member, as OVF wants it: some will not import it")
	}
	for _, m := range all {
		if err := checkMember(c, m, f); err != nil {
			return nil, err
		}
	}
	if mf == nil {
		f.note("it has no manifest (.mf)")
		return f, nil
	}
	f.members, err = parseManifest(mf, all)
	return f, err
}

// list walks the archive from header to header.
func list(c *content) ([]member, error) {
	section := io.NewSectionReader(c, 0, c.size)
	r := tar.NewReader(section)
	seen := map[string]bool{}
	var all []member
	for {
		h, err := r.Next()
		if err == io.EOF && len(all) > 0 {
			return all, nil
		}
		if err != nil {
			return nil, broken("ova", "after %d members: %v", len(all), err)
		}
		off, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		m := member{path.Clean(h.Name), off, h.Size}
		if err := allowed(h); err != nil {
			return nil, err
		}
		if seen[m.name] {
			return nil, refuse("ova", todoOVA, "two members are called %.200q", m.name)
		}
		if m.size > c.size-off {
			return nil, broken("ova", "it ends within its member %.200q", m.name)
		}
		seen[m.name] = true
		if all = append(all, m); len(all) > maxMembers {
			return nil, refuse("ova", todoOVA, "more than %d members", maxMembers)
		}
	}
}

// allowed are plain files below the place where the archive is unpacked.
func allowed(h *tar.Header) error {
	if h.Typeflag != tar.TypeReg {
		what := map[byte]string{tar.TypeSymlink: "a symbolic link", tar.TypeLink: "a hard link", tar.TypeDir: "a directory", tar.TypeGNUSparse: "a sparse file"}[h.Typeflag]
		if what == "" {
			what = "no file"
		}
		if h.Linkname != "" {
			what += " to " + quote(h.Linkname)
		}
		return refuse("ova", todoOVA, "its member %.200q is %s", h.Name, what)
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return refuse("ova", todoOVA, "its member %.200q is a sparse file", h.Name)
		}
	}
	if !filepath.IsLocal(h.Name) || strings.ContainsAny(h.Name, "\\\x00") {
		return refuse("ova", todoOVA, "its member %.200q would be unpacked elsewhere", h.Name)
	}
	return nil
}

// documents are the one descriptor, and the manifest if there is one.
func documents(c *content, all []member) (ovf, mf []byte, err error) {
	for _, m := range all {
		doc := &mf
		switch strings.ToLower(path.Ext(m.name)) {
		case ".ovf":
			doc = &ovf
		case ".mf":
		default:
			continue
		}
		if *doc != nil {
			return nil, nil, refuse("ova", todoOVA, "a second descriptor or manifest, %.200q", m.name)
		}
		if m.size == 0 || m.size > maxText {
			return nil, nil, broken("ova", "its member %.200q has %d bytes", m.name, m.size)
		}
		if *doc, err = c.part("ova", uint64(m.off), uint64(m.size)); err != nil {
			return nil, nil, err
		}
	}
	if ovf == nil {
		return nil, nil, refuse("tar", todoOVA, "an archive without an OVF descriptor (.ovf)")
	}
	return ovf, mf, nil
}

// checkMember holds a member to the same rules as an image of its own.
func checkMember(c *content, m member, f *finding) error {
	switch strings.ToLower(path.Ext(m.name)) {
	case ".ovf", ".mf", ".cert":
		return nil
	}
	if m.size == 0 {
		f.note("its member %.200q is empty", m.name)
		return nil
	}
	in, err := inspect(&content{ReaderAt: io.NewSectionReader(c, m.off, m.size), size: m.size, whole: true, inside: "ova"})
	if r, ok := errors.AsType[*Refused](err); ok {
		return refuse("ova", r.todo, "its member %.200q: %s: %s", m.name, r.Format, r.Found)
	}
	if err != nil {
		return err
	}
	f.note("its member %.200q is %s", m.name, in.Format)
	return nil
}

func byName(all []member, name string) (member, bool) {
	for _, m := range all {
		if m.name == path.Clean(name) {
			return m, true
		}
	}
	return member{}, false
}

func quote(s string) string { return fmt.Sprintf("%.200q", s) }
