package subscriber

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"vouch/imagelist"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// newEvent numbers an event, renders it, and notes who is to hear it. The
// caller puts it into the transaction of the fact it tells.
func (r *run) newEvent(t event.Type, subject string, data any) *metadata.Event {
	n := r.nextNumber()
	e := r.render(n, t, subject, r.at, data)
	row := &metadata.Event{Number: n, Event: e, Pending: map[string]metadata.Delivery{}}
	for _, h := range r.cfg.Handlers {
		if h.Wants(t) {
			row.Pending[h.Name] = metadata.Delivery{}
		}
	}
	if r.clockBehind() {
		row.Since = r.st.Meta.Trusted
	}
	r.st.Events[n] = row
	r.fresh = append(r.fresh, n)
	r.report.Events.Emitted++
	return row
}

// nextNumber takes a number. Numbers ascend for ever within a state; a run
// that dies may leave a gap.
func (r *run) nextNumber() uint64 {
	r.st.Meta.NextEvent++
	return r.st.Meta.NextEvent
}

// render makes an event; our own data always marshals.
func (r *run) render(n uint64, t event.Type, subject string, at time.Time, data any) event.Event {
	e, err := event.New(r.st.Meta.State, n, t, subject, at, data)
	if err != nil {
		panic(fmt.Sprintf("event %s: %v", t, err))
	}
	return e
}

// flushLog appends committed events to events.jsonl and forgets those that
// nobody waits for. The log catches up at the next start if we die before it.
func (r *run) flushLog() error {
	if r.dry {
		return nil
	}
	if err := r.catchUpLog(); err != nil {
		return err
	}
	if r.report.Events.Emitted > r.shown { // a fact shows in the status before it is told
		if err := r.showIndex(); err != nil {
			return err
		}
		if err := r.writeStatus(); err != nil {
			return err
		}
	}
	r.postNew()
	var done []uint64
	for n, e := range r.st.Events {
		if len(e.Pending) == 0 {
			done = append(done, n)
		}
	}
	for _, n := range done {
		delete(r.st.Events, n)
	}
	return r.commitEach(len(done), func(tx *metadata.Tx, i int) { tx.DeleteEvent(done[i]) })
}

// postNew hands the events of this run that are committed and logged to the
// handlers.
func (r *run) postNew() {
	for _, n := range r.fresh {
		if e := r.st.Events[n]; e != nil {
			r.post(e)
		}
	}
	r.fresh, r.shown = nil, r.report.Events.Emitted
}

// catchUpLog appends every committed event the log does not have yet.
func (r *run) catchUpLog() error {
	last := r.elog.Last()
	r.st.Meta.NextEvent = max(r.st.Meta.NextEvent, last)
	var fresh []event.Event
	for _, n := range sortedNumbers(r.st.Events) {
		if n > last && !r.st.Events[n].Event.Bare() { // of a bare one the log had the text, and somebody removed it
			fresh = append(fresh, r.st.Events[n].Event)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := r.elog.Append(fresh...); err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	return nil
}

func sortedNumbers(events map[uint64]*metadata.Event) []uint64 {
	numbers := make([]uint64, 0, len(events))
	for n := range events {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

// imageData is the data of an image event.
func (r *run) imageData(entry event.Image, list *metadata.List) event.ImageData {
	d := event.ImageData{Image: entry}
	if list != nil {
		d.ListVersion, d.ListExpires = list.Entry.Version, list.Entry.Expires
		endorser := list.Entry.Endorser
		d.Endorser = &endorser
	}
	return d
}

// untold finds, by image, the image.available events that some handler has not
// had. When the image leaves they are cancelled: the withdrawal alone is told.
func (r *run) untold() map[string][]*metadata.Event {
	out := map[string][]*metadata.Event{}
	for _, e := range r.st.Events {
		if e.Event.Type == event.ImageAvailable && len(e.Pending) > 0 {
			out[e.Event.Subject] = append(out[e.Event.Subject], e)
		}
	}
	return out
}

// changedKeys names the metadata keys in which two signed entries differ.
func changedKeys(old, new []byte) []string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal(old, &a) != nil || json.Unmarshal(new, &b) != nil {
		return nil
	}
	var keys []string
	for k, v := range b {
		if string(a[k]) != string(v) {
			keys = append(keys, k)
		}
	}
	for k := range a {
		if _, ok := b[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// imageEntry renders an image of a list for the index and events.
func (r *run) imageEntry(list *metadata.List, i *imagelist.Image) event.Image {
	expires := list.Entry.Expires
	if !list.NotAfter.IsZero() && list.NotAfter.Before(expires) {
		expires = list.NotAfter
	}
	if !i.Expires.IsZero() && i.Expires.Before(expires) {
		expires = i.Expires
	}
	id := string(i.Identifier)
	return event.Image{
		Identifier: id, List: list.Entry.Identifier, Subscription: list.Entry.Subscription,
		Title: i.Title, Description: i.Description, Version: i.Version, OS: i.OS, OSVersion: i.OSVersion, Arch: i.Arch,
		Hypervisor: i.Hypervisor, Format: i.Format, Size: i.Size, SHA512: i.SHA512.String(), URI: i.URI,
		VO: list.Entry.VO, MPURI: i.MPURI, Path: endorsedPath(id), Blob: blobPath(i.SHA512),
		Expires: expires.UTC(), Metadata: i.Metadata,
	}
}
