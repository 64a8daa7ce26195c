package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"vouch/imagelist/verdict"
)

// deniedError is an address nobody may be sent to.
type deniedError struct{ addr netip.Addr }

func (e *deniedError) Error() string { return fmt.Sprintf("address %s is not public", e.addr) }

// guard judges addresses (T-20). Two rules let a non-public one pass: it lies
// in an allowed network, or the request goes to the subscription's own
// endpoint and its URL names the address itself.
type guard struct {
	networks []netip.Prefix
	resolver *net.Resolver // nil is the system's
}

// check judges a for a request to host; own says that the second rule holds.
// Its error is a *deniedError.
func (g *guard) check(a netip.Addr, host string, own bool) error {
	a = a.WithZone("").Unmap()
	ok := g.permits(a)
	if own {
		ok = !linkLocal(a) && (!strings.EqualFold(host, "localhost") || a.IsLoopback())
	}
	if !ok {
		return &deniedError{a}
	}
	return nil
}

// permits holds for a public address or one in an allowed network. An address
// that carries another one inside is only as good as that.
func (g *guard) permits(a netip.Addr) bool {
	if linkLocal(a) || !public(a) && !within(g.networks, a) {
		return false
	}
	inner, ok := embedded(a)
	return !ok || g.permits(inner)
}

// dialer dials only what check lets pass. The dialler shows each resolved
// address just before it connects, so neither rebinding nor a redirect nor a
// spelling gets around it.
func (g *guard) dialer(timeout time.Duration, own bool) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: timeout, Resolver: g.resolver, ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return err
			}
			return g.check(ap.Addr(), host, own)
		}}
		return d.DialContext(ctx, network, address)
	}
}

// judge does the dialler's work where a proxy dials: addresses are judged
// always, names if they resolve here, localhost in any case (T-32). The proxy may resolve a name
// otherwise; only its own rules can help against that.
func (g *guard) judge(ctx context.Context, t target, own bool) error {
	if t.host == "localhost" && !own {
		return t.fail(verdict.NetworkDenied, "the proxy's localhost")
	}
	addrs := []netip.Addr{t.literal}
	if !t.literal.IsValid() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var err error
		if addrs, err = g.resolver.LookupNetIP(ctx, "ip", t.host); err != nil {
			return nil
		}
	}
	for _, a := range addrs {
		if err := g.check(a, t.host, own); err != nil {
			return t.fail(verdict.NetworkDenied, err.Error())
		}
	}
	return nil
}

var (
	// Global unicast is 2000::/3 and nothing else (RFC 4291, IANA registry).
	global6 = netip.MustParsePrefix("2000::/3")

	special = prefixes(
		"0.0.0.0/8",       // this network
		"10.0.0.0/8",      // private
		"100.64.0.0/10",   // carrier-grade NAT
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays, withdrawn
		"192.168.0.0/16",  // private
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, broadcast
		"2001::/23",       // protocol assignments: Teredo, benchmarks, ORCHID
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4: an IPv4 address inside
		"3fff::/20",       // documentation
	)

	linkLocals = prefixes("169.254.0.0/16", "fe80::/10", "224.0.0.0/24", "ff02::/16")

	// carriers hold an IPv4 address from the given byte on.
	carriers = []struct {
		prefix netip.Prefix
		at     int
	}{
		{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
		{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
	}
)

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// public holds for addresses anybody on the Internet can be sent to.
func public(a netip.Addr) bool {
	return (a.Is4() || global6.Contains(a)) && !within(special, a)
}

// linkLocal holds for addresses that mean this link, where cloud metadata
// services live, also inside another address.
func linkLocal(a netip.Addr) bool {
	if within(linkLocals, a) {
		return true
	}
	inner, ok := embedded(a)
	return ok && linkLocal(inner)
}

func embedded(a netip.Addr) (netip.Addr, bool) {
	for _, c := range carriers {
		if c.prefix.Contains(a) {
			b := a.As16()
			return netip.AddrFrom4([4]byte(b[c.at : c.at+4])), true
		}
	}
	return netip.Addr{}, false
}
