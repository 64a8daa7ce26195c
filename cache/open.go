package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Store is one cache directory. Its methods may be called from several
// goroutines.
type Store struct {
	dir  string
	root *os.Root
	opt  Options

	mu   sync.Mutex
	live map[string]bool // paths under partial/ that this process is working on

	naming sync.Mutex // held from choosing a free name in expired/ to taking it
}

// Open opens the cache at dir and creates its layout where it is missing. It
// tries create, fsync, link or reflink (whichever Options.Publish needs) and
// rename there first.
//
// It returns ErrUnsafe when dir or a directory above it could be changed by
// somebody else (T-26) or something that is not ours stands under a name of
// ours; ErrUnusable, with what failed and what to do, when the file system
// cannot hold a cache. A full file system is no reason to refuse: withdrawing
// and pruning must go on there.
func Open(dir string, o Options) (*Store, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	if err := prepare(dir); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	s := &Store{dir: dir, root: root, opt: o, live: map[string]bool{}}
	if err = s.layout(); err == nil {
		err = s.probe()
	}
	if err != nil {
		root.Close()
		return nil, wrap(dir, err)
	}
	return s, nil
}

// Close lets the directory go. Partials must be closed before.
func (s *Store) Close() error { return s.root.Close() }

// Dir is the absolute path of the cache directory.
func (s *Store) Dir() string { return s.dir }

func (o Options) complete() (Options, error) {
	if o.Publish == "" {
		o.Publish = Hardlink
	}
	if o.FileMode == 0 {
		o.FileMode = 0o444
	}
	switch o.Publish {
	case Hardlink, Reflink, Copy:
	default:
		return o, fmt.Errorf("publish mode %q is unknown", o.Publish)
	}
	if o.FileMode != 0o444 && o.FileMode != 0o440 {
		return o, fmt.Errorf("file mode %#o is neither 0444 nor 0440", o.FileMode)
	}
	return o, nil
}

// prepare creates dir where it is missing, only beneath safe directories.
func prepare(dir string) error {
	if err := safePath(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return safePath(dir)
}

// dirMode is the mode of every directory but partial/.
func (s *Store) dirMode() fs.FileMode {
	if s.opt.GID >= 0 && s.opt.FileMode == 0o440 {
		return 0o750
	}
	return 0o755
}

// layout creates our directories and refuses whatever else has their names.
func (s *Store) layout() error {
	for _, dir := range []string{endorsedDir, blobsDir, sha512Dir, listsDir, expiredDir} {
		if err := s.makeDir(dir, s.dirMode()); err != nil {
			return err
		}
	}
	if err := s.makeDir(partialDir, 0o700); err != nil {
		return err
	}
	for _, file := range []string{indexFile, ownerFile} {
		if err := s.replaceable(file); err != nil {
			return err
		}
	}
	return s.oneFileSystem()
}

// makeDir creates a directory of ours with exactly this mode, or gives an
// existing one that mode.
func (s *Store) makeDir(path string, mode fs.FileMode) error {
	err := s.root.Mkdir(path, 0o700)
	created := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fi, err := s.root.Lstat(path)
	if err != nil {
		return err
	}
	if err := ourDir(path, fi); err != nil {
		return err
	}
	if err := s.setDir(path, fi, mode); err != nil || !created {
		return err
	}
	return s.syncDir(filepath.Dir(path))
}

// ourDir accepts a directory that only we can write to.
func ourDir(path string, fi fs.FileInfo) error {
	if !fi.IsDir() {
		return fmt.Errorf("%q is not a directory of ours (%v): %w", path, fi.Mode(), ErrUnsafe)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%q is writable by others (%v): %w", path, fi.Mode(), ErrUnsafe)
	}
	return ownedByUs(path, fi)
}

// setDir gives a directory its mode and group, if it has others.
func (s *Store) setDir(path string, fi fs.FileInfo, mode fs.FileMode) error {
	gid := int(fi.Sys().(*syscall.Stat_t).Gid)
	if fi.Mode().Perm() == mode && (s.opt.GID < 0 || s.opt.GID == gid || mode == 0o700) {
		return nil
	}
	d, err := s.root.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if mode == 0o700 {
		return d.Chmod(mode)
	}
	return s.dress(d, mode)
}

// dress gives a file or directory that others may read its group and mode.
func (s *Store) dress(f *os.File, mode fs.FileMode) error {
	if s.opt.GID >= 0 {
		if err := f.Chown(-1, s.opt.GID); err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

// oneFileSystem refuses directories mounted apart: nothing can be renamed
// between them.
func (s *Store) oneFileSystem() error {
	var dev uint64
	for i, dir := range []string{".", partialDir, endorsedDir, sha512Dir, listsDir, expiredDir} {
		fi, err := s.root.Lstat(dir)
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		if i > 0 && st.Dev != dev {
			return fmt.Errorf("%w: %s is a file system of its own; the cache must be one", ErrUnusable, dir)
		}
		dev = st.Dev
	}
	return nil
}
