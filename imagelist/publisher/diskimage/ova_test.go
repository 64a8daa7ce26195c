package diskimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const envelope = `<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References>%s</References>
<DiskSection><Info>disks</Info><Disk ovf:capacity="4194304" ovf:diskId="d1" ovf:fileRef="f1"/></DiskSection>
</Envelope>`

func ovfOf(hrefs ...string) string {
	files := ""
	for i, h := range hrefs {
		files += fmt.Sprintf(`<File ovf:href="%s" ovf:id="f%d"/>`, h, i+1)
	}
	return fmt.Sprintf(envelope, files)
}

// TestT25_RealOVA: packed by GNU tar, digests by coreutils, the disk by QEMU.
func TestT25_RealOVA(t *testing.T) {
	need(t, "qemu-img", "xz")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "disk.raw"), disk())
	write(t, filepath.Join(dir, "vm.ovf"), []byte(ovfOf("disk.vmdk")))
	write(t, filepath.Join(dir, "web.ovf"), []byte(ovfOf("https://example.org/disk.vmdk")))
	shell(t, dir, `qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw disk.vmdk
		qemu-img convert -O vmdk -o subformat=monolithicFlat disk.raw flat.vmdk
		qemu-img create -q -f qcow2 -u -b /etc/passwd -F raw passwd.qcow2 4M
		for h in 1 256 512; do
			for f in vm.ovf disk.vmdk; do echo "SHA$h($f)= $(sha${h}sum <$f | cut -d' ' -f1)"; done >vm.mf
			cp vm.mf vm$h.mf
		done
		sed 's/[0-9a-f]$/x/; y/x/0/; s/.$/0/' vm256.mf >bad; sed -i '2s/= ..../= 0000/' bad
		echo "SHA256(other.vmdk)= 00" >other; ln -s /etc/passwd link; ln vm.ovf hard; mkdir sub; cp disk.vmdk sub`)
	const vmdk = `ova; its member "disk.vmdk" is vmdk`
	for _, c := range []struct{ pack, want string }{
		{"tar --format=ustar -cf x.ova vm.ovf disk.vmdk", vmdk + "; it has no manifest (.mf)"},
		{"tar --format=gnu -cf x.ova vm.ovf disk.vmdk", vmdk + "; it has no manifest (.mf)"},
		{"tar --format=pax -cf x.ova ./vm.ovf ./disk.vmdk", vmdk + "; it has no manifest (.mf)"},
		{"cp vm1.mf vm.mf; tar --format=ustar -cf x.ova vm.ovf vm.mf disk.vmdk", vmdk},
		{"cp vm256.mf vm.mf; tar --format=ustar -cf x.ova vm.ovf disk.vmdk vm.mf", vmdk},
		{"cp vm512.mf vm.mf; tar --format=ustar -cf x.ova vm.ovf vm.mf disk.vmdk", vmdk},
		{"tar --format=ustar -cf x.ova disk.vmdk vm.ovf vm.mf", "ova; its descriptor is not the first member, as OVF wants it: some will not import it; " + strings.TrimPrefix(vmdk, "ova; ")},
		{"cp bad vm.mf; tar --format=ustar -cf x.ova vm.ovf vm.mf disk.vmdk", "is not what its manifest says"},
		{"cp other vm.mf; tar --format=ustar -cf x.ova vm.ovf vm.mf disk.vmdk", `its manifest speaks of "other.vmdk", which is not in it`},
		{"cp /etc/passwd vm.mf; tar --format=ustar -cf x.ova vm.ovf vm.mf disk.vmdk", "its manifest has a line that is none"},
		{"cat vm256.mf vm1.mf >vm.mf; tar --format=ustar -cf x.ova vm.ovf vm.mf disk.vmdk", `its manifest speaks of "vm.ovf" twice`},
		{"tar --format=ustar -cf x.ova vm.ovf", `its descriptor refers to "disk.vmdk", which is not in it`},
		{"tar --format=ustar -cf x.ova web.ovf disk.vmdk", `its descriptor refers to what is outside: "https://example.org/disk.vmdk"`},
		{"tar --format=ustar -cf x.ova disk.vmdk", "an archive without an OVF descriptor"},
		{"tar --format=ustar -cf x.ova vm.ovf web.ovf disk.vmdk", `a second descriptor or manifest, "web.ovf"`},
		{"tar --format=ustar -cf x.ova vm.ovf link disk.vmdk", `its member "link" is a symbolic link to "/etc/passwd"`},
		{"tar --format=ustar -cf x.ova vm.ovf hard disk.vmdk", `its member "hard" is a hard link to "vm.ovf"`},
		{"tar --format=ustar -cf x.ova vm.ovf sub disk.vmdk", `its member "sub/" is a directory`},
		{"tar --format=ustar -cf x.ova vm.ovf disk.vmdk sub/disk.vmdk", vmdk + `; its member "sub/disk.vmdk" is vmdk; it has no manifest (.mf)`},
		{"tar --format=ustar -Pcf x.ova vm.ovf disk.vmdk /etc/passwd", `its member "/etc/passwd" would be unpacked elsewhere`},
		{"cd sub; tar --format=ustar -Pcf ../x.ova ../vm.ovf", `its member "../vm.ovf" would be unpacked elsewhere`},
		{"tar --format=ustar -cf x.ova vm.ovf disk.vmdk disk.vmdk --hard-dereference", `two members are called "disk.vmdk"`},
		{"truncate -s 1M hole; tar --format=gnu -Scf x.ova vm.ovf disk.vmdk hole", `is a sparse file`},
		{"tar --format=pax -Scf x.ova vm.ovf disk.vmdk hole", `is a sparse file`},
		{"tar --format=ustar -cf x.ova vm.ovf disk.vmdk flat.vmdk", `its member "flat.vmdk": vmdk: it is a descriptor only: its data is in FLAT "flat-flat.vmdk"`},
		{"tar --format=ustar -cf x.ova vm.ovf disk.vmdk passwd.qcow2", `its member "passwd.qcow2": qcow2: it has a backing file, "/etc/passwd"`},
		{"xz -k passwd.qcow2; tar --format=ustar -cf x.ova vm.ovf disk.vmdk passwd.qcow2.xz", `its member "passwd.qcow2.xz": qcow2.xz: it has a backing file, "/etc/passwd"`},
		{"tar --format=ustar -cf y.tar disk.vmdk; tar --format=ustar -cf x.ova vm.ovf disk.vmdk y.tar", `an archive in an archive`},
		{"tar --format=ustar -cf y.tar vm.ovf disk.vmdk; gzip -c y.tar >x.ova", `refused: tar.gz: a compressed archive`},
		{"gzip -c disk.raw | xz -c >x.ova", `refused: gz.xz: compressed twice`},
		{"tar --format=ustar -cf y.tar vm.ovf disk.vmdk; head -c 100000 y.tar >x.ova", `it ends within its member "disk.vmdk"`},
		{"for i in $(seq 101); do echo x >m$i; done; tar --format=ustar -cf x.ova vm.ovf disk.vmdk m*", "more than 100 members"},
	} {
		shell(t, dir, "rm -f x.ova; "+c.pack)
		got := look(t, filepath.Join(dir, "x.ova"))
		exact := strings.HasPrefix(c.want, "ova")
		if exact && got != c.want || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.pack, got, c.want)
		}
	}
	f := filepath.Join(dir, "good.ova")
	shell(t, dir, "cp vm256.mf vm.mf; tar --format=ustar -cf good.ova vm.ovf disk.vmdk vm.mf")
	flipEveryKiB(t, f)
}

// flipEveryKiB: one bit anywhere in the disk is not what the manifest says.
func flipEveryKiB(t *testing.T, ova string) {
	b, err := os.ReadFile(ova)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("KDMV"))
	for _, off := range []int{at + 400, at + 70_000, at + 200_000} {
		b[off] ^= 1
		if got := look(t, write(t, "x.ova", b)); !strings.Contains(got, "is not what its manifest says") {
			t.Errorf("byte %d: %s", off, got)
		}
		b[off] ^= 1
	}
}

// pack is an OVA by hand.
func pack(members ...any) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		text := fmt.Sprint(members[i+1])
		w.WriteHeader(&tar.Header{Name: fmt.Sprint(members[i]), Mode: 0o600, Size: int64(len(text)), Format: tar.FormatUSTAR})
		w.Write([]byte(text))
	}
	w.Close()
	return b.Bytes()
}

func TestT25_Descriptors(t *testing.T) {
	for _, c := range []struct{ ovf, want string }{
		{ovfOf("d.img"), `ova; its member "d.img" is raw; it has no manifest (.mf)`},
		{ovfOf("file:///etc/passwd"), `outside: "file:///etc/passwd"`},
		{ovfOf("/etc/passwd"), `outside: "/etc/passwd"`},
		{ovfOf("../d.img"), `outside: "../d.img"`},
		{ovfOf(`..\d.img`), `outside: "..\\d.img"`},
		{ovfOf("d.img", "other.img"), `refers to "other.img", which is not in it`},
		{ovfOf(""), `outside: ""`},
		{strings.Replace(ovfOf("d.img"), `ovf:fileRef="f1"`, `ovf:fileRef="f7"`, 1), `a disk in a file "f7"`},
		{strings.Replace(ovfOf("d.img"), `ovf:href`, `ovf:chunkSize="5" ovf:href`, 1), `refers to "d.img.000000000"`},
		{"<Envelope><References>", "its descriptor is not XML"},
		{"<a/>", "its descriptor has no Envelope"},
		{`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Envelope>&e;</Envelope>`, "its descriptor is not XML"},
		{strings.Repeat("<a>", 200_000), "its descriptor is not XML"},
		{"", `its member "vm.ovf" has 0 bytes`},
		{strings.Repeat(" ", maxText+1), `its member "vm.ovf" has 4194305 bytes`},
		{"<Envelope>" + strings.Repeat(`<File href="d.img"/>`, 1001) + "</Envelope>", "more than 1000 files"},
	} {
		got := look(t, write(t, "x.ova", pack("vm.ovf", c.ovf, "d.img", "disk")))
		if !strings.Contains(strings.Replace(got, "; nothing known is at its beginning: no partition table, no file system", "", 1), c.want) {
			t.Errorf("%.200s: %s\nwant %s", c.ovf, got, c.want)
		}
	}
}

// TestT25_DoesNotUnpack: what would become much is looked at for a few MiB.
func TestT25_DoesNotUnpack(t *testing.T) {
	need(t, "xz", "zstd", "bzip2")
	dir := t.TempDir()
	for _, c := range []string{"gzip -1", "xz -0", "xz -0 --block-size=1MiB", "xz -0 --lzma2=preset=0,dict=1GiB", "zstd -q -3 --long=27", "bzip2 -1"} {
		shell(t, dir, "head -c 32M /dev/zero | "+c+" >bomb")
		got := look(t, filepath.Join(dir, "bomb"))
		if !strings.HasPrefix(got, "raw.") {
			t.Errorf("%s: %s", c, got)
		}
	}
	for _, c := range []struct{ make, want string }{
		{"for i in $(seq 70); do printf x | xz; done >bomb", "more than 64 blocks"},
		{"{ printf 'QFI' | xz; : | xz; head -c 400 /dev/zero; printf '\\373\\0\\0\\0\\7' | xz; } >bomb", "refused: qcow2.xz"},
		{"{ printf 'QFI' | gzip; printf '\\373\\0\\0\\0\\7' | gzip; } >bomb", "refused: qcow2.gz"},
		{"{ printf 'QFI' | zstd; printf '\\373\\0\\0\\0\\7' | zstd; } >bomb", "refused: qcow2.zst"},
		{"{ printf 'QFI' | bzip2; printf '\\373\\0\\0\\0\\7' | bzip2; } >bomb", "refused: qcow2.bz2"},
		{"{ printf x | xz; seq 20; } >bomb", "a stream that begins with"},
		{"printf x | xz --x86 --lzma2 >bomb", "a filter that is not known here"},
		{"head -c 70k /dev/zero | xz --block-size=1KiB >bomb", "more than 64 blocks"},
		{"head -c 1000 /dev/urandom | gzip | head -c 500 >bomb", "cannot be decompressed"},
		{": | gzip >bomb", "there is nothing in it"},
		{": | zstd >bomb", "there is nothing in it"},
		{"{ for i in $(seq 50); do : | gzip; done; } >bomb", "there is nothing in it"},
	} {
		shell(t, dir, c.make)
		if got := look(t, filepath.Join(dir, "bomb")); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.make, got, c.want)
		}
	}
}

// TestT25_NothingForLong: a magic number with a long nothing in its middle.
func TestT25_NothingForLong(t *testing.T) {
	member := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(s))
		w.Close()
		return b.Bytes()
	}
	nothing := member("")
	b := append(member("QFI"), bytes.Repeat(nothing, maxPacked/len(nothing)+1)...)
	b = append(b, member("\xfb"+u32(3)+u64(104)+u32(11))...)
	if got := look(t, write(t, "x.gz", b)); !strings.HasPrefix(got, "refused: gz: its beginning cannot be decompressed") {
		t.Error(got)
	}
}
