package cache

import (
	"errors"
	"io/fs"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// Usage is what a cache holds. An inode with several names of ours counts
// once, in the first field that has it: Endorsed has bytes of its own only where names
// are reflinks or copies, Expired only for what no blob has any more.
type Usage struct {
	Blobs    Tally `json:"blobs"`
	Endorsed Tally `json:"endorsed"`
	Expired  Tally `json:"expired"`
	Partial  Tally `json:"partial"` // with what is reserved for downloads, staged and in quarantine
	Foreign  Tally `json:"foreign"` // not ours; one per name that Foreign returns
}

// Tally is a number of names and the bytes of the inodes first seen under them.
type Tally struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Bytes is what cache.max_size limits: everything but what is foreign.
func (u Usage) Bytes() int64 {
	return u.Blobs.Bytes + u.Endorsed.Bytes + u.Expired.Bytes + u.Partial.Bytes
}

// Usage counts the cache. index.json, .vouch and lists/ are not in it.
func (s *Store) Usage() (Usage, error) {
	var u Usage
	ours, theirs := map[uint64]bool{}, map[uint64]bool{}
	tallies := map[kind]*Tally{
		blob: &u.Blobs, endorsed: &u.Endorsed, expired: &u.Expired, partial: &u.Partial, foreign: &u.Foreign,
	}
	err := s.walk(func(path string, k kind, status func() (fs.FileInfo, error)) error {
		t := tallies[k]
		if t == nil {
			return nil
		}
		fi, err := status()
		if err != nil {
			return ignoreGone(err)
		}
		t.Count++
		seen := ours
		if k == foreign {
			seen = theirs
		}
		return s.tree(path, fi, func(fi fs.FileInfo) { t.Bytes += bytesOf(fi, k, seen) })
	})
	return u, wrap("usage", err)
}

// bytesOf is the size of an inode not seen before. A download has its space
// reserved beyond its end.
func bytesOf(fi fs.FileInfo, k kind, seen map[uint64]bool) int64 {
	st := fi.Sys().(*syscall.Stat_t)
	if fi.IsDir() || seen[st.Ino] {
		return 0
	}
	seen[st.Ino] = true
	if k == partial {
		return max(st.Size, st.Blocks*512)
	}
	return st.Size
}

// tree visits path and, in a foreign directory, all below it.
func (s *Store) tree(path string, fi fs.FileInfo, visit func(fs.FileInfo)) error {
	if !fi.IsDir() {
		visit(fi)
		return nil
	}
	return fs.WalkDir(s.root.FS(), path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		fi, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		visit(fi)
		return nil
	})
}

// ignoreGone is for looking at a cache that is in use, and at directories of
// others that we may not read.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// Foreign lists what is in the cache but not ours (an old handler's templates/,
// say), as paths relative to the cache directory. A foreign directory is one
// path. Nothing of it is ever followed or deleted.
func (s *Store) Foreign() ([]string, error) {
	var paths []string
	err := s.walk(func(path string, k kind, _ func() (fs.FileInfo, error)) error {
		if k == foreign {
			paths = append(paths, path)
		}
		return nil
	})
	return paths, wrap("foreign", err)
}

// walk visits everything in the cache but our own directories, blobs before
// the other names of their inodes. It enters no foreign directory. Status is
// asked of the kernel only when visit wants it.
func (s *Store) walk(visit func(path string, k kind, status func() (fs.FileInfo, error)) error) error {
	return s.walkDir(".", visit)
}

func (s *Store) walkDir(dir string, visit func(path string, k kind, status func() (fs.FileInfo, error)) error) error {
	entries, err := s.list(dir)
	if err != nil {
		return err
	}
	here, err := s.root.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer here.Close()
	for _, e := range entries {
		at := path.Join(dir, e.name)
		k := classify(at, e.typ)
		if k == layout {
			err = s.walkDir(at, visit)
		} else {
			err = visit(at, k, func() (fs.FileInfo, error) { return here.Lstat(e.name) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Free returns the bytes of the cache's file system that our user can still
// take, and all it has.
func (s *Store) Free() (free, total uint64, err error) {
	var st unix.Statfs_t
	d, err := s.root.Open(".")
	if err != nil {
		return 0, 0, wrap("free", err)
	}
	defer d.Close()
	if err := control(d, func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, 0, wrap("free", err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}
