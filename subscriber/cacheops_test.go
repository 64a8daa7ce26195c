package subscriber_test

import (
	"context"
	"os"
	"testing"
	"time"

	"vouch/subscriber"
)

// Scrubbing hashes what is old, leaves what is not, and takes what is wrong
// away; the next sync brings it back.
func TestScrub(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Config.Cache.CheckEvery = 48 * hour
	scrub := func(at time.Time) *subscriber.CheckReport {
		t.Helper()
		rep, err := subscriber.Scrub(context.Background(), w.Config, subscriber.Options{At: at})
		must(t, err)
		return rep
	}
	if rep := scrub(w.At.Add(hour)); rep.Checked > 1 {
		t.Errorf("after an hour: %+v", rep)
	}
	if rep := scrub(w.At.AddDate(0, 0, 2)); rep.Checked != 2 || rep.Exit != 0 {
		t.Errorf("after check_every: %+v", rep)
	}
	if rep := scrub(w.At.AddDate(0, 0, 2).Add(hour)); rep.Checked > 1 {
		t.Errorf("an hour later: %+v", rep)
	}
	spoilt := blobs(t, w)[0]
	must(t, os.Chmod(spoilt, 0o644))
	must(t, os.WriteFile(spoilt, []byte("other"), 0o644))
	if rep := scrub(w.At.AddDate(0, 0, 4)); rep.Checked != 2 || rep.Exit != 3 || len(rep.Corrupt) != 1 {
		t.Errorf("with a corrupt one: %+v", rep)
	}
	if w.Read("a") != "" && w.Read("b") != "" {
		t.Error("the corrupt image is still published")
	}
	w.SyncAt(w.At.AddDate(0, 0, 4).Add(time.Minute))
	if w.Read("a") != "alpha" || w.Read("b") != "beta" {
		t.Error("it did not come back")
	}
}
