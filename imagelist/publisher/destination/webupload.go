package destination

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Upload puts the file in one request, and a transfer that was cut is sent
// whole again: HTTP has no common way to continue one (nginx answers 501 to a
// PUT with Content-Range, Apache writes it into the file subscribers see).
// Neither shows a name before all of it has arrived. The size is compared
// afterwards, the digest is not: use Check.
func (w *web) Upload(ctx context.Context, name, file string, sum [sha512.Size]byte, progress Progress) (Uploaded, error) {
	done, err := w.upload(ctx, name, file, sum, progress)
	if err != nil {
		return done, fmt.Errorf("%s: upload %q: %w", w, name, err)
	}
	return done, nil
}

func (w *web) upload(ctx context.Context, name, file string, sum [sha512.Size]byte, progress Progress) (Uploaded, error) {
	if err := checkImageName(name, w.name); err != nil {
		return Uploaded{}, err
	}
	src, err := openSource(ctx, file, sum)
	if err != nil {
		return Uploaded{}, err
	}
	defer src.Close()
	done := Uploaded{Size: src.info.Size()}
	u := w.url.ResolveReference(&url.URL{Path: name})
	there, err := w.size(ctx, u)
	switch {
	case err != nil:
		return done, err
	case there == done.Size:
		done.Skipped = true
		return done, nil
	case there >= 0 && !w.o.Overwrite:
		return done, occupied(name)
	}
	if err := w.sendImage(ctx, u, name, src, there < 0, progress); err != nil {
		return done, err
	}
	return done, w.arrived(ctx, u, done.Size)
}

func (w *web) sendImage(ctx context.Context, u *url.URL, name string, src *source, first bool, progress Progress) error {
	h := http.Header{}
	if first {
		h.Set("If-None-Match", "*")
	}
	content := &counted{Reader: io.NewSectionReader(src, 0, src.info.Size()), total: src.info.Size(), progress: progress}
	resp, done, err := w.do(ctx, http.MethodPut, u, content, src.info.Size(), h)
	if err != nil {
		return w.cut(ctx, u, err)
	}
	defer done()
	if first && resp.StatusCode == http.StatusPreconditionFailed {
		return occupied(name)
	}
	if err := w.accepted(resp); err != nil {
		return err
	}
	return src.unchanged()
}

// cut says what a transfer that failed left there.
func (w *web) cut(ctx context.Context, u *url.URL, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	switch n, sizeErr := w.size(ctx, u); {
	case sizeErr != nil:
		return fmt.Errorf("%w; what is there now: unknown: %v", err, sizeErr)
	case n < 0:
		return fmt.Errorf("%w; nothing is there", err)
	default:
		return fmt.Errorf("%w; %d bytes are there", err, n)
	}
}

// arrived fails if not all bytes are there.
func (w *web) arrived(ctx context.Context, u *url.URL, size int64) error {
	n, err := w.size(ctx, u)
	if err != nil {
		return fmt.Errorf("look back: %w", err)
	}
	if n != size {
		return hint("does a cache stand in front of the server, or another server behind it?", fmt.Errorf("accepted, but %d bytes are there instead of %d", n, size))
	}
	return nil
}

// size is how many bytes u has, -1 if it is not there.
func (w *web) size(ctx context.Context, u *url.URL) (int64, error) {
	resp, done, err := w.do(ctx, http.MethodHead, u, nil, 0, http.Header{"Cache-Control": {"no-cache"}})
	if err != nil {
		return 0, err
	}
	defer done()
	switch resp.StatusCode {
	case http.StatusOK:
		if resp.ContentLength < 0 {
			return 0, errors.New("the server does not say how large the file is")
		}
		return resp.ContentLength, plain(resp)
	case http.StatusNotFound, http.StatusGone:
		return -1, nil
	}
	return 0, w.answered(resp)
}

// counted tells progress what was read.
type counted struct {
	io.Reader
	done, total int64
	progress    Progress
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	if c.progress != nil && n > 0 {
		c.progress(c.done, c.total)
	}
	return n, err
}
