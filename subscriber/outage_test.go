package subscriber_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/event/webhook"
	"vouch/subscriber/subscribertest"
)

// mood is a sender whose answers the test decides. It is a real event.Sender
// of another machine as far as the outbox can tell.
type mood struct {
	mu     sync.Mutex
	asked  []string // every attempt, by type and subject
	told   []string // those that were taken
	closed int
	answer func(e event.Event) error
}

func (m *mood) Send(_ context.Context, e event.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	what := string(e.Type) + " " + e.Subject
	m.asked = append(m.asked, what)
	if err := m.answer(e); err != nil {
		return err
	}
	m.told = append(m.told, what)
	return nil
}

func (m *mood) Close() error { m.closed++; return nil }

// news forgets and returns what was asked and what was taken.
func (m *mood) news() (asked, told []string) {
	asked, told = m.asked, m.told
	m.asked, m.told = nil, nil
	return asked, told
}

func moody(w *subscribertest.World, answer func(event.Event) error) *mood {
	m := &mood{answer: answer}
	w.Config.Handlers = []event.Handler{{Name: "hook", Sender: m, Events: []string{"image.*"}, MaxAge: 7 * 24 * hour, Timeout: time.Minute}}
	return m
}

func gone(event.Event) error { return fmt.Errorf("%w: connection refused", event.ErrUnreachable) }

func taken(event.Event) error { return nil }

// deliverAt is what the daemon does when a handler's next attempt is due.
func deliverAt(t *testing.T, w *subscribertest.World, at time.Time) subscriber.EventCount {
	t.Helper()
	n, err := subscriber.Deliver(t.Context(), w.Config, subscriber.Options{At: at, Paced: true})
	must(t, err)
	return n
}

// Nobody there is one fact: one attempt for each step, whatever waits, the
// back-off is the handler's, and every event says why it waits.
func TestDelivery_Unreachable(t *testing.T) {
	w := subscribertest.New(t)
	m := moody(w, gone)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"}, image{ID: "c", Content: "gamma"})
	expectExit(t, w.Sync(), 0)
	asked, _ := m.news()
	expectHeard(t, asked, "image.announced a")
	var pauses []time.Duration
	at := w.At
	for step := range 11 {
		st := statusOf(t, w)
		h := st.Handlers[0]
		if h.Pending != 6 || h.Down.IsZero() || !strings.Contains(h.Error, "connection refused") {
			t.Fatalf("handler %+v", h)
		}
		for _, d := range st.Deliveries {
			if !strings.Contains(d.Error, "connection refused") || !d.Next.Equal(h.Next) {
				t.Fatalf("delivery %+v of %v", d, h.Next)
			}
		}
		if step == 0 { // the run took its time before it failed
			at = h.Down
		}
		pauses, at = append(pauses, h.Next.Sub(at)), h.Next
		if step == 2 {
			deliverAt(t, w, at.Add(-time.Millisecond))
			_, err := subscriber.Pass(t.Context(), w.Config, subscriber.Options{At: at.Add(-time.Millisecond), Paced: true})
			must(t, err)
		}
		if asked, _ := m.news(); len(asked) > 0 {
			t.Fatalf("asked before its time: %q", asked)
		}
		deliverAt(t, w, at)
		if asked, _ := m.news(); len(asked) != 1 {
			t.Fatalf("one step, attempts %q", asked)
		}
	}
	if first, last := pauses[0], pauses[10]; first > time.Second || last < 7*time.Minute || last > 16*time.Minute {
		t.Errorf("pauses %v", pauses)
	}
	if p := statusOf(t, w).Problems; !slices.ContainsFunc(p, func(p subscriber.Problem) bool {
		return p.Code == "handler-down" && strings.Contains(p.Detail, "6 events")
	}) {
		t.Errorf("problems %+v", p)
	}
	m.answer = taken
	n, err := subscriber.Retry(t.Context(), w.Config, subscriber.Options{At: at.Add(time.Second)}, nil)
	must(t, err)
	if n.Delivered != 6 || n.Pending != 0 {
		t.Errorf("retried %+v", n)
	}
	_, told := m.news()
	expectHeard(t, told, "image.announced a", "image.announced b", "image.announced c", "image.available a", "image.available b", "image.available c")
	if h := statusOf(t, w).Handlers[0]; h != (subscriber.HandlerStatus{Name: "hook"}) {
		t.Errorf("afterwards %+v", h)
	}
	if m.closed == 0 {
		t.Error("never closed")
	}
}

// A run from cron asks once, whatever the back-off says.
func TestDelivery_UnreachableFromCron(t *testing.T) {
	w := subscribertest.New(t)
	m := moody(w, gone)
	w.Config.Handlers[0].Events = nil // sync.* too: told once, and the first to find out
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	for i := range 3 {
		expectExit(t, w.SyncAt(w.At.Add(time.Duration(i)*time.Second)), 0)
		asked, _ := m.news()
		expectHeard(t, asked, "sync.started ")
	}
}

// Who was mended and started again does not wait out a quarter of an hour: one
// attempt, which vmcatcher's three do not count.
func TestDelivery_Afresh(t *testing.T) {
	w := subscribertest.New(t)
	m := moody(w, gone)
	failing, _ := listener(t, "old", true, "exit 1")
	w.Config.Handlers = append(w.Config.Handlers, failing)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	expectExit(t, w.Sync(), 0)
	at := w.At
	for range 5 {
		at = statusOf(t, w).Handlers[0].Next
		deliverAt(t, w, at)
	}
	m.news()
	for range 3 {
		at = at.Add(time.Second)
		_, err := subscriber.Deliver(t.Context(), w.Config, subscriber.Afresh(subscriber.Options{At: at}))
		must(t, err)
		if asked, _ := m.news(); len(asked) != 1 {
			t.Fatalf("attempts %q", asked)
		}
	}
	if h := statusOf(t, w).Handlers[1]; h.Dead != 0 || h.Pending == 0 {
		t.Errorf("vmcatcher's handler %+v", h)
	}
	if deliverAt(t, w, at.Add(2*time.Second)); len(first(m.news())) > 0 {
		t.Error("asked before its time")
	}
	m.answer = taken
	n, err := subscriber.Deliver(t.Context(), w.Config, subscriber.Afresh(subscriber.Options{At: at.Add(3 * time.Second)}))
	must(t, err)
	if n.Delivered != 4 {
		t.Errorf("delivered %+v", n)
	}
}

func first[T, U any](t T, _ U) T { return t }

// Who answers, but never takes a certain event, gets those of other images.
func TestDelivery_Poison(t *testing.T) {
	w := subscribertest.New(t)
	m := moody(w, func(e event.Event) error {
		if e.Subject == "a" {
			return &event.Unavailable{Err: errors.New("the server answered 500")}
		}
		return nil
	})
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	w.Sync()
	for range 2 {
		deliverAt(t, w, statusOf(t, w).Handlers[0].Next)
	}
	asked, told := m.news()
	expectHeard(t, asked, "image.announced a", "image.announced a", "image.announced a")
	expectHeard(t, told)
	at := statusOf(t, w).Handlers[0].Next
	deliverAt(t, w, at)
	_, told = m.news()
	expectHeard(t, told, "image.announced b", "image.available b")
	if h := statusOf(t, w).Handlers[0]; h.Pending != 2 || !h.Next.After(at) {
		t.Errorf("handler %+v", h)
	}
}

// An error about one event holds back its image alone, as a program's does.
func TestDelivery_RefusedEvent(t *testing.T) {
	w := subscribertest.New(t)
	m := moody(w, func(e event.Event) error {
		if e.Subject == "a" {
			return errors.New("the server answered 400")
		}
		return nil
	})
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	w.Sync()
	asked, told := m.news()
	expectHeard(t, asked, "image.announced a", "image.announced b", "image.available b")
	expectHeard(t, told, "image.announced b", "image.available b")
}

// A server's wish to be left alone is heard, up to an hour.
func TestDelivery_RetryAfter(t *testing.T) {
	for wish, want := range map[time.Duration]time.Duration{20 * time.Minute: 20 * time.Minute, 40 * hour: hour} {
		w := subscribertest.New(t)
		moody(w, func(event.Event) error { return &event.Unavailable{Err: errors.New("busy"), After: wish} })
		w.Publish("1.0", image{ID: "a", Content: "alpha"})
		w.Sync()
		if next := statusOf(t, w).Handlers[0].Next; next.Before(w.At.Add(want)) || next.After(w.At.Add(want+time.Minute)) {
			t.Errorf("wish %v: next after %v", wish, next.Sub(w.At))
		}
	}
}

// A next attempt that a wrong clock put far ahead is made when the clock is right.
func TestF11_NextAttempt(t *testing.T) {
	w := subscribertest.New(t)
	m := moody(w, gone)
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	w.SyncAt(w.At.Add(5 * hour))
	m.news()
	m.answer = taken
	deliverAt(t, w, w.At.Add(time.Minute))
	_, told := m.news()
	expectHeard(t, told, "image.announced a", "image.available a")
	m.answer = gone
	w.Publish("1.1", image{ID: "b", Content: "beta"})
	w.SyncAt(w.At.Add(2 * time.Minute))
	if next := statusOf(t, w).Handlers[0].Next; next.After(w.At.Add(3 * time.Minute)) {
		t.Errorf("next is %v", next)
	}
}

// What waits behind a dead handler is given up in its time, and seen.
func TestDelivery_DeadLettersBehind(t *testing.T) {
	w := subscribertest.New(t)
	m := moody(w, gone)
	w.Config.Handlers[0].MaxAge = hour
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	w.Sync()
	n := deliverAt(t, w, w.At.Add(2*hour))
	if asked, _ := m.news(); n.Dead != 4 || n.Pending != 0 || len(asked) != 2 {
		t.Errorf("%+v after attempts %q", n, asked)
	}
	st := statusOf(t, w)
	if h := st.Handlers[0]; h.Dead != 4 || !h.Next.IsZero() {
		t.Errorf("handler %+v", h)
	}
	for _, d := range st.Deliveries {
		if !d.Dead || !strings.Contains(d.Error, "connection refused") {
			t.Errorf("delivery %+v", d)
		}
	}
	m.answer = taken
	count, err := subscriber.Retry(t.Context(), w.Config, subscriber.Options{At: w.At.Add(3 * hour)}, nil)
	must(t, err)
	if count.Delivered != 4 {
		t.Errorf("retried %+v", count)
	}
}

// A run that is stopped in the middle writes down what was told: nothing but
// the event under way comes again.
func TestDelivery_StoppedInTheMiddle(t *testing.T) {
	w := published(t)
	var images []image
	for i := range 200 {
		images = append(images, image{ID: fmt.Sprintf("i%d", i), Content: "same"})
	}
	w.Publish("1.1", images...)
	w.SyncAt(w.At.Add(time.Minute))
	ctx, stop := context.WithCancel(t.Context())
	m := moody(w, nil)
	m.answer = func(event.Event) error {
		if len(m.told) == 120 {
			stop()
		}
		return nil
	}
	subscriber.Pass(ctx, w.Config, subscriber.Options{At: w.At.Add(2 * time.Minute)})
	_, first := m.news()
	if len(first) < 120 || len(first) > 122 {
		t.Fatalf("told %d", len(first))
	}
	m.answer = taken
	w.SyncAt(w.At.Add(3 * time.Minute))
	_, second := m.news()
	if again := len(first) + len(second) - 200; again < 0 || again > 1 {
		t.Errorf("%d and then %d of 200", len(first), len(second))
	}
}

// F-15: a handler that is slow, not dead, gets its turn and no more: the
// daemon has other things to do, and comes back for the rest at once.
func TestF15_SlowHandler(t *testing.T) {
	defer subscriber.TellAtMost(50 * time.Millisecond)()
	w := subscribertest.New(t)
	m := moody(w, func(event.Event) error { time.Sleep(300 * time.Millisecond); return nil })
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"}, image{ID: "c", Content: "gamma"})
	w.SyncAt(w.At, func(o *subscriber.SyncOptions) { o.Paced = true })
	for range 6 {
		h := statusOf(t, w).Handlers[0]
		if h.Pending == 0 {
			break
		}
		if h.Next.After(w.At) || !h.Down.IsZero() {
			t.Fatalf("what was not told waits: %+v", h)
		}
		if n := deliverAt(t, w, w.At.Add(time.Second)).Delivered; n < 1 || n > 3 {
			t.Errorf("%d told in 50 ms at 300 ms each", n)
		}
	}
	_, told := m.news()
	expectHeard(t, told, "image.announced a", "image.announced b", "image.announced c", "image.available a", "image.available b", "image.available c")
}

// receiver is a real HTTP server for a webhook, which comes and goes.
type receiver struct {
	t       *testing.T
	address string
	secret  []byte
	server  *http.Server
	bodies  [][]byte
}

func newReceiver(t *testing.T) (*receiver, string) {
	r := &receiver{t: t, address: listtest.FreeAddress(t), secret: []byte("a secret of at least 24 bytes")}
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte("whsec_"+base64.StdEncoding.EncodeToString(r.secret)+"\n"), 0o600))
	t.Cleanup(r.leave)
	return r, file
}

func (r *receiver) come() {
	l, err := net.Listen("tcp", r.address)
	must(r.t, err)
	r.server = &http.Server{Handler: r}
	go r.server.Serve(l)
}

func (r *receiver) leave() {
	if r.server != nil {
		r.server.Close()
	}
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil || req.Header.Get("Webhook-Signature") == "" {
		r.t.Errorf("request %v %v", req.Header, err)
	}
	r.bodies = append(r.bodies, body)
}

// F-16: the endpoint is away for a day, at the daemon's own pace, with news
// all the while. Nothing is lost, nothing comes twice, each image's events
// come in order; it costs one attempt a step, and no memory between passes.
// VOUCH_OUTAGE is a number of events, 10000 for make bench.
func TestF16_DayWithoutWebhook(t *testing.T) {
	const versions = 25
	images := 40
	if n, err := strconv.Atoi(os.Getenv("VOUCH_OUTAGE")); err == nil {
		images = n / versions
	}
	w := subscribertest.New(t)
	publish := func(version int) {
		var all []image
		for i := range images {
			all = append(all, image{ID: fmt.Sprintf("i%d", i), Content: "same", Set: map[string]any{"dc:title": fmt.Sprintf("version %d", version)}})
		}
		w.PublishAt("/list", w.Draft(fmt.Sprintf("1.%d", version), all...).Expires(w.At.AddDate(0, 1, 0)))
	}
	w.CA.WriteTo(w.Dir, listtest.CRLDates(w.At, w.At.AddDate(0, 1, 0)))
	publish(0)
	w.Sync()

	hook, secret := newReceiver(t)
	sender := &counted{Sender: webhook.New(webhook.Config{URL: "http://" + hook.address + "/", SecretFile: secret})}
	w.Config.Handlers = []event.Handler{{Name: "hook", Sender: sender, Events: []string{"image.updated"}, MaxAge: 7 * 24 * hour, Timeout: 10 * time.Second}}
	at, end, published := w.At, w.At.Add(24*hour), 0
	w.SyncAt(w.At)
	steps := 0
	var heap, late uint64
	for at.Before(end) {
		fetch, next := w.At.Add(time.Duration(published+1)*24*hour/(versions+1)), statusOf(t, w).Handlers[0].Next
		if published < versions && (next.IsZero() || fetch.Before(next)) {
			published, at = published+1, fetch
			publish(published)
			if rep := w.SyncAt(at, func(o *subscriber.SyncOptions) { o.Paced = true }); rep.Events.Emitted != images+1 {
				t.Fatalf("version %d: events %+v", published, rep.Events)
			}
		} else {
			at, steps = next, steps+1
			deliverAt(t, w, at)
		}
		if late = live(); published == versions/5 && heap == 0 {
			heap = late
		}
	}
	if published != versions || sender.calls > steps+3 || steps < 90 || steps > 250 {
		t.Errorf("%d versions, %d steps, %d attempts", published, steps, sender.calls)
	}
	if late > heap*3/2 {
		t.Errorf("heap: %d after a fifth of it, %d in the end", heap, late)
	}
	t.Logf("outage: %d events, %d attempts, heap %d then %d KiB", images*versions, sender.calls, heap>>10, late>>10)

	hook.come()
	deliverAt(t, w, statusOf(t, w).Handlers[0].Next)
	if h := statusOf(t, w).Handlers[0]; h.Pending != 0 || h.Dead != 0 {
		t.Errorf("still waiting: %+v", h)
	}
	hook.complete(images, versions)
}

// complete asserts that every image's versions came once and in order.
func (r *receiver) complete(images, versions int) {
	r.t.Helper()
	heard := map[string]int{}
	for _, body := range r.bodies {
		var e struct {
			Subject string
			Data    struct{ Title string }
		}
		must(r.t, json.Unmarshal(body, &e))
		if heard[e.Subject]++; e.Data.Title != fmt.Sprintf("version %d", heard[e.Subject]) {
			r.t.Fatalf("%s: the event number %d is of %q", e.Subject, heard[e.Subject], e.Data.Title)
		}
	}
	if len(r.bodies) != images*versions || len(heard) != images {
		r.t.Errorf("%d events of %d images", len(r.bodies), len(heard))
	}
}

// counted is a real sender with a counter.
type counted struct {
	event.Sender
	calls int
}

func (c *counted) Send(ctx context.Context, e event.Event) error {
	c.calls++
	return c.Sender.Send(ctx, e)
}

// live is what is reachable on the heap.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
