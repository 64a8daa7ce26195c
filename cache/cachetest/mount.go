package cachetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// SmallFS mounts a file system in memory with these mount options ("size=1m",
// say) and returns where.
func SmallFS(t testing.TB, options string) string {
	t.Helper()
	dir := t.TempDir()
	mount(t, dir, "-t", "tmpfs", "-o", "mode=0755,"+options, "tmpfs")
	return dir
}

// MountAt mounts a small file system in memory on a directory.
func MountAt(t testing.TB, dir string) {
	t.Helper()
	mount(t, dir, "-t", "tmpfs", "-o", "mode=0755,size=64k", "tmpfs")
}

// ReflinkFS mounts an XFS in a file and returns where.
func ReflinkFS(t testing.TB) string {
	t.Helper()
	Need(t, "mkfs.xfs")
	image := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 320<<20))
	if out, err := exec.Command("mkfs.xfs", "-q", "-m", "reflink=1", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.xfs: %v: %s", err, out)
	}
	dir := t.TempDir()
	mount(t, dir, "-o", "loop", image)
	return dir
}

// Remount changes the options of what is mounted at dir ("ro", "size=2m").
func Remount(t testing.TB, dir, options string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,"+options, dir).CombinedOutput(); err != nil {
		t.Fatalf("remount: %v: %s", err, out)
	}
}

func mount(t testing.TB, dir string, args ...string) {
	t.Helper()
	NeedRoot(t)
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
}

// NeedRoot skips a test that only root can do; continuous integration is root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		absent(t, "needs root")
	}
}

// Need skips a test whose program is not installed; continuous integration has
// them all.
func Need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		absent(t, "needs "+program)
	}
}

func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
