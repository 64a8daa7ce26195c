package main

import (
	"errors"

	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/event/amqp"
	"vouch/subscriber/event/broker"
	"vouch/subscriber/event/nats"
)

// readNATS reads where a stream is (package nats).
func readNATS(n node) makeSender {
	var c nats.Config
	f := loginFields(&c.Login, &c.CAFile)
	f["url"] = textTo(&c.URL)
	f["subject"] = textTo(&c.Subject)
	f["token_file"] = orEmpty(pathTo(&c.Login.TokenFile))
	f["credentials_file"] = orEmpty(pathTo(&c.Login.CredentialsFile))
	n.object(f)
	return judged(n, func() (event.Sender, error) { return nats.New(c) })
}

// readAMQP reads where an exchange is (package amqp).
func readAMQP(n node) makeSender {
	var c amqp.Config
	f := loginFields(&c.Login, &c.CAFile)
	f["url"] = textTo(&c.URL)
	f["exchange"] = textTo(&c.Exchange)
	n.object(f)
	return judged(n, func() (event.Sender, error) { return amqp.New(c) })
}

func loginFields(l *broker.Login, ca *string) fields {
	return fields{
		"username_file": orEmpty(pathTo(&l.UsernameFile)),
		"password_file": orEmpty(pathTo(&l.PasswordFile)),
		"ca_file":       orEmpty(pathTo(ca)),
	}
}

// judged makes the sender; what is wrong with it is said where it is
// configured.
func judged(n node, makeIt func() (event.Sender, error)) makeSender {
	n.need("url")
	if !n.has("url") {
		return nil
	}
	s, err := makeIt()
	if wrong := (*broker.Refusal)(nil); errors.As(err, &wrong) {
		n.fail(wrong.What, wrong.Fix)
		return nil
	}
	return func(*subscriber.Config) event.Sender { return s }
}
