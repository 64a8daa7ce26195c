// Package serve is the HTTP interface of a site: what middleware, monitoring
// and people read, and the one thing that they may ask for.
//
// It reads what everybody reads: index.json, status.json, lists/, blobs/ and
// events.jsonl, each looked at again for every request and parsed again only
// when it is another file. It takes no lock and never opens the metadata, so
// it answers while a pass runs and cannot hold one up. It does not know flags
// or how a decision was reached; it decides nothing.
//
// # Whose bytes are served (T-27, T-28)
//
// A request names an image; the catalogue names its digest and size; the digest
// names the blob. What is sent must be those bytes, although somebody with the
// owner's rights may write to the cache at any moment. So an answer ends
// cleanly only when all of this is true at its end:
//
//   - The file that was opened, once, and sent from, is regular and has the
//     signed size.
//   - It was judged: either its ctime is more than a minute older than
//     status.json's "inspected", so that it has not been touched since a pass
//     compared it with what vouch left and hashed it if anything was different;
//     or this process has hashed it, from this inode with this ctime.
//   - It still looks as it did when it was judged: whatever was written, and
//     whenever, moves mtime or ctime. Their clock stands still for some
//     milliseconds at a time; hashing waits until it has moved on.
//   - The catalogue still names these bytes for this image.
//
// To send a file at the disk's speed while it is hashed, the last part of
// every answer is held back until all of that is known: one goroutine hashes,
// however many send. If it comes out otherwise the connection is cut; a client
// that counts bytes, as all do, sees that it has not got everything. The digest
// goes to the daemon, whose pass hashes again, quarantines the blob and
// downloads it anew. The minute is for a cache on another machine, whose clock
// makes the ctime. What is not promised: to notice somebody who sets clocks, or
// who writes through a mapping of the file that was dirty before it was judged;
// the daemon's scrubbing finds those.
//
// # Who may ask
//
// Everybody who can connect may read, unless client certificates are required;
// by default only this machine can connect. A token, which is a secret and so
// never taken over a connection that others can read, lets its bearer ask for a
// refresh. That carries no trust: it makes the next look at a list come sooner.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vouch/cache"
	"vouch/subscriber"
)

// Limits of the server.
const (
	maxConnections = 1000
	maxStreams     = 200      // of events
	maxHeader      = 64 << 10 // then 431
	headerTime     = 10 * time.Second
	idleTime       = 2 * time.Minute
	writeTime      = time.Minute     // for an answer, or for each piece of a long one
	closeTime      = 5 * time.Second // for answers under way at the end
)

// Config is what a site says about its HTTP interface, with where it keeps
// what is served.
type Config struct {
	Listen          string // address; "" or "off" for none
	CertificateFile string // PEM, the chain too; "" for plain HTTP
	KeyFile         string
	Clients         string   // none | require: certificates of clients
	ClientDNs       []string // of clients that may connect; empty for all that the anchors vouch for
	TokenFile       string   // "" for no refresh

	StateDir, CacheDir string
	Trust              subscriber.TrustConfig // for certificates of clients
	Subscriptions      []string               // their names
}

// Server answers over HTTP. Set the fields before Configure.
type Server struct {
	Log     *slog.Logger        // nil discards
	Files   *subscriber.Files   // shared with others that read them; New makes its own
	Refresh chan<- string       // names of subscriptions to look at now; nil answers 503
	Doubt   chan<- cache.Digest // blobs that have other bytes than their names say; may be nil
	Metrics http.Handler        // at /metrics; nil is 404
	Page    http.Handler        // at / and everything that nothing else answers; nil is 404

	ctx  context.Context // ends when Close begins
	stop context.CancelFunc
	http *http.Server
	tls  certificates

	mu     sync.Mutex // of configuring
	door   *listener
	served sync.WaitGroup

	conf    atomic.Pointer[Config]
	view    views
	judge   judge
	limits  limits
	streams streams
	begun   time.Time
	pace    time.Duration // for each piece of an answer
	next    atomic.Int64  // when the next pass is due, in seconds since the epoch; 0 for never
}

// New makes a server that does not listen yet.
func New() *Server {
	s := &Server{Files: new(subscriber.Files), begun: time.Now().Truncate(time.Second), pace: writeTime}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.judge.init(s)
	s.tls.server = s
	s.streams.seek, s.streams.shares.most = make(chan struct{}, seeking), maxStreams/2
	s.http = &http.Server{
		Handler:                      s.handler(),
		ReadHeaderTimeout:            headerTime,
		WriteTimeout:                 writeTime,
		IdleTimeout:                  idleTime,
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               maxHeader - 4096, // the library adds as much
		Protocols:                    new(http.Protocols),
		ErrorLog:                     slog.NewLogLogger(quiet{s}, slog.LevelDebug),
	}
	s.http.Protocols.SetHTTP1(true)
	return s
}

// Configure listens as the configuration says, at first and whenever it has
// changed. A new address is opened before the old one is given up; requests
// under way are answered to their end. An error, which has a hint, changes
// nothing.
func (s *Server) Configure(c Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if c.Listen == "off" {
		c.Listen = ""
	}
	own, err := c.read(time.Now())
	if err != nil {
		return err
	}
	door := s.door
	if door == nil || door.asked != c.Listen {
		if door, err = s.listen(c.Listen); err != nil {
			return err
		}
	}
	s.conf.Store(&c)
	s.tls.use(c, own)
	if door == s.door {
		return nil
	}
	if s.door != nil {
		s.door.Close()
	}
	if s.door = door; door == nil {
		s.Log.Info("HTTP interface is off")
		return nil
	}
	s.Log.Info("HTTP interface", "address", s.URL())
	s.served.Go(func() {
		if err := s.http.Serve(door); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.Log.Error("HTTP interface ended", "error", err)
		}
	})
	return nil
}

// Check reads the files that the configuration names, as Configure does; it
// says of the address nothing. Errors have a hint.
func (c Config) Check(at time.Time) error {
	_, err := c.read(at)
	return err
}

// read is the certificate, nil for none, when all of the configuration is good.
func (c Config) read(at time.Time) (*tls.Certificate, error) {
	switch {
	case c.Clients == "require" && c.CertificateFile == "":
		return nil, withHint(errors.New("http: clients: certificates are asked for over TLS only"), "name a certificate_file and a key_file")
	case len(c.ClientDNs) > 0 && c.Clients != "require":
		return nil, withHint(errors.New("http: client_dns: nobody is asked for a certificate"), "clients: require")
	}
	if c.TokenFile != "" {
		if _, err := readTokens(c.TokenFile); err != nil {
			return nil, err
		}
	}
	return c.certificate(at)
}

// URL is where the server answers, with the real port; "" when it does not.
func (s *Server) URL() string {
	if s.door == nil {
		return ""
	}
	scheme := "http://"
	if s.tls.on() {
		scheme = "https://"
	}
	return scheme + s.door.Addr().String()
}

// Passed tells of a pass and when the next fetch is due, zero for never:
// /readyz knows by it whether the daemon keeps up.
func (s *Server) Passed(next time.Time) {
	if next.IsZero() {
		s.next.Store(0)
		return
	}
	s.next.Store(next.Unix())
}

// Close ends everything within 5 s: streams of events at once, other answers
// when they are complete or the time is over.
func (s *Server) Close() {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.door != nil {
		s.door.Close()
	}
	s.served.Wait()
	s.judge.wait.Wait()
}

// hintError is an error with what to do about it.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// Hint is what to do.
func (e *hintError) Hint() string { return e.hint }

func withHint(err error, hint string) error { return &hintError{err, hint} }

// startError is an error of the configuration: exit 2.
func startError(hint, format string, args ...any) error {
	return withHint(fmt.Errorf(format, args...), hint)
}

// quiet is where the library writes what clients do wrong, which is their
// concern, and what we do wrong, which is ours.
type quiet struct{ s *Server }

func (q quiet) Enabled(context.Context, slog.Level) bool { return q.s.Log != nil }
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	level := slog.LevelDebug
	if strings.HasPrefix(r.Message, "http: panic") {
		level = slog.LevelError
	}
	q.s.Log.Log(ctx, level, "HTTP interface", "error", r.Message)
	return nil
}
func (q quiet) WithAttrs([]slog.Attr) slog.Handler { return q }
func (q quiet) WithGroup(string) slog.Handler      { return q }
