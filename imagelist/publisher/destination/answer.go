package destination

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// A statusError is an answer that is not yes. What the server wrote beside the
// number is dropped.
type statusError struct {
	code int
	hint string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
}

func (e *statusError) Hint() string { return e.hint }

// answered is the error of an answer, with what to do about it.
func (w *web) answered(resp *http.Response) error {
	e := &statusError{code: resp.StatusCode}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.hint = "publish to " + target(resp) + " itself: a redirect is not followed, since it would take the credentials along"
	case resp.StatusCode == http.StatusUnauthorized && !w.login.given():
		e.hint = "the server wants credentials: give a user name and a password file, a token file, or a client certificate"
	case resp.StatusCode == http.StatusUnauthorized:
		e.hint = "the server does not accept these credentials: are they for this server, and not expired?"
	case resp.StatusCode >= 500 && resp.StatusCode != http.StatusInsufficientStorage:
		e.hint = "look into the server's log; nginx answers 500 when the directory is missing or not writable"
	default:
		e.hint = hints[resp.StatusCode]
	}
	return e
}

var hints = map[int]string{
	http.StatusForbidden:             "this account may not write there: grant it PUT on this path, and the server's user write permission on the directory",
	http.StatusNotFound:              "create the directory on the server first, and check the path",
	http.StatusMethodNotAllowed:      "the server takes no PUT at this path: allow it (nginx: dav_methods PUT; Apache: Dav On), or publish over SSH",
	http.StatusConflict:              "create the directory on the server first: WebDAV answers 409 when it is missing",
	http.StatusPreconditionFailed:    "the server refuses although the version that was read is still there; publish again",
	http.StatusRequestEntityTooLarge: "raise the server's limit (nginx: client_max_body_size; Apache: LimitRequestBody)",
	http.StatusInsufficientStorage:   "the server is full: make room there, then publish again",
	http.StatusTooManyRequests:       "the server asks for a pause; publish again later",
	http.StatusLocked:                "somebody holds a WebDAV lock on the file; publish again when it is released",
}

// target is where a redirect points, without secrets and printable.
func target(resp *http.Response) string {
	u, err := resp.Location()
	if err != nil {
		return "the right URL"
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return fmt.Sprintf("%q", bare.String())
}

var errLong = errors.New("longer than allowed")

// body reads at most max bytes of an answer that is not encoded.
func body(resp *http.Response, max int64) ([]byte, error) {
	if err := plain(resp); err != nil {
		return nil, err
	}
	if resp.ContentLength > max {
		return nil, errLong
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, errLong
	}
	return b, nil
}

// plain refuses an encoding, which nobody asked for (T-23).
func plain(resp *http.Response) error {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return hint("switch compression off for this file: subscribers refuse it", fmt.Errorf("the server sends Content-Encoding %q", enc))
	}
	return nil
}
