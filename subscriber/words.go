package subscriber

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Relative is a time as a person at 3 a.m. wants it: "in 3 days", "2 h ago",
// "never" for the zero time. The page's script has the same rule.
func Relative(t, now time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero():
		return "never"
	case d > time.Second:
		return "in " + Span(d)
	case d < -time.Second:
		return Span(-d) + " ago"
	}
	return "now"
}

// Span is a duration in its greatest unit, rounded to the nearest: a list that
// was signed for 28 days a minute ago has 28 days.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	in := func(unit time.Duration) int { return int((d + unit/2) / unit) }
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case in(time.Second) < 60:
		return fmt.Sprintf("%d s", in(time.Second))
	case in(time.Minute) < 60:
		return fmt.Sprintf("%d min", in(time.Minute))
	case in(time.Hour) < 48:
		return fmt.Sprintf("%d h", in(time.Hour))
	case in(day) < 60:
		return count(in(day), "day")
	case in(30*day) < 24:
		return count(in(30*day), "month")
	}
	return count(in(365*day), "year")
}

var spanForm = regexp.MustCompile(`^(\d{1,9}[smhd])+$`)

// ParseSpan reads a duration as people write it: whole numbers of s, m, h and d
// (24 h), such as 1h30m.
func ParseSpan(s string) (time.Duration, bool) {
	if !spanForm.MatchString(s) {
		return 0, false
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	var total time.Duration
	for s != "" {
		i := strings.IndexAny(s, "smhd")
		v, _ := strconv.ParseInt(s[:i], 10, 64) // at most nine digits
		u := unit[s[i]]
		if v > int64((math.MaxInt64-total)/u) {
			return 0, false
		}
		total += time.Duration(v) * u
		s = s[i+1:]
	}
	return total, true
}

// Overdue is the problem that a snapshot cannot know of itself: that nothing
// has replaced it for longer than a list may go unverified. It is one after
// alarm, the configuration's AlarmAt(s.LastSync); the zero time is never.
func (s *Status) Overdue(now, alarm time.Time) []Problem {
	if s.LastSync.IsZero() || alarm.IsZero() || !now.After(alarm) {
		return nil
	}
	return []Problem{{
		Severity: "critical", Subject: "vouch", Code: "no-sync", Since: s.LastSync,
		Detail: "the last sync was " + Relative(s.LastSync, now), Hint: "see why neither vouch daemon nor cron's vouch sync runs",
	}}
}

// Gone is what left and is not back: of Withdrawn, those whose bytes are not
// available under their name now.
func (s *Status) Gone() []WithdrawnStatus {
	back := map[[2]string]bool{}
	for _, i := range s.Images {
		if i.State == "available" || i.State == "stale" {
			back[[2]string{i.Identifier, i.SHA512}] = true
		}
	}
	var gone []WithdrawnStatus
	for _, w := range s.Withdrawn {
		if !back[[2]string{w.Identifier, w.SHA512}] {
			gone = append(gone, w)
		}
	}
	return gone
}
