package diskimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// holed is a file of mostly zeros: its size, then offset, length and bytes of
// each piece. So a VHDX, whose structures are MiBs apart, is a small input.
type holed struct {
	size   int64
	pieces []patch
	read   int // bytes, so far
}

const maxPieces = 64

func decodeHoled(b []byte) *holed {
	h := &holed{}
	if len(b) < 4 {
		return h
	}
	h.size = int64(le.Uint32(b)) % (64 << 20)
	for b = b[4:]; len(b) >= 6 && len(h.pieces) < maxPieces; {
		off, n := int(le.Uint32(b)), int(le.Uint16(b[4:]))
		b = b[6:]
		n = min(n, len(b))
		h.pieces = append(h.pieces, patch{off, string(b[:n])})
		b = b[n:]
	}
	return h
}

// encodeHoled keeps what is not zero, in pieces of 512 bytes, the first few.
func encodeHoled(b []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	n := 0
	for off := 0; off < len(b) && n < maxPieces-1; off += 512 {
		p := bytes.TrimRight(b[off:min(off+512, len(b))], "\x00")
		if last := off+512 >= len(b); len(p) == 0 || n > 32 && off < 1<<20 && !last {
			continue
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(off))
		out = binary.LittleEndian.AppendUint16(out, uint16(len(p)))
		out = append(out, p...)
		n++
	}
	return out
}

func (h *holed) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("a negative offset")
	}
	if off >= h.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), h.size-off))
	h.read += n
	clear(p[:n])
	for _, q := range h.pieces {
		if from := int64(q.off) - off; from < int64(n) && from+int64(len(q.data)) > 0 {
			copy(p[max(from, 0):n], q.data[max(-from, 0):])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fuzzed inspects, and says what holds of whatever is inspected.
func fuzzed(t *testing.T, h *holed) (*finding, *Refused) {
	f, err := inspect(&content{ReaderAt: h, size: h.size, whole: true})
	if h.read > 32<<20 {
		t.Fatalf("%d bytes were read", h.read)
	}
	again, err2 := inspect(&content{ReaderAt: h, size: h.size, whole: true})
	if f != nil && again != nil && !reflect.DeepEqual(f.Facts, again.Facts) || (err == nil) != (err2 == nil) {
		t.Fatalf("%v, then %v", err, err2)
	}
	if err != nil {
		r, ok := errors.AsType[*Refused](err)
		if !ok || r.Format == "" || r.Found == "" || r.Hint() == "" {
			t.Fatalf("error %v", err)
		}
		if strings.ContainsFunc(r.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("bytes for the terminal in %q", r.Error())
		}
		return nil, r
	}
	if f.VirtualSize < 0 || f.Format == "" || !f.Agrees(strings.ToUpper(f.Format)) {
		t.Fatalf("%+v", f.Facts)
	}
	return f, nil
}

// escapes says from the bytes alone, in another way than the parsers do, that
// an image of this format has another file.
func escapes(format string, b []byte) bool {
	b = append(b, make([]byte, 16<<10)...)
	switch format {
	case "qcow2":
		return !zero(b[8:16]) || b[7] == 3 && b[79]&4 != 0
	case "qcow":
		return !zero(b[8:16])
	case "qed":
		return b[16]&1 != 0
	case "vmdk":
		text, _, _ := bytes.Cut(b[512:512+20*512], []byte{0})
		return !bytes.HasPrefix(b, []byte("KDMV")) || bytes.Contains(text, []byte("parentFileNameHint"))
	case "vdi":
		return b[0x4c] != 1 && b[0x4c] != 2
	case "vhd":
		return bytes.HasPrefix(b, []byte("conectix")) && b[63] == 4
	case "raw", "iso":
		return bytes.HasPrefix(b, []byte("QFI\xfb")) || bytes.HasPrefix(b, []byte("# Disk DescriptorFile")) || bytes.HasPrefix(b, []byte("version=1\n"))
	}
	return false
}

// FuzzDetect: never a panic, never much reading, every error a refusal that
// says what to do, and nothing let through that has another file.
func FuzzDetect(f *testing.F) {
	if _, err := exec.LookPath("qemu-img"); err == nil {
		dir := makeReal(f)
		for _, r := range real {
			b, err := os.ReadFile(filepath.Join(dir, r.name))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(encodeHoled(b))
		}
		for _, c := range []string{"gzip -9", "xz -9", "zstd -19", "bzip2 -9"} {
			for _, name := range []string{"passwd.qcow2", "backed.vmdk"} {
				shell(f, dir, c+" -c "+name+" >packed")
				b, _ := os.ReadFile(filepath.Join(dir, "packed"))
				f.Add(encodeHoled(b))
			}
		}
	}
	f.Add(encodeHoled(pack("vm.ovf", ovfOf("d.img"), "d.img", "disk", "vm.mf", "SHA1(d.img)= 00\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := decodeHoled(b)
		found, _ := fuzzed(t, h)
		if found == nil {
			return
		}
		head := make([]byte, 16<<10)
		n, _ := h.ReadAt(head, 0)
		if escapes(found.Format, head[:n]) {
			t.Fatalf("let through: %+v", found.Facts)
		}
	})
}

// FuzzOVA: what is let through has no member and no reference outside, and its
// manifest, fed in pieces, is found right only when it is.
func FuzzOVA(f *testing.F) {
	f.Add(ovfOf("d.img"), "d.img", "disk", "SHA1(d.img)= 00\n", byte('0'), "")
	f.Add(ovfOf("../d.img"), "../d.img", "KDMV", "", byte('2'), "/etc/passwd")
	f.Add(ovfOf("d.img"), "d.img", "# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"/etc/passwd\" 0\n", "SHA256(vm.ovf)= 0\n", byte('S'), "")
	f.Fuzz(func(t *testing.T, ovf, name, disk, mf string, kind byte, link string) {
		b := pack("vm.ovf", ovf, "member", disk, "vm.mf", mf)
		at := 512 + (len(ovf)+511)&^511 // the second header
		header := b[at : at+512]
		copy(header, append([]byte(name), make([]byte, 100)...)[:100])
		header[156] = kind
		copy(header[157:257], link)
		sum(header)
		found, _ := fuzzed(t, &holed{size: int64(len(b)), pieces: []patch{{0, string(b)}}})
		if found == nil {
			return
		}
		if found.Format != "ova" || kind != '0' && kind != 0 || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") || strings.Contains(name, "/../../") {
			t.Fatalf("let through: member %q of type %q: %+v", name, kind, found.Facts)
		}
		for _, outside := range []string{"://", `href="/`, `href="../`} {
			if strings.Contains(ovf, `<File ovf:`+outside) {
				t.Fatalf("let through: %q", ovf)
			}
		}
		if m := found.members; m != nil {
			for p := b; len(p) > 0; p = p[min(len(p), 77):] {
				m.Write(p[:min(len(p), 77)])
			}
			if len(m.rest) > 0 {
				t.Fatalf("%d members were not hashed", len(m.rest))
			}
			m.verify()
		}
	})
}

// sum makes the checksum of a tar header right.
func sum(header []byte) {
	copy(header[148:], "        ")
	n := 0
	for _, b := range header {
		n += int(b)
	}
	copy(header[148:], []byte{'0' + byte(n>>15&7), '0' + byte(n>>12&7), '0' + byte(n>>9&7), '0' + byte(n>>6&7), '0' + byte(n>>3&7), '0' + byte(n&7), 0, ' '})
}
