// Package webhook tells events to an HTTP endpoint: CloudEvents 1.0 in
// structured mode, signed as Standard Webhooks 1.0 says.
//
//	POST /vouch HTTP/1.1
//	Content-Type: application/cloudevents+json; charset=utf-8
//	Webhook-Id: <event id>
//	Webhook-Timestamp: <seconds since 1970, of this attempt>
//	Webhook-Signature: v1,<base64 of HMAC-SHA-256> [v1,…]
//
//	{"specversion":"1.0","id":…}
//
// The body is the event's line of the log, byte for byte. What is signed is
// id, timestamp and body, joined by dots; there is one signature for each
// secret. A receiver must compare in constant time, refuse a timestamp that is
// more than a few minutes off, and know an id it has had.
//
// Addresses are judged as those of lists are (T-20, T-30): see fetch.Poster.
package webhook

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"vouch/subscriber/event"
	"vouch/subscriber/fetch"
	"vouch/subscriber/secret"
)

// Config is one endpoint.
type Config struct {
	URL           string         // http or https
	SecretFile    string         // see ReadSecrets; "" signs nothing
	CAFile        string         // PEM: who vouches for the server; "" does as lists do:
	TLS           string         // system | anchors (see Trust) | both
	AllowNetworks []netip.Prefix // non-public addresses that the URL's name may have
}

// Sender tells events to one endpoint. It implements event.Sender.
//
// The first Send after New or Close reads secrets and certificates, so that a
// new secret counts from the next run on.
type Sender struct {
	config  Config
	anchors []*x509.Certificate
	poster  *fetch.Poster
	secrets [][]byte
}

// New makes a Sender; it reads nothing and connects nowhere.
func New(c Config) *Sender { return &Sender{config: c} }

// Trust is called before the first Send with the trust anchors of the run.
func (s *Sender) Trust(anchors []*x509.Certificate) { s.anchors = anchors }

// Send posts one event. Any 2xx means delivered.
//
// Errors are event.ErrUnreachable, except for a 4xx that is about this event.
// They name the status in our words, never the URL or what the server said.
func (s *Sender) Send(ctx context.Context, e event.Event) error {
	body, err := e.Line()
	if err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return fmt.Errorf("%w: %w", event.ErrUnreachable, err)
	}
	answer, err := s.poster.Post(ctx, s.header(e.ID, time.Now(), body), body)
	if err != nil {
		return unanswered(ctx, err)
	}
	return judge(answer)
}

// Close gives up the connection and forgets the secrets. Its error is nil.
func (s *Sender) Close() error {
	if s.poster != nil {
		s.poster.Close()
	}
	s.poster, s.secrets = nil, nil
	return nil
}

// Check does what the first Send does before it connects.
func (s *Sender) Check() error { return errors.Join(s.open(), s.Close()) }

func (s *Sender) open() error {
	if s.poster != nil {
		return nil
	}
	c := fetch.Config{AllowNetworks: s.config.AllowNetworks, UserAgent: "vouch"}
	var err error
	if c.TLS, c.Anchors, err = s.roots(); err != nil {
		return err
	}
	if s.config.SecretFile != "" {
		if s.secrets, err = ReadSecrets(s.config.SecretFile); err != nil {
			return err
		}
	}
	poster, err := fetch.NewPoster(s.config.URL, c)
	if err != nil {
		return errors.New(detail(err))
	}
	s.poster = poster
	return nil
}

// roots is who may vouch for the server, in the words of fetch.Config.
func (s *Sender) roots() (string, []*x509.Certificate, error) {
	switch {
	case s.config.CAFile != "":
		certificates, err := readCertificates(s.config.CAFile)
		return "anchors", certificates, err
	case s.config.TLS == "anchors" || s.config.TLS == "both":
		return s.config.TLS, s.anchors, nil
	}
	return "system", nil, nil
}

func readCertificates(file string) ([]*x509.Certificate, error) {
	text, err := secret.Public(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("ca_file %s: %w", file, err)
		}
		certificates = append(certificates, c)
	}
	if len(certificates) == 0 {
		return nil, fmt.Errorf("ca_file %s: no certificate in it", file)
	}
	return certificates, nil
}

// header is what goes before the body of one attempt.
func (s *Sender) header(id string, now time.Time, body []byte) http.Header {
	stamp := strconv.FormatInt(now.Unix(), 10)
	h := http.Header{}
	h.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	if len(s.secrets) > 0 {
		h.Set("Webhook-Signature", signatures(s.secrets, id, stamp, body))
	}
	return h
}

// unanswered is the error of a request without an answer. A server that lets
// us wait may do so because of this event.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return fmt.Errorf("%w: %s", event.ErrUnreachable, detail(err))
	}
	return &event.Unavailable{Err: fmt.Errorf("no answer: %w", context.Cause(ctx))}
}

// judge turns an answer into what Send returns. A status that would meet every
// event holds back all of them: among those below 500 that is one about the
// address, the credentials or the pace.
func judge(a fetch.Answer) error {
	err := fmt.Errorf("the server answered %s", a)
	switch {
	case a.Status >= 200 && a.Status <= 299:
		return nil
	case a.Status >= 300 && a.Status <= 399:
		return &event.Unavailable{Err: fmt.Errorf("%w: redirects are not followed, name the new address", err)}
	case a.Status >= 400 && a.Status <= 499 && !general(a.Status):
		return err
	}
	return &event.Unavailable{Err: err, After: a.RetryAfter}
}

func general(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone,
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusMisdirectedRequest:
		return true
	}
	return false
}

// detail is what fetch says without the URL: many a webhook's path is a secret.
func detail(err error) string {
	var e *fetch.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return err.Error()
}
