package serve

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// populated has images in every state that a file can have.
func populated(t *testing.T) *site {
	s := newSite(t, func(s *site) { s.conf.TokenFile = s.write("tokens", "# who\ncolleague "+token+"\n", 0o600) })
	s.Publish("1", subscribertest.Image{ID: "gone", Content: "g"}, subscribertest.Image{ID: "one", Content: "one's bytes"},
		subscribertest.Image{ID: "hostile", Content: "h", Set: map[string]any{"dc:title": "a\u202eb <script>\u0085"}},
		subscribertest.Image{ID: "blocked", Content: "b"}, subscribertest.Image{ID: "lost", Content: "l"})
	s.Fail(subscribertest.Image{ID: "lost", Content: "l"}.Path(), 404)
	s.pass()
	s.Config.Blocks = []subscriber.Block{{Image: "blocked", Reason: "CVE-2026-1"}, {Image: "waits", Reason: "not yet"}}
	s.Publish("2", subscribertest.Image{ID: "one", Content: "one's bytes"},
		subscribertest.Image{ID: "hostile", Content: "h", Set: map[string]any{"dc:title": "a\u202eb <script>\u0085"}},
		subscribertest.Image{ID: "blocked", Content: "b"}, subscribertest.Image{ID: "lost", Content: "l"}, subscribertest.Image{ID: "waits", Content: "w"},
		subscribertest.Image{ID: "over", Content: "o", Set: map[string]any{"dc:date:expires": "2026-01-01T00:00:00Z"}})
	s.Fail(subscribertest.Image{ID: "lost", Content: "l"}.Path(), 404)
	s.pass()
	s.Config.Blocks = append(s.Config.Blocks[:1], subscriber.Block{Image: "hostile", Reason: "for a while"})
	if _, err := subscriber.Pass(t.Context(), s.Config, subscriber.Options{}); err != nil {
		t.Fatal(err)
	}
	s.Config.Blocks = s.Config.Blocks[:1] // "hostile" comes back
	if _, err := subscriber.Pass(t.Context(), s.Config, subscriber.Options{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// Every answer is as the description says, and everything that it describes
// was answered.
func TestOpenAPI_EveryAnswer(t *testing.T) {
	t.Parallel()
	empty := newSite(t)
	for _, path := range []string{"/v1/images", "/v1/images/one", "/v1/images/one/data", "/v1/lists", "/v1/lists/one", "/v1/lists/one/message", "/v1/status", "/readyz"} {
		if r := empty.want(503, path); r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	s := populated(t)
	list := "/v1/lists/" + subscribertest.ListID
	for _, path := range []string{"/v1/images?state=any", "/v1/images/one", "/v1/images/one?list=" + subscribertest.ListID, "/v1/images/one/data", "/v1/lists", list, list + "/message", "/v1/status", "/healthz", "/openapi.json", "/readyz"} {
		r := s.want(200, path)
		if tag := r.Header.Get("ETag"); tag != "" {
			s.want(304, path, "If-None-Match: W/\"x\", "+tag)
			s.want(200, path, `If-None-Match: "x"`)
		}
		if head := s.want(200, "HEAD "+path); head.body != "" || head.Header.Get("ETag") != r.Header.Get("ETag") {
			t.Errorf("HEAD %s: %v", path, head.Header)
		}
		p := s.want(405, "PUT "+path)
		if p.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("PUT %s: Allow: %q", path, p.Header.Get("Allow"))
		}
	}
	for _, path := range []string{"/v1/images?limit=0", "/v1/images/one?x", "/v1/images/one/data?list=a&list=b", "/v1/lists?x=1", list + "?x", list + "/message?x", "/v1/events?x=1", "/v1/status?x"} {
		s.want(400, path)
	}
	for _, path := range []string{"/v1/images/nobody", "/v1/images/nobody/data", "/v1/lists/nobody", "/v1/lists/nobody/message", "/v1/images/one?list=other", "/v1/images/lost", "/v1/images/lost/data", "/", "/metrics"} {
		s.want(404, path)
	}
	for _, id := range []string{"gone", "blocked"} {
		s.want(410, "/v1/images/"+id)
		s.want(410, "/v1/images/"+id+"/data")
	}
	s.want(206, "/v1/images/one/data", "Range: bytes=0-2")
	s.want(416, "/v1/images/one/data", "Range: bytes=100-")
	s.want(412, "/v1/images/one/data", `If-Match: "other"`)
	refresh := "POST /v1/subscriptions/main/refresh"
	s.want(401, refresh)
	s.want(404, "POST /v1/subscriptions/other/refresh", "Authorization: Bearer "+token)
	s.want(202, refresh, "Authorization: Bearer "+token)
	s.want(429, refresh, "Authorization: Bearer "+token)
	empty.want(403, refresh)
	s.want(405, "GET /v1/subscriptions/main/refresh")

	var doc struct {
		Paths map[string]map[string]struct{ Responses map[string]any }
	}
	if err := json.Unmarshal(description, &doc); err != nil {
		t.Fatal(err)
	}
	elsewhere := []string{"GET /v1/events 200", "GET /v1/events 503", "GET /openapi.json 304", "POST /v1/subscriptions/{name}/refresh 503"}
	for path, item := range doc.Paths {
		for method, op := range item {
			for code := range op.Responses {
				if what := strings.ToUpper(method) + " " + path + " " + code; code != "default" && !s.asked[what] && !empty.asked[what] && !slices.Contains(elsewhere, what) {
					t.Errorf("described and never seen: %s", what)
				}
			}
		}
	}
}

// A withdrawn image is gone with its reason; text of lists is harmless (T-45).
func TestImages_WhatBecame(t *testing.T) {
	t.Parallel()
	s := populated(t)
	for id, want := range map[string]problem{
		"gone":    {Status: 410, State: "withdrawn", Reason: "removed"},
		"blocked": {Status: 410, State: "withdrawn", Reason: "blocked"},
		"lost":    {Status: 404, State: "failed", Reason: "fetch"},
		"over":    {Status: 404, State: "expired", Reason: "image-expired"},
		"waits":   {Status: 404, State: "pending"},
	} {
		var have problem
		if err := json.Unmarshal([]byte(s.want(want.Status, "/v1/images/"+id+"/data").body), &have); err != nil {
			t.Fatal(err)
		}
		if have.State != want.State && !(id == "blocked" && have.State == "blocked") || have.Reason != want.Reason || have.Status != want.Status {
			t.Errorf("%s: %+v", id, have)
		}
		if id == "gone" && (have.At == nil || have.At.IsZero()) {
			t.Errorf("%s: no time", id)
		}
	}
	for _, path := range []string{"/v1/images", "/v1/images/hostile", "/v1/status"} {
		if body := s.want(200, path).body; strings.ContainsAny(body, "\u202e\u0085") || !strings.Contains(body, `a\u202eb`) {
			t.Errorf("%s: %q", path, body)
		}
	}
	if h := s.want(200, "/v1/images").Header; h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", h)
	}
}

// What is asked for is answered, in pages that miss nothing and repeat nothing.
func TestImages_Filters(t *testing.T) {
	t.Parallel()
	s := populated(t)
	ids := func(path string) (ids []string) {
		t.Helper()
		for path != "" {
			var page struct {
				Images []struct{ Identifier, State string }
				Next   string
			}
			if err := json.Unmarshal([]byte(s.want(200, path).body), &page); err != nil {
				t.Fatal(err)
			}
			for _, i := range page.Images {
				ids = append(ids, i.Identifier+" "+i.State)
			}
			path = page.Next
		}
		return ids
	}
	everything := ids("/v1/images?state=any")
	if len(everything) < 5 || slices.Contains(everything, "hostile withdrawn") {
		t.Fatalf("%q", everything)
	}
	for path, want := range map[string][]string{
		"/v1/images":                            {"hostile available", "one available"},
		"/v1/images?os=LINUX&subscription=main": {"hostile available", "one available"},
		"/v1/images?sha512=" + strings.ToUpper(filepath.Base(s.blob("one"))): {"one available"},
		"/v1/images?os=&state=&limit=&list=":                                 {"hostile available", "one available"},
		"/v1/images?os=plan9":                                                nil,
		"/v1/images?list=" + subscribertest.ListID + "&state=failed":         {"lost failed"},
		"/v1/images?state=withdrawn&limit=1":                                 ids("/v1/images?state=withdrawn"),
		"/v1/images?state=any&limit=1":                                       everything,
		"/v1/images?state=any&limit=2":                                       everything,
		"/v1/images?after=nowhere&state=any":                                 nil,
	} {
		if have := ids(path); !slices.Equal(have, want) {
			t.Errorf("%s: %q, want %q", path, have, want)
		}
	}
	for query, says := range map[string]string{
		"colour=red":                    "known here: after, arch",
		"os=a&os=b":                     "os comes twice",
		"limit=1001":                    "limit is from 1 to 1000",
		"limit=x":                       "limit is from",
		"sha512=12":                     "sha512 is 128",
		"state=gone":                    "state is any",
		"os=%zz":                        "not a query",
		"os=%ff":                        "os is not text",
		"os=%00":                        "os is not text",
		"os=a;arch=b":                   "not a query",
		strings.Repeat("a", maxQuery+1): "longer than",
	} {
		if r := s.want(400, "/v1/images?"+query); !strings.Contains(r.body, says) {
			t.Errorf("%s: %s, want %q", query, r.body, says)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"", "os=linux", "state=any&limit=1", "after=a%2Fb", "sha512=00", "%", "a=b&a=c", "state=,", "limit=-1", "os=%00"} {
		f.Add(seed)
	}
	images := []*pictured{{id: "a", state: "available", os: "Linux", place: "0/a"}, {id: "b", state: "withdrawn", place: "6/b"}}
	f.Fuzz(func(t *testing.T, raw string) {
		q, p := parseFilter(raw)
		if p != nil {
			if q != nil || p.Status != 400 || len(p.Detail) > 1000 {
				t.Errorf("%q: %+v %+v", raw, q, p)
			}
			return
		}
		page, next := q.page(images)
		if len(page) > q.limit || next != "" && len(page) == 0 {
			t.Errorf("%q: %d images, next %q", raw, len(page), next)
		}
		if again, p := parseFilter(next); p != nil || next != "" && again.after <= q.after {
			t.Errorf("%q: the next page %q: %v", raw, next, p)
		}
	})
}

// The catalogue is read again when it is another file, and only then; one that
// cannot be read serves nothing.
func TestView_Changes(t *testing.T) {
	t.Parallel()
	s := populated(t)
	before := s.server.look()
	s.want(200, "/v1/images")
	if s.server.look() != before {
		t.Error("read again without need")
	}
	s.pass()
	if s.server.look() == before {
		t.Error("a new one was not read")
	}
	index := filepath.Join(s.conf.CacheDir, "index.json")
	good, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{", `{"schema":"vouch/index/v9"}`} {
		os.Remove(index)
		if err := os.WriteFile(index, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		s.want(503, "/v1/images/one/data")
		s.want(200, "/v1/status")
	}
	os.Remove(index)
	if err := os.WriteFile(index, good, 0o644); err != nil {
		t.Fatal(err)
	}
	s.want(200, "/v1/images/one/data")

	// What could not be read for a moment, an error of the disk say.
	unread := bytes.Repeat([]byte{' '}, len(good))
	info, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	at := info.ModTime().Add(time.Second)
	for _, step := range []struct {
		content []byte
		want    int
	}{{unread, 503}, {good, 200}} {
		if err := os.WriteFile(index, step.content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(index, at, at); err != nil {
			t.Fatal(err)
		}
		s.want(step.want, "/v1/images/one")
	}
}

// Ready is about the daemon: a pass since the start, and none overdue.
func TestReady(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Publish("1", subscribertest.Image{ID: "one", Content: "one"})
	s.SyncAt(time.Now().Add(-2 * time.Hour))
	s.want(200, "/healthz")
	if r := s.want(503, "/readyz"); !strings.Contains(r.body, "no pass since the start") {
		t.Error(r.body)
	}
	s.pass()
	s.want(200, "/readyz")
	s.server.Passed(time.Now().Add(time.Minute))
	s.want(200, "/readyz")
	s.server.begun = s.server.begun.Add(-3 * time.Hour)
	s.server.Passed(time.Now().Add(-2 * time.Hour))
	s.want(200, "/readyz") // a pass has been since
	s.SyncAt(time.Now().Add(-2 * time.Hour))
	if r := s.want(503, "/readyz"); !strings.Contains(r.body, "is overdue") {
		t.Error(r.body)
	}
}

// What other rooms answer stands where it belongs, with the same protection.
func TestHandler_OtherRooms(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) {
		name := func(text string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(text)) })
		}
		s.server.Page, s.server.Metrics = name("page"), name("metrics")
	})
	for path, want := range map[string]string{"/": "page", "/lists": "page", "/metrics": "metrics"} {
		if r := s.want(200, path); r.body != want {
			t.Errorf("%s: %q", path, r.body)
		}
		s.want(405, "POST "+path)
		s.want(421, path, "Host: attacker.example")
	}
}
