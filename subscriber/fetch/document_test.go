package fetch

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// TestF10_Document has one row for each way to answer for a list.
func TestF10_Document(t *testing.T) {
	const f, tl = verdict.Fetch, verdict.TooLarge
	tests := []struct {
		fault     string
		code      verdict.Code
		temporary bool
		requests  int
		body      int
	}{
		{"none/x", "", false, 1, size},
		{"chunked/x", "", false, 1, size},
		{"closed/10000", "", false, 1, size},
		{"closed/5000", "", false, 1, 5000},
		{"cut/5000", f, true, 3, 0},
		{"cut-once/5000", "", false, 2, size},
		{"chunked-cut/5000", f, true, 3, 0},
		{"reset/x", f, true, 3, 0},
		{"extra/x", tl, false, 1, 0},
		{"extra-length/x", tl, false, 1, 0},
		{"unasked-206/x", f, false, 1, 0},
		{"gzip/x", f, false, 1, 0},
		{"status/204", f, false, 1, 0},
		{"status/304", f, false, 1, 0},
		{"status/404", f, false, 1, 0},
		{"status/502", f, true, 3, 0},
		{"flap/2", "", false, 3, size},
		{"flap/3", f, true, 3, 0},
		{"empty/x", f, true, 3, 0},
		{"html/x", "", false, 1, len("<html>" + bodyCanary)},
		{"redirect/308", "", false, 2, size},
		{"hops/6", f, false, 6, 0},
		{"loop/x", f, false, 6, 0},
		{"headers/70000", f, false, 1, 0},
		{"garbage/x", f, false, 1, 0},
		{"retry-after/1", f, true, 2, 0},
		{"retry-after/60", f, true, 1, 0},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.fault, "/", "="), func(t *testing.T) {
			t.Parallel()
			s := newFaultServer(t, size)
			d := Doc{MaxSize: size}
			if tt.fault == "retry-after/1" {
				d.Within = 1900 * time.Millisecond // once, and not twice
			}
			doc, err := quick(t, Config{}).Document(context.Background(), Origin{URL: s.URL + "/f/" + tt.fault + "/"}, d)
			want(t, err, tt.code, tt.temporary)
			if n := len(s.seen()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if err == nil && len(doc.Body) != tt.body {
				t.Errorf("%d bytes, want %d", len(doc.Body), tt.body)
			}
		})
	}
}

func TestF10_RetryAfter(t *testing.T) {
	now := time.Unix(1e9, 0).UTC()
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0}, {"7", 7 * time.Second}, {" 7 ", 7 * time.Second}, {"-5", 0}, {"soon", 0}, {"1.5", 0},
		{"-9223372036854775808", 0}, {"9223372036854775807", time.Hour}, {"99999999999999999999", time.Hour},
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{now.Add(-time.Hour).Format(http.TimeFormat), 0},
		{now.AddDate(200, 0, 0).Format(http.TimeFormat), time.Hour},
	}
	for _, tt := range tests {
		h := http.Header{"Retry-After": {tt.value}, "Date": {now.Format(http.TimeFormat)}}
		if got := retryAfter(h); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.value, got, tt.want)
		}
	}
	h := http.Header{"Retry-After": {now.Format(http.TimeFormat)}}
	if got := retryAfter(h); got != 0 {
		t.Errorf("date without Date: %v", got)
	}
}

func TestDocument_Conditional(t *testing.T) {
	s := newFaultServer(t, size)
	c := quick(t, Config{})
	o := Origin{URL: s.URL + "/f/none/x/"}
	doc, err := c.Document(context.Background(), o, Doc{})
	want(t, err, "", false)
	if doc.ETag != etag || doc.LastModified == "" || doc.NotModified || !bytes.Equal(doc.Body, s.data) {
		t.Fatalf("first: %+v", doc)
	}
	again, err := c.Document(context.Background(), o, Doc{ETag: doc.ETag, LastModified: doc.LastModified})
	want(t, err, "", false)
	if !again.NotModified || again.ETag != doc.ETag || again.LastModified != doc.LastModified || again.Body != nil {
		t.Errorf("again: %+v", again)
	}
	other, err := c.Document(context.Background(), o, Doc{ETag: `"old"`})
	want(t, err, "", false)
	if other.NotModified {
		t.Error("304 for another ETag")
	}
	_, err = c.Document(context.Background(), Origin{URL: s.URL + "/f/status/304/"}, Doc{ETag: "\"a\"\r\nX-Evil: 1"})
	want(t, err, verdict.Fetch, false) // no validator was fit to be sent
}

// TestT21_Schemes: a list may be a file only for who typed its URL.
func TestT21_Schemes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "list")
	empty := filepath.Join(dir, "empty")
	pipe := filepath.Join(dir, "pipe")
	for path, b := range map[string][]byte{file: content(100), empty: nil} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	c := quick(t, Config{})
	tests := []struct {
		url   string
		limit int64
		code  verdict.Code
	}{
		{"file://" + file, 100, ""},
		{"file://localhost" + file, 100, ""},
		{"file://" + file, 99, verdict.TooLarge},
		{"file://" + empty, 100, verdict.Fetch},
		{"file://" + pipe, 100, verdict.Fetch},
		{"file://" + dir, 100, verdict.Fetch},
		{"file:///dev/zero", 100, verdict.Fetch},
		{"file://" + file + "-no", 100, verdict.Fetch},
		{"file://host" + file, 100, verdict.Fetch},
		{"file:list", 100, verdict.Fetch},
		{"file://" + file + "?q", 100, verdict.Fetch},
		{"ftp://example.org/", 100, verdict.Fetch},
		{"gopher://127.0.0.1/", 100, verdict.Fetch},
		{"http:example.org", 100, verdict.Fetch},
		{"http://", 100, verdict.Fetch},
		{"//example.org/", 100, verdict.Fetch},
		{"http://u:p@127.0.0.1/", 100, verdict.Fetch},
		{"http://127.0.0.1:0/", 100, verdict.Fetch},
		{"http://127.0.0.1:65536/", 100, verdict.Fetch},
		{"\x00", 100, verdict.Fetch},
		{"", 100, verdict.Fetch},
	}
	for _, tt := range tests {
		doc, err := c.Document(context.Background(), Origin{URL: tt.url}, Doc{MaxSize: tt.limit})
		want(t, err, tt.code, false)
		if err == nil && !bytes.Equal(doc.Body, content(100)) {
			t.Errorf("%s: other bytes", tt.url)
		}
	}
	_, err := c.Image(context.Background(), Origin{URL: "file://" + file}, Source{URI: "file://" + file, Size: 100}, &memory{})
	want(t, err, verdict.Fetch, false)
	s := newFaultServer(t, size)
	for _, to := range []string{"file://" + file, "ftp://example.org/", "http://u:p@127.0.0.1/", "javascript:1", "http://[::1", ""} {
		_, err := c.Document(context.Background(), Origin{URL: s.URL + "/f/to/x/?u=" + strings.ReplaceAll(to, ":", "%3A")}, Doc{})
		want(t, err, verdict.Fetch, false)
	}
}

// TestPerHost: at most so many transfers of one host at a time, and a slot is
// free again whatever became of a transfer.
func TestPerHost(t *testing.T) {
	s := newFaultServer(t, size)
	c := quick(t, Config{PerHost: 2})
	for _, path := range []string{"/f/status/404/", "/f/cut/5/", "/f/garbage/x/", "/f/loop/x/", "/f/none/x/"} {
		for range 5 {
			s.image(c, path, &memory{})
		}
	}
	if len(c.slots.hosts) != 0 {
		t.Fatalf("%d hosts still remembered", len(c.slots.hosts))
	}
	ctx, cancel := context.WithCancel(context.Background())
	started, done := make(chan struct{}, 2), make(chan error, 2)
	for range 2 {
		src := Source{URI: s.URL + "/f/stall/5000/", Size: size, Progress: func(o int64) {
			if o == 5000 {
				started <- struct{}{}
			}
		}}
		go func() {
			_, err := c.Image(ctx, Origin{URL: s.URL}, src, &memory{})
			done <- err
		}()
	}
	<-started
	<-started
	before := len(s.seen())
	c.pace.document = 50 * time.Millisecond
	_, err := c.Document(context.Background(), Origin{URL: s.URL + "/f/none/x/"}, Doc{Tries: 1})
	want(t, err, verdict.Fetch, true)
	if len(s.seen()) != before {
		t.Error("a third request reached the host")
	}
	cancel()
	<-done
	<-done
	c.pace.document = time.Minute
	_, err = c.Document(context.Background(), Origin{URL: s.URL + "/f/none/x/"}, Doc{})
	want(t, err, "", false)
}

func TestNew_Refuses(t *testing.T) {
	for _, c := range []Config{
		{IdleTimeout: -1}, {MinRate: -1}, {PerHost: -1}, {TLS: "none"}, {Proxy: "socks5://127.0.0.1"}, {Proxy: "http://u:secret@"}, {Proxy: "\x00secret"},
	} {
		_, err := New(c)
		if err == nil {
			t.Errorf("%+v: accepted", c)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}
