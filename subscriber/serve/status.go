package serve

import (
	"path/filepath"
	"sync"

	"vouch/subscriber"
)

// kept is a status that was read, for as long as its file is the same.
type kept struct {
	mu     sync.Mutex
	seen   mark
	status *subscriber.Status
}

// Status is subscriber.ReadStatus of the site that is served, for metrics: read
// again only when there is another. Nobody may change what it returns.
func (s *Server) Status() (*subscriber.Status, error) {
	c := s.conf.Load()
	if c == nil {
		return nil, subscriber.ErrNoStatus
	}
	k := &s.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := markOf(filepath.Join(c.StateDir, "status.json"))
	if k.status != nil && seen == k.seen {
		return k.status, nil
	}
	st, err := subscriber.ReadStatus(c.StateDir)
	if err == nil {
		k.seen, k.status = seen, st
	}
	return st, err
}
