package subscriber

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	_ "time/tzdata" // CRON_TZ= must mean the same in a bare container

	"github.com/robfig/cron/v3"
)

// ShortestEvery keeps a mistyped schedule from hammering a publisher.
const ShortestEvery = time.Minute

// Why a schedule is refused.
var (
	ErrSchedule = errors.New("not a schedule")
	ErrZone     = errors.New("no such time zone")
	ErrTooOften = errors.New("too often")
	ErrNever    = errors.New("a date that never comes")
)

// ParseSchedule reads a cron expression of five fields, in UTC unless
// CRON_TZ=<zone> stands before them, a word such as @daily, or @every with a
// duration of at least ShortestEvery.
//
// Local time skips an hour in spring and repeats one in autumn: "30 2 * * *"
// in Europe/Paris does not run on the one day and runs twice on the other.
//
// Errors: ErrSchedule, ErrZone, ErrTooOften, ErrNever.
func ParseSchedule(text string) (s cron.Schedule, err error) {
	defer func() {
		if recover() != nil { // the parser panics on a time zone without fields
			s, err = nil, ErrSchedule
		}
	}()
	zone, _, _ := strings.Cut(text, " ")
	if _, name, ok := strings.Cut(zone, "TZ="); ok {
		if _, err := time.LoadLocation(name); err != nil || name == "" { // which would be UTC
			return nil, ErrZone
		}
	}
	if s, err = cron.ParseStandard(text); err != nil {
		return nil, ErrSchedule
	}
	if every, ok := s.(cron.ConstantDelaySchedule); ok && every.Delay < ShortestEvery {
		return nil, ErrTooOften // also what is below zero, which the library takes as a second
	}
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, ErrNever
	}
	return s, nil
}

// Limits of the jitter that keeps a thousand sites from asking at once, and
// of how much of it is given up to make one pass of several.
const (
	jitterPart = 10 // per cent of the interval
	jitterMost = 5 * time.Minute
	gather     = time.Minute
)

// timetable says when each subscription is to be fetched. It knows no clock:
// the same questions have the same answers.
type timetable []timetableEntry

type timetableEntry struct {
	name     string
	schedule cron.Schedule
	offset   time.Duration // this site's jitter for it
}

// newTimetable reads the schedules of a configuration; a wrong one is ErrUsage.
func newTimetable(c *Config) (timetable, error) {
	type parsed struct {
		schedule cron.Schedule
		interval time.Duration
	}
	site, known, t := machineID()+"\x00"+c.StateDir, map[string]parsed{}, timetable{}
	for _, sub := range c.Subscriptions {
		p, ok := known[sub.Schedule]
		if !ok {
			s, err := ParseSchedule(sub.Schedule)
			if err != nil {
				return nil, usage(fmt.Errorf("subscription %s: schedule %q: %w", sub.Name, sub.Schedule, err))
			}
			p = parsed{s, shortestGap(s)}
			known[sub.Schedule] = p
		}
		t = append(t, timetableEntry{sub.Name, p.schedule, jitter(site, sub.Name, p.interval)})
	}
	return t, nil
}

// shortestGap is the shortest time between two runs, of the first hundred.
func shortestGap(s cron.Schedule) time.Duration {
	at := s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	shortest := jitterMost * 100 / jitterPart
	for range 100 {
		next := s.Next(at)
		if next.IsZero() {
			break
		}
		shortest, at = min(shortest, next.Sub(at)), next
	}
	return shortest
}

// jitter is a site's own part of a subscription's interval, the same every
// time, in whole seconds.
func jitter(site, name string, interval time.Duration) time.Duration {
	most := uint64(min(jitterMost, interval*jitterPart/100)/time.Second) + 1
	sum := sha256.Sum256([]byte(site + "\x00" + name))
	return time.Duration(binary.BigEndian.Uint64(sum[:])%most) * time.Second
}

// due names the subscriptions to fetch now, and says when to ask again; the
// zero time is never. last is when each was fetched last. One that never was,
// or whose time passed while nobody looked, is due, once. When one is due,
// those go with it that only jitter keeps waiting for less than gather.
//
// The value of each is what to remember as its last time.
func (t timetable) due(last map[string]time.Time, now time.Time) (names map[string]time.Time, wake time.Time) {
	now = now.UTC()
	names = map[string]time.Time{}
	soon := map[string]time.Time{}
	for _, e := range t {
		slot, at := e.next(last[e.name], now)
		if !at.After(now) {
			names[e.name] = now
			continue
		}
		if !slot.After(now) && at.Sub(now) <= gather {
			soon[e.name] = at
		}
		wake = earlier(wake, at)
	}
	if len(names) > 0 {
		maps.Copy(names, soon)
	}
	return names, wake
}

// next is the time by the schedule after last, and the same with jitter. A
// last run in the future was noted by a clock that was wrong, and counts as none.
func (e timetableEntry) next(last, now time.Time) (slot, at time.Time) {
	if last.IsZero() || last.After(now.Add(gather+jitterMost)) {
		return now, now
	}
	last = last.UTC() // what the library takes for local time
	if _, every := e.schedule.(cron.ConstantDelaySchedule); every {
		slot = e.schedule.Next(last)
	} else {
		slot = e.schedule.Next(last.Add(-e.offset)) // the axis of time is shifted by the offset
	}
	if slot.IsZero() {
		slot = last.AddDate(1, 0, 0) // the library looks five years ahead
	}
	return slot, slot.Add(e.offset)
}

// lookWithin is how long a look may take from the time that its schedule says,
// beside jitter: the pass, what a handler holds up, a timer's own delay.
const lookWithin = time.Hour

// alarmAt is when a list that was last looked at then, with success, has been
// looked at too rarely: alarm_after later, but not before the look that its
// schedule asked for next is overdue. What is looked at once a week is not
// stale for six days of it.
func (c *Config) alarmAt(schedule string, last time.Time) time.Time {
	at := last.Add(c.Fetch.AlarmAfter)
	s, err := ParseSchedule(schedule)
	if err != nil {
		return at // no run has such a configuration
	}
	_, next := timetableEntry{schedule: s}.next(last, last)
	return latest(at, next.Add(jitterMost+lookWithin))
}

// AlarmAt is when it is too long since the last sync: the same for the
// subscription that is to be looked at first. Zero is never: nothing is
// subscribed to, or alarm_after is 0.
func (c *Config) AlarmAt(last time.Time) (at time.Time) {
	if c.Fetch.AlarmAfter <= 0 {
		return at
	}
	seen := map[string]bool{}
	for _, sub := range c.Subscriptions {
		if !seen[sub.Schedule] {
			seen[sub.Schedule] = true
			at = earlier(at, c.alarmAt(sub.Schedule, last))
		}
	}
	return at
}

// earlier is the earlier of two times, of which the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
