package destination

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// web is a URL that takes PUT. That a PUT shows whole or not at all is the
// server's promise (nginx and Apache keep it); that the version it replaces is
// still the one read is promised only by servers that heed If-Match, and only
// as well as they do: nginx does not; Apache does, but looks before it stores,
// so that two in the same milliseconds may both pass. What is there afterwards
// is read back.
type web struct {
	url    *url.URL
	name   string
	o      Options
	login  login
	client *http.Client
}

func openWeb(u *url.URL, o Options) (Destination, error) {
	switch {
	case u.User != nil:
		return nil, refuse("user information in a URL", "others see it in the process list and in logs; use a user name and a password file, or a token file")
	case u.Host == "" || u.Hostname() == "":
		return nil, refuse("URL without a host", "write https://host/path")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, refuse("query or fragment in a URL", "the list is put at a plain https://host/path; write a ? in a path as %3F")
	}
	if err := checkFile(u.Path); err != nil {
		return nil, err
	}
	login, err := o.login(u)
	if err != nil {
		return nil, err
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &web{url: u, name: path.Base(u.Path), o: o, login: login, client: client}, nil
}

func (w *web) String() string { return w.url.String() }

func (w *web) Close() error {
	w.client.CloseIdleConnections()
	return nil
}

// Read asks past caches.
func (w *web) Read(ctx context.Context) (*Live, error) {
	resp, done, err := w.do(ctx, http.MethodGet, w.url, nil, 0, http.Header{"Cache-Control": {"no-cache"}})
	if err != nil {
		return nil, fmt.Errorf("%s: read: %w", w, err)
	}
	defer done()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, nil
	default:
		return nil, fmt.Errorf("%s: read: %w", w, w.answered(resp))
	}
	content, err := body(resp, MaxList)
	if errors.Is(err, errLong) {
		err = tooLarge()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: read: %w", w, err)
	}
	return &Live{Content: content, etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified")}, nil
}

// Replace looks, puts, and reads back. A server that answers with an error
// although the new list is live is a note, not a failure.
func (w *web) Replace(ctx context.Context, content []byte, old *Live) error {
	if len(content) > MaxList {
		return fmt.Errorf("%s: list of %d bytes: at most %d", w, len(content), MaxList)
	}
	live, err := w.settled(ctx)
	if err != nil {
		return failed(ctx, w, content, old, err)
	}
	if !live.same(old) {
		return &Conflict{w.String(), live}
	}
	err = w.put(ctx, content, live)
	if err == nil {
		err = served(ctx, w, content)
	}
	if err == nil {
		return nil
	}
	return w.judge(failed(ctx, w, content, old, err), content, old)
}

// judge turns a failure into what it means by what is live.
func (w *web) judge(err error, content []byte, old *Live) error {
	var replace *ReplaceError
	if !errors.As(err, &replace) || replace.Live != theNew {
		return err
	}
	w.o.note(fmt.Sprintf("the server failed the request (%v), but the new list is live", replace.Err))
	return nil
}

// settled is Read, and once more a second later if the version is weak: Apache
// calls it so while the file is younger than its clock can tell.
func (w *web) settled(ctx context.Context) (*Live, error) {
	live, err := w.Read(ctx)
	if err != nil || live == nil || !strings.HasPrefix(live.etag, "W/") {
		return live, err
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(1100 * time.Millisecond):
		return w.Read(ctx)
	}
}

// put replaces live. Few servers say whether they heed conditions on PUT, so
// it asks first under one that cannot hold. A server that heeds it refuses
// with 412 and is asked again properly. One that takes the list all the same
// would have taken it under any condition: nothing is lost, and now it is
// known, and said.
func (w *web) put(ctx context.Context, content []byte, live *Live) error {
	impossible, proper := conditions(live)
	err := w.send(ctx, content, impossible)
	if err == nil {
		w.o.note("the server ignores the version a PUT is to replace: two publishers at the same instant could overwrite each other; what was there was compared just before, and is read back")
		return nil
	}
	var answer *statusError
	if errors.As(err, &answer) && final(answer.code) {
		return err
	}
	err = w.send(ctx, content, proper)
	if !errors.As(err, &answer) || answer.code != http.StatusPreconditionFailed {
		return err
	}
	return w.outrun(ctx, content, live, err)
}

// outrun is what a 412 means: a conflict, unless live is still there.
func (w *web) outrun(ctx context.Context, content []byte, live *Live, err error) error {
	now, readErr := w.Read(ctx)
	if readErr != nil || now.same(live) || now.same(&Live{Content: content}) {
		return err
	}
	return &Conflict{w.String(), now}
}

// final holds for answers that no other condition changes.
func final(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
		return true
	}
	return code >= 300 && code < 400
}

// conditions are request headers: one set that never holds, one that holds
// while live is there. The date is not the epoch, which Apache takes for none.
func conditions(live *Live) (impossible, proper http.Header) {
	impossible = http.Header{"If-Match": {`"vouch-asks-whether-conditions-are-heeded"`}}
	switch {
	case live == nil:
		return impossible, http.Header{"If-None-Match": {"*"}}
	case live.etag != "" && !strings.HasPrefix(live.etag, "W/"):
		return impossible, http.Header{"If-Match": {live.etag}}
	case live.modified != "":
		return http.Header{"If-Unmodified-Since": {"Sat, 01 Jan 2000 00:00:00 GMT"}}, http.Header{"If-Unmodified-Since": {live.modified}}
	}
	return impossible, http.Header{"If-Match": {"*"}}
}

func (w *web) send(ctx context.Context, content []byte, condition http.Header) error {
	resp, done, err := w.do(ctx, http.MethodPut, w.url, bytes.NewReader(content), int64(len(content)), condition)
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	defer done()
	return wrap("put", w.accepted(resp))
}

// accepted is nil for the answers that mean a PUT was done.
func (w *web) accepted(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // keeps the connection
		return nil
	}
	return w.answered(resp)
}
