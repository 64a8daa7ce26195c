package fetch

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func post(t *testing.T, url string, c Config) (Answer, error) {
	t.Helper()
	p, err := NewPoster(url, c)
	if err != nil {
		return Answer{}, err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.Post(ctx, http.Header{"X-Test": {"1"}}, []byte("body"))
}

// T-30: a webhook may go where the administrator's URL itself says, and else
// only where a list may point.
func TestT30_Addresses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	loopback := Config{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for _, c := range []struct {
		host, want string // want is part of the error; "" reaches the server
		config     Config
	}{
		{"127.0.0.1", "", Config{}},
		{"localhost", "", Config{}},
		{"[::ffff:127.0.0.1]", "", Config{}},
		{"hook.test", "address 127.0.0.1 is not public", Config{}},
		{"hook.test", "", loopback},
		{"metadata.test", "address 169.254.169.254 is not public", loopback},
		{"169.254.169.254", "address 169.254.169.254 is link-local", Config{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")}}},
		{"[fe80::1]", "address fe80::1 is link-local", Config{}},
		{"[::ffff:169.254.169.254]", "is link-local", Config{}},
		{"[64:ff9b::a9fe:a9fe]", "is link-local", Config{}},
		{"2130706433", "a number but not an address", Config{}},
		{"0x7f.1", "a number but not an address", Config{}},
		{"hook.localhost", "another name of localhost", Config{}},
	} {
		p, err := NewPoster("http://"+c.host+":"+port+"/", c.config)
		if err == nil {
			resolve(p, nameServer(t, map[string]string{"hook.test.": "127.0.0.1", "metadata.test.": "169.254.169.254"}), c.config)
			_, err = p.Post(t.Context(), http.Header{}, nil)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.host, err, c.want)
		}
	}
}

// resolve has a poster ask another name server.
func resolve(p *Poster, r *net.Resolver, c Config) {
	g := guard{networks: c.AllowNetworks, resolver: r}
	p.client.DialContext = g.dialer(time.Minute, p.to.explicit())
}

// One connection for many requests, whatever the server answers; one that the
// server has closed meanwhile is replaced.
func TestPoster_Connection(t *testing.T) {
	var from []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		http.Error(w, strings.Repeat("words of the server ", 2000), 500)
	}))
	server.Start()
	defer server.Close()
	p, err := NewPoster(server.URL, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 4 {
		answer, err := p.Post(t.Context(), http.Header{}, []byte("body"))
		if err != nil || answer.String() != "500 Internal Server Error" {
			t.Fatalf("%v %v", answer, err)
		}
		if i == 2 {
			server.CloseClientConnections()
		}
	}
	if from[0] != from[1] || from[1] != from[2] || from[2] == from[3] {
		t.Errorf("connections %q", from)
	}
}

// An endless answer costs 64 KiB, an endless header nothing; no environment
// sends a request elsewhere; a redirect is an answer.
func TestT30_Answers(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for block := make([]byte, 64<<10); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { t.Error("followed") })
	mux.HandleFunc("/later", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Retry-After", "90"); w.WriteHeader(503) })
	for path, want := range map[string]Answer{"/endless": {Status: 200}, "/moved": {Status: 307}, "/later": {Status: 503, RetryAfter: 90 * time.Second}} {
		if have, err := post(t, server.URL+path, Config{}); err != nil || have != want {
			t.Errorf("%s: %+v %v, want %+v", path, have, err, want)
		}
	}
	if _, err := post(t, server.URL+"/headers", Config{}); err == nil || strings.Contains(err.Error(), "xxx") {
		t.Errorf("a megabyte of headers: %v", err)
	}
}
