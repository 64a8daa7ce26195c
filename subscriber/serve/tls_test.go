package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

// certify serves with a certificate of the world's CA.
func (s *site) certify(options ...listtest.Option) {
	s.T.Helper()
	options = append(options, listtest.Usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))
	s.conf.CertificateFile, s.conf.KeyFile = s.CA.Issue("localhost", options...).WritePEM(s.T.TempDir(), "host")
}

// client trusts the world's CA for servers, and has a certificate or not.
func (s *site) client(id *listtest.Identity) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.CA.Cert)
	config := &tls.Config{RootCAs: pool, InsecureSkipVerify: true, VerifyConnection: func(state tls.ConnectionState) error {
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool})
		return err
	}}
	if id != nil {
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{id.Cert.Raw}, PrivateKey: id.Key}}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func (s *site) reached(c *http.Client) error {
	r, err := c.Get(s.url + "/healthz")
	if err != nil {
		return err
	}
	r.Body.Close()
	if r.StatusCode != 200 {
		return errors.New(r.Status)
	}
	return nil
}

// Clients are judged as signers are: by the anchors, the CRLs and the list of
// names; each is refused for each reason alone, and others go on.
func TestTLS_Clients(t *testing.T) {
	t.Parallel()
	client := listtest.Usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth)
	s := newSite(t, func(s *site) {
		s.certify()
		s.conf.Clients = "require"
	})
	if !strings.HasPrefix(s.url, "https://") {
		t.Fatal(s.url)
	}
	node, other := s.CA.Issue("node", client), s.CA.Issue("other", client)
	mail := s.CA.Issue("mail", listtest.Usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageEmailProtection))
	old := s.CA.Issue("old", client, listtest.Valid(time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)))
	stranger := listtest.NewCA(t, "Strange CA").Issue("stranger", client)
	expect := func(what string, id *listtest.Identity, good bool) {
		t.Helper()
		if err := s.reached(s.client(id)); (err == nil) != good {
			t.Errorf("%s: %v", what, err)
		}
	}
	expect("node", node, true)
	expect("none", nil, false)
	expect("for mail only", mail, false)
	expect("expired", old, false)
	expect("another CA's", stranger, false)
	s.conf.ClientDNs = []string{node.DN()}
	s.configure()
	expect("in client_dns", node, true)
	expect("not in client_dns", other, false)
	s.CA.Revoke(node)
	s.CA.WriteTo(s.Dir)
	s.server.tls.loaded = time.Now().Add(-2 * trustAgain)
	expect("revoked", node, false)
	if log := s.log.String(); !strings.Contains(log, "client refused") || !strings.Contains(log, node.DN()) {
		t.Error("the log does not say who")
	}
	s.conf.Clients, s.conf.ClientDNs = "none", nil
	s.configure()
	expect("nobody is asked", nil, true)
}

// No TLS below 1.2, no plain HTTP on the same port, and a token may be sent.
func TestT31_TLS(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.certify() })
	c := s.client(nil)
	c.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS11
	if err := s.reached(c); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	if r, err := http.Get(strings.Replace(s.url, "https", "http", 1) + "/healthz"); err == nil && r.StatusCode == 200 {
		t.Error("plain HTTP is answered")
	}
	if err := s.reached(s.client(nil)); err != nil {
		t.Error(err)
	}
}

// A certificate that is no good keeps the server from starting, and is said.
func TestConfigure_Certificates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.certify()
	good := s.conf
	key, err := os.ReadFile(good.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	expired := func(from, until time.Duration) Config {
		s.certify(listtest.Valid(time.Now().Add(from), time.Now().Add(until)))
		return s.conf
	}
	otherKey := func() string {
		_, file := s.CA.Issue("elsewhere", listtest.NewKey()).WritePEM(t.TempDir(), "other")
		return file
	}
	if err := good.Check(time.Now()); err != nil {
		t.Error(err)
	}
	with := func(change func(*Config)) Config { c := good; change(&c); return c }
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		conf Config
		says string
	}{
		"a pipe":      {with(func(c *Config) { c.CertificateFile = pipe }), "http: certificate_file: " + pipe + ": not a regular file"},
		"a key pipe":  {with(func(c *Config) { c.KeyFile = pipe }), "http: key_file: " + pipe + ": not a regular file"},
		"tokens pipe": {with(func(c *Config) { c.TokenFile = pipe }), "http: token_file: " + pipe + ": not a regular file"},
		"expired":     {expired(-48*time.Hour, -time.Hour), "expired at"},
		"not yet":     {expired(time.Hour, 48*time.Hour), "not valid before"},
		"no file":     {with(func(c *Config) { c.CertificateFile += "x" }), "no such file"},
		"open key":    {with(func(c *Config) { c.KeyFile = s.write("open.key", string(key), 0o644) }), "others can read or change it"},
		"another key": {with(func(c *Config) { c.KeyFile = otherKey() }), "http: certificate_file"},
		"no key":      {with(func(c *Config) { c.KeyFile = s.write("no.key", "canary", 0o600) }), "http: certificate_file"},
		"clients":     {with(func(c *Config) { c.CertificateFile, c.Clients = "", "require" }), "over TLS only"},
		"names":       {with(func(c *Config) { c.ClientDNs = []string{"/CN=x"} }), "nobody is asked"},
	} {
		err := s.server.Configure(c.conf)
		var hint interface{ Hint() string }
		if !errors.As(err, &hint) || hint.Hint() == "" || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		if checked := c.conf.Check(time.Now()); checked == nil || checked.Error() != err.Error() {
			t.Errorf("%s: Check: %v", name, checked)
		}
		s.want(200, "/healthz") // as before
	}
}

// A renewed certificate is used without a reload; a spoiled one is not; one that
// expires meanwhile is used on, and complained of.
func TestTLS_Renewed(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.certify() })
	serial := func() string {
		s.server.tls.mu.Lock()
		s.server.tls.looked = time.Time{}
		s.server.tls.mu.Unlock()
		c, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first, conf := serial(), s.conf
	if err := os.WriteFile(conf.CertificateFile, []byte("spoiled"), 0o644); err != nil {
		t.Fatal(err)
	}
	if serial() != first || !strings.Contains(s.log.String(), "the new certificate is not used") {
		t.Error("a spoiled certificate")
	}
	s.server.tls.mu.Lock()
	s.server.tls.own.Leaf.NotAfter = time.Now().Add(-time.Second) // the server reads it there
	s.server.tls.mu.Unlock()
	if serial() != first || !strings.Contains(s.log.String(), "the certificate has expired") {
		t.Error("an expired certificate")
	}
	s.certify()
	for from, to := range map[string]string{s.conf.CertificateFile: conf.CertificateFile, s.conf.KeyFile: conf.KeyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if serial() == first || !strings.Contains(s.log.String(), "new certificate") {
		t.Error("the renewed certificate is not used")
	}
}
