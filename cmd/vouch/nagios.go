package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// The states of a monitoring plug-in.
const (
	nagiosOK = iota
	nagiosWarning
	nagiosCritical
	nagiosUnknown
)

var nagiosWords = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// nagiosLine is a snapshot in one line, and the plug-in's exit status: the
// gravest of the problems. A site where nothing has run is unknown.
func nagiosLine(st *subscriber.Status, now time.Time) (string, int) {
	code, worst, critical := nagiosOK, "", 0
	for _, p := range st.Problems {
		grade := nagiosWarning
		switch {
		case p.Code == never:
			grade = nagiosUnknown
		case p.Severity == "critical":
			grade, critical = nagiosCritical, critical+1
		}
		if grade > code {
			code, worst = grade, p.Subject+": "+codeAnd(p.Code, p.Detail)
		}
	}
	text := fmt.Sprintf("%s, %d of %s available", plural(len(st.Subscriptions), "subscription"), usable(st), plural(len(st.Images), "image"))
	if worst != "" {
		text = worst
		if n := len(st.Problems) - 1; n > 0 {
			text += fmt.Sprintf(" (and %s more)", plural(n, "problem"))
		}
	}
	return "VOUCH " + nagiosWords[code] + " - " + nagiosText(text) + " | " + perfdata(st, now, critical), code
}

// asksNagios says whether a command line, which may be wrong, is a plug-in's.
func asksNagios(argv []string) bool {
	end := slices.Index(argv, "--")
	if end < 0 {
		end = len(argv)
	}
	return slices.Contains(argv[:end], "--nagios") || slices.Contains(argv[:end], "-nagios")
}

// unknown is what a plug-in says that could not look: 2 would be critical.
func (s *session) unknown(err error) error {
	text := err.Error()
	if h := hint(err); h != "" {
		text += "; " + h
	}
	fmt.Fprintln(s.out, "VOUCH UNKNOWN - "+nagiosText(strings.ReplaceAll(text, "\n", "; ")))
	return status(nagiosUnknown)
}

// nagiosText is text that does not end the line or begin performance data.
func nagiosText(s string) string {
	return shortened(strings.ReplaceAll(event.Printable(s), "|", "/"), 500)
}

func perfdata(st *subscriber.Status, now time.Time, critical int) string {
	pending, dead := 0, 0
	for _, h := range st.Handlers {
		pending, dead = pending+h.Pending, dead+h.Dead
	}
	data := fmt.Sprintf("subscriptions=%d images=%d available=%d withdrawn=%d problems=%d critical=%d pending=%d dead=%d",
		len(st.Subscriptions), len(st.Images), usable(st), len(st.Gone()), len(st.Problems), critical, pending, dead)
	if !st.LastSync.IsZero() {
		data += fmt.Sprintf(" age=%ds", max(0, int64(now.Sub(st.LastSync).Seconds())))
	}
	if left, ok := soonest(st, now); ok {
		data += fmt.Sprintf(" expires=%ds", int64(left.Seconds()))
	}
	return data
}

// soonest is how long the first list to expire has left.
func soonest(st *subscriber.Status, now time.Time) (left time.Duration, ok bool) {
	for _, s := range st.Subscriptions {
		if d := s.Expires.Sub(now); !s.Expires.IsZero() && (!ok || d < left) {
			left, ok = d, true
		}
	}
	return left, ok
}

// usable counts the images that may be used now.
func usable(st *subscriber.Status) int {
	n := 0
	for i := range st.Images {
		if isUsable(&st.Images[i]) {
			n++
		}
	}
	return n
}
