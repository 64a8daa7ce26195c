package serve

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vouch/cache"
	"vouch/subscriber"
)

// images lists what matches the query, a page at a time.
func (s *Server) images(w http.ResponseWriter, r *http.Request) *problem {
	q, p := parseFilter(r.URL.RawQuery)
	if p != nil {
		return p
	}
	v, p := s.catalogue()
	if p != nil {
		return p
	}
	if unchanged(w, r, tagOf([]byte(v.tag), []byte(r.URL.RawQuery))) {
		return nil
	}
	page, next := q.page(v.images)
	b := begin(w, "images", v)
	b.WriteString(`,"images":[`)
	for i, p := range page {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(p.raw)
	}
	b.WriteString("]")
	if next != "" {
		b.WriteString(`,"next":`)
		b.Write(printable("/v1/images?" + next))
	}
	b.WriteString("}\n")
	b.Flush()
	return nil
}

// begin starts a document about the catalogue.
func begin(w http.ResponseWriter, name string, v *view) *bufio.Writer {
	b := bufio.NewWriterSize(w, 32<<10)
	b.WriteString(`{"schema":"vouch/` + name + `/v1","generation":` + strconv.FormatUint(v.generation, 10) + `,"generated":"` + v.generated.UTC().Format(time.RFC3339) + `"`)
	return b
}

func (s *Server) image(w http.ResponseWriter, r *http.Request) *problem {
	v, i, p := s.named(r)
	if p != nil {
		return p
	}
	return document(w, r, tagOf([]byte(v.tag), []byte(i.id)), i.raw)
}

// named is the published image that a request is about.
func (s *Server) named(r *http.Request) (*view, *pictured, *problem) {
	query, p := parseQuery(r.URL.RawQuery, "list")
	if p != nil {
		return nil, nil, p
	}
	v, p := s.catalogue()
	if p != nil {
		return nil, nil, p
	}
	i, p := v.find(r.PathValue("id"), query["list"])
	return v, i, p
}

func (s *Server) lists(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := parseQuery(r.URL.RawQuery); p != nil {
		return p
	}
	v, p := s.catalogue()
	if p != nil {
		return p
	}
	if unchanged(w, r, tagOf([]byte(v.tag), []byte("lists"))) {
		return nil
	}
	b := begin(w, "lists", v)
	b.WriteString(`,"lists":[`)
	for i, l := range v.lists {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(l.raw)
	}
	b.WriteString("]}\n")
	b.Flush()
	return nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) *problem {
	v, l, p := s.namedList(r)
	if p != nil {
		return p
	}
	return document(w, r, tagOf([]byte(v.tag), []byte(l.id)), l.raw)
}

func (s *Server) namedList(r *http.Request) (*view, *listed, *problem) {
	if _, p := parseQuery(r.URL.RawQuery); p != nil {
		return nil, nil, p
	}
	v, p := s.catalogue()
	if p != nil {
		return nil, nil, p
	}
	for _, l := range v.lists {
		if l.id == r.PathValue("id") {
			return v, l, nil
		}
	}
	return nil, nil, refuse(404, "unknown-list", "There is no such list", "/v1/lists lists them", "")
}

// message is the signed message, byte for byte, that the list was read from.
func (s *Server) message(w http.ResponseWriter, r *http.Request) *problem {
	_, l, p := s.namedList(r)
	if p != nil {
		return p
	}
	if !cache.Name(l.id) {
		return refuse(404, "unknown-list", "There is no such list", "/v1/lists lists them", "") // in no index of ours
	}
	f, info, err := open(s.conf.Load().CacheDir, "lists/"+l.id+".smime")
	if err != nil {
		s.Log.Error("HTTP interface: message not read", "list", l.id, "error", err)
		return refuse(503, "no-message", "The message cannot be read now", "the next pass writes it again", "")
	}
	defer f.Close()
	attachment(w, l.id+".smime")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", tagOf(fmt.Append(nil, subscriber.MarkOfInfo(info))))
	http.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}

// attachment is for bytes that a browser must not show.
func attachment(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// status is the snapshot as it is.
func (s *Server) status(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := parseQuery(r.URL.RawQuery); p != nil {
		return p
	}
	v := s.look()
	if v.statusErr == nil {
		return document(w, r, tagOf([]byte(v.tag), []byte("status")), v.status)
	}
	if !errors.Is(v.statusErr, subscriber.ErrNoStatus) {
		s.Log.Error("HTTP interface: status not read", "error", v.statusErr)
	}
	p := refuse(503, "no-status", "There is no status yet", "the daemon's first pass writes it", "")
	p.retry = 5 * time.Second
	return p
}

// document sends JSON that may have been sent before.
func document(w http.ResponseWriter, r *http.Request, tag string, body []byte) *problem {
	if !unchanged(w, r, tag) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}
	return nil
}

// unchanged answers 304 when the client has what it asks for, and otherwise
// begins a JSON answer.
func unchanged(w http.ResponseWriter, r *http.Request, tag string) bool {
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	for have := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if have = strings.TrimPrefix(strings.TrimSpace(have), "W/"); have == tag || have == "*" {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	h.Set("Content-Type", "application/json")
	return false
}

// healthy says that the process answers.
func (s *Server) healthy(w http.ResponseWriter, r *http.Request) *problem {
	return simple(w, health{"vouch/health/v1", "ok", ""})
}

type health struct {
	Schema string `json:"schema"`
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// late is how far behind its schedule a daemon that works may be: its first
// tries may fail, and a pass may wait for another command.
const late = time.Hour

// ready says whether what is served is of this daemon and kept up to date: a
// pass has acted on facts since the start, and none is an hour overdue.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) *problem {
	v, now := s.look(), time.Now()
	why := ""
	switch next := time.Unix(s.next.Load(), 0); {
	case v.indexErr != nil || v.statusErr != nil:
		why = "there is no catalogue or no status yet"
	case v.passed.Before(s.begun):
		why = "no pass since the start"
	case next.Unix() > 0 && now.Sub(next) > late && now.Sub(v.passed) > late:
		why = "the pass of " + next.UTC().Format(time.RFC3339) + " is overdue"
	}
	if why != "" {
		p := refuse(503, "not-ready", "Not ready", "the daemon's log says more", "%s", why)
		p.retry = 5 * time.Second
		return p
	}
	return simple(w, health{"vouch/health/v1", "ready", "last pass " + v.passed.UTC().Format(time.RFC3339)})
}

func simple(w http.ResponseWriter, v any) *problem {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(printable(v), '\n'))
	return nil
}
