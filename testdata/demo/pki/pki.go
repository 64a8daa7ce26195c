// Package pki makes a throwaway certification authority, one endorser that it
// certified, and the trust directory of a site that knows the authority. The
// demonstration and the measurements use it; nothing here is fit for more than
// an afternoon.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
)

// Endorser is somebody who signs lists, and who certified that it is them.
type Endorser struct {
	cert, ca   *x509.Certificate
	key, caKey crypto.Signer
}

// New makes an authority and an endorser, both good for three months from at.
func New(at time.Time) (*Endorser, error) {
	e := &Endorser{}
	var err error
	if e.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	// Most endorsers have an RSA key, and so do the numbers.
	if e.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	ca := template(1, "Throwaway CA", at)
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	if e.ca, err = issue(ca, ca, e.caKey, e.caKey); err != nil {
		return nil, err
	}
	alice := template(2, "Alice Endorser", at)
	alice.KeyUsage = x509.KeyUsageDigitalSignature
	alice.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	e.cert, err = issue(alice, e.ca, e.key, e.caKey)
	return e, err
}

func template(serial int64, cn string, at time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{Organization: []string{"Throwaway"}, CommonName: cn},
		NotBefore:    at.Add(-time.Hour), NotAfter: at.AddDate(0, 0, 90),
		BasicConstraintsValid: true,
	}
}

func issue(t, parent *x509.Certificate, key, parentKey crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), parentKey)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", t.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// DN is the endorser's name, as one-line text.
func (e *Endorser) DN() string { return trust.OneLine(e.cert.RawSubject) }

// CA is the authority's name, as one-line text.
func (e *Endorser) CA() string { return trust.OneLine(e.ca.RawSubject) }

// WriteTrust fills dir, which it makes, the way packages of trust anchors do:
// HASH.0 the certificate, HASH.r0 the CRL, HASH.signing_policy the names that
// the authority may certify. It returns the path of the certificate.
func (e *Endorser) WriteTrust(dir string, at time.Time) (string, error) {
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: at.Add(-time.Hour), NextUpdate: at.AddDate(0, 0, 7),
	}, e.ca, e.caKey)
	if err != nil {
		return "", fmt.Errorf("CRL: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(dir, trust.Hash(e.ca.RawSubject))
	policy := fmt.Appendf(nil, "access_id_CA  X509    '%s'\npos_rights    globus  CA:sign\ncond_subjects globus  '\"/O=Throwaway/*\"'\n", e.CA())
	for suffix, content := range map[string][]byte{
		".0":              pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.ca.Raw}),
		".r0":             pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}),
		".signing_policy": policy,
	} {
		if err := os.WriteFile(name+suffix, content, 0o644); err != nil {
			return "", err
		}
	}
	return name + ".0", nil
}

// WriteCredential puts the endorser's certificate and key into dir, which it
// makes, under the names that grid tools use.
func (e *Endorser) WriteCredential(dir string) error {
	key, err := x509.MarshalPKCS8PrivateKey(e.key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.cert.Raw})
	if err := os.WriteFile(filepath.Join(dir, "usercert.pem"), cert, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "userkey.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
}

// Sign names the endorser in the list and makes the signed message of it.
func (e *Endorser) Sign(l *imagelist.List) ([]byte, error) {
	l.Endorsers = []imagelist.Endorser{{DN: e.DN(), CA: e.CA(), Email: "alice@example.org", Creator: "Alice Endorser"}}
	content, err := l.Encode()
	if err != nil {
		return nil, err
	}
	return smime.Sign(content, e.cert, e.key, nil, smime.SignOptions{At: l.Created})
}

// SignText signs any text, clear-signed or with the text inside.
func (e *Endorser) SignText(text []byte, opaque bool) ([]byte, error) {
	return smime.Sign(text, e.cert, e.key, nil, smime.SignOptions{Opaque: opaque})
}
