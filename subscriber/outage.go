package subscriber

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// A handler that takes nothing is one fact, not one for each event: there is
// one attempt for each step of its back-off, whatever waits behind it. The row
// of the state keeps it (metadata.Down); the events behind are not touched.

// holdsBack says that an error is about the handler rather than the event: a
// hundred events would be a hundred of it.
func holdsBack(err error) bool {
	return errors.Is(err, event.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded)
}

// leftAlone says that a handler is not asked in this run. A run that is not
// paced asks it once.
func (r *run) leftAlone(handler string) bool {
	return r.early(r.st.Meta.Down[handler].Next)
}

// early says that it is not yet time for an attempt.
func (r *run) early(next time.Time) bool { return r.paced && !r.afresh && r.ahead(next) }

// ahead says that a next attempt lies ahead. One that lies further ahead than
// anybody is left alone was noted by a clock that was wrong, and is due (F-11).
func (r *run) ahead(next time.Time) bool {
	return next.After(r.at) && next.Sub(r.now()) < longestWish+time.Minute
}

// now is the run's instant, moved on: a handler may take its time to fail.
func (r *run) now() time.Time { return r.at.Add(time.Since(r.begun)) }

// noteDown counts an attempt that says a handler takes nothing.
func (r *run) noteDown(h event.Handler, err error) {
	down, now := r.st.Meta.Down[h.Name], r.now()
	if down.Attempts == 0 || down.Since.After(now) { // noted by a clock that was ahead
		down.Since = now
	}
	down.Attempts++
	down.Next = now.Add(pause(h, down.Attempts, err))
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without the event that it happened to meet
	}
	down.Error = event.Printable(inFull(err))
	if r.st.Meta.Down == nil {
		r.st.Meta.Down = map[string]metadata.Down{}
	}
	r.st.Meta.Down[h.Name] = down
}

// noteUp forgets that a handler took nothing; false when it did not.
func (r *run) noteUp(handler string) bool {
	_, down := r.st.Meta.Down[handler]
	delete(r.st.Meta.Down, handler)
	return down
}

// pause is how long a handler is left alone after so many attempts: as long as
// it wishes, if that is longer than we would.
func pause(h event.Handler, attempts int, err error) time.Duration {
	if h.VMCatcher {
		return backoffLast // three attempts within seconds would not outlast a cloud's restart
	}
	d := backoff(attempts)
	var u *event.Unavailable
	if errors.As(err, &u) {
		d = max(d, min(u.After, longestWish))
	}
	return d
}

// backoff doubles from a second to a quarter of an hour, with jitter.
func backoff(attempts int) time.Duration {
	d := min(backoffLast, backoffFirst<<min(attempts-1, 20))
	return d/2 + rand.N(d/2+1)
}

// overdue says that an event's time with a handler is over. That of a new
// handler begins when it is met: it is told of old facts.
func (r *run) overdue(row *metadata.Event, h event.Handler) bool {
	since := latest(latest(row.Event.Time, row.Since), r.st.Meta.Handlers[h.Name])
	return r.at.Sub(since) >= h.MaxAge
}

// bury gives up what is overdue behind an event that a handler did not take,
// and returns the rows: nothing waits for ever unseen.
func (r *run) bury(h event.Handler) []*metadata.Event {
	var buried []*metadata.Event
	for _, n := range sortedNumbers(r.st.Events) {
		row := r.st.Events[n]
		if d, owed := row.Pending[h.Name]; owed && !d.Dead && r.overdue(row, h) {
			d.Dead, d.Judged, d.Next, d.Error = true, r.at, time.Time{}, r.st.Meta.Down[h.Name].Error
			row.Pending[h.Name] = d
			buried = append(buried, row)
		}
	}
	if n := len(buried); n > 0 {
		r.gaveUp(h.Name, n, fmt.Sprintf("%d events that waited: %s", n, r.st.Meta.Down[h.Name].Error), "")
	}
	return buried
}

// gaveUp reports new dead letters; an empty id is all of them. A daemon's
// deliveries between two passes have no report that says which.
func (r *run) gaveUp(handler string, n int, detail, id string) {
	r.report.Events.Dead += n
	retry := "mend the handler, then: vouch event retry"
	if id != "" {
		retry += " " + id
	}
	if r.paced {
		r.log.Warn("event given up", "handler", handler, "detail", detail, "hint", retry)
	}
	r.problem("critical", "handler "+handler, deadLetter, detail, retry)
}

// dropUnknownHandlers forgets handlers that are configured no more, and
// deliveries to them.
func (r *run) dropUnknownHandlers() {
	for name := range r.st.Meta.Down {
		if r.handler(name).Name == "" {
			delete(r.st.Meta.Down, name)
		}
	}
	for name := range r.st.Meta.Lost {
		if r.handler(name).Name == "" {
			delete(r.st.Meta.Lost, name)
		}
	}
	for _, e := range r.st.Events {
		for name := range e.Pending {
			if r.handler(name).Name == "" {
				delete(e.Pending, name)
			}
		}
	}
}
