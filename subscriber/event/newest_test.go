package event

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNewest(t *testing.T) {
	dir := t.TempDir()
	lines := func(from, to int, more string) string {
		var b strings.Builder
		for n := from; n <= to; n++ {
			raw, err := json.Marshal(Event{SpecVersion: "1.0", ID: fmt.Sprintf("s-%d", n), Type: ImageAvailable, Time: time.Unix(int64(n), 0).UTC(), Data: json.RawMessage(fmt.Sprintf("%q", more))})
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(raw, '\n'))
		}
		return b.String()
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, n int, want string) {
		t.Helper()
		events, err := Newest(dir, n)
		var ids []string
		for _, e := range events {
			ids = append(ids, strings.TrimPrefix(e.ID, "s-"))
		}
		if have := strings.Join(ids, " "); err != nil || have != want {
			t.Errorf("%s: %q, %v, want %q", what, have, err, want)
		}
	}
	check("no log", 3, "")
	write("events.jsonl", lines(7, 9, "")+`{"id":"s-10","ty`)
	check("torn end", 2, "9 8")
	write("events-20260101T000000Z.jsonl", lines(1, 2, ""))
	write("events-20260102T000000Z.jsonl", lines(3, 6, ""))
	check("rotated", 5, "9 8 7 6 5")
	check("all there are", 99, "9 8 7 6 5 4 3 2 1")
	write("events.jsonl", lines(7, 20, strings.Repeat("x", 300<<10)))
	check("long lines", 6, "20 19 18 17 16 15")
	check("beyond the end that is read", 7, "20 19 18 17 16 15 6")
	if events, err := Newest(filepath.Join(dir, "none"), 3); err != nil || events != nil {
		t.Errorf("no directory: %v, %v", events, err)
	}
}
