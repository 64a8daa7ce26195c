package subscriber_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
	w := published(t)
	w.Fail("/list", 503)
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
	w := published(t)
	w.Config.Subscriptions[0].Endorsers = nil
	w.Fail("/list", 503)
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
	rep = w.SyncAt(w.At.Add(8 * hour))
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
	w := published(t)
	late := w.At.AddDate(0, 2, 0)
	w.CA.WriteTo(w.Dir, listtest.CRLDates(w.At, w.At.AddDate(1, 0, 0)))
	w.Fail("/list", 503)
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
