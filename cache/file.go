package cache

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// wrap says which subject an error is about, and adds ErrNoSpace where the
// kernel said so. nil stays nil.
func wrap(subject string, err error) error {
	switch {
	case err == nil:
		return nil
	case isNoSpace(err) && !errors.Is(err, ErrNoSpace):
		return fmt.Errorf("cache: %s: %w: %w", subject, ErrNoSpace, err)
	}
	return fmt.Errorf("cache: %s: %w", subject, err)
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EFBIG) // a signed size that no file here can have
}

// claim reserves a path under partial/ for one user in this process.
func (s *Store) claim(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[path] {
		return false
	}
	s.live[path] = true
	return true
}

func (s *Store) release(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, path)
}

func (s *Store) isLive(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[path]
}

// tempName claims a name nobody can foresee; drop gives it back.
func (s *Store) tempName() string {
	path := partialDir + "/" + tempPrefix + rand.Text()
	s.claim(path)
	return path
}

// temp creates a file that only we can open. The caller closes it and hands
// its path to drop.
func (s *Store) temp() (*os.File, string, error) {
	path := s.tempName()
	f, err := s.root.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		s.release(path)
		return nil, "", err
	}
	return f, path, nil
}

// drop removes a temporary file, if it has not been renamed meanwhile.
func (s *Store) drop(path string) {
	s.root.Remove(path)
	s.release(path)
}

// remove removes a name, never a directory; one that is gone already is fine.
func (s *Store) remove(path string) error {
	if fi, err := s.root.Lstat(path); err == nil && fi.IsDir() {
		return fmt.Errorf("a directory: %w", ErrUnsafe)
	}
	if err := s.root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the names in a directory durable.
func (s *Store) syncDir(path string) error {
	d, err := s.root.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// regular describes the file at path and refuses anything else with that name
// (ErrUnsafe). It follows no symbolic link.
func (s *Store) regular(path string) (fs.FileInfo, error) {
	fi, err := s.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file (%v): %w", fi.Mode(), ErrUnsafe)
	}
	return fi, nil
}

// replaceable refuses to put a file where something stands that is not one.
func (s *Store) replaceable(path string) error {
	if _, err := s.regular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q: %w", path, err)
	}
	return nil
}

// open opens the regular file at path. os.Root alone would follow a symbolic
// link that stays inside the cache, so what was opened must be what was seen.
func (s *Store) open(path string, flag int) (*os.File, error) {
	seen, err := s.regular(path)
	if err != nil {
		return nil, err
	}
	f, err := s.root.OpenFile(path, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !os.SameFile(seen, fi) {
		err = fmt.Errorf("replaced while it was opened: %w", ErrUnsafe)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// chmod sets the mode of the regular file at path, if it has another.
func (s *Store) chmod(path string, mode fs.FileMode) error {
	fi, err := s.regular(path)
	if err != nil || fi.Mode().Perm() == mode {
		return err
	}
	f, err := s.open(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(mode), f.Close())
}

// read returns the content of a regular file.
func (s *Store) read(path string) ([]byte, error) {
	f, err := s.open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// replace puts a new file at path atomically and durably: whoever reads, also
// after power loss, has the old content or the new, whole.
func (s *Store) replace(path string, write func(*os.File) error) error {
	if err := s.replaceable(path); err != nil {
		return err
	}
	f, tmp, err := s.temp()
	if err != nil {
		return err
	}
	defer s.drop(tmp)
	if err := errors.Join(fill(f, write), f.Close()); err != nil {
		return err
	}
	if err := s.root.Rename(tmp, path); err != nil {
		return err
	}
	return s.syncDir(filepath.Dir(path))
}

// fill writes and syncs a new file.
func fill(f *os.File, write func(*os.File) error) error {
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}

// readable lets others read what write produces.
func (s *Store) readable(write func(io.Writer) error) func(*os.File) error {
	return func(f *os.File) error {
		w := bufio.NewWriterSize(f, 64<<10)
		if err := write(w); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		return s.dress(f, s.opt.FileMode)
	}
}

// entry is a name in a directory, and the type of what has it.
type entry struct {
	name string
	typ  fs.FileMode
}

// list returns what stands in a directory, sorted by name.
//
// A file that an os.Root opened asks for the status of everything it lists: in
// a large cache those are most of a run's system calls, for nothing. So a
// duplicate is read, which knows no Root.
func (s *Store) list(dir string) ([]entry, error) {
	d, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	dup := -1
	if err := control(d, func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	}); err != nil {
		return nil, err
	}
	// The name serves only file systems that do not tell types.
	plain := os.NewFile(uintptr(dup), filepath.Join(s.root.Name(), dir))
	defer plain.Close()
	found, err := plain.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, len(found))
	for i, e := range found {
		entries[i] = entry{e.Name(), e.Type()}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries, nil
}

// names returns the base names in a directory that are of a kind.
func (s *Store) names(dir string, k kind) ([]string, error) {
	entries, err := s.list(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if classify(dir+"/"+e.name, e.typ) == k {
			names = append(names, e.name)
		}
	}
	return names, nil
}
