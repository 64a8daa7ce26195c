// Package fetch does one bounded, resumable, redacted transfer.
//
// It owns limits, resume, TLS roots, the address filter and redaction, and
// says whether a failure is transient or permanent. It does not know what the
// bytes mean.
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
	IdleTimeout   time.Duration  // between two reads; default 30 s; also the wait for response headers
	MinRate       int64          // bytes per second over one minute, else abandoned; default 10 KiB
	AllowNetworks []netip.Prefix // extra networks that lists may point at (T-20)
	TLS           string         // system | anchors | both
	Anchors       *x509.CertPool // for anchors and both
	Proxy         string         // URL, or ""; the environment's proxies are ignored (T-32)
	PerHost       int            // connections to one host; 0 = no limit
	UserAgent     string
}

// Origin is the subscription's own URL and the credentials for it. User and
// password are sent to its scheme, host and port only, never over http except
// to loopback.
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

// Sink receives an image. cache.Partial implements it.
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
