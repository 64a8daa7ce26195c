// Package smime opens and makes the envelope of an image list: RFC 8551
// multipart/signed, opaque application/pkcs7-mime and bare PKCS#7 (PEM or
// DER), around RFC 5652 SignedData.
//
// It knows MIME canonical form, CMS structure and algorithm policy. It does
// not know JSON, trust or time: a nil error from Open says that exactly these
// content bytes were signed by the key of Signed.Signer, and nothing about
// who that is. It is the only importer of go.mozilla.org/pkcs7.
package smime

import (
	"crypto"
	"crypto/x509"
	"time"
)

// Options weaken the rules for one subscription. The zero value is strict.
type Options struct {
	AllowSHA1 bool // accept SHA-1 message digests (micalg=sha1 lists of old); never MD5
	Binary    bool // also try the content as it stands (openssl -binary) when the canonical form does not verify
}

// Signed is an opened message. Content is the very bytes that were hashed,
// except for a text/plain header of the signed part itself, which is hashed
// but is no content.
type Signed struct {
	Content      []byte              // canonical (CRLF) form; as it stands when embedded, or under Options.Binary
	Signer       *x509.Certificate   // the one signer
	Certificates []*x509.Certificate // all parsable certificates of the message, the signer's included; untrusted
	SigningTime  time.Time           // the signer's claim, never used for a decision; zero if absent
	Digest       crypto.Hash
	Detached     bool
	Warnings     []string // oddities that decide nothing: micalg that does not match, missing protocol, SHA-1
}

// Limits of Open (T-46): a message outside of them is malformed-envelope.
const (
	MaxPKCS7        = 1 << 20  // bytes of the PKCS#7 structure beside embedded content
	MaxHeader       = 64 << 10 // bytes of one MIME header block
	MaxCertificates = 16
	MaxSignerInfos  = 8
	MaxName         = 4 << 10 // bytes of a certificate's subject or issuer
	MaxDepth        = 32      // levels of ASN.1
	MaxNodes        = 50000   // ASN.1 elements
)
