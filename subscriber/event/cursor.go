package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Cursor is a place in the event log of a state directory, for whoever reads on
// from time to time: Next costs what is new, not what is there. One goroutine
// uses it.
type Cursor struct{ r *reader }

// CursorSince stands before the events that are not older than since.
func CursorSince(stateDir string, since time.Time) *Cursor {
	return &Cursor{newReader(stateDir, since, nil)}
}

// CursorEnd stands behind everything that is in the log.
func CursorEnd(stateDir string) (*Cursor, error) {
	c := CursorSince(stateDir, time.Time{})
	err := c.seek(func(_ io.ReaderAt, size int64) (int64, bool, error) { return size, true, nil })
	if errors.Is(err, ErrNoEvent) {
		err = nil // there is no log yet
	}
	return c, err
}

// ErrNoEvent says that an event is not in the log: it was pruned, or never was.
var ErrNoEvent = errors.New("not in the event log")

// CursorAfter stands behind the event with this id. It looks from the newest
// file to the oldest and parses only what may be the event. ErrNoEvent.
func CursorAfter(stateDir, id string) (*Cursor, error) {
	c := CursorSince(stateDir, time.Time{})
	err := c.seek(func(f io.ReaderAt, size int64) (int64, bool, error) { return lineAfter(f, size, id) })
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Next gives what came since the last call to yield. When yield returns false,
// the cursor has served its purpose. It is as ReadLog otherwise.
func (c *Cursor) Next(yield func(line []byte, e Event) bool) error {
	c.r.yield, c.r.stopped = yield, false
	return c.r.readOn()
}

// Close gives the file back.
func (c *Cursor) Close() { c.r.close() }

// finder looks for a place in the whole lines of a file.
type finder func(f io.ReaderAt, size int64) (offset int64, found bool, err error)

// seek puts the reader where find says, in the newest file in which it finds a
// place. A log that is rotated meanwhile is looked at again.
func (c *Cursor) seek(find finder) error {
	path := filepath.Join(c.r.dir, logName)
	for range 10 {
		before, _ := os.Lstat(path)
		err := c.place(path, find)
		after, _ := os.Lstat(path)
		if before == nil && after == nil || before != nil && after != nil && os.SameFile(before, after) {
			return wrapLog(err)
		}
		c.Close()
		c.r.file, c.r.through = nil, ""
	}
	return errors.New("event log: rotated again and again")
}

func wrapLog(err error) error {
	if err == nil || errors.Is(err, ErrNoEvent) {
		return err
	}
	return fmt.Errorf("event log: %w", err)
}

// place looks from the newest file to the oldest. Of a rotated file, what
// stands behind the place is read when the reader looks for its file next.
func (c *Cursor) place(current string, find finder) error {
	files, err := rotatedFiles(c.r.dir)
	if err != nil {
		return err
	}
	files = append(files, rotated{path: current})
	for i, f := range slices.Backward(files) {
		file, offset, err := findIn(f.path, find)
		if err != nil {
			return err
		}
		if file == nil {
			continue
		}
		c.r.file, c.r.offset = file, offset
		if i > 0 {
			c.r.through = files[i-1].path
		}
		return nil
	}
	return ErrNoEvent
}

// findIn opens a file in which find finds a place; nil when it does not, or
// there is no file.
func findIn(path string, find finder) (_ *os.File, offset int64, err error) {
	f, err := openRegular(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	found := false
	info, err := f.Stat()
	if err == nil {
		var size int64
		if size, _, err = wholeLines(f, info.Size()); err == nil {
			offset, found, err = find(f, size)
		}
	}
	if err != nil || !found {
		f.Close()
		return nil, 0, err
	}
	return f, offset, nil
}

// lineAfter is the offset behind the line of an event.
func lineAfter(f io.ReaderAt, size int64, id string) (int64, bool, error) {
	quoted, err := json.Marshal(id)
	if err != nil {
		return 0, false, err
	}
	in := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 256<<10)
	var read int64
	for {
		line, err := in.ReadSlice('\n')
		whole := line
		for errors.Is(err, bufio.ErrBufferFull) { // longer than any of ours
			whole = slices.Clone(whole)
			line, err = in.ReadSlice('\n')
			whole = append(whole, line...)
		}
		read += int64(len(whole))
		if err == io.EOF {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		var e Event
		if bytes.Contains(whole, quoted) && json.Unmarshal(whole, &e) == nil && e.ID == id {
			return read, true, nil
		}
	}
}
