package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// AdoptMode is how Adopt takes a file.
type AdoptMode string

// The ways of `vouch cache adopt`.
const (
	AdoptLink    AdoptMode = "link"
	AdoptReflink AdoptMode = "reflink"
	AdoptCopy    AdoptMode = "copy"
)

// Adopt makes a file from outside the cache the blob d, if it has exactly
// these bytes. The source keeps its name and content; it is never reached
// through a symbolic link in its last component.
//
// AdoptLink shares the inode, and so gives the source the mode and group of
// Options: it is only for a regular file that our own user owns and nobody
// else links, and the error for any other says to use --reflink or --copy.
// A source that is the blob already is left as it is.
//
// It returns ErrSize, ErrCorrupt, ErrNoSpace, ErrBusy (AdoptCopy, during a
// download of d), ErrUnsafe for what is not a regular file, or the context's
// error.
func (s *Store) Adopt(ctx context.Context, path string, d Digest, size int64, how AdoptMode) (Stamp, error) {
	stamp, err := s.adopt(ctx, path, d, size, how)
	return stamp, wrap(fmt.Sprintf("adopt %q", path), err)
}

func (s *Store) adopt(ctx context.Context, path string, d Digest, size int64, how AdoptMode) (Stamp, error) {
	src, err := openSource(path)
	if err != nil {
		return Stamp{}, err
	}
	defer src.Close()
	if err := sized(src, size); err != nil {
		return Stamp{}, err
	}
	switch how {
	case AdoptLink:
		return s.adoptLink(ctx, src, path, d, size)
	case AdoptReflink:
		return s.adoptReflink(ctx, src, d, size)
	case AdoptCopy:
		return s.adoptCopy(ctx, src, d, size)
	}
	return Stamp{}, fmt.Errorf("mode %q is unknown", how)
}

// openSource opens a file outside the cache, without waiting for the other
// end of a pipe.
func openSource(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("a symbolic link: %w", ErrUnsafe)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("not a regular file (%v): %w", fi.Mode(), ErrUnsafe)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func sized(f *os.File, size int64) error {
	fi, err := f.Stat()
	if err == nil && fi.Size() != size {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrSize, fi.Size(), size)
	}
	return err
}

// adoptLink verifies the source first and changes its mode last, so that a
// file that is refused stays as it was.
func (s *Store) adoptLink(ctx context.Context, src *os.File, path string, d Digest, size int64) (Stamp, error) {
	before, err := FileStamp(src)
	if err != nil {
		return Stamp{}, err
	}
	have, err := s.stamp(BlobPath(d))
	same := err == nil && have == before
	if !same {
		if err := linkable(src); err != nil {
			return Stamp{}, err
		}
	}
	if err := verify(ctx, src, d, size, 0); err != nil || same {
		return have, err
	}
	if after, err := FileStamp(src); err != nil || after != before {
		return Stamp{}, errors.Join(err, errors.New("changed while it was read"))
	}
	tmp, err := s.linkIn(src, path)
	if err != nil {
		return Stamp{}, err
	}
	defer s.drop(tmp)
	if err := errors.Join(s.dress(src, s.opt.FileMode), src.Sync()); err != nil {
		return Stamp{}, err
	}
	return s.admit(tmp, d)
}

// linkable accepts a file that nobody but our user has a hold on.
func linkable(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	const hint = "use --reflink or --copy"
	switch {
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("belongs to uid %d, we are %d: %s", st.Uid, os.Geteuid(), hint)
	case st.Nlink != 1:
		return fmt.Errorf("has %d names: %s", st.Nlink, hint)
	}
	return nil
}

// linkIn links the source to a temporary name, which the caller hands to
// drop, and makes sure that it is the file that was opened.
func (s *Store) linkIn(src *os.File, path string) (tmp string, err error) {
	dir, err := s.root.Open(partialDir)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	tmp = s.tempName()
	err = control(dir, func(fd int) error {
		return unix.Linkat(unix.AT_FDCWD, path, fd, tmp[len(partialDir)+1:], 0)
	})
	if err != nil {
		s.release(tmp)
		return "", fmt.Errorf("link: %w: use --reflink or --copy", err)
	}
	if err := s.sameFile(src, tmp); err != nil {
		s.drop(tmp)
		return "", err
	}
	return tmp, nil
}

func (s *Store) sameFile(f *os.File, path string) error {
	a, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := s.root.Lstat(path)
	if err == nil && !os.SameFile(a, b) {
		err = fmt.Errorf("replaced while it was read: %w", ErrUnsafe)
	}
	return err
}

func (s *Store) adoptReflink(ctx context.Context, src *os.File, d Digest, size int64) (Stamp, error) {
	tmp, err := s.duplicate(ctx, src, d, Reflink)
	if err != nil {
		return Stamp{}, fmt.Errorf("%w: if there are no reflinks between these two, use --copy", err)
	}
	defer s.drop(tmp)
	return s.admit(tmp, d)
}

func (s *Store) adoptCopy(ctx context.Context, src *os.File, d Digest, size int64) (Stamp, error) {
	p, err := s.Begin(d, size)
	if err != nil {
		return Stamp{}, err
	}
	defer p.Discard()
	if err := p.Restart(""); err != nil {
		return Stamp{}, err
	}
	if _, err := p.ReadFrom(cancellable{ctx, src}); err != nil {
		return Stamp{}, err
	}
	return p.Commit(ctx)
}
