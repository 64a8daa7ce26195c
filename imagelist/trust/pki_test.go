package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// now is the instant of every test that does not say otherwise.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// identity is a certificate and its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serials atomic.Int64

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dn makes the DER of a name from "DC=org", "CN=x" and so on, one RDN each.
func dn(t testing.TB, parts ...string) []byte {
	t.Helper()
	oids := map[string]asn1.ObjectIdentifier{"C": {2, 5, 4, 6}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}, "CN": {2, 5, 4, 3},
		"DC": {0, 9, 2342, 19200300, 100, 1, 25}, "emailAddress": {1, 2, 840, 113549, 1, 9, 1}}
	var seq pkix.RDNSequence
	for _, p := range parts {
		label, value, _ := strings.Cut(p, "=")
		seq = append(seq, pkix.RelativeDistinguishedNameSET{{Type: oids[label], Value: value}})
	}
	raw, err := asn1.Marshal(seq)
	must(t, err)
	return raw
}

// option changes a certificate before it is signed.
type option func(*x509.Certificate)

func issue(t testing.TB, subject []byte, issuer *identity, key crypto.Signer, options ...option) *identity {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + serials.Add(1)), RawSubject: subject,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), BasicConstraintsValid: true,
	}
	for _, o := range options {
		o(template)
	}
	self := &identity{template, key}
	if issuer == nil {
		issuer = self
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, key.Public(), issuer.key)
	must(t, err)
	self.cert, err = x509.ParseCertificate(der)
	must(t, err)
	return self
}

func asCA(c *x509.Certificate) {
	c.IsCA = true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

func asUser(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth}
}

func valid(from, to time.Time) option {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}

func withExtension(critical bool, oid ...int) option {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: []byte{5, 0}})
	}
}

func newRoot(t testing.TB, subject []byte, options ...option) *identity {
	return issue(t, subject, nil, ecKey(t), append([]option{asCA}, options...)...)
}

func (ca *identity) sub(t testing.TB, subject []byte, options ...option) *identity {
	return issue(t, subject, ca, ecKey(t), append([]option{asCA}, options...)...)
}

func (ca *identity) user(t testing.TB, subject []byte, options ...option) *identity {
	return issue(t, subject, ca, ecKey(t), append([]option{asUser}, options...)...)
}

// crl makes a current revocation list; change may spoil it.
func (ca *identity) crl(t testing.TB, change func(*x509.RevocationList), revoked ...*identity) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: now.Add(-2 * time.Hour)})
	}
	if change != nil {
		change(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	must(t, err)
	return der
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// directory is a trust directory under construction.
type directory struct {
	t    testing.TB
	path string
}

func newDirectory(t testing.TB) *directory { return &directory{t, t.TempDir()} }

func (d *directory) put(name string, data []byte) {
	d.t.Helper()
	must(d.t, os.WriteFile(filepath.Join(d.path, name), data, 0o644))
}

func (d *directory) remove(name string) { must(d.t, os.Remove(filepath.Join(d.path, name))) }

func (d *directory) load() *Store {
	d.t.Helper()
	s, err := Load(d.path)
	must(d.t, err)
	return s
}

// anchor installs a CA with a signing policy that permits /DC=org/* and an
// empty CRL, the way IGTF packages and fetch-crl do.
func (d *directory) anchor(ca *identity) {
	d.t.Helper()
	d.cert(ca)
	d.put(file(ca, "signing_policy"), signingPolicyFor(ca, "/DC=org/*"))
	d.put(file(ca, "r0"), toPEM(pemCRL, ca.crl(d.t, nil)))
}

// cert installs the certificate alone, under both hashes.
func (d *directory) cert(ca *identity) {
	d.t.Helper()
	alias := fmt.Sprintf("ca-%x.pem", ca.cert.SerialNumber)
	d.put(alias, toPEM(pemCertificate, ca.cert.Raw))
	for _, hash := range hashesOf(ca.cert.RawSubject) {
		for n := 0; ; n++ {
			if os.Symlink(alias, filepath.Join(d.path, fmt.Sprintf("%s.%d", hash, n))) == nil {
				break
			}
		}
	}
}

func file(ca *identity, suffix string) string { return Hash(ca.cert.RawSubject) + "." + suffix }

func signingPolicyFor(ca *identity, patterns ...string) []byte {
	return fmt.Appendf(nil, "# a CA\naccess_id_CA X509 '%s'\npos_rights globus CA:sign\ncond_subjects globus '\"%s\"'\n",
		OneLine(ca.cert.RawSubject), strings.Join(patterns, `" "`))
}

func namespacesFor(ca *identity, effect, pattern string) []byte {
	return fmt.Appendf(nil, "#NAMESPACES-VERSION: 1.0\n\nTO Issuer \"%s\" \\\n  %s Subject \"%s\"\n", OneLine(ca.cert.RawSubject), effect, pattern)
}

// world is a root, a subordinate of it, both installed, and a user of the subordinate.
type world struct {
	*directory
	root, ca, user *identity
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{directory: newDirectory(t)}
	w.root = newRoot(t, dn(t, "DC=org", "DC=example", "CN=Root"))
	w.ca = w.root.sub(t, dn(t, "DC=org", "DC=example", "CN=Issuing CA"))
	w.user = w.ca.user(t, dn(t, "DC=org", "DC=example", "CN=Alice"))
	w.anchor(w.root)
	w.anchor(w.ca)
	return w
}

// openssl runs openssl in dir and returns its output.
func openssl(t testing.TB, dir string, stdin []byte, args ...string) string {
	t.Helper()
	needOpenSSL(t)
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(string(stdin))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, stderr.String())
	}
	return string(out)
}

func needOpenSSL(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}
