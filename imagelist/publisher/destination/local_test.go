package destination

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLocal(t *testing.T) {
	dir := t.TempDir()
	suite(t, filepath.Join(dir, "image.list"), dir, Options{})
	t.Run("Racing", func(t *testing.T) { racing(t, filepath.Join(t.TempDir(), "l"), Options{}) })
}

func TestLocal_Killed(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "image.list")
	killed(t, list, list, "")
	d := open(t, list, Options{})
	mustReplace(t, d, "after", mustRead(t, d))
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

func TestLocal_KeepsMode(t *testing.T) {
	list := filepath.Join(t.TempDir(), "l")
	d := open(t, list, Options{})
	for _, mode := range []os.FileMode{0o644, 0o640, 0o664} {
		if mode != 0o644 {
			if err := os.Chmod(list, mode); err != nil {
				t.Fatal(err)
			}
		}
		mustReplace(t, d, mode.String(), mustRead(t, d))
		if fi, err := os.Stat(list); err != nil || fi.Mode() != mode {
			t.Errorf("mode %v, want %v (%v)", fi.Mode(), mode, err)
		}
	}
}

// What is there and no list is not replaced, and the error says what to do.
func TestLocal_Refused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "target"), "x")
	if err := os.Symlink("target", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(write(t, filepath.Join(dir, "huge"), ""), MaxList+1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"link": "symbolic link", "sub": "directory", "huge": "larger than"} {
		d := open(t, filepath.Join(dir, name), Options{})
		var h interface{ Hint() string }
		if _, err := d.Read(context.Background()); err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &h) {
			t.Errorf("%s: read: %v", name, err)
		}
		var failed *ReplaceError
		if err := d.Replace(context.Background(), []byte("new"), nil); !errors.As(err, &failed) || !strings.HasPrefix(failed.Live, "unknown") {
			t.Errorf("%s: replace: %v", name, err)
		}
	}
	_, err := Open(context.Background(), filepath.Join(dir, "none", "l"), Options{})
	var h interface{ Hint() string }
	if !errors.As(err, &h) || !strings.Contains(h.Hint(), "create the directory") {
		t.Errorf("no directory: %v", err)
	}
	if got := names(t, dir); len(got) != 4 {
		t.Errorf("made something: %q", got)
	}
}

// A transfer that was cut goes on at a block boundary, if the partial is the image's.
func TestLocal_Resume(t *testing.T) {
	resume(t, filepath.Join(t.TempDir(), "l"), Options{})
}

func TestUpload_Source(t *testing.T) {
	dir := t.TempDir()
	d := open(t, filepath.Join(dir, "l"), Options{})
	empty := write(t, filepath.Join(dir, "empty"), "")
	for _, file := range []string{empty, dir, filepath.Join(dir, "none")} {
		if _, err := d.Upload(context.Background(), "i", file, sumOf(t, file), nil); err == nil {
			t.Errorf("%s: uploaded", file)
		}
	}
	file := image(t, 2*block)
	_, err := d.Upload(context.Background(), "i", file, sumOf(t, file), func(done, _ int64) {
		if done == block {
			os.WriteFile(file, make([]byte, 2*block), 0o600)
		}
	})
	if err == nil || isFile(filepath.Join(dir, "i")) {
		t.Errorf("a file that changed was uploaded: %v", err)
	}
}

// F-03: a full disk fails the publication; the old list stays, nothing else does.
func TestF03_LocalFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting takes root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("tmpfs: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	d := open(t, filepath.Join(dir, "l"), Options{})
	t.Cleanup(func() { d.Close() })
	live := mustReplace(t, d, "old", nil)
	var failed *ReplaceError
	var h interface{ Hint() string }
	err := d.Replace(context.Background(), make([]byte, 2<<20), live)
	if !errors.As(err, &failed) || !strings.HasPrefix(failed.Live, "the old list") || !errors.As(err, &h) || !strings.Contains(h.Hint(), "make room") {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
	d.Close()
}
