package cache

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks bounds the symbolic links on the way to the cache directory, as
// the kernel does.
const maxLinks = 40

// safePath walks from / to dir as the kernel would, through every symbolic
// link, and refuses a directory that somebody else could replace something in
// (T-26). A missing rest of the path is not an error.
func safePath(dir string) error {
	cur, rest := "/", split(dir)
	for links := 0; ; {
		if err := safeDir(cur, len(rest) == 0); err != nil {
			return err
		}
		if len(rest) == 0 {
			return nil
		}
		next := filepath.Join(cur, rest[0])
		rest = rest[1:]
		fi, err := os.Lstat(next)
		switch {
		case os.IsNotExist(err):
			return nil
		case err != nil:
			return err
		case fi.Mode()&fs.ModeSymlink == 0:
			cur = next
			continue
		}
		if links++; links > maxLinks {
			return &fs.PathError{Op: "open", Path: dir, Err: syscall.ELOOP}
		}
		if cur, rest, err = follow(cur, next, fi, rest); err != nil {
			return err
		}
	}
}

// follow resolves the symbolic link next, which stands in cur.
func follow(cur, next string, fi fs.FileInfo, rest []string) (string, []string, error) {
	if err := ownedByUs(next, fi); err != nil {
		return "", nil, err
	}
	target, err := os.Readlink(next)
	if err != nil {
		return "", nil, err
	}
	if filepath.IsAbs(target) {
		cur = "/"
	}
	return cur, append(split(target), rest...), nil
}

// split returns the components of a path, ".." included: what they mean is
// decided only after the symbolic links before them.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// safeDir refuses a directory owned by a stranger or writable by others. The
// sticky bit is an excuse on the way (/tmp), not for the cache itself: there,
// others could plant our names.
func safeDir(path string, last bool) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	if err := ownedByUs(path, fi); err != nil {
		return err
	}
	sticky := fi.Mode()&fs.ModeSticky != 0 && !last
	if fi.Mode().Perm()&0o022 != 0 && !sticky {
		return fmt.Errorf("%q is writable by others (%v), try chmod go-w: %w", path, fi.Mode(), ErrUnsafe)
	}
	return nil
}

// ownedByUs accepts what belongs to root or to the user we are.
func ownedByUs(path string, fi fs.FileInfo) error {
	uid := int(fi.Sys().(*syscall.Stat_t).Uid)
	if uid == 0 || uid == os.Geteuid() {
		return nil
	}
	return fmt.Errorf("%q belongs to uid %d, we are %d: %w", path, uid, os.Geteuid(), ErrUnsafe)
}
