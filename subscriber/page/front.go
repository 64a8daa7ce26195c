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

// How much of each the front page shows: it stays small at a site with a
// thousand lists and ten thousand images.
const (
	frontCauses  = 20
	frontLists   = 15
	frontImages  = 8
	frontEvents  = 12
	causeExample = 3 // subjects of one cause
)

// frontData is what the front page shows.
type frontData struct {
	Causes   []cause
	Lists    []subscriber.SubscriptionStatus // worst first
	Tallies  []tally                         // of images, by state
	Usable   int                             // images that may be used now
	Images   []imageRow                      // not in order, worst first
	Amiss    int                             // how many are not in order
	Events   []eventRow
	Disk     disk
	Deadline time.Time // when the first list expires
}

func frontPage(f *frame, _ url.Values) any {
	d := frontData{Causes: causes(f.Problems), Disk: diskOf(&f.Status.Cache)}
	all := worstFirst(f.Status.Subscriptions)
	d.Lists = all[:min(len(all), frontLists)]
	for i := range all {
		if e := all[i].Expires; e.After(f.At) && (d.Deadline.IsZero() || e.Before(d.Deadline)) {
			d.Deadline = e
		}
	}
	rows := imageRows(f.Status)
	d.Tallies, d.Usable = tallies(rows)
	amiss := slices.DeleteFunc(rows, func(r imageRow) bool { return r.Grade == good || r.Grade == gone })
	sortImages(amiss)
	d.Amiss, d.Images = len(amiss), amiss[:min(len(amiss), frontImages)]
	d.Events = news(f.Events)
	return d
}

// news are the newest events that something happened in: a run that begins and
// ends is none.
func news(events []event.Event) []eventRow {
	var out []event.Event
	for _, e := range events {
		if e.Type != event.SyncStarted && e.Type != event.SyncFinished && len(out) < frontEvents {
			out = append(out, e)
		}
	}
	return eventRows(out)
}

// cause is what is wrong in one way in one or many places.
type cause struct {
	Severity, Code, Hint string
	Count                int
	First                []subscriber.Problem // some of them
	Since                time.Time            // the earliest known
}

// causes sums problems up by what is to be done: a thousand lists that cannot
// be reached are one line to read.
func causes(problems []subscriber.Problem) []cause {
	type key struct{ severity, code, hint string }
	at, out := map[key]int{}, []cause{}
	for _, p := range problems {
		k := key{p.Severity, p.Code, p.Hint}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k], out = i, append(out, cause{Severity: p.Severity, Code: p.Code, Hint: p.Hint})
		}
		c := &out[i]
		if c.Count++; len(c.First) < causeExample {
			c.First = append(c.First, p)
		}
		if !p.Since.IsZero() && (c.Since.IsZero() || p.Since.Before(c.Since)) {
			c.Since = p.Since
		}
	}
	return out[:min(len(out), frontCauses)]
}

// More is how many there are beside those that are shown.
func (c cause) More() int { return c.Count - len(c.First) }

// worstFirst are lists by how they are, then by which ends first.
func worstFirst(lists []subscriber.SubscriptionStatus) []subscriber.SubscriptionStatus {
	out := slices.Clone(lists)
	slices.SortFunc(out, func(a, b subscriber.SubscriptionStatus) int {
		return cmp.Or(cmp.Compare(grades[a.State], grades[b.State]), sooner(a.Expires, b.Expires), strings.Compare(a.Name, b.Name))
	})
	return out
}

// sooner compares two ends, of which the zero one never comes.
func sooner(a, b time.Time) int {
	if a.IsZero() != b.IsZero() {
		return map[bool]int{true: 1, false: -1}[a.IsZero()]
	}
	return a.Compare(b)
}

// tally is how many images are in a state.
type tally struct {
	State string
	Grade grade
	Count int
}

func tallies(rows []imageRow) (out []tally, usable int) {
	for i := range rows {
		r := &rows[i]
		if r.Usable {
			usable++
		}
		at := slices.IndexFunc(out, func(t tally) bool { return t.State == r.State })
		if at < 0 {
			at, out = len(out), append(out, tally{State: r.State, Grade: r.Grade})
		}
		out[at].Count++
	}
	slices.SortFunc(out, func(a, b tally) int {
		return cmp.Or(cmp.Compare(a.Grade, b.Grade), strings.Compare(a.State, b.State))
	})
	return out, usable
}

// disk is the cache's space as a bar shows it, in percent of the file system.
type disk struct {
	Known             bool
	Ours, Others      float64 // of the file system
	Used              int64   // bytes that count for max_size
	Limited           bool
	OfLimit           float64 // percent of max_size
	Taken             uint64  // by others
	FullSoon, AtLimit bool
}

func diskOf(c *subscriber.CacheStatus) disk {
	d := disk{Used: c.Usage.Bytes(), Known: c.Total > 0, Limited: c.MaxSize > 0}
	if d.Known {
		total, ours := float64(c.Total), float64(d.Used)
		taken := max(0, total-float64(c.Free)-ours)
		d.Ours, d.Others, d.Taken = 100*min(1, ours/total), 100*min(1, taken/total), uint64(taken)
		d.FullSoon = float64(c.Free) < total/10
	}
	if d.Limited {
		d.OfLimit = 100 * min(1, float64(d.Used)/float64(c.MaxSize))
		d.AtLimit = d.OfLimit > 90
	}
	return d
}
