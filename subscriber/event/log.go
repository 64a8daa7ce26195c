package event

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// maxLog is the size in bytes from which the log is rotated.
const maxLog = 64 << 20

// Log appends to the event log: <state_dir>/events.jsonl, one event a line,
// ids ascending within a state id, no id twice. One process at a time may
// have it open; ReadLog and Follow need no Log and no lock. Its methods must
// not be called concurrently.
type Log struct {
	dir    string
	state  string
	gid    int
	rotate int64 // bytes

	file *os.File
	size int64 // of the whole lines in file
	torn bool  // there may be something after size
	last uint64
	at   time.Time // of the last event in file
}

// OpenLog opens the event log of a state directory for writing, mode 0640 and
// group gid (-1 leaves the group alone). It cuts a torn tail: last lines that
// are not whole or not JSON, as a crash inside Append leaves them.
//
// Numbers are counted per state id: after a rebuild they begin anew.
func OpenLog(stateDir, state string, gid int) (*Log, error) {
	l := &Log{dir: stateDir, state: state, gid: gid, rotate: maxLog}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	if err := l.findLast(); err != nil {
		return nil, errors.Join(fmt.Errorf("event log: %w", err), l.Close())
	}
	return l, nil
}

// open opens or creates the current file and cuts its torn tail.
func (l *Log) open() error {
	name := filepath.Join(l.dir, logName)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
	if err != nil {
		return err
	}
	l.file = f
	if err := l.prepare(); err != nil {
		l.file = nil
		return errors.Join(err, f.Close())
	}
	return nil
}

func (l *Log) prepare() error {
	// The umask may have taken the group's right to read.
	if err := l.file.Chmod(0o640); err != nil {
		return err
	}
	if l.gid >= 0 {
		if err := l.file.Chown(-1, l.gid); err != nil {
			return err
		}
	}
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", l.file.Name())
	}
	var tail Event
	l.size, tail, err = wholeLines(l.file, info.Size())
	if err != nil {
		return err
	}
	l.at = tail.Time
	l.count(tail)
	l.torn = l.size < info.Size()
	if err := l.cut(); err != nil {
		return err
	}
	return syncDir(l.dir)
}

// cut removes what a failed or interrupted Append left behind.
func (l *Log) cut() error {
	if !l.torn {
		return nil
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// count takes note of the number of an event that is in the log.
func (l *Log) count(e Event) {
	if n, ok := e.Number(); ok && e.state() == l.state {
		l.last = max(l.last, n)
	}
}

// findLast looks for the last number logged under this state id, unless the
// last line of the current file has told it: in that file, then in the rotated
// ones from the newest on.
func (l *Log) findLast() error {
	rotated, err := rotatedFiles(l.dir)
	if err != nil {
		return err
	}
	files := []string{filepath.Join(l.dir, logName)}
	for _, f := range slices.Backward(rotated) {
		files = append(files, f.path)
	}
	for _, name := range files {
		if l.last > 0 {
			break
		}
		if err := readFile(name, func(_ []byte, e Event) bool { l.count(e); return true }); err != nil {
			return err
		}
	}
	return nil
}

// Last is the number of the newest event of this state id that is in the log,
// 0 if there is none.
func (l *Log) Last() uint64 { return l.last }

// Append adds those of the events that are newer than Last, in the order of
// their numbers, and returns when they are on disk. To append again what may
// have been appended before a crash is therefore harmless.
//
// If we die inside Append, the log ends with some of the new lines and at
// most one torn one, which OpenLog cuts. After an error none of the events
// count as logged: Append them again.
func (l *Log) Append(events ...Event) error {
	lines, newest, err := l.render(events)
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	if len(lines) == 0 {
		return nil
	}
	if err := l.write(lines); err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	l.at = newest.Time
	l.count(newest)
	return nil
}

// render is the new lines and the last event among them.
func (l *Log) render(events []Event) ([]byte, Event, error) {
	var lines []byte
	var newest Event
	last := l.last
	for _, e := range slices.SortedFunc(slices.Values(events), byNumber) {
		n, ok := e.Number()
		if !ok || e.state() != l.state {
			return nil, Event{}, fmt.Errorf("event %q is not one of state %s", e.ID, l.state)
		}
		if n <= last {
			continue
		}
		line, err := e.Line()
		if err != nil {
			return nil, Event{}, err
		}
		lines = append(append(lines, line...), '\n')
		last, newest = n, e
	}
	return lines, newest, nil
}

func byNumber(a, b Event) int {
	x, _ := a.Number()
	y, _ := b.Number()
	return cmp.Compare(x, y)
}

// write adds lines in one write and syncs them.
func (l *Log) write(lines []byte) error {
	if err := l.cut(); err != nil {
		return err
	}
	if l.size > 0 && l.size+int64(len(lines)) > l.rotate {
		if err := l.startNew(); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	l.torn = true
	_, err := l.file.Write(lines)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		// After a failed fsync the kernel may take the lost pages for clean.
		// Cutting them off makes the next Append write them anew.
		return errors.Join(err, l.cut())
	}
	l.size += int64(len(lines))
	l.torn = false
	return nil
}

// startNew gives the current file the name it is kept under and begins
// another. If we die between the two, the next open creates the file.
func (l *Log) startNew() error {
	if err := l.Close(); err != nil {
		return err
	}
	name, err := rotatedName(l.dir, l.at)
	if err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(l.dir, logName), filepath.Join(l.dir, name)); err != nil {
		return err
	}
	l.size = 0
	return l.open()
}

// Prune deletes rotated files whose last event is older than before. The file
// being written always stays.
func (l *Log) Prune(before time.Time) error {
	files, err := rotatedFiles(l.dir)
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	for _, f := range files {
		if f.until.After(before) {
			continue
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("event log: %w", err)
		}
	}
	return nil
}

// Close releases the file. Everything appended is on disk already.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.torn = nil, false // open looks for itself
	return err
}
