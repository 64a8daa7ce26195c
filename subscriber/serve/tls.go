package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vouch/imagelist/trust"
	"vouch/subscriber"
	"vouch/subscriber/secret"
)

// Timing of certificates.
const (
	lookAgain  = 10 * time.Second // at the certificate's files
	trustAgain = time.Minute      // at the trust directory
)

// certificates is the server's own, and the judgement on those of clients.
type certificates struct {
	server *Server
	config atomic.Pointer[tls.Config] // nil for plain HTTP

	mu     sync.Mutex
	own    *tls.Certificate
	marks  [2]subscriber.Mark // of the files that own is of, or that could not be read
	looked time.Time
	warned time.Time

	trusting sync.Mutex
	anchors  *trust.Store
	path     string
	loaded   time.Time
}

// certificate reads that of a configuration; nil when there is none.
func (c Config) certificate(at time.Time) (*tls.Certificate, error) {
	if c.CertificateFile == "" {
		return nil, nil
	}
	pair, err := readPair(c)
	if err != nil {
		return nil, err
	}
	switch leaf := pair.Leaf; {
	case at.After(leaf.NotAfter):
		return nil, startError("renew it; the files are read again when they change", "http: certificate_file: %s: expired at %s", c.CertificateFile, leaf.NotAfter.UTC().Format(time.RFC3339))
	case at.Before(leaf.NotBefore):
		return nil, startError("look at the clock", "http: certificate_file: %s: not valid before %s", c.CertificateFile, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return pair, nil
}

func readPair(conf Config) (*tls.Certificate, error) {
	chain, err := secret.Public(conf.CertificateFile)
	if err != nil {
		return nil, fmt.Errorf("http: certificate_file: %w", err)
	}
	key, err := secret.Read(conf.KeyFile, maxSecret)
	if err != nil {
		return nil, fmt.Errorf("http: key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, startError("PEM files: the certificate with its chain, and its key without a passphrase", "http: certificate_file: %s and %s: %w", conf.CertificateFile, conf.KeyFile, err)
	}
	if pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	return &pair, err
}

// use takes what load read, for connections from now on.
func (c *certificates) use(conf Config, pair *tls.Certificate) {
	if pair == nil {
		c.config.Store(nil)
		return
	}
	c.mu.Lock()
	c.own, c.marks, c.looked = pair, marksOf(&conf), time.Now()
	c.mu.Unlock()
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.certificate, NextProtos: []string{"http/1.1"}}
	if conf.Clients == "require" {
		config.ClientAuth = tls.RequireAnyClientCert // judged by us
		config.VerifyConnection = c.client
	}
	c.config.Store(config)
}

func marksOf(conf *Config) [2]subscriber.Mark {
	return [2]subscriber.Mark{subscriber.MarkOf(conf.CertificateFile), subscriber.MarkOf(conf.KeyFile)}
}

func (c *certificates) on() bool { return c.config.Load() != nil }

// named says whether the server's certificate has this name.
func (c *certificates) named(host string) bool {
	if !c.on() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own.Leaf.VerifyHostname(host) == nil
}

// certificate is the newest that is good: who renews it replaces two files, one
// after the other, and perhaps with a mistake.
func (c *certificates) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, conf, log := time.Now(), c.server.conf.Load(), c.server.Log
	if now.Sub(c.looked) >= lookAgain {
		c.looked = now
		if m := marksOf(conf); m != c.marks {
			pair, err := conf.certificate(now)
			if c.marks = m; err != nil {
				log.Error("HTTP interface: the new certificate is not used", "error", err)
			} else if pair != nil {
				c.own = pair
				log.Info("HTTP interface: new certificate", "until", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
			}
		}
	}
	if until := c.own.Leaf.NotAfter; now.After(until) && now.Sub(c.warned) > time.Hour {
		c.warned = now
		log.Error("HTTP interface: the certificate has expired", "at", until.UTC().Format(time.RFC3339), "hint", "renew "+conf.CertificateFile)
	}
	return c.own, nil
}

// client judges a client's certificate as a list's signer is judged, by the
// same anchors, CRLs and signing policies; for connecting instead of signing.
// It is asked on every connection, resumed ones too.
func (c *certificates) client(state tls.ConnectionState) error {
	conf, now := c.server.conf.Load(), time.Now()
	store, err := c.store(conf, now)
	if err != nil {
		c.server.Log.Error("HTTP interface: no client can be judged", "error", err)
		return err
	}
	leaf := state.PeerCertificates[0]
	p := trust.Policy{CRL: conf.Trust.CRL, CRLGrace: conf.Trust.CRLGrace, SigningPolicy: conf.Trust.SigningPolicy, AnyPurpose: true}
	_, _, err = store.Verify(leaf, state.PeerCertificates[1:], now, p)
	if err == nil && !forClients(leaf) {
		err = errors.New("key-usage: not for clients of TLS")
	}
	if err == nil && len(conf.ClientDNs) > 0 && !slices.ContainsFunc(conf.ClientDNs, func(dn string) bool { return trust.Matches(leaf.RawSubject, dn) }) {
		err = errors.New("not in client_dns")
	}
	if err != nil {
		c.server.Log.Warn("HTTP interface: client refused", "dn", trust.OneLine(leaf.RawSubject), "reason", err)
	}
	return err
}

func forClients(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// store is the snapshot of the trust directory, at most a minute old. When the
// directory cannot be read the last one is used on: under "crl: require" it
// holds until its CRLs end.
func (c *certificates) store(conf *Config, now time.Time) (*trust.Store, error) {
	c.trusting.Lock()
	defer c.trusting.Unlock()
	if c.anchors != nil && c.path == conf.Trust.Anchors && now.Sub(c.loaded) < trustAgain {
		return c.anchors, nil
	}
	fresh, err := trust.Load(conf.Trust.Anchors)
	switch {
	case err == nil:
		c.anchors, c.path, c.loaded = fresh, conf.Trust.Anchors, now
	case c.anchors == nil || c.path != conf.Trust.Anchors:
		return nil, err
	default:
		c.server.Log.Error("HTTP interface: trust directory not read, the last one is used", "error", err)
		c.loaded = now
	}
	return c.anchors, nil
}
