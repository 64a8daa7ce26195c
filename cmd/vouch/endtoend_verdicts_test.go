package main_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/imagelist/verdict"
)

// checkRefusal checks what everybody who may ask is told of a refusal: scripts a
// code, people what, where and what to do.
func (s *site) checkRefusal(t *testing.T, exit int, code verdict.Code, subject string) {
	t.Helper()
	text := s.vouch("sync", "--verbose")
	if text.code != exit {
		t.Errorf("text: exit %d, want %d\n%s%s", text.code, exit, text.stdout, text.stderr)
	}
	said := regexp.MustCompile(`(?m)^(list|image|warning|critical) .*` + regexp.QuoteMeta(subject) + `.*` + regexp.QuoteMeta(string(code)) + `: .+`)
	if !said.MatchString(text.stdout) {
		t.Errorf("sync does not say %s of %s:\n%s%s", code, subject, text.stdout, text.stderr)
	}
	status := s.vouch("status")
	if status.code != 0 {
		t.Errorf("status: exit %d", status.code)
	}
	if exit == 0 {
		return
	}
	problem := regexp.MustCompile(`(?m)^  (critical|warning) +\S+: ` + regexp.QuoteMeta(string(code)) + `.*\n +-> .{10,}`)
	if !problem.MatchString(status.stdout) {
		t.Errorf("status does not say what to do about %s:\n%s", code, status.stdout)
	}
	if nagios := s.vouch("status", "--nagios"); nagios.code != 2 && nagios.code != 1 || !strings.Contains(nagios.stdout, string(code)) {
		t.Errorf("status --nagios: exit %d, %s", nagios.code, nagios.stdout)
	}
}

// TestEveryVerdict_Lists refuses a newer list for every reason there is, and
// finds the cache byte for byte as it was (T-01).
func TestEveryVerdict_Lists(t *testing.T) {
	requireTool(t, "openssl")
	type refusal struct {
		code   verdict.Code
		exit   int
		spoil  func(s *site) // instead of a change of the message
		change listtest.Change
		result string
	}
	var all []refusal
	for code, change := range listtest.Refusals {
		all = append(all, refusal{code: code, exit: 3, change: change()})
	}
	fail := func(status int) func(*site) {
		return func(s *site) {
			s.pub.hook("/list", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "canary-body", status) })
		}
	}
	all = append(all,
		refusal{code: verdict.Fetch, exit: 0, spoil: fail(http.StatusNotFound), result: "unreachable"},
		refusal{code: verdict.Fetch, exit: 3, result: "unreachable", spoil: func(s *site) {
			s.section("fetch")["alarm_after"] = "0s"
			fail(http.StatusForbidden)(s)
		}},
		refusal{code: verdict.TooLarge, exit: 3, spoil: func(s *site) {
			s.section("fetch")["max_list_size"] = "64KiB"
			s.pub.put("/list", make([]byte, 70<<10))
		}},
		refusal{code: verdict.IdentifierChanged, exit: 3, change: listtest.ID("00000000-0000-4000-8000-000000000001")},
		refusal{code: verdict.VersionRollback, exit: 3, change: listtest.Version("0.9")},
		refusal{code: verdict.VersionReused, exit: 3, change: listtest.List(func(b *listtest.Builder) { b.Version("1.0.0").Title("Other") })},
		refusal{code: verdict.Blocked, exit: 0, spoil: func(s *site) {
			s.publish(s.draft("2.0.0", picture{"one", "first", nil}, picture{"two", "second", nil}), listtest.SignedBy(s.Bob))
			s.block("endorser: " + s.Bob.DN() + "\nreason: left the project\n")
			s.subscription("main")["endorsers"] = []any{object{"dn": s.Alice.DN(), "ca": s.Alice.IssuerDN()}, object{"dn": s.Bob.DN(), "ca": s.Bob.IssuerDN()}}
		}},
	)
	for _, r := range all {
		t.Run(fmt.Sprintf("%s_exit%d", r.code, r.exit), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.publish(s.draft("1.0.0", picture{"one", "first", nil}).Created(s.At.AddDate(0, 0, -30)))
			s.sync(0)
			if s.endorsed("one") != "first" {
				t.Fatal("the good list was not followed")
			}
			before := s.cacheTree()
			if r.change != nil {
				s.publish(s.draft("2.0.0", picture{"one", "first changed", nil}, picture{"two", "second", nil}), r.change)
			} else {
				r.spoil(s)
			}
			rep := s.sync(r.exit)
			want := r.result
			if want == "" {
				want = "rejected"
			}
			if r.code == verdict.ListExpired {
				want = "expired"
			}
			if len(rep.Lists) != 1 || rep.Lists[0].Result != want || rep.Lists[0].Reason != string(r.code) || rep.Lists[0].Detail == "" || rep.Lists[0].Subscription != "main" {
				t.Errorf("report: %+v, want %s %s", rep.Lists, want, r.code)
			}
			sameTree(t, before, s.cacheTree())
			s.checkRefusal(t, r.exit, r.code, "main") // also when nothing changed since
			sameTree(t, before, s.cacheTree())
			if told := s.count("list.rejected"); r.exit == 3 && want != "unreachable" && told != 1 {
				t.Errorf("%d events list.rejected, want 1", told)
			}
			if out := s.vouch("event", "ls", "-o", "json"); strings.Contains(out.stdout, "canary-body") {
				t.Error("an error body was echoed")
			}
		})
	}
}

// TestEveryVerdict_Order: when several things are wrong, the first gate's is
// the reason (contract §4).
func TestEveryVerdict_Order(t *testing.T) {
	for _, c := range []struct {
		want    verdict.Code
		changes []listtest.Change
	}{
		{verdict.Signature, []listtest.Change{listtest.Rogue(), listtest.Expired(), listtest.Tampered()}},
		{verdict.Untrusted, []listtest.Change{listtest.Expired(), listtest.Rogue()}},
		{verdict.MalformedList, []listtest.Change{listtest.DuplicateKey(), listtest.NamesSomebodyElse()}},
		{verdict.EndorserMismatch, []listtest.Change{listtest.NamesSomebodyElse(), listtest.Expired()}},
		{verdict.NotAuthorised, []listtest.Change{listtest.Unauthorised(), listtest.Version("0.1"), listtest.Expired()}},
		{verdict.IdentifierChanged, []listtest.Change{listtest.ID("other"), listtest.Version("0.1"), listtest.Expired()}},
		{verdict.VersionRollback, []listtest.Change{listtest.Version("0.1"), listtest.FromTheFuture()}},
	} {
		t.Run(string(c.want), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.publish(s.draft("1.0.0", picture{"one", "first", nil}))
			s.sync(0)
			s.publish(s.draft("2.0.0", picture{"one", "first", nil}), c.changes...)
			if rep := s.sync(3); rep.Lists[0].Reason != string(c.want) {
				t.Errorf("report: %+v", rep.Lists)
			}
		})
	}
}

// TestEveryVerdict_Clash: a second list may take neither a list's identifier
// nor an image's (T-12, T-13).
func TestEveryVerdict_Clash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.subscribe("other", s.pub.URL+"/other", s.Bob)
	s.publish(s.draft("1.0.0", picture{"one", "first", nil}))
	s.publishAt("/other", s.draft("9.0.0", picture{"one", "stolen", nil}), listtest.SignedBy(s.Bob))
	rep := s.sync(3)
	if len(rep.Lists) != 2 || rep.Lists[1].Reason != string(verdict.IdentifierClash) || s.endorsed("one") != "first" {
		t.Errorf("list: %+v", rep.Lists)
	}
	s.publishAt("/other", s.draft("9.0.0", picture{"one", "stolen", nil}, picture{"mine", "mine", nil}).ID("other-list"), listtest.SignedBy(s.Bob))
	before := s.endorsed("one")
	rep = s.sync(3)
	if i := rep.Images; len(i) != 3 || rep.image("mine").Result != "available" {
		t.Errorf("images: %+v", i)
	}
	if !strings.Contains(s.expect(3, []string{"sync"}, `image +one.*failed: identifier-clash: identifier belongs to list `).stdout, listtest.ListID) {
		t.Error("the owner is not named")
	}
	if s.endorsed("one") != before {
		t.Error("the owner's image changed")
	}
	s.expect(0, []string{"status"}, `identifier-clash.*one`, `-> .*vouch image release`)
	s.expect(0, []string{"image", "release", "one", "--to", "other", "--reason", "moved"})
	s.sync(3) // now main names what belongs to other
	s.sync(3)
	if s.endorsed("one") != "stolen" {
		t.Errorf("after the release endorsed/one is %q", s.endorsed("one"))
	}
}

// TestEveryVerdict_Images gives one image of three a reason not to be had: it
// alone is missing, and what is published stays.
func TestEveryVerdict_Images(t *testing.T) {
	const bad, body = "bad", "the bytes of the bad one"
	serve := func(body string) func(*site, *listtest.Builder) {
		return func(s *site, b *listtest.Builder) {
			b.ImageSet("hv:uri", s.pub.put("/images/spoiled", []byte(body)))
		}
	}
	uri := func(uri string) func(*site, *listtest.Builder) {
		return func(_ *site, b *listtest.Builder) { b.ImageSet("hv:uri", uri) }
	}
	set := func(key string, value any) func(*site, *listtest.Builder) {
		return func(_ *site, b *listtest.Builder) { b.ImageSet(key, value) }
	}
	for name, c := range map[string]struct {
		code   verdict.Code
		exit   int
		result string
		spoil  func(*site, *listtest.Builder)
	}{
		"missing-key": {verdict.MalformedEntry, 3, "failed", set("hv:size", nil)},
		"bad-digest":  {verdict.MalformedEntry, 3, "failed", set("sl:checksum:sha512", "1234")},
		"file-uri":    {verdict.MalformedEntry, 3, "failed", uri("file:///etc/passwd")},
		"ftp-uri":     {verdict.MalformedEntry, 3, "failed", uri("ftp://example.org/x")},
		"expired": {verdict.ImageExpired, 0, "held", func(s *site, b *listtest.Builder) {
			b.ImageSet("dc:date:expires", s.At.Add(-time.Hour).UTC().Format(time.RFC3339))
		}},
		"other-bytes": {verdict.ChecksumMismatch, 3, "failed", serve("The bytes of the bad one")},
		"shorter":     {verdict.SizeMismatch, 3, "failed", serve("short")},
		"longer":      {verdict.SizeMismatch, 3, "failed", serve(body + " and more")},
		"not-found":   {verdict.Fetch, 3, "failed", func(s *site, b *listtest.Builder) { b.ImageSet("hv:uri", s.pub.URL+"/nowhere") }},
		"link-local":  {verdict.NetworkDenied, 3, "failed", uri("http://169.254.169.254/latest/meta-data")},
		"private":     {verdict.NetworkDenied, 3, "failed", uri("http://10.1.2.3/image")},
		"decimal":     {verdict.NetworkDenied, 3, "failed", uri("http://2852039166/image")},
		"mapped":      {verdict.NetworkDenied, 3, "failed", uri("http://[::ffff:10.1.2.3]/image")},
		"other-port":  {verdict.NetworkDenied, 3, "failed", uri("http://127.0.0.1:9/image")},
		"localhost": {verdict.NetworkDenied, 3, "failed", func(s *site, b *listtest.Builder) {
			b.ImageSet("hv:uri", strings.Replace(s.pub.URL, "127.0.0.1", "localhost", 1)+"/x")
		}},
		"redirect-inwards": {verdict.NetworkDenied, 3, "failed", func(s *site, b *listtest.Builder) {
			s.pub.hook("/images/away", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
			})
			b.ImageSet("hv:uri", s.pub.URL+"/images/away")
		}},
		"no-space": {verdict.NoSpace, 3, "failed", func(s *site, b *listtest.Builder) { b.ImageSet("hv:size", int64(1)<<50) }},
		"over-quota": {verdict.OverQuota, 3, "failed", func(s *site, b *listtest.Builder) {
			b.ImageSet("hv:size", 4096)
			s.section("cache")["max_size"] = "1KiB"
		}},
		"min-free": {verdict.NoSpace, 3, "failed", func(s *site, _ *listtest.Builder) { s.section("cache")["min_free"] = "100000TiB" }},
		"blocked":  {verdict.Blocked, 0, "held", func(s *site, _ *listtest.Builder) { s.block("image: " + bad + "\nreason: CVE-2026-1\n") }},
		"new-held": {verdict.Held, 0, "held", func(s *site, _ *listtest.Builder) { s.subscription("main")["images"] = object{"new": "hold"} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			good := []picture{{"one", "first", nil}, {"two", "second", nil}}
			s.publish(s.draft("1.0.0", good...))
			s.sync(0)
			before := s.cacheTree()
			b := s.draft("2.0.0", append(good, picture{bad, body, nil})...)
			c.spoil(s, b)
			s.publish(b)
			rep := s.sync(c.exit)
			if i := rep.image(bad); i.Result != c.result || i.Reason != string(c.code) || i.Detail == "" {
				t.Errorf("report: %+v, want %s %s", rep.Images, c.result, c.code)
			}
			if rep.Lists[0].Result != "accepted" {
				t.Errorf("list: %+v", rep.Lists)
			}
			s.checkRefusal(t, c.exit, c.code, bad)
			after := s.cacheTree()
			for _, changed := range []string{"index.json", "lists/" + listtest.ListID + ".smime"} {
				delete(before, changed)
				delete(after, changed)
			}
			sameTree(t, before, after)
			s.expect(3, []string{"image", "path", bad}, string(c.code))
			s.expect(0, []string{"image", "path", "one"}, `/cache/endorsed/one\n`)
			if c.exit == 3 && c.code != verdict.MalformedEntry && s.count("image.failed") != 1 {
				t.Errorf("%d events image.failed, want 1", s.count("image.failed"))
			}
		})
	}
}

// TestEveryVerdict_Updates keeps the old bytes of an image whose new ones
// cannot be had or are held.
func TestEveryVerdict_Updates(t *testing.T) {
	for name, c := range map[string]struct {
		code  verdict.Code
		exit  int
		spoil func(*site, *listtest.Builder)
	}{
		"held": {verdict.Held, 0, func(s *site, _ *listtest.Builder) { s.subscription("main")["images"] = object{"updates": "hold"} }},
		"mismatch": {verdict.ChecksumMismatch, 3, func(s *site, b *listtest.Builder) {
			b.ImageSet("hv:uri", s.pub.put("/images/x", []byte("FIRST, CHANGED")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.publish(s.draft("1.0.0", picture{"one", "first", nil}))
			s.sync(0)
			b := s.draft("2.0.0", picture{"one", "first, changed", nil})
			c.spoil(s, b)
			s.publish(b)
			s.sync(c.exit)
			rep := s.sync(c.exit)
			if i := rep.image("one"); i.Reason != string(c.code) {
				t.Errorf("report: %+v", rep.Images)
			}
			if x := s.index(); len(x.Images) != 1 || !x.Images[0].Stale || s.endorsed("one") != "first" {
				t.Errorf("index: %+v, endorsed/one %q", x.Images, s.endorsed("one"))
			}
			s.expect(0, []string{"image", "ls"}, `one +main +stale .*`+string(c.code))
			if c.code == verdict.Held {
				s.expect(2, []string{"image", "approve", "one", "--sha512", strings.Repeat("0", 128)}, "the list names", "hint: ")
				s.expect(0, []string{"image", "approve", "one"})
				s.sync(0)
				if s.endorsed("one") != "first, changed" {
					t.Errorf("after the approval endorsed/one is %q", s.endorsed("one"))
				}
			}
		})
	}
}

// TestEveryVerdict_TrustUnusable: exit 5, nothing accepted, nothing lost.
func TestEveryVerdict_TrustUnusable(t *testing.T) {
	for name, c := range map[string]struct {
		code  verdict.Code
		spoil func(*site)
		hint  string
	}{
		"no-anchor": {verdict.Untrusted, func(s *site) { s.section("trust")["anchors"] = emptyDir(s.T) }, ""},
		"no-dir":    {verdict.Untrusted, func(s *site) { s.section("trust")["anchors"] = "/nonexistent/certificates" }, ""},
		"no-crl": {verdict.CRLMissing, func(s *site) {
			s.CA.WriteTo(s.Dir, listtest.NoCRL())
			s.NoCRL.RemoveFrom(s.Dir)
			s.StaleCRL.WriteTo(s.Dir, listtest.NoCRL())
		}, "fetch-crl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.publish(s.draft("1.0.0", picture{"one", "first", nil}))
			s.sync(0)
			before := s.cacheTree()
			s.publish(s.draft("2.0.0", picture{"one", "first", nil}, picture{"two", "second", nil}))
			c.spoil(s)
			rep := s.sync(5)
			if len(rep.Lists) != 1 || rep.Lists[0].Result != "rejected" || rep.Lists[0].Reason != string(c.code) {
				t.Errorf("report: %+v", rep.Lists)
			}
			s.expect(5, []string{"sync"}, string(c.code), c.hint, "-> ")
			sameTree(t, before, s.cacheTree())
			s.expect(2, []string{"status", "--nagios"}, "^VOUCH CRITICAL")
			s.expect(5, []string{"trust", "check"}, "vouch: .")
		})
	}
}

// TestEveryVerdict_StoredLists: facts withdraw a published image without the
// network; ignorance keeps it.
func TestEveryVerdict_StoredLists(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		exit   int
		stays  bool
		happen func(*site)
	}{
		"revoked": {"revoked", 3, false, func(s *site) { s.CA.Revoke(s.Alice); s.CA.WriteTo(s.Dir) }},
		"not-authorised": {"not-authorised", 3, false, func(s *site) {
			s.subscription("main")["endorsers"] = []any{object{"dn": s.Bob.DN(), "ca": s.Bob.IssuerDN()}}
		}},
		"policy-denies": {"signing-policy", 3, false, func(s *site) { s.CA.WriteTo(s.Dir, listtest.Permit("/DC=org/DC=nowhere/*", "/DC=org/DC=nowhere/.*")) }},
		"anchor-gone":   {"untrusted", 3, true, func(s *site) { s.CA.RemoveFrom(s.Dir) }},
		"no-grace":      {"untrusted", 3, false, func(s *site) { s.CA.RemoveFrom(s.Dir); s.section("trust")["anchor_grace"] = "0s" }},
		"crl-stale":     {"crl-stale", 3, true, func(s *site) { s.CA.WriteTo(s.Dir, listtest.CRLDates(s.At.AddDate(0, 0, -9), s.At.AddDate(0, 0, -1))) }},
		"crl-gone":      {"crl-missing", 3, true, func(s *site) { s.CA.WriteTo(s.Dir, listtest.NoCRL()) }},
		"crl-no-grace":  {"crl-missing", 3, false, func(s *site) { s.CA.WriteTo(s.Dir, listtest.NoCRL()); s.section("trust")["outage_grace"] = "0s" }},
		"too-old":       {"list-expired", 3, false, func(s *site) { s.section("fetch")["max_list_age"] = "1m" }},
		"block-list":    {"blocked", 0, false, func(s *site) { s.block("list: " + listtest.ListID + "\nreason: no\n") }},
		"block-image":   {"blocked", 0, false, func(s *site) { s.block("image: one\nreason: no\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.publish(s.draft("1.0.0", picture{"one", "first", nil}))
			s.sync(0)
			s.pub.Close()
			c.happen(s)
			rep := s.sync(c.exit)
			if c.stays {
				if s.endorsed("one") != "first" {
					t.Error("the image is gone")
				}
				s.expect(2, []string{"status", "--nagios"}, c.reason)
				return
			}
			if i := rep.image("one"); i.Result != "withdrawn" || i.Reason != c.reason {
				t.Errorf("report: %+v", rep.Images)
			}
			if s.endorsed("one") != "" || len(s.index().Images) != 0 {
				t.Error("the image is still there")
			}
			s.expect(3, []string{"image", "path", "one"}, c.reason)
			kept, err := os.ReadDir(s.path("cache", "expired"))
			if err != nil || len(kept) != 1 {
				t.Errorf("expired/: %v, %v", kept, err)
			}
		})
	}
}
