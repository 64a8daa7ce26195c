package serve

import (
	"path/filepath"
	"sync"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// newest is how many events a page may show.
const newest = 500

// kept is what a file says, read again when it is another one.
type kept[T any] struct {
	mu    sync.Mutex
	path  string
	seen  mark
	value T
}

// get gives back the same value for the same file: whoever gets it must not
// change it.
func (k *kept[T]) get(path string, read func() (T, error)) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := markOf(path)
	if path == k.path && seen == k.seen {
		return k.value, nil
	}
	value, err := read()
	if err == nil {
		k.path, k.seen, k.value = path, seen, value
	}
	return value, err
}

// snapshots are for pages and metrics, which show more than the catalogue.
type snapshots struct {
	status kept[*subscriber.Status]
	index  kept[*subscriber.Index]
	events kept[[]event.Event]
}

// Status is subscriber.ReadStatus of the site that is served. Nobody may change
// what it returns.
func (s *Server) Status() (*subscriber.Status, error) {
	c := s.conf.Load()
	if c == nil {
		return nil, subscriber.ErrNoStatus
	}
	return s.snapshots.status.get(filepath.Join(c.StateDir, "status.json"), func() (*subscriber.Status, error) { return subscriber.ReadStatus(c.StateDir) })
}

// Index is subscriber.ReadIndex of the site that is served, likewise.
func (s *Server) Index() (*subscriber.Index, error) {
	c := s.conf.Load()
	if c == nil {
		return nil, subscriber.ErrNoStatus
	}
	return s.snapshots.index.get(filepath.Join(c.CacheDir, "index.json"), func() (*subscriber.Index, error) { return subscriber.ReadIndex(c.CacheDir) })
}

// Newest are the newest events of the site that is served, newest first,
// likewise.
func (s *Server) Newest() ([]event.Event, error) {
	c := s.conf.Load()
	if c == nil {
		return nil, subscriber.ErrNoStatus
	}
	return s.snapshots.events.get(filepath.Join(c.StateDir, "events.jsonl"), func() ([]event.Event, error) { return event.Newest(c.StateDir, newest) })
}
