package fetch

import (
	"context"
	"sync"
)

// slots limits how many transfers one host and port serves at a time. A host
// is remembered only while somebody uses or waits for it.
type slots struct {
	limit int // 0: none

	mu    sync.Mutex
	hosts map[string]*host
}

type host struct {
	free  chan struct{}
	users int // holding or waiting
}

// take waits for a slot; the function it returns gives it back, once.
func (s *slots) take(ctx context.Context, hostPort string) (release func(), err error) {
	if s.limit == 0 {
		return func() {}, nil
	}
	h := s.join(hostPort)
	select {
	case h.free <- struct{}{}:
		return sync.OnceFunc(func() {
			<-h.free
			s.leave(hostPort)
		}), nil
	case <-ctx.Done():
		s.leave(hostPort)
		return nil, ctx.Err()
	}
}

func (s *slots) join(hostPort string) *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[hostPort]
	if h == nil {
		h = &host{free: make(chan struct{}, s.limit)}
		s.hosts[hostPort] = h
	}
	h.users++
	return h
}

func (s *slots) leave(hostPort string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[hostPort]
	if h.users--; h.users == 0 {
		delete(s.hosts, hostPort)
	}
}
