package diskimage

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func measure(ctx context.Context, path string, progress func(done, total int64)) (*Facts, error) {
	f, before, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found, err := inspect(&content{ReaderAt: patient{ctx, f}, size: before.Size(), whole: true})
	if err != nil {
		return nil, err
	}
	sum := sha512.New()
	sinks := []io.Writer{sum}
	if found.members != nil {
		sinks = append(sinks, found.members)
	}
	if err := feed(ctx, f, before.Size(), sinks, progress); err != nil {
		return nil, err
	}
	if err := unchanged(f, path, before); err != nil {
		return nil, err
	}
	if found.members != nil {
		if err := found.members.verify(); err != nil {
			return nil, err
		}
	}
	facts := found.Facts
	facts.Size = before.Size()
	sum.Sum(facts.SHA512[:0])
	return &facts, nil
}

// open opens what is a file with something in it. Opening a device can do
// things to it, and opening a FIFO waits: so it looks before, does not wait,
// and looks at what it got.
func open(path string) (*os.File, os.FileInfo, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, nil, cause(err)
	}
	if err := regular(fi); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, cause(err)
	}
	if fi, err = f.Stat(); err == nil {
		err = regular(fi)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

// cause is err without the path, which Measure names once.
func cause(err error) error {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err
	}
	return err
}

func regular(fi os.FileInfo) error {
	if !fi.Mode().IsRegular() {
		return &unfit{fmt.Errorf("%w but %s", ErrNotRegular, kind(fi.Mode())), "name the image file itself; a disk can be copied into one with dd or qemu-img convert"}
	}
	if fi.Size() == 0 {
		return &unfit{ErrEmpty, "was the image written at all? is the disk full?"}
	}
	return nil
}

func kind(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&os.ModeNamedPipe != 0:
		return "a FIFO"
	case m&os.ModeDevice != 0:
		return "a device"
	case m&os.ModeSocket != 0:
		return "a socket"
	}
	return "something else"
}

// unchanged compares the open file, and what path names now, with what was
// opened.
func unchanged(f *os.File, path string, before os.FileInfo) error {
	after, err := f.Stat()
	if err != nil {
		return cause(err)
	}
	named, err := os.Stat(path)
	if err != nil || !os.SameFile(before, named) {
		return changed("another file has its name now")
	}
	if after.Size() != before.Size() {
		return changed(fmt.Sprintf("from %d to %d bytes", before.Size(), after.Size()))
	}
	if !after.ModTime().Equal(before.ModTime()) || ctime(after) != ctime(before) {
		return changed("its times differ")
	}
	return nil
}

// ctime moves even when somebody sets the modification time back.
func ctime(fi os.FileInfo) syscall.Timespec { return fi.Sys().(*syscall.Stat_t).Ctim }

func changed(how string) error {
	return &unfit{fmt.Errorf("%w: %s", ErrChanged, how), "wait until whoever writes it is done, then try again"}
}
