package event

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// numbered are events first to last of a state, one second apart.
func numbered(t *testing.T, state string, first, last uint64) []Event {
	t.Helper()
	var events []Event
	for n := first; n <= last; n++ {
		e, err := New(state, n, ListAccepted, "list", testTime.Add(time.Duration(n)*time.Second), ListData{Subscription: "cernvm"})
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func openLog(t *testing.T, dir, state string) *Log {
	t.Helper()
	l, err := OpenLog(dir, state, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func appendTo(t *testing.T, l *Log, events ...Event) {
	t.Helper()
	if err := l.Append(events...); err != nil {
		t.Fatal(err)
	}
}

// logged are the ids in the log without the state id testState, in order.
func logged(t *testing.T, dir string, since time.Time) string {
	t.Helper()
	var ids []string
	err := ReadLog(dir, since, func(line []byte, e Event) bool {
		want, err := e.Line()
		if err != nil || string(line) != string(want) {
			t.Errorf("line %s, want %s (%v)", line, want, err)
		}
		ids = append(ids, strings.TrimPrefix(e.ID, testState+"-"))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(ids, " ")
}

func expectLogged(t *testing.T, dir, want string) {
	t.Helper()
	if got := logged(t, dir, time.Time{}); got != want {
		t.Errorf("log has %q, want %q", got, want)
	}
}

func TestLog_AppendsOnce(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	if l.Last() != 0 {
		t.Errorf("last of an empty log: %d", l.Last())
	}
	events := numbered(t, testState, 1, 9)
	appendTo(t, l)
	appendTo(t, l, events[2], events[0], events[2]) // not gap-free, out of order, twice
	appendTo(t, l, events[:4]...)
	appendTo(t, l, events[4])
	appendTo(t, l, events[0])
	expectLogged(t, dir, "1 3 4 5")
	if l.Last() != 5 {
		t.Errorf("last: %d", l.Last())
	}
	again := openLog(t, dir, testState)
	if again.Last() != 5 {
		t.Errorf("last after opening again: %d", again.Last())
	}
	appendTo(t, again, events...)
	expectLogged(t, dir, "1 3 4 5 6 7 8 9")
}

func TestLog_RefusesForeignEvents(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	if err := l.Append(numbered(t, "another-state", 1, 1)...); err == nil {
		t.Error("an event of another state is logged")
	}
	if err := l.Append(Event{ID: testState + "-x", Source: "urn:uuid:" + testState}); err == nil {
		t.Error("an event without a number is logged")
	}
	expectLogged(t, dir, "")
}

func TestLog_TornTailIsCut(t *testing.T) {
	whole, err := numbered(t, testState, 3, 3)[0].Line()
	if err != nil {
		t.Fatal(err)
	}
	for name, tail := range map[string]string{
		"nothing":             "",
		"half a line":         string(whole[:len(whole)/2]),
		"a line without end":  string(whole),
		"not JSON":            "garbage\n",
		"only an end":         "\n",
		"zeros":               strings.Repeat("\x00", 200_000),
		"zeros with an end":   strings.Repeat("\x00", 5000) + "\n",
		"two broken lines":    string(whole[:20]) + "\n" + string(whole[20:]) + "\n",
		"half after not JSON": "{}x\n" + string(whole[:40]),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLog(t, dir, testState)
			appendTo(t, l, numbered(t, testState, 1, 2)...)
			file := filepath.Join(dir, "events.jsonl")
			good, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, append(slices.Clone(good), tail...), 0o640); err != nil {
				t.Fatal(err)
			}
			expectLogged(t, dir, "1 2") // readers pass over it

			l = openLog(t, dir, testState)
			if got, _ := os.ReadFile(file); string(got) != string(good) {
				t.Errorf("after opening the log ends with %q", got[min(len(good), len(got)):])
			}
			if l.Last() != 2 {
				t.Errorf("last: %d", l.Last())
			}
			appendTo(t, l, numbered(t, testState, 1, 4)...)
			expectLogged(t, dir, "1 2 3 4")
		})
	}
}

func TestLog_OnlyATornLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "events.jsonl"), []byte(`{"specver`), 0o640); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, dir, testState)
	appendTo(t, l, numbered(t, testState, 1, 1)...)
	expectLogged(t, dir, "1")
}

func TestLog_LongLines(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	appendTo(t, l, numbered(t, testState, 1, 1)...)
	big, err := New(testState, 2, ListRejected, "list", testTime, ListData{Detail: strings.Repeat("x", 300<<10)})
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, l, big)
	if l := openLog(t, dir, testState); l.Last() != 2 {
		t.Errorf("last: %d", l.Last())
	}
	expectLogged(t, dir, "1 2")
}

func TestLog_Mode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir, gid := t.TempDir(), os.Getegid()
	if os.Geteuid() == 0 {
		gid = 12345
	}
	l, err := OpenLog(dir, testState, gid)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o640 || info.Sys().(*syscall.Stat_t).Gid != uint32(gid) {
		t.Errorf("mode %v, group %d, want 0640 and %d", info.Mode(), info.Sys().(*syscall.Stat_t).Gid, gid)
	}
}

func TestT26_LogIsNotFollowedThroughALink(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, "events.jsonl")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(dir, testState, -1); err == nil {
		t.Error("OpenLog followed a symbolic link")
	}
	if err := ReadLog(dir, time.Time{}, func([]byte, Event) bool { return true }); err == nil {
		t.Error("ReadLog followed a symbolic link")
	}
	if got, _ := os.ReadFile(target); string(got) != "precious" {
		t.Errorf("the target is now %q", got)
	}
}

// After a rebuild the new state counts from 1 in the same log.
func TestLog_NewStateCountsAnew(t *testing.T) {
	dir := t.TempDir()
	old := openLog(t, dir, "old")
	appendTo(t, old, numbered(t, "old", 1, 3)...)
	l := openLog(t, dir, testState)
	if l.Last() != 0 {
		t.Errorf("last of a new state: %d", l.Last())
	}
	appendTo(t, l, numbered(t, testState, 1, 2)...)
	expectLogged(t, dir, "old-1 old-2 old-3 1 2")
	if last := openLog(t, dir, testState).Last(); last != 2 {
		t.Errorf("last: %d", last)
	}
	if last := openLog(t, dir, "old").Last(); last != 3 {
		t.Errorf("last of the old state: %d", last)
	}
}

func rotatedNames(t *testing.T, dir string) []string {
	t.Helper()
	files, err := rotatedFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f.path))
	}
	return names
}

func TestLog_Rotation(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	events := numbered(t, testState, 1, 7)
	line, err := events[0].Line()
	if err != nil {
		t.Fatal(err)
	}
	l.rotate = int64(2*len(line) + 2) // two lines a file
	events[6].Time = events[0].Time   // a clock that went back
	for _, e := range events {
		appendTo(t, l, e)
	}
	appendTo(t, l, numbered(t, testState, 8, 9)...)
	expectLogged(t, dir, "1 2 3 4 5 6 7 8 9")
	want := []string{"events-20261123T180002Z.jsonl", "events-20261123T180004Z.jsonl", "events-20261123T180006Z.jsonl", "events-20261123T180007Z.jsonl"}
	if got := rotatedNames(t, dir); !slices.Equal(got, want) {
		t.Errorf("rotated files: %q, want %q", got, want)
	}

	// Killed between the two halves of a rotation.
	l.Close()
	if err := os.Rename(filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "events-20261123T180009Z.jsonl")); err != nil {
		t.Fatal(err)
	}
	expectLogged(t, dir, "1 2 3 4 5 6 7 8 9")
	l = openLog(t, dir, testState)
	if l.Last() != 9 {
		t.Errorf("last with an empty current file: %d", l.Last())
	}
	appendTo(t, l, numbered(t, testState, 8, 10)...)
	expectLogged(t, dir, "1 2 3 4 5 6 7 8 9 10")

	if err := l.Prune(testTime.Add(7 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, want := rotatedNames(t, dir), []string{want[3], "events-20261123T180009Z.jsonl"}; !slices.Equal(got, want) {
		t.Errorf("after pruning: %q, want %q", got, want)
	}
	if err := l.Prune(testTime.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	expectLogged(t, dir, "10")
}

func TestLog_RotatesAt64MiB(t *testing.T) {
	if l := openLog(t, t.TempDir(), testState); l.rotate != 64<<20 {
		t.Errorf("rotates at %d bytes", l.rotate)
	}
}

func TestF03_FullDisk(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	appendTo(t, l, numbered(t, testState, 1, 2)...)
	before := l.size

	limit := func(bytes uint64) (old unix.Rlimit) {
		t.Helper()
		if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		return old
	}
	old := limit(uint64(before) + 100) // room for less than a line
	err := l.Append(numbered(t, testState, 3, 5)...)
	limit(old.Cur)

	if !errors.Is(err, unix.EFBIG) {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "events.jsonl")); err != nil || info.Size() != before {
		t.Errorf("half a write is left: %v, %v", info.Size(), err)
	}
	if l.Last() != 2 {
		t.Errorf("last after a failed append: %d", l.Last())
	}
	appendTo(t, l, numbered(t, testState, 3, 5)...)
	expectLogged(t, dir, "1 2 3 4 5")
}

// A cut that did not work when an append failed is made up for.
func TestLog_CutsBeforeItAppends(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	appendTo(t, l, numbered(t, testState, 1, 1)...)
	addText(t, dir, "half a write")
	l.torn = true
	appendTo(t, l, numbered(t, testState, 2, 2)...)
	expectLogged(t, dir, "1 2")
}

// addText writes past the end of the log, as a crash leaves it.
func addText(t *testing.T, dir, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "events.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestFollow_WhatItReadIsCut(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	appendTo(t, l, numbered(t, testState, 1, 1)...)
	var got []uint64
	r := newReader(dir, time.Time{}, func(_ []byte, e Event) bool {
		n, _ := e.Number()
		got = append(got, n)
		return true
	})
	defer r.close()
	readOn := func() {
		t.Helper()
		if err := r.readOn(); err != nil {
			t.Fatal(err)
		}
	}
	addText(t, dir, "not an event\nhalf a line")
	readOn()
	l = openLog(t, dir, testState)
	appendTo(t, l, numbered(t, testState, 2, 3)...)
	readOn()
	readOn()
	if !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
}

func TestReadLog_Since(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	l.rotate = 1 // every append a file
	for _, e := range numbered(t, testState, 1, 6) {
		appendTo(t, l, e)
	}
	for after, want := range map[time.Duration]string{
		0:                 "1 2 3 4 5 6",
		3 * time.Second:   "3 4 5 6",
		3*time.Second + 1: "4 5 6",
		6 * time.Second:   "6",
		6*time.Second + 1: "",
	} {
		if got := logged(t, dir, testTime.Add(after)); got != want {
			t.Errorf("since +%v: %q, want %q", after, got, want)
		}
	}
	n := 0
	err := ReadLog(dir, time.Time{}, func([]byte, Event) bool { n++; return n < 2 })
	if n != 2 || err != nil {
		t.Errorf("asked to stop after 2, got %d, %v", n, err)
	}
}

func TestReadLog_NothingThere(t *testing.T) {
	dir := t.TempDir()
	expectLogged(t, dir, "")
	if err := ReadLog(filepath.Join(dir, "missing"), time.Time{}, func([]byte, Event) bool { return true }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a state directory that is not there: %v", err)
	}
}

func TestReadLog_ReportsNothingTwice(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	appendTo(t, l, numbered(t, testState, 1, 3)...)
	text, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "events-20200101T000000Z.jsonl"), text, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{"events-old.jsonl", "events-20200101T000000Z.jsonl.gz", "events-20209901T000000Z.jsonl"} {
		if err := os.WriteFile(filepath.Join(dir, foreign), []byte("{}\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	expectLogged(t, dir, "1 2 3")
}

// A reader that works while the log is written and rotated sees every event
// that was there when it began, in order and once.
func TestReadLog_WhileWriting(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, testState)
	l.rotate = 2000
	events := numbered(t, testState, 1, 200)
	done := make(chan error)
	go func() {
		for _, e := range events {
			if err := l.Append(e); err != nil {
				done <- err
				return
			}
		}
		close(done)
	}()
	for writing := true; writing; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			writing = false
		default:
		}
		var last uint64
		err := ReadLog(dir, time.Time{}, func(_ []byte, e Event) bool {
			n, _ := e.Number()
			if n != last+1 {
				t.Errorf("%d comes after %d", n, last)
			}
			last = n
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if !writing && last != 200 {
			t.Errorf("the last is %d", last)
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var got []string
	seen := make(chan string, 100)
	ended := make(chan error)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- Follow(ctx, dir, testTime.Add(2*time.Second), func(_ []byte, e Event) bool {
			seen <- strings.TrimPrefix(e.ID, testState+"-")
			return true
		})
	}()
	expect := func(want ...string) {
		t.Helper()
		for range want {
			got = append(got, <-seen)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		got = nil
	}

	l := openLog(t, dir, testState) // the log begins after the reader
	events := numbered(t, testState, 1, 12)
	appendTo(t, l, events[:3]...)
	expect("2", "3")
	appendTo(t, l, events[3])
	expect("4")
	l.rotate = 1 // several rotations between two looks
	for _, e := range events[4:8] {
		appendTo(t, l, e)
	}
	expect("5", "6", "7", "8")

	// A torn line is cut and written anew.
	addText(t, dir, `{"specversion":"1.0","id":"`)
	l = openLog(t, dir, testState)
	appendTo(t, l, events[8:10]...)
	expect("9", "10")

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after the context ended: %v", err)
	}
	err := Follow(context.Background(), dir, time.Time{}, func([]byte, Event) bool { return false })
	if err != nil {
		t.Errorf("after yield returned false: %v", err)
	}
}
