package soak

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// origin serves every list and image, and fails as it is told.
type origin struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	faults map[string]func(w http.ResponseWriter, r *http.Request, content []byte)
}

func newOrigin(t *testing.T) *origin {
	o := &origin{files: map[string][]byte{}, faults: map[string]func(http.ResponseWriter, *http.Request, []byte){}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.CloseClientConnections)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	content, ok := o.files[r.URL.Path]
	fault := o.faults[r.URL.Path]
	o.mu.Unlock()
	switch {
	case fault != nil:
		fault(w, r, content)
	case !ok:
		http.NotFound(w, r)
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

func (o *origin) put(path string, content []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.files[path] = content
}

// fail breaks a path until the fault is lifted: nil lifts it.
func (o *origin) fail(path string, fault func(http.ResponseWriter, *http.Request, []byte)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if fault == nil {
		delete(o.faults, path)
		return
	}
	o.faults[path] = fault
}

// The faults of a server, by name.
var faults = map[string]func(w http.ResponseWriter, r *http.Request, content []byte){
	"404":   func(w http.ResponseWriter, r *http.Request, _ []byte) { http.NotFound(w, r) },
	"503":   func(w http.ResponseWriter, _ *http.Request, _ []byte) { http.Error(w, "no", 503) },
	"empty": func(w http.ResponseWriter, _ *http.Request, _ []byte) {},
	"html":  func(w http.ResponseWriter, _ *http.Request, _ []byte) { io.WriteString(w, "<html>It works!</html>") },
	"cut": func(w http.ResponseWriter, _ *http.Request, content []byte) {
		w.Header().Set("Content-Length", "1000000")
		w.Write(content[:len(content)/2])
		panic(http.ErrAbortHandler)
	},
	"changed": func(w http.ResponseWriter, _ *http.Request, content []byte) {
		content = bytes.Clone(content)
		content[len(content)/2] ^= 1
		w.Write(content)
	},
	"longer": func(w http.ResponseWriter, _ *http.Request, content []byte) {
		w.Write(append(bytes.Clone(content), content...))
	},
	"hung": func(w http.ResponseWriter, r *http.Request, content []byte) {
		w.Write(content[:1])
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	},
}

// told is what a handler heard: every event, in its order.
type told struct {
	*httptest.Server
	mu     sync.Mutex
	now    map[string]string // image to SHA-512, as events alone tell
	ids    map[string]bool
	count  int
	again  int // redelivered
	broken bool
	wrong  []string
}

func newTold(t *testing.T) *told {
	h := &told{now: map[string]string{}, ids: map[string]bool{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *told) breaks(broken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = broken
}

func (h *told) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e struct {
		ID, Type, Subject string
		Data              struct{ SHA512 string }
	}
	err := json.NewDecoder(r.Body).Decode(&e)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		http.Error(w, "not now", 503)
		return
	}
	if err != nil || e.ID == "" {
		h.wrong = append(h.wrong, "not an event")
	}
	h.count++
	if h.ids[e.ID] {
		h.again++
	}
	h.ids[e.ID] = true
	switch kind, is := strings.CutPrefix(e.Type, "image."); {
	case !is || kind == "announced" || kind == "updated" || kind == "failed":
	case kind == "available":
		h.now[e.Subject] = e.Data.SHA512
	case h.now[e.Subject] == e.Data.SHA512: // of the bytes that leave
		delete(h.now, e.Subject)
	}
}
