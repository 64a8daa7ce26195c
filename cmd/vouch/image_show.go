package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/urfave/cli/v2"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) imageShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "everything about one image, also when it is withdrawn", ArgsUsage: "ID|SHA512",
		Description: `Takes an identifier, a SHA-512 or the unique beginning of one. Shows every
endorsement of it, what the signed list says, withdrawals, what handlers made
of it, and the events that handlers have not had.

Examples:
  vouch image show 63175437
  vouch image show -o json 63175437 | jq '.entries[0].metadata'`,
		Action: takes(1, 1, s.showImage),
	}
}

// matches is what a query found.
type matches struct {
	Images    []subscriber.ImageStatus
	Withdrawn []subscriber.WithdrawnStatus
}

// unknownImage says that no list and no withdrawal names what was asked for.
type unknownImage struct{ query string }

func (e *unknownImage) Error() string { return "no image " + quoted(e.query) }

// shortestPrefix keeps a stray letter from naming an image.
const shortestPrefix = 4

// findImages finds an image by identifier, SHA-512 or the unique beginning of
// one. One identifier may be in several lists, one digest under several
// identifiers: then all of them are found. The error is an *unknownImage, or a
// *refusal when a beginning is not unique.
func findImages(st *subscriber.Status, query string) (matches, error) {
	exact := func(id, sha string) bool { return id == query || sha == strings.ToLower(query) }
	if m := filterImages(st, exact); len(m.Images)+len(m.Withdrawn) > 0 {
		return m, nil
	}
	if len(query) < shortestPrefix {
		return matches{}, &unknownImage{query}
	}
	begins := func(id, sha string) bool {
		return strings.HasPrefix(id, query) || strings.HasPrefix(sha, strings.ToLower(query))
	}
	m := filterImages(st, begins)
	ids := m.identifiers()
	switch {
	case len(ids) == 0:
		return matches{}, &unknownImage{query}
	case len(ids) > 1:
		more := ""
		if len(ids) > 5 {
			ids, more = ids[:5], ", …"
		}
		return matches{}, &refusal{quoted(query) + " is the beginning of several", strings.Join(ids, ", ") + more}
	}
	return m, nil
}

func filterImages(st *subscriber.Status, want func(id, sha string) bool) matches {
	var m matches
	for _, i := range st.Images {
		if want(i.Identifier, i.SHA512) {
			m.Images = append(m.Images, i)
		}
	}
	for _, w := range st.Withdrawn {
		if want(w.Identifier, w.SHA512) {
			m.Withdrawn = append(m.Withdrawn, w)
		}
	}
	return m
}

// identifiers are the distinct ones, sorted.
func (m matches) identifiers() []string {
	var ids []string
	for _, i := range m.Images {
		ids = append(ids, i.Identifier)
	}
	for _, w := range m.Withdrawn {
		ids = append(ids, w.Identifier)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// imageDocument is vouch/image/v1.
type imageDocument struct {
	Schema       string                       `json:"schema"`
	Images       []subscriber.ImageStatus     `json:"images"`
	Entries      []event.Image                `json:"entries"` // as index.json shows them
	Endorsements []event.List                 `json:"endorsements"`
	Withdrawn    []subscriber.WithdrawnStatus `json:"withdrawn"`
	Deliveries   []subscriber.DeliveryStatus  `json:"deliveries"` // not yet had by their handler
}

func (s *session) showImage(c *cli.Context) error {
	conf, st, err := s.snapshot()
	if err != nil {
		return err
	}
	m, err := findImages(st, c.Args().First())
	if unknown, ok := err.(*unknownImage); ok {
		return &refusal{unknown.Error(), "vouch image ls lists them all"}
	}
	if err != nil {
		return err
	}
	doc := imageDocument{Schema: "vouch/image/v1", Images: m.Images, Withdrawn: m.Withdrawn}
	ids := m.identifiers()
	for _, d := range st.Deliveries {
		if slices.Contains(ids, d.Subject) {
			doc.Deliveries = append(doc.Deliveries, d)
		}
	}
	if index, err := subscriber.ReadIndex(conf.Site.Cache.Dir); err == nil { // the snapshot alone will do
		doc.fromIndex(index, ids)
	} else {
		s.log.Info("index", "error", err)
	}
	return s.result(doc, func() error {
		s.writeImage(&doc)
		return nil
	})
}

// fromIndex adds what the catalogue knows of these identifiers.
func (d *imageDocument) fromIndex(index *subscriber.Index, ids []string) {
	lists := map[string]bool{}
	for _, i := range d.Images {
		lists[i.List] = true
	}
	for _, e := range index.Images {
		if slices.Contains(ids, e.Identifier) {
			d.Entries = append(d.Entries, e)
		}
	}
	for _, l := range index.Lists {
		if lists[l.Identifier] {
			d.Endorsements = append(d.Endorsements, l)
		}
	}
}

func (s *session) writeImage(d *imageDocument) {
	for _, i := range d.Images {
		s.writeImageStatus(&i)
		for _, l := range d.Endorsements {
			if l.Identifier == i.List {
				s.writeEndorsement(&l)
			}
		}
		for _, e := range d.Entries {
			if e.Identifier == i.Identifier && e.List == i.List {
				s.writeEntry(&e)
			}
		}
	}
	for _, w := range d.Withdrawn {
		s.pairs("withdrawn", w.Identifier, "title", w.Title, "version", w.Version, "subscription", w.Subscription, "list", w.List,
			"sha512", w.SHA512, "event", w.Type, "reason", w.Reason, "detail", w.Detail, "when", instant(w.At, s.now), "kept", w.Kept)
	}
	for _, v := range d.Deliveries {
		state := "pending, next try " + relative(v.Next, s.now)
		if v.Dead {
			state = "dead: vouch event retry " + v.Event
		}
		s.pairs("undelivered", v.Event, "event", v.Type, "to", v.Handler, "since", instant(v.Time, s.now),
			"attempts", fmt.Sprint(v.Attempts), "error", v.Error, "state", state)
	}
}

func (s *session) writeImageStatus(i *subscriber.ImageStatus) {
	s.pairs("image", i.Identifier, "title", i.Title, "version", i.Version, "state", i.State, "reason", i.Reason, "detail", i.Detail,
		"subscription", i.Subscription, "list", i.List, "size", fmt.Sprintf("%d (%s)", i.Size, bytesText(i.Size)), "sha512", i.SHA512,
		"wanted", i.Wanted, "os", i.OS, "arch", i.Arch, "format", i.Format, "expires", instant(i.Expires, s.now),
		"available", instant(i.Since, s.now))
	handlers := make([]string, 0, len(i.Resources))
	for h := range i.Resources {
		handlers = append(handlers, h)
	}
	slices.Sort(handlers)
	for _, h := range handlers {
		s.field("resource", h+": "+i.Resources[h])
	}
}

func (s *session) writeEndorsement(l *event.List) {
	s.field("endorsed by", l.Endorser.DN)
	s.field("certified by", l.Endorser.CA)
	s.field("in list", l.Title+" version "+l.Version+" of "+l.Created.UTC().Format("2006-01-02"))
	s.field("verified", instant(l.Verified, s.now))
	s.field("message", l.Message)
}

func (s *session) writeEntry(e *event.Image) {
	s.field("path", e.Path)
	s.field("blob", e.Blob)
	s.field("uri", e.URI)
	var metadata map[string]any
	if json.Unmarshal(e.Metadata, &metadata) != nil {
		return
	}
	keys := make([]string, 0, len(metadata))
	for k := range metadata {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		s.field("  "+shortened(event.Printable(k), 40), shortened(fmt.Sprint(metadata[k]), 200))
	}
}

// pairs prints a heading line and the fields after it, without the empty ones.
func (s *session) pairs(kind, name string, fields ...string) {
	fmt.Fprintf(s.out, "%s %s\n", kind, event.Printable(name))
	for i := 0; i+1 < len(fields); i += 2 {
		s.field(fields[i], fields[i+1])
	}
}

func (s *session) field(name, value string) {
	if value != "" {
		fmt.Fprintf(s.out, "  %-13s %s\n", name, event.Printable(value))
	}
}
