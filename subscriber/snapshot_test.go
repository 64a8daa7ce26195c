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
