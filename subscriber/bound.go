package subscriber

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// Every run reads the whole outbox, so it has bounds (F-16). What is more than
// may wait for a handler becomes a dead letter, the least important and oldest
// first; what is more than that leaves the outbox, and is counted. A dead
// letter is a stub: its text is in the event log, which is kept for it.

// mostWaiting is how many events may wait for a handler, beside two for each
// image: a new handler, or a new site, has as many before anybody was slow. As
// many dead letters are kept. A variable for tests.
var mostWaiting = 100_000

const (
	averageEvent = 3 << 10 // bytes: as many events of this size may wait
	nearlyFull   = 0.8     // of the bound is worth a warning

	outboxFilling = "outbox-filling" // code of a problem
)

// outboxRoom is how many events may wait for one handler.
func (r *run) outboxRoom() int { return mostWaiting + 2*len(r.st.Images) }

// fullness is which part of the bound is used.
func (r *run) fullness(events, bytes int) float64 {
	room := float64(r.outboxRoom())
	return max(float64(events)/room, float64(bytes)/(room*averageEvent))
}

// weight is what an event that waits takes of the bound, in bytes.
func weight(e *metadata.Event) int { return len(e.Event.Data) }

// worth orders events by what a handler loses that never hears of them: the
// last to go is that an image left.
func worth(t event.Type) int {
	switch {
	case withdraws(t):
		return 2
	case t == event.ImageAvailable:
		return 1
	}
	return 0
}

func withdraws(t event.Type) bool {
	switch t {
	case event.ImageSuperseded, event.ImageExpired, event.ImageRevoked, event.ImageBlocked, event.ImageDeselected, event.ImageCorrupt:
		return true
	}
	return false
}

// shed brings the outbox within its bounds.
func (r *run) shed() error {
	var changed []*metadata.Event
	for _, h := range r.cfg.Handlers {
		changed = append(changed, r.giveUp(h.Name)...)
		changed = append(changed, r.forget(h.Name)...)
	}
	return r.commitEach(len(changed), func(tx *metadata.Tx, i int) { r.putOwed(tx, changed[i]) })
}

// owed are the events that wait for a handler, or its dead letters.
func (r *run) owed(handler string, dead bool) (rows []*metadata.Event, bytes int) {
	for _, e := range r.st.Events {
		if d, ok := e.Pending[handler]; ok && d.Dead == dead {
			rows, bytes = append(rows, e), bytes+weight(e)
		}
	}
	return rows, bytes
}

// byWorth puts those first that go first.
func byWorth(rows []*metadata.Event) {
	slices.SortFunc(rows, func(a, b *metadata.Event) int {
		return cmp.Or(worth(a.Event.Type)-worth(b.Event.Type), cmp.Compare(a.Number, b.Number))
	})
}

// giveUp makes dead letters of what is more than may wait.
func (r *run) giveUp(handler string) []*metadata.Event {
	rows, bytes := r.owed(handler, false)
	if r.fullness(len(rows), bytes) <= 1 {
		return nil
	}
	byWorth(rows)
	n, why := 0, cmp.Or(r.st.Meta.Down[handler].Error, "it is too slow")
	for n < len(rows) && r.fullness(len(rows)-n, bytes) > 1 {
		bytes -= weight(rows[n])
		d := rows[n].Pending[handler]
		d.Dead, d.Next, d.Error = true, time.Time{}, cmp.Or(d.Error, why)
		rows[n].Pending[handler] = d
		n++
	}
	r.gaveUp(handler, n, fmt.Sprintf("%d events, since more than %d waited: %s", n, len(rows)-n, why), "")
	return rows[:n]
}

// forget drops the dead letters that are more than are kept.
func (r *run) forget(handler string) []*metadata.Event {
	rows, _ := r.owed(handler, true)
	n := len(rows) - r.outboxRoom()
	if n <= 0 {
		return nil
	}
	byWorth(rows)
	for _, e := range rows[:n] {
		delete(e.Pending, handler)
	}
	if r.st.Meta.Lost == nil {
		r.st.Meta.Lost = map[string]int{}
	}
	r.st.Meta.Lost[handler] += n
	return rows[:n]
}

// putOwed stores an event whose deliveries have changed, or deletes it when
// nobody is owed it. Of a dead letter the log alone keeps the text.
func (r *run) putOwed(tx *metadata.Tx, e *metadata.Event) {
	if len(e.Pending) == 0 {
		delete(r.st.Events, e.Number)
		tx.DeleteEvent(e.Number)
		return
	}
	if e.Number <= r.elog.Last() && !waits(e) {
		e.Event.Data = nil
	}
	tx.PutEvent(e)
}

// waits says whether some handler is still to be told.
func waits(e *metadata.Event) bool {
	for _, d := range e.Pending {
		if !d.Dead {
			return true
		}
	}
	return false
}

// boundProblems says how near a handler is to losing events, and what it lost.
func (r *run) boundProblems(h HandlerStatus) []Problem {
	var found []Problem
	subject := "handler " + h.Name
	if h.Dead > 0 || h.Lost > 0 {
		detail, hint := fmt.Sprintf("%d events were given up", h.Dead), "vouch event ls --dead shows them; mend the handler, then: vouch event retry"
		if h.Lost > 0 {
			detail += fmt.Sprintf(", and %d before them that only events.jsonl has", h.Lost)
			hint += "; or give the handler another name: it is told of everything published"
		}
		found = append(found, Problem{Severity: "critical", Subject: subject, Code: deadLetter, Detail: detail, Hint: hint})
	}
	if h.Full >= nearlyFull {
		found = append(found, Problem{Severity: "warning", Subject: subject, Code: outboxFilling,
			Detail: fmt.Sprintf("%d events wait, %.0f %% of what may", h.Pending, 100*h.Full),
			Hint:   "mend the handler; otherwise events are given up, the oldest first and withdrawals last"})
	}
	return found
}
