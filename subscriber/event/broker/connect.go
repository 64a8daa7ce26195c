package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"vouch/subscriber/event"
	"vouch/subscriber/secret"
)

const maxText = 200 // of a broker's own words, in characters

// Secret reads the text of a secret's file. "" is no file, and no secret.
func Secret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := secret.Text(file)
	if err != nil {
		return "", &Trouble{What: "credentials", Err: err}
	}
	return text, nil
}

// TLS is how a broker at a proves who it is: by a certificate for its host
// from the system's authorities, or from those in caFile alone. It is nil for
// an address without TLS.
func (a Address) TLS(caFile string) (*tls.Config, error) {
	if !a.Secure {
		return nil, nil
	}
	conf := &tls.Config{ServerName: a.Host, MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return conf, nil
	}
	pem, err := secret.Public(caFile)
	if err != nil {
		return nil, &Trouble{What: "ca_file", Err: err}
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(pem) {
		return nil, &Trouble{What: fmt.Sprintf("ca_file: %q: no certificate in it", caFile), Fix: "certificates in PEM, one after the other"}
	}
	return conf, nil
}

// Line is one connection to a broker. It ends with the context of whoever
// waits for something on it, whatever the protocol's library does meanwhile.
type Line struct {
	Err error // why there is no connection

	address Address
	ctx     context.Context // of making it
	conn    net.Conn
	free    func() bool
}

// Line is for one attempt to connect that lasts at most as long as ctx.
func (a Address) Line(ctx context.Context) *Line { return &Line{ctx: ctx, address: a} }

// Dial connects to the line's address, whatever the library asks.
func (l *Line) Dial(network, _ string) (conn net.Conn, err error) {
	defer func() { l.Err = err }()
	var dialer net.Dialer
	conn, err = dialer.DialContext(l.ctx, network, net.JoinHostPort(l.address.Host, l.address.Port))
	if err != nil {
		return nil, err
	}
	// A resolver may not decide that another machine is this one.
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); l.address.local() && (!ok || !remote.IP.IsLoopback()) {
		conn.Close()
		return nil, fmt.Errorf("%s is not this machine", l.address.Host)
	}
	l.conn, l.free = conn, context.AfterFunc(l.ctx, func() { conn.Close() })
	return conn, nil
}

// Keep lets the connection outlive the attempt. It is false when that has
// ended already, and the connection with it.
func (l *Line) Keep() bool { return l.free() }

// During closes the connection when ctx ends before the returned function is
// called.
func (l *Line) During(ctx context.Context) (done func() bool) {
	return context.AfterFunc(ctx, func() { l.conn.Close() })
}

// Hang closes the connection, if there is one.
func (l *Line) Hang() {
	if l.conn != nil {
		l.conn.Close()
	}
}

// Words is the text of an error that may have the broker's own words in it:
// one printable line, not long, and without the secrets.
func Words(err error, secrets ...string) error {
	text := err.Error()
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	return errors.New(event.Printable(text))
}
