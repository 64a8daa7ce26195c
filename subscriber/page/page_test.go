package page

import (
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// get is what a handler answers to a path.
func get(h http.Handler, path string) *httptest.ResponseRecorder {
	r := httptest.NewRecorder()
	h.ServeHTTP(r, httptest.NewRequest("GET", path, nil))
	return r
}

func showing(v View) http.Handler { return Handler(func() (View, error) { return v, nil }) }

// However many ask, few pages are made at a time; a client that takes its page
// slowly keeps no other from being made.
func TestHandler_FewAtATime(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now, most := 0, 0
	h := Handler(func() (View, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		now--
		return View{}, nil
	})
	release := make(chan struct{})
	var slow sync.WaitGroup
	for range 2 * rendering {
		slow.Go(func() { h.ServeHTTP(&standing{httptest.NewRecorder(), release}, httptest.NewRequest("GET", "/", nil)) })
	}
	var quick sync.WaitGroup
	for range 50 {
		quick.Go(func() { must(t, get(h, "/"), 200) })
	}
	quick.Wait()
	close(release)
	slow.Wait()
	if most > rendering {
		t.Errorf("%d pages were made at once", most)
	}
}

// standing is a client that takes nothing for a while.
type standing struct {
	*httptest.ResponseRecorder
	release chan struct{}
}

func (s *standing) Write(b []byte) (int, error) {
	<-s.release
	return s.ResponseRecorder.Write(b)
}

// allPages are the pages of a site, one of each.
func allPages(v View) []string {
	paths := []string{"/", "/lists", "/images", "/events", "/problems", "/no/such/page"}
	if s := v.Status; s != nil {
		if len(s.Subscriptions) > 0 {
			paths = append(paths, "/list?name="+url.QueryEscape(s.Subscriptions[0].Name))
		}
		if len(s.Images) > 0 {
			paths = append(paths, "/image?id="+url.QueryEscape(s.Images[0].Identifier))
		}
		if len(s.Withdrawn) > 0 {
			paths = append(paths, "/image?id="+url.QueryEscape(s.Withdrawn[0].Identifier))
		}
	}
	return paths
}

// must fails when a page lacks one of these texts.
func must(t *testing.T, r *httptest.ResponseRecorder, code int, want ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("answered %d, want %d", r.Code, code)
	}
	body := strings.Join(strings.Fields(html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(r.Body.String(), ""))), " ")
	for _, w := range want {
		if !strings.Contains(body, w) {
			t.Errorf("does not say %q:\n%s", w, body)
		}
	}
}

func TestPage_Front(t *testing.T) {
	must(t, get(showing(site(14, 3)), "/"), 200,
		"4 critical problems, 1 warning", "34 of 42 images may be used, from 14 lists.", "Last sync 3 min ago.", "The next list expires in 3 days.",
		"critical version-rollback since 30 h ago endorser-009: version 1.0.3 is older", "What to do the server offers an older list",
		"endorser-012Images of community 12 expired list-expired 1.0.12 13 min ago 2 days ago over 2 of 3 1 pending",
		"4 failed", "34 available", "1 withdrawn", "image.revoked Shipped disk 1 removed the image has a well-known password for root",
		"This cache410 GiB", "Free300 GiB of 1.0 TiB", "Limit82 % of 500 GiB", "Not ours4.0 KiB: templates",
		"When What Of Details 14 min ago image.revoked", "opennebula To be told1, the oldest of 20 min ago Next tryin 4 min Given up1", "Authorities91", "All hashed since5 days ago")
}

// The worst stand first, and then what ends first.
func TestPage_WorstFirst(t *testing.T) {
	body := get(showing(site(14, 3)), "/lists").Body.String()
	last := 0
	for _, name := range []string{"endorser-012", "endorser-009", "endorser-006", "endorser-008", "endorser-000", "endorser-001", "endorser-013"} {
		at := strings.Index(body, "name="+name+`"`)
		if at < last {
			t.Errorf("%s is at %d, not after %d", name, at, last)
		}
		last = at
	}
}

func TestPage_Details(t *testing.T) {
	v := site(14, 3)
	h := showing(v)
	must(t, get(h, "/image?id="+v.Status.Images[0].Identifier), 200, "AlmaLinux 9 cloud image", "In the list of endorser-000", "available", v.Status.Images[0].SHA512,
		"2026-11-28 12:00:00 UTC (in 3 days)", "opennebula has it asone:0", "For the grid", "hv:ram_minimum2048", `["22"]`, "/DC=org/DC=example/CN=Example CA", "https://images.example.org/")
	must(t, get(h, "/image?id="+v.Status.Withdrawn[0].Identifier), 200, "Shipped disk", "Left 2 h ago", "removed", "well-known password", "expired/4c1f6e4e",
		"exit status 1: no route to host", "dead vouch event retry "+v.Status.State+"-3")
	must(t, get(h, "/list?name=endorser-009"), 200, "rejected version-rollback", "What to do the server offers", "Failing since2026-11-24 06:00:00 UTC (30 h ago)", "2 of 3 images may be used, 1 pending.", "lists/63175437-7d59-4851-b333-000000000009.smime")
	must(t, get(h, "/list?name=endorser-000"), 200, "list.accepted Images of community 0 1.0.0", "1 left", "Revocation listof 2026-11-24 12:00:00 UTC (24 h ago), due 2026-12-01 12:00:00 UTC (in 6 days)")
	for _, path := range []string{"/list?name=nobody", "/list", "/image?id=x", "/image", "/index.html", "/images/"} {
		must(t, get(h, path), 404, "There is no such page", "What to do")
	}
}

// A thousand lists that cannot be reached are one thing to understand.
func TestPage_EverythingBroken(t *testing.T) {
	v := site(1000, 1)
	v.Status.Problems = nil
	for i := range v.Status.Subscriptions {
		s := &v.Status.Subscriptions[i]
		s.State, s.Reason, s.Detail, s.Available = "unreachable", "fetch", "no route to host", 0
		v.Status.Problems = append(v.Status.Problems, subscriber.Problem{Severity: "critical", Subject: s.Name, Code: "fetch", Detail: s.Detail, Since: noon.Add(-time.Duration(i) * time.Minute), Hint: "check the network"})
	}
	for i := range v.Status.Images {
		v.Status.Images[i].State = "failed"
	}
	v.Status.Cache = subscriber.CacheStatus{Path: "/var/cache/vouch", Free: 1, Total: 100}
	v.Status.Trust = subscriber.TrustStatus{Path: "/none", Error: "no such directory"}
	r := get(showing(v), "/")
	must(t, r, 200, "1,000 critical problems", "0 of 1,000 images may be used", "critical fetch in 1,000 places since 17 h ago", "and 997 more", "check the network", "unusable no such directory", "low")
	if n := r.Body.Len(); n > 40<<10 {
		t.Errorf("%d bytes", n)
	}
	must(t, get(showing(v), "/problems?q=fetch&page=20"), 200, "951–1,000 of 1,000 found among 1,000", "endorser-999")
}

func TestPage_BeforeTheFirstRun(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"no status": showing(View{At: noon, Version: "1"}),
		"its error": Handler(func() (View, error) { return View{At: noon}, subscriber.ErrNoStatus }),
	} {
		t.Run(name, func(t *testing.T) {
			must(t, get(h, "/"), 200, "Nothing has run yet", "run vouch sync, or start vouch daemon")
			for _, path := range []string{"/lists", "/images", "/events"} {
				must(t, get(h, path), 200, "None")
			}
			must(t, get(h, "/list?name=x"), 404)
		})
	}
}

func TestPage_NothingWrong(t *testing.T) {
	v := site(1, 1)
	v.Status.Problems, v.Index = nil, nil
	r := get(showing(v), "/")
	must(t, r, 200, "No problems", "1 of 1 image may be used, from 1 list.")
	if strings.Contains(r.Body.String(), "What is wrong") {
		t.Error("speaks of what is wrong")
	}
	must(t, get(showing(v), "/image?id="+v.Status.Images[0].Identifier), 200, "AlmaLinux") // without the catalogue
}

// While the first download runs, nobody is told to start what runs.
func TestPage_FirstSync(t *testing.T) {
	v := site(1, 1)
	v.Status.Problems, v.Status.LastSync, v.Status.Images[0].State = nil, time.Time{}, "pending"
	r := get(showing(v), "/")
	must(t, r, 200, "No problems", "0 of 1 image may be used, from 1 list.", "The first sync has not come to its end.")
	if strings.Contains(r.Body.String(), "vouch daemon") {
		t.Error("says to start the daemon")
	}
}

// What nobody replaces is not what is true.
func TestPage_StaleStatus(t *testing.T) {
	v := site(1, 1)
	v.Status.Problems = nil
	v.At = noon.Add(3 * day)
	for range 2 { // the view is not changed by being shown
		must(t, get(showing(v), "/"), 200, "1 critical problem", "no-sync", "the last sync was 3 days ago", "see why neither vouch daemon nor cron's vouch sync runs")
	}
	v.Alarm = time.Time{}
	must(t, get(showing(v), "/"), 200, "No problems", "Last sync 3 days ago")
}

func TestPage_Unreadable(t *testing.T) {
	h := Handler(func() (View, error) { return View{At: noon}, errors.New("status: schema \"<b>\u202e\" is not known") })
	r := get(h, "/images")
	must(t, r, 503, "The state cannot be read", `\u202e`, "vouch status")
	if strings.Contains(r.Body.String(), "<b>") {
		t.Error("markup from an error")
	}
}

func TestPage_Headers(t *testing.T) {
	h := showing(site(2, 2))
	for _, path := range []string{"/", "/images?q=x", "/nothing", "/assets/live.js", "/assets/nothing"} {
		r := get(h, path)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if have := r.Header().Get(name); have != want {
				t.Errorf("%s: %s: %q", path, name, have)
			}
		}
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if p := r.Header().Get("Content-Security-Policy"); !strings.Contains(p, want) || strings.Contains(p, "unsafe") {
				t.Errorf("%s: policy %q lacks %s", path, p, want)
			}
		}
	}
	for path, kind := range map[string]string{"/": "text/html; charset=utf-8", "/assets/live.js": "text/javascript; charset=utf-8", "/assets/style.css": "text/css; charset=utf-8", "/assets/icon.svg": "image/svg+xml"} {
		if r := get(h, path); r.Header().Get("Content-Type") != kind {
			t.Errorf("%s is %s", path, r.Header().Get("Content-Type"))
		}
	}
	if c := get(h, "/").Header().Get("Cache-Control"); c != "no-store" {
		t.Errorf("a page may be cached: %q", c)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(method, "/", nil))
		if r.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, r.Code)
		}
	}
}

// Every page has the parts that one who cannot see it goes by.
func TestPage_Structure(t *testing.T) {
	v := site(60, 2)
	for _, path := range allPages(v) {
		body := get(showing(v), path).Body.String()
		for part, want := range map[string]int{"<h1>": 1, "<main ": 1, `<html lang="en"`: 1, "<title>": 1, `class="skip" href="#main"`: 1, "<footer": 1, `aria-live="polite"`: 1, "<script": 1, " style=": 0} {
			if have := strings.Count(body, part); have != want {
				t.Errorf("%s: %d times %q, want %d", path, have, part, want)
			}
		}
		if tables, captions := strings.Count(body, "<table "), strings.Count(body, "<caption"); tables != captions {
			t.Errorf("%s: %d tables have %d captions", path, tables, captions)
		}
		for _, th := range regexp.MustCompile(`<th[ >][^>]*>`).FindAllString(body, -1) {
			if !strings.Contains(th, "scope=") {
				t.Errorf("%s: %s", path, th)
			}
		}
		for _, input := range regexp.MustCompile(`<(?:input|select) id="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			if !strings.Contains(body, `<label for="`+input[1]+`"`) {
				t.Errorf("%s: %s has no label", path, input[1])
			}
		}
	}
}

// Every image is on exactly one page, whatever is asked for in between.
func TestPage_Paging(t *testing.T) {
	v := site(40, 30)
	h := showing(v)
	seen, pages := map[string]int{}, 0
	ids := regexp.MustCompile(`href="/image\?id=([^"]*)"`)
	next := regexp.MustCompile(`rel="next" href="([^"]*)"`)
	for path := "/images"; path != ""; pages++ {
		body := get(h, path).Body.String()
		for _, m := range ids.FindAllStringSubmatch(body, -1) {
			seen[m[1]]++
		}
		path = ""
		if m := next.FindStringSubmatch(body); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 1201 || pages != 25 {
		t.Errorf("%d images on %d pages", len(seen), pages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s stands %d times", id, n)
		}
	}
	for path, want := range map[string]string{
		"/images?page=0": "1–50 of 1,201", "/images?page=-5": "1–50 of", "/images?page=x": "1–50 of", "/images?page=99999999999999999999999": "1,201–1,201 of",
		"/images?page=9999": "1,201–1,201 of 1,201", "/images?q=nothing+like+it": "Nothing found among 1,201", "/images?state=available&list=endorser-003": "of 24 found", "/images?state=held": "found among 1,201",
		"/images?state=<script>": "1–50 of 1,201", "/images?q=debian&state=failed&page=2": "found", "/images?q=%20DEBIAN%20": "found", "/images?q=%ff%00&page=%zz": "1,201",
		"/images?state=withdrawn": "1–1 of 1 found", "/images?q=" + strings.Repeat("f", 128): "1–1 of 1 found", "/images?q=" + strings.Repeat("%E2%82%AC", 5000): "Nothing found",
		"/lists?state=expired": "1–3 of 3 found among 40", "/lists?q=community+7&state=ok": "found among 40", "/events?q=revoked": "1–1 of 1 found", "/problems?q=crl": "found",
	} {
		must(t, get(h, path), 200, want)
	}
}

func FuzzQuery(f *testing.F) {
	v := site(3, 30)
	h := showing(v)
	for _, q := range []string{"page=2", "q=a&state=held&list=endorser-001", "id=%00", "name=endorser-000", "page=%", "q=;&q=&", "q=\u202e", "page=-9223372036854775808"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		for _, path := range []string{"/images", "/lists", "/list", "/image", "/events", "/problems"} {
			request := httptest.NewRequest("GET", path, nil)
			request.URL.RawQuery = q
			r := httptest.NewRecorder()
			h.ServeHTTP(r, request)
			if r.Code != 200 && r.Code != 404 {
				t.Errorf("%s: %d", path, r.Code)
			}
		}
	})
}

// Many requests share one view.
func TestPage_ViewIsNotChanged(t *testing.T) {
	v := site(30, 3)
	before, _ := json.Marshal(v)
	h := showing(v)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, path := range append(allPages(v), "/images?q=debian", "/lists?state=ok", "/events?q=image") {
				get(h, path)
			}
		})
	}
	all.Wait()
	if after, _ := json.Marshal(v); string(after) != string(before) {
		t.Error("the view was changed")
	}
}

// What vouch sync leaves is what the page shows.
func TestPage_RealSite(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1", subscribertest.Image{ID: "aaaa-1", Content: "one", Set: map[string]any{"dc:title": "<b>First</b>\u202e"}}, subscribertest.Image{ID: "bbbb-2", Content: "two"})
	w.Sync()
	site := &Site{Files: new(subscriber.Files), StateDir: w.Config.StateDir, CacheDir: w.Config.Cache.Dir, Version: "9"}
	h := Handler(site.Read)
	must(t, get(h, "/"), 200, "No problems", "2 of 2 images may be used, from 1 list.", "main", "ok")
	must(t, get(h, "/image?id=aaaa-1"), 200, `<b>First</b>\u202e`, "endorsed/aaaa-1", "In the list of main", "hv:uri")
	must(t, get(h, "/images?q=FIRST"), 200, "1–1 of 1 found among 2")
	must(t, get(h, "/events"), 200, "sync.finished", `image.available <b>First</b>\u202e`, "list.accepted")
	w.Publish("2", subscribertest.Image{ID: "bbbb-2", Content: "two"})
	w.Sync()
	must(t, get(h, "/"), 200, "1 of 1 image may be used", "image.revoked")
	must(t, get(h, "/image?id=aaaa-1"), 200, "Left", "removed")
	if err := os.Remove(filepath.Join(w.Config.StateDir, "status.json")); err != nil {
		t.Fatal(err)
	}
	must(t, get(h, "/"), 200, "Nothing has run yet")
	if err := os.WriteFile(filepath.Join(w.Config.StateDir, "status.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, get(h, "/"), 503, "The state cannot be read", "status: ")
}

// The biggest site that we promise something for.
func BenchmarkPage(b *testing.B) {
	v := site(1000, 10)
	h := showing(v)
	for _, path := range []string{"/", "/lists", "/images", "/images?q=debian&page=20", "/image?id=" + v.Status.Images[9000].Identifier, "/list?name=endorser-500"} {
		b.Run(path, func(b *testing.B) {
			size := 0
			for b.Loop() {
				size = get(h, path).Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

func TestPage_SmallAtABigSite(t *testing.T) {
	h := showing(site(1000, 10))
	for _, path := range []string{"/", "/lists", "/images", "/events", "/problems"} {
		r := get(h, path)
		if r.Code != 200 || r.Body.Len() > 80<<10 {
			t.Errorf("%s: %d, %d bytes", path, r.Code, r.Body.Len())
		}
	}
	must(t, get(h, "/"), 200, "All 1,000 lists", "of 10,000 images may be used, from 1,000 lists.")
}
