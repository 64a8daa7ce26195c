package trust

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The sizes of RSA keys that are worked with, in bits. Two real IGTF roots
// have 8192; more is only there to cost time (T-46).
const (
	minRSA = 2048
	maxRSA = 8192
)

// signatureAlgorithms are those a CRL may be signed with. SHA-1 is one: its
// forgery needs the CA to sign what an attacker wrote, and what a CRL says is
// the CA's own. MD5 is not.
var signatureAlgorithms = map[string]x509.SignatureAlgorithm{
	"1.2.840.113549.1.1.5":  x509.SHA1WithRSA,
	"1.3.14.3.2.29":         x509.SHA1WithRSA,
	"1.2.840.113549.1.1.11": x509.SHA256WithRSA,
	"1.2.840.113549.1.1.12": x509.SHA384WithRSA,
	"1.2.840.113549.1.1.13": x509.SHA512WithRSA,
	"1.2.840.10045.4.1":     x509.ECDSAWithSHA1,
	"1.2.840.10045.4.3.2":   x509.ECDSAWithSHA256,
	"1.2.840.10045.4.3.3":   x509.ECDSAWithSHA384,
	"1.2.840.10045.4.3.4":   x509.ECDSAWithSHA512,
	"1.3.101.112":           x509.PureEd25519,
}

// pssAlgorithms are those of RSASSA-PSS, by the digest its parameters name.
var pssAlgorithms = map[string]x509.SignatureAlgorithm{
	"2.16.840.1.101.3.4.2.1": x509.SHA256WithRSAPSS,
	"2.16.840.1.101.3.4.2.2": x509.SHA384WithRSAPSS,
	"2.16.840.1.101.3.4.2.3": x509.SHA512WithRSAPSS,
}

const oidRSASSAPSS = "1.2.840.113549.1.1.10"

// signatureAlgorithm reads an AlgorithmIdentifier. An unknown one is
// UnknownSignatureAlgorithm, which verifies nothing.
func signatureAlgorithm(element cryptobyte.String) x509.SignatureAlgorithm {
	var body cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !element.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&oid) {
		return x509.UnknownSignatureAlgorithm
	}
	if oid.String() == oidRSASSAPSS {
		return pssAlgorithm(body)
	}
	return signatureAlgorithms[oid.String()]
}

// pssAlgorithm looks at the digest alone: crypto/x509 then verifies with the
// mask and the salt that belong to it, and any others fail there.
func pssAlgorithm(parameters cryptobyte.String) x509.SignatureAlgorithm {
	var body, explicit, digest cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !parameters.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&explicit, context(0).Constructed()) ||
		!explicit.ReadASN1(&digest, cbasn1.SEQUENCE) || !digest.ReadASN1ObjectIdentifier(&oid) {
		return x509.UnknownSignatureAlgorithm
	}
	return pssAlgorithms[oid.String()]
}

// signedBy reports whether the parent's key made the child's signature,
// whatever the parent is allowed to sign. SHA-1 counts, and a digest too weak
// to be computed is believed: this explains refusals and recognises roots, it
// never accepts a link.
func signedBy(child, parent *x509.Certificate) bool {
	err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	var insecure x509.InsecureAlgorithmError
	return err == nil || errors.As(err, &insecure)
}

// weakSignature reports whether a certificate is signed over MD5 or SHA-1.
func weakSignature(c *x509.Certificate) bool {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return true
	}
	return false
}

// foreignSignature reports whether a certificate is signed in a way that
// crypto/x509 does not check: RSA-PSS with another salt than the digest's
// length, for one.
func foreignSignature(c *x509.Certificate) bool {
	return c.SignatureAlgorithm == x509.UnknownSignatureAlgorithm || c.SignatureAlgorithm == x509.DSAWithSHA256
}

// rsaBits is the size of an RSA key, 0 for other keys.
func rsaBits(c *x509.Certificate) int {
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok {
		return key.N.BitLen()
	}
	return 0
}

var (
	errOtherIssuer = errors.New("it is another issuer's")
	errOtherKey    = errors.New("it is by another key of the issuer")
	errNoCRLSign   = errors.New("the issuer's key usage does not allow CRLs")
	errOldDigest   = errors.New("its signature uses a digest that is not accepted")
	errSignature   = errors.New("its signature is bad")

	errNoNextUpdate = errors.New("it does not say when the next one is due")
)

// signedBy says why the CRL is not one of this issuer certificate, if it is
// not: name, key, and the signature, which is verified once per key.
func (c *crl) signedBy(issuer *x509.Certificate) error {
	switch {
	case !bytes.Equal(c.issuer, issuer.RawSubject):
		return errOtherIssuer
	case c.keyID != nil && issuer.SubjectKeyId != nil && !bytes.Equal(c.keyID, issuer.SubjectKeyId):
		return errOtherKey
	case hasExtension(issuer, oidKeyUsage) && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return errNoCRLSign
	case c.algorithm == x509.UnknownSignatureAlgorithm:
		return errOldDigest
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := string(issuer.RawSubjectPublicKeyInfo)
	err, known := c.verified[key]
	if !known {
		if issuer.CheckSignature(c.algorithm, c.tbs, c.signature) != nil {
			err = errSignature
		}
		c.verified[key] = err
	}
	return err
}
