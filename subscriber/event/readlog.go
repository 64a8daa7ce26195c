package event

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// followEvery is how often Follow looks for new lines.
const followEvery = 500 * time.Millisecond

// ReadLog gives the events of a state directory that are not older than since
// to yield, oldest first, until yield returns false. The line is the event's
// JSON as it is in the log, without a line end; yield may keep it.
//
// It needs no lock and may run while the log is written: it reports what was
// there when it began, and perhaps some of what came meanwhile. A torn line is
// passed over, and so is an event it has reported already. A log that does not
// exist is empty.
func ReadLog(stateDir string, since time.Time, yield func(line []byte, e Event) bool) error {
	r := newReader(stateDir, since, yield)
	defer r.close()
	return r.readOn()
}

// Follow is ReadLog that goes on with what is appended later, through
// rotations, looking twice a second. It returns nil when yield returned false
// or ctx has ended.
func Follow(ctx context.Context, stateDir string, since time.Time, yield func(line []byte, e Event) bool) error {
	r := newReader(stateDir, since, yield)
	defer r.close()
	poll := time.NewTicker(followEvery)
	defer poll.Stop()
	for {
		if err := r.readOn(); err != nil || r.stopped {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// reader reads a log that somebody else writes and rotates.
type reader struct {
	dir     string
	since   time.Time
	yield   func([]byte, Event) bool
	stopped bool

	seen    map[string]uint64 // by state id: the last number reported
	through string            // the last rotated file that was read to its end
	file    *os.File          // what was events.jsonl when we last looked
	offset  int64             // of what has not been read of file
}

func newReader(dir string, since time.Time, yield func([]byte, Event) bool) *reader {
	return &reader{dir: dir, since: since, yield: yield, seen: map[string]uint64{}}
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// readOn reports everything that is in the log and was not reported before.
func (r *reader) readOn() error {
	if err := r.switchFile(); err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	if r.file == nil || r.stopped {
		return nil
	}
	info, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	n, err := scanLines(io.NewSectionReader(r.file, r.offset, info.Size()-r.offset), r.report)
	r.offset += n
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	return nil
}

// switchFile makes file what is events.jsonl now, after reading what is left of
// the one it was and the files that have been rotated since. The new file is
// opened before the old ones are listed: whatever is rotated in between is read
// once as the one or the other.
func (r *reader) switchFile() error {
	now, err := openRegular(filepath.Join(r.dir, logName))
	if errors.Is(err, os.ErrNotExist) {
		now = nil // not yet, or about to be replaced
	} else if err != nil {
		return err
	}
	if now != nil && r.file != nil && sameFile(now, r.file) {
		return now.Close()
	}
	old, offset := r.file, r.offset
	r.file, r.offset = now, 0
	if old != nil {
		defer old.Close()
	}
	files, err := rotatedFiles(r.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.path <= r.through || !f.until.After(r.since) || r.stopped {
			continue
		}
		if err := readRest(f.path, old, offset, r.report); err != nil {
			return err
		}
		r.through = f.path
	}
	return nil
}

// report passes an event on unless it was reported before or is too old.
func (r *reader) report(line []byte, e Event) bool {
	n, ok := e.Number()
	if !ok || n <= r.seen[e.state()] {
		return true
	}
	r.seen[e.state()] = n
	if e.Time.Before(r.since) {
		return true
	}
	r.stopped = !r.yield(line, e)
	return !r.stopped
}
