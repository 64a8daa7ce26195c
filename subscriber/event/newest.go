package event

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

// tailSize is how much of the end of a file Newest reads.
const tailSize = 2 << 20

// Newest are the last events of a state directory, at most n, newest first. It
// needs no lock, and reads only the ends of the files: what is more than 2 MiB
// before the end of its file is not found. A log that does not exist is empty.
func Newest(stateDir string, n int) ([]Event, error) {
	events, err := lastEvents(filepath.Join(stateDir, logName), n)
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	files, err := rotatedFiles(stateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("event log: %w", err)
	}
	for _, f := range slices.Backward(files) {
		if len(events) >= n {
			break
		}
		older, err := lastEvents(f.path, n-len(events))
		if err != nil {
			return nil, fmt.Errorf("event log: %w", err)
		}
		events = append(events, older...)
	}
	return events, nil
}

// lastEvents are the last events of one file, newest first. Where the reading begins
// there is half a line, which is no event.
func lastEvents(name string, n int) ([]Event, error) {
	f, err := openRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	begin := max(0, info.Size()-tailSize)
	var events []Event
	_, err = scanLines(io.NewSectionReader(f, begin, info.Size()-begin), func(_ []byte, e Event) bool {
		events = append(events, e)
		return true
	})
	slices.Reverse(events)
	return events[:min(n, len(events))], err
}
