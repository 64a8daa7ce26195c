package page

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

const (
	shownEvents = 500
	keepFor     = time.Minute
)

// Site says where a site's files are, and what is not in them.
type Site struct {
	StateDir, CacheDir string
	Version            string        // of the program
	Alarm              time.Duration // see View

	mu     sync.Mutex
	view   View
	seen   [3]os.FileInfo
	forget *time.Timer
}

// Read is for Handler. It reads a file again when it has been replaced, and
// forgets what it read when nobody looks for a minute: a big site's files need
// more memory than the daemon at rest. Errors are those of
// subscriber.ReadStatus; a catalogue or a log that cannot be read is left out.
func (s *Site) Read() (View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := [3]os.FileInfo{}
	for i, name := range []string{filepath.Join(s.StateDir, "status.json"), filepath.Join(s.CacheDir, "index.json"), filepath.Join(s.StateDir, "events.jsonl")} {
		now[i], _ = os.Stat(name) // nil: there is none
	}
	if s.forget == nil {
		s.forget = time.AfterFunc(keepFor, s.drop)
	}
	s.forget.Reset(keepFor)
	err := s.refresh(now)
	v := s.view
	v.At, v.Version, v.Alarm = time.Now(), s.Version, s.Alarm
	return v, err
}

func (s *Site) refresh(now [3]os.FileInfo) error {
	if s.view.Status == nil || !same(s.seen[0], now[0]) {
		st, err := subscriber.ReadStatus(s.StateDir)
		if err != nil {
			s.view, s.seen = View{}, [3]os.FileInfo{}
			return err
		}
		s.view.Status = st
	}
	if s.view.Index == nil || !same(s.seen[1], now[1]) {
		x, err := subscriber.ReadIndex(s.CacheDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			now[1] = nil // try again
		}
		s.view.Index = x
	}
	if s.view.Events == nil || !same(s.seen[2], now[2]) {
		s.view.Events, _ = event.Newest(s.StateDir, shownEvents)
	}
	s.seen = now
	return nil
}

func (s *Site) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view, s.seen = View{}, [3]os.FileInfo{}
}

// same says whether nothing was written to a file or put in its place.
func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
