package page

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// pageSize is the number of rows of a table that has pages.
const pageSize = 50

// table is one page of the rows that a form asked for.
type table[T any] struct {
	Rows        []T
	Action      string     // the form's address
	Query       url.Values // what was asked for, as far as it was understood
	Search      string     // what the search looks in
	States      []string   // to choose from
	Page, Pages int        // from 1
	First       int        // number of the first row, from 0
	Total, Of   int        // rows that were found, and all of them
}

// tableOf filters rows and shows the page that was asked for, or the nearest.
func tableOf[T any](path string, q url.Values, rows []T, keep func(*T) bool) table[T] {
	t := table[T]{Query: q, Action: path, Of: len(rows)}
	kept := slices.DeleteFunc(rows, func(r T) bool { return !keep(&r) })
	t.Total = len(kept)
	t.Pages = max(1, (t.Total+pageSize-1)/pageSize)
	n, _ := strconv.Atoi(q.Get("page")) // 0 for what is not a number
	t.Page = min(max(n, 1), t.Pages)
	t.First = (t.Page - 1) * pageSize
	t.Rows = kept[t.First:min(t.First+pageSize, t.Total)]
	return t
}

// Last is the number of the last row, from 1.
func (t table[T]) Last() int { return t.First + len(t.Rows) }

// Get is what was asked for.
func (t table[T]) Get(key string) string { return t.Query.Get(key) }

// Filtered says whether anything was asked for.
func (t table[T]) Filtered() bool {
	return t.Get("q") != "" || t.Get("state") != "" || t.Get("list") != ""
}

// Previous and Next are addresses of pages; "" when there is none.
func (t table[T]) Previous() string { return t.link(t.Page - 1) }
func (t table[T]) Next() string     { return t.link(t.Page + 1) }

func (t table[T]) link(page int) string {
	if page < 1 || page > t.Pages {
		return ""
	}
	q := url.Values{"page": {strconv.Itoa(page)}}
	for _, key := range []string{"q", "state", "list"} {
		if v := t.Get(key); v != "" {
			q.Set(key, v)
		}
	}
	return t.Action + "?" + q.Encode()
}

// maxQuery is how much of a search is looked at, in bytes.
const maxQuery = 200

// asked is what a form says, cut to what it may be: a state that there is, one
// of each key.
func asked(q url.Values, states []string) url.Values {
	out := url.Values{}
	for _, key := range []string{"q", "list", "page"} {
		v := strings.TrimSpace(q.Get(key))
		out.Set(key, strings.ToValidUTF8(v[:min(len(v), maxQuery)], ""))
	}
	if s := q.Get("state"); slices.Contains(states, s) {
		out.Set("state", s)
	}
	return out
}

// finder looks for a text in fields, whatever the case.
func finder(q string) func(fields ...string) bool {
	q = strings.ToLower(q)
	return func(fields ...string) bool {
		return q == "" || slices.ContainsFunc(fields, func(s string) bool {
			return strings.Contains(strings.ToLower(s), q)
		})
	}
}

var listStates = []string{"expired", "rejected", "withdrawn", "unreachable", "stale", "new", "removed", "ok"}

func listsPage(f *frame, q url.Values) any {
	f.Title = "Lists"
	q = asked(q, listStates)
	found, state := finder(q.Get("q")), q.Get("state")
	t := tableOf(f.Path, q, worstFirst(f.Status.Subscriptions), func(s *subscriber.SubscriptionStatus) bool {
		return (state == "" || s.State == state) && found(s.Name, s.Title, s.List, s.Reason, s.EndorserDN, s.URL)
	})
	t.States, t.Search = listStates, "Name, title, identifier, reason, endorser or URL"
	return t
}

func problemsPage(f *frame, q url.Values) any {
	f.Title = "Problems"
	q = asked(q, nil)
	found := finder(q.Get("q"))
	t := tableOf(f.Path, q, slices.Clone(f.Problems), func(p *subscriber.Problem) bool {
		return found(p.Subject, p.Code, p.Detail, p.Severity)
	})
	t.Search = "Subject, reason or detail"
	return t
}

// imageRow is an image that a list names, or one that left.
type imageRow struct {
	Identifier, List, Subscription, Title, Version string
	State, Reason, Detail                          string
	SHA512, OS, Arch, Format                       string
	Size                                           int64
	Expires, Left                                  time.Time
	Grade                                          grade
	Usable                                         bool
}

var imageStates = []string{"failed", "refused", "expired", "stale", "held", "pending", "blocked", "available", "withdrawn"}

// imageRows are all images, and after them those that left and are not back.
func imageRows(st *subscriber.Status) []imageRow {
	rows := make([]imageRow, 0, len(st.Images)+len(st.Withdrawn))
	for i := range st.Images {
		m := &st.Images[i]
		rows = append(rows, imageRow{Identifier: m.Identifier, List: m.List, Subscription: m.Subscription, Title: m.Title, Version: m.Version,
			State: m.State, Reason: m.Reason, Detail: m.Detail, SHA512: cmp.Or(m.SHA512, m.Wanted), OS: m.OS, Arch: m.Arch, Format: m.Format,
			Size: m.Size, Expires: m.Expires, Grade: grades[m.State], Usable: usable(m)})
	}
	for _, w := range st.Gone() {
		rows = append(rows, imageRow{Identifier: w.Identifier, List: w.List, Subscription: w.Subscription, Title: w.Title, Version: w.Version,
			State: "withdrawn", Reason: w.Reason, Detail: w.Detail, SHA512: w.SHA512, Left: w.At, Grade: gone})
	}
	return rows
}

func sortImages(rows []imageRow) {
	slices.SortStableFunc(rows, func(a, b imageRow) int {
		return cmp.Or(cmp.Compare(a.Grade, b.Grade), b.Left.Compare(a.Left),
			strings.Compare(a.Subscription, b.Subscription), strings.Compare(a.Title, b.Title), strings.Compare(a.Identifier, b.Identifier))
	})
}

func imagesPage(f *frame, q url.Values) any {
	f.Title = "Images"
	q = asked(q, imageStates)
	found, state, list := finder(q.Get("q")), q.Get("state"), q.Get("list")
	rows := imageRows(f.Status)
	sortImages(rows)
	t := tableOf(f.Path, q, rows, func(r *imageRow) bool {
		return (state == "" || r.State == state) && (list == "" || r.Subscription == list) &&
			found(r.Identifier, r.Title, r.Subscription, r.SHA512, r.OS, r.Arch, r.Format, r.Reason)
	})
	t.States, t.Search = imageStates, "Title, identifier, SHA-512, system, format or reason"
	return t
}

// eventRow is an event with what its data says of its subject.
type eventRow struct {
	event.Event
	Subscription, Title, Version, Reason, Detail string
	Exit                                         *int
}

// IsImage says whether the subject is an image.
func (e eventRow) IsImage() bool { return strings.HasPrefix(string(e.Type), "image.") }

// subject is what an event's data says: of an image, or of a list, which has
// its own entry apart.
type subject struct {
	Subscription string         `json:"subscription"`
	Title        string         `json:"title"`
	Version      string         `json:"version"`
	Reason       string         `json:"reason"`
	Detail       string         `json:"detail"`
	Exit         *int           `json:"exit"`
	List         jsontext.Value `json:"list"`
}

func eventRows(events []event.Event) []eventRow {
	rows := make([]eventRow, len(events))
	for i, e := range events {
		var d subject
		_ = json.Unmarshal(e.Data, &d) // what is not there is not shown
		if d.List.Kind() == '{' {
			var l struct {
				Title   string `json:"title"`
				Version string `json:"version"`
			}
			_ = json.Unmarshal(d.List, &l)
			d.Title, d.Version = l.Title, l.Version
		}
		rows[i] = eventRow{e, d.Subscription, d.Title, d.Version, d.Reason, d.Detail, d.Exit}
	}
	return rows
}

func eventsPage(f *frame, q url.Values) any {
	f.Title = "Events"
	q = asked(q, nil)
	found := finder(q.Get("q"))
	t := tableOf(f.Path, q, eventRows(f.Events), func(e *eventRow) bool {
		return found(string(e.Type), e.Subject, e.Subscription, e.Title, e.Reason, e.Detail, e.ID)
	})
	t.Search = "Type, subject, list, title or reason"
	return t
}
