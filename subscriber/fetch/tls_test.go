package fetch

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// ca issues server certificates.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t testing.TB) ca {
	c := ca{}
	c.cert, c.key = c.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)})
	return c
}

func (c ca) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore = template.NotAfter.Add(-2 * time.Hour)
	parent, signer := c.cert, c.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (c ca) server(t testing.TB, ip string, expires time.Duration) tls.Certificate {
	cert, key := c.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.ParseIP(ip)}, NotAfter: time.Now().Add(expires)})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (s *faultServer) withTLS(t testing.TB, config *tls.Config) *faultServer {
	u := &faultServer{data: s.data}
	u.Server = httptest.NewUnstartedServer(u)
	u.Config.ErrorLog = log.New(io.Discard, "", 0)
	u.TLS = config
	u.StartTLS()
	t.Cleanup(u.Close)
	return u
}

// TestT31_F09_TLS: who vouches for a server, and what becomes of one that
// nobody vouches for.
func TestT31_F09_TLS(t *testing.T) {
	authority, stranger := newCA(t), newCA(t)
	one := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	old := one(authority.server(t, "127.0.0.1", time.Hour))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	good := one(authority.server(t, "127.0.0.1", time.Hour))
	tests := []struct {
		name   string
		config *tls.Config
		roots  string
		detail string // "" is success
	}{
		{"anchors", good, "anchors", ""},
		{"both", good, "both", ""},
		{"system", good, "system", "tls: certificate: \"x509: certificate signed by unknown authority"},
		{"unknown CA", one(stranger.server(t, "127.0.0.1", time.Hour)), "both", "tls: certificate: \"x509: certificate signed by unknown authority"},
		{"expired", one(authority.server(t, "127.0.0.1", -time.Minute)), "anchors", "tls: certificate: \"x509: certificate has expired"},
		{"wrong name", one(authority.server(t, "127.0.0.2", time.Hour)), "anchors", "tls: certificate: \"x509: certificate is valid for 127.0.0.2"},
		{"self-signed", one(ca{}.server(t, "127.0.0.1", time.Hour)), "both", "tls: certificate: \"x509: certificate signed by unknown authority"},
		{"TLS 1.1", old, "anchors", "tls: "},
	}
	plain := newFaultServer(t, size)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := plain.withTLS(t, tt.config)
			c := quick(t, Config{TLS: tt.roots, Anchors: []*x509.Certificate{authority.cert}})
			_, err := c.Document(context.Background(), Origin{URL: s.URL + "/f/none/x/"}, Doc{})
			if tt.detail == "" {
				want(t, err, "", false)
				return
			}
			if e := want(t, err, verdict.Fetch, false); !strings.HasPrefix(e.Detail, tt.detail) {
				t.Errorf("detail %q, want %q", e.Detail, tt.detail)
			}
			if len(s.seen()) != 0 {
				t.Error("the request was sent all the same")
			}
		})
	}
	_, err := quick(t, Config{}).Document(context.Background(), Origin{URL: strings.Replace(plain.URL, "http:", "https:", 1)}, Doc{})
	want(t, err, verdict.Fetch, false)
}

// TestT21_Downgrade: a list never moves from https to http, an image may: its
// digest is signed.
func TestT21_Downgrade(t *testing.T) {
	authority := newCA(t)
	plain := newFaultServer(t, size)
	s := plain.withTLS(t, &tls.Config{Certificates: []tls.Certificate{authority.server(t, "127.0.0.1", time.Hour)}})
	c := quick(t, Config{TLS: "anchors", Anchors: []*x509.Certificate{authority.cert}, AllowNetworks: prefixes("127.0.0.0/8")})
	o := Origin{URL: s.URL + "/f/to/x/?u=" + url.QueryEscape(plain.URL+"/f/none/x/"), Username: "u", Password: "p"}
	_, err := c.Document(context.Background(), o, Doc{})
	want(t, err, verdict.Fetch, false)
	if len(plain.seen()) != 0 {
		t.Error("the list was asked for over http")
	}
	_, err = c.Image(context.Background(), o, Source{URI: o.URL, Size: size}, &memory{})
	want(t, err, "", false)
	if plain.seen()[0].Header.Get("Authorization") != "" {
		t.Error("credentials travelled over http")
	}
}

// TestF09_BrokenRecord: a connection damaged on its way may be whole next time.
func TestF09_BrokenRecord(t *testing.T) {
	authority := newCA(t)
	s := newFaultServer(t, 1<<20).withTLS(t, &tls.Config{Certificates: []tls.Certificate{authority.server(t, "127.0.0.1", time.Hour)}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go damage(l, s.Listener.Addr().String())
	c := quick(t, Config{TLS: "anchors", Anchors: []*x509.Certificate{authority.cert}})
	o := Origin{URL: "https://" + l.Addr().String() + "/f/none/x/"}
	sink := &memory{}
	_, err = c.Image(context.Background(), o, Source{URI: o.URL, Size: 1 << 20}, sink)
	want(t, err, "", false)
	if n := len(s.seen()); n != 2 {
		t.Errorf("%d requests, want the damaged one and its continuation", n)
	}
}

// damage forwards to address, flipping a bit in the middle of the first
// connection's answer.
func damage(l net.Listener, address string) {
	for n := 0; ; n++ {
		c, err := l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", address)
		if err != nil {
			c.Close()
			return
		}
		go func() { io.Copy(up, c); up.Close() }()
		go func() {
			defer c.Close()
			if n == 0 {
				io.CopyN(c, up, 500_000)
				b := make([]byte, 1)
				io.ReadFull(up, b)
				b[0] ^= 1
				c.Write(b)
			}
			io.Copy(c, up)
		}()
	}
}
