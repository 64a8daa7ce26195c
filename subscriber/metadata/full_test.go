package metadata

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// smallDisk mounts a file system on which a store may be opened, barely.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=80m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fillDisk takes all space; the function it returns gives it back.
func fillDisk(t *testing.T, disk string) (free func()) {
	t.Helper()
	name := filepath.Join(disk, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestF03_FullDisk(t *testing.T) {
	disk := smallDisk(t)
	db := reopen(t, filepath.Join(disk, "metadata"))
	fillStore(t, db, 100, 10)
	free := fillDisk(t, disk)
	for range 3 {
		err := db.Update(func(tx *Tx) { tx.PutOwner("image", "list") })
		if !errors.Is(err, ErrNoSpace) {
			t.Fatalf("update on a full disk: %v", err)
		}
	}
	if s := loaded(t, db); len(s.Images) != 100 || len(s.Owners) != 0 {
		t.Errorf("%d images, %d owners", len(s.Images), len(s.Owners))
	}
	free()
	update(t, db, func(tx *Tx) { tx.PutOwner("image", "list") })
	closed(t, db)

	free = fillDisk(t, disk)
	if _, err := Open(db.dir); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("open on a full disk: %v", err)
	}
	free()
	if s := loaded(t, reopen(t, db.dir)); len(s.Images) != 100 || s.Owners["image"] != "list" {
		t.Errorf("%d images, owners %v", len(s.Images), s.Owners)
	}
}

// fullChild closes a store when told that the disk is full.
func fullChild(dir string) error {
	db, err := Open(dir)
	if err != nil {
		return err
	}
	if err := db.Update(func(tx *Tx) { tx.PutOwner("image", "list") }); err != nil {
		return err
	}
	fmt.Println("written")
	if _, err := fmt.Scanln(); err != nil {
		return err
	}
	if err := db.Close(); !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("close on a full disk: %v", err)
	}
	fmt.Println("left")
	return nil
}

func TestF03_FullDiskAtClose(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "metadata")
	c := start(t, "full", dir)
	c.line(t)
	free := fillDisk(t, disk)
	fmt.Fprintln(c.stdin)
	c.line(t)
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	free()
	if s := loaded(t, reopen(t, dir)); s.Owners["image"] != "list" {
		t.Errorf("owners %v", s.Owners)
	}
}
