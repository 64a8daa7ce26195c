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

const maxRedirects = 5 // as subscribers follow

// Fetch reads a public URL (hv:uri) as a subscriber would: without
// credentials, of o only RootsFile is used, at most max bytes, up to five
// redirects and none from https to http. Unlike a subscriber it also connects
// to addresses that are not public. Errors have a hint where there is one.
func Fetch(ctx context.Context, address string, max int64, o Options) ([]byte, error) {
	var content []byte
	err := get(ctx, address, o, func(resp *http.Response) (err error) {
		if content, err = body(resp, max); errors.Is(err, errLong) {
			return hint("is this the list's URL?", fmt.Errorf("longer than %d bytes", max))
		}
		return err
	})
	return content, err
}

// Check reads an image at its public URL, as Fetch does, and compares size and
// SHA-512 with what the list says. The error names the first difference.
func Check(ctx context.Context, address string, size int64, sum [sha512.Size]byte, progress Progress, o Options) error {
	return get(ctx, address, o, func(resp *http.Response) error {
		if err := plain(resp); err != nil {
			return err
		}
		if resp.ContentLength >= 0 && resp.ContentLength != size {
			return differs("size is %d instead of %d bytes", resp.ContentLength, size)
		}
		h := sha512.New()
		n, err := io.Copy(h, &counted{Reader: io.LimitReader(resp.Body, size+1), total: size, progress: progress})
		switch {
		case err != nil:
			return fmt.Errorf("after %d bytes: %w", n, err)
		case n > size:
			return differs("size is more than %d bytes", size)
		case n < size:
			return differs("size is %d instead of %d bytes", n, size)
		}
		if got := h.Sum(nil); string(got) != string(sum[:]) {
			return differs("sha512 is %x instead of %x", got, sum)
		}
		return nil
	})
}

func differs(format string, args ...any) error {
	return hint("other bytes are served than the list names: upload the image, under a new name if this one was published before; ask past caches",
		fmt.Errorf(format, args...))
}

// get hands a 200 to use. Its errors name the URL without what may be secret.
func get(ctx context.Context, address string, o Options, use func(*http.Response) error) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return hint("write http(s)://host/path", errors.New("fetch: not a http or https URL"))
	}
	if u.User != nil {
		return hint("a list is public: subscribers keep credentials in files", errors.New("fetch: user information in a URL"))
	}
	shown := fmt.Sprintf("%q", (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
	transport, err := Options{RootsFile: o.RootsFile}.transport()
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: redirect}
	resp, done, err := request(ctx, client, http.MethodGet, address, nil, 0, func(r *http.Request) {
		r.Header.Set("Cache-Control", "no-cache")
	})
	if err != nil {
		return fmt.Errorf("fetch %s: %w", shown, err)
	}
	defer done()
	if err = served200(resp); err == nil {
		err = use(resp)
	}
	return wrap("fetch "+shown, err)
}

func redirect(next *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return hint("subscribers follow five", errors.New("too many redirects"))
	case via[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return hint("subscribers refuse it", errors.New("redirect from https to http"))
	case next.URL.User != nil:
		return hint("subscribers refuse it", errors.New("redirect to a URL with user information"))
	}
	next.Header.Del("Referer")
	return nil
}

// served200 says what an answer other than 200 means to a subscriber.
func served200(resp *http.Response) error {
	e := &statusError{code: resp.StatusCode}
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusNotFound, http.StatusGone:
		e.hint = "it is not there: was it put at another place than this URL names?"
	case http.StatusUnauthorized:
		e.hint = "subscribers need credentials for this URL; it cannot be checked from here"
	case http.StatusForbidden:
		e.hint = "the web server may not read the file, or not for everybody: look at its mode and the server's configuration"
	}
	return e
}
