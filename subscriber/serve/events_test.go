package serve

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"vouch/subscriber/event"
	"vouch/subscriber/subscribertest"
)

// heard is one server-sent event.
type heard struct{ id, typ, data string }

// listen opens a stream; what comes is in the channel, which is closed at the end.
func (s *site) listen(path string, headers ...string) (<-chan heard, func()) {
	s.T.Helper()
	r, err := http.NewRequestWithContext(s.T.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		s.T.Fatalf("%s: %v %+v", path, err, response)
	}
	all := make(chan heard, 1000)
	go func() {
		defer close(all)
		var e heard
		in := bufio.NewScanner(response.Body)
		for in.Scan() {
			key, value, _ := strings.Cut(in.Text(), ": ")
			switch key {
			case "id":
				e.id = value
			case "event":
				e.typ = value
			case "data":
				e.data = value
			case "":
				if e.id != "" {
					all <- e
				}
				e = heard{}
			}
		}
		if in.Err() != nil {
			all <- heard{typ: "cut off"}
		}
	}()
	return all, func() { response.Body.Close() }
}

// next is what is heard next.
func next(t *testing.T, from <-chan heard) heard {
	t.Helper()
	select {
	case e, ok := <-from:
		if !ok {
			t.Fatal("the stream ended")
		}
		return e
	case <-time.After(time.Minute):
		t.Fatal("nothing is heard")
	}
	return heard{}
}

func (s *site) logged() (all []heard) {
	s.T.Helper()
	err := event.ReadLog(s.conf.StateDir, time.Time{}, func(line []byte, e event.Event) bool {
		all = append(all, heard{e.ID, string(e.Type), string(event.PrintableJSON(line))})
		return true
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return all
}

// Whoever comes back with the last id misses nothing and hears nothing twice,
// wherever in the log it is, also over rotations; whoever comes new hears what
// is new.
func TestEvents_Resume(t *testing.T) {
	t.Parallel()
	s := populated(t)
	all := s.logged()
	if len(all) < 10 {
		t.Fatalf("only %d events", len(all))
	}
	old := len(all)
	live, stop := s.listen("/v1/events")
	defer stop()
	schema, err := compiled().Compile("https://vouch.invalid/openapi.json#/components/schemas/Event")
	if err != nil {
		t.Fatal(err)
	}
	for _, rotated := range []bool{false, true} {
		if rotated {
			name := filepath.Join(s.conf.StateDir, "events-"+time.Now().UTC().Format("20060102T150405Z")+".jsonl")
			if err := os.Rename(filepath.Join(s.conf.StateDir, "events.jsonl"), name); err != nil {
				t.Fatal(err)
			}
			s.Publish("3", subscribertest.Image{ID: "three", Content: "3"})
			s.pass()
			all = s.logged()
		}
		for _, i := range []int{0, 1, len(all) / 2, len(all) - 2} {
			for _, how := range [][]string{{"/v1/events", "Last-Event-ID: " + all[i].id}, {"/v1/events?after=" + all[i].id}, {"/v1/events?since=2099-01-01T00:00:00Z", "Last-Event-ID: " + all[i].id}} {
				from, stop := s.listen(how[0], how[1:]...)
				for _, want := range all[i+1:] {
					have := next(t, from)
					if have != want {
						t.Fatalf("after %d, rotated %v: %.200v, want %.200v", i, rotated, have, want)
					}
					value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(have.data)))
					if err == nil {
						err = schema.Validate(value)
					}
					if err != nil {
						t.Errorf("%v in %s", err, have.data)
					}
				}
				stop()
			}
		}
	}
	for _, want := range all[old:] {
		if have := next(t, live); have != want {
			t.Fatalf("live: %.200v, want %.200v", have, want)
		}
	}
	since, stop := s.listen("/v1/events?since=1h")
	defer stop()
	for _, want := range all {
		if have := next(t, since); have != want {
			t.Fatalf("since: %.200v, want %.200v", have, want)
		}
	}
}

// An id that the log does not have begins with all that it has, and says so.
func TestEvents_UnknownID(t *testing.T) {
	t.Parallel()
	s := populated(t)
	all := s.logged()
	from, stop := s.listen("/v1/events", "Last-Event-ID: 63175437-7d59-4851-b333-c96cb6545a86-1")
	defer stop()
	if have := next(t, from); have != all[0] {
		t.Errorf("%v, want %v", have, all[0])
	}
	for _, wrong := range []string{"x", "../events-1", "a\"b-1", strings.Repeat("a", 100) + "-1"} {
		s.want(400, "/v1/events", "Last-Event-ID: "+wrong)
	}
	for query, says := range map[string]string{"since=yesterday": "since is a time", "since=-1h": "since is a time", "since=2026-01-01T00:00:00Z&after=a-1": "both", "type=%5B": "type is some patterns", "limit=1": "known here: after, since, subject, type"} {
		if r := s.want(400, "/v1/events?"+query); !strings.Contains(r.body, says) {
			t.Errorf("%s: %s", query, r.body)
		}
	}
	s.want(200, "HEAD /v1/events")
}

func TestEvents_Filters(t *testing.T) {
	t.Parallel()
	s := populated(t)
	from, stop := s.listen("/v1/events?type=list.*,image.a*&subject=one&since=2020-01-01T00:00:00Z")
	defer stop()
	var types []string
	for range 2 {
		types = append(types, next(t, from).typ)
	}
	if want := []string{"image.announced", "image.available"}; !slices.Equal(types, want) {
		t.Errorf("%q, want %q", types, want)
	}
	all, stop := s.listen("/v1/events?type=&subject=&after=&since=2020-01-01T00:00:00Z")
	defer stop()
	if e := next(t, all); e.typ != "sync.started" {
		t.Errorf("without a filter: %v", e)
	}
}

// There are only so many; who leaves makes room; the end of the server is the
// end of all of them, at once.
func TestEvents_Many(t *testing.T) {
	t.Parallel()
	s := populated(t)
	var streams []<-chan heard
	_, leave := s.listen("/v1/events")
	for range maxStreams - 1 {
		from, stop := s.listen("/v1/events?type=sync.finished")
		defer stop()
		streams = append(streams, from)
	}
	s.want(503, "/v1/events")
	leave()
	join := func() bool {
		leave, ok := s.server.join("127.0.0.1:1")
		if ok {
			leave()
		}
		return ok
	}
	for end := time.Now().Add(time.Minute); !join(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("who left makes no room")
		}
	}
	s.pass()
	for i, from := range streams {
		if e := next(t, from); e.typ != "sync.finished" {
			t.Errorf("stream %d: %v", i, e)
		}
	}
	s.server.Close() // which cuts off what does not end in its time
	for i, from := range streams {
		for e := range from {
			t.Errorf("stream %d: at the end %v", i, e)
		}
	}
	if join() {
		t.Error("joined after the end")
	}
}

// A watch that begins late, on a busy machine, has missed nothing: whoever has
// joined would otherwise wait for the next heartbeat.
func TestEvents_LateWatch(t *testing.T) {
	t.Parallel()
	s := populated(t)
	seen := s.server.logMark()
	s.pass()
	s.server.streams.news = make(chan struct{})
	news := s.server.streams.wait()
	go s.server.streams.watch(s.server.ctx, s.server, seen)
	select {
	case <-news:
	case <-time.After(time.Minute):
		t.Error("nobody is woken")
	}
}
