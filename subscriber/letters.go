package subscriber

import (
	"time"

	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// letter is an event that a handler has not had, dead or not.
type letter struct {
	row     *metadata.Event
	handler string
}

// resend makes letters due now. One whose text the log does not
// have any more stays what it is.
func (r *run) resend(letters []letter) error {
	if err := r.recall(letters); err != nil {
		return err
	}
	var changed []*metadata.Event
	for _, l := range letters {
		late := l.row.Pending[l.handler].Dead
		changed = append(changed, l.row)
		if l.row.Event.Bare() {
			d := l.row.Pending[l.handler]
			d.Error, d.Judged = "events.jsonl does not have it any more", time.Time{}
			l.row.Pending[l.handler] = d
			r.report.Events.Dead++
			continue
		}
		l.row.Pending[l.handler] = metadata.Delivery{}
		if late {
			changed = append(changed, r.lastWord(l)...)
		}
	}
	return r.commitEach(len(changed), func(tx *metadata.Tx, i int) { tx.PutEvent(changed[i]) })
}

// recall reads the text of dead letters from the log.
func (r *run) recall(letters []letter) error {
	bare, since := map[string]*metadata.Event{}, time.Time{}
	for _, l := range letters {
		if l.row.Event.Bare() {
			bare[l.row.Event.ID] = l.row
			since = earlier(since, l.row.Event.Time)
		}
	}
	for _, from := range []time.Time{since, {}} { // a clock that was wrong may have misplaced some
		if len(bare) == 0 {
			return nil
		}
		err := event.ReadLog(r.cfg.StateDir, from, func(_ []byte, e event.Event) bool {
			if row := bare[e.ID]; row != nil {
				row.Event = e
				delete(bare, e.ID)
			}
			return len(bare) > 0
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastWord has an image told again that came back after the withdrawal in a
// letter: the letter comes late, and the handler would be left without it.
func (r *run) lastWord(l letter) (rows []*metadata.Event) {
	if !withdraws(l.row.Event.Type) || !r.handler(l.handler).Wants(event.ImageAvailable) {
		return nil
	}
	for key, i := range r.st.Images {
		if key.ID != l.row.Event.Subject || !i.Published || i.Available < l.row.Number {
			continue
		}
		if row := r.st.Events[i.Available]; row != nil {
			if _, owed := row.Pending[l.handler]; owed {
				continue
			}
		}
		rows = append(rows, r.tellAgain(key, i, l.handler))
	}
	return rows
}

// revive takes back the dead letters of a clock that was ahead: they were too
// old at an instant that has not come yet (F-11).
func (r *run) revive() error {
	var letters []letter
	for _, n := range sortedNumbers(r.st.Events) {
		e := r.st.Events[n]
		for name, d := range e.Pending {
			if d.Dead && r.at.Before(d.Judged) && !r.overdue(e, r.handler(name)) {
				letters = append(letters, letter{e, name})
			}
		}
	}
	return r.resend(letters)
}
