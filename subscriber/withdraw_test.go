package subscriber_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/imagelist/trust"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

const hour = time.Hour

// published makes a site that has one list with images a and b.
func published(t *testing.T) *subscribertest.World {
	t.Helper()
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	expectExit(t, w.Sync(), 0)
	return w
}

// A revoked endorser's images leave although the list's server is dead (T-10, T-09).
func TestT10_RevokedSignerWithDeadServer(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Fail("/list", 404)
	w.CA.Revoke(w.Alice)
	w.CA.WriteTo(w.Dir)
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 3)
	expect(t, rep, "a", "withdrawn revoked")
	if len(w.Index().Images) != 0 || w.Read("a") != "" {
		t.Error("a revoked endorser's image is still published")
	}
	for _, b := range blobs(t, w) {
		info, err := os.Stat(b)
		if err != nil || info.Mode().Perm() != 0o400 {
			t.Errorf("%s: bytes of a revoked image are readable: %v %v", b, info.Mode(), err)
		}
	}
}

func blobs(t *testing.T, w *subscribertest.World) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(w.Config.Cache.Dir, "blobs/sha512/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Removing an endorser from the configuration withdraws at once, without the
// network and without --accept-withdrawals.
func TestT01_NoLongerAuthorised(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Config.Subscriptions[0].Endorsers = nil
	w.Fail("/list", 404)
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 3)
	expect(t, rep, "a", "withdrawn not-authorised")
}

// Missing knowledge keeps what is published, turns the run red, accepts
// nothing new, and withdraws after outage_grace.
func TestT11_MissingCRL(t *testing.T) {
	w := published(t)
	w.CA.WriteTo(w.Dir, listtest.NoCRL())
	w.NoCRL.WriteTo(w.Dir) // somebody has a CRL: trust as a whole is usable
	w.Publish("2.0", image{ID: "c", Content: "gamma"})
	rep := w.SyncAt(w.At.Add(hour))
	expectExit(t, rep, 3)
	if w.Read("a") != "alpha" || w.Read("c") != "" {
		t.Errorf("a=%q c=%q", w.Read("a"), w.Read("c"))
	}
	rep = w.SyncAt(w.At.Add(6 * 24 * hour))
	expectExit(t, rep, 3)
	if w.Read("a") != "alpha" {
		t.Error("withdrawn before outage_grace")
	}
	rep = w.SyncAt(w.At.Add(hour + 7*24*hour))
	expect(t, rep, "a", "withdrawn crl-missing")
	if w.Read("a") != "" {
		t.Error("still there after outage_grace")
	}
}

// A package upgrade that replaces anchors must not empty a site; an anchor
// that stays away for anchor_grace does.
func TestF18_AnchorGone(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.CA.RemoveFrom(w.Dir)
	w.NoCRL.WriteTo(w.Dir)
	rep := w.SyncAt(w.At.Add(hour))
	expectExit(t, rep, 3)
	if w.Read("a") != "alpha" {
		t.Fatal("withdrawn at the first sight of a missing anchor")
	}
	w.CA.WriteTo(w.Dir)
	expectExit(t, w.SyncAt(w.At.Add(2*hour)), 0)
	w.CA.RemoveFrom(w.Dir)
	w.SyncAt(w.At.Add(3 * hour))
	w.SyncAt(w.At.Add(8 * hour))
	if w.Read("a") != "alpha" {
		t.Error("the grace is counted from the wrong absence")
	}
	rep = w.SyncAt(w.At.Add(9 * hour))
	expect(t, rep, "a", "withdrawn untrusted")
}

// No anchor at all: exit 5, expiry and blocks act, nothing else moves.
func TestF18_TrustUnusable(t *testing.T) {
	w := published(t)
	empty := t.TempDir()
	w.Config.Trust.Anchors = empty
	w.Config.Blocks = []subscriber.Block{{Image: "b", Reason: "CVE-2026-1"}}
	rep := w.SyncAt(w.At.Add(hour))
	expectExit(t, rep, 5)
	expect(t, rep, "b", "withdrawn blocked")
	if w.Read("a") != "alpha" || w.Read("b") != "" {
		t.Errorf("a=%q b=%q", w.Read("a"), w.Read("b"))
	}
	rep = w.SyncAt(w.At.AddDate(1, 0, 0))
	expectExit(t, rep, 5)
	expect(t, rep, "a", "withdrawn list-expired")
}

// A block acts at once, survives new versions, and its end republishes from
// the cache without a download.
func TestO7_Block(t *testing.T) {
	for name, b := range map[string]func(*subscribertest.World) subscriber.Block{
		"image":    func(*subscribertest.World) subscriber.Block { return subscriber.Block{Image: "a"} },
		"list":     func(*subscribertest.World) subscriber.Block { return subscriber.Block{List: subscribertest.ListID} },
		"endorser": func(w *subscribertest.World) subscriber.Block { return subscriber.Block{Endorser: w.Alice.DN()} },
		"sha512": func(w *subscribertest.World) subscriber.Block {
			return subscriber.Block{SHA512: w.Index().Images[0].SHA512}
		},
		"cert": func(w *subscribertest.World) subscriber.Block {
			v, err := w.Verify(w.Message())
			if err != nil {
				t.Fatal(err)
			}
			return subscriber.Block{Cert: v.Signer().SHA256}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := published(t)
			sent := w.Bytes.Load()
			block := b(w)
			block.Reason = "CVE-2026-1"
			w.Config.Blocks = []subscriber.Block{block}
			rep := w.SyncAt(w.At.Add(time.Minute))
			expect(t, rep, "a", "withdrawn blocked")
			if w.Read("a") != "" {
				t.Fatal("a blocked image is still there")
			}
			w.Config.Blocks = nil
			rep = w.SyncAt(w.At.Add(2 * time.Minute))
			expectExit(t, rep, 0)
			expect(t, rep, "a", "available")
			if w.Read("a") != "alpha" {
				t.Error("not back after the block was lifted")
			}
			if w.Bytes.Load() != sent {
				t.Error("downloaded again")
			}
			w.Check()
		})
	}
}

// A change of configuration that would withdraw much is held back until it is
// accepted; the baseline does not move before.
func TestHoldBack(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	var images []image
	for i := range 10 {
		images = append(images, image{ID: fmt.Sprintf("i%d", i), Content: fmt.Sprint(i)})
	}
	w.Publish("1.0", images...)
	w.Sync()
	w.Config.Subscriptions[0].Exclude = []subscriber.Selector{{OS: "linux"}}
	for i := range 2 {
		rep := w.SyncAt(w.At.Add(time.Duration(i+1) * time.Minute))
		expectExit(t, rep, 3)
		if len(rep.HeldBack) != 10 || len(w.Index().Images) != 10 {
			t.Fatalf("run %d: held back %d, published %d", i, len(rep.HeldBack), len(w.Index().Images))
		}
	}
	rep := w.SyncAt(w.At.Add(5*time.Minute), func(o *subscriber.SyncOptions) { o.AcceptWithdrawals = true })
	expectExit(t, rep, 0)
	if len(w.Index().Images) != 0 {
		t.Error("accepted withdrawals were not done")
	}
	expect(t, rep, "i0", "withdrawn deselected")
}

// Removing a subscription by command is accepted already.
func TestHoldBack_RemovalByCommand(t *testing.T) {
	t.Parallel()
	w := published(t)
	var images []image
	for i := range 10 {
		images = append(images, image{ID: fmt.Sprintf("i%d", i), Content: fmt.Sprint(i)})
	}
	w.Publish("2.0", images...)
	w.SyncAt(w.At.Add(time.Minute))
	if err := subscriber.AcceptRemoval(w.Config, "main"); err != nil {
		t.Fatal(err)
	}
	w.Config.Subscriptions = nil
	rep := w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 0)
	x := w.Index()
	if len(x.Images) != 0 || len(x.Lists) != 0 {
		t.Errorf("%d images and %d lists are left", len(x.Images), len(x.Lists))
	}
	left, _ := os.ReadDir(filepath.Join(w.Config.StateDir, "removed"))
	if len(left) != 0 {
		t.Error("the note of the removal was not cleared")
	}
}

// What expired comes back without a download when the endorser renews.
func TestT04_FreezeAndReturn(t *testing.T) {
	t.Parallel()
	w := published(t)
	late := w.At.AddDate(0, 2, 0)
	w.CA.WriteTo(w.Dir, listtest.CRLDates(w.At, w.At.AddDate(1, 0, 0)))
	w.Fail("/list", 404)
	rep := w.SyncAt(late)
	expect(t, rep, "a", "withdrawn list-expired")
	sent := w.Bytes.Load()
	b := w.Draft("1.1", image{ID: "a", Content: "alpha"})
	w.PublishAt("/list", b.Created(late.Add(-hour)).Expires(late.AddDate(0, 1, 0)))
	rep = w.SyncAt(late.Add(hour))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "available")
	if w.Bytes.Load() != sent {
		t.Error("downloaded again")
	}
}

// A policy file that is there and denies is a fact; one that is missing is not.
func TestT01_SigningPolicyDenies(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.CA.WriteTo(w.Dir, listtest.NoPolicy())
	w.SyncAt(w.At.Add(time.Minute))
	if w.Read("a") != "alpha" {
		t.Fatal("withdrawn for a missing policy file")
	}
	w.CA.WriteTo(w.Dir, listtest.Permit("/DC=org/DC=elsewhere/*", "/DC=org/DC=elsewhere/.*"))
	rep := w.SyncAt(w.At.Add(2 * time.Minute))
	expect(t, rep, "a", "withdrawn signing-policy")
	w.Config.Trust.SigningPolicy = trust.Ignore
	rep = w.SyncAt(w.At.Add(3 * time.Minute))
	expect(t, rep, "a", "available")
}

// A dry run says what would happen and changes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	w := published(t)
	before, events := w.Tree(), len(w.Events())
	w.Publish("1.1", image{ID: "a", Content: "alpha the second"}, image{ID: "c", Content: "gamma"})
	rep := w.SyncAt(w.At.Add(time.Minute), func(o *subscriber.SyncOptions) { o.DryRun = true })
	expect(t, rep, "a", "updated")
	expect(t, rep, "b", "withdrawn removed")
	expect(t, rep, "c", "available")
	if want := int64(len("alpha the second") + len("gamma")); rep.Download != want {
		t.Errorf("download %d, want %d", rep.Download, want)
	}
	if !maps.Equal(before, w.Tree()) || len(w.Events()) != events {
		t.Error("a dry run changed something")
	}
	rep = w.SyncAt(w.At.Add(2 * time.Minute))
	expect(t, rep, "a", "updated")
}

// six publishes a list of six images: enough for a hold-back.
func six(t *testing.T, w *subscribertest.World, changes ...listtest.Change) {
	t.Helper()
	var images []image
	for i := range 6 {
		images = append(images, image{ID: fmt.Sprintf("i%d", i), Content: fmt.Sprintf("content %d", i)})
	}
	w.PublishAt("/list", w.Draft("1.0", images...), changes...)
	expectExit(t, w.Sync(), 0)
}

func expectHeldBack(t *testing.T, w *subscribertest.World, rep *subscriber.Report, want int) {
	t.Helper()
	expectExit(t, rep, 3)
	if len(rep.HeldBack) != want || len(w.Index().Images) != want {
		t.Errorf("held back %d, published %d, want %d", len(rep.HeldBack), len(w.Index().Images), want)
	}
}

// A subscription file that was away for one run costs nothing, although the
// list's server is dead when it is back.
func TestHoldBack_SubscriptionPutBack(t *testing.T) {
	w := subscribertest.New(t)
	six(t, w)
	subs := w.Config.Subscriptions
	w.Config.Subscriptions = nil
	expectHeldBack(t, w, w.SyncAt(w.At.Add(time.Minute)), 6)
	w.Config.Subscriptions = subs
	w.Fail("/list", 404)
	rep := w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 0)
	if n := len(w.Index().Images); n != 6 {
		t.Errorf("%d images are published", n)
	}
}

// A selection that changes while the list is in doubt is held back when the
// doubt is over: the baseline did not move meanwhile.
func TestHoldBack_ChangedInDoubt(t *testing.T) {
	w := subscribertest.New(t)
	six(t, w)
	w.CA.WriteTo(w.Dir, listtest.NoCRL())
	w.NoCRL.WriteTo(w.Dir)
	w.Config.Subscriptions[0].Exclude = []subscriber.Selector{{Title: "*"}}
	w.SyncAt(w.At.Add(time.Minute))
	w.CA.WriteTo(w.Dir)
	expectHeldBack(t, w, w.SyncAt(w.At.Add(2*time.Minute)), 6)
}

// Settings outside of a subscription that would withdraw much are held back too.
func TestHoldBack_GlobalSettings(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *subscribertest.World){
		"trust.anchors": func(t *testing.T, w *subscribertest.World) {
			w.Config.Trust.Anchors = t.TempDir()
			w.NoCRL.WriteTo(w.Config.Trust.Anchors)
		},
		"fetch.max_list_age": func(_ *testing.T, w *subscribertest.World) { w.Config.Fetch.MaxListAge = time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			w := subscribertest.New(t)
			six(t, w)
			change(t, w)
			w.SyncAt(w.At.Add(time.Minute))
			expectHeldBack(t, w, w.SyncAt(w.At.Add(7*hour)), 6) // after anchor_grace
		})
	}
}

// The algorithm that a removed subscription allowed is no fact against its
// images: they leave because nobody follows the list.
func TestHoldBack_RemovalOfWeakList(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Subscriptions[0].AllowSHA1 = true
	six(t, w, listtest.SHA1())
	must(t, subscriber.AcceptRemoval(w.Config, "main"))
	w.Config.Subscriptions = nil
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "i0", "withdrawn deselected")
}

// A block acts on the old bytes of an image while its new ones are coming.
func TestO7_BlockDuringDownload(t *testing.T) {
	t.Parallel()
	w := published(t)
	blocked := subscriber.Block{SHA512: w.Index().Images[0].SHA512, Reason: "CVE-2026-1"}
	w.Config.Reload = func() ([]subscriber.Block, error) { return []subscriber.Block{blocked}, nil }
	w.Config.Fetch.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		for range 1500 { // half a minute
			if w.Read("a") == "" {
				fmt.Fprint(rw, "alpha two")
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		http.NotFound(rw, req)
	}))
	t.Cleanup(slow.Close)
	w.Publish("1.1", image{ID: "a", Content: "alpha two", Set: map[string]any{"hv:uri": slow.URL + "/a"}}, image{ID: "b", Content: "beta"})
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "withdrawn blocked")
	expect(t, rep, "a", "available")
	if w.Read("a") != "alpha two" {
		t.Errorf("a=%q", w.Read("a"))
	}
	w.Check()
}

// What came and was blocked in the same run is not shown as still to come.
func TestO7_BlockAfterDownload(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	var blocks atomic.Pointer[[]subscriber.Block]
	blocks.Store(&[]subscriber.Block{})
	w.Config.Reload = func() ([]subscriber.Block, error) { return *blocks.Load(), nil }
	w.Config.Fetch.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		for came := false; req.Context().Err() == nil && !(came && w.Read("a") == ""); time.Sleep(20 * time.Millisecond) {
			if !came && w.Read("a") != "" {
				came = true
				blocks.Store(&[]subscriber.Block{{Image: "a", Reason: "CVE-2026-1"}})
			}
		}
		fmt.Fprint(rw, "beta")
	}))
	t.Cleanup(slow.Close)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta", Set: map[string]any{"hv:uri": slow.URL + "/b"}})
	expect(t, w.Sync(), "a", "withdrawn blocked")
	st, err := subscriber.ReadStatus(w.Config.StateDir)
	if err != nil || len(st.Images) != 1 || st.Images[0].Identifier != "b" {
		t.Errorf("%v, images %+v", err, st.Images)
	}
}

// Bytes sealed by a block are readable again after it was lifted, although
// the database that knew of the block was lost.
func TestO7_BlockAcrossRebuild(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Config.Blocks = []subscriber.Block{{Image: "a", Reason: "CVE-2026-1"}}
	expect(t, w.SyncAt(w.At.Add(time.Minute)), "a", "withdrawn blocked")
	must(t, os.RemoveAll(databaseDir(t, w)))
	w.SyncAt(w.At.Add(2 * time.Minute))
	if w.Read("a") != "" {
		t.Error("published again by the rebuild")
	}
	w.Config.Blocks = nil
	expect(t, w.SyncAt(w.At.Add(3*time.Minute)), "a", "available")
	expectMode(t, filepath.Join(w.Config.Cache.Dir, "endorsed", "a"), 0o444)
}

func expectMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != want {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
	}
}

// A block of a certificate is heeded for stale bytes too: those it endorsed
// before somebody else endorsed the list.
func TestO7_CertOfStaleBytes(t *testing.T) {
	w := subscribertest.New(t)
	sub := &w.Config.Subscriptions[0]
	sub.Endorsers, sub.HoldUpdates = append(sub.Endorsers, w.Bob.Authorised()), true
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	expectExit(t, w.Sync(), 0)
	v, err := w.Verify(w.Message())
	must(t, err)
	w.PublishAt("/list", w.Draft("1.1", image{ID: "a", Content: "alpha two"}).Endorsers(w.Bob.Endorser()), listtest.SignedBy(w.Bob))
	expect(t, w.SyncAt(w.At.Add(time.Minute)), "a", "held held")
	w.Config.Blocks = []subscriber.Block{{Cert: v.Signer().SHA256, Reason: "key stolen"}}
	expect(t, w.SyncAt(w.At.Add(2*time.Minute)), "a", "withdrawn blocked")
	if w.Read("a") != "" {
		t.Errorf("a=%q", w.Read("a"))
	}
}

// A dry run tells a withdrawal once.
func TestDryRun_Block(t *testing.T) {
	w := published(t)
	w.Config.Blocks = []subscriber.Block{{Image: "b", Reason: "CVE-2026-1"}}
	rep := w.SyncAt(w.At.Add(time.Minute), func(o *subscriber.SyncOptions) { o.DryRun = true })
	expect(t, rep, "b", "withdrawn blocked")
	if len(rep.Images) != 2 || w.Read("b") != "beta" {
		t.Errorf("images %+v, b=%q", rep.Images, w.Read("b"))
	}
}
