package fetch

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"vouch/imagelist/verdict"
)

// asker is on whose behalf a request goes out.
type asker struct {
	Origin
	own    target // the origin's URL
	strict bool   // a list: a redirect from https to http is refused
}

// newAsker reads the origin of an image; a file: origin has no endpoint, so
// nothing is allowed or sent on its account.
func newAsker(o Origin) asker {
	own, err := parseTarget(o.URL)
	if err != nil {
		own = target{}
	}
	return asker{Origin: o, own: own}
}

// answer is a response that is no redirect, with the URL that gave it. Its
// body must be closed.
type answer struct {
	*http.Response
	from target
}

// get sends a GET for t and follows redirects. Every hop has its own slot,
// its own allowance and its own decision about credentials.
func (c *Client) get(ctx context.Context, who asker, t target, h http.Header) (answer, error) {
	for hops := 0; ; hops++ {
		resp, err := c.send(ctx, who, t, h)
		if err != nil {
			return answer{}, err
		}
		if !redirects(resp.StatusCode) {
			return answer{resp, t}, nil
		}
		resp.Body.Close()
		if hops == maxRedirects {
			return answer{}, t.fail(verdict.Fetch, "more than "+strconv.Itoa(maxRedirects)+" redirects")
		}
		if t, err = who.redirect(t, resp.Header.Get("Location")); err != nil {
			return answer{}, err
		}
	}
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect is where from's Location leads (T-21).
func (who asker) redirect(from target, location string) (target, error) {
	if location == "" {
		return target{}, from.fail(verdict.Fetch, "redirect to nowhere")
	}
	u, err := from.url.Parse(location)
	if err != nil {
		return target{}, from.fail(verdict.Fetch, "redirect to something that is not a URL")
	}
	to, err := newTarget(u)
	if err != nil {
		return target{}, err
	}
	if who.strict && from.scheme == "https" && to.scheme == "http" {
		return target{}, to.fail(verdict.Fetch, "redirect from https to http")
	}
	return to, nil
}

// send does one exchange. The slot it holds is free again when the body is
// closed.
func (c *Client) send(ctx context.Context, who asker, t target, h http.Header) (*http.Response, error) {
	own := t.endpoint == who.own.endpoint && t.explicit()
	transport := c.public
	if own {
		transport = c.own
	}
	if c.proxy != nil {
		if err := c.guard.judge(ctx, t, own); err != nil {
			return nil, err
		}
	}
	release, err := c.slots.take(ctx, t.hostPort())
	if err != nil {
		return nil, failure(ctx, t, err)
	}
	resp, err := transport.RoundTrip(c.request(ctx, who, t, h))
	if err != nil {
		release()
		return nil, failure(ctx, t, err)
	}
	resp.Body = &slotBody{resp.Body, release}
	return resp, nil
}

// request has no header that the caller did not choose.
func (c *Client) request(ctx context.Context, who asker, t target, h http.Header) *http.Request {
	r := (&http.Request{Method: http.MethodGet, URL: t.url, Host: t.url.Host, Header: h.Clone()}).WithContext(ctx)
	r.Header.Set("User-Agent", c.agent)
	r.Header.Set("Accept-Encoding", "identity") // T-23: what is stored is what is hashed
	if c.trusted(who, t) {
		password := who.Password
		if password == "" {
			password = "x-oauth-basic"
		}
		r.SetBasicAuth(who.Username, password)
	}
	return r
}

// trusted says whether who's credentials may travel to t (T-29): to its own
// endpoint, encrypted, or never leaving this machine.
func (c *Client) trusted(who asker, t target) bool {
	if who.Username == "" || t.endpoint != who.own.endpoint {
		return false
	}
	return t.scheme == "https" || t.loopback() && (c.proxy == nil || c.proxy.loopback())
}

type slotBody struct {
	io.ReadCloser
	release func()
}

func (b *slotBody) Close() error {
	err := b.ReadCloser.Close()
	b.release()
	return err
}

// refuse is why the status of a cannot be used.
func (a answer) refuse() *Error {
	e := a.from.fail(verdict.Fetch, "the server answered "+status(a.StatusCode))
	e.Temporary = transient(a.StatusCode)
	e.RetryAfter = retryAfter(a.Header)
	return e
}

// status is a code and our own words for it, not the server's.
func status(code int) string {
	if text := http.StatusText(code); text != "" {
		return strconv.Itoa(code) + " " + text
	}
	return strconv.Itoa(code)
}

// transient holds for statuses after which another try may help.
func transient(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return code >= 500
}

// plain refuses a body that is not the stored representation (T-23).
func (a answer) plain() error {
	if e := a.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return a.from.fail(verdict.Fetch, "unasked Content-Encoding "+strconv.Quote(e))
	}
	return nil
}
