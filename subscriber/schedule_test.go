package subscriber

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseSchedule(t *testing.T) {
	for _, tt := range []struct {
		text string
		want error
	}{
		{"50 */6 * * *", nil},
		{"CRON_TZ=Europe/Paris 30 2 * * *", nil},
		{"TZ=America/New_York 30 2 * * 1-5", nil},
		{"@every 1m", nil},
		{"@every 90m30s", nil},
		{"@daily", nil},
		{"", ErrSchedule},
		{"50 */6 * *", ErrSchedule},
		{"60 * * * *", ErrSchedule},
		{"0 0 * * 8", ErrSchedule},
		{"50 */6 * * * *", ErrSchedule},
		{"@every", ErrSchedule},
		{"@every soon", ErrSchedule},
		{"@evry 6h", ErrSchedule},
		{"@reboot", ErrSchedule},
		{"TZ=", ErrZone},
		{"CRON_TZ=UTC", ErrSchedule},
		{"CRON_TZ=Europe/Nowhere 5 * * * *", ErrZone},
		{"TZ=../../etc/passwd 5 * * * *", ErrZone},
		{"CRON_TZ= 5 * * * *", ErrZone},
		{"@every 59s", ErrTooOften},
		{"@every 0s", ErrTooOften},
		{"@every -5m", ErrTooOften},
		{"CRON_TZ=UTC @every 1s", ErrTooOften},
		{"0 0 31 2 *", ErrNever},
		{"0 0 30 2 *", ErrNever},
	} {
		s, err := ParseSchedule(tt.text)
		if !errors.Is(err, tt.want) || (err == nil) != (s != nil) {
			t.Errorf("%q: %v, %v, want %v", tt.text, s, err, tt.want)
		}
	}
}

// times runs a schedule from an instant on, as a daemon does that always looks
// in time, and returns when it was due.
func times(t *testing.T, schedule, from string, offset time.Duration, n int) []string {
	t.Helper()
	s, err := ParseSchedule(schedule)
	if err != nil {
		t.Fatal(err)
	}
	tt := timetable{{"a", s, offset}}
	now := instantOf(t, from)
	last := map[string]time.Time{"a": now}
	var out []string
	for len(out) < n {
		names, wake := tt.due(last, now)
		if at, ok := names["a"]; ok {
			out, last["a"] = append(out, at.Format("02 15:04:05")), at
			continue
		}
		now = wake
	}
	return out
}

func instantOf(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestTimetable_Times(t *testing.T) {
	for _, tt := range []struct {
		what, schedule, from string
		offset               time.Duration
		want                 string
	}{
		{"in UTC", "50 */6 * * *", "2026-03-01T00:00:00Z", 0, "[01 00:50:00 01 06:50:00 01 12:50:00]"},
		{"with an offset", "50 */6 * * *", "2026-03-01T00:00:00Z", 3 * time.Minute, "[01 00:53:00 01 06:53:00 01 12:53:00]"},
		{"in a zone", "CRON_TZ=Europe/Paris 0 12 * * *", "2026-03-01T00:00:00Z", 0, "[01 11:00:00 02 11:00:00 03 11:00:00]"},
		{"an hour that is left out", "CRON_TZ=Europe/Paris 30 2 * * *", "2026-03-28T00:00:00Z", 0, "[28 01:30:00 30 00:30:00 31 00:30:00]"},
		{"an hour that comes twice", "CRON_TZ=Europe/Paris 30 2 * * *", "2026-10-24T12:00:00Z", 0, "[25 00:30:00 25 01:30:00 26 01:30:00]"},
		{"hourly, over both", "CRON_TZ=Europe/Paris 5 * * * *", "2026-03-29T00:00:00Z", 0, "[29 00:05:00 29 01:05:00 29 02:05:00]"},
		{"every so often", "@every 90m", "2026-03-29T00:00:00Z", 0, "[29 01:30:00 29 03:00:00 29 04:30:00]"},
		{"with the offset each time", "@every 90m", "2026-03-29T00:00:00Z", time.Minute, "[29 01:31:00 29 03:02:00 29 04:33:00]"},
	} {
		if have := fmt.Sprint(times(t, tt.schedule, tt.from, tt.offset, 3)); have != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, have, tt.want)
		}
	}
}

// What was missed is caught up once, however much it was.
func TestTimetable_Missed(t *testing.T) {
	tt, err := newTimetable(&Config{StateDir: "/s", Subscriptions: []Subscription{
		{Name: "hourly", Schedule: "0 * * * *"}, {Name: "daily", Schedule: "0 3 * * *"}, {Name: "every", Schedule: "@every 2h"}, {Name: "new", Schedule: "@every 2h"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	now := instantOf(t, "2026-11-25T12:30:00Z")
	last := map[string]time.Time{"hourly": now.Add(-72 * time.Hour), "daily": now.Add(-8 * time.Hour), "every": now.Add(-2 * time.Hour)}
	if names, _ := tt.due(last, now.Add(-3*time.Hour)); names["every"] != now.Add(-3*time.Hour) {
		t.Errorf("a last run in the future: %v", names)
	}
	names, _ := tt.due(last, now.Add(20*time.Minute))
	if len(names) != 3 || names["daily"] != (time.Time{}) {
		t.Errorf("due: %v", names)
	}
	for name, at := range names {
		last[name] = at
	}
	names, wake := tt.due(last, now.Add(20*time.Minute))
	if len(names) > 0 || wake.Before(instantOf(t, "2026-11-25T13:00:00Z")) || wake.After(instantOf(t, "2026-11-25T13:05:00Z")) {
		t.Errorf("due again: %v, the next %v", names, wake)
	}
}

// A thousand subscriptions of one schedule do not ask at once, nor in a
// thousand passes.
func TestTimetable_Jitter(t *testing.T) {
	c := &Config{StateDir: "/s"}
	start := instantOf(t, "2026-11-25T12:00:00Z")
	last := map[string]time.Time{}
	for n := range 1000 {
		name := fmt.Sprintf("sub-%d", n)
		c.Subscriptions = append(c.Subscriptions, Subscription{Name: name, Schedule: "50 */6 * * *"})
		last[name] = start
	}
	tt, err := newTimetable(c)
	if err != nil {
		t.Fatal(err)
	}
	offsets := map[time.Duration]int{}
	for _, e := range tt {
		if offsets[e.offset]++; e.offset < 0 || e.offset > jitterMost {
			t.Errorf("%s: offset %v", e.name, e.offset)
		}
	}
	if len(offsets) < 200 {
		t.Errorf("only %d different offsets", len(offsets))
	}
	passes, fetched := 0, 0
	for now := start; now.Before(start.Add(2 * time.Hour)); {
		names, wake := tt.due(last, now)
		if len(names) == 0 {
			now = wake
			continue
		}
		if passes++; now.Before(start.Add(50 * time.Minute)) {
			t.Errorf("due at %v", now)
		}
		for name, at := range names {
			last[name] = at
			fetched++
		}
		if now.After(start.Add(time.Hour)) {
			break
		}
	}
	if fetched != 1000 || passes > 8 {
		t.Errorf("%d fetches in %d passes", fetched, passes)
	}
	if j := jitter("a", "b", time.Minute); j < 0 || j > 6*time.Second {
		t.Errorf("of a minute: %v", j)
	}
	if jitter("site one", "b", time.Hour) == jitter("site two", "b", time.Hour) {
		t.Error("two sites ask at the same moment")
	}
}

// A schedule as slow as alarm_after alarms when a look was missed, not before;
// one that is faster changes nothing.
func TestT04_AlarmAt(t *testing.T) {
	day := 24 * time.Hour
	last := instantOf(t, "2026-11-25T12:30:00Z")
	for _, tt := range []struct {
		alarm     time.Duration
		schedules string // of subscriptions, separated by semicolons
		want      string // "" for never
	}{
		{day, "50 */6 * * *", "2026-11-26T12:30:00Z"},
		{day, "@every 24h", "2026-11-26T13:35:00Z"},
		{day, "0 13 * * *", "2026-11-26T12:30:00Z"}, // was missed today
		{day, "30 12 * * *", "2026-11-26T13:35:00Z"},
		{day, "0 3 * * 1", "2026-11-30T04:05:00Z"},
		{day, "0 3 * * 1;@hourly;0 4 * * 2", "2026-11-26T12:30:00Z"},
		{10 * day, "0 3 * * 1", "2026-12-05T12:30:00Z"},
		{time.Hour, "50 */6 * * *", "2026-11-25T13:55:00Z"},
		{0, "50 */6 * * *", ""},
		{day, "", ""},
	} {
		c := &Config{Fetch: FetchConfig{AlarmAfter: tt.alarm}}
		for _, s := range strings.FieldsFunc(tt.schedules, func(r rune) bool { return r == ';' }) {
			c.Subscriptions = append(c.Subscriptions, Subscription{Schedule: s})
		}
		want := time.Time{}
		if tt.want != "" {
			want = instantOf(t, tt.want)
		}
		if have := c.AlarmAt(last); !have.Equal(want) {
			t.Errorf("alarm_after %v, %s: %v, want %v", tt.alarm, tt.schedules, have, want)
		}
	}
}
