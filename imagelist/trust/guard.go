package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// guard follows paths by hand and refuses those that somebody else could
// exchange: a directory on the way, the one a link lives in as well as the one
// it points to, that everybody may write to and that is not sticky, or a file
// that everybody may write to.
//
// It protects against careless modes, not against a race with somebody who may
// write: there is none left once every directory has passed.
type guard struct {
	dirs  map[string]string // cleaned path -> real path, for directories that passed
	files map[string]place  // real path of a link or file -> what it leads to
}

// place is a regular file at the end of its links, as it was when it was looked at.
type place struct {
	path string // no component is a link
	info fs.FileInfo
}

// maxLinks bounds the symbolic links on the way to one file, as the kernel does.
const maxLinks = 40

var errLoop = errors.New("too many symbolic links")

func newGuard() *guard {
	return &guard{dirs: map[string]string{}, files: map[string]place{}}
}

// unsafeError says which path everybody may write to.
type unsafeError struct {
	path string
	mode fs.FileMode
}

func (e *unsafeError) Error() string {
	return fmt.Sprintf("%q may be written by everybody (mode %04o)", e.path, e.mode.Perm())
}

// dir resolves an absolute path of a directory.
func (g *guard) dir(path string) (string, error) { return g.dirVia(filepath.Clean(path), maxLinks) }

func (g *guard) dirVia(path string, links int) (string, error) {
	if real, ok := g.dirs[path]; ok {
		return real, nil
	}
	at, info, err := g.step(path, links)
	if err != nil {
		return "", err
	}
	real := at
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := follow(at)
		if err != nil {
			return "", err
		}
		if real, err = g.dirVia(target, links-1); err != nil {
			return "", err
		}
	case !info.IsDir():
		return "", fmt.Errorf("%q is not a directory", at)
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return "", &unsafeError{at, info.Mode()}
	}
	g.dirs[path] = real
	return real, nil
}

// file resolves an absolute path of a regular file.
func (g *guard) file(path string) (place, error) { return g.fileVia(filepath.Clean(path), maxLinks) }

func (g *guard) fileVia(path string, links int) (place, error) {
	if p, ok := g.files[path]; ok {
		return p, nil
	}
	at, info, err := g.step(path, links)
	if err != nil {
		return place{}, err
	}
	p := place{at, info}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := follow(at)
		if err != nil {
			return place{}, err
		}
		if p, err = g.fileVia(target, links-1); err != nil {
			return place{}, err
		}
	case !info.Mode().IsRegular():
		return place{}, fmt.Errorf("%q is not a regular file", at)
	case info.Mode().Perm()&0o002 != 0:
		return place{}, &unsafeError{at, info.Mode()}
	}
	g.files[path] = p
	return p, nil
}

// step resolves the parent of path and looks at its last component.
func (g *guard) step(path string, links int) (string, fs.FileInfo, error) {
	if links < 0 {
		return "", nil, fmt.Errorf("%q: %w", path, errLoop)
	}
	at := path
	if parent := filepath.Dir(path); parent != path {
		real, err := g.dirVia(parent, links)
		if err != nil {
			return "", nil, err
		}
		at = filepath.Join(real, filepath.Base(path))
	}
	info, err := os.Lstat(at)
	return at, info, err
}

func follow(link string) (string, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	return filepath.Clean(target), nil
}

// read takes a file in whole; one over the limit is an error.
func (p place) read(limit int64) ([]byte, error) {
	if p.info.Size() > limit {
		return nil, fmt.Errorf("%d bytes, more than %d", p.info.Size(), limit)
	}
	f, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, 0, p.info.Size()+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, err
		case int64(len(data)) > limit:
			return nil, fmt.Errorf("more than %d bytes", limit)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}
