package diskimage

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func u32(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
func u64(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }
func l32(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }
func l64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// nul ends a descriptor where the image has more text.
func text(s string) string { return s + strings.Repeat("\x00", 2048-len(s)) }

const descriptorHead = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"

// bends are real images with something in them that QEMU would not write.
var bends = []struct {
	what, file string
	patches    []patch
	want       string // a part
}{
	{"dirty", "v3.qcow2", []patch{{72, u64(1)}}, "it was not closed"},
	{"corrupt", "v3.qcow2", []patch{{72, u64(2)}}, "marked as corrupt"},
	{"data file without a name", "v3.qcow2", []patch{{72, u64(4)}}, `external data file, ""`},
	{"unknown feature", "v3.qcow2", []patch{{72, u64(1 << 40)}}, "features that are not known here: 0x10000000000"},
	{"AES", "v2.qcow2", []patch{{32, u32(1)}}, "encrypted (method 1)"},
	{"LUKS", "v3.qcow2", []patch{{32, u32(2)}}, "encrypted (method 2)"}, // qemu-img cannot make one on a busy machine
	{"version 4", "v3.qcow2", []patch{{4, u32(4)}}, "version 4"},
	{"large clusters", "v3.qcow2", []patch{{20, u32(63)}}, "clusters of 2^63 bytes"},
	{"short header", "v3.qcow2", []patch{{100, u32(72)}}, "a header of 72 bytes"},
	{"long header", "v3.qcow2", []patch{{100, u32(1 << 31)}}, "a header of 2147483648 bytes"},
	{"odd header", "v3.qcow2", []patch{{100, u32(113)}}, "a header of 113 bytes"},
	{"backing file far away", "v3.qcow2", []patch{{8, u64(1<<64-1) + u32(1<<32-1)}}, `backing file, ""`},
	{"terminal codes", "v3.qcow2", []patch{{8, u64(0x300) + u32(5)}, {0x300, "\x1b[2Jx"}}, `backing file, "\x1b[2Jx"`},
	{"extension beyond the cluster", "v3.qcow2", []patch{{112, u32(1) + u32(1<<32-1)}}, "a header extension of 4294967295 bytes"},
	{"data file after another extension", "v3.qcow2", []patch{{112, u32(1) + u32(5) + "12345678" + u32(extDataFile) + u32(11) + "/etc/shadow"}}, `external data file, "/etc/shadow"`},
	{"extensions for ever", "small.qcow2", []patch{{112, strings.Repeat(u32(1)+u32(0), 50)}}, "qcow2"},
	{"extensions for ever", "v3.qcow2", []patch{{112, strings.Repeat(u32(1)+u32(0), 70)}}, "more than 64 header extensions"},
	{"L1 table outside", "v3.qcow2", []patch{{40, u64(1 << 62)}}, "its L1 table is at"},
	{"L1 table of much", "v3.qcow2", []patch{{36, u32(1<<32 - 1)}}, "its L1 table is at"},
	{"refcounts outside", "v3.qcow2", []patch{{48, u64(1<<64 - 1)}}, "its refcount table is at"},
	{"negative size", "v3.qcow2", []patch{{24, u64(1 << 63)}}, "more than there can be"},
	{"qcow2 and VDI", "v3.qcow2", []patch{{64, "\x7f\x10\xda\xbe"}}, "refused: qcow2 and vdi: it is in 2 formats at once"},
	{"qcow, encrypted", "old.qcow", []patch{{36, u32(1)}}, "encrypted (method 1)"},
	{"qed, to be checked", "old.qed", []patch{{16, l64(2)}}, "not closed"},
	{"qed, name without the bit", "old.qed", []patch{{56, l32(8)}}, "backing file"},

	{"parent by hint in a comment", "sparse.vmdk", []patch{{512, text(descriptorHead + "RW 8192 SPARSE \"x.vmdk\"\n#ParentFileNameHint=\"/etc/passwd\"\n")}}, "it names a parent disk"},
	{"parent by hint", "stream.vmdk", []patch{{512, text(descriptorHead + "parentFileNameHint=\"/etc/passwd\"\n")}}, `it names a parent disk, "/etc/passwd"`},
	{"parent by content ID", "sparse.vmdk", []patch{{512, text("version=1\nparentCID=12345678\nRW 8192 SPARSE \"x.vmdk\"\n")}}, `content ID is "12345678"`},
	{"descriptor elsewhere, hint where QEMU looks", "sparse.vmdk", []patch{{28, l64(64)}, {64 * 512, text(descriptorHead + "RW 8192 SPARSE \"x.vmdk\"\n")}, {512, text("parentFileNameHint=\"/etc/passwd\"\n")}}, "it names a parent disk"},
	{"extent elsewhere", "sparse.vmdk", []patch{{512, text(descriptorHead + "RW 8192 SPARSE \"/etc/passwd\"\n")}}, `data is in other files: SPARSE "/etc/passwd"`},
	{"flat extent", "sparse.vmdk", []patch{{512, text(descriptorHead + "RW 8192 FLAT \"x\" 0\n")}}, `data is in other files: FLAT "x"`},
	{"two extents", "sparse.vmdk", []patch{{512, text(descriptorHead + "RW 8192 SPARSE \"x\"\nRDONLY 1 FLAT \"y\" 0\n")}}, `SPARSE "x", FLAT "y"`},
	{"another type", "sparse.vmdk", []patch{{512, text(descriptorHead + "createType=\"fullDevice\"\nRW 8192 SPARSE \"x\"\n")}}, `it is of the type "fullDevice"`},
	{"change tracking", "sparse.vmdk", []patch{{512, text(descriptorHead + "RW 8192 SPARSE \"x\"\nchangeTrackPath=\"/etc/passwd\"\n")}}, `it wants another file: changetrackpath is "/etc/passwd"`},
	{"no capacity", "sparse.vmdk", []patch{{12, l64(0)}}, "only a descriptor"},
	{"much capacity", "sparse.vmdk", []patch{{12, l64(1 << 63)}}, "more than there can be"},
	{"far descriptor", "sparse.vmdk", []patch{{28, l64(1<<64 - 1)}}, "a descriptor of 20 sectors at sector"},
	{"descriptor beyond the end", "sparse.vmdk", []patch{{28, l64(1 << 50)}}, "it says that there is more"},
	{"no footer", "stream.vmdk", []patch{{56, l64(gdAtEnd)}, {-1024, "none"}}, "footer that its header speaks of is missing"},
	{"footer of another disk", "stream.vmdk", []patch{{56, l64(gdAtEnd)}, {-1024, "KDMV"}, {-1024 + 12, l64(7)}, {-1024 + 56, l64(64)}}, "its footer 7"},
	{"ESX extent", "disk.raw", []patch{{0, "COWD"}}, "one extent"},
	{"ESX sparse extent", "disk.raw", []patch{{0, "\xbe\xba\xfe\xca\x00\x00\x00\x00"}}, "one extent"},
	{"descriptor as QEMU sees it", "disk.raw", []patch{{0, "#\n# \r\n \n  \r\nversion=1\nRW 1 FLAT \"/etc/passwd\" 0\n\x00"}}, `its data is in FLAT "/etc/passwd"`},
	{"descriptor with a parent", "disk.raw", []patch{{0, "version=3\nparentFileNameHint=/etc/passwd\n\x00"}}, `it names a parent disk, "/etc/passwd"`},

	{"differencing VDI", "dynamic.vdi", []patch{{0x4c, l32(4)}}, "the difference to another disk"},
	{"VDI with a parent", "dynamic.vdi", []patch{{0x1a8, "0123456789abcdef"}}, "whose UUID is 30313233"},
	{"VDI of type 9", "dynamic.vdi", []patch{{0x4c, l32(9)}}, "an image of type 9"},
	{"VDI 2.0", "dynamic.vdi", []patch{{0x44, l32(0x20000)}}, "header version 0x20000"},
	{"VDI with a long map", "dynamic.vdi", []patch{{0x180, l32(1<<32 - 1)}}, "its map of 4294967295 blocks"},

	{"damaged VHD footer", "dynamic.vpc", []patch{{-100, "x"}}, "the footer is missing or damaged"},
	{"VHD with a parent locator", "dynamic.vpc", []patch{{512 + 576, "W2ru"}}, "the difference to another disk"},
	{"VHD with a parent's name", "dynamic.vpc", []patch{{512 + 64, "\x00C\x00:\x00\\\x00x"}}, `the difference to another disk, "C:\\x"`},
	{"VHD that says two things", "dynamic.vpc", []patch{{60, u32(4)}}, "at its beginning and at its end differ"},
	{"VHD without a dynamic header", "dynamic.vpc", []patch{{512, "x"}}, "no dynamic disk header"},
	{"QCOW2 in a fixed VHD", "fixed.vpc", []patch{{0, "QFI\xfb\x00\x00\x00\x03"}}, "refused: qcow2 and vhd: it is in 2 formats"},

	{"VHDX with a journal", "dynamic.vhdx", []patch{{64<<10 + 48, "0123456789abcdef"}}, "its journal is to be replayed"},
	{"VHDX without headers", "dynamic.vhdx", []patch{{64 << 10, "x"}, {128 << 10, "x"}}, "no header"},
	{"VHDX with many regions", "dynamic.vhdx", []patch{{192<<10 + 8, l32(1<<32 - 1)}}, "a region table of 4294967295 entries"},
	{"VHDX with far metadata", "dynamic.vhdx", []patch{{192<<10 + 16 + 32 + 16, l64(1<<64 - 1)}}, "it says that there is more"},

	{"gzip of nothing", "disk.raw", []patch{{0, "\x1f\x8b\x08garbage"}}, "its beginning cannot be decompressed"},
	{"GPT of a larger disk", "disk.raw", []patch{{512, "EFI PART"}, {512 + 32, l64(1 << 20)}}, "its GPT is of a disk of 1048577 sectors, and it has 8192: cut short?"},
	{"ext4", "disk.raw", []patch{{1024 + 56, "\x53\xef"}}, "raw; it begins with an ext2, ext3 or ext4 file system"},
	{"MBR", "disk.raw", []patch{{510, "\x55\xaa"}}, "raw; it begins with an MBR partition table"},
	{"ISO image", "disk.raw", []patch{{32<<10 + 1, "CD001"}}, "iso"},
}

func bentImages(t *testing.T, dir string) {
	for _, b := range bends {
		if got := look(t, bent(t, filepath.Join(dir, b.file), b.patches...)); !strings.Contains(got, b.want) {
			t.Errorf("%s: %s\nwant %s", b.what, got, b.want)
		}
	}
	t.Run("differencing VHD", func(t *testing.T) { differencingVHD(t, dir) })
	t.Run("differencing VHDX", func(t *testing.T) { differencingVHDX(t, dir) })
	t.Run("cut short", func(t *testing.T) { cutShort(t, dir) })
}

// differencingVHD has its type in two footers with a right sum.
func differencingVHD(t *testing.T, dir string) {
	b, err := os.ReadFile(filepath.Join(dir, "dynamic.vpc"))
	if err != nil {
		t.Fatal(err)
	}
	for _, footer := range [][]byte{b[:512], b[len(b)-512:]} {
		copy(footer[60:], u32(vhdDifference))
		copy(footer[64:], u32(vhdSum(footer, 64)))
	}
	if got := look(t, write(t, "bent", b)); !strings.Contains(got, "the difference to another disk") {
		t.Error(got)
	}
}

// differencingVHDX is so by either of two marks, in either region table.
func differencingVHDX(t *testing.T, dir string) {
	real := filepath.Join(dir, "dynamic.vhdx")
	b, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	const meta = 3 << 20
	if string(b[meta:meta+8]) != "metadata" {
		t.Fatal("QEMU has its metadata elsewhere")
	}
	parameters := meta + int(le.Uint32(b[meta+32+16:]))
	key, path := utf16le("relative_path"), utf16le(`..\secret.vhdx`)
	locator := strings.Repeat("L", 16) + "\x00\x00\x01\x00" +
		l32(32) + l32(58) + "\x1a\x00\x1c\x00" + key + path
	entry := guidParent + l32(0x20000) + l32(200) + l32(4)
	for _, c := range []struct {
		want    string
		patches []patch
	}{
		{"the difference to another disk", []patch{{parameters + 4, l32(vhdxHasParent)}}},
		{`the difference to another disk, "..\\secret.vhdx"`, []patch{{meta + 32, entry}, {meta + 0x20000, locator}}},
		{"no metadata table", []patch{{256<<10 + 16 + 32 + 16, l64(64 << 10)}}},
	} {
		if got := look(t, bent(t, real, c.patches...)); !strings.Contains(got, c.want) {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

func utf16le(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r), byte(r>>8))
	}
	return string(b)
}

// cutShort: an image of which the end is missing is found out where the format
// allows it, and never trips anything.
func cutShort(t *testing.T, dir string) {
	for _, r := range real {
		b, err := os.ReadFile(filepath.Join(dir, r.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 4, 8, 71, 80, 100, 512, 513, 1024, 5000, 70_000, 200_000} {
			if n < len(b) {
				look(t, write(t, "cut", b[:n]))
			}
		}
	}
	for _, name := range []string{"dynamic.vpc", "dynamic.vhdx"} {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		if got := look(t, write(t, "cut", b[:len(b)/10])); !strings.HasPrefix(got, "refused") {
			t.Errorf("%s cut short: %s", name, got)
		}
	}
}
