package main_test

import (
	"strings"
	"testing"
)

// TestT24_QuotaPrunesExpired: a download that would not fit makes room with
// the oldest expired bytes, and the next run is content with what is left.
func TestT24_QuotaPrunesExpired(t *testing.T) {
	s := newSite(t)
	s.section("cache")["max_size"] = "100KiB"
	version := func(v, c string) { s.publish(s.draft(v, picture{"one", strings.Repeat(c, 40<<10), nil})) }
	version("1", "a")
	s.sync(0)
	version("2", "b")
	s.sync(0)
	if n := len(s.index().Withdrawn); n != 1 {
		t.Fatalf("%d withdrawn, want 1", n)
	}
	version("3", "c")
	s.sync(0)
	if s.endorsed("one") != strings.Repeat("c", 40<<10) {
		t.Error("the third version did not come")
	}
	rep := s.sync(0)
	if len(rep.Problems) > 0 {
		t.Errorf("problems: %+v", rep.Problems)
	}
	s.expect(0, []string{"cache", "check"}, "0 corrupt, 0 missing")
}
