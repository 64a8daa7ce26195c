package subscriber_test

import (
	"context"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// The status has what monitoring asks for: the dates of the CRLs that a list
// rests on, and when the blob was hashed that was not hashed for longest.
func TestStatus_CRLDatesAndChecks(t *testing.T) {
	w := subscribertest.New(t)
	hour := func(n int) time.Time { return w.At.Add(time.Duration(n) * time.Hour) }
	w.CA.WriteTo(w.Dir, listtest.CRLDates(hour(-2), hour(10)))
	w.Publish("1.0", image{ID: "a", Content: "a"})
	expectExit(t, w.Sync(), 0)
	st := statusOf(t, w)
	if s := st.Subscriptions[0]; !s.CRLMade.Equal(hour(-2)) || !s.CRLDue.Equal(hour(10)) {
		t.Errorf("CRL made %v, due %v", s.CRLMade, s.CRLDue)
	}
	w.Publish("1.1", image{ID: "a", Content: "a"}, image{ID: "b", Content: "b"})
	expectExit(t, w.SyncAt(hour(1)), 0)
	if st = statusOf(t, w); !st.Cache.Checked.Equal(w.At) {
		t.Errorf("checked %v", st.Cache.Checked)
	}
	if _, err := subscriber.CheckCache(context.Background(), w.Config, subscriber.Options{At: hour(2)}); err != nil {
		t.Fatal(err)
	}
	if st = statusOf(t, w); !st.Cache.Checked.Equal(hour(2)) {
		t.Errorf("checked %v", st.Cache.Checked)
	}
	w.SyncAt(hour(11)) // the CRL is stale: nothing rests on it any more
	if s := statusOf(t, w).Subscriptions[0]; s.Reason != "crl-stale" || !s.CRLDue.IsZero() {
		t.Errorf("%s, CRL due %v", s.Reason, s.CRLDue)
	}
}

// A list that is looked at once a week is stale when a look is overdue, not a
// day after each. One failure is known to be one at once: it has been a week.
func TestT04_WeeklyList(t *testing.T) {
	w := subscribertest.New(t)
	day := func(n int) time.Time { return w.At.AddDate(0, 0, n) }
	w.CA.WriteTo(w.Dir, listtest.CRLDates(day(-1), day(30)))
	w.Subscribe("weekly", "/weekly", w.Alice).Schedule = "@every 168h"
	w.Config.Subscriptions[0].Schedule = "@every 6h"
	w.Publish("1.0", image{ID: "a", Content: "a"})
	w.PublishAt("/weekly", w.Draft("1.0").ID("weekly-list"))
	expectExit(t, w.Sync(), 0)
	for _, tt := range []struct {
		day          int
		main, weekly string
	}{{0, "ok", "ok"}, {2, "stale", "ok"}, {7, "stale", "ok"}, {8, "stale", "stale"}} {
		if _, err := subscriber.Pass(context.Background(), w.Config, subscriber.Options{At: day(tt.day)}); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{tt.main, tt.weekly} {
			if s := statusOf(t, w).Subscriptions[i]; s.State != want {
				t.Errorf("day %d: %s is %s (%s), want %s", tt.day, s.Name, s.State, s.Reason, want)
			}
		}
	}
	w.Fail("/weekly", 503)
	expectExit(t, w.SyncAt(day(9)), 3)
	if s := statusOf(t, w).Subscriptions[1]; s.State != "unreachable" {
		t.Errorf("%+v", s)
	}
}
