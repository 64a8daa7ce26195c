package subscriber_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/imagelist/verdict"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// stored is a list that was accepted, and the one condition it loses
// afterwards: the bytes stay what they are, the world around them changes.
type stored struct {
	code    verdict.Code
	change  listtest.Change                // of the message
	lenient func(*subscriber.Subscription) // what it is accepted with
	remove  func(*subscribertest.World)    // takes the condition away
	later   time.Duration                  // or time does
	leaves  bool                           // a fact: its images are withdrawn at once
}

// reverified are the twelve conditions of T-01 as they can be lost after a
// list was accepted.
func reverified() []stored {
	const year = 365 * 24 * time.Hour
	main := func(w *subscribertest.World) *subscriber.Subscription { return &w.Config.Subscriptions[0] }
	long := func(m *listtest.Message) { m.List.Expires(m.World.At.AddDate(3, 0, 0)) }
	none := func(*listtest.Message) {}
	return []stored{
		{code: verdict.Signature, leaves: true, change: listtest.Binary(), lenient: func(s *subscriber.Subscription) { s.Binary = true },
			remove: func(w *subscribertest.World) { main(w).Binary = false }},
		{code: verdict.WeakAlgorithm, leaves: true, change: listtest.SHA1(), lenient: func(s *subscriber.Subscription) { s.AllowSHA1 = true },
			remove: func(w *subscribertest.World) { main(w).AllowSHA1 = false }},
		{code: verdict.KeyUsage, leaves: true, change: listtest.ForTLSOnly(), lenient: func(s *subscriber.Subscription) { s.AnyPurpose = true },
			remove: func(w *subscribertest.World) { main(w).AnyPurpose = false }},
		{code: verdict.Untrusted, change: none, remove: func(w *subscribertest.World) { w.CA.RemoveFrom(w.Dir); w.NoCRL.WriteTo(w.Dir) }},
		{code: verdict.CertExpired, change: long, later: year, leaves: true},
		{code: verdict.SigningPolicy, change: none, leaves: true, remove: func(w *subscribertest.World) {
			w.CA.WriteTo(w.Dir, listtest.Permit("/DC=org/DC=elsewhere/*", "/DC=org/DC=elsewhere/.*"))
		}},
		{code: verdict.Revoked, change: none, leaves: true, remove: func(w *subscribertest.World) { w.CA.Revoke(w.Alice); w.CA.WriteTo(w.Dir) }},
		{code: verdict.CRLMissing, change: none, remove: func(w *subscribertest.World) { w.CA.WriteTo(w.Dir, listtest.NoCRL()); w.NoCRL.WriteTo(w.Dir) }},
		{code: verdict.CRLStale, change: none, later: 8 * 24 * time.Hour},
		{code: verdict.NotAuthorised, change: none, leaves: true, remove: func(w *subscribertest.World) {
			main(w).Endorsers[0].DN, main(w).Endorsers[0].CA = w.Bob.DN(), w.Bob.IssuerDN()
		}},
		{code: verdict.CertNotYetValid, change: none, later: -60 * 24 * time.Hour},
		{code: verdict.ListExpired, change: none, later: 29 * 24 * time.Hour, leaves: true},
	}
}

// T-01: each condition removed alone from a list that was accepted has its own
// code, whether the publisher answers or not. Facts withdraw the images; doubts
// leave the cache byte for byte as it was; the bytes of images stay in every
// case.
func TestT01_StoredList(t *testing.T) {
	for _, c := range reverified() {
		for _, dead := range []bool{false, true} {
			name := string(c.code) + " with its publisher"
			if dead {
				name = string(c.code) + " alone"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := subscribertest.New(t)
				if c.lenient != nil {
					c.lenient(&w.Config.Subscriptions[0])
				}
				w.PublishAt("/list", w.Draft("1.0", image{ID: "a", Content: "alpha"}), c.change)
				expectExit(t, w.Sync(), 0)
				before := w.Tree()
				if w.Read("a") != "alpha" {
					t.Fatal("the good list was not followed")
				}
				if c.remove != nil {
					c.remove(w)
				}
				if dead {
					w.Fail("/list", 404)
				}
				c.check(t, w, before)
			})
		}
	}
}

func (c stored) check(t *testing.T, w *subscribertest.World, before map[string]string) {
	t.Helper()
	for i := range 2 { // the same in every run
		rep := w.SyncAt(w.At.Add(c.later + time.Duration(i+1)*time.Minute))
		expectExit(t, rep, 3)
		if !slices.Contains(codes(w, rep), string(c.code)) {
			t.Errorf("run %d says %v: %+v", i+1, codes(w, rep), rep)
		}
	}
	after := w.Tree()
	if c.leaves {
		if w.Read("a") != "" {
			t.Error("still published")
		}
		byBlob := func(path, _ string) bool { return !strings.HasPrefix(path, "blobs"+string(filepath.Separator)) }
		maps.DeleteFunc(before, byBlob)
		maps.DeleteFunc(after, byBlob)
	}
	if len(before) == 0 || !maps.Equal(before, after) {
		t.Errorf("the cache changed from %q to %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
}

// codes is every code in a report and in the status it left.
func codes(w *subscribertest.World, rep *subscriber.Report) []string {
	var all []string
	for _, l := range rep.Lists {
		all = append(all, string(l.Reason))
	}
	for _, i := range append(rep.Images, rep.HeldBack...) {
		all = append(all, i.Reason)
	}
	for _, p := range rep.Problems {
		all = append(all, p.Code)
	}
	if s, err := subscriber.ReadStatus(w.Config.StateDir); err == nil {
		for _, p := range s.Problems {
			all = append(all, p.Code)
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}
