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
	"time"

	"golang.org/x/sys/unix"
)

// logName is the event log being written, in the state directory.
const logName = "events.jsonl"

// rotatedLayout is the name of a rotated file: the time of its last event,
// raised where that is needed to sort after every file rotated before.
const rotatedLayout = "events-20060102T150405Z.jsonl"

// readFile gives the events of one file to yield. A file that has been pruned
// is empty.
func readFile(name string, yield func([]byte, Event) bool) error {
	return readRest(name, nil, 0, yield)
}

// readRest is readFile, from offset on when the file is the one that is open as
// begun.
func readRest(name string, begun *os.File, offset int64, yield func([]byte, Event) bool) error {
	f, err := openRegular(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if begun != nil && sameFile(f, begun) {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return err
		}
	}
	_, err = scanLines(f, yield)
	return err
}

// scanLines gives each whole line that is a JSON event to yield, and returns
// where the last of them ends: whatever comes after may yet be cut.
func scanLines(src io.Reader, yield func([]byte, Event) bool) (int64, error) {
	in := bufio.NewReaderSize(src, 64<<10)
	var read, done int64
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return done, err
		}
		read += int64(len(line))
		line = line[:len(line)-1]
		var e Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		done = read
		if !yield(line, e) {
			return done, nil
		}
	}
}

// rotated is a file that is not written any more.
type rotated struct {
	path  string
	until time.Time // its last event is older than this
}

// rotatedFiles are the rotated files of a state directory, oldest first.
func rotatedFiles(dir string) ([]rotated, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var files []rotated
	for _, entry := range entries {
		last, err := time.Parse(rotatedLayout, entry.Name())
		if err == nil && entry.Type().IsRegular() {
			files = append(files, rotated{filepath.Join(dir, entry.Name()), last.Add(time.Second)})
		}
	}
	return files, nil
}

// rotatedName is the name that a file whose last event is of at is kept under.
// A clock that went back does not change the order of the files.
func rotatedName(dir string, at time.Time) (string, error) {
	files, err := rotatedFiles(dir)
	if err != nil {
		return "", err
	}
	if len(files) > 0 {
		if next := files[len(files)-1].until; at.Before(next) {
			at = next
		}
	}
	return at.UTC().Format(rotatedLayout), nil
}

func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s: not a regular file", name), err, f.Close())
	}
	return f, nil
}

func sameFile(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// wholeLines finds the end of the last line that is a JSON event, and that
// event. It reads backwards: what is before that line was synced with it or
// earlier.
func wholeLines(f io.ReaderAt, size int64) (int64, Event, error) {
	for size > 0 {
		start, line, err := lastLine(f, size)
		if err != nil {
			return 0, Event{}, err
		}
		var e Event
		if bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &e) == nil {
			return size, e, nil
		}
		size = start
	}
	return 0, Event{}, nil
}

// lastLine is the last line of the first size bytes of f, with its end if it
// has one, and its offset.
func lastLine(f io.ReaderAt, size int64) (int64, []byte, error) {
	for window := int64(64 << 10); ; window *= 2 {
		start := max(0, size-window)
		buf := make([]byte, size-start)
		if _, err := f.ReadAt(buf, start); err != nil && err != io.EOF {
			return 0, nil, err
		}
		if i := bytes.LastIndexByte(buf[:len(buf)-1], '\n'); i >= 0 || start == 0 {
			return start + int64(i) + 1, buf[i+1:], nil
		}
	}
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
