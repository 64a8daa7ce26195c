package nats

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
)

// explain says in our words why a message to subject was not acknowledged, and
// what can be done; subject is "" for a connection that was not made.
func (l *session) explain(subject string, err error) error {
	var answer *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return l.refusal(fmt.Sprintf("the event is larger than the server takes (%d bytes)", l.conn.MaxPayload()), "raise max_payload of the NATS server")
	case errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return l.refusal("the event is larger than the stream takes", "raise the largest message size of the stream")
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return l.unavailable(fmt.Sprintf("no stream takes the subject %q", subject), "is JetStream on (jetstream {} in the server's configuration)? nats stream add vouch --subjects='"+l.prefix+".>' --storage=file --dupe-window=24h --defaults")
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return l.unavailable("JetStream is not enabled", "start the server with -js, and let the account use it")
	case errors.Is(err, jetstream.ErrInvalidJSAck):
		return l.unavailable(fmt.Sprintf("who answers on %q is not a stream", subject), "")
	case errors.As(err, &answer):
		return l.unavailable(fmt.Sprintf("the stream refused: %v (error %d)", broker.Words(errors.New(answer.Description), l.secrets...), answer.ErrorCode), "")
	case errors.Is(err, nats.ErrPermissionViolation):
		return l.unavailable("not permitted: "+broker.Words(err, l.secrets...).Error(), "let the user publish to "+l.prefix+".> and subscribe to _INBOX.>")
	}
	return l.explainEnd(err)
}

// explainEnd is about a connection that was not made, or has ended.
func (l *session) explainEnd(err error) error {
	t := &broker.Trouble{What: l.address.String()}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		t.What, t.Fix = t.What+": the server does not let us in", "compare the credential files with the users of the NATS server"
	case errors.Is(err, nats.ErrSecureConnWanted):
		t.What, t.Fix = t.What+": the server does not speak TLS", ""
	case errors.Is(err, nats.ErrConnectionClosed):
		t.What += ": the connection ended"
	case errors.As(err, &certificate):
		t.Err, t.Fix = broker.Words(err), "ca_file names the authority of the server's certificate"
	default:
		t.Err = broker.Words(err, l.secrets...)
	}
	return t
}

// refusal is about this event alone.
func (l *session) refusal(what, fix string) error {
	return &broker.Refusal{What: l.address.String() + ": " + what, Fix: fix}
}

// unavailable is about a server that is there and does not take this event.
func (l *session) unavailable(what, fix string) error {
	return &event.Unavailable{Err: l.refusal(what, fix)}
}
