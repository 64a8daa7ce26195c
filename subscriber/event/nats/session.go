package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
)

// session is one connection. It is never mended: what happens to it ends it.
type session struct {
	address broker.Address
	prefix  string // of subjects
	line    *broker.Line
	conn    *nats.Conn
	stream  jetstream.JetStream
	trouble chan error // what the server says out of turn, and the end
	secrets []string
}

// connect asks to be let in.
func (s *Sender) connect(ctx context.Context) (*session, error) {
	l := &session{address: s.address, prefix: s.config.Subject, line: s.address.Line(ctx), trouble: make(chan error, 1)}
	options, err := s.options(l)
	if err != nil {
		return nil, err
	}
	if l.conn, err = nats.Connect(s.address.String(), options...); err == nil {
		l.stream, err = jetstream.New(l.conn)
	}
	if err == nil && l.line.Keep() {
		return l, nil
	}
	if l.conn != nil {
		l.conn.Close()
	}
	if l.line.Err != nil { // the library has no words for it
		err = l.line.Err
	}
	if ctx.Err() != nil {
		return nil, &broker.Trouble{What: l.address.String() + ": not let in", Err: context.Cause(ctx)}
	}
	return nil, l.explain("", err)
}

// options is how l is connected, with what is shown to the server.
func (s *Sender) options(l *session) ([]nats.Option, error) {
	tls, err := s.address.TLS(s.config.CAFile)
	if err != nil {
		return nil, err
	}
	options := []nats.Option{
		nats.Name("vouch"), nats.NoReconnect(), nats.SkipHostLookup(), nats.IgnoreDiscoveredServers(),
		nats.SetCustomDialer(l.line), nats.Timeout(time.Hour), nats.FlusherTimeout(time.Hour), // ctx ends it
		nats.PingInterval(30 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.complain(err) }),
		nats.ClosedHandler(func(c *nats.Conn) { l.complain(errors.Join(nats.ErrConnectionClosed, c.LastError())) }),
	}
	if tls != nil {
		options = append(options, nats.Secure(tls))
	}
	login := s.config.Login
	var texts [4]string
	for i, file := range []string{login.UsernameFile, login.PasswordFile, login.TokenFile, login.CredentialsFile} {
		if texts[i], err = broker.Secret(file); err != nil {
			return nil, err
		}
	}
	l.secrets = texts[1:]
	switch {
	case login.UsernameFile != "":
		options = append(options, nats.UserInfo(texts[0], texts[1]))
	case login.TokenFile != "":
		options = append(options, nats.Token(texts[2]))
	case login.CredentialsFile != "":
		options = append(options, nats.UserCredentialBytes([]byte(texts[3])))
	}
	return options, nil
}

func (l *session) complain(err error) {
	select {
	case l.trouble <- err:
	default: // the first one counts
	}
}

// publish waits for the stream's word.
func (l *session) publish(ctx context.Context, m *nats.Msg) error {
	defer l.line.During(ctx)()
	select {
	case <-l.trouble: // of an earlier event
	default:
	}
	err := l.await(ctx, m)
	if err != nil && ctx.Err() != nil { // which ends the connection too
		return &event.Unavailable{Err: fmt.Errorf("%v: no acknowledgement: %w", l.address, context.Cause(ctx))}
	}
	if err != nil {
		return l.explain(m.Subject, err)
	}
	return nil
}

func (l *session) await(ctx context.Context, m *nats.Msg) error {
	// The outbox has the patience for another try, with its own pauses.
	sent, err := l.stream.PublishMsgAsync(m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return err
	}
	refused := sent.Err()
	select {
	case <-sent.Ok():
		return nil
	case err = <-refused:
	case err = <-l.trouble:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return err
}
