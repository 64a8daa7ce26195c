package destination

import (
	"context"
	"crypto/sha512"
	"errors"
)

// Fetch reads a public URL as a subscriber would, at most max bytes.
func Fetch(ctx context.Context, url string, max int64, o Options) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// Check reads the public URL of an image as a subscriber would and compares.
func Check(ctx context.Context, url string, size int64, sum [sha512.Size]byte, progress Progress, o Options) error {
	return errors.ErrUnsupported
}
