package diskimage

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMeasure(t *testing.T) {
	b := bytes.Repeat([]byte("0123456789abcde\n"), 3<<16) // 3 MiB, in seven buffers
	b = append(b, "and a bit"...)
	path := write(t, "disk.raw", b)
	var calls, last int64
	f, err := Measure(context.Background(), path, func(done, total int64) {
		if done <= last || total != int64(len(b)) {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		calls, last = calls+1, done
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.Size != int64(len(b)) || f.SHA512 != sha512.Sum512(b) || f.Format != "raw" || f.VirtualSize != f.Size {
		t.Errorf("%+v", f)
	}
	if calls != 7 || last != f.Size {
		t.Errorf("progress %d times, the last with %d", calls, last)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if g, err := Measure(context.Background(), link, nil); err != nil || g.SHA512 != f.SHA512 {
		t.Errorf("through a link: %v", err)
	}
}

// TestMeasure_NotAFile: none of these blocks, and each says what it is.
func TestMeasure_NotAFile(t *testing.T) {
	dir := t.TempDir()
	fifo, empty := filepath.Join(dir, "fifo"), write(t, filepath.Join(dir, "empty"), nil)
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling, loop := filepath.Join(dir, "dangling"), filepath.Join(dir, "loop")
	os.Symlink("nowhere", dangling)
	os.Symlink("loop", loop)
	for _, c := range []struct {
		path string
		want error
		text string
	}{
		{dir, ErrNotRegular, "a directory"},
		{fifo, ErrNotRegular, "a FIFO"},
		{"/dev/null", ErrNotRegular, "a device"},
		{empty, ErrEmpty, "empty"},
		{filepath.Join(dir, "missing"), fs.ErrNotExist, "missing"},
		{dangling, fs.ErrNotExist, "dangling"},
		{loop, syscall.ELOOP, "loop"},
		{filepath.Join(empty, "x"), syscall.ENOTDIR, "empty"},
	} {
		f, err := Measure(context.Background(), c.path, nil)
		if f != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v", c.path, err, c.want)
		}
		if strings.Count(err.Error(), c.path) != 1 {
			t.Errorf("%v: it names the path more than once, or not", err)
		}
		h, ok := errors.AsType[interface {
			error
			Hint() string
		}](err)
		if own := errors.Is(err, ErrNotRegular) || errors.Is(err, ErrEmpty); own && (!ok || h.Hint() == "") {
			t.Errorf("%v: no hint", err)
		}
	}
}

// TestMeasure_Unreadable drops root's right to read anything, in one thread.
func TestMeasure_Unreadable(t *testing.T) {
	path := write(t, "secret", []byte("x"))
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	err := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			syscall.Syscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		}
		_, e := Measure(context.Background(), path, nil)
		err <- e
	}()
	if e := <-err; !errors.Is(e, fs.ErrPermission) {
		t.Error(e)
	}
}

// TestMeasure_Changed changes the file while it is read.
func TestMeasure_Changed(t *testing.T) {
	const size = 6 << 20 // more than the ring, so that the end is not yet read
	for _, c := range []struct {
		what   string
		change func(path string) error
		want   string
	}{
		{"appended", func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("more")
			return err
		}, "goes on after 6291456 bytes"},
		{"truncated", func(p string) error { return os.Truncate(p, 5<<20+1) }, "ends after 5242881 bytes of 6291456"},
		{"emptied", func(p string) error { return os.Truncate(p, 0) }, "ends after"},
		{"overwritten", func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("x"), 7)
			return err
		}, "its times differ"},
		{"overwritten, and the time set back", func(p string) error {
			fi, err := os.Stat(p)
			if err != nil {
				return err
			}
			if err := os.WriteFile(p, bytes.Repeat([]byte("y"), size), 0o600); err != nil {
				return err
			}
			return os.Chtimes(p, fi.ModTime(), fi.ModTime())
		}, "its times differ"},
		{"replaced", func(p string) error {
			if err := os.WriteFile(p+".new", make([]byte, size), 0o600); err != nil {
				return err
			}
			return os.Rename(p+".new", p)
		}, "another file has its name now"},
		{"removed", os.Remove, "another file has its name now"},
	} {
		path := write(t, "disk.raw", make([]byte, size))
		time.Sleep(20 * time.Millisecond) // the clock of a file system may be that coarse
		done := false
		_, err := Measure(context.Background(), path, func(int64, int64) {
			if done {
				return
			}
			done = true
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
		})
		if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestMeasure_Cancelled(t *testing.T) {
	path := write(t, "disk.raw", make([]byte, 6<<20))
	ctx, cancel := context.WithCancel(context.Background())
	var at int64
	_, err := Measure(ctx, path, func(done, _ int64) { at = done; cancel() })
	if !errors.Is(err, context.Canceled) || at != bufferSize {
		t.Errorf("%v after %d bytes", err, at)
	}
	if _, err := Measure(ctx, path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("begun anyway: %v", err)
	}
}

// TestMeasure_Memory: a gigabyte takes the memory of a ring.
func TestMeasure_Memory(t *testing.T) {
	path := write(t, "disk.raw", []byte("x"))
	if err := os.Truncate(path, 256<<20); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Measure(context.Background(), path, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 6<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

func TestAgrees(t *testing.T) {
	for _, c := range []struct {
		format, stated string
		want           bool
	}{
		{"qcow2", "QCOW2", true}, {"ova", " OVA ", true}, {"raw.gz", "RAW.GZ", true}, {"raw.gz", "raw.gzip", true},
		{"vhd", "vpc", true}, {"raw", "img", true}, {"iso", "raw", true}, {"iso.xz", "raw.xz", true}, {"iso", "iso", true},
		{"qcow2", "raw", false}, {"raw", "qcow2", false}, {"raw", "iso", false}, {"raw.gz", "raw", false}, {"raw", "raw.gz", false},
		{"qcow2", "qcow", false}, {"qcow2.gz", "qcow2.xz", false}, {"raw", "", false}, {"ova", "vmdk", false}, {"iso", "raw.gz", false},
	} {
		if got := (&Facts{Format: c.format}).Agrees(c.stated); got != c.want {
			t.Errorf("%s found, %q stated: %v", c.format, c.stated, got)
		}
	}
}

// BenchmarkMeasure is to be compared with sha512sum over the same file:
// MEASURE names one; without it, a file of 64 MiB.
func BenchmarkMeasure(b *testing.B) {
	path := os.Getenv("MEASURE")
	if path == "" {
		path = write(b, "disk.raw", bytes.Repeat(disk(), 16))
	}
	fi, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(fi.Size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Measure(context.Background(), path, nil); err != nil {
			b.Fatal(err)
		}
	}
}
