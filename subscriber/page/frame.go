package page

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// builder makes a page's data from what was asked for; nil when there is no
// such thing.
type builder func(f *frame, q url.Values) any

func nothing(*frame, url.Values) any { return nil }

// frame is what surrounds every page, and the root of every template.
type frame struct {
	View
	Path     string
	Title    string // of the document, before the summary
	Problems []subscriber.Problem
	Data     any

	critical, warnings int
}

// begin completes a view: there is always a Status, and its problems are those
// of now.
func (f *frame) begin() {
	if f.Status == nil {
		f.Status = &subscriber.Status{}
		f.Problems = []subscriber.Problem{{Severity: "warning", Subject: "vouch", Code: "no-run", Detail: "nothing has run yet", Hint: "run vouch sync, or start vouch daemon"}}
	} else {
		f.Problems = slices.Concat(f.Status.Problems, f.Status.Overdue(f.At, f.Alarm))
	}
	for _, p := range f.Problems {
		if p.Severity == "critical" {
			f.critical++
		} else {
			f.warnings++
		}
	}
	slices.SortStableFunc(f.Problems, func(a, b subscriber.Problem) int {
		return cmp.Compare(grades[a.Severity], grades[b.Severity])
	})
}

// Assets is the tag under which this version's assets are cached for ever.
func (f *frame) Assets() string { return assetTag }

// Summary is how things are, in a few words: also what a screen reader is told
// when it changes.
func (f *frame) Summary() string {
	var parts []string
	if f.critical > 0 {
		parts = append(parts, count(f.critical, "critical problem"))
	}
	if f.warnings > 0 {
		parts = append(parts, count(f.warnings, "warning"))
	}
	switch {
	case f.Status == nil:
		return "The state cannot be read"
	case f.Status.LastSync.IsZero() && len(f.Status.Images) == 0 && f.critical == 0:
		return "Nothing has run yet"
	case len(parts) == 0:
		return "No problems"
	}
	return strings.Join(parts, ", ")
}

// Grade is the gravest of the problems.
func (f *frame) Grade() grade {
	switch {
	case f.Status == nil || f.critical > 0:
		return bad
	case f.warnings > 0:
		return warn
	}
	return good
}

// Types are the events after which the page may be another.
func (f *frame) Types() string {
	types := []event.Type{event.SyncFinished, event.ListAccepted, event.ListRejected, event.ListUnreachable, event.ListExpiring, event.ListExpired,
		event.ImageAnnounced, event.ImageAvailable, event.ImageUpdated, event.ImageSuperseded, event.ImageExpired, event.ImageRevoked,
		event.ImageBlocked, event.ImageDeselected, event.ImageCorrupt, event.ImageFailed}
	var b strings.Builder
	for _, t := range types {
		b.WriteString(string(t) + " ")
	}
	return strings.TrimSpace(b.String())
}

// When is a time as the templates "when" and "instant" show it.
func (f *frame) When(t time.Time) moment { return moment{t, f.At} }

// Soon says of an end that it is near: within the week in which list.expiring
// is told.
func (f *frame) Soon(t time.Time) bool { return !t.IsZero() && t.Sub(f.At) < soon }

// Past says of an end that it is over.
func (f *frame) Past(t time.Time) bool { return !t.IsZero() && !t.After(f.At) }

// EndGrade is how an end is meant.
func (f *frame) EndGrade(t time.Time) grade {
	switch {
	case f.Past(t):
		return bad
	case f.Soon(t):
		return warn
	}
	return good
}

const soon = 7 * 24 * time.Hour

// part is what a template of a part is given: the frame and its own data.
type part struct {
	*frame
	X any
}

// With is the frame with the data of a part.
func (f *frame) With(x any) part { return part{f, x} }

// lifeWidth is the width of the bar that shows how much of a list's life is over.
const lifeWidth = 40

// Life is where on that bar now is, -1 when there is nothing to show.
func (f *frame) Life(created, expires time.Time) int {
	whole := expires.Sub(created)
	if created.IsZero() || whole <= 0 {
		return -1
	}
	return int(min(1, max(0, f.At.Sub(created).Hours()/whole.Hours())) * lifeWidth)
}

// Rest is what is left of the bar.
func (f *frame) Rest(spent int) int { return lifeWidth - spent }

// moment is a time, seen from now.
type moment struct{ at, now time.Time }

func (m moment) Zero() bool       { return m.at.IsZero() }
func (m moment) ISO() string      { return m.at.UTC().Format(time.RFC3339) }
func (m moment) Full() string     { return m.at.UTC().Format("2006-01-02 15:04:05") + " UTC" }
func (m moment) Relative() string { return subscriber.Relative(m.at, m.now) }

// Subscription is the state of one, nil if there is none of this name.
func (f *frame) Subscription(name string) *subscriber.SubscriptionStatus {
	for i := range f.Status.Subscriptions {
		if f.Status.Subscriptions[i].Name == name {
			return &f.Status.Subscriptions[i]
		}
	}
	return nil
}
