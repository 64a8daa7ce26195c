package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// faultServer serves data under /f/<fault>/<arg>/ with the fault the path
// names (F-10). It remembers every request.
type faultServer struct {
	*httptest.Server
	data []byte

	mu       sync.Mutex
	requests []*http.Request
}

func newFaultServer(t testing.TB, size int) *faultServer {
	s := &faultServer{data: content(size)}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = nil
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// content is size bytes that differ at every offset.
func content(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func (s *faultServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	n := 0
	for _, old := range s.requests {
		if old.URL.Path == r.URL.Path {
			n++
		}
	}
	s.mu.Unlock()
	part := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/f/"), "/", 3)
	fault, ok := faults[part[0]]
	if !ok || len(part) < 2 {
		http.NotFound(w, r)
		return
	}
	fault(&hit{s: s, w: w, r: r, arg: part[1], n: n})
}

func (s *faultServer) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// hit is one request of a fault; n counts from 1 for its path.
type hit struct {
	s   *faultServer
	w   http.ResponseWriter
	r   *http.Request
	arg string
	n   int
}

func (h *hit) number() int {
	n, err := strconv.Atoi(h.arg)
	if err != nil {
		panic(err)
	}
	return n
}

const etag = `"v1"`

// good is what a server should do, ranges and conditions included.
func (h *hit) good() {
	if h.w.Header().Get("ETag") == "" {
		h.w.Header().Set("ETag", etag)
	}
	h.w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(h.w, h.r, "", time.Unix(1e9, 0), bytes.NewReader(h.s.data))
}

// cut sends headers that promise length bytes ("" for chunked) from the
// offset asked for, and n of them.
func (h *hit) cut(n int) {
	from := 0
	status := http.StatusOK
	if spec, ok := strings.CutPrefix(h.r.Header.Get("Range"), "bytes="); ok {
		from, _ = strconv.Atoi(strings.TrimSuffix(spec, "-"))
		status = http.StatusPartialContent
		h.w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(h.s.data)-1, len(h.s.data)))
	}
	h.w.Header().Set("ETag", etag)
	h.w.Header().Set("Content-Length", strconv.Itoa(len(h.s.data)-from))
	h.w.WriteHeader(status)
	h.w.Write(h.s.data[from:min(from+n, len(h.s.data))])
	if from+n < len(h.s.data) {
		h.abort()
	}
}

func (h *hit) abort() {
	h.flush()
	panic(http.ErrAbortHandler)
}

func (h *hit) flush() { http.NewResponseController(h.w).Flush() }

// raw speaks whatever it likes.
func (h *hit) raw(text string) {
	c, _, err := http.NewResponseController(h.w).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(c, text)
	c.Close()
}

func (h *hit) partial(contentRange string, body []byte) {
	if h.r.Header.Get("Range") == "" {
		h.good()
		return
	}
	if contentRange != "" {
		h.w.Header().Set("Content-Range", contentRange)
	}
	h.w.WriteHeader(http.StatusPartialContent)
	h.w.Write(body)
}

// hang keeps the connection open until the client has gone.
func (h *hit) hang() {
	h.flush()
	<-h.r.Context().Done()
}

var faults = map[string]func(*hit){
	"none":        (*hit).good,
	"cut":         func(h *hit) { h.cut(h.number()) },
	"cut-once":    func(h *hit) { h.cut([]int{h.number(), 1 << 30}[min(h.n-1, 1)]) },
	"reset":       func(h *hit) { h.reset() },
	"chunked":     func(h *hit) { h.flush(); h.w.Write(h.s.data) },
	"chunked-cut": func(h *hit) { h.w.Write(h.s.data[:h.number()]); h.abort() },
	"chunked-end": func(h *hit) { h.w.Write(h.s.data[:h.number()]); h.flush() },
	"closed":      func(h *hit) { h.raw("HTTP/1.0 200 OK\r\n\r\n" + string(h.s.data[:h.number()])) },
	"extra":       func(h *hit) { h.w.Write(h.s.data); h.flush(); h.w.Write([]byte("x")) },
	"extra-length": func(h *hit) {
		h.w.Header().Set("Content-Length", strconv.Itoa(len(h.s.data)+1))
		h.w.Write(h.s.data)
		h.w.Write([]byte("x"))
	},
	"endless":          func(h *hit) { h.endless() },
	"no-range":         func(h *hit) { h.r.Header.Del("Range"); h.good() },
	"wrong-start":      func(h *hit) { h.partial(fmt.Sprintf("bytes 1-%d/%d", len(h.s.data)-1, len(h.s.data)), h.s.data[1:]) },
	"no-content-range": func(h *hit) { h.partial("", h.s.data[1000:]) },
	"wrong-total": func(h *hit) {
		h.partial(fmt.Sprintf("bytes 1000-%d/%d", len(h.s.data)-1, len(h.s.data)+7), h.s.data[1000:])
	},
	"unknown-total": func(h *hit) { h.partial(fmt.Sprintf("bytes 1000-%d/*", len(h.s.data)-1), h.s.data[1000:]) },
	"unasked-206":   func(h *hit) { h.r.Header.Set("Range", "bytes=10-"); h.good() },
	"416": func(h *hit) {
		if h.r.Header.Get("Range") == "" {
			h.good()
			return
		}
		h.w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	},
	"416-always":   func(h *hit) { h.w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
	"changed-etag": func(h *hit) { h.w.Header().Set("ETag", `"v2"`); h.good() },
	"changed-range": func(h *hit) {
		h.w.Header().Set("ETag", `"v2"`)
		h.r.Header.Del("If-Range")
		h.good()
	},
	"weak-etag": func(h *hit) { h.w.Header().Set("ETag", `W/"v1"`); h.good() },
	"gzip":      func(h *hit) { h.w.Header().Set("Content-Encoding", "gzip"); h.good() },
	"status":    func(h *hit) { h.w.WriteHeader(h.number()); io.WriteString(h.w, bodyCanary) },
	"flap": func(h *hit) {
		if h.n <= h.number() {
			h.w.WriteHeader(http.StatusInternalServerError)
			return
		}
		h.good()
	},
	"retry-after": func(h *hit) {
		h.w.Header().Set("Retry-After", h.arg)
		h.w.WriteHeader(http.StatusServiceUnavailable)
	},
	"empty":    func(h *hit) {},
	"html":     func(h *hit) { io.WriteString(h.w, "<html>"+bodyCanary) },
	"redirect": func(h *hit) { h.w.Header().Set("Location", "/f/none/x/"); h.w.WriteHeader(h.number()) },
	"to":       func(h *hit) { h.w.Header().Set("Location", h.r.URL.Query().Get("u")); h.w.WriteHeader(302) },
	"hops": func(h *hit) {
		if h.number() == 0 {
			h.good()
			return
		}
		http.Redirect(h.w, h.r, fmt.Sprintf("/f/hops/%d/", h.number()-1), http.StatusFound)
	},
	"loop":           func(h *hit) { http.Redirect(h.w, h.r, h.r.URL.Path, http.StatusFound) },
	"drip":           func(h *hit) { h.drip() },
	"stall":          func(h *hit) { h.cutHang() },
	"mute":           func(h *hit) { <-h.r.Context().Done() },
	"headers":        func(h *hit) { h.w.Header().Set("X-Flood", strings.Repeat("x", h.number())); h.good() },
	"garbage":        func(h *hit) { h.raw(bodyCanary + "\r\n\r\n") },
	"header-garbage": func(h *hit) { h.raw("HTTP/1.1 200 OK\r\n" + bodyCanary + "\r\n\r\n") },
}

func (h *hit) endless() {
	h.flush()
	block := make([]byte, 64<<10)
	for {
		if _, err := h.w.Write(block); err != nil {
			return
		}
	}
}

func (h *hit) drip() {
	h.w.Header().Set("Content-Length", strconv.Itoa(len(h.s.data)))
	for _, b := range h.s.data {
		h.w.Write([]byte{b})
		h.flush()
		select {
		case <-h.r.Context().Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (h *hit) cutHang() {
	h.w.Header().Set("Content-Length", strconv.Itoa(len(h.s.data)))
	h.w.Write(h.s.data[:h.number()])
	h.hang()
}

func (h *hit) reset() {
	c, _, err := http.NewResponseController(h.w).Hijack()
	if err != nil {
		panic(err)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// bodyCanary stands for what an internal service might say.
const bodyCanary = "CANARY-BODY"

// memory is a Sink.
type memory struct {
	bytes.Buffer
	validator string
	restarts  int
	full      int // Write fails beyond this, if set
}

var errFull = errors.New("sink is full")

func (m *memory) Offset() int64     { return int64(m.Len()) }
func (m *memory) Validator() string { return m.validator }
func (m *memory) Restart(v string) error {
	m.Reset()
	m.validator = v
	m.restarts++
	return nil
}

func (m *memory) Write(p []byte) (int, error) {
	if m.full > 0 && m.Len()+len(p) > m.full {
		return 0, errFull
	}
	return m.Buffer.Write(p)
}

// writeOnly hides the ReadFrom of a Sink.
type writeOnly struct{ Sink }

// quick makes a client whose pauses and limits suit tests.
func quick(t testing.TB, c Config) *Client {
	t.Helper()
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	client.pace.pause = time.Millisecond
	t.Cleanup(client.Close)
	return client
}

// want checks err's code and class; code "" is success.
func want(t testing.TB, err error, code verdict.Code, temporary bool) *Error {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Fatalf("unexpected error: %v", err)
		}
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error with code %s", err, code)
	}
	if e.Code != code || e.Temporary != temporary {
		t.Fatalf("got %v (temporary %v), want code %s, temporary %v", e, e.Temporary, code, temporary)
	}
	if strings.Contains(err.Error(), bodyCanary) {
		t.Fatalf("error echoes the server: %v", err)
	}
	return e
}

func (s *faultServer) image(c *Client, path string, sink Sink) (Transfer, error) {
	return c.Image(context.Background(), Origin{URL: s.URL + "/list"}, Source{URI: s.URL + path, Size: int64(len(s.data))}, sink)
}
