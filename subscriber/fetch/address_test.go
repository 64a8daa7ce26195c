package fetch

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"vouch/imagelist/listtest"
	"vouch/imagelist/verdict"
)

func TestT20_Addresses(t *testing.T) {
	public := "1.1.1.1 8.8.8.8 11.0.0.1 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.169.0.1 198.20.0.1 223.255.255.255 " +
		"2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 2001:200::1"
	denied := "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 172.31.255.255 " +
		"192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 " +
		":: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::8.8.8.8 64:ff9b::127.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1::1 " +
		"3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1"
	var g guard
	for _, a := range strings.Fields(public) {
		if err := g.check(netip.MustParseAddr(a), "x", false); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range strings.Fields(denied) {
		if g.check(netip.MustParseAddr(a), "x", false) == nil {
			t.Errorf("%s passes", a)
		}
	}
}

func TestT20_Allowances(t *testing.T) {
	g := guard{networks: prefixes("10.1.0.0/16", "64:ff9b::/96", "169.254.0.0/16", "fe80::/10", "fd00::/8", "::1/128")}
	tests := []struct {
		addr, host string
		own, want  bool
	}{
		{"10.1.2.3", "x", false, true},
		{"::ffff:10.1.2.3", "x", false, true},
		{"10.2.0.1", "x", false, false},
		{"fd00::1", "x", false, true},
		{"::1", "x", false, true},
		{"64:ff9b::8.8.8.8", "x", false, true},
		{"64:ff9b::10.1.2.3", "x", false, true},
		{"64:ff9b::127.0.0.1", "x", false, false},
		{"169.254.169.254", "x", false, false},
		{"64:ff9b::169.254.169.254", "x", false, false},
		{"fe80::1", "x", false, false},
		{"127.0.0.1", "127.0.0.1", true, true},
		{"192.168.0.1", "192.168.0.1", true, true},
		{"169.254.169.254", "169.254.169.254", true, false},
		{"::ffff:169.254.169.254", "x", true, false},
		{"2002:a9fe:a9fe::", "2002:a9fe:a9fe::", true, false},
		{"fe80::1", "fe80::1", true, false},
		{"::1", "localhost", true, true},
		{"127.0.0.1", "LocalHost", true, true},
		{"192.168.0.1", "localhost", true, false},
		{"192.168.0.1", "LOCALHOST", true, false},
	}
	for _, tt := range tests {
		if got := g.check(netip.MustParseAddr(tt.addr), tt.host, tt.own) == nil; got != tt.want {
			t.Errorf("%s for %s, own %v: %v", tt.addr, tt.host, tt.own, got)
		}
	}
}

// spellings of this machine; none may be reached on behalf of a list that
// lives elsewhere.
var spellings = []string{
	"127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "2130706433", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0x7f.1",
	"127.0.0.1.", "127.0.0.01", "0", "0.0.0.0", "0x0", "localhost", "LOCALHOST", "localhost.", "x.localhost", "127.0.0.0x1",
	"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::1%25lo]",
	"①②⑦.⓪.⓪.①", "127。0。0。1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
}

// TestT20_Spellings: with and without a proxy, by the list and by redirect.
func TestT20_Spellings(t *testing.T) {
	s := newFaultServer(t, size)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	proxy := newFaultServer(t, size)
	for _, c := range []*Client{quick(t, Config{}), quick(t, Config{Proxy: proxy.URL})} {
		for _, host := range spellings {
			src := Source{URI: "http://" + host + ":" + port + "/f/none/x/", Size: size}
			_, err := c.Image(context.Background(), Origin{URL: "https://lists.example.org/list"}, src, &memory{})
			var e *Error
			if !errors.As(err, &e) || e.Temporary || e.Code != verdict.NetworkDenied && e.Code != verdict.Fetch {
				t.Errorf("%s: %v", host, err)
			}
			if plain := strings.Trim(host, hostLetters+"[:]LOCAHST") == ""; plain && e.Code != verdict.NetworkDenied {
				t.Errorf("%s: %v, want network-denied", host, err)
			}
		}
	}
	if n := len(s.seen()) + len(proxy.seen()); n != 0 {
		t.Errorf("%d requests got through", n)
	}
}

// TestT20_OwnEndpoint: the allowance is for one scheme, host and port, and a
// connection made under it serves nobody else.
func TestT20_OwnEndpoint(t *testing.T) {
	s, other := newFaultServer(t, size), newFaultServer(t, size)
	c := quick(t, Config{})
	get := func(origin, uri string) error {
		_, err := c.Image(context.Background(), Origin{URL: origin}, Source{URI: uri, Size: size}, &memory{})
		return err
	}
	good := s.URL + "/f/none/x/"
	want(t, get(s.URL, good), "", false)
	want(t, get("https://lists.example.org/", good), verdict.NetworkDenied, false)
	want(t, get(other.URL, good), verdict.NetworkDenied, false)
	want(t, get(strings.Replace(s.URL, "http:", "https:", 1), good), verdict.NetworkDenied, false)
	want(t, get(strings.Replace(s.URL, "127.0.0.1", "localhost", 1), good), verdict.NetworkDenied, false)
	want(t, get(s.URL, s.URL+"/f/to/x/?u="+url.QueryEscape(other.URL+"/f/none/x/")), verdict.NetworkDenied, false)
	want(t, get(s.URL, s.URL+"/f/to/x/?u="+url.QueryEscape("http://169.254.169.254/latest/meta-data")), verdict.NetworkDenied, false)
	want(t, get("http://169.254.169.254/", "http://169.254.169.254/"), verdict.NetworkDenied, false)
	if len(other.seen()) != 0 {
		t.Error("another port was reached")
	}

	allowed := quick(t, Config{AllowNetworks: prefixes("127.0.0.0/8")})
	_, err := allowed.Image(context.Background(), Origin{URL: "https://lists.example.org/"}, Source{URI: good, Size: size}, &memory{})
	want(t, err, "", false)
	named := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) + "/f/none/x/"
	_, err = c.Document(context.Background(), Origin{URL: named}, Doc{})
	want(t, err, "", false)
}

// TestT32_Proxy: the environment's proxy is not used, the configured one is,
// and its refusals are judged without its words.
func TestT32_Proxy(t *testing.T) {
	s := newFaultServer(t, size)
	var asked []*http.Request
	status := http.StatusOK
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		if r.Method == http.MethodConnect || status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		s.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	direct := quick(t, Config{AllowNetworks: prefixes("127.0.0.0/8")})
	_, err := s.image(direct, "/f/none/x/", &memory{})
	want(t, err, "", false)
	if len(asked) != 0 {
		t.Fatal("the environment's proxy was used")
	}

	c := quick(t, Config{Proxy: strings.Replace(proxy.URL, "http://", "http://puser:ppass@", 1)})
	_, err = s.image(c, "/f/none/x/", &memory{})
	want(t, err, "", false)
	if len(asked) != 1 || asked[0].Header.Get("Proxy-Authorization") == "" {
		t.Fatalf("proxy asked %d times", len(asked))
	}
	for _, tt := range []struct {
		status    int
		temporary bool
	}{{407, false}, {403, false}, {503, true}} {
		status = tt.status
		_, err = c.Document(context.Background(), Origin{URL: "https://127.0.0.1:9/list"}, Doc{Tries: 1})
		if e := want(t, err, verdict.Fetch, tt.temporary); !strings.HasPrefix(e.Detail, "the proxy answered ") {
			t.Errorf("%v", e)
		}
	}
}

// TestT20_ProxyRedirect: what a proxy is asked for is judged at every hop.
func TestT20_ProxyRedirect(t *testing.T) {
	s := newFaultServer(t, size)
	c := quick(t, Config{Proxy: s.URL})
	_, err := c.Document(context.Background(), Origin{URL: "http://93.184.215.14/f/to/x/?u=http://10.0.0.1/"}, Doc{})
	want(t, err, verdict.NetworkDenied, false)
	if n := len(s.seen()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestF08_Refused: what cannot be reached may be reachable later.
func TestF08_Refused(t *testing.T) {
	_, err := quick(t, Config{}).Document(context.Background(), Origin{URL: "http://" + listtest.FreeAddress(t) + "/"}, Doc{Tries: 1})
	if e := want(t, err, verdict.Fetch, true); e.Detail != "connection refused" {
		t.Errorf("%v", e)
	}
}
