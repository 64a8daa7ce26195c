package fetch

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

const (
	maxHeader    = 64 << 10 // T-05
	maxRedirects = 5
	readBuffer   = 64 << 10 // larger reads go past it, straight from the socket
)

// Client does the transfers of one run. It is safe for concurrent use.
type Client struct {
	own    *http.Transport // for requests to the subscription's own, explicit endpoint
	public *http.Transport // for all others; connections are never shared between the two
	guard  guard
	proxy  *target // nil: none
	agent  string
	slots  slots
	dog    watchdog
	pace   pace
}

// pace holds the times that are not configured; tests shorten them.
type pace struct {
	document time.Duration // a list's transfer, waiting for a slot included
	slack    time.Duration // what an image has beyond size/MinRate
	pause    time.Duration // before the second try
	patience time.Duration // the longest pause within one Image call
}

// New makes a Client. A zero limit means its default, except PerHost.
func New(c Config) (*Client, error) {
	idle := cmp.Or(c.IdleTimeout, 30*time.Second)
	rate := cmp.Or(c.MinRate, 10<<10)
	if idle < 0 || rate < 0 || c.PerHost < 0 {
		return nil, fmt.Errorf("fetch: negative limit")
	}
	if err := checkNetworks(c.AllowNetworks); err != nil {
		return nil, err
	}
	roots, err := roots(c.TLS, c.Anchors)
	if err != nil {
		return nil, err
	}
	client := &Client{
		guard: guard{networks: c.AllowNetworks},
		agent: cmp.Or(c.UserAgent, "vouch"),
		slots: slots{limit: c.PerHost, hosts: map[string]*host{}},
		dog:   watchdog{idle: idle, rate: rate, window: time.Minute},
		pace:  pace{document: 5 * time.Minute, slack: time.Minute, pause: 500 * time.Millisecond, patience: 20 * time.Second},
	}
	if c.Proxy != "" {
		if err := client.useProxy(c.Proxy, roots, idle); err != nil {
			return nil, err
		}
		return client, nil
	}
	client.own = transport(roots, idle, client.guard.dialer(idle, true))
	client.public = transport(roots, idle, client.guard.dialer(idle, false))
	return client, nil
}

// useProxy sends everything through one proxy. Only the operator chooses where
// that is, so the dialer does not judge it: get judges each URL before.
func (c *Client) useProxy(raw string, roots *x509.CertPool, idle time.Duration) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("fetch: proxy: %s", Redact(raw))
	}
	bare := *u
	bare.User = nil // the transport sends it as Proxy-Authorization
	t, err := newTarget(&bare)
	if err != nil {
		return fmt.Errorf("fetch: proxy: %w", err)
	}
	c.proxy = &t
	c.own = transport(roots, idle, (&net.Dialer{Timeout: idle}).DialContext)
	c.own.Proxy = http.ProxyURL(u)
	c.own.OnProxyConnectResponse = tunnel
	c.public = c.own
	return nil
}

// Close closes idle connections; transfers under way go on.
func (c *Client) Close() {
	c.own.CloseIdleConnections()
	c.public.CloseIdleConnections()
}

// idlePerHost keeps the connections of a whole round of lists from one server:
// with the library's two, most of sixteen would be made anew each time.
const idlePerHost = 16

// transport speaks HTTP/1.1 only, never decodes, and asks no environment.
func transport(roots *x509.CertPool, idle time.Duration, dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    idle,
		ResponseHeaderTimeout:  idle,
		MaxResponseHeaderBytes: maxHeader,
		ReadBufferSize:         readBuffer,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    idlePerHost,
		DisableCompression:     true,
	}
}

// roots is who may vouch for a server's name (T-31); nil is the system's.
func roots(which string, anchors []*x509.Certificate) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	switch which {
	case "", "system":
		return nil, nil
	case "anchors":
	case "both":
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("fetch: system certificates: %w", err)
		}
	default:
		return nil, fmt.Errorf("fetch: tls: %q is not system, anchors or both", which)
	}
	for _, a := range anchors {
		pool.AddCert(a)
	}
	return pool, nil
}

func checkNetworks(networks []netip.Prefix) error {
	for _, n := range networks {
		if !n.IsValid() || n.Addr().Is4In6() {
			return fmt.Errorf("fetch: allow_networks: %v is not an IPv4 or IPv6 network", n)
		}
	}
	return nil
}
