package destination

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	idleTimeout   = 60 * time.Second // without a byte in either direction
	answerTimeout = 5 * time.Minute  // a server may copy a large image before it answers
)

// transport asks no environment, never decodes, and speaks HTTP/1.1.
func (o Options) transport() (*http.Transport, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ClientCert != nil {
		c.Certificates = []tls.Certificate{*o.ClientCert}
	}
	if o.RootsFile != "" {
		var err error
		if c.RootCAs, err = roots(o.RootsFile); err != nil {
			return nil, err
		}
	}
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSClientConfig:        c,
		TLSHandshakeTimeout:    30 * time.Second,
		ResponseHeaderTimeout:  answerTimeout,
		ExpectContinueTimeout:  2 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
	}, nil
}

var hashed = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

// roots are the system's and those in a PEM bundle or a hashed directory.
func roots(name string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("destination: system certificates: %w", err)
	}
	files := []string{name}
	if entries, err := os.ReadDir(name); err == nil {
		files = nil
		for _, e := range entries {
			if hashed.MatchString(e.Name()) {
				files = append(files, filepath.Join(name, e.Name()))
			}
		}
	}
	found := false
	for _, f := range files {
		pem, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("destination: certificates: %w", err)
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, hint("name a PEM bundle, or a directory like /etc/grid-security/certificates", fmt.Errorf("destination: no certificate in %q", name))
	}
	return pool, nil
}

// login is what a web server is told. It is never printed.
type login struct {
	user, password, token string
	cert                  bool
}

func (l login) given() bool { return l.user != "" || l.token != "" || l.cert }

// login reads the credentials, if they may go to u at all.
func (o Options) login(u *url.URL) (login, error) {
	l := login{cert: o.ClientCert != nil}
	if o.TokenFile != "" && o.UsernameFile != "" || o.PasswordFile != "" && o.UsernameFile == "" {
		return login{}, refuse("credentials do not fit together", "give a user name file with a password file, or a token file alone")
	}
	var err error
	if l.user, err = secret(o.UsernameFile); err != nil {
		return login{}, err
	}
	if l.password, err = secret(o.PasswordFile); err != nil {
		return login{}, err
	}
	if l.token, err = secret(o.TokenFile); err != nil {
		return login{}, err
	}
	if strings.Contains(l.user, ":") {
		return login{}, refuse("user name with a colon", "basic authentication cannot say one")
	}
	if l.given() && u.Scheme != "https" && !loopback(u.Hostname()) {
		return login{}, refuse("credentials over http", "use https: everybody on the way could read them")
	}
	return l, nil
}

// secret reads one line that only its owner can read. Its content is in no error.
func secret(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe would wait for a writer
	if err != nil {
		return "", fmt.Errorf("destination: credentials: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("destination: credentials: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return "", hint("name a file", fmt.Errorf("destination: credentials: %q: not a regular file", name))
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return "", hint("chmod 600 it, and change the secret if others may have read it", fmt.Errorf("destination: credentials: %q: others can read it (mode %v)", name, fi.Mode()))
	}
	b, err := io.ReadAll(io.LimitReader(f, 8<<10+1))
	text := strings.TrimRight(string(b), "\r\n")
	switch {
	case err != nil:
		return "", fmt.Errorf("destination: credentials: %w", err)
	case text == "" || len(text) > 8<<10 || !printable(text):
		return "", hint("it holds the user name, password or token on one line and nothing else", fmt.Errorf("destination: credentials: %q: not one line of text", name))
	}
	return text, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// do sends one request with the credentials. The caller calls done after
// reading the answer. A transfer on which nothing moves is cancelled.
func (w *web) do(ctx context.Context, method string, u *url.URL, content io.Reader, size int64, h http.Header) (resp *http.Response, done func(), err error) {
	return request(ctx, w.client, method, u.String(), content, size, func(r *http.Request) {
		for k, v := range h {
			r.Header[k] = v
		}
		if size > 1<<20 {
			r.Header.Set("Expect", "100-continue") // hear a refusal before sending it all
		}
		switch {
		case w.login.token != "":
			r.Header.Set("Authorization", "Bearer "+w.login.token)
		case w.login.user != "":
			r.SetBasicAuth(w.login.user, w.login.password)
		}
	})
}

func request(ctx context.Context, c *http.Client, method, u string, content io.Reader, size int64, prepare func(*http.Request)) (*http.Response, func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	first := answerTimeout
	if content == nil {
		first = idleTimeout
	}
	dog := &watchdog{timer: time.AfterFunc(first, func() { cancel(errStalled) })}
	done := func() { dog.timer.Stop(); cancel(nil) }
	if content != nil {
		content = &watched{content, dog}
	}
	r, err := http.NewRequestWithContext(ctx, method, u, content)
	if err != nil {
		done()
		return nil, nil, errors.New("not a URL")
	}
	r.ContentLength = size
	r.Header.Set("User-Agent", "vouch")
	r.Header.Set("Accept-Encoding", "identity")
	prepare(r)
	resp, err := c.Do(r)
	if err != nil {
		err = transportError(ctx, err)
		done()
		return nil, nil, err
	}
	dog.timer.Reset(idleTimeout)
	resp.Body = &watchedBody{watched{resp.Body, dog}, resp.Body, ctx}
	return resp, func() { resp.Body.Close(); done() }, nil
}

var errStalled = errors.New("nothing moved for too long")

type watchdog struct{ timer *time.Timer }

// watched winds the watchdog up whenever bytes pass. At the end of a request
// the server has answerTimeout.
type watched struct {
	io.Reader
	dog *watchdog
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err == nil {
		w.dog.timer.Reset(idleTimeout)
	} else {
		w.dog.timer.Reset(answerTimeout)
	}
	return n, err
}

type watchedBody struct {
	watched
	io.Closer
	ctx context.Context
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.watched.Read(p)
	if err != nil && err != io.EOF {
		err = transportError(b.ctx, err)
	}
	return n, err
}

// transportError is err without the URL and without the server's words, which
// net/http quotes.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &cert):
		return hint("is it the right host? for a grid certificate name the IGTF directory as roots", fmt.Errorf("tls: %q", cert.Err.Error()))
	case errors.As(err, &dns):
		return hint("is the host name right?", errors.New("host name not found"))
	case errors.As(err, &op), errors.As(err, &h):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return hint("try again", fmt.Errorf("the server cut the connection: %w", io.ErrUnexpectedEOF))
	}
	return fmt.Errorf("%q", err.Error())
}
