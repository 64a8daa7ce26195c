package event

import (
	"context"
	"fmt"
	"path"
	"time"
)

// PrefixTimeout bounds one announcement. A run that announces to several
// handlers gives them a context that ends this long after the first began:
// contract §6 grants it per handler and run for all of them together.
const PrefixTimeout = 30 * time.Second

// DefaultTimeout bounds a handler that has none configured.
const DefaultTimeout = 15 * time.Minute

// Wants reports whether the handler is to be told of events of this type.
//
// Without Events that is everything; for a vmcatcher handler sync.* and
// image.* without image.announced. With Events it is what one of the globs
// (path.Match) matches: image.* or image.announced among them makes a
// vmcatcher handler hear SubscriptionImageNew. A type without a vmcatcher
// name is never wanted by a vmcatcher handler, whatever the globs say. A
// malformed glob matches nothing.
func (h Handler) Wants(t Type) bool {
	if h.VMCatcher {
		if _, ok := legacySteps[t]; !ok {
			return false
		}
		if len(h.Events) == 0 {
			return t != ImageAnnounced
		}
	}
	for _, glob := range h.Events {
		if ok, err := path.Match(glob, string(t)); ok && err == nil {
			return true
		}
	}
	return len(h.Events) == 0
}

// Announce tells a vmcatcher handler what is about to happen: AvailablePrefix
// or ExpirePrefix. For other handlers, and types without such a name, it does
// nothing. It takes at most PrefixTimeout and the handler's own timeout.
//
// An announcement is best effort: the caller goes on whatever the error says,
// and does not announce the same event again.
func (h Handler) Announce(ctx context.Context, e Event, p Place) error {
	step := legacySteps[e.Type]
	if !h.VMCatcher || step.before == nil {
		return nil
	}
	ctx, cancel := withTimeout(ctx, PrefixTimeout)
	defer cancel()
	_, err := h.call(ctx, e, p, *step.before)
	return err
}

// Deliver tells the handler that e is a fact. A nil error means delivered:
// the program ran and exited 0. With prefix a vmcatcher handler gets the
// announcement first; whether that works does not count, but its error is
// added to that of a delivery that fails.
//
// It does not ask Wants, except that a vmcatcher handler is never run for a
// type without a vmcatcher name: then it returns at once, without an error.
//
// Errors are one printable line that names the handler, the type, how the
// program ended, and the last line of its standard error. They wrap
// context.DeadlineExceeded after the handler's timeout, ctx's own error when
// ctx ended, and *exec.ExitError when the program ended by itself.
//
// When ctx or the timeout ends, the program's process group gets SIGTERM and
// two seconds later SIGKILL; so does at once what left the group and still has
// the event's environment. Descendants of a program that ended by itself go
// on, and are not waited for.
func (h Handler) Deliver(ctx context.Context, e Event, p Place, prefix bool) (Receipt, error) {
	if !h.VMCatcher {
		return h.call(ctx, e, p, legacyType{})
	}
	step, ok := legacySteps[e.Type]
	if !ok {
		return Receipt{}, nil
	}
	var announced error
	if prefix {
		announced = h.Announce(ctx, e, p)
	}
	receipt, err := h.call(ctx, e, p, step.after)
	if err != nil && announced != nil {
		err = fmt.Errorf("%w; before that: %w", err, announced)
	}
	return receipt, err
}

// call is one run of a handler's program.
type call struct {
	event  Event
	place  Place
	legacy legacyType // the zero value for a handler that is not vmcatcher's
	payload
}

// call runs the handler's program once for e, under vmcatcher's name for it.
func (h Handler) call(ctx context.Context, e Event, p Place, legacy legacyType) (Receipt, error) {
	name := string(e.Type)
	if legacy.name != "" {
		name += " (" + legacy.name + ")"
	}
	receipt, err := h.tell(ctx, call{event: e, place: p, legacy: legacy})
	if err != nil {
		return Receipt{}, fmt.Errorf("handler %s: %s: %w", Printable(h.Name), Printable(name), err)
	}
	return receipt, nil
}

func (h Handler) tell(ctx context.Context, c call) (Receipt, error) {
	if h.Sender == nil {
		return h.run(ctx, c)
	}
	return Receipt{}, h.send(ctx, c.event)
}
