package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
)

// goodbye is how long a broker may take to agree to the end.
const goodbye = time.Second

// session is one connection with one channel. It is never mended: what happens
// to it ends it.
type session struct {
	*Sender
	line     *broker.Line
	conn     *amqp091.Connection
	channel  *amqp091.Channel
	returned chan amqp091.Return // what no queue takes; comes before its confirmation
	closed   chan *amqp091.Error
	blocked  atomic.Bool // the broker has an alarm and reads no more
	password string
}

// files is what the configured files say.
func (s *Sender) files() (amqp091.PlainAuth, *tls.Config, error) {
	login := amqp091.PlainAuth{Username: "guest", Password: "guest"}
	conf, err := s.address.TLS(s.config.CAFile)
	if err != nil || s.config.Login.UsernameFile == "" {
		return login, conf, err
	}
	if login.Username, err = broker.Secret(s.config.Login.UsernameFile); err == nil {
		login.Password, err = broker.Secret(s.config.Login.PasswordFile)
	}
	return login, conf, err
}

// connect asks to be let in.
func (s *Sender) connect(ctx context.Context) (*session, error) {
	login, conf, err := s.files()
	if err != nil {
		return nil, err
	}
	l := &session{Sender: s, line: s.address.Line(ctx), password: login.Password}
	err = l.open(amqp091.Config{
		SASL: []amqp091.Authentication{&login}, Vhost: s.vhost, TLSClientConfig: conf, Dial: l.line.Dial,
		Properties: amqp091.Table{"product": "vouch", "connection_name": "vouch"},
	})
	if err == nil && l.line.Keep() {
		return l, nil
	}
	l.end()
	if ctx.Err() != nil {
		return nil, &broker.Trouble{What: s.address.String() + ": not let in", Err: context.Cause(ctx)}
	}
	return nil, l.explainEnd(err)
}

func (l *session) open(c amqp091.Config) error {
	var err error
	if l.conn, err = amqp091.DialConfig(l.address.String(), c); err != nil {
		return err
	}
	blocked := l.conn.NotifyBlocked(make(chan amqp091.Blocking))
	go func() { // until the library closes it
		for b := range blocked {
			l.blocked.Store(b.Active)
		}
	}()
	if l.channel, err = l.conn.Channel(); err != nil {
		return err
	}
	l.returned = l.channel.NotifyReturn(make(chan amqp091.Return, 1))
	l.closed = l.channel.NotifyClose(make(chan *amqp091.Error, 1))
	return l.channel.Confirm(false)
}

// publish waits for the broker's word.
func (l *session) publish(ctx context.Context, key string, m amqp091.Publishing) error {
	defer l.line.During(ctx)()
	// Mandatory: without a queue a message is returned, and confirmed.
	sent, err := l.channel.PublishWithDeferredConfirm(l.config.Exchange, key, true, false, m)
	if err == nil {
		select {
		case <-sent.Done():
		case <-ctx.Done(): // which ends the connection too
		}
	}
	switch {
	case err == nil && sent.Acked():
		return l.routed(key)
	case ctx.Err() != nil && l.blocked.Load():
		return &event.Unavailable{Err: fmt.Errorf("%v: the broker takes no messages while it is short of memory or disk: %w", l.address, context.Cause(ctx))}
	case ctx.Err() != nil:
		return &event.Unavailable{Err: fmt.Errorf("%v: no confirmation: %w", l.address, context.Cause(ctx))}
	}
	select {
	case end := <-l.closed: // comes before its confirmations are given up
		if end != nil {
			err = end
		}
	default:
	}
	if err == nil {
		return l.unavailable("the broker did not take the event", "a queue that is full and rejects what comes is one reason")
	}
	return l.explain(key, err)
}

// routed tells whether a confirmed message went to a queue.
func (l *session) routed(key string) error {
	select {
	case <-l.returned:
		return l.refusal(fmt.Sprintf("no queue takes %q from exchange %q", key, l.config.Exchange),
			fmt.Sprintf("bind one: rabbitmqadmin declare binding source='%s' destination=QUEUE routing_key='#'; or name other events for the handler", l.config.Exchange))
	default:
		return nil
	}
}

// end says goodbye, if there is anybody to say it to.
func (l *session) end() {
	if l.returned != nil {
		go func() { // what is sent here still would stop the library
			for range l.returned {
			}
		}()
	}
	if l.conn != nil {
		l.conn.CloseDeadline(time.Now().Add(goodbye))
	}
	l.line.Hang()
}

// explain says in our words why an event was not confirmed.
func (l *session) explain(key string, err error) error {
	var said *amqp091.Error
	if !errors.As(err, &said) || !said.Server {
		return l.explainEnd(err)
	}
	switch said.Code {
	case amqp091.NotFound:
		return &broker.Trouble{What: fmt.Sprintf("%v: no exchange %q in vhost %q", l.address, l.config.Exchange, l.vhost),
			Fix: fmt.Sprintf("rabbitmqadmin declare exchange name='%s' type=topic durable=true", l.config.Exchange)}
	case amqp091.AccessRefused:
		return l.unavailable(fmt.Sprintf("not permitted to write %q to exchange %q", key, l.config.Exchange),
			fmt.Sprintf("rabbitmqctl set_permissions -p '%s' USER '^$' '^%s$' '^$'", l.vhost, l.config.Exchange))
	case amqp091.PreconditionFailed, amqp091.ContentTooLarge:
		return l.refusal("the broker refused the event: "+broker.Words(said, l.password).Error(), "max_message_size of the broker bounds what it takes")
	}
	return l.explainEnd(err)
}

// explainEnd is about a connection that was not made, or has ended.
func (l *session) explainEnd(err error) error {
	t := &broker.Trouble{What: l.address.String()}
	var certificate *tls.CertificateVerificationError
	var said *amqp091.Error
	switch {
	case errors.As(err, &certificate):
		t.Err, t.Fix = broker.Words(err), "ca_file names the authority of the broker's certificate"
	case errors.Is(err, amqp091.ErrCredentials):
		t.What += ": the broker does not let us in"
		t.Fix = "compare the credential files with the broker's users"
	case errors.Is(err, amqp091.ErrVhost), errors.As(err, &said) && said.Code == amqp091.NotAllowed:
		t.What += fmt.Sprintf(": no vhost %q for this user", l.vhost)
		t.Fix = fmt.Sprintf("rabbitmqctl add_vhost '%s', and set_permissions for the user there", l.vhost)
	default:
		t.Err = broker.Words(err, l.password)
	}
	return t
}

// refusal is about this event alone.
func (l *session) refusal(what, fix string) error {
	return &broker.Refusal{What: l.address.String() + ": " + what, Fix: fix}
}

// unavailable is about a broker that is there and does not take this event.
func (l *session) unavailable(what, fix string) error {
	return &event.Unavailable{Err: l.refusal(what, fix)}
}
