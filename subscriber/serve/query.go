package serve

import (
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"vouch/cache"
)

// Limits of a query.
const (
	maxQuery = 8 << 10
	pageSize = 1000 // at most, and unless asked otherwise
)

// parseQuery reads a query that may have these keys, each once. An empty value
// is as if the key were not there: that is what a form sends.
func parseQuery(raw string, known ...string) (map[string]string, *problem) {
	if len(raw) > maxQuery {
		return nil, badQuery("longer than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badQuery("not a query: percent signs are followed by two hexadecimal digits, and keys are separated by &")
	}
	query := map[string]string{}
	for key, all := range values {
		switch {
		case !slices.Contains(known, key):
			p := badQuery("unknown key %.40q", key)
			p.Hint = "known here: " + strings.Join(known, ", ")
			if len(known) == 0 {
				p.Hint = "there are none here"
			}
			return nil, p
		case len(all) > 1:
			return nil, badQuery("%s comes twice", key)
		case !utf8.ValidString(all[0]) || strings.ContainsRune(all[0], 0):
			return nil, badQuery("%s is not text", key)
		}
		if all[0] != "" {
			query[key] = all[0]
		}
	}
	return query, nil
}

func badQuery(detail string, args ...any) *problem {
	return refuse(400, "query", "The query makes no sense", "/openapi.json describes what there is", detail, args...)
}

// filter is which images are asked for.
type filter struct {
	list, subscription, vo, os, arch, format, hypervisor, sha512 string

	states []string // nil: any
	limit  int
	after  string // the place of the last image of the page before
	query  map[string]string
}

var filterKeys = []string{"after", "arch", "format", "hypervisor", "limit", "list", "os", "sha512", "state", "subscription", "vo"}

var imageStates = []string{"available", "stale", "pending", "failed", "held", "refused", "expired", "blocked", "withdrawn"}

// parseFilter reads the query of /v1/images.
func parseFilter(raw string) (*filter, *problem) {
	q, p := parseQuery(raw, filterKeys...)
	if p != nil {
		return nil, p
	}
	f := &filter{query: q, list: q["list"], subscription: q["subscription"], vo: q["vo"], os: q["os"], arch: q["arch"], format: q["format"],
		hypervisor: q["hypervisor"], sha512: strings.ToLower(q["sha512"]), after: q["after"], limit: pageSize, states: []string{"available", "stale"}}
	if _, err := hex.DecodeString(f.sha512); err != nil || f.sha512 != "" && len(f.sha512) != 2*len(cache.Digest{}) {
		return nil, badQuery("sha512 is 128 hexadecimal digits")
	}
	if text, ok := q["limit"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > pageSize {
			return nil, badQuery("limit is from 1 to %d", pageSize)
		}
		f.limit = n
	}
	if text, ok := q["state"]; ok {
		if f.states = strings.Split(text, ","); text == "any" {
			f.states = nil
		}
		for _, state := range f.states {
			if !slices.Contains(imageStates, state) {
				return nil, badQuery("state is any, or some of %s, separated by commas", strings.Join(imageStates, ", "))
			}
		}
	}
	return f, nil
}

// matches compares as a subscription's selection does: text without case,
// identifiers and digests exactly.
func (f *filter) matches(p *pictured) bool {
	same := func(want, have string) bool { return want == "" || strings.EqualFold(want, have) }
	exactly := func(want, have string) bool { return want == "" || want == have }
	return (f.states == nil || slices.Contains(f.states, p.state)) &&
		exactly(f.list, p.list) && exactly(f.subscription, p.subscription) && exactly(f.sha512, p.sha512) &&
		same(f.vo, p.vo) && same(f.os, p.os) && same(f.arch, p.arch) && same(f.format, p.format) && same(f.hypervisor, p.hypervisor)
}

// page is the images to answer, and the query of the next page, "" on the last.
// A page begins after the image that the one before ended with, by its place in
// the order of state, list, identifier and age; one that has gone meanwhile
// leaves its place.
func (f *filter) page(all []*pictured) (page []*pictured, next string) {
	for _, p := range all {
		if !f.matches(p) || f.after != "" && p.place <= f.after {
			continue
		}
		if len(page) == f.limit {
			values := url.Values{}
			for key, value := range f.query {
				values.Set(key, value)
			}
			values.Set("after", page[len(page)-1].place)
			return page, values.Encode()
		}
		page = append(page, p)
	}
	return page, ""
}
