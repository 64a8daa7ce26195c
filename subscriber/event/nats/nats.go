// Package nats takes events to a JetStream stream of a NATS server.
//
// Only this package knows the client library. vouch creates nothing at the
// server: which streams there are, what they keep and for how long is their
// administrator's.
package nats

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
)

// DefaultSubject is what subjects begin with unless configured.
const DefaultSubject = "vouch"

var scheme = broker.Scheme{Plain: "nats", Secure: "tls", PlainPort: "4222", SecurePort: "4222"}

// Config is where to, and as whom.
type Config struct {
	URL     string // tls://host:port or nats://host:port
	Subject string // what comes before ".<event type>"; DefaultSubject if empty
	CAFile  string // who may vouch for the server, PEM; the system's if empty
	// Login is a NATS credentials file, a token, or a user name and password.
	Login broker.Login
}

// Sender publishes events and waits until a stream has taken them. It is an
// event.Sender.
type Sender struct {
	config  Config
	address broker.Address

	mu   sync.Mutex // Close may come from elsewhere
	live *session   // nil: connect first
}

var subjectForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// New judges the configuration. It does not connect, and reads no file. Its
// errors are *broker.Refusal.
func New(c Config) (*Sender, error) {
	if c.Subject == "" {
		c.Subject = DefaultSubject
	}
	if len(c.Subject) > 128 || !subjectForm.MatchString(c.Subject) {
		return nil, &broker.Refusal{What: fmt.Sprintf("not a subject: %q", c.Subject), Fix: "words of letters, digits, _ and -, with dots between"}
	}
	address, err := scheme.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if p := address.URL.Path; p != "" && p != "/" {
		return nil, &broker.Refusal{What: "a NATS URL with a path", Fix: "the subject has its own key"}
	}
	if err := c.Login.Check(address, c.CAFile); err != nil {
		return nil, err
	}
	return &Sender{config: c, address: address}, nil
}

// Send publishes the event, as the line of JSON that the event log has, to
// <subject>.<event type>, and returns nil when a stream says that it has it.
// Whether that survives a crash of the server's machine is the stream's
// configuration. The event's id is the message's Nats-Msg-Id: a stream drops
// what it had already within its duplicate window.
//
// An event that is too large is an error about the event. All others match
// event.ErrUnreachable: no connection, or not let in. Where the server is
// there and no stream takes the event, or none answers, the error is an
// *event.Unavailable.
func (s *Sender) Send(ctx context.Context, e event.Event) error {
	body, err := e.Line()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil && s.live.conn.IsClosed() {
		s.hangUp()
	}
	if s.live == nil {
		if s.live, err = s.connect(ctx); err != nil {
			return err
		}
	}
	err = s.live.publish(ctx, &nats.Msg{
		Subject: s.config.Subject + "." + string(e.Type),
		Header:  nats.Header{jetstream.MsgIDHeader: {e.ID}, "Content-Type": {"application/cloudevents+json"}},
		Data:    body,
	})
	if errors.Is(err, event.ErrUnreachable) {
		s.hangUp() // an acknowledgement that comes later is of no use
	}
	return err
}

// Check reads the files that are shown to the server, or that vouch for it.
func (s *Sender) Check() error {
	_, err := s.files()
	return err
}

// Close ends the connection.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUp()
	return nil
}

func (s *Sender) hangUp() {
	if s.live != nil {
		s.live.conn.Close()
		s.live = nil
	}
}
