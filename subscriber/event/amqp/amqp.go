// Package amqp takes events to an exchange of a RabbitMQ broker (AMQP 0-9-1).
//
// Only this package knows the client library. vouch declares nothing at the
// broker: the exchange, the queues and who may use them are its
// administrator's.
package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/rabbitmq/amqp091-go"

	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
)

// DefaultExchange is where events go unless configured.
const DefaultExchange = "vouch"

var scheme = broker.Scheme{Plain: "amqp", Secure: "amqps", PlainPort: "5672", SecurePort: "5671"}

// Config is where to, and as whom.
type Config struct {
	URL      string // amqps://host:port/vhost or amqp://host:port/vhost; without a vhost it is "/"
	Exchange string // DefaultExchange if empty
	CAFile   string // who may vouch for the broker, PEM; the system's if empty
	// Login is a user name and password. Without it vouch is "guest", whom
	// RabbitMQ lets in from the same machine only.
	Login broker.Login
}

// Sender publishes events and waits until the broker has confirmed them. It is
// an event.Sender.
type Sender struct {
	config  Config
	address broker.Address
	vhost   string

	mu   sync.Mutex // Close may come from elsewhere
	live *session   // nil: connect first
}

// New judges the configuration. It does not connect, and reads no file. Its
// errors are *broker.Refusal.
func New(c Config) (*Sender, error) {
	if c.Exchange == "" {
		c.Exchange = DefaultExchange
	}
	if len(c.Exchange) > 255 || strings.ContainsFunc(c.Exchange, func(r rune) bool { return r < ' ' || r == '\'' || r > '~' }) {
		return nil, &broker.Refusal{What: fmt.Sprintf("not an exchange: %q", c.Exchange), Fix: "at most 255 letters, digits and marks"}
	}
	address, err := scheme.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	if err := c.Login.Check(address, c.CAFile); err != nil {
		return nil, err
	}
	s := &Sender{config: c, address: address, vhost: strings.TrimPrefix(address.URL.Path, "/")}
	if s.vhost == "" {
		s.vhost = "/"
	}
	return s, nil
}

// Send publishes the event, as the line of JSON that the event log has, with
// its type as routing key, and returns nil when the broker has confirmed that
// every queue it goes to has it. The message asks to be kept on disk; whether
// it is, is the queue's. Its message id is the event's: a consumer that knows
// the ids it has had is told once.
//
// An event for which no queue is bound, or that is too large, is an error
// about the event. All others match event.ErrUnreachable: no connection, not
// let in, no exchange. Where the broker is there and does not take the event,
// or does not answer, the error is an *event.Unavailable.
func (s *Sender) Send(ctx context.Context, e event.Event) error {
	body, err := e.Line()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil && s.live.channel.IsClosed() {
		s.hangUp()
	}
	if s.live == nil {
		if s.live, err = s.connect(ctx); err != nil {
			return err
		}
	}
	err = s.live.publish(ctx, string(e.Type), amqp091.Publishing{
		ContentType:  "application/cloudevents+json",
		DeliveryMode: amqp091.Persistent,
		MessageId:    e.ID,
		Type:         string(e.Type),
		Timestamp:    e.Time,
		AppId:        "vouch",
		Body:         body,
	})
	if errors.Is(err, event.ErrUnreachable) {
		s.hangUp() // a confirmation that comes later is of no use
	}
	return err
}

// Check reads the files that are shown to the broker, or that vouch for it.
func (s *Sender) Check() error {
	_, _, err := s.files()
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
		s.live.end()
		s.live = nil
	}
}
