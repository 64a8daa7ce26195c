package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"vouch/cache"
	"vouch/subscriber"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// golden compares text with a file of testdata.
func golden(t *testing.T, name, have string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if have != string(want) {
		t.Errorf("%s: have\n%s\nwant\n%s", name, have, want)
	}
}

func readStatus(t *testing.T) *subscriber.Status {
	t.Helper()
	raw, err := os.ReadFile("testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	st := new(subscriber.Status)
	if err := json.Unmarshal(raw, st); err != nil {
		t.Fatal(err)
	}
	return st
}

func shownText(st *subscriber.Status, verbose bool, colours painter) string {
	var b bytes.Buffer
	(&statusPage{st, noon, verbose, colours, &b}).write()
	return b.String()
}

func TestStatusPage(t *testing.T) {
	golden(t, "status.txt", shownText(readStatus(t), false, false))
	golden(t, "status-verbose.txt", shownText(readStatus(t), true, false))
	golden(t, "status-colour.txt", shownText(readStatus(t), false, true))
}

// A list of ten thousand broken images does not bury the rest of the page.
func TestStatusPage_IsBounded(t *testing.T) {
	st := &subscriber.Status{LastSync: noon}
	for range 1000 {
		st.Images = append(st.Images, subscriber.ImageStatus{Identifier: "x", State: "failed"})
	}
	text := shownText(st, false, false)
	if n := strings.Count(text, "\n"); n > 40 || !strings.Contains(text, "and 980 more") {
		t.Errorf("%d lines:\n%s", n, text)
	}
}

// While the first download runs, the page says so.
func TestStatusPage_FirstSync(t *testing.T) {
	for want, images := range map[string][]subscriber.ImageStatus{"never": nil, "the first one has not come to its end": {{Identifier: "x", State: "pending"}}} {
		if text := shownText(&subscriber.Status{Images: images}, false, false); !strings.HasPrefix(text, "last sync   "+want+"\n") {
			t.Errorf("%d images:\n%s", len(images), text)
		}
	}
}

// T-45: no hostile text reaches a terminal as it is, whatever field it is in.
func TestT45_HostileTextIsEscaped(t *testing.T) {
	const evil = "a\x1b]0;x\x07\u202eb\u009bc\u200bd\ne\x00"
	st := &subscriber.Status{
		State: evil, LastSync: noon,
		Subscriptions: []subscriber.SubscriptionStatus{{Name: evil, State: evil, Version: evil, Reason: evil, Weaker: []string{evil}}},
		Images:        []subscriber.ImageStatus{{Identifier: evil, Subscription: evil, Title: evil, State: evil, Version: evil, Reason: evil, Detail: evil, List: evil, Resources: map[string]string{evil: evil}}},
		Withdrawn:     []subscriber.WithdrawnStatus{{Identifier: evil, Subscription: evil, Title: evil, Reason: evil, Detail: evil, At: noon}},
		Handlers:      []subscriber.HandlerStatus{{Name: evil}},
		Deliveries:    []subscriber.DeliveryStatus{{Event: evil, Type: evil, Subject: evil, Handler: evil, Error: evil}},
		Trust:         subscriber.TrustStatus{Path: evil, Error: evil},
		Cache:         subscriber.CacheStatus{Path: evil},
		Problems:      []subscriber.Problem{{Severity: "critical", Subject: evil, Code: evil, Detail: evil, Hint: evil}},
	}
	s, out := testSession(t)
	var vmcatcher, doc bytes.Buffer
	if err := writeVMCatcher(&vmcatcher, st.Images); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(&doc, st); err != nil {
		t.Fatal(err)
	}
	s.writeImage(&imageDocument{Images: st.Images, Withdrawn: st.Withdrawn, Deliveries: st.Deliveries})
	s.writeReport(&subscriber.Report{Exit: 3, Problems: st.Problems,
		Lists:  []subscriber.ListResult{{Subscription: evil, Version: evil, Result: evil, Detail: evil}},
		Images: []subscriber.ImageResult{{Identifier: evil, Version: evil, Result: evil, Reason: evil, Detail: evil}}})
	s.writeVerdict(&verdictDocument{Detail: evil, Hint: evil, Asked: &verdictAsked{Message: evil, Anchors: evil}, Checks: []verdictCheck{{evil, false, evil, ""}}, Warnings: []string{evil}})
	s.out.Flush()
	line, _ := nagiosLine(st, noon)
	if strings.Contains(line, "\n") || strings.Count(line, "|") != 1 {
		t.Errorf("nagios: %q", line)
	}
	for name, text := range map[string]string{
		"status": shownText(st, true, false), "nagios": line, "vmcatcher": vmcatcher.String(), "json": doc.String(), "others": out.String(),
	} {
		if strings.ContainsAny(text, "\x1b\x07\u202e\u009b\u200b\x00") {
			t.Errorf("%s: %q", name, text)
		}
	}
	if !strings.Contains(doc.String(), `\u202e`) {
		t.Errorf("json lost the text: %s", doc.String())
	}
}

func TestNagios(t *testing.T) {
	good := func() *subscriber.Status {
		return &subscriber.Status{
			LastSync:      noon.Add(-time.Hour),
			Subscriptions: []subscriber.SubscriptionStatus{{Name: "a", Expires: noon.Add(2 * day)}, {Name: "b", Expires: noon.Add(day)}},
			Images:        []subscriber.ImageStatus{{State: "available"}, {State: "stale"}, {State: "failed"}},
			Handlers:      []subscriber.HandlerStatus{{Pending: 2, Dead: 1}},
		}
	}
	const perf = "subscriptions=2 images=3 available=2 withdrawn=0 problems=%P critical=%C pending=2 dead=1 age=3600s expires=86400s"
	warning := subscriber.Problem{Severity: "warning", Subject: "a", Code: "fetch", Detail: "no answer | really"}
	critical := subscriber.Problem{Severity: "critical", Subject: "trust", Code: "crl-stale"}
	for _, c := range []struct {
		name     string
		problems []subscriber.Problem
		want     string
		code     int
	}{
		{"ok", nil, "VOUCH OK - 2 subscriptions, 2 of 3 images available", nagiosOK},
		{"warning", []subscriber.Problem{warning}, "VOUCH WARNING - a: fetch (no answer / really)", nagiosWarning},
		{"critical wins", []subscriber.Problem{warning, critical}, "VOUCH CRITICAL - trust: crl-stale (and 1 problem more)", nagiosCritical},
		{"unknown", []subscriber.Problem{{Severity: "warning", Subject: "vouch", Code: never}}, "VOUCH UNKNOWN - vouch: no-run", nagiosUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := good()
			st.Problems = c.problems
			grave := "0"
			if c.name == "critical wins" {
				grave = "1"
			}
			want := c.want + " | " + strings.NewReplacer("%P", string(rune('0'+len(c.problems))), "%C", grave).Replace(perf)
			line, code := nagiosLine(st, noon)
			if line != want || code != c.code {
				t.Errorf("%d %s\nwant %d %s", code, line, c.code, want)
			}
		})
	}
}

// A snapshot that nobody replaces is a problem it cannot know of.
func TestOverdue(t *testing.T) {
	st := &subscriber.Status{LastSync: noon.Add(-25 * time.Hour)}
	if p := st.Overdue(noon, st.LastSync.Add(day)); len(p) != 1 || p[0].Severity != "critical" {
		t.Errorf("%+v", p)
	}
	for _, alarm := range []time.Time{st.LastSync.Add(2 * day), {}} {
		if p := st.Overdue(noon, alarm); p != nil {
			t.Errorf("%+v", p)
		}
	}
}

func TestFindImages(t *testing.T) {
	st := &subscriber.Status{
		Images: []subscriber.ImageStatus{
			{Identifier: "aaaa-1", List: "x", SHA512: "00ff11"}, {Identifier: "aaaa-1", List: "y", SHA512: "00ff22"},
			{Identifier: "aaaa-12", SHA512: "00ff11"}, {Identifier: "bbbb-1", SHA512: "00ee11"},
		},
		Withdrawn: []subscriber.WithdrawnStatus{{Identifier: "cccc-1", SHA512: "00dd11"}},
	}
	for _, c := range []struct {
		query  string
		images int
		gone   int
		err    string
	}{
		{"aaaa-1", 2, 0, ""},
		{"aaaa-12", 1, 0, ""},
		{"00FF11", 2, 0, ""},
		{"bbbb", 1, 0, ""},
		{"00ee", 1, 0, ""},
		{"cccc", 0, 1, ""},
		{"aaaa", 0, 0, "is the beginning of several"},
		{"bbb", 0, 0, "no image"},
		{"dddd", 0, 0, "no image"},
	} {
		m, err := findImages(st, c.query)
		if len(m.Images) != c.images || len(m.Withdrawn) != c.gone || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %d images, %d withdrawn, %v", c.query, len(m.Images), len(m.Withdrawn), err)
		}
	}
}

func TestRelative(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "now", 3 * day: "in 3 days", -2 * time.Hour: "2 h ago", -5 * time.Second: "5 s ago", 80 * time.Minute: "in 1 h",
		-47 * time.Hour: "47 h ago", 61 * day: "in 2 months", -800 * day: "2 years ago", 30 * time.Minute: "in 30 min",
		28*day - time.Minute: "in 28 days", time.Hour - time.Second: "in 1 h", 2*day - time.Minute: "in 2 days", 720 * day: "in 2 years",
	} {
		if have := relative(noon.Add(d), noon); have != want {
			t.Errorf("%s: %q, want %q", d, have, want)
		}
	}
	if have := relative(time.Time{}, noon); have != "never" {
		t.Error(have)
	}
}

// What came back with the same bytes is not gone; other bytes of it are.
func TestStatus_Gone(t *testing.T) {
	st := &subscriber.Status{
		Images:    []subscriber.ImageStatus{{Identifier: "a", SHA512: "1", State: "available"}, {Identifier: "b", SHA512: "2", State: "stale"}, {Identifier: "c", SHA512: "3", State: "failed"}},
		Withdrawn: []subscriber.WithdrawnStatus{{Identifier: "a", SHA512: "1"}, {Identifier: "a", SHA512: "0"}, {Identifier: "b", SHA512: "2"}, {Identifier: "c", SHA512: "3"}},
	}
	if have := fmt.Sprint(st.Gone()); have != fmt.Sprint([]subscriber.WithdrawnStatus{st.Withdrawn[1], st.Withdrawn[3]}) {
		t.Error(have)
	}
}

func TestCacheLine(t *testing.T) {
	c := subscriber.CacheStatus{Path: "/c", MaxSize: 10 << 30, Free: 1 << 30, Total: 4 << 30, Usage: cache.Usage{Blobs: cache.Tally{Count: 1, Bytes: 3 << 20}}}
	if have := cacheLine(c); have != "3.0 MiB of at most 10 GiB in /c; 1.0 GiB of 4.0 GiB free" {
		t.Error(have)
	}
}
