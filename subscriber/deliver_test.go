package subscriber_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/subscribertest"
)

// listener is a real handler that writes down what it is told. Tests that use
// it do not run in parallel: a fork elsewhere while the script is open for
// writing would make its start fail with "text file busy".
func listener(t *testing.T, name string, vmcatcher bool, fail string) (event.Handler, func() []string) {
	t.Helper()
	dir := t.TempDir()
	heard := filepath.Join(dir, "heard")
	script := filepath.Join(dir, "handler")
	what := `$VOUCH_EVENT_TYPE`
	if vmcatcher {
		what = `$VMCATCHER_EVENT_TYPE`
	}
	body := fmt.Sprintf("#!/bin/sh\n%s\necho \"%s $VMCATCHER_EVENT_DC_IDENTIFIER\" >>%s\n", fail, what, heard)
	if !vmcatcher {
		body = fmt.Sprintf("#!/bin/sh\n%s\necho \"%s $(sed 's/.*\"subject\":\"\\([^\"]*\\)\".*/\\1/')\" >>%s\n", fail, what, heard)
	}
	if err := os.WriteFile(script, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	h := event.Handler{Name: name, Exec: []string{script}, VMCatcher: vmcatcher, MaxAge: 7 * 24 * time.Hour, Timeout: time.Minute}
	if !vmcatcher {
		h.Events = []string{"image.*"}
	}
	return h, func() []string {
		data, _ := os.ReadFile(heard)
		out := []string{}
		for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			out = append(out, strings.TrimSpace(line))
		}
		return out
	}
}

func expectHeard(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("heard:\n got %q\nwant %q", got, want)
	}
}

// The vmcatcher order through a whole life, by a real handler.
func TestVMCatcher_Life(t *testing.T) {
	w := subscribertest.New(t)
	h, heard := listener(t, "old", true, "")
	w.Config.Handlers = []event.Handler{h}
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	expectExit(t, w.Sync(), 0)
	w.Publish("1.1", image{ID: "a", Content: "alpha two"})
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
	w.Publish("1.2")
	expectExit(t, w.SyncAt(w.At.Add(2*time.Minute)), 0)
	expectHeard(t, heard(),
		"ProcessPrefix", "AvailablePrefix a", "AvailablePostfix a", "ProcessPostfix",
		"ProcessPrefix", "ExpirePrefix a", "ExpirePostfix a", "AvailablePrefix a", "AvailablePostfix a", "ProcessPostfix",
		"ProcessPrefix", "ExpirePrefix a", "ExpirePostfix a", "ProcessPostfix")
}

// An expiry announces itself while the file is still there.
func TestVMCatcher_ExpireAnnounced(t *testing.T) {
	w := subscribertest.New(t)
	present := `[ "$VMCATCHER_EVENT_TYPE" != ExpirePrefix ] || [ -f "$VMCATCHER_CACHE_DIR_CACHE$VMCATCHER_EVENT_FILENAME" ] || echo missing >&2`
	h, heard := listener(t, "old", true, present)
	w.Config.Handlers = []event.Handler{h}
	w.Publish("1.0", image{ID: "a", Content: "alpha", Set: map[string]any{"dc:date:expires": w.At.Add(hour).UTC().Format(time.RFC3339)}})
	w.Sync()
	rep := w.SyncAt(w.At.Add(2 * hour))
	expect(t, rep, "a", "withdrawn image-expired")
	expectHeard(t, heard()[4:], "ProcessPrefix", "ExpirePrefix a", "ExpirePostfix a", "ProcessPostfix")
}

// A failing handler is tried again under the same id, holds back nobody else,
// and a withdrawal cancels the availability it never took.
func TestDelivery_RetryAndCancel(t *testing.T) {
	w := subscribertest.New(t)
	broken := filepath.Join(t.TempDir(), "broken")
	must(t, os.WriteFile(broken, nil, 0o644))
	bad, heardBad := listener(t, "bad", false, "[ ! -e "+broken+" ] || exit 7")
	good, heardGood := listener(t, "good", false, "")
	w.Config.Handlers = []event.Handler{bad, good}
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	rep := w.Sync()
	expectExit(t, rep, 0) // a retry is not a failure
	if rep.Events.Pending == 0 {
		t.Error("nothing is pending")
	}
	expectHeard(t, heardGood(), "image.announced a", "image.announced b", "image.available a", "image.available b")
	w.Publish("1.1", image{ID: "b", Content: "beta"})
	w.SyncAt(w.At.Add(time.Minute))
	must(t, os.Remove(broken))
	rep = w.SyncAt(w.At.Add(2 * time.Minute))
	if rep.Events.Pending != 0 {
		t.Errorf("pending %d", rep.Events.Pending)
	}
	expectHeard(t, heardBad(), "image.announced a", "image.announced b", "image.available b", "image.revoked a")
}

// After max_age an event is a dead letter: the run is red once, status shows
// it, and retry sends it again.
func TestDelivery_DeadLetter(t *testing.T) {
	w := subscribertest.New(t)
	broken := filepath.Join(t.TempDir(), "broken")
	must(t, os.WriteFile(broken, nil, 0o644))
	h, heard := listener(t, "bad", false, "[ ! -e "+broken+" ] || exit 7")
	h.Events = []string{"image.available"}
	h.MaxAge = time.Hour
	w.Config.Handlers = []event.Handler{h}
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	expectExit(t, w.Sync(), 0)
	rep := w.SyncAt(w.At.Add(2 * hour))
	expectExit(t, rep, 3)
	if rep.Events.Dead != 1 {
		t.Errorf("dead %d", rep.Events.Dead)
	}
	s, err := subscriber.ReadStatus(w.Config.StateDir)
	must(t, err)
	if len(s.Deliveries) != 1 || !s.Deliveries[0].Dead || !strings.Contains(s.Deliveries[0].Error, "7") {
		t.Errorf("deliveries %+v", s.Deliveries)
	}
	expectExit(t, w.SyncAt(w.At.Add(3*hour)), 0)
	must(t, os.Remove(broken))
	count, err := subscriber.Retry(t.Context(), w.Config, subscriber.Options{At: w.At.Add(4 * hour)}, nil)
	must(t, err)
	if count.Delivered != 1 {
		t.Errorf("delivered %d", count.Delivered)
	}
	expectHeard(t, heard(), "image.available a")
}

// A handler seen for the first time is told of everything published, under
// the ids the facts had; one that starts now is not.
func TestDelivery_NewHandler(t *testing.T) {
	w := published(t)
	old, heardOld := listener(t, "late", false, "")
	now, heardNow := listener(t, "now", false, "")
	now.FromNow = true
	w.Config.Handlers = []event.Handler{old, now}
	before := len(w.Events())
	rep := w.SyncAt(w.At.Add(time.Minute))
	if rep.Events.Delivered != 2 {
		t.Errorf("delivered %d", rep.Events.Delivered)
	}
	if len(w.Events()) != before {
		t.Errorf("new events: %v", w.Events()[before:])
	}
	expectHeard(t, heardOld(), "image.available a", "image.available b")
	expectHeard(t, heardNow(), "")
	w.SyncAt(w.At.Add(2 * time.Minute))
	expectHeard(t, heardOld(), "image.available a", "image.available b")
}

// Handlers hear while the run goes on: here a download that waits for a
// handler to have heard of the image.
func TestDelivery_DuringDownload(t *testing.T) {
	w := subscribertest.New(t)
	h, heard := listener(t, "h", false, "")
	w.Config.Handlers = []event.Handler{h}
	w.Config.Fetch.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	defer subscriber.ShowEvery(0)()
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		for range 1500 { // half a minute
			st, err := subscriber.ReadStatus(w.Config.StateDir)
			if heard()[0] == "image.announced a" && err == nil && st.Handlers[0].Pending == 0 && st.Images[0].State == "pending" {
				fmt.Fprint(rw, "alpha")
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		http.Error(rw, "nobody heard, or the status does not say so", http.StatusNotFound)
	}))
	defer slow.Close()
	w.Publish("1.0", image{ID: "a", Content: "alpha", Set: map[string]any{"hv:uri": slow.URL + "/a"}})
	expectExit(t, w.Sync(), 0)
	expectHeard(t, heard(), "image.announced a", "image.available a")
}

// F-15: a handler that hangs is stopped at its timeout and harms nobody else.
func TestF15_HangingHandler(t *testing.T) {
	w := subscribertest.New(t)
	stuck, _ := listener(t, "stuck", false, "exec sleep 600")
	stuck.Timeout = time.Second
	good, heard := listener(t, "good", false, "")
	w.Config.Handlers = []event.Handler{stuck, good}
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	rep := w.Sync()
	expectExit(t, rep, 0)
	if rep.Events.Pending == 0 || w.Read("a") != "alpha" {
		t.Errorf("pending %d, a=%q", rep.Events.Pending, w.Read("a"))
	}
	expectHeard(t, heard(), "image.announced a", "image.available a")
}

// A new handler's time for an old fact begins when it is told: one failure
// does not make a dead letter.
func TestDelivery_NewHandlerFails(t *testing.T) {
	w := subscribertest.New(t)
	w.PublishAt("/list", w.Draft("1.0", image{ID: "a", Content: "alpha"}).Expires(w.At.AddDate(0, 2, 0)))
	expectExit(t, w.Sync(), 0)
	h, _ := listener(t, "new", false, "exit 7")
	w.Config.Handlers = []event.Handler{h}
	w.CA.WriteTo(w.Dir, listtest.CRLDates(w.At, w.At.AddDate(0, 3, 0)))
	rep := w.SyncAt(w.At.Add(h.MaxAge + 3*24*hour))
	expectExit(t, rep, 0)
	if rep.Events.Dead != 0 || rep.Events.Pending != 1 {
		t.Errorf("events %+v", rep.Events)
	}
}

// A program that is not there is seen long before its events are given up.
func TestDelivery_Failing(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Handlers = []event.Handler{{Name: "gone", Exec: []string{"/nonexistent/program"}, Events: []string{"image.available"}, MaxAge: 7 * 24 * hour, Timeout: time.Minute}}
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	expectExit(t, w.Sync(), 0)
	for attempt, at := 1, w.At; attempt <= 10; attempt++ {
		if attempt > 1 {
			at = at.Add(hour)
			deliverAt(t, w, at)
		}
		problems := statusOf(t, w).Problems
		said := len(problems) == 1 && problems[0].Code == "handler-failing" && problems[0].Severity == "warning" && strings.Contains(problems[0].Detail, "no such file")
		if said != (attempt == 10) {
			t.Errorf("attempt %d: %+v", attempt, problems)
		}
	}
}

// A daemon's attempts are in the status, not each in the log; a run that
// somebody sees says each miss.
func TestDelivery_Misses(t *testing.T) {
	for _, paced := range []bool{true, false} {
		w := subscribertest.New(t)
		w.Config.Handlers = []event.Handler{{Name: "gone", Exec: []string{"/nonexistent/program"}, Events: []string{"image.*"}, MaxAge: 2 * hour, Timeout: time.Minute}}
		w.Publish("1.0", image{ID: "a", Content: "alpha"})
		var log bytes.Buffer
		o := subscriber.Options{At: w.At, Paced: paced, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))}
		_, err := subscriber.Sync(t.Context(), w.Config, subscriber.SyncOptions{Options: o})
		must(t, err)
		if said := strings.Contains(log.String(), "event not delivered"); said == paced {
			t.Errorf("paced %v:\n%s", paced, log.String())
		}
		if h := statusOf(t, w).Handlers[0]; !strings.Contains(h.Error, "no such file") || !h.Down.IsZero() {
			t.Errorf("paced %v: status %+v", paced, h)
		}
		o.At = w.At.Add(3 * hour)
		_, err = subscriber.Deliver(t.Context(), w.Config, o)
		must(t, err)
		if n := strings.Count(log.String(), "event given up"); paced && n != 1 || !paced && n != 0 {
			t.Errorf("paced %v: %d dead letters told:\n%s", paced, n, log.String())
		}
	}
}

// T-07: who hears of a list finds its version in the index.
func TestT07_IndexBeforeEvent(t *testing.T) {
	w := subscribertest.New(t)
	found := filepath.Join(t.TempDir(), "found")
	index := filepath.Join(w.Config.Cache.Dir, "index.json")
	h, _ := listener(t, "reader", false, `echo "$VOUCH_EVENT_TYPE $(grep -o '"version":"[0-9.]*"' `+index+` | head -n 1)" >>`+found)
	h.Events = []string{"list.accepted", "image.updated"}
	w.Config.Handlers = []event.Handler{h}
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	w.Sync()
	w.Publish("1.1", image{ID: "a", Content: "alpha", Set: map[string]any{"dc:title": "new"}})
	w.SyncAt(w.At.Add(time.Minute))
	data, err := os.ReadFile(found)
	must(t, err)
	expectHeard(t, strings.Split(strings.TrimSpace(string(data)), "\n"),
		`list.accepted "version":"1.0"`, `list.accepted "version":"1.1"`, `image.updated "version":"1.1"`)
}

// O7: a blocked image is gone before the expiry of another is announced.
func TestO7_BlockWaitsForNoAnnouncement(t *testing.T) {
	w := published(t)
	there := filepath.Join(t.TempDir(), "there")
	h, _ := listener(t, "old", true, `[ "$VMCATCHER_EVENT_TYPE $VMCATCHER_EVENT_DC_IDENTIFIER" != "ExpirePrefix a" ] || ls `+filepath.Join(w.Config.Cache.Dir, "endorsed")+` >`+there)
	w.Config.Handlers = []event.Handler{h}
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
	w.Config.Subscriptions[0].Exclude = []subscriber.Selector{{Identifier: "a"}}
	w.Config.Blocks = []subscriber.Block{{Image: "b", Reason: "CVE-2026-1"}}
	expectExit(t, w.SyncAt(w.At.Add(2*time.Minute)), 0)
	data, err := os.ReadFile(there)
	must(t, err)
	expectHeard(t, strings.Fields(string(data)), "a")
}

// T-13: a subscription bound to another list is a withdrawal for the handlers
// of old, announced like any other.
func TestVMCatcher_BoundToAnotherList(t *testing.T) {
	w := published(t)
	h, heard := listener(t, "old", true, "")
	w.Config.Handlers = []event.Handler{h}
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
	before := len(heard())
	w.Config.Subscriptions[0].List = "another"
	expectExit(t, w.SyncAt(w.At.Add(2*time.Minute)), 3)
	expectHeard(t, heard()[before:], "ProcessPrefix", "ExpirePrefix a", "ExpirePrefix b", "ExpirePostfix a", "ExpirePostfix b", "ProcessPostfix")
}

// One handler is never called twice at once.
func TestDelivery_OneCallAtATime(t *testing.T) {
	w := published(t)
	dir := t.TempDir()
	busy, overlap := filepath.Join(dir, "busy"), filepath.Join(dir, "overlap")
	h, heard := listener(t, "old", true, fmt.Sprintf("mkdir %s || touch %s; sleep 0.05; rmdir %s", busy, overlap, busy))
	w.Config.Handlers = []event.Handler{h}
	w.Sync()
	w.Config.Subscriptions[0].Exclude = []subscriber.Selector{{Identifier: "a"}}
	w.SyncAt(w.At.Add(time.Minute))
	if n := len(heard()); n != 8 {
		t.Errorf("heard %q", heard())
	}
	if _, err := os.Stat(overlap); err == nil {
		t.Error("two calls of one handler at once")
	}
}

// trusting is a sender that asks whom a run trusts.
type trusting struct{ anchors []*x509.Certificate }

func (s *trusting) Trust(anchors []*x509.Certificate)           { s.anchors = anchors }
func (s *trusting) Send(_ context.Context, _ event.Event) error { return nil }
func (s *trusting) Close() error                                { return nil }

// A webhook under "fetch: {tls: anchors}" believes in the anchors that its
// run's lists were judged by.
func TestDeliver_TellsSendersTheAnchors(t *testing.T) {
	w := subscribertest.New(t)
	s := &trusting{}
	w.Config.Handlers = []event.Handler{{Name: "hook", Sender: s, MaxAge: time.Hour}}
	w.Publish("1", image{ID: "a", Content: "a"})
	expectExit(t, w.Sync(), 0)
	if want := w.Anchors().Roots(); len(want) == 0 || len(s.anchors) != len(want) {
		t.Errorf("%d anchors, want %d", len(s.anchors), len(want))
	}
}

// What a handler says it made of an image is shown with it.
func TestDelivery_Receipt(t *testing.T) {
	w := published(t)
	w.Config.Handlers = []event.Handler{{Name: "glance", Exec: []string{"/bin/sh", "-c", `echo "{\"resource\":\"glance:$VOUCH_EVENT_TYPE\"}"`}, Events: []string{"image.available"}, MaxAge: hour, Timeout: time.Minute}}
	w.SyncAt(w.At.Add(time.Minute))
	for _, i := range statusOf(t, w).Images {
		if i.Resources["glance"] != "glance:image.available" {
			t.Errorf("%s: %v", i.Identifier, i.Resources)
		}
	}
}
