package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// copyAs fills the new file dst with the bytes of src, which must be those of
// d, and syncs it.
func copyAs(ctx context.Context, how Mode, dst, src *os.File, d Digest, size int64) error {
	if how == Copy {
		return copyVerified(dst, cancellable{ctx, src}, d, size)
	}
	if err := clone(dst, src); err != nil {
		return fmt.Errorf("reflink: %w", err)
	}
	if err := verify(ctx, dst, d, size, 0); err != nil {
		return err
	}
	return dst.Sync()
}

// cancellable is a reader that ends with its context.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// sameBytes tells whether the file at path has the bytes of d, as others may
// read them.
func (s *Store) sameBytes(path string, d Digest, size int64) (bool, error) {
	f, err := s.open(path, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer f.Close()
	stamp, err := FileStamp(f)
	if err != nil || !s.dressed(stamp) {
		return false, err
	}
	err = verify(context.Background(), f, d, size, 0)
	if errors.Is(err, ErrSize) || errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// dressed tells whether a file has the mode and group that dress gives.
func (s *Store) dressed(t Stamp) bool {
	mode := fs.FileMode(t.Mode).Perm()
	return mode == s.opt.FileMode && (s.opt.GID < 0 || int(t.GID) == s.opt.GID)
}
