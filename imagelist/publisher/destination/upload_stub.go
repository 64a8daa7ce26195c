package destination

import (
	"context"
	"errors"
	"net/url"
)

func openRemote(ctx context.Context, p place, o Options) (Destination, error) {
	return nil, errors.ErrUnsupported
}
func openWeb(u *url.URL, o Options) (Destination, error) { return nil, errors.ErrUnsupported }
