package listtest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/trust"
)

// Identity is a certificate with its key.
type Identity struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	t    testing.TB
}

// CA is a certification authority named /DC=org/DC=example/CN=<cn>.
type CA struct {
	Identity
	at      time.Time
	revoked []x509.RevocationListEntry
}

// An Option changes a certificate before it is signed.
type Option func(*request)

type request struct {
	x509.Certificate
	dn     string
	kind   kind
	newKey bool
}

// RSA asks for an RSA key of 2048 bits; without it keys are P-256.
func RSA() Option { return func(r *request) { r.kind = rsa2048 } }

// NewKey asks for a key of its own; without it everybody of one name and kind of
// key has the same one in the whole process.
func NewKey() Option { return func(r *request) { r.newKey = true } }

// Valid sets the time of validity.
func Valid(from, until time.Time) Option {
	return func(r *request) { r.NotBefore, r.NotAfter = from, until }
}

// Usage sets key usage and extended key usages.
func Usage(usage x509.KeyUsage, extended ...x509.ExtKeyUsage) Option {
	return func(r *request) { r.KeyUsage, r.ExtKeyUsage = usage, extended }
}

// Subject sets the whole DN, as one-line text without escapes.
func Subject(dn string) Option { return func(r *request) { r.dn = dn } }

// Extension adds one.
func Extension(oid asn1.ObjectIdentifier, critical bool, value []byte) Option {
	return func(r *request) {
		r.ExtraExtensions = append(r.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: value})
	}
}

// NewCA makes a self-signed authority, good from ten years before to ten years
// after now.
func NewCA(t testing.TB, cn string, options ...Option) *CA {
	t.Helper()
	r := request{dn: "/DC=org/DC=example/CN=" + cn}
	r.NotBefore = time.Now()
	r.IsCA, r.BasicConstraintsValid = true, true
	r.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	for _, o := range options {
		o(&r)
	}
	at := r.NotBefore.UTC().Truncate(time.Second)
	if r.NotAfter.IsZero() {
		r.NotBefore, r.NotAfter = at.AddDate(-10, 0, 0), at.AddDate(10, 0, 0)
	}
	return &CA{Identity: *sign(t, &r, nil), at: at}
}

// Issue certifies /DC=org/DC=example/OU=people/CN=<cn> for signing mail, for a
// year around the CA's instant.
func (ca *CA) Issue(cn string, options ...Option) *Identity {
	ca.t.Helper()
	r := request{dn: "/DC=org/DC=example/OU=people/CN=" + cn}
	r.NotBefore, r.NotAfter = ca.at.AddDate(0, -1, 0), ca.at.AddDate(0, 11, 0)
	r.KeyUsage = x509.KeyUsageDigitalSignature
	r.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection}
	r.BasicConstraintsValid = true
	for _, o := range options {
		o(&r)
	}
	return sign(ca.t, &r, &ca.Identity)
}

// Proxy makes an RFC 3820 proxy certificate, issued by the identity itself.
func (id *Identity) Proxy() *Identity {
	id.t.Helper()
	r := request{dn: id.DN() + "/CN=1234"}
	r.NotBefore, r.NotAfter = id.Cert.NotBefore, id.Cert.NotAfter
	r.KeyUsage = x509.KeyUsageDigitalSignature
	// proxyCertInfo with policy language id-ppl-inheritAll.
	Extension(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 14}, true,
		[]byte{0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x15, 0x01})(&r)
	return sign(id.t, &r, id)
}

var serials atomic.Int64

// sign makes the certificate; without an issuer it is self-signed.
func sign(t testing.TB, r *request, issuer *Identity) *Identity {
	t.Helper()
	r.SerialNumber = big.NewInt(serials.Add(1))
	r.RawSubject = name(t, r.dn)
	owner := r.dn
	if r.newKey {
		owner += " " + r.SerialNumber.String()
	}
	id := &Identity{Key: keyOf(t, owner, r.kind), t: t}
	parent, key := &r.Certificate, id.Key
	if issuer != nil {
		parent, key = issuer.Cert, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, &r.Certificate, parent, id.Key.Public(), key)
	if err != nil {
		t.Fatalf("certificate of %s: %v", r.dn, err)
	}
	if id.Cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatalf("certificate of %s: %v", r.dn, err)
	}
	return id
}

// attributes are the labels that name reads: their types and string types.
var attributes = map[string]struct {
	oid asn1.ObjectIdentifier
	tag int
}{
	"DC": {asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, asn1.TagIA5String},
	"C":  {asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.TagPrintableString},
	"O":  {asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.TagUTF8String},
	"OU": {asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.TagUTF8String},
	"CN": {asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.TagUTF8String},
}

// name encodes one-line text. A step that is no LABEL=value belongs to the
// value before it, so that /CN=host/ce.example.org is one attribute.
func name(t testing.TB, dn string) []byte {
	t.Helper()
	var sets []pkix.RelativeDistinguishedNameSET
	for _, step := range strings.Split(dn, "/")[1:] {
		label, value, _ := strings.Cut(step, "=")
		a, known := attributes[label]
		if !known {
			if len(sets) == 0 {
				t.Fatalf("name %q: unknown attribute %q", dn, label)
			}
			last := &sets[len(sets)-1][0]
			raw := last.Value.(asn1.RawValue)
			raw.Bytes = append(append(raw.Bytes, '/'), step...)
			last.Value = raw
			continue
		}
		sets = append(sets, pkix.RelativeDistinguishedNameSET{{Type: a.oid, Value: asn1.RawValue{Tag: a.tag, Bytes: []byte(value)}}})
	}
	der, err := asn1.Marshal(sets)
	if err != nil {
		t.Fatalf("name %q: %v", dn, err)
	}
	return der
}

// DN is the subject as one-line text.
func (id *Identity) DN() string { return trust.OneLine(id.Cert.RawSubject) }

// IssuerDN is the issuer as one-line text.
func (id *Identity) IssuerDN() string { return trust.OneLine(id.Cert.RawIssuer) }

// Endorser is the identity as a list names it.
func (id *Identity) Endorser() imagelist.Endorser {
	return imagelist.Endorser{DN: id.DN(), CA: id.IssuerDN(), Email: "endorser@example.org", Creator: "An Endorser"}
}

// Authorised is the identity as a site authorises it.
func (id *Identity) Authorised() imagelist.Authorised {
	return imagelist.Authorised{DN: id.DN(), CA: id.IssuerDN()}
}

// WritePEM writes <name>.pem and <name>.key into dir and returns their paths.
func (id *Identity) WritePEM(dir, name string) (cert, key string) {
	id.t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	replace(id.t, cert, certPEM(id.Cert), 0o644)
	replace(id.t, key, keyPEM(id.t, id.Key), 0o600)
	return cert, key
}

// Revoke puts a certificate on the CRL that the next WriteTo writes.
func (ca *CA) Revoke(id *Identity) {
	ca.revoked = append(ca.revoked, x509.RevocationListEntry{
		SerialNumber: id.Cert.SerialNumber, RevocationTime: ca.at.Add(-time.Hour), ReasonCode: 1,
	})
}
