package destination

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// local is a file of this machine. It promises: readers find the old list or
// the new one, whole; the new one survives a power failure once Replace
// returned; one of two publishers on this machine gets the Conflict. Through a
// network file system the exclusion is what that makes of flock.
type local struct {
	path, name string
	o          Options
	dir        localDir
}

func openLocal(path string, o Options) (Destination, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path) // what is kept of it is used in other directories too
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	l := &local{path: path, name: filepath.Base(path), o: o}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		err = noDirectory(err)
	}
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}
	l.dir = localDir{dir, o.note}
	return l, nil
}

func (o Options) note(text string) {
	if o.Note != nil {
		o.Note(text)
	}
}

func (l *local) String() string { return l.path }
func (l *local) Close() error   { return l.dir.root.Close() }

func (l *local) Read(context.Context) (*Live, error) {
	live, _, err := readList(l.dir, l.name)
	if err != nil {
		return nil, fmt.Errorf("%s: read: %w", l, advise(err))
	}
	return live, nil
}

func (l *local) Replace(ctx context.Context, content []byte, old *Live) error {
	err := replaceList(ctx, l.dir, l.path, l.name, content, old)
	if err == nil {
		err = served(ctx, l, content)
	}
	if err != nil {
		return failed(ctx, l, content, old, advise(err))
	}
	return nil
}

// Upload hashes the file, lets the kernel copy it, and hashes the copy.
func (l *local) Upload(ctx context.Context, name, path string, sum [sha512.Size]byte, progress Progress) (Uploaded, error) {
	done, err := uploadInto(ctx, l.dir, l.name, name, path, sum, true, l.o, progress)
	return done, wrap(l.path+": upload", advise(err))
}

// localDir is a directory of this machine; os.Root keeps every name inside.
type localDir struct {
	root *os.Root
	note func(string)
}

func (d localDir) lstat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }
func (d localDir) rename(from, to string) error           { return d.root.Rename(from, to) }
func (d localDir) remove(name string) error               { return d.root.Remove(name) }

func (d localDir) open(name string, flag int) (file, error) {
	f, err := d.root.OpenFile(name, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return f, nil
}

// renameNew links, which fails on a name that is taken, and falls back to a
// look before the rename on file systems without links.
func (d localDir) renameNew(from, to string) error {
	err := d.root.Link(from, to)
	if err == nil {
		return d.root.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := d.root.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q: %w", to, fs.ErrExist)
	}
	return d.root.Rename(from, to)
}

func (d localDir) names() ([]string, error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (d localDir) sync() error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// lock locks the directory itself, so that nothing is left behind; a killed
// holder's lock goes with it.
func (d localDir) lock(ctx context.Context, _ string) (func(), error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
		case errors.Is(err, unix.EWOULDBLOCK):
			select {
			case <-ctx.Done():
				dir.Close()
				return nil, fmt.Errorf("another publisher holds the directory: %w", context.Cause(ctx))
			case <-time.After(20 * time.Millisecond):
				continue
			}
		case errors.Is(err, unix.EINTR):
			continue
		default: // NFS wants a lock opened for writing, which a directory is not
			d.note(fmt.Sprintf("the directory cannot be locked (%v): two publishers at the same instant could miss each other", err))
		}
		return func() { dir.Close() }, nil
	}
}
