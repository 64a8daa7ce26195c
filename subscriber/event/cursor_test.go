package event

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	stateA = "63175437-7d59-4851-b333-c96cb6545a86"
	stateB = "deadbeef-7d59-4851-b333-c96cb6545a86"
)

// lines are events of a state, in the form of the log. Each names another id in
// its data, as a hostile title may.
func lines(state string, from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		fmt.Fprintf(&b, `{"specversion":"1.0","id":"%[1]s-%[2]d","source":"urn:uuid:%[1]s","type":"image.available","time":"2026-11-25T12:00:%02[2]dZ","data":{"title":"\"%[1]s-%[3]d\"","id":"%[1]s-%[3]d"}}`+"\n", state, n, n+1)
	}
	return b.String()
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func ids(t *testing.T, c *Cursor) (all []string) {
	t.Helper()
	if err := c.Next(func(_ []byte, e Event) bool { all = append(all, e.ID); return true }); err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever file an event is in, the cursor behind it reads all that comes after
// it, once, and what is appended and rotated later too.
func TestCursorAfter(t *testing.T) {
	for _, torn := range []string{"", `{"id":"` + stateB + `-9`} {
		dir := t.TempDir()
		write(t, dir, "events-20261125T120005Z.jsonl", lines(stateA, 1, 5))
		write(t, dir, "events-20261125T120009Z.jsonl", lines(stateA, 6, 7)+lines(stateB, 1, 2)) // rebuilt in between
		write(t, dir, logName, lines(stateB, 3, 6)+torn)
		var all []string
		for n := 1; n <= 7; n++ {
			all = append(all, fmt.Sprint(stateA, "-", n))
		}
		for n := 1; n <= 6; n++ {
			all = append(all, fmt.Sprint(stateB, "-", n))
		}
		var open []*Cursor
		for i, id := range all {
			c, err := CursorAfter(dir, id)
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			defer c.Close()
			if have := ids(t, c); fmt.Sprint(have) != fmt.Sprint(all[i+1:]) {
				t.Errorf("after %s: %q, want %q", id, have, all[i+1:])
			}
			open = append(open, c)
		}
		end, err := CursorEnd(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer end.Close()
		unread, err := CursorAfter(dir, all[len(all)-1])
		if err != nil {
			t.Fatal(err)
		}
		defer unread.Close()
		os.Truncate(filepath.Join(dir, logName), int64(len(lines(stateB, 3, 6))))
		write(t, dir, logName, lines(stateB, 7, 8))
		if err := os.Rename(filepath.Join(dir, logName), filepath.Join(dir, "events-20261125T120108Z.jsonl")); err != nil {
			t.Fatal(err)
		}
		write(t, dir, logName, lines(stateB, 9, 9))
		want := fmt.Sprint([]string{stateB + "-7", stateB + "-8", stateB + "-9"})
		for i, c := range append(open, end, unread) {
			if have := ids(t, c); fmt.Sprint(have) != want {
				t.Errorf("cursor %d, after a rotation: %q, want %s", i, have, want)
			}
			if have := ids(t, c); have != nil {
				t.Errorf("cursor %d reports again: %q", i, have)
			}
		}
		for _, unknown := range []string{stateA + "-99", stateB + "-0", "", `"`} {
			if _, err := CursorAfter(dir, unknown); !errors.Is(err, ErrNoEvent) {
				t.Errorf("%q: %v", unknown, err)
			}
		}
	}
}

// A log that is not there yet has an end, behind which everything is new.
func TestCursorEnd_NothingThere(t *testing.T) {
	dir := t.TempDir()
	end, err := CursorEnd(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	if have := ids(t, end); have != nil {
		t.Errorf("%q", have)
	}
	write(t, dir, logName, lines(stateA, 1, 2))
	if have := ids(t, end); len(have) != 2 {
		t.Errorf("%q", have)
	}
	since := CursorSince(dir, time.Date(2026, 11, 25, 12, 0, 2, 0, time.UTC))
	defer since.Close()
	if have := ids(t, since); len(have) != 1 || have[0] != stateA+"-2" {
		t.Errorf("since: %q", have)
	}
	if _, err := CursorEnd(filepath.Join(dir, "none")); err == nil {
		t.Error("no directory is no error")
	}
}
