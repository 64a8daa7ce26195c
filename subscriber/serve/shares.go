package serve

import (
	"net/netip"
	"sync"
)

// shares sees that one client address does not take all there is of something.
// A proxy on another machine is one address; one on this machine, which comes
// from 127.0.0.1 or ::1, is not counted.
type shares struct {
	most int // of one address

	mu   sync.Mutex
	held map[netip.Prefix]int
}

// take is what an address with a port gives back when it is done; false when it
// has its share.
func (s *shares) take(address string) (leave func(), ok bool) {
	who, counted := holder(address)
	if !counted {
		return func() {}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[who] >= s.most {
		return nil, false
	}
	if s.held == nil {
		s.held = map[netip.Prefix]int{}
	}
	s.held[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.held[who]--; s.held[who] == 0 {
			delete(s.held, who)
		}
	}, true
}

// holder is whom an address with a port counts for: with IPv6 one machine may
// use all of a /64.
func holder(address string) (netip.Prefix, bool) {
	a, err := netip.ParseAddrPort(address)
	ip := a.Addr().Unmap().WithZone("")
	if err != nil || ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || ip == netip.IPv6Loopback() {
		return netip.Prefix{}, false
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	who, err := ip.Prefix(bits)
	return who, err == nil
}
