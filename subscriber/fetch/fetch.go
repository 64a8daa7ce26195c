// Package fetch does one bounded, resumable, redacted transfer.
//
// It owns limits, resume, TLS roots, the address filter and redaction, and
// says whether a failure is transient or permanent. It does not know what the
// bytes mean.
//
// Everything that comes from outside is hostile: the URL of an image, where a
// server redirects to, what a name resolves to, how long, how slow and how
// truthful an answer is. So
//
//   - an address is judged when it is dialled (guard), after resolution and
//     after every redirect, and an allowance belongs to one endpoint, never to
//     a connection that somebody else may reuse;
//   - redirects are followed here, hop by hop, with credentials decided anew
//     for each (request.go);
//   - a body is read through a meter that a watchdog looks at (meter.go), and
//     never past the length that was signed;
//   - no text of a server reaches an error unquoted, and no body at all.
//
// The protocol is HTTP/1.1: one transfer has one connection, and no second
// layer of flow control between the kernel and the hasher.
package fetch

import (
	"crypto/x509"
	"io"
	"net/netip"
	"time"

	"vouch/imagelist/verdict"
)

// Config holds the limits of one run (contract §2, "fetch").
type Config struct {
	IdleTimeout   time.Duration       // between two reads; default 30 s; also the wait for response headers
	MinRate       int64               // bytes per second over one minute, else abandoned; default 10 KiB
	AllowNetworks []netip.Prefix      // extra networks that lists may point at (T-20); link-local stays denied
	TLS           string              // system | anchors | both; default system
	Anchors       []*x509.Certificate // for anchors and both
	Proxy         string              // http or https URL, or ""; the environment's proxies are ignored (T-32)
	PerHost       int                 // transfers from one host and port at a time; 0 = no limit
	UserAgent     string              // default "vouch"
}

// Origin is the subscription's own URL and the credentials for it. User and
// password are sent to its scheme, host and port only, never over http except
// to loopback. A user name without a password is a token: the password is then
// x-oauth-basic (contract §2).
type Origin struct {
	URL      string
	Username string
	Password string
}

// Error is a transfer that did not work. Its text is redacted and never
// quotes a response body.
type Error struct {
	Code       verdict.Code // fetch, too-large, size-mismatch or network-denied
	URL        string       // redacted
	Detail     string
	Temporary  bool          // trying again may help
	RetryAfter time.Duration // the server's wish, 0 if none; capped at 1 h
	Err        error         // the cause, may be nil
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail + " (" + e.URL + ")" }
func (e *Error) Unwrap() error { return e.Err }

// Document is a small body held in memory: an image list.
type Document struct {
	Body         []byte
	NotModified  bool // 304: Body is empty, the validators are the ones sent
	ETag         string
	LastModified string
}

// Sink receives an image. cache.Partial implements it. When it is an
// io.ReaderFrom too, the body is read straight into its buffers.
type Sink interface {
	io.Writer
	// Offset is how many bytes it holds already, hashed and in order.
	Offset() int64
	// Validator is the strong validator the held bytes came under, "" if none.
	Validator() string
	// Restart drops what is held and remembers the validator of what comes.
	Restart(validator string) error
}

// Transfer is what one successful image transfer moved.
type Transfer struct {
	Downloaded  int64 // bytes received in this call
	ResumedFrom int64 // offset the transfer began at
}
