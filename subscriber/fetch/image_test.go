package fetch

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

const size = 10_000

// TestF10_Image has one row for each way in which a server can answer a
// request for an image of which the first held bytes are there.
func TestF10_Image(t *testing.T) {
	const f, sm = verdict.Fetch, verdict.SizeMismatch
	tests := []struct {
		fault     string
		held      int
		code      verdict.Code
		temporary bool
		requests  int
		kept      int // bytes in the sink afterwards
		restarts  int
	}{
		{"none/x", 0, "", false, 1, size, 1},
		{"none/x", 1000, "", false, 1, size, 0},
		{"none/x", size, "", false, 0, size, 0},
		{"none/x", size + 5, "", false, 1, size, 2},
		{"cut-once/4000", 0, "", false, 2, size, 1},
		{"cut-once/0", 0, "", false, 2, size, 2},
		{"cut/1000", 0, f, true, 4, 4000, 1},
		{"cut/1000", 7000, "", false, 3, size, 0},
		{"reset/x", 1000, f, true, 4, 1000, 0},
		{"chunked/x", 0, "", false, 1, size, 1},
		{"chunked/x", 1000, "", false, 1, size, 1},
		{"chunked-cut/5000", 0, f, true, 4, 5000, 4},
		{"chunked-end/5000", 0, sm, false, 1, 5000, 1},
		{"closed/10000", 0, "", false, 1, size, 1},
		{"closed/5000", 0, f, true, 4, 5000, 4},
		{"extra/x", 0, sm, false, 1, 0, 2},
		{"extra-length/x", 0, sm, false, 1, 0, 0},
		{"extra-length/x", 1000, sm, false, 1, 1000, 0},
		{"endless/x", 0, sm, false, 1, 0, 2},
		{"no-range/x", 1000, "", false, 1, size, 1},
		{"wrong-start/x", 1000, "", false, 2, size, 1},
		{"no-content-range/x", 1000, "", false, 2, size, 1},
		{"wrong-total/x", 1000, sm, false, 1, 1000, 0},
		{"unknown-total/x", 1000, "", false, 2, size, 1},
		{"unasked-206/x", 0, f, false, 1, 0, 0},
		{"416/x", 1000, "", false, 2, size, 1},
		{"416-always/x", 1000, f, false, 2, 1000, 0},
		{"changed-etag/x", 1000, "", false, 1, size, 1},
		{"changed-range/x", 1000, "", false, 2, size, 1},
		{"gzip/x", 0, f, false, 1, 0, 0},
		{"gzip/x", 1000, f, false, 1, 1000, 0},
		{"status/401", 0, f, false, 1, 0, 0},
		{"status/403", 0, f, false, 1, 0, 0},
		{"status/404", 1000, f, false, 1, 1000, 0},
		{"status/410", 0, f, false, 1, 0, 0},
		{"status/408", 0, f, true, 4, 0, 0},
		{"status/425", 0, f, true, 4, 0, 0},
		{"status/429", 0, f, true, 4, 0, 0},
		{"status/500", 0, f, true, 4, 0, 0},
		{"status/503", 1000, f, true, 4, 1000, 0},
		{"status/204", 0, f, false, 1, 0, 0},
		{"status/304", 1000, f, false, 1, 1000, 0},
		{"status/300", 0, f, false, 1, 0, 0},
		{"flap/2", 1000, "", false, 3, size, 0},
		{"empty/x", 0, sm, false, 1, 0, 0},
		{"html/x", 1000, sm, false, 1, 1000, 0},
		{"redirect/301", 1000, "", false, 2, size, 0},
		{"redirect/302", 0, "", false, 2, size, 1},
		{"redirect/303", 0, "", false, 2, size, 1},
		{"redirect/307", 0, "", false, 2, size, 1},
		{"redirect/308", 0, "", false, 2, size, 1},
		{"hops/5", 0, "", false, 6, size, 1},
		{"hops/6", 0, f, false, 6, 0, 0},
		{"loop/x", 0, f, false, 6, 0, 0},
		{"to/x", 0, f, false, 1, 0, 0},
		{"headers/60000", 0, "", false, 1, size, 1},
		{"headers/70000", 0, f, false, 1, 0, 0},
		{"garbage/x", 0, f, false, 1, 0, 0},
		{"header-garbage/x", 0, f, false, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.fault, "/", "=")+"/held", func(t *testing.T) {
			s := newFaultServer(t, size)
			sink := &memory{validator: etag}
			sink.Buffer.Write(append(s.data, "surplus"...)[:tt.held])
			_, err := s.image(quick(t, Config{}), "/f/"+tt.fault+"/", sink)
			want(t, err, tt.code, tt.temporary)
			if n := len(s.seen()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if sink.Len() != tt.kept || !bytes.Equal(sink.Bytes(), s.data[:tt.kept]) {
				t.Errorf("sink holds %d bytes, want the first %d", sink.Len(), tt.kept)
			}
			if sink.restarts != tt.restarts {
				t.Errorf("%d restarts, want %d", sink.restarts, tt.restarts)
			}
		})
	}
}

// TestF10_Validator checks which validator is kept and what is sent for it.
func TestF10_Validator(t *testing.T) {
	date := time.Unix(1e9, 0).UTC().Format(http.TimeFormat)
	tests := []struct{ fault, kept string }{
		{"none/x", etag},
		{"changed-etag/x", `"v2"`},
		{"weak-etag/x", date},
		{"chunked/x", ""},
	}
	for _, tt := range tests {
		s := newFaultServer(t, size)
		sink := &memory{}
		_, err := s.image(quick(t, Config{}), "/f/"+tt.fault+"/", sink)
		want(t, err, "", false)
		if sink.validator != tt.kept {
			t.Errorf("%s: kept %q, want %q", tt.fault, sink.validator, tt.kept)
		}
	}
	sent := []struct{ held, ifRange string }{
		{etag, etag}, {date, date}, {"", ""}, {`W/"v1"`, ""}, {"\"a\"\r\nX: y", ""}, {"rubbish", ""},
	}
	for _, tt := range sent {
		s := newFaultServer(t, size)
		sink := &memory{validator: tt.held}
		sink.Write(s.data[:1000])
		moved, err := s.image(quick(t, Config{}), "/f/none/x/", sink)
		want(t, err, "", false)
		h := s.seen()[0].Header
		if h.Get("Range") != "bytes=1000-" || h.Get("If-Range") != tt.ifRange {
			t.Errorf("%q: sent Range %q, If-Range %q", tt.held, h.Get("Range"), h.Get("If-Range"))
		}
		if moved != (Transfer{Downloaded: size - 1000, ResumedFrom: 1000}) {
			t.Errorf("%q: moved %+v", tt.held, moved)
		}
	}
}

// TestF10_WeakDate: a Last-Modified of the very second of the answer may be
// that of two versions.
func TestF10_WeakDate(t *testing.T) {
	now := time.Unix(1e9, 0).UTC()
	h := http.Header{"Date": {now.Format(http.TimeFormat)}, "Last-Modified": {now.Format(http.TimeFormat)}}
	if v := validator(h); v != "" {
		t.Errorf("same second: %q", v)
	}
	h.Set("Last-Modified", now.Add(-time.Second).Format(http.TimeFormat))
	if v := validator(h); v == "" {
		t.Error("a second older: not kept")
	}
	h.Del("Date")
	if v := validator(h); v != "" {
		t.Errorf("no Date: %q", v)
	}
}

// TestF10_RandomCuts is the property of the resume rules: for any pattern of
// cuts the bytes are the same, and nothing is transferred twice.
func TestF10_RandomCuts(t *testing.T) {
	const length = 300_000
	data := content(length)
	r := rand.New(rand.NewPCG(1, 2))
	c := quick(t, Config{})
	for round := range 200 {
		cuts := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			n := r.IntN(length)
			if cuts++; cuts > 10 {
				n = length
			}
			(&hit{s: &faultServer{data: data}, w: w, r: req}).cut(n)
		}))
		sink := &memory{}
		var received int64
		err := errors.New("not tried")
		for calls := 0; err != nil && calls < 10; calls++ {
			var moved Transfer
			moved, err = c.Image(context.Background(), Origin{URL: s.URL}, Source{URI: s.URL + "/", Size: length}, sink)
			received += moved.Downloaded
		}
		s.Close()
		if err != nil || !bytes.Equal(sink.Bytes(), data) {
			t.Fatalf("round %d: other bytes after %d requests: %v", round, cuts, err)
		}
		if received != length {
			t.Fatalf("round %d: %d bytes received for %d", round, received, length)
		}
	}
}

// TestImage_SinkError: a full disk is no network failure and is not retried.
func TestImage_SinkError(t *testing.T) {
	s := newFaultServer(t, 1<<20)
	_, err := s.image(quick(t, Config{}), "/f/none/x/", writeOnly{&memory{full: 5000}})
	var e *Error
	if !errors.Is(err, errFull) || errors.As(err, &e) {
		t.Errorf("got %v, want the sink's error", err)
	}
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestImage_Progress(t *testing.T) {
	s := newFaultServer(t, 1<<20)
	var offsets []int64
	sink := &memory{validator: etag}
	sink.Write(s.data[:1000])
	src := Source{URI: s.URL + "/f/cut-once/500000/", Size: 1 << 20, Progress: func(o int64) { offsets = append(offsets, o) }}
	_, err := quick(t, Config{}).Image(context.Background(), Origin{URL: s.URL}, src, sink)
	want(t, err, "", false)
	if offsets[0] != 1000 || offsets[len(offsets)-1] != 1<<20 {
		t.Errorf("progress from %d to %d", offsets[0], offsets[len(offsets)-1])
	}
}

// TestT05_EndlessData: not a byte beyond the limit is asked of the sink or
// kept in memory.
func TestT05_EndlessData(t *testing.T) {
	s := newFaultServer(t, size)
	c := quick(t, Config{})
	sink := &memory{}
	moved, err := s.image(c, "/f/endless/x/", sink)
	want(t, err, verdict.SizeMismatch, false)
	if moved.Downloaded != size+1 {
		t.Errorf("read %d bytes, want %d", moved.Downloaded, size+1)
	}
	_, err = c.Document(context.Background(), Origin{URL: s.URL + "/f/endless/x/"}, Doc{MaxSize: 100_000})
	want(t, err, verdict.TooLarge, false)
}

// TestT06_SlowRetrieval: each limit ends the server that it is for.
func TestT06_SlowRetrieval(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		name, path string
		header     time.Duration
		idle       time.Duration
		window     time.Duration
		slack      time.Duration
		detail     string
	}{
		{"no header", "/f/mute/x/", 50 * ms, time.Minute, time.Minute, time.Minute, "timed out"},
		{"stalled", "/f/stall/5000/", time.Minute, 50 * ms, time.Minute, time.Minute, "no data for 50ms"},
		{"dripping", "/f/drip/x/", time.Minute, time.Minute, 100 * ms, time.Minute, "slower than 1000000000 bytes per second"},
		{"too long", "/f/drip/x/", time.Minute, time.Minute, time.Minute, 50 * ms, "timed out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newFaultServer(t, size)
			c := quick(t, Config{IdleTimeout: tt.header, MinRate: 1e9})
			c.dog.idle, c.dog.window, c.pace.slack, c.pace.patience = tt.idle, tt.window, tt.slack, 0
			_, err := s.image(c, tt.path, &memory{})
			if e := want(t, err, verdict.Fetch, true); e.Detail != tt.detail {
				t.Errorf("detail %q, want %q", e.Detail, tt.detail)
			}
			c.pace.document = tt.slack
			_, err = c.Document(context.Background(), Origin{URL: s.URL + tt.path}, Doc{Tries: 1})
			if e := want(t, err, verdict.Fetch, true); e.Detail != tt.detail {
				t.Errorf("document: detail %q, want %q", e.Detail, tt.detail)
			}
		})
	}
}

// slowSink takes its time, once; that is not the server's fault.
type slowSink struct{ memory }

func (s *slowSink) Write(p []byte) (int, error) {
	if s.Len() == 0 {
		time.Sleep(3 * time.Second)
	}
	return s.memory.Write(p)
}

func TestT06_SlowDiskIsNotASlowServer(t *testing.T) {
	t.Parallel()
	s := newFaultServer(t, 1<<20)
	sink := &slowSink{}
	c := quick(t, Config{})
	c.dog.idle = 1500 * time.Millisecond
	_, err := s.image(c, "/f/none/x/", writeOnly{sink})
	want(t, err, "", false)
	if sink.restarts != 1 || len(s.seen()) != 1 {
		t.Errorf("%d restarts, %d requests", sink.restarts, len(s.seen()))
	}
}

// TestImage_Cancelled: a caller who gives up is not retried on.
func TestImage_Cancelled(t *testing.T) {
	s := newFaultServer(t, size)
	ctx, cancel := context.WithCancel(context.Background())
	src := Source{URI: s.URL + "/f/stall/5000/", Size: size, Progress: func(o int64) {
		if o == 5000 {
			cancel()
		}
	}}
	_, err := quick(t, Config{}).Image(ctx, Origin{URL: s.URL}, src, &memory{})
	want(t, err, verdict.Fetch, false)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled in its chain", err)
	}
}

func TestImage_Allowance(t *testing.T) {
	c := quick(t, Config{MinRate: 1 << 10})
	for _, tt := range []struct {
		size int64
		want time.Duration
	}{{0, time.Minute}, {1 << 20, 1024*time.Second + time.Minute}} {
		if got := c.allowance(tt.size); got != tt.want {
			t.Errorf("%d bytes: %v, want %v", tt.size, got, tt.want)
		}
	}
	if got := c.allowance(1<<63 - 1); got <= 0 {
		t.Errorf("largest size: %v", got)
	}
}
