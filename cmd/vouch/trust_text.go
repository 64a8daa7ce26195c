package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"vouch/subscriber/event"
)

// writeAnchors prints the table of CAs: first those that cannot be used, then
// by what of each ends next; the expired ones last.
func (s *session) writeAnchors(d *trustDocument) {
	anchors := slices.Clone(d.Anchors)
	slices.SortStableFunc(anchors, func(a, b anchorEntry) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), a.ends().Compare(b.ends()))
	})
	t := newTable("CA:90", "KIND", "HASH", "EXPIRES", "POLICIES", "CRL", "DUE", "REVOKED", "STATE:60")
	for _, a := range anchors {
		kind, age, due, revoked := "sub", "none", "", ""
		if a.SelfSigned {
			kind = "root"
		}
		if c := a.newest(); c != nil {
			age, due, revoked = span(s.now.Sub(c.ThisUpdate)), relative(c.NextUpdate, s.now), fmt.Sprint(c.Entries)
		}
		t.add(a.DN, kind, a.Hash, relative(a.NotAfter, s.now), a.policies(), age, due, revoked, a.State)
	}
	paint := s.colours()
	t.write(s.out, "", func(column, cell string) string {
		if column == "STATE" && cell != "ok" {
			return paint.paint(red, cell)
		}
		return cell
	})
}

// rank puts trouble first and what has expired last.
func (a *anchorEntry) rank() int {
	switch a.State {
	case "ok":
		return 1
	case "expired":
		return 2
	}
	return 0
}

// ends is when the first thing about a CA comes to its end.
func (a *anchorEntry) ends() time.Time {
	if until := a.validUntil(); !until.IsZero() && until.Before(a.NotAfter) {
		return until
	}
	return a.NotAfter
}

// policies are the sorts of policy file the CA has, with the number of rules.
func (a *anchorEntry) policies() string {
	var all []string
	for _, p := range a.Policies {
		_, sort, _ := strings.Cut(p.File, ".")
		text := fmt.Sprintf("%s %d", sort, p.Rules)
		if p.Problem != "" {
			text = sort + " unusable"
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// writeRemarks prints what is wrong, and unless --quiet what will be.
func (s *session) writeRemarks(d *trustDocument) {
	s.remarks("wrong", d.Problems)
	if s.quiet {
		return
	}
	ended := slices.IndexFunc(d.Soon, func(e trustEntry) bool { return e.When.After(s.now) })
	if ended < 0 {
		ended = len(d.Soon)
	}
	s.remarks("ended", d.Soon[:ended])
	s.remarks("soon", d.Soon[ended:])
	s.remarks("next", d.Next)
	fmt.Fprintf(s.out, "%s in %s, %s\n", plural(len(d.Anchors), "CA"), event.Printable(d.Path), plural(len(d.Problems), "problem"))
}

// remarks prints entries, and once what to do about those in a row for which
// that is the same.
func (s *session) remarks(kind string, entries []trustEntry) {
	for i, e := range entries {
		fmt.Fprintf(s.out, "%-6s %s: %s\n", kind, event.Printable(e.Subject), event.Printable(e.Detail))
		if e.Hint != "" && (i == len(entries)-1 || entries[i+1].Hint != e.Hint) {
			fmt.Fprintf(s.out, "       -> %s\n", event.Printable(e.Hint))
		}
	}
}
