package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Newest are the last n events of a state directory's log, newest first, or as
// many of them as have not been rotated away. Like ReadLog it needs no lock; it
// reads backwards, so that it costs what it gives.
func Newest(stateDir string, n int) ([]Event, error) {
	f, err := openRegular(filepath.Join(stateDir, logName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	var events []Event
	for end := info.Size(); end > 0 && len(events) < n; {
		start, line, err := lastLine(f, end)
		if err != nil {
			return nil, fmt.Errorf("event log: %w", err)
		}
		var e Event
		if json.Unmarshal(line, &e) == nil { // not a torn one, nor one that is being written
			events = append(events, e)
		}
		end = start
	}
	return events, nil
}
