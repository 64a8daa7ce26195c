package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// Timing of streams.
const (
	newsEvery = 250 * time.Millisecond // the log is looked at, for all streams together
	heartbeat = 15 * time.Second
	seeking   = 2 // streams at a time that look for their place
)

// streams are the clients that listen to events. Each reads the log for itself,
// from its own place on: there is no buffer between, and one that is slow keeps
// up nobody else. One goroutine, while there is any, sees that the log has
// grown and wakes them.
type streams struct {
	seek   chan struct{}
	shares shares

	mu    sync.Mutex
	count int
	news  chan struct{} // closed when the log has grown
	stop  context.CancelFunc
}

// join counts a client in, by its address; false when there are too many.
func (s *Server) join(address string) (leave func(), ok bool) {
	t := &s.streams
	share, ok := t.shares.take(address)
	if !ok {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= maxStreams || s.ctx.Err() != nil {
		share()
		return nil, false
	}
	if t.count++; t.count == 1 {
		var ctx context.Context
		ctx, t.stop = context.WithCancel(s.ctx)
		t.news = make(chan struct{})
		go t.watch(ctx, s, s.logMark()) // as it is before anybody has a place in it
	}
	return func() { share(); t.leave() }, true
}

func (t *streams) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count--; t.count == 0 {
		t.stop()
	}
}

// wait is closed when there is more than there was.
func (t *streams) wait() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.news
}

func (s *Server) logMark() subscriber.Mark { return subscriber.EventsMark(s.conf.Load().StateDir) }

func (t *streams) watch(ctx context.Context, s *Server, seen subscriber.Mark) {
	ticker := time.NewTicker(newsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := s.logMark(); now != seen {
			seen = now
			t.mu.Lock()
			if ctx.Err() == nil { // another watch may have begun
				close(t.news)
				t.news = make(chan struct{})
			}
			t.mu.Unlock()
		}
	}
}

// listening is what a client wants to hear.
type listening struct {
	after   string // an event id; "" for none
	since   time.Time
	types   []string // globs; nil for all
	subject string
}

var eventID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}-[0-9]{1,20}$`)

// parseListening reads the query and header of /v1/events. What a browser says
// when it connects again counts for more than the address it has.
func parseListening(r *http.Request) (*listening, *problem) {
	q, p := parseQuery(r.URL.RawQuery, "after", "since", "subject", "type")
	if p != nil {
		return nil, p
	}
	l := &listening{after: q["after"], subject: q["subject"]}
	if since, ok := q["since"]; ok {
		if l.since, ok = past(since, time.Now()); !ok {
			return nil, badQuery("since is a time such as 2026-12-31T00:00:00Z, or a duration before now such as 24h")
		}
		if l.after != "" {
			return nil, badQuery("both after and since")
		}
	}
	if types, ok := q["type"]; ok {
		l.types = strings.Split(types, ",")
		for _, glob := range l.types {
			if _, err := path.Match(glob, ""); err != nil {
				return nil, badQuery("type is some patterns such as image.*, separated by commas")
			}
		}
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		l.after, l.since = last, time.Time{}
	}
	if l.after != "" && !eventID.MatchString(l.after) {
		return nil, badQuery("no id of an event: %.80q", l.after)
	}
	return l, nil
}

// past reads a time, or how long before now it was, as vouch event ls --since
// takes them.
func past(text string, now time.Time) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, true
	}
	d, ok := subscriber.ParseSpan(text)
	return now.Add(-d), ok
}

func (l *listening) wants(e event.Event) bool {
	return (l.subject == "" || l.subject == e.Subject) && (l.types == nil || slices.ContainsFunc(l.types, func(glob string) bool {
		ok, _ := path.Match(glob, string(e.Type))
		return ok
	}))
}

// start finds the place in the log. An id that is not in it any more begins
// with everything that is: a client that was away for so long must not think
// that nothing happened.
func (s *Server) start(ctx context.Context, l *listening) (_ *event.Cursor, note string, err error) {
	select {
	case s.streams.seek <- struct{}{}:
		defer func() { <-s.streams.seek }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case <-s.ctx.Done():
		return nil, "", s.ctx.Err()
	}
	dir := s.conf.Load().StateDir
	switch {
	case l.after != "":
		c, err := event.CursorAfter(dir, l.after)
		if errors.Is(err, event.ErrNoEvent) {
			return event.CursorSince(dir, time.Time{}), ": " + l.after + " is not in the log any more: all that is\n\n", nil
		}
		return c, "", err
	case !l.since.IsZero():
		return event.CursorSince(dir, l.since), "", nil
	}
	c, err := event.CursorEnd(dir)
	return c, "", err
}

// events streams the log (server-sent events, WHATWG HTML §9.2).
func (s *Server) events(w http.ResponseWriter, r *http.Request) *problem {
	l, p := parseListening(r)
	if p != nil {
		return p
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx in front of us
	if r.Method == http.MethodHead {
		return nil
	}
	leave, ok := s.join(r.RemoteAddr)
	if s.ctx.Err() != nil {
		if ok {
			leave()
		}
		return stopping()
	}
	if !ok {
		p := refuse(503, "too-many-streams", "Too many clients listen", "", "at most %d, and %d from one address", maxStreams, s.streams.shares.most)
		p.retry = heartbeat
		return p
	}
	defer leave()
	cursor, note, err := s.start(r.Context(), l)
	if s.ctx.Err() != nil && err != nil {
		return stopping()
	}
	if err != nil {
		s.Log.Error("HTTP interface: events not read", "error", err)
		return refuse(503, "no-events", "The event log cannot be read", "the daemon's log says more", "")
	}
	defer cursor.Close()
	s.stream(w, r, l, cursor, "retry: 3000\n\n"+note)
	return nil
}

// stream sends what comes, until either side has enough.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, l *listening, cursor *event.Cursor, first string) {
	control := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		control.SetWriteDeadline(time.Now().Add(s.pace))
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil
	}
	open := send("%s", first)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for open {
		news := s.streams.wait() // before the log is read
		err := cursor.Next(func(line []byte, e event.Event) bool {
			if l.wants(e) {
				open = send("id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Type, event.PrintableJSON(line))
			}
			return open && s.ctx.Err() == nil && r.Context().Err() == nil
		})
		if err != nil {
			s.Log.Error("HTTP interface: events not read", "error", err)
			return
		}
		if !open || control.Flush() != nil {
			return
		}
		select {
		case <-news:
		case <-beat.C:
			open = send(": \n\n")
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}
