package subscriber_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/imagelist/verdict"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// T-01: each condition removed alone has its own code, at the first sync and
// at an update, and leaves the cache as it was.
func TestT01_EveryGate(t *testing.T) {
	cases := map[verdict.Code]listtest.Change{
		verdict.NotSigned:         listtest.NotSigned(),
		verdict.Signature:         listtest.Tampered(),
		verdict.WeakAlgorithm:     listtest.SHA1(),
		verdict.MultipleSigners:   listtest.TwoSigners(),
		verdict.Untrusted:         listtest.Rogue(),
		verdict.CertExpired:       listtest.SignerExpired(),
		verdict.CertNotYetValid:   listtest.SignerNotYetValid(),
		verdict.KeyUsage:          listtest.ForTLSOnly(),
		verdict.ProxyCertificate:  listtest.SignedByProxy(),
		verdict.SigningPolicy:     listtest.OutOfNamespace(),
		verdict.Revoked:           listtest.SignerRevoked(),
		verdict.CRLMissing:        listtest.NoCRLForSigner(),
		verdict.CRLStale:          listtest.StaleCRLForSigner(),
		verdict.MalformedList:     listtest.DuplicateKey(),
		verdict.EndorserMismatch:  listtest.NamesSomebodyElse(),
		verdict.NotAuthorised:     listtest.Unauthorised(),
		verdict.IdentifierChanged: listtest.ID("another-list"),
		verdict.VersionRollback:   listtest.Version("0.9"),
		verdict.VersionReused:     listtest.Version("1.0"),
		verdict.CreatedInFuture:   listtest.FromTheFuture(),
		verdict.ListExpired:       listtest.Expired(),
	}
	needsFirst := map[verdict.Code]bool{verdict.VersionRollback: true, verdict.VersionReused: true}
	for code, change := range cases {
		if !needsFirst[code] { // the others mean nothing before a first list was accepted
			t.Run(string(code)+" at first", func(t *testing.T) {
				t.Parallel()
				w := subscribertest.New(t)
				w.Config.Subscriptions[0].List = subscribertest.ListID
				w.PublishAt("/list", w.Draft("2.0", image{ID: "a", Content: "alpha"}), change)
				rejected(t, w, w.Sync(), code)
				if len(w.Tree()) != 0 {
					t.Errorf("something was written: %v", w.Tree())
				}
			})
		}
		t.Run(string(code)+" at update", func(t *testing.T) {
			t.Parallel()
			change := change
			w := published(t)
			before := w.Tree()
			if code == verdict.ListExpired { // newer than the floor, and over already
				change = listtest.List(func(b *listtest.Builder) { b.Created(w.At).Expires(w.At.Add(time.Second)) })
			}
			w.PublishAt("/list", w.Draft("2.0", image{ID: "a", Content: "alpha changed"}), change)
			for i := range 2 { // refused in every run, told once
				rejected(t, w, w.SyncAt(w.At.Add(time.Duration(i+1)*time.Minute)), code)
			}
			if !maps.Equal(before, w.Tree()) {
				t.Error("the cache changed")
			}
			told := 0
			for _, e := range w.Events() {
				if e == "list.rejected "+subscribertest.ListID {
					told++
				}
			}
			if told != 1 {
				t.Errorf("told %d times", told)
			}
		})
	}
}

func rejected(t *testing.T, w *subscribertest.World, rep *subscriber.Report, code verdict.Code) {
	t.Helper()
	expectExit(t, rep, 3)
	if len(rep.Lists) != 1 || rep.Lists[0].Reason != code {
		t.Errorf("lists %+v, want reason %s", rep.Lists, code)
	}
}

// The floor outlives the subscription (T-02), and an operator can reset it (T-03).
func TestT02_FloorOutlivesSubscription(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	w.Publish("2.0", image{ID: "a", Content: "alpha"})
	w.Sync()
	subs := w.Config.Subscriptions
	w.Config.Subscriptions = nil
	w.SyncAt(w.At.Add(time.Minute))
	w.Config.Subscriptions = subs
	w.Publish("1.0", image{ID: "a", Content: "older"})
	rejected(t, w, w.SyncAt(w.At.Add(2*time.Minute)), verdict.VersionRollback)
}

// Another valid, authorised signature over the same content replaces the
// stored message and is no news.
func TestResignedIsUnchanged(t *testing.T) {
	t.Parallel()
	w := published(t)
	b := w.Draft("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	events := len(w.Events())
	w.PublishAt("/list", b, func(m *listtest.Message) { m.Sign.At = w.At.Add(time.Second) })
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 0)
	if rep.Lists[0].Result != "unchanged" {
		t.Errorf("result %s", rep.Lists[0].Result)
	}
	if len(w.Events()) != events {
		t.Errorf("events %v", w.Events()[events:])
	}
	w.Fail("/list", 404)
	expectExit(t, w.SyncAt(w.At.Add(2*time.Minute)), 0)
}

// T-12: a second list that claims an identifier is refused for that image
// only; the first owner is unaffected byte for byte.
func TestT12_IdentifierClash(t *testing.T) {
	w := published(t)
	before := w.Tree()
	w.Subscribe("other", "/other", w.Alice)
	w.PublishAt("/other", w.Draft("9.0", image{ID: "a", Content: "hostile"}, image{ID: "z", Content: "zeta"}).ID("other-list"))
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 3)
	clash := false
	for _, i := range rep.Images {
		clash = clash || i.Subscription == "other" && i.Identifier == "a" && i.Result == "failed" && i.Reason == "identifier-clash"
	}
	if !clash {
		t.Errorf("no clash in %+v", rep.Images)
	}
	expect(t, rep, "z", "available")
	after := w.Tree()
	for path, content := range before {
		if after[path] != content {
			t.Errorf("%s changed", path)
		}
	}
	w.Check()
}

// T-13: a second subscription to a list somebody follows already.
func TestT13_ListIdentifierClash(t *testing.T) {
	w := published(t)
	w.Subscribe("other", "/other", w.Alice)
	w.PublishAt("/other", w.Draft("9.0", image{ID: "q", Content: "q"}))
	rep := w.SyncAt(w.At.Add(time.Minute))
	if rep.Lists[1].Reason != verdict.IdentifierClash {
		t.Errorf("lists %+v", rep.Lists)
	}
}

// A list with a bad entry loses that entry alone; a cached image stays only
// while the bad entry still names its bytes.
func TestMalformedEntry(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.PublishAt("/list", w.Draft("1.1",
		image{ID: "a", Content: "alpha", Set: map[string]any{"hv:size": "1e3"}},
		image{ID: "b", Content: "beta changed", Set: map[string]any{"hv:uri": "file:///etc/passwd"}},
		image{ID: "c", Content: "gamma"}))
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 3)
	expect(t, rep, "a", "failed malformed-entry")
	expect(t, rep, "b", "withdrawn malformed-entry")
	expect(t, rep, "c", "available")
	if w.Read("a") != "alpha" || w.Read("b") != "" {
		t.Errorf("a=%q b=%q", w.Read("a"), w.Read("b"))
	}
}

// F-12: a clock behind what was certainly seen accepts nothing new.
func TestF12_ClockBack(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Publish("2.0", image{ID: "c", Content: "gamma"})
	rep := w.SyncAt(w.At.Add(-2 * time.Hour))
	expectExit(t, rep, 3)
	if w.Read("a") != "alpha" || w.Read("c") != "" {
		t.Errorf("a=%q c=%q", w.Read("a"), w.Read("c"))
	}
}

// F-12: a clock that lost decades withdraws nothing.
func TestF12_ClockFarBack(t *testing.T) {
	w := published(t)
	for _, at := range []time.Time{w.At.AddDate(-30, 0, 0), time.Unix(0, 0)} {
		expectExit(t, w.SyncAt(at), 3)
		if w.Read("a") != "alpha" {
			t.Errorf("withdrawn by a clock that went back to %v", at)
		}
	}
}

// T-22: an identifier that is no file name costs that entry alone, and the
// problem is told once in every run.
func TestT22_IdentifierIsNoName(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "b", Content: "beta"}, image{ID: "a", Content: "alpha", Set: map[string]any{"dc:identifier": "../x"}})
	for i := range 2 {
		rep := w.SyncAt(w.At.Add(time.Duration(i) * time.Minute))
		expectExit(t, rep, 3)
		told := 0
		for _, p := range rep.Problems {
			if p.Code == "malformed-entry" {
				told++
			}
		}
		if told != 1 {
			t.Errorf("run %d: told %d times: %+v", i, told, rep.Problems)
		}
	}
	if w.Read("b") != "beta" || w.Read("../x") != "" {
		t.Errorf("b=%q ../x=%q", w.Read("b"), w.Read("../x"))
	}
}

// T-42: an entry too large to be kept is refused alone, in every run.
func TestT42_HugeEntry(t *testing.T) {
	w := subscribertest.New(t)
	set := map[string]any{}
	for i := range 20 {
		set[fmt.Sprintf("x:key%d", i)] = strings.Repeat("y", 60<<10)
	}
	w.Publish("1.0", image{ID: "a", Content: "alpha", Set: set}, image{ID: "b", Content: "beta"})
	for i := range 2 {
		rep := w.SyncAt(w.At.Add(time.Duration(i) * time.Minute))
		expectExit(t, rep, 3)
		expect(t, rep, "a", "failed malformed-entry")
	}
	if w.Read("a") != "" || w.Read("b") != "beta" {
		t.Errorf("a=%q b=%q", w.Read("a"), w.Read("b"))
	}
}

// T-12: an identifier that is released goes to the other list although nobody
// knows any more what the first one says.
func TestT12_ReleaseInDoubt(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "x", Content: "one"})
	w.PublishAt("/two", w.Draft("1.0", image{ID: "x", Content: "other"}).ID("second"))
	w.Subscribe("two", "/two", w.Alice)
	expect(t, w.Sync(), "x", "failed identifier-clash")
	stored, err := filepath.Glob(filepath.Join(w.Config.StateDir, "evidence", "*.smime"))
	must(t, err)
	for _, path := range append(stored, filepath.Join(w.Config.Cache.Dir, "lists", subscribertest.ListID+".smime")) {
		must(t, os.Remove(path))
	}
	w.Fail("/list", 404)
	must(t, subscriber.Release(t.Context(), w.Config, subscriber.Options{At: w.At.Add(time.Minute)}, "x", "two", "moved"))
	rep := w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 3)
	expect(t, rep, "x", "withdrawn identifier-clash")
	expect(t, rep, "x", "available")
	if w.Read("x") != "other" {
		t.Errorf("x=%q", w.Read("x"))
	}
	w.Check()
}

// T-13: a subscription that is bound to another list afterwards publishes
// nothing of the old one; it is withdrawn once and refused in every run.
func TestT13_BoundToAnotherList(t *testing.T) {
	w := published(t)
	w.Config.Subscriptions[0].List = "another"
	before := len(w.Events())
	for i := range 3 {
		rep := w.SyncAt(w.At.Add(time.Duration(i+1) * time.Minute))
		rejected(t, w, rep, verdict.IdentifierChanged)
		if i == 0 {
			expect(t, rep, "a", "withdrawn deselected")
			expect(t, rep, "b", "withdrawn deselected")
		} else if len(rep.Images) != 0 {
			t.Errorf("run %d: images %+v", i, rep.Images)
		}
	}
	told := strings.Join(w.Events()[before:], "\n")
	if w.Read("a") != "" || strings.Count(told, "image.deselected a") != 1 {
		t.Errorf("a=%q, events\n%s", w.Read("a"), told)
	}
}
