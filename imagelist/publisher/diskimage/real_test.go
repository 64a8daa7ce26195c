package diskimage

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// real are images by QEMU: the commands that make each, and what is said of it.
// "disk.raw" is there already.
var real = []struct {
	name, make, want string
	virtual          int64 // 0: diskSize
}{
	{"v2.qcow2", "qemu-img convert -O qcow2 -o compat=0.10 disk.raw v2.qcow2", "qcow2", 0},
	{"v3.qcow2", "qemu-img convert -O qcow2 -o compat=1.1 disk.raw v3.qcow2", "qcow2", 0},
	{"packed.qcow2", "qemu-img convert -c -O qcow2 disk.raw packed.qcow2", "qcow2", 0},
	{"zstd.qcow2", "qemu-img convert -c -O qcow2 -o compression_type=zstd disk.raw zstd.qcow2", "qcow2", 0},
	{"extended.qcow2", "qemu-img convert -O qcow2 -o extended_l2=on,cluster_size=128k disk.raw extended.qcow2", "qcow2", 0},
	{"small.qcow2", "qemu-img convert -O qcow2 -o cluster_size=512 disk.raw small.qcow2", "qcow2", 0},
	{"large.qcow2", "qemu-img convert -O qcow2 -o cluster_size=2M,lazy_refcounts=on disk.raw large.qcow2", "qcow2", 0},
	{"metadata.qcow2", "qemu-img create -f qcow2 -o preallocation=metadata metadata.qcow2 4M", "qcow2", 0},
	{"huge.qcow2", "qemu-img create -f qcow2 huge.qcow2 3T", "qcow2; the guest sees a disk of 3.0 TiB: subscribers may have no room for it", 3 << 40},
	{"snapshot.qcow2", "qemu-img convert -O qcow2 disk.raw snapshot.qcow2; qemu-img snapshot -c before snapshot.qcow2", "qcow2; 1 internal snapshots: earlier states of the disk, with all that was deleted since, are published too", 0},
	{"backed.qcow2", "qemu-img create -f qcow2 -b disk.raw -F raw backed.qcow2", `refused: qcow2: it has a backing file, "disk.raw"`, 0},
	{"passwd.qcow2", "qemu-img create -f qcow2 -u -b /etc/passwd -F raw passwd.qcow2 4M", `refused: qcow2: it has a backing file, "/etc/passwd"`, 0},
	{"backed2.qcow2", "qemu-img create -f qcow2 -o compat=0.10 -u -b /etc/passwd -F raw backed2.qcow2 4M", `refused: qcow2: it has a backing file, "/etc/passwd"`, 0},
	{"json.qcow2", `qemu-img create -f qcow2 -u -b 'json:{"driver":"nbd","host":"10.0.0.1"}' -F raw json.qcow2 4M`, `refused: qcow2: it has a backing file, "json:{\"driver\":\"nbd\",\"host\":\"10.0.0.1\"}"`, 0},
	{"data.qcow2", "qemu-img create -f qcow2 -o data_file=data.raw data.qcow2 4M", `refused: qcow2: its data is in an external data file, "data.raw"`, 0},
	{"old.qcow", "qemu-img convert -O qcow disk.raw old.qcow", "qcow; qcow of version 1 is long out of use; qemu-img convert -O qcow2 makes a new one", 0},
	{"backed.qcow", "qemu-img create -f qcow -b disk.raw -F raw backed.qcow", `refused: qcow: it has a backing file, "disk.raw"`, 0},
	{"old.qed", "qemu-img convert -O qed disk.raw old.qed", "qed; qed is long out of use; qemu-img convert -O qcow2 makes a new one", 0},
	{"backed.qed", "qemu-img create -f qed -b disk.raw -F raw backed.qed", `refused: qed: it has a backing file, "disk.raw"`, 0},
	{"sparse.vmdk", "qemu-img convert -O vmdk disk.raw sparse.vmdk", "vmdk", 0},
	{"stream.vmdk", "qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk", "vmdk", 0},
	{"flat.vmdk", "qemu-img convert -O vmdk -o subformat=monolithicFlat disk.raw flat.vmdk", `refused: vmdk: it is a descriptor only: its data is in FLAT "flat-flat.vmdk"`, 0},
	{"split.vmdk", "qemu-img convert -O vmdk -o subformat=twoGbMaxExtentSparse disk.raw split.vmdk", `refused: vmdk: it is a descriptor only: its data is in SPARSE "split-s001.vmdk"`, 0},
	{"split-s001.vmdk", "true", "refused: vmdk: it is one extent of a disk, and the descriptor is elsewhere", 0},
	{"parts.vmdk", "qemu-img create -f vmdk -o subformat=twoGbMaxExtentFlat parts.vmdk 9G", `refused: vmdk: it is a descriptor only: its data is in FLAT "parts-f001.vmdk", FLAT "parts-f002.vmdk", FLAT "parts-f003.vmdk", and more`, 0},
	{"backed.vmdk", "qemu-img create -f vmdk -b sparse.vmdk -F vmdk backed.vmdk", `refused: vmdk: it names a parent disk, "sparse.vmdk"`, 0},
	{"dynamic.vpc", "qemu-img convert -O vpc -o force_size=on disk.raw dynamic.vpc", "vhd", 0},
	{"fixed.vpc", "qemu-img convert -O vpc -o subformat=fixed,force_size=on disk.raw fixed.vpc", "vhd", 0},
	{"dynamic.vhdx", "qemu-img convert -O vhdx disk.raw dynamic.vhdx", "vhdx", 0},
	{"fixed.vhdx", "qemu-img convert -O vhdx -o subformat=fixed disk.raw fixed.vhdx", "vhdx", 0},
	{"dynamic.vdi", "qemu-img convert -O vdi disk.raw dynamic.vdi", "vdi", 0},
	{"static.vdi", "qemu-img convert -O vdi -o static=on disk.raw static.vdi", "vdi", 0},
	{"disk.parallels", "qemu-img convert -O parallels disk.raw disk.parallels", "parallels", 0},
	{"disk.raw", "true", "raw; nothing known is at its beginning: no partition table, no file system", 0},
}

// makeReal makes them all in a directory of their own.
func makeReal(tb testing.TB) string {
	tb.Helper()
	need(tb, "qemu-img")
	dir := tb.TempDir()
	write(tb, filepath.Join(dir, "disk.raw"), disk())
	for _, r := range real {
		shell(tb, dir, r.make)
	}
	return dir
}

func TestT25_RealImages(t *testing.T) {
	dir := makeReal(t)
	for _, r := range real {
		path := filepath.Join(dir, r.name)
		if got := look(t, path); got != r.want {
			t.Errorf("%s: %s\nwant %s", r.name, got, r.want)
		}
		if strings.HasPrefix(r.want, "refused") {
			continue
		}
		f, err := Measure(context.Background(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := max(r.virtual, diskSize); f.VirtualSize != want {
			t.Errorf("%s: a disk of %d bytes, want %d", r.name, f.VirtualSize, want)
		}
		sameSum(t, path, f)
	}
	t.Run("compressed", func(t *testing.T) { compressed(t, dir) })
	t.Run("bent", func(t *testing.T) { bentImages(t, dir) })
	t.Run("agrees with qemu-img info", func(t *testing.T) { asQEMU(t, dir) })
}

// sameSum compares with coreutils.
func sameSum(t *testing.T, path string, f *Facts) {
	t.Helper()
	out, err := exec.Command("sha512sum", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(f.SHA512[:]); got != string(out[:2*sha512.Size]) {
		t.Errorf("%s: SHA-512 %s, sha512sum says %s", path, got, out)
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() != f.Size {
		t.Errorf("%s: %d bytes, stat says %v", path, f.Size, fi)
	}
}

// asQEMU: no image that QEMU says has another file is let through, and the
// formats have QEMU's names, but for VHD. A fixed VHD is raw to QEMU.
func asQEMU(t *testing.T, dir string) {
	for _, r := range real {
		out, err := exec.Command("qemu-img", "info", "-U", "--output=json", filepath.Join(dir, r.name)).Output()
		if err != nil {
			continue // its other file is missing
		}
		var info struct {
			Format  string
			Backing string `json:"backing-filename"`
		}
		if err := json.Unmarshal(out, &info); err != nil {
			t.Fatal(err)
		}
		refused := strings.HasPrefix(r.want, "refused")
		if info.Backing != "" && !refused {
			t.Errorf("%s has the backing file %q and was let through", r.name, info.Backing)
		}
		said, _, _ := strings.Cut(strings.TrimPrefix(r.want, "refused: "), ";")
		said, _, _ = strings.Cut(said, ":")
		if f := (Facts{Format: said}); !f.Agrees(info.Format) && r.name != "fixed.vpc" {
			t.Errorf("%s: %s here, %s to QEMU", r.name, said, info.Format)
		}
	}
}

var formatWord = regexp.MustCompile(`^(refused: )?\w+`)

func compressed(t *testing.T, dir string) {
	need(t, "gzip", "xz", "zstd", "bzip2")
	for _, pack := range []struct{ suffix, command string }{
		{"gz", "gzip -1kf"}, {"xz", "xz -1kf"}, {"zst", "zstd -qkf"}, {"bz2", "bzip2 -1kf"},
	} {
		for _, r := range real {
			switch r.name {
			case "v3.qcow2", "passwd.qcow2", "data.qcow2", "stream.vmdk", "backed.vmdk", "dynamic.vhdx", "dynamic.vpc", "dynamic.vdi", "disk.raw":
			default:
				continue
			}
			shell(t, dir, pack.command+" "+r.name)
			want := formatWord.ReplaceAllString(r.want, "$0."+pack.suffix)
			if got := look(t, filepath.Join(dir, r.name+"."+pack.suffix)); got != want {
				t.Errorf("%s %s: %s\nwant %s", pack.command, r.name, got, want)
			}
		}
	}
}
