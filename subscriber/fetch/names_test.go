package fetch

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// DNS answers of RFC 1035 §4.1.1.
const (
	noError  = 0x80
	servFail = 0x82
	nxDomain = 0x83
)

// nameServer answers A questions: a name has its address, "servfail." fails,
// "silent." gets no answer, others do not exist.
func nameServer(t *testing.T, names map[string]string) *net.Resolver {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if a := reply(b[:n], names); a != nil {
				c.WriteTo(a, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

func reply(query []byte, names map[string]string) []byte {
	var name string
	at := 12
	for query[at] != 0 {
		name += string(query[at+1:at+1+int(query[at])]) + "."
		at += 1 + int(query[at])
	}
	question := query[12 : at+5]
	if name == "silent.test." {
		return nil
	}
	code, answers := byte(nxDomain), byte(0)
	addr, known := names[name]
	switch {
	case name == "servfail.test.":
		code = servFail
	case known:
		code = noError
		if query[at+2] == 1 { // an A question
			answers = 1
		}
	}
	a := append([]byte{query[0], query[1], 0x81, code, 0, 1, 0, answers, 0, 0, 0, 0}, question...)
	if answers == 1 {
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		a = append(a, netip.MustParseAddr(addr).AsSlice()...)
	}
	return a
}

// TestT20_Names: a name is as good as what it resolves to at that moment, also
// the name of the subscription's own server.
func TestT20_Names(t *testing.T) {
	s := newFaultServer(t, size)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	names := map[string]string{"inside.test.": "127.0.0.1", "private.test.": "10.0.0.1", "meta.test.": "169.254.169.254"}
	proxy := newFaultServer(t, size)
	for _, config := range []Config{{}, {Proxy: proxy.URL}, {AllowNetworks: prefixes("169.254.0.0/16")}} {
		c := quick(t, config)
		c.guard.resolver = nameServer(t, names)
		for name := range names {
			u := "http://" + strings.TrimSuffix(name, ".") + ":" + port + "/f/none/x/"
			_, err := c.Document(context.Background(), Origin{URL: u}, Doc{})
			want(t, err, verdict.NetworkDenied, false)
			_, err = c.Image(context.Background(), Origin{URL: u}, Source{URI: u, Size: size}, &memory{})
			want(t, err, verdict.NetworkDenied, false)
		}
	}
	if n := len(s.seen()) + len(proxy.seen()); n != 0 {
		t.Errorf("%d requests got through", n)
	}
	c := quick(t, Config{AllowNetworks: prefixes("127.0.0.0/8")})
	c.guard.resolver = nameServer(t, names)
	_, err := c.Document(context.Background(), Origin{URL: "http://inside.test:" + port + "/f/none/x/"}, Doc{})
	want(t, err, "", false)
}

// TestF07_Names: a name that nobody knows now may be known later, and is tried
// again.
func TestF07_Names(t *testing.T) {
	for name, detail := range map[string]string{
		"unknown.test":  "name lookup: no such host",
		"servfail.test": "name lookup: no answer",
		"silent.test":   "name lookup: timed out",
	} {
		patience := time.Minute
		if name == "silent.test" {
			patience = 200 * time.Millisecond
		}
		c := quick(t, Config{IdleTimeout: patience})
		c.guard.resolver = nameServer(t, nil)
		_, err := c.Document(context.Background(), Origin{URL: "http://" + name + "/"}, Doc{Tries: 2})
		if e := want(t, err, verdict.Fetch, true); e.Detail != detail {
			t.Errorf("%s: %q, want %q", name, e.Detail, detail)
		}
	}
}
