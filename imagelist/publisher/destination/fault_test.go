package destination

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A faultServer keeps files as a good server does, with one fault.
type faultServer struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string]string
	puts  int
	// put answers a PUT in the server's place if it returns true.
	put func(w http.ResponseWriter, r *http.Request) bool
	get func(w http.ResponseWriter, r *http.Request) bool
}

func newFaultServer(t *testing.T) *faultServer {
	s := &faultServer{files: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Server.Close)
	return s
}

func (s *faultServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.files[r.URL.Path]
	if r.Method != http.MethodPut {
		if s.get != nil && s.get(w, r) {
			return
		}
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", etag(old))
		w.Header().Set("Content-Length", strconv.Itoa(len(old)))
		io.WriteString(w, old)
		return
	}
	s.puts++
	if m := r.Header.Get("If-Match"); m != "" && !(there && (m == "*" || m == etag(old))) || r.Header.Get("If-None-Match") == "*" && there {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	if s.put != nil && s.put(w, r) {
		return
	}
	b, err := io.ReadAll(r.Body)
	if err == nil {
		s.files[r.URL.Path] = string(b)
		w.WriteHeader(http.StatusCreated)
	}
}

func etag(s string) string { return fmt.Sprintf(`"%x"`, sha512.Sum512([]byte(s))) }

func code(n int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(n)
		io.WriteString(w, "\x1b[31mwords of the server")
		return true
	}
}

func abort(w http.ResponseWriter, r *http.Request) bool {
	io.ReadFull(r.Body, make([]byte, 3))
	panic(http.ErrAbortHandler)
}

// Every fault is an error that says what is live and shows no word of the server.
func TestWeb_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		put        func(*faultServer) func(http.ResponseWriter, *http.Request) bool
		want, live string
	}{
		"201, serves old bytes": {func(*faultServer) func(http.ResponseWriter, *http.Request) bool { return code(201) }, "accepted, but other bytes", "the old list"},
		"507":                   {func(*faultServer) func(http.ResponseWriter, *http.Request) bool { return code(507) }, "507", "the old list"},
		"409":                   {func(*faultServer) func(http.ResponseWriter, *http.Request) bool { return code(409) }, "409", "the old list"},
		"404":                   {func(*faultServer) func(http.ResponseWriter, *http.Request) bool { return code(404) }, "404", "the old list"},
		"202":                   {func(*faultServer) func(http.ResponseWriter, *http.Request) bool { return code(202) }, "202", "the old list"},
		"412 for ever":          {func(*faultServer) func(http.ResponseWriter, *http.Request) bool { return code(412) }, "412", "the old list"},
		"cut":                   {func(*faultServer) func(http.ResponseWriter, *http.Request) bool { return abort }, "cut the connection", "the old list"},
		"removes":               {func(s *faultServer) func(http.ResponseWriter, *http.Request) bool { return s.then("", 500) }, "500", "no list"},
		"another":               {func(s *faultServer) func(http.ResponseWriter, *http.Request) bool { return s.then("else", 500) }, "500", "another list"},
		"gone":                  {func(s *faultServer) func(http.ResponseWriter, *http.Request) bool { return s.dies() }, "500", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFaultServer(t)
			d := open(t, s.URL+"/l", Options{})
			live := mustReplace(t, d, "old", nil)
			s.put = c.put(s)
			err := d.Replace(context.Background(), []byte("new list"), live)
			var failed *ReplaceError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(failed.Live, c.live) {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error(), "words") {
				t.Errorf("the server speaks: %v", err)
			}
		})
	}
}

// then keeps text ("" for nothing) in the place of what was put.
func (s *faultServer) then(text string, n int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		s.files[r.URL.Path] = text
		if text == "" {
			delete(s.files, r.URL.Path)
		}
		w.WriteHeader(n)
		return true
	}
}

func (s *faultServer) dies() func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		s.get = code(503)
		w.WriteHeader(500)
		return true
	}
}

// An error although the new list is live is told, and no failure.
func TestWeb_FailedButLive(t *testing.T) {
	s := newFaultServer(t)
	var notes []string
	d := open(t, s.URL+"/l", noting(&notes))
	s.put = s.then("new", 500)
	if err := d.Replace(context.Background(), []byte("new"), nil); err != nil || len(notes) != 1 || !strings.Contains(notes[0], "500") {
		t.Errorf("%v, notes %q", err, notes)
	}
}

// A server that looks and stores in one step lets one of several publishers win.
func TestWeb_Racing(t *testing.T) { racing(t, newFaultServer(t).URL+"/l", Options{}) }

// Somebody publishes between our look and our PUT.
func TestWeb_OutrunAtTheLastInstant(t *testing.T) {
	s := newFaultServer(t)
	d := open(t, s.URL+"/l", Options{})
	live := mustReplace(t, d, "old", nil)
	s.get = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("ETag", etag("old"))
		io.WriteString(w, "old")
		s.files["/l"], s.get = "theirs", nil
		return true
	}
	var conflict *Conflict
	if err := d.Replace(context.Background(), []byte("mine"), live); !errors.As(err, &conflict) || string(conflict.Live.Content) != "theirs" {
		t.Errorf("%v", err)
	}
}

func TestWeb_HostileAnswers(t *testing.T) {
	s := newFaultServer(t)
	d := open(t, s.URL+"/l", Options{})
	for name, c := range map[string]struct {
		get  func(http.ResponseWriter, *http.Request) bool
		want string
	}{
		"huge": {func(w http.ResponseWriter, r *http.Request) bool {
			for b := make([]byte, 1<<20); ; {
				if _, err := w.Write(b); err != nil {
					return true
				}
			}
		}, "larger than"},
		"gzip": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "x")
			return true
		}, "Content-Encoding"},
		"truncated": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "x")
			return true
		}, "cut the connection"},
		"slow": {func(w http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}, "deadline"},
	} {
		s.get = c.get
		patience := time.Minute
		if name == "slow" {
			patience = 500 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if _, err := d.Read(ctx); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// An upload that is cut says what is there, and is whole the next time.
func TestWeb_UploadFaults(t *testing.T) {
	s := newFaultServer(t)
	d := open(t, s.URL+"/dir/l", Options{})
	file := image(t, 4<<20)
	s.put = abort
	if _, err := d.Upload(context.Background(), "i", file, sumOf(t, file), nil); err == nil || !strings.Contains(err.Error(), "nothing is there") {
		t.Errorf("cut: %v", err)
	}
	s.put = code(201)
	if _, err := d.Upload(context.Background(), "i", file, sumOf(t, file), nil); err == nil || !strings.Contains(err.Error(), "accepted, but") {
		t.Errorf("201 and nothing: %v", err)
	}
	s.put = code(507)
	var h interface{ Hint() string }
	if _, err := d.Upload(context.Background(), "i", file, sumOf(t, file), nil); !errors.As(err, &h) || !strings.Contains(h.Hint(), "full") {
		t.Errorf("507: %v", err)
	}
	s.put = nil
	if _, err := d.Upload(context.Background(), "i", file, sumOf(t, file), nil); err != nil || s.files["/dir/i"] != read(t, file) {
		t.Errorf("whole: %v", err)
	}
	ctx := context.Background()
	sum := sha512.Sum512([]byte(s.files["/dir/i"]))
	if err := Check(ctx, s.URL+"/dir/i", 4<<20, sum, nil, Options{}); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := Check(ctx, s.URL+"/dir/i", 5, sum, nil, Options{}); err == nil || !strings.Contains(err.Error(), "size is 4194304 instead of 5") {
		t.Errorf("check of another size: %v", err)
	}
	if err := Check(ctx, s.URL+"/dir/i", 4<<20, [64]byte{}, nil, Options{}); err == nil || !strings.Contains(err.Error(), "sha512 is ") {
		t.Errorf("check of another digest: %v", err)
	}
}
