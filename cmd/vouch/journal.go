package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// Under systemd standard error is the journal, which has a time and a priority
// of its own for each line. So the text log leaves its time out there, and says
// the level as sd-daemon(3) wants it: <4> before the line.

// isJournal says whether w is the stream that systemd connected to the journal:
// $JOURNAL_STREAM is its device and inode. A child that inherited the variable
// and writes elsewhere is not meant.
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	stream := os.Getenv("JOURNAL_STREAM")
	if !ok || stream == "" {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// journalAttr is printableAttr without the time.
func journalAttr(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.Attr{}
	}
	return printableAttr(groups, a)
}

// priorities are syslog's for the levels, as the text handler writes them.
var priorities = map[string]string{"DEBUG": "<7>", "INFO": "<6>", "WARN": "<4>", "ERROR": "<3>"}

// journalWriter turns the level at the head of a record into a priority. It
// relies on what slog promises: one Write for each record.
type journalWriter struct{ w io.Writer }

func (j journalWriter) Write(record []byte) (int, error) {
	line := record
	if rest, ok := bytes.CutPrefix(record, []byte("level=")); ok {
		level, rest, _ := bytes.Cut(rest, []byte(" "))
		if p := priorities[string(level)]; p != "" {
			line = append([]byte(p), rest...)
		}
	}
	if _, err := j.w.Write(line); err != nil {
		return 0, err
	}
	return len(record), nil
}
