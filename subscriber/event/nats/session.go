package nats

import (
	"context"
	"crypto/tls"
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
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	l := &session{address: s.address, prefix: s.config.Subject, line: s.address.Line(ctx), trouble: make(chan error, 1)}
	l.secrets = []string{files.password, files.token, files.credentials}
	if l.conn, err = nats.Connect(s.address.String(), l.options(files)...); err == nil {
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

// secrets are what the configured files hold.
type secrets struct {
	tls                                    *tls.Config
	username, password, token, credentials string
}

func (s *Sender) files() (files secrets, err error) {
	login := s.config.Login
	for _, file := range []struct {
		name string
		to   *string
	}{
		{login.UsernameFile, &files.username}, {login.PasswordFile, &files.password},
		{login.TokenFile, &files.token}, {login.CredentialsFile, &files.credentials},
	} {
		if *file.to, err = broker.Secret(file.name); err != nil {
			return secrets{}, err
		}
	}
	files.tls, err = s.address.TLS(s.config.CAFile)
	return files, err
}

// options is how l is connected, with what is shown to the server.
func (l *session) options(files secrets) []nats.Option {
	options := []nats.Option{
		nats.Name("vouch"), nats.NoReconnect(), nats.SkipHostLookup(), nats.IgnoreDiscoveredServers(),
		nats.SetCustomDialer(l.line), nats.Timeout(time.Hour), nats.FlusherTimeout(time.Hour), // ctx ends it
		nats.PingInterval(30 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.complain(err) }),
		nats.ClosedHandler(func(c *nats.Conn) { l.complain(errors.Join(nats.ErrConnectionClosed, c.LastError())) }),
	}
	if files.tls != nil {
		options = append(options, nats.Secure(files.tls))
	}
	switch {
	case files.username != "":
		options = append(options, nats.UserInfo(files.username, files.password))
	case files.token != "":
		options = append(options, nats.Token(files.token))
	case files.credentials != "":
		options = append(options, nats.UserCredentialBytes([]byte(files.credentials)))
	}
	return options
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
