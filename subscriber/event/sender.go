package event

import (
	"context"
	"errors"
	"time"
)

// ErrUnreachable marks an error that says nothing about the event: nobody is
// there, or whoever is there takes nothing at all now. It holds back every
// later event of the handler, not only those of the same image, until it is
// tried again.
var ErrUnreachable = errors.New("unreachable")

// Unavailable is an ErrUnreachable of somebody who is there and answers that
// this is not the time, or does not answer in time. It may be the event's own
// fault after all: one that meets it again and again lets those of other
// images pass.
type Unavailable struct {
	Err   error
	After time.Duration // how long the other side wishes to be left alone; 0 if it does not say
}

func (u *Unavailable) Error() string { return u.Err.Error() }

// Unwrap makes it an ErrUnreachable.
func (u *Unavailable) Unwrap() []error { return []error{ErrUnreachable, u.Err} }

// Sender takes events to another machine: a webhook or a broker.
//
// Send returns nil when the other side has said that it has the event for
// good. Errors that match ErrUnreachable are about the other side, all others
// about this event. It is called by one goroutine, in order, and may be called
// again for the same event: its id is for the receiver to tell.
//
// Close gives up the connection, if there is one; the next Send makes another.
type Sender interface {
	Send(ctx context.Context, e Event) error
	Close() error
}

// send gives e to the handler's sender, within the handler's timeout.
func (h Handler) send(ctx context.Context, e Event) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	ctx, cancel := withTimeout(ctx, h.timeout())
	defer cancel()
	return h.Sender.Send(ctx, e)
}

func (h Handler) timeout() time.Duration {
	if h.Timeout <= 0 {
		return DefaultTimeout
	}
	return h.Timeout
}
