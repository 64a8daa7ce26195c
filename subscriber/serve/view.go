package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

// view is the catalogue and the status as they were at one look, with what is
// answered from them. It never changes; every request takes the newest.
type view struct {
	seen [2]subscriber.Mark // of index.json and status.json
	tag  string             // changes with either

	*catalogue
	statusErr error
	images    []*pictured // published ones, then those that are wanted and not there, then withdrawn ones
	byID      map[string][]*pictured
	status    []byte // printable
	passed    time.Time
	inspected time.Time // see subscriber.Status
}

// catalogue is what index.json says.
type catalogue struct {
	indexErr   error
	generation uint64
	generated  time.Time
	lists      []*listed
	published  []*pictured
	withdrawn  []subscriber.WithdrawnEntry
}

// listed is a list of the catalogue.
type listed struct {
	id  string
	raw []byte // its entry, printable
}

// pictured is an image, whatever became of it.
type pictured struct {
	id, list, subscription, vo, os, arch, format, hypervisor, sha512 string

	state  string // see imageStates
	reason string
	detail string
	at     time.Time // of the withdrawal
	size   int64
	digest cache.Digest
	raw    []byte // its entry, printable
	place  string // in the order of pages
}

// published says whether an image may be used now.
func (p *pictured) published() bool { return p.state == "available" || p.state == "stale" }

// views has the newest one.
type views struct {
	mu  sync.Mutex // of reading a new one
	now atomic.Pointer[view]
}

// look returns the newest view: two stats, unless something is new. While one
// request reads that, the others have what there was.
func (s *Server) look() *view {
	c := s.conf.Load()
	current := func() (*view, [2]subscriber.Mark) {
		seen := [2]subscriber.Mark{subscriber.IndexMark(c.CacheDir), subscriber.StatusMark(c.StateDir)}
		if v := s.view.now.Load(); v != nil && v.seen == seen && !v.failed() {
			return v, seen
		}
		return nil, seen
	}
	if v, _ := current(); v != nil {
		return v
	}
	if !s.view.mu.TryLock() {
		if v := s.view.now.Load(); v != nil {
			return v
		}
		s.view.mu.Lock()
	}
	defer s.view.mu.Unlock()
	v, seen := current()
	if v == nil {
		v = s.readView(c, s.view.now.Load(), seen)
		s.view.now.Store(v)
	}
	return v
}

// failed says that something was there and could not be read, which may pass
// without the file becoming another: it is tried again.
func (v *view) failed() bool {
	return v.indexErr != nil && !errors.Is(v.indexErr, fs.ErrNotExist) || v.statusErr != nil && !errors.Is(v.statusErr, subscriber.ErrNoStatus)
}

// readView reads what is another file than it was in the view before, of which
// nil is none. A newer one than was seen is read again next time.
func (s *Server) readView(c *Config, before *view, seen [2]subscriber.Mark) *view {
	v := &view{seen: seen, byID: map[string][]*pictured{}, tag: tagOf(fmt.Append(nil, seen))}
	if before != nil && before.indexErr == nil && before.seen[0] == seen[0] {
		v.catalogue = before.catalogue
	} else {
		v.catalogue = catalogueOf(s.Files.Index(c.CacheDir))
	}
	v.images = slices.Clone(v.published)
	status, err := s.Files.Status(c.StateDir)
	if v.statusErr = err; err == nil {
		v.passed, v.inspected = status.Generated, status.Inspected
		v.status = printable(status)
		v.takeStatus(status)
	}
	v.takeWithdrawn(status)
	for _, p := range v.images {
		v.byID[p.id] = append(v.byID[p.id], p)
	}
	slices.SortFunc(v.images, func(a, b *pictured) int { return strings.Compare(a.place, b.place) })
	return v
}

func catalogueOf(x *subscriber.Index, err error) *catalogue {
	if err != nil {
		return &catalogue{indexErr: err}
	}
	c := &catalogue{generation: x.Generation, generated: x.Generated, withdrawn: x.Withdrawn}
	for _, l := range x.Lists {
		c.lists = append(c.lists, &listed{l.Identifier, printable(l)})
	}
	for _, i := range x.Images {
		p := &pictured{id: i.Identifier, list: i.List, subscription: i.Subscription, vo: i.VO, os: i.OS, arch: i.Arch, format: i.Format,
			hypervisor: i.Hypervisor, sha512: i.SHA512, size: i.Size, state: "available"}
		if i.Stale {
			p.state = "stale"
		}
		if len(i.SHA512) != 2*len(p.digest) || !cache.Name(i.Identifier) {
			continue // no index of ours
		}
		if _, err := hex.Decode(p.digest[:], []byte(i.SHA512)); err != nil {
			continue
		}
		p.raw = printable(struct {
			event.Image
			State string `json:"state"`
		}{i, p.state})
		c.published = append(c.published, p.placed(""))
	}
	return c
}

// placed gives an image its place in the order of pages: by state, list and
// identifier, and what tells it from others that have the same.
func (p *pictured) placed(last string) *pictured {
	p.place = strings.Join([]string{strconv.Itoa(slices.Index(imageStates, p.state)), p.list, p.id, last}, "/")
	return p
}

// takeStatus adds the images that are wanted and not published.
func (v *view) takeStatus(st *subscriber.Status) {
	for _, i := range st.Images {
		if i.State == "available" || i.State == "stale" {
			continue
		}
		p := &pictured{id: i.Identifier, list: i.List, subscription: i.Subscription, os: i.OS, arch: i.Arch, format: i.Format,
			sha512: i.SHA512, state: i.State, reason: i.Reason, detail: i.Detail, raw: printable(i)}
		v.images = append(v.images, p.placed(""))
	}
}

// takeWithdrawn adds what has left and is not back, newest last as the index has it. The status
// knows more of each.
func (v *view) takeWithdrawn(st *subscriber.Status) {
	type key struct{ id, list, kept string }
	more := map[key]subscriber.WithdrawnStatus{}
	if st != nil {
		for _, w := range st.Withdrawn {
			more[key{w.Identifier, w.List, w.Kept}] = w
		}
	}
	back := map[[2]string]bool{}
	for _, p := range v.published {
		back[[2]string{p.id, p.sha512}] = true
	}
	for _, w := range v.withdrawn {
		if back[[2]string{w.Identifier, w.SHA512}] {
			continue // it left once
		}
		m := more[key{w.Identifier, w.List, w.Kept}]
		m.Identifier, m.List, m.SHA512, m.Reason, m.At, m.Kept = w.Identifier, w.List, w.SHA512, w.Reason, w.At, w.Kept
		p := &pictured{id: w.Identifier, list: w.List, subscription: m.Subscription, sha512: w.SHA512, state: "withdrawn",
			reason: w.Reason, detail: m.Detail, at: w.At, raw: printable(struct {
				subscriber.WithdrawnStatus
				State string `json:"state"`
			}{m, "withdrawn"})}
		v.images = append(v.images, p.placed(w.At.UTC().Format(time.RFC3339)+"/"+w.Kept))
	}
}

// printable is JSON in which nothing acts on a terminal (T-45).
func printable(v any) []byte {
	raw, err := json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return []byte("null") // our own types always marshal
	}
	return event.PrintableJSON(raw)
}

// tagOf is an entity tag for bytes.
func tagOf(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
		h.Write([]byte{0})
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}

// catalogue is the view, or why there is none.
func (s *Server) catalogue() (*view, *problem) {
	v := s.look()
	switch {
	case errors.Is(v.indexErr, fs.ErrNotExist):
		p := refuse(503, "no-catalogue", "There is no catalogue yet", "the daemon's first pass writes it", "")
		p.retry = 5 * time.Second
		return nil, p
	case v.indexErr != nil:
		s.Log.Error("HTTP interface: catalogue not read", "error", v.indexErr)
		p := refuse(503, "no-catalogue", "The catalogue cannot be read", "the next pass writes a new one", "")
		p.retry = time.Minute
		return nil, p
	}
	return v, nil
}

// find is the image that an identifier names: the published one if there is
// one. An identifier belongs to one list, so a second list that has it has it
// refused; when nothing is published there may be several that left.
func (v *view) find(id, list string) (*pictured, *problem) {
	var found []*pictured
	lists := map[string]bool{}
	for _, p := range v.byID[id] {
		if list != "" && p.list != list {
			continue
		}
		if p.published() {
			return p, nil
		}
		found = append(found, p)
		lists[p.list] = true
	}
	if len(found) == 0 {
		p := refuse(404, "unknown-image", "There is no such image", "/v1/images lists them", "")
		return nil, p
	}
	last := found[0]
	for _, p := range found[1:] { // a withdrawal says more than a wish, the latest one most
		if p.state == "withdrawn" && !p.at.Before(last.at) {
			last = p
		}
	}
	return nil, last.absent()
}

// absent says what became of an image that is not published.
func (p *pictured) absent() *problem {
	var answer *problem
	switch p.state {
	case "withdrawn":
		answer = refuse(410, "withdrawn", "The image was withdrawn", "do not use copies of it", "%s", p.detail)
		answer.At = &p.at
	case "blocked":
		answer = refuse(410, "blocked", "The image is blocked by this site", "do not use copies of it", "%s", p.detail)
	default:
		answer = refuse(404, "not-published", "The image is not published here", "vouch image show "+p.id, "%s", p.detail)
	}
	answer.Image, answer.List, answer.State, answer.Reason = p.id, p.list, p.state, p.reason
	return answer
}
