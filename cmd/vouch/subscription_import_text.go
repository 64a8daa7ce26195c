package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"vouch/subscriber/event"
)

// writeImported prints what was carried over, and what was not.
func (s *session) writeImported(doc *importDocument) {
	if !s.quiet && len(doc.Subscriptions) > 0 {
		t := newTable("NAME:64", "IMAGES", "CREDENTIALS", "ENDORSER:100", "URL:100")
		for _, e := range doc.Subscriptions {
			t.add(e.Name, e.imagesText(), e.credentialsText(), e.endorserText(), e.URL)
		}
		t.write(s.out, "", nil)
	}
	for _, e := range doc.Subscriptions {
		if e.FirstUse {
			fmt.Fprintf(s.out, "trusted on first use  %s: SHA-256 %s; compare it with the endorser\n", e.Name, colons(e.Endorsers[0].Seen))
		}
		for _, n := range e.Notes {
			fmt.Fprintf(s.out, "note  %s: %s\n", e.Name, event.Printable(n))
		}
	}
	for _, l := range doc.Left {
		line := "left  " + shortened(event.Printable(l.Source), 80)
		if l.URL != "" {
			line += " " + shortened(event.Printable(l.URL), 200)
		}
		line += ": " + event.Printable(l.Why)
		if l.Fix != "" {
			line += "; " + event.Printable(l.Fix)
		}
		fmt.Fprintln(s.out, line)
	}
	if s.quiet {
		return
	}
	written := " written"
	if doc.DryRun {
		written = " to be written"
	}
	fmt.Fprintf(s.out, "%s%s, %s left; then: vouch cache adopt DIR, vouch sync --dry-run\n",
		plural(len(doc.Subscriptions), "subscription"), written, plural(len(doc.Left), "list"))
}

func (e *importedEntry) imagesText() string {
	switch {
	case e.HoldNew:
		return "held"
	case len(e.Include) > 0:
		return fmt.Sprint(len(e.Include))
	case len(e.Exclude) > 0:
		return fmt.Sprintf("all but %d", len(e.Exclude))
	}
	return "all"
}

func (e *importedEntry) credentialsText() string {
	var names []string
	for _, path := range []string{e.UsernameFile, e.PasswordFile} {
		if path != "" {
			names = append(names, filepath.Base(path))
		}
	}
	return strings.Join(names, ", ")
}

func (e *importedEntry) endorserText() string {
	text := e.Endorsers[0].DN
	if n := len(e.Endorsers); n > 1 {
		text += fmt.Sprintf(" and %d more", n-1)
	}
	return text
}
