package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"vouch/imagelist/verdict"
)

// failure says what err, met before a body, means. Its words are ours, or
// those of errors that hold no text of the server; the rest is dropped, since
// net/http quotes what it could not parse.
func failure(ctx context.Context, t target, err error) *Error {
	if e := ended(ctx, t); e != nil {
		return e
	}
	e := t.fail(verdict.Fetch, "")
	e.Err = err
	var denied *deniedError
	var refused proxyError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &denied):
		e.Code, e.Detail = verdict.NetworkDenied, denied.Error()
	case errors.As(err, &refused):
		e.Detail, e.Temporary = refused.Error(), transient(int(refused))
	case errors.As(err, &certificate):
		e.Detail = fmt.Sprintf("tls: certificate: %q", certificate.Err.Error())
	case errors.As(err, &notTLS):
		e.Detail = "tls: the server does not speak it"
	case errors.As(err, &dns):
		e.Detail, e.Temporary = "name lookup: "+lookup(dns), true
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Detail, e.Temporary = "timed out", true
	default:
		other(e, err)
	}
	return e
}

// other finishes failure for errors that have no telling type.
func other(e *Error, err error) {
	var number syscall.Errno
	var network *net.OpError
	text := err.Error()
	switch {
	case errors.As(err, &number):
		e.Detail, e.Temporary = number.Error(), true
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(text, "server closed idle connection"):
		e.Detail, e.Temporary = "connection closed without an answer", true
	case strings.HasPrefix(text, "tls: "):
		e.Detail = text
	case strings.HasPrefix(text, "net/http: server response headers exceeded"):
		e.Detail = fmt.Sprintf("response header longer than %d bytes", maxHeader)
	case strings.HasPrefix(text, "http: server gave HTTP response to HTTPS client"):
		e.Detail = "tls: the server does not speak it"
	case errors.As(err, &network) && strings.HasPrefix(network.Err.Error(), "tls: "): // an alert
		e.Detail = network.Err.Error()
	case errors.As(err, &network):
		e.Detail, e.Temporary = "cannot connect", true
	default:
		e.Detail, e.Err = "the answer is not HTTP", nil
	}
}

// broken is err, met within a body: always worth another try.
func broken(ctx context.Context, t target, err error) *Error {
	if e := ended(ctx, t); e != nil {
		return e
	}
	e := t.fail(verdict.Fetch, "connection lost")
	e.Temporary = true
	var number syscall.Errno
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Detail, e.Err = "body truncated", io.ErrUnexpectedEOF
	case errors.As(err, &number):
		e.Detail, e.Err = "body cut: "+number.Error(), number
	}
	return e
}

// ended is the failure of a transfer whose context is over, else nil. A slow
// server may be tried again; a caller who cancelled meant it.
func ended(ctx context.Context, t target) *Error {
	if ctx.Err() == nil {
		return nil
	}
	e := t.fail(verdict.Fetch, "cancelled")
	e.Err = context.Cause(ctx)
	var stall stallError
	switch {
	case errors.As(e.Err, &stall):
		e.Detail, e.Temporary = stall.Error(), true
	case errors.Is(e.Err, context.DeadlineExceeded):
		e.Detail, e.Temporary = "timed out", true
	}
	return e
}

func lookup(e *net.DNSError) string {
	switch {
	case e.IsTimeout:
		return "timed out"
	case e.IsNotFound:
		return "no such host"
	}
	return "no answer"
}

// proxyError is the status of a proxy that opens no tunnel.
type proxyError int

func (e proxyError) Error() string { return "the proxy answered " + status(int(e)) }

// tunnel keeps the proxy's own words out of errors.
func tunnel(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return proxyError(resp.StatusCode)
	}
	return nil
}

// fileError is the cause of a path error without the path.
func fileError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
