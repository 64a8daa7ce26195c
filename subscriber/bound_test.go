package subscriber_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// gather makes a sender take everything, and keeps its text.
func (m *mood) gather() map[string]string {
	texts := map[string]string{}
	m.answer = func(e event.Event) error { texts[string(e.Type)+" "+e.Subject] = string(e.Data); return nil }
	return texts
}

func shows(st *subscriber.Status, severity, code, detail string) bool {
	return slices.ContainsFunc(st.Problems, func(p subscriber.Problem) bool {
		return p.Severity == severity && p.Code == code && strings.Contains(p.Detail, detail)
	})
}

// F-16: the outbox is bounded by number. It is said before, what is more is a
// dead letter, that an image left is the last to go, and all of it can be told
// in the end.
func TestF16_Bound(t *testing.T) {
	defer subscriber.WaitAtMost(6)() // and two for each image
	w := published(t)
	m := moody(w, gone)
	w.Config.Handlers[0].FromNow = true
	w.SyncAt(w.At.Add(time.Minute))
	w.Publish("1.1", image{ID: "a", Content: "alpha"}) // b is revoked
	w.SyncAt(w.At.Add(2 * time.Minute))
	if h := statusOf(t, w).Handlers[0]; h.Pending != 1 || h.Full != 0.125 {
		t.Errorf("at first: %+v", h)
	}
	title := func(n int) {
		w.Publish(fmt.Sprintf("1.%d", n), image{ID: "a", Content: "alpha", Set: map[string]any{"dc:title": fmt.Sprintf("title %d", n)}})
		w.SyncAt(w.At.Add(time.Duration(n+1) * time.Minute))
	}
	for n := 2; n < 8; n++ {
		title(n)
	}
	st := statusOf(t, w)
	if h := st.Handlers[0]; h.Pending != 7 || h.Dead != 0 || h.Full != 0.875 || !shows(st, "warning", "outbox-filling", "7 events wait, 88 %") {
		t.Errorf("before: %+v %+v", h, st.Problems)
	}
	title(8)
	w.Publish("1.9", image{ID: "a", Content: "alpha", Set: map[string]any{"dc:title": "title 9"}})
	rep := w.SyncAt(w.At.Add(10 * time.Minute))
	expectExit(t, rep, 3)
	st = statusOf(t, w)
	if h := st.Handlers[0]; h.Pending != 8 || h.Dead != 1 || rep.Events.Dead != 1 || !shows(st, "critical", "dead-letter", "1 events were given up") {
		t.Errorf("afterwards: %+v %+v", h, st.Problems)
	}
	for _, d := range st.Deliveries {
		if d.Dead && (d.Type != "image.updated" || !strings.Contains(d.Error, "connection refused")) {
			t.Errorf("given up: %+v", d)
		}
	}
	texts := m.gather()
	deliverAt(t, w, w.At.Add(hour))
	if _, told := m.news(); len(told) != 8 || told[0] != "image.revoked b" || !strings.Contains(texts["image.updated a"], "title 9") {
		t.Errorf("told %q", told)
	}
	if n, err := subscriber.Retry(t.Context(), w.Config, subscriber.Options{At: w.At.Add(hour)}, nil); err != nil || n.Delivered != 1 || !strings.Contains(texts["image.updated a"], "title 9") {
		t.Errorf("retried, with the metadata of today: %+v %v %q", n, err, texts)
	}
}

// Dead letters are bounded too: the oldest leave, and are counted. Without the
// log nothing can be told of the others.
func TestF16_TooManyDeadLetters(t *testing.T) {
	defer subscriber.WaitAtMost(2)()
	w := published(t)
	moody(w, gone)
	w.Config.Handlers[0].FromNow = true
	w.SyncAt(w.At.Add(time.Minute))
	for n := range 12 {
		w.Publish(fmt.Sprintf("1.%d", n+1), image{ID: "a", Content: "alpha", Set: map[string]any{"dc:title": fmt.Sprintf("title %d", n)}}, image{ID: "b", Content: "beta"})
		w.SyncAt(w.At.Add(time.Duration(n+2) * time.Minute))
	}
	st := statusOf(t, w)
	if h := st.Handlers[0]; h.Pending != 6 || h.Dead != 6 || h.Lost != 0 {
		t.Fatalf("handler %+v", h)
	}
	w.Publish("1.13", image{ID: "a", Content: "alpha", Set: map[string]any{"dc:title": "last"}}, image{ID: "b", Content: "beta"})
	w.SyncAt(w.At.Add(14 * time.Minute))
	if st := statusOf(t, w); st.Handlers[0].Lost != 1 || st.Handlers[0].Dead != 6 || !shows(st, "critical", "dead-letter", "6 events were given up, and 1 before them") {
		t.Errorf("lost: %+v %+v", st.Handlers[0], st.Problems)
	}
	must(t, os.Remove(filepath.Join(w.Config.StateDir, "events.jsonl")))
	n, err := subscriber.Retry(t.Context(), w.Config, subscriber.Options{At: w.At.Add(15 * time.Minute)}, nil)
	must(t, err)
	if h := statusOf(t, w).Handlers[0]; n.Dead != 6 || h.Dead != 6 || h.Lost != 0 {
		t.Errorf("without the log: %+v %+v", n, h)
	}
}

// The bound is one of bytes as well.
func TestF16_BoundInBytes(t *testing.T) {
	defer subscriber.WaitAtMost(6)()
	w := published(t)
	moody(w, gone)
	w.Config.Handlers[0].FromNow = true
	w.SyncAt(w.At.Add(time.Minute))
	for n := range 5 {
		w.Publish(fmt.Sprintf("1.%d", n+1), image{ID: "a", Content: "alpha", Set: map[string]any{"dc:description": strings.Repeat(fmt.Sprint(n), 4300)}}, image{ID: "b", Content: "beta"})
		w.SyncAt(w.At.Add(time.Duration(n+2) * time.Minute))
	}
	if h := statusOf(t, w).Handlers[0]; h.Pending != 3 || h.Dead != 2 || math.Abs(h.Full-0.95) > 0.05 {
		t.Errorf("handler %+v", h)
	}
}

// F-11: what a clock that was ahead gave up comes back by itself.
func TestF11_DeadLettersOfAClockAhead(t *testing.T) {
	w := published(t)
	m := moody(w, gone)
	w.SyncAt(w.At.Add(time.Minute))
	if n := deliverAt(t, w, w.At.AddDate(1, 0, 0)); n.Dead != 2 {
		t.Fatalf("a year ahead: %+v", n)
	}
	texts := m.gather()
	m.news()
	deliverAt(t, w, w.At.Add(2*time.Minute))
	_, told := m.news()
	expectHeard(t, told, "image.available a", "image.available b")
	var data struct{ Identifier string }
	if err := json.Unmarshal([]byte(texts["image.available b"]), &data); err != nil || data.Identifier != "b" {
		t.Errorf("text %q", texts)
	}
	if h := statusOf(t, w).Handlers[0]; h != (subscriber.HandlerStatus{Name: "hook"}) {
		t.Errorf("afterwards %+v", h)
	}
}

// F-11: what happened while the clock was behind is not too old when it is right.
func TestF11_EventOfAClockBehind(t *testing.T) {
	w := published(t)
	moody(w, gone)
	w.Config.Handlers[0].FromNow = true
	w.SyncAt(w.At.Add(time.Minute))
	w.Config.Blocks = []subscriber.Block{{Image: "a", Reason: "no"}}
	w.SyncAt(w.At.AddDate(-20, 0, 0))
	if n := deliverAt(t, w, w.At.Add(hour)); n.Dead != 0 || n.Pending != 1 {
		t.Errorf("%+v", n)
	}
	if n := deliverAt(t, w, w.At.Add(8*24*hour)); n.Dead != 1 {
		t.Errorf("in its time: %+v", n)
	}
}

// A withdrawal that is told late does not have the last word about an image
// that has come back.
func TestDelivery_LateWithdrawal(t *testing.T) {
	w := published(t)
	m := moody(w, taken)
	w.Config.Handlers[0].MaxAge = hour
	w.SyncAt(w.At.Add(time.Minute))
	m.answer = gone
	w.Publish("1.1", image{ID: "b", Content: "beta"})
	w.SyncAt(w.At.Add(2 * time.Minute))
	deliverAt(t, w, w.At.Add(2*hour))
	ids := map[string]bool{} // whoever remembers them hears nothing twice
	m.answer = func(e event.Event) error {
		if ids[e.ID] {
			t.Errorf("%s of %s comes under an id that was taken", e.Type, e.Subject)
		}
		ids[e.ID] = true
		return nil
	}
	w.Publish("1.2", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	w.SyncAt(w.At.Add(3 * hour))
	m.news()
	n, err := subscriber.Retry(t.Context(), w.Config, subscriber.Options{At: w.At.Add(4 * hour)}, nil)
	must(t, err)
	_, told := m.news()
	expectHeard(t, told, "image.revoked a", "image.available a")
	if n.Delivered != 2 || n.Dead != 0 {
		t.Errorf("%+v", n)
	}
	must(t, event.ReadLog(w.Config.StateDir, time.Time{}, func(_ []byte, e event.Event) bool { delete(ids, e.ID); return true }))
	if len(ids) > 0 {
		t.Errorf("told and not in the log: %v", ids)
	}
}
