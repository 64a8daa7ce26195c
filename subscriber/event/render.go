package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const sourcePrefix = "urn:uuid:"

// New renders event number of the given state id; numbers begin at 1. The
// subject is an image or list identifier, "" for sync.* events; data is an
// ImageData, ListData or SyncData. The time is kept in UTC.
func New(state string, number uint64, t Type, subject string, at time.Time, data any) (Event, error) {
	if state == "" || number == 0 {
		return Event{}, fmt.Errorf("event %d: %s: no state id or number", number, t)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("event %d: %s: %w", number, t, err)
	}
	return Event{
		SpecVersion: "1.0",
		ID:          state + "-" + strconv.FormatUint(number, 10),
		Source:      sourcePrefix + state,
		Type:        t,
		Subject:     subject,
		Time:        at.Round(0).UTC(),
		ContentType: "application/json",
		Data:        raw,
	}, nil
}

// Number is the number in the event's id. It is false for an id that New did
// not make: one that is not <state id>-<number> with the state id of Source.
func (e Event) Number() (uint64, bool) {
	digits, ok := strings.CutPrefix(e.ID, e.state()+"-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || n == 0 || e.state() == "" || strconv.FormatUint(n, 10) != digits {
		return 0, false
	}
	return n, true
}

// state is the state id the event belongs to.
func (e Event) state() string { return strings.TrimPrefix(e.Source, sourcePrefix) }

// Line is the event as handlers and the log get it: one line of JSON without
// its end, safe to print on a terminal. The same event is the same bytes.
func (e Event) Line() ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event %q: %w", e.ID, err)
	}
	return PrintableJSON(raw), nil
}

// payload is what environments need of an event's data, whatever its type.
type payload struct {
	image       ImageData // image.* only
	reason      string
	endorser    string // DN
	listVersion string
	listExpires time.Time
}

// payload reads the data back. An event is stored as it was committed and
// told from there, so that a delivery years of versions later says the same.
func (e Event) payload() (payload, error) {
	family, _, _ := strings.Cut(string(e.Type), ".")
	var p payload
	var err error
	switch family {
	case "image":
		if err = json.Unmarshal(e.Data, &p.image); err != nil {
			break
		}
		p.reason, p.listVersion, p.listExpires = p.image.Reason, p.image.ListVersion, p.image.ListExpires
		if p.image.Endorser != nil {
			p.endorser = p.image.Endorser.DN
		}
	case "list":
		var data ListData
		if err = json.Unmarshal(e.Data, &data); err != nil {
			break
		}
		p.reason = data.Reason
		if l := data.List; l != nil {
			p.endorser, p.listVersion, p.listExpires = l.Endorser.DN, l.Version, l.Expires
		}
	}
	if err != nil {
		return payload{}, fmt.Errorf("event %q: data: %w", e.ID, err)
	}
	return p, nil
}
