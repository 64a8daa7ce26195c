package fetch

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"vouch/imagelist/verdict"
)

// maxAnswer is how much of an answer to a POST is read, and thrown away, so
// that the connection can be used again; answerTime is for how long.
const (
	maxAnswer  = 64 << 10
	answerTime = time.Second
)

// Poster sends to one URL that this site's administrator chose (T-30). What a
// list may point at it may, and the address that the URL itself names: an IP
// literal or localhost; never a link-local one. It follows no redirect and
// uses no proxy, not even a configured one. Not for concurrent use.
type Poster struct {
	to     target
	client *http.Transport
	agent  string
}

// NewPoster makes one; of c only IdleTimeout, AllowNetworks, TLS, Anchors and
// UserAgent count. It connects nowhere. Errors never quote the URL, which may
// hold a secret.
func NewPoster(rawURL string, c Config) (*Poster, error) {
	t, err := parseTarget(rawURL)
	if err != nil {
		return nil, err
	}
	c.Proxy, c.PerHost = "", 0
	client, err := New(c)
	if err != nil {
		return nil, err
	}
	p := &Poster{to: t, client: client.public, agent: client.agent}
	if t.explicit() {
		p.client = client.own
	}
	if a := t.literal; a.IsValid() && linkLocal(a.Unmap()) {
		return nil, t.fail(verdict.NetworkDenied, "address "+a.String()+" is link-local")
	}
	return p, nil
}

// Answer is what came back. The server's words are not in it.
type Answer struct {
	Status     int           // of HTTP
	RetryAfter time.Duration // the server's wish, 0 if none; capped at 1 h
}

func (a Answer) String() string { return status(a.Status) }

// Post sends one request and returns the answer, whatever its status. An error
// is an *Error and means that there was none: nobody there, no trust in who is
// there, no answer before ctx ended.
func (p *Poster) Post(ctx context.Context, h http.Header, body []byte) (Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.to.url.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, p.to.fail(verdict.Fetch, "is not a URL")
	}
	r.Header = h.Clone()
	r.Header.Set("User-Agent", p.agent)
	r.Header["X-Idempotency-Key"] = nil // not sent: it lets the library use a new connection when the server has closed the idle one
	resp, err := p.client.RoundTrip(r)
	if err != nil {
		return Answer{}, failure(ctx, p.to, err)
	}
	defer resp.Body.Close()
	defer time.AfterFunc(answerTime, cancel).Stop()
	io.CopyN(io.Discard, resp.Body, maxAnswer) // what cannot be read costs the connection, not the answer
	return Answer{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}, nil
}

// Close closes the connection, unless a request is under way.
func (p *Poster) Close() { p.client.CloseIdleConnections() }
