package subscriber_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

type image = subscribertest.Image

// expect looks for an image's outcome in a report: "available", or
// "failed checksum-mismatch". An image may have two: what left, and why
// nothing took its place.
func expect(t *testing.T, rep *subscriber.Report, id, want string) {
	t.Helper()
	got := []string{}
	for _, i := range rep.Images {
		if i.Identifier == id {
			got = append(got, strings.TrimSpace(i.Result+" "+i.Reason))
		}
	}
	if !slices.Contains(got, want) {
		t.Errorf("image %s: %q, want %q", id, got, want)
	}
}

func expectExit(t *testing.T, rep *subscriber.Report, want int) {
	t.Helper()
	if rep.Exit != want {
		t.Errorf("exit %d, want %d: lists %+v, problems %+v", rep.Exit, want, rep.Lists, rep.Problems)
	}
}

func expectEvents(t *testing.T, w *subscribertest.World, want ...string) {
	t.Helper()
	if got := w.Events(); !slices.Equal(got, want) {
		t.Errorf("events:\n got %q\nwant %q", got, want)
	}
}

// The whole life: first sync, nothing new, update, removal, expiry with a
// dead server.
func TestSync_Life(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	rep := w.Sync()
	expectExit(t, rep, 0)
	expect(t, rep, "a", "available")
	if w.Read("a") != "alpha" || w.Read("b") != "beta" {
		t.Fatalf("endorsed: %q %q", w.Read("a"), w.Read("b"))
	}
	w.Check()
	gen := w.Index().Generation

	rep = w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "unchanged")
	if g := w.Index().Generation; g != gen {
		t.Errorf("generation moved from %d to %d without a change", gen, g)
	}

	w.Publish("1.1", image{ID: "a", Content: "alpha two"})
	rep = w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "updated")
	expect(t, rep, "b", "withdrawn removed")
	if w.Read("a") != "alpha two" || w.Read("b") != "" {
		t.Errorf("endorsed: %q %q", w.Read("a"), w.Read("b"))
	}
	w.Check()

	w.Server.Close()
	late := w.At.AddDate(0, 3, 0)
	rep = w.SyncAt(late)
	expectExit(t, rep, 3)
	expect(t, rep, "a", "withdrawn list-expired")
	if w.Read("a") != "" || len(w.Index().Images) != 0 {
		t.Error("an expired image is still there")
	}
	expectEvents(t, w, "list.accepted "+subscribertest.ListID, "image.announced a", "image.announced b", "image.available a", "image.available b",
		"list.accepted "+subscribertest.ListID, "image.revoked b", "image.superseded a", "image.available a",
		"list.expired "+subscribertest.ListID, "image.expired a", "list.unreachable "+subscribertest.ListID)
}

// An outage, a refusal or an empty answer deletes nothing (I4).
func TestI4_NothingGoesForWantOfAnAnswer(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	w.Sync()
	before := w.Tree()
	for name, breakIt := range map[string]func(){
		"not found": func() { w.Fail("/list", 404) },
		"error":     func() { w.Fail("/list", 500) },
		"empty":     func() { w.Put("/list", nil) },
		"html":      func() { w.Put("/list", []byte("<html>down for maintenance</html>")) },
		"unsigned":  func() { w.Put("/list", w.Draft("2.0").Bytes(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			breakIt()
			w.SyncAt(w.At.Add(time.Minute))
			if !maps.Equal(before, w.Tree()) {
				t.Error("the cache changed")
			}
			w.Check()
		})
	}
}

// Many lists are fetched and judged at once, and none is lost on the way.
func TestSync_ManyLists(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Subscriptions = nil
	for i := range 40 {
		id, path := fmt.Sprintf("list-%d", i), fmt.Sprintf("/list-%d", i)
		w.Subscribe(id, path, w.Alice)
		w.PublishAt(path, w.Draft("1.0", image{ID: fmt.Sprintf("image-%d", i), Content: id}).ID(id))
	}
	expectExit(t, w.Sync(), 0)
	if x := w.Index(); len(x.Lists) != 40 || len(x.Images) != 40 {
		t.Errorf("%d lists, %d images", len(x.Lists), len(x.Images))
	}
	w.Check()
}

// A sync of one subscription downloads nothing for another.
func TestSync_NameDownloadsForItself(t *testing.T) {
	w := subscribertest.New(t)
	other := image{ID: "x", Content: "other"}
	w.Publish("1.0", image{ID: "a", Content: "one"})
	w.Subscribe("two", "/two", w.Alice)
	w.PublishAt("/two", w.Draft("1.0", other).ID("second"))
	w.Fail(other.Path(), 404)
	expect(t, w.Sync(), "x", "failed fetch")
	w.Put(other.Path(), []byte("other"))
	sent := w.Bytes.Load()
	expectExit(t, w.SyncAt(w.At.Add(time.Minute), func(o *subscriber.SyncOptions) { o.Names = []string{"main"} }), 0)
	if w.Bytes.Load() != sent {
		t.Error("downloaded for a subscription that was not named")
	}
	expect(t, w.SyncAt(w.At.Add(2*time.Minute)), "x", "available")
}
