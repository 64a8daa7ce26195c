package subscriber

import (
	"encoding/json"
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
	if len(letters) == 0 {
		return nil
	}
	if err := r.recall(letters); err != nil {
		return err
	}
	var changed []*metadata.Event
	images := map[int]*metadata.Image{} // by the place of their event in changed
	told := r.st.Meta.NextEvent
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
		if !late {
			continue
		}
		r.bringUpToDate(l.row)
		if row, i := r.lastWord(l, told); row != nil {
			images[len(changed)] = i
			changed = append(changed, row)
		}
	}
	if err := r.commitEach(len(changed), func(tx *metadata.Tx, i int) {
		if images[i] != nil {
			tx.PutImage(images[i])
		}
		tx.PutEvent(changed[i])
	}); err != nil {
		return err
	}
	return r.catchUpLog()
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

// bringUpToDate has a letter that comes late say what is true now: what changed
// afterwards may have been told before it.
func (r *run) bringUpToDate(row *metadata.Event) {
	e := row.Event
	key, i := r.publishedAs(e.Subject)
	var then event.ImageData
	if i == nil || e.Type != event.ImageAvailable && e.Type != event.ImageUpdated || json.Unmarshal(e.Data, &then) != nil {
		return
	}
	now := r.imageData(i.Entry, r.st.Lists[key.List])
	now.Replaces, now.Changed = then.Replaces, then.Changed
	row.Event = r.render(row.Number, e.Type, e.Subject, e.Time, now)
}

// lastWord has an image told again that came back after the withdrawal in a
// letter: the letter comes late, and the handler would be left without it. The
// event is a new one, not one of those told: their ids may be remembered, and
// then it would be taken for one that comes twice.
func (r *run) lastWord(l letter, told uint64) (*metadata.Event, *metadata.Image) {
	if !withdraws(l.row.Event.Type) || !r.handler(l.handler).Wants(event.ImageAvailable) {
		return nil, nil
	}
	key, i := r.publishedAs(l.row.Event.Subject)
	if i == nil || i.Available < l.row.Number {
		return nil, nil
	}
	if row := r.st.Events[i.Available]; row != nil {
		if _, owed := row.Pending[l.handler]; owed {
			return nil, nil
		}
	}
	if i.Available <= told {
		i.Available = 0
	}
	return r.tellAgain(key, i, l.handler), i
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
