package subscriber_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// Wrong bytes are never shown, the old ones stay and are marked stale, the
// failure is told once, and after five complete downloads it is left alone.
func TestFailedUpdateKeepsOldBytes(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Publish("1.1", image{ID: "a", Content: "alpha two"}, image{ID: "b", Content: "beta"})
	w.Put(image{ID: "a", Content: "alpha two"}.Path(), []byte("alpha 2wo"))
	for i := range 7 {
		rep := w.SyncAt(w.At.Add(time.Duration(i+1) * time.Minute))
		expectExit(t, rep, 3)
		expect(t, rep, "a", "failed checksum-mismatch")
		if w.Read("a") != "alpha" {
			t.Fatalf("run %d: a=%q", i, w.Read("a"))
		}
	}
	for _, i := range w.Index().Images {
		if i.Stale != (i.Identifier == "a") {
			t.Errorf("%s: stale %v", i.Identifier, i.Stale)
		}
	}
	told := strings.Count(strings.Join(w.Events(), "\n"), "image.failed a")
	if told != 1 {
		t.Errorf("image.failed told %d times", told)
	}
	if sent := w.Bytes.Load(); sent > int64(len("alphabeta")+5*len("alpha two")) {
		t.Errorf("%d bytes sent: the mismatch was tried more than five times", sent)
	}
	w.Publish("1.2", image{ID: "a", Content: "alpha three"}, image{ID: "b", Content: "beta"})
	rep := w.SyncAt(w.At.Add(hour))
	expectExit(t, rep, 0)
	if w.Read("a") != "alpha three" {
		t.Errorf("a=%q", w.Read("a"))
	}
	for _, i := range w.Index().Images {
		if i.Stale {
			t.Errorf("%s is still stale", i.Identifier)
		}
	}
	w.Check()
}

// One image that cannot be had does not keep the others.
func TestOneImageFails(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"}, image{ID: "c", Content: "gamma"})
	w.Fail(image{ID: "b", Content: "beta"}.Path(), 404)
	w.Put(image{ID: "c", Content: "gamma"}.Path(), []byte("gamma and more"))
	rep := w.Sync()
	expectExit(t, rep, 3)
	expect(t, rep, "a", "available")
	expect(t, rep, "b", "failed fetch")
	expect(t, rep, "c", "failed size-mismatch")
	w.Check()
}

// Bytes that are in the cache under another list or name are not downloaded again.
func TestSameBytesOnce(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "the same"}, image{ID: "b", Content: "the same"})
	w.Subscribe("other", "/other", w.Alice)
	w.PublishAt("/other", w.Draft("1.0", image{ID: "c", Content: "the same"}).ID("other-list"))
	rep := w.Sync()
	expectExit(t, rep, 0)
	if w.Bytes.Load() != int64(len("the same")) {
		t.Errorf("%d bytes sent", w.Bytes.Load())
	}
	for _, id := range []string{"a", "b", "c"} {
		if w.Read(id) != "the same" {
			t.Errorf("%s=%q", id, w.Read(id))
		}
	}
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
}

// images.new: hold and images.updates: hold wait for vouch image approve.
func TestHold(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	sub := &w.Config.Subscriptions[0]
	sub.HoldNew, sub.HoldUpdates = true, true
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	rep := w.Sync()
	expectExit(t, rep, 0)
	expect(t, rep, "a", "held held")
	approve(t, w, "a")
	rep = w.SyncAt(w.At.Add(time.Minute))
	expect(t, rep, "a", "available")
	expect(t, rep, "b", "held held")

	w.Publish("1.1", image{ID: "a", Content: "alpha two"}, image{ID: "b", Content: "beta"})
	rep = w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "held held")
	if w.Read("a") != "alpha" || !w.Index().Images[0].Stale {
		t.Errorf("a=%q %+v", w.Read("a"), w.Index().Images)
	}
	approve(t, w, "a")
	rep = w.SyncAt(w.At.Add(3 * time.Minute))
	expect(t, rep, "a", "updated")
	if w.Read("a") != "alpha two" {
		t.Errorf("a=%q", w.Read("a"))
	}
}

func approve(t *testing.T, w *subscribertest.World, id string) {
	t.Helper()
	if err := subscriber.Approve(t.Context(), w.Config, subscriber.Options{At: w.At.Add(time.Second)}, id, ""); err != nil {
		t.Fatal(err)
	}
}

// Only what is selected comes.
func TestSelection(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Subscriptions[0].Include = []subscriber.Selector{{Title: "Image a*"}, {Identifier: "c"}}
	w.Config.Subscriptions[0].Exclude = []subscriber.Selector{{Format: "VMDK"}}
	w.Publish("1.0", image{ID: "a1", Content: "1"}, image{ID: "a2", Content: "2", Set: map[string]any{"hv:format": "vmdk"}}, image{ID: "b", Content: "3"}, image{ID: "c", Content: "4"})
	expectExit(t, w.Sync(), 0)
	got := []string{}
	for _, i := range w.Index().Images {
		got = append(got, i.Identifier)
	}
	if strings.Join(got, " ") != "a1 c" {
		t.Errorf("published %q", got)
	}
}

// Same bytes, other metadata: one image.updated that names the keys, and no download.
func TestUpdatedMetadata(t *testing.T) {
	w := published(t)
	sent := w.Bytes.Load()
	w.Publish("1.1", image{ID: "a", Content: "alpha", Set: map[string]any{"dc:title": "A better title", "hv:uri": "https://example.org/x"}}, image{ID: "b", Content: "beta"})
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "updated")
	expect(t, rep, "b", "unchanged")
	if w.Index().Images[0].Title != "A better title" || w.Bytes.Load() != sent {
		t.Errorf("title %q, %d bytes more", w.Index().Images[0].Title, w.Bytes.Load()-sent)
	}
	events := w.Events()
	if last := events[len(events)-1]; last != "image.updated a" {
		t.Errorf("last event %s", last)
	}
}

// Two entries that name the same bytes with different sizes: the true one is
// published, the other is refused.
func TestSameBytesOtherSize(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "alpha", Set: map[string]any{"hv:size": 99}})
	rep := w.Sync()
	expectExit(t, rep, 3)
	expect(t, rep, "a", "available")
	expect(t, rep, "b", "failed size-mismatch")
	w.Check()
}

// Wrong bytes are held against the place they came from: a list that names
// another place is followed at once.
func TestMismatchElsewhere(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	a := image{ID: "a", Content: "alpha"}
	w.Publish("1.0", a)
	w.Put(a.Path(), []byte("wrong"))
	for i := range 6 {
		expect(t, w.SyncAt(w.At.Add(time.Duration(i)*time.Minute)), "a", "failed checksum-mismatch")
	}
	moved := w.Draft("1.1", a)
	w.Put(a.Path(), []byte("wrong"))
	w.Put("/images/right", []byte("alpha"))
	w.PublishAt("/list", moved.ImageSet("hv:uri", w.Server.URL+"/images/right"))
	rep := w.SyncAt(w.At.Add(10 * time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "available")
}

// An image that was published before is not new when it comes back after the
// expiry of its list.
func TestHold_ReturnIsNotNew(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	expectExit(t, w.Sync(), 0)
	w.Config.Subscriptions[0].HoldNew = true
	late := w.At.AddDate(0, 2, 0)
	w.Fail("/list", 404)
	expect(t, w.SyncAt(late), "a", "withdrawn list-expired")
	w.PublishAt("/list", w.Draft("1.1", image{ID: "a", Content: "alpha"}).Created(late).Expires(late.AddDate(0, 1, 0)))
	w.CA.WriteTo(w.Dir, listtest.CRLDates(late, late.AddDate(0, 1, 0)))
	rep := w.SyncAt(late.Add(time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "available")
}

// T-11: a CRL that is late costs no byte of a download that was begun.
func TestT11_PartialKeptInDoubt(t *testing.T) {
	w := subscribertest.New(t)
	a := image{ID: "a", Content: "alpha"}
	w.Publish("1.0", a)
	w.Fail(a.Path(), 404)
	expect(t, w.Sync(), "a", "failed fetch")
	s, err := subscriber.ReadStatus(w.Config.StateDir)
	must(t, err)
	begun := filepath.Join(w.Config.Cache.Dir, "partial", s.Images[0].Wanted+".part")
	must(t, os.WriteFile(begun, []byte("alp"), 0o600))
	w.CA.WriteTo(w.Dir, listtest.NoCRL())
	w.SyncAt(w.At.Add(time.Minute))
	if _, err := os.Stat(begun); err != nil {
		t.Error(err)
	}
}
