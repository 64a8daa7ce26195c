package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/metrics"
	"vouch/subscriber/subscribertest"
)

type image = subscribertest.Image

// scrape asks as Prometheus does.
func scrape(t testing.TB, m *metrics.Metrics) string {
	t.Helper()
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s %v\n%s", resp.Status, err, body)
	}
	return string(body)
}

// samples maps each series to its value.
func samples(t testing.TB, text string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndex(line, " ")
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out[line[:i]] = v
	}
	return out
}

func expect(t *testing.T, have map[string]float64, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if got, ok := have[name]; !ok || got != v {
			t.Errorf("%s is %v (there: %v), want %v", name, got, ok, v)
		}
	}
}

// hostile is what an endorser may call an image.
const hostile = "evil\"} 1\nvouch_trust_usable 7 \\"

// site is a real one on which something of everything has happened: a good
// list, a refused one, a handler that fails for good, a quota, a corrupt image.
func site(t *testing.T) *metrics.Metrics {
	t.Helper()
	w := subscribertest.New(t)
	m := metrics.New(func() (*subscriber.Status, error) { return subscriber.ReadStatus(w.Config.StateDir) })
	w.Config.Cache.MaxSize, w.Config.Cache.CheckEvery = 1<<20, time.Hour
	w.Config.Handlers = []event.Handler{{Name: "store", Exec: []string{"/bin/false"}, Events: []string{"image.*"}, MaxAge: 90 * time.Minute, Timeout: time.Minute}}
	w.Subscribe("other", "/other", w.Bob)
	w.Publish("1.0", image{ID: "a", Content: "alpha", Set: map[string]any{"dc:title": hostile}}, image{ID: "b", Content: "beta"})
	w.PublishAt("/other", w.Draft("1.0"))
	m.Passed(w.Sync())
	m.Passed(w.SyncAt(w.At.Add(2 * time.Hour))) // the events were given up
	w.Publish("1.1", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"}, image{ID: "c", Content: "gamma"})
	m.Passed(w.SyncAt(w.At.Add(3 * time.Hour))) // and the next one is to be told
	spoil(t, w)
	rep, err := subscriber.Scrub(context.Background(), w.Config, subscriber.Options{At: w.At.Add(4 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	m.Scrubbed(rep)
	m.Failed(errors.New("no"))
	return m
}

// everything is a scrape of such a site.
func everything(t *testing.T) string {
	t.Helper()
	once.Do(func() {
		scraped = scrape(t, site(t))
	})
	if scraped == "" {
		t.Fatal("the site could not be made")
	}
	return scraped
}

var (
	once    sync.Once
	scraped string
)

// spoil changes the bytes of one image behind vouch's back.
func spoil(t *testing.T, w *subscribertest.World) {
	t.Helper()
	path, err := filepath.EvalSymlinks(filepath.Join(w.Config.Cache.Dir, "endorsed", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, []byte("BETA"), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// T-04: how old the last verified list is, when it ends, and what came of each
// pass can be read off, and every series has the value of what happened.
func TestT04_Metrics(t *testing.T) {
	w := subscribertest.New(t)
	m := metrics.New(func() (*subscriber.Status, error) { return subscriber.ReadStatus(w.Config.StateDir) })
	w.CA.WriteTo(w.Dir, listtest.CRLDates(w.At.Add(-time.Hour), w.At.AddDate(0, 0, 7)))
	w.Subscribe("other", "/other", w.Bob)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	w.PublishAt("/other", w.Draft("1.0"))
	m.Passed(w.Sync())
	w.Fail("/list", 503)
	m.Passed(w.SyncAt(w.At.Add(25 * time.Hour)))
	at := float64(w.At.Unix())
	st, err := subscriber.ReadStatus(w.Config.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, samples(t, scrape(t, m)), map[string]float64{
		`vouch_status_up`:                   1,
		`vouch_last_sync_timestamp_seconds`: at + 25*3600,
		`vouch_last_sync_exit_status`:       3,
		`vouch_list_last_verified_timestamp_seconds{subscription="main"}`:   at,
		`vouch_list_last_verified_timestamp_seconds{subscription="other"}`:  0,
		`vouch_list_expires_timestamp_seconds{subscription="main"}`:         float64(st.Subscriptions[0].Expires.Unix()),
		`vouch_list_crl_this_update_timestamp_seconds{subscription="main"}`: at - 3600,
		`vouch_list_crl_next_update_timestamp_seconds{subscription="main"}`: at + 7*24*3600,
		`vouch_subscription_state{state="unreachable",subscription="main"}`: 1,
		`vouch_subscription_state{state="ok",subscription="main"}`:          0,
		`vouch_subscription_state{state="rejected",subscription="other"}`:   1,
		`vouch_list_images{subscription="main"}`:                            2,
		`vouch_images{state="available"}`:                                   2,
		`vouch_images{state="failed"}`:                                      0,
		`vouch_problems{code="not-authorised",severity="critical"}`:         1,
		`vouch_lists_total{reason="",result="accepted"}`:                    1,
		`vouch_lists_total{reason="not-authorised",result="rejected"}`:      2,
		`vouch_lists_total{reason="fetch",result="unreachable"}`:            1,
		`vouch_image_changes_total{reason="",result="available"}`:           2,
		`vouch_downloads_total{result="ok",subscription="main"}`:            2,
		`vouch_downloaded_bytes_total{subscription="main"}`:                 float64(len("alpha") + len("beta")),
		`vouch_passes_total{exit="3"}`:                                      2,
		`vouch_cache_bytes{kind="blobs"}`:                                   float64(st.Cache.Usage.Blobs.Bytes),
		`vouch_cache_oldest_check_timestamp_seconds`:                        at,
		`vouch_trust_usable`:                         1,
		`vouch_cache_checks_total{result="corrupt"}`: 0,
		`vouch_cache_filesystem_size_bytes`:          float64(st.Cache.Total),
	})
}

// What scrubbing, handlers and blocks come to.
func TestMetrics_HandlersAndChecks(t *testing.T) {
	text := everything(t)
	if strings.Contains(text, "evil") {
		t.Error("text of a list is in it")
	}
	have := samples(t, text)
	expect(t, have, map[string]float64{
		`vouch_cache_checks_total{result="corrupt"}`:             1,
		`vouch_cache_checks_total{result="sound"}`:               2,
		`vouch_cache_checked_bytes_total`:                        float64(len("alpha") + len("gamma")),
		`vouch_images_withdrawn{type="image.corrupt"}`:           1,
		`vouch_problems{code="dead-letter",severity="critical"}`: 1,
		`vouch_cache_quota_bytes`:                                1 << 20,
		`vouch_pass_errors_total`:                                1,
	})
	for _, name := range []string{`vouch_events_dead_total`, `vouch_events_emitted_total`, `vouch_outbox_events{handler="store",state="dead"}`, `vouch_outbox_events{handler="store",state="pending"}`, `vouch_outbox_oldest_timestamp_seconds{handler="store"}`} {
		if have[name] <= 0 {
			t.Errorf("%s is %v", name, have[name])
		}
	}
	if full, ok := have[`vouch_outbox_filled_ratio{handler="store"}`]; !ok || full > 0.001 {
		t.Errorf("a few of 100,000 fill %v of the outbox (%v)", full, ok)
	}
}

// Without a status there are counters, and up says whether that is a failure.
func TestMetrics_NoStatus(t *testing.T) {
	for want, err := range map[float64]error{1: subscriber.ErrNoStatus, 0: errors.New("status: damaged")} {
		m := metrics.New(func() (*subscriber.Status, error) { return nil, err })
		have := samples(t, scrape(t, m))
		expect(t, have, map[string]float64{"vouch_status_up": want, "vouch_pass_errors_total": 0, `vouch_cache_checks_total{result="corrupt"}`: 0})
		if _, ok := have["vouch_trust_usable"]; ok {
			t.Error("a gauge without a status")
		}
	}
}

// A thousand subscriptions with ten images each: series by subscription, none
// by image.
func TestMetrics_Cardinality(t *testing.T) {
	st := &subscriber.Status{}
	for i := range 1000 {
		name := fmt.Sprintf("site-%d", i)
		st.Subscriptions = append(st.Subscriptions, subscriber.SubscriptionStatus{Name: name, State: "ok", Expires: time.Now(), CRLMade: time.Now(), CRLDue: time.Now()})
		for n := range 10 {
			st.Images = append(st.Images, subscriber.ImageStatus{Identifier: fmt.Sprintf("image-%d-%d", i, n), Subscription: name, Title: hostile, State: "available"})
		}
	}
	m := metrics.New(func() (*subscriber.Status, error) { return st, nil })
	begun := time.Now()
	text := scrape(t, m)
	t.Logf("%d bytes, %d series in %v", len(text), len(samples(t, text)), time.Since(begun).Round(time.Millisecond))
	if n := len(samples(t, text)); n > 15*1000+200 {
		t.Errorf("%d series", n)
	}
	if strings.Contains(text, "image-") || strings.Contains(text, "evil") {
		t.Error("an image is in it")
	}
}

// described are the metrics of vouch's own that a scrape has: name to labels
// and help.
func described(text string) map[string][2]string {
	labels := map[string]map[string]bool{}
	series := regexp.MustCompile(`(?m)^(vouch_\w+)(?:\{(.*)\})? \S+$`)
	label := regexp.MustCompile(`(\w+)="`)
	for _, s := range series.FindAllStringSubmatch(text, -1) {
		if labels[s[1]] == nil {
			labels[s[1]] = map[string]bool{}
		}
		for _, l := range label.FindAllStringSubmatch(s[2], -1) {
			labels[s[1]][l[1]] = true
		}
	}
	out := map[string][2]string{}
	for _, h := range regexp.MustCompile(`(?m)^# HELP (vouch_\w+) (.*)$`).FindAllStringSubmatch(text, -1) {
		out[h[1]] = [2]string{strings.Join(slices.Sorted(maps.Keys(labels[h[1]])), " "), h[2]}
	}
	return out
}

// The README's table is what there is, in the same words.
func TestMetrics_Readme(t *testing.T) {
	have := described(everything(t))
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][2]string{}
	row := regexp.MustCompile("(?m)^\\| `(vouch_\\w+)` \\|(.*)\\| (.*) \\|$")
	for _, r := range row.FindAllStringSubmatch(string(raw), -1) {
		said[r[1]] = [2]string{strings.Join(strings.Fields(strings.ReplaceAll(r[2], "`", "")), " "), strings.ReplaceAll(r[3], "`", "")}
	}
	for name, want := range have {
		if said[name] != want {
			t.Errorf("README has %q for\n| `%s` | %s | %s |", said[name], name, want[0], want[1])
		}
	}
	for name := range said {
		if _, ok := have[name]; !ok {
			t.Errorf("%s is in the README and not in a scrape", name)
		}
	}
	for _, file := range []string{"metrics.go", "snapshot.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`"(vouch_\w+)"`).FindAllStringSubmatch(string(source), -1) {
			if _, ok := have[name[1]]; !ok {
				t.Errorf("%s never shows", name[1])
			}
		}
	}
}
