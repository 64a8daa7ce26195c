package destination

import (
	"context"
	"errors"
)

// Open understands a local path, [user@]host:path, sftp://[user@]host[:port]/path
// and http(s)://host[:port]/path, each the place of the list itself.
func Open(ctx context.Context, dest string, o Options) (Destination, error) {
	return nil, errors.ErrUnsupported
}
