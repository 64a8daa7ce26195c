package event

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewest(t *testing.T) {
	dir := t.TempDir()
	if events, err := Newest(dir, 5); err != nil || len(events) != 0 {
		t.Errorf("no log: %v, %v", events, err)
	}
	var log strings.Builder
	for n := 1; n <= 3000; n++ {
		fmt.Fprintf(&log, `{"id":"s-%d","type":"image.available","data":{"title":"%s"}}`+"\n", n, strings.Repeat("x", n%100))
	}
	log.WriteString(`{"id":"s-3001","ty`) // torn
	if err := os.WriteFile(filepath.Join(dir, logName), []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 7, 2999, 3000, 9999} {
		events, err := Newest(dir, n)
		if err != nil || len(events) != min(n, 3000) {
			t.Fatalf("%d asked for: %d, %v", n, len(events), err)
		}
		for i, e := range events {
			if want := fmt.Sprintf("s-%d", 3000-i); e.ID != want {
				t.Fatalf("%d asked for: number %d is %s, want %s", n, i, e.ID, want)
			}
		}
	}
}
