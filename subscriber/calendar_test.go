package subscriber_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/subscribertest"
)

func statusOf(t *testing.T, w *subscribertest.World) *subscriber.Status {
	t.Helper()
	st, err := subscriber.ReadStatus(w.Config.StateDir)
	must(t, err)
	return st
}

// The snapshot says when the calendar alone changes something: whatever comes
// first of all that ends.
func TestStatus_Next(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	day := 24 * hour
	at := w.At.UTC().Truncate(time.Second)
	next := func(what string, want time.Time) {
		t.Helper()
		if have := statusOf(t, w).Next; !have.Equal(want) {
			t.Errorf("%s: next is %v, want %v", what, have, want)
		}
	}
	dated := image{ID: "a", Content: "alpha", Set: map[string]any{"dc:date:expires": at.Add(2 * hour).Format(time.RFC3339)}}
	w.Publish("1.0", dated, image{ID: "b", Content: "beta"})
	w.SyncAt(at)
	next("an image's own date", at.Add(2*hour))
	w.Config.Blocks = []subscriber.Block{{Image: "b", Reason: "for an hour", Until: at.Add(hour)}}
	w.SyncAt(at.Add(time.Minute))
	next("the end of a block", at.Add(hour))
	w.Config.Blocks = nil
	w.SyncAt(at.Add(2 * hour))
	next("a week before the list's end", at.AddDate(0, 0, 28).Add(-7*day))
	w.SyncAt(at.AddDate(0, 0, 21).Add(hour))
	next("the list's end", at.AddDate(0, 0, 28))
	w.Config.Fetch.MaxListAge = 27 * day
	w.SyncAt(at.AddDate(0, 0, 21).Add(2 * hour))
	next("max_list_age after its creation", at.AddDate(0, 0, 27).Add(-hour))
	w.SyncAt(at.AddDate(0, 0, 27))
	next("nothing", time.Time{})
}

// A smaller operation after a date, before the pass that acts on it, does not
// make anybody forget the date.
func TestT04_DateNotForgotten(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	ends := w.At.UTC().Truncate(time.Second).Add(hour)
	w.Publish("1.0", image{ID: "a", Content: "alpha", Set: map[string]any{"dc:date:expires": ends.Format(time.RFC3339)}})
	w.Sync()
	for _, late := range []time.Duration{0, time.Second} {
		deliverAt(t, w, ends.Add(late))
		if have := statusOf(t, w).Next; !have.Equal(ends) {
			t.Errorf("%v after the date, with nothing withdrawn: next is %v", late, have)
		}
	}
	expect(t, w.SyncAt(ends.Add(2*time.Second)), "a", "withdrawn image-expired")
	deliverAt(t, w, ends.Add(3*time.Second))
	if have := statusOf(t, w).Next; !have.After(ends) {
		t.Errorf("after it was acted on: next is %v", have)
	}
}

// A trust directory that is gone: the end of the grace is a date to wake for.
func TestStatus_NextInDoubt(t *testing.T) {
	t.Parallel()
	w := published(t)
	must(t, os.Rename(w.Dir, w.Dir+".away"))
	at := w.At.UTC().Truncate(time.Second).Add(hour)
	w.SyncAt(at)
	if have := statusOf(t, w).Next; !have.Equal(at.Add(w.Config.Trust.OutageGrace)) {
		t.Errorf("next is %v, want %v after %v", have, w.Config.Trust.OutageGrace, at)
	}
	rep := w.SyncAt(at.Add(w.Config.Trust.OutageGrace))
	expect(t, rep, "a", "withdrawn untrusted")
}

// With Paced an event waits for its next attempt, and the later ones of its
// image wait behind it; those of others do not.
func TestDelivery_Paced(t *testing.T) {
	w := subscribertest.New(t)
	broken := filepath.Join(t.TempDir(), "broken")
	must(t, os.WriteFile(broken, nil, 0o644))
	h, heard := listener(t, "moody", false, `told=$(cat); case "$told" in *'"subject":"a"'*) [ ! -e `+broken+` ] || exit 7;; esac; exec <<EOT
$told
EOT`)
	w.Config.Handlers = []event.Handler{h}
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	w.Sync()
	expectHeard(t, heard(), "image.announced b", "image.available b")
	st := statusOf(t, w)
	next := st.Handlers[0].Next
	if !next.After(w.At) || next.After(w.At.Add(time.Minute)) || st.Handlers[0].Pending != 2 {
		t.Fatalf("next attempt %v, %d pending", next, st.Handlers[0].Pending)
	}
	must(t, os.Remove(broken))
	deliver := func(at time.Time) {
		t.Helper()
		_, err := subscriber.Deliver(context.Background(), w.Config, subscriber.Options{At: at, Paced: true})
		must(t, err)
	}
	deliver(next.Add(-time.Millisecond))
	expectHeard(t, heard(), "image.announced b", "image.available b")
	deliver(next)
	expectHeard(t, heard(), "image.announced b", "image.available b", "image.announced a", "image.available a")
	if st := statusOf(t, w); !st.Handlers[0].Next.IsZero() || st.Handlers[0].Pending != 0 {
		t.Errorf("afterwards: %+v", st.Handlers[0])
	}
}
