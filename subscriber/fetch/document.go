package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"vouch/imagelist/verdict"
)

// Doc says how to get a Document. A zero limit means the default of contract
// §2 and §5.
type Doc struct {
	MaxSize      int64         // bytes; default 16 MiB
	ETag         string        // of the copy the caller has, "" if none
	LastModified string        // likewise
	Tries        int           // default 3
	Within       time.Duration // the last try starts no later than this after the first; default 20 s
}

// Document gets o.URL itself: http, https or file. It returns the body of a
// 200, whatever that is, or NotModified for a 304 to the validators sent.
// Temporary errors are tried again within d's limits. Its error is an *Error
// with code fetch, too-large or network-denied.
//
// One transfer takes 5 minutes at most. A body that ends where only a closed
// connection could tell may be truncated; its signature will say so.
func (c *Client) Document(ctx context.Context, o Origin, d Doc) (*Document, error) {
	d.MaxSize = cmp.Or(d.MaxSize, 16<<20)
	if u, err := url.Parse(o.URL); err == nil && u.Scheme == "file" {
		return readFile(u, d.MaxSize)
	}
	t, err := parseTarget(o.URL)
	if err != nil {
		return nil, err
	}
	window, cancel := context.WithTimeout(ctx, cmp.Or(d.Within, 20*time.Second))
	defer cancel()
	end, _ := window.Deadline()
	fits := func(wait time.Duration) bool { return wait < time.Until(end) }

	var doc *Document
	err = c.retry(ctx, cmp.Or(d.Tries, 3), fits, func() error {
		doc, err = c.document(ctx, asker{Origin: o, own: t, strict: true}, d)
		return err
	})
	return doc, err
}

// document is one try.
func (c *Client) document(ctx context.Context, who asker, d Doc) (*Document, error) {
	ctx, stop := context.WithTimeout(ctx, c.pace.document)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	etag, modified := storable(d.ETag), storable(d.LastModified)
	a, err := c.get(ctx, who, who.own, condition(etag, modified))
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	switch {
	case a.StatusCode == http.StatusNotModified && (etag != "" || modified != ""):
		return &Document{NotModified: true, ETag: etag, LastModified: modified}, nil
	case a.StatusCode != http.StatusOK:
		return nil, a.refuse()
	}
	if err := a.plain(); err != nil {
		return nil, err
	}
	if a.ContentLength > d.MaxSize {
		return nil, tooLarge(a.from, d.MaxSize)
	}
	m := &meter{body: a.Body}
	go c.dog.watch(ctx, m, cancel)
	body, err := a.readAll(ctx, m, d.MaxSize)
	if err != nil {
		return nil, err
	}
	doc := &Document{Body: body}
	if settled(a.Header) {
		doc.ETag, doc.LastModified = storable(a.Header.Get("ETag")), storable(a.Header.Get("Last-Modified"))
	}
	return doc, nil
}

// settled says whether validators can be trusted to change with the body. One
// that was modified within the second it was sent in may be modified again in
// it, and common servers make both validators from that time (RFC 9110
// §8.8.2.2).
func settled(h http.Header) bool {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return true // no such time in play
	}
	sent, err := http.ParseTime(h.Get("Date"))
	return err == nil && sent.Sub(modified) >= time.Second
}

// readAll reads a body of 1 to limit bytes.
func (a answer) readAll(ctx context.Context, body io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case int64(len(b)) > limit:
		return nil, tooLarge(a.from, limit)
	case err != nil:
		return nil, broken(ctx, a.from, err)
	case len(b) == 0:
		e := a.from.fail(verdict.Fetch, "empty body")
		e.Temporary = true // a server that is just writing the file
		return nil, e
	}
	return b, nil
}

func tooLarge(t target, limit int64) *Error {
	return t.fail(verdict.TooLarge, fmt.Sprintf("longer than %d bytes", limit))
}

// condition is the header of a conditional request.
func condition(etag, modified string) http.Header {
	h := http.Header{}
	if etag != "" {
		h.Set("If-None-Match", etag)
	}
	if modified != "" {
		h.Set("If-Modified-Since", modified)
	}
	return h
}

// storable is a validator that is worth keeping and safe to send back, or "".
func storable(v string) string {
	if len(v) > 1024 {
		return ""
	}
	for i := range len(v) {
		if v[i] < ' ' || v[i] > '~' {
			return ""
		}
	}
	return v
}

// readFile reads what an operator named with a file: URL. It is read every
// time: there is nothing to save and no validator to be wrong about.
func readFile(u *url.URL, limit int64) (*Document, error) {
	t := target{url: u}
	if u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) || u.RawQuery != "" || u.User != nil {
		return nil, t.fail(verdict.Fetch, "a file URL is file:///path")
	}
	// Without O_NONBLOCK a named pipe would wait for a writer.
	f, err := os.OpenFile(u.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileFailure(t, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fileFailure(t, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fileFailure(t, errors.New("not a regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fileFailure(t, err)
	case int64(len(b)) > limit:
		return nil, tooLarge(t, limit)
	case len(b) == 0:
		return nil, t.fail(verdict.Fetch, "empty file")
	}
	return &Document{Body: b}, nil
}

func fileFailure(t target, err error) *Error {
	e := t.fail(verdict.Fetch, fileError(err).Error())
	e.Err = err
	return e
}
