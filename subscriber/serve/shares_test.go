package serve

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// clientFrom is one that comes from an address of this machine, with a connection
// for each request.
func clientFrom(t *testing.T, ip string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// hold takes connections, that many, which are kept until the end of the test.
func (s *site) hold(ip string, many int) (last net.Conn, err error) {
	s.T.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	for range many {
		c, err := dialer.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			return nil, err
		}
		s.T.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return nil, err
		}
		last = c
	}
	return last, nil
}

func (s *shares) limit(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = most
}

// Who has taken its share of the connections is refused more, and nobody else
// is: neither another address nor a proxy on this machine.
func TestShares_Connections(t *testing.T) {
	t.Parallel()
	s := populated(t)
	s.server.door.shares.limit(3)
	last, err := s.hold("127.0.0.2", 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hold("127.0.0.2", 1); err == nil {
		t.Error("more than its share")
	}
	if log := s.log.String(); !strings.Contains(log, "its address has its share") || !strings.Contains(log, "127.0.0.2") {
		t.Error("the log does not say who")
	}
	for _, other := range []string{"127.0.0.3", "127.0.0.1", "127.0.0.1"} {
		if _, err := s.hold(other, 3); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	last.Close()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err = s.hold("127.0.0.2", 1); err == nil {
			return
		}
	}
	t.Errorf("a place that was given back: %v", err)
}

// The same of streams of events, with an answer that says so.
func TestShares_Streams(t *testing.T) {
	t.Parallel()
	s := populated(t)
	s.server.streams.shares.limit(1)
	listen := func(ip string) (int, func()) {
		t.Helper()
		r, err := clientFrom(t, ip).Get(s.url + "/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Body.Close() })
		return r.StatusCode, func() { r.Body.Close() }
	}
	_, leave := listen("127.0.0.2")
	for ip, want := range map[string]int{"127.0.0.2": 503, "127.0.0.3": 200, "127.0.0.1": 200} {
		if have, _ := listen(ip); have != want {
			t.Errorf("%s: %d, want %d", ip, have, want)
		}
	}
	leave()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if have, _ := listen("127.0.0.2"); have == 200 {
			return
		}
	}
	t.Error("a place that was given back is not used")
}

// Whom an address counts for.
func TestShares_Holder(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:1": "", "[::1]:1": "", "[::ffff:127.0.0.1]:1": "", "nonsense": "",
		"127.0.0.2:1": "127.0.0.2/32", "192.0.2.1:65535": "192.0.2.1/32", "[::ffff:192.0.2.1]:1": "192.0.2.1/32",
		"[2001:db8:0:1:a::1]:1": "2001:db8:0:1::/64", "[2001:db8:0:1:b::1]:1": "2001:db8:0:1::/64", "[fe80::1%eth0]:1": "fe80::/64",
	} {
		who, counted := holder(address)
		if counted != (want != "") || counted && who.String() != want {
			t.Errorf("%s: %v %v, want %q", address, who, counted, want)
		}
	}
}
