package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// journalStream is a file that the environment says is the journal.
func journalStream(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	return f
}

func content(t *testing.T, f *os.File) string {
	t.Helper()
	raw, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What the journal is told: a priority, and no time, which it has itself. Text
// from outside cannot begin a line with a priority of its own.
func TestJournal_Lines(t *testing.T) {
	f := journalStream(t)
	log := newLogAt(f, "text", slog.LevelDebug)
	log.Debug("step", "n", 1)
	log.Info("done")
	log.With("subscription", "a").Warn("odd\n<0>panic", "detail", "x\n<0>y")
	log.Error("wrong", "time", "kept")
	report(errors.New("no such thing"), false, io.Discard, f)
	want := `<7>msg=step n=1
<6>msg=done
<4>msg=odd\x0a<0>panic subscription=a detail=x\x0a<0>y
<3>msg=wrong time=kept
<3>vouch: no such thing
`
	if have := content(t, f); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}

// A terminal, a file and a child that inherited the variable keep their times;
// JSON is left to whoever asked for it.
func TestJournal_Others(t *testing.T) {
	journal := journalStream(t)
	newLogAt(journal, "json", slog.LevelInfo).Info("done")
	if have := content(t, journal); have == "" || have[0] != '{' {
		t.Errorf("JSON: %q", have)
	}
	other, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	newLogAt(other, "text", slog.LevelInfo).Info("done")
	if have := content(t, other); len(have) < 5 || have[:5] != "time=" {
		t.Errorf("another file: %q", have)
	}
}
