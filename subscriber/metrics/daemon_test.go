package metrics_test

import (
	"context"
	"crypto/sha512"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/metrics"
	"vouch/subscriber/subscribertest"
)

// A running daemon counts what it does: passes, events that are told between
// two of them, blobs that are hashed again, and passes that come to nothing.
func TestMetrics_Daemon(t *testing.T) {
	w := subscribertest.New(t)
	m := metrics.New(func() (*subscriber.Status, error) { return subscriber.ReadStatus(w.Config.StateDir) })
	mended := filepath.Join(t.TempDir(), "mended")
	w.Config.Subscriptions[0].Schedule = "@every 1h"
	w.Config.Handlers = []event.Handler{{Name: "store", Shell: "test -e " + mended, Events: []string{"image.available"}, MaxAge: time.Hour, Timeout: time.Minute}}
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	doubt, reload := make(chan cache.Digest, 1), make(chan os.Signal, 1)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- subscriber.Daemon(ctx, subscriber.DaemonOptions{
			Load:   func() (*subscriber.Config, error) { c := *w.Config; return &c, nil },
			Reload: reload, Doubt: doubt,
			Passed: func(rep *subscriber.Report, _ time.Time) { m.Passed(rep) },
			Failed: m.Failed, Told: m.Told, Scrubbed: m.Scrubbed,
		})
	}()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()

	await(t, m, `vouch_list_images_available{subscription="main"}`)
	await(t, m, `vouch_passes_total{exit="0"}`)
	await(t, m, `vouch_outbox_events{handler="store",state="pending"}`)
	if err := os.WriteFile(mended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, m, `vouch_events_delivered_total`)
	spoil(t, w)
	doubt <- sha512.Sum512([]byte("beta"))
	await(t, m, `vouch_cache_checks_total{result="corrupt"}`)
	if err := os.Rename(w.Config.Cache.Dir, w.Config.Cache.Dir+".gone"); err != nil {
		t.Fatal(err)
	}
	reload <- os.Interrupt // any signal makes it look
	await(t, m, `vouch_pass_errors_total`)
}

// await waits until a series is more than 0.
func await(t *testing.T, m *metrics.Metrics, series string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if samples(t, scrape(t, m))[series] > 0 {
			return
		}
	}
	t.Fatalf("%s stays 0 in\n%s", series, scrape(t, m))
}
