package smime

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "crypto/md5" // to tell a weak signature from a wrong one
	"crypto/rsa"
	_ "crypto/sha1" // Options.AllowSHA1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"vouch/imagelist/verdict"
)

// Bounds of an RSA modulus in bits. Under minRSACheck the standard library
// refuses to verify at all; over maxRSA verifying is slow enough to be an
// attack (two real IGTF CAs have 8192).
const (
	minRSACheck = 1024
	minRSA      = 2048
	maxRSA      = 8192
)

// RFC 8017 appendix C.
var (
	oidRSA = pkcs1(1)
	oidMGF = pkcs1(8)
	oidPSS = pkcs1(10)
)

// digest is a message digest and the signature algorithms bound to it (RFC
// 3370, RFC 5754, RFC 5758).
type digest struct {
	hash   crypto.Hash
	oid    asn1.ObjectIdentifier
	rsa    asn1.ObjectIdentifier
	ecdsa  asn1.ObjectIdentifier // nil if there is none
	micalg string                // RFC 8551 §3.5.3.2
}

var digests = []digest{
	{crypto.SHA256, nist(1), pkcs1(11), x962(3, 2), "sha-256"},
	{crypto.SHA384, nist(2), pkcs1(12), x962(3, 3), "sha-384"},
	{crypto.SHA512, nist(3), pkcs1(13), x962(3, 4), "sha-512"},
	{crypto.SHA1, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, pkcs1(5), x962(1), "sha-1"},
	{crypto.MD5, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}, pkcs1(4), nil, "md5"},
}

func nist(n int) asn1.ObjectIdentifier  { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, n} }
func pkcs1(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, n} }
func x962(n ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 10045, 4}, n...)
}

// scheme is how one signature is to be checked.
type scheme struct {
	digest digest
	kind   kind
	salt   int // of RSA-PSS, in bytes
}

type kind int

const (
	rsaPKCS1 kind = iota
	rsaPSS
	ecDSA
)

// schemeOf reads a signer's algorithms; the error says what is unsupported.
func schemeOf(info *signerInfo) (scheme, error) {
	var s scheme
	for _, d := range digests {
		if d.oid.Equal(info.DigestAlgorithm.Algorithm) {
			s.digest = d
		}
	}
	if s.digest.hash == 0 || !plain(info.DigestAlgorithm) {
		return s, fmt.Errorf("digest algorithm %v", info.DigestAlgorithm.Algorithm)
	}
	a := info.SignatureAlgorithm
	switch {
	case a.Algorithm.Equal(oidPSS):
		s.kind = rsaPSS
		return s, s.readPSS(a)
	case a.Algorithm.Equal(s.digest.ecdsa):
		s.kind = ecDSA
	case a.Algorithm.Equal(oidRSA), a.Algorithm.Equal(s.digest.rsa):
		s.kind = rsaPKCS1
	default:
		return s, fmt.Errorf("signature algorithm %v with digest %s", a.Algorithm, s.digest.micalg)
	}
	if !plain(a) {
		return s, fmt.Errorf("parameters of signature algorithm %v", a.Algorithm)
	}
	return s, nil
}

// plain says whether an algorithm has no parameters, or NULL.
func plain(a algorithm) bool {
	n := fields(a.Raw)
	return n == 1 || n == 2 && bytes.Equal(a.Parameters.FullBytes, asn1.NullBytes)
}

// pssParameters is RFC 4055 §3.1. The defaults are SHA-1, so hash and mask
// function have to be given.
type pssParameters struct {
	Hash    algorithm `asn1:"explicit,tag:0"`
	MGF     algorithm `asn1:"explicit,tag:1"`
	Salt    int       `asn1:"optional,explicit,tag:2,default:20"`
	Trailer int       `asn1:"optional,explicit,tag:3,default:1"`
}

// readPSS takes RSA-PSS with one hash for message, mask and signature.
func (s *scheme) readPSS(a algorithm) error {
	var p pssParameters
	var mask algorithm
	if err := unmarshal(a.Parameters.FullBytes, &p); err != nil {
		return fmt.Errorf("RSA-PSS parameters: %w", err)
	}
	if err := unmarshal(p.MGF.Parameters.FullBytes, &mask); err != nil {
		return fmt.Errorf("RSA-PSS mask function: %w", err)
	}
	same := p.Hash.Algorithm.Equal(s.digest.oid) && p.MGF.Algorithm.Equal(oidMGF) && mask.Algorithm.Equal(s.digest.oid)
	if !same || p.Trailer != 1 || p.Salt < 0 || p.Salt > maxRSA/8 {
		return errors.New("RSA-PSS parameters other than one hash for all")
	}
	s.salt = p.Salt
	return nil
}

// CheckKey asks whether Open takes signatures by a public key: RSA of 2048 to
// 8192 bits, ECDSA on P-256, P-384 or P-521. The error is the rejection a
// subscriber would give, a *verdict.Rejection with weak-algorithm or
// unsupported-algorithm.
func CheckKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch bits := k.N.BitLen(); {
		case bits < minRSA:
			return verdict.Reject(verdict.WeakAlgorithm, "RSA key of %d bits, at least %d", bits, minRSA)
		case bits > maxRSA:
			return verdict.Reject(verdict.UnsupportedAlgorithm, "RSA key of %d bits, at most %d", bits, maxRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return verdict.Reject(verdict.UnsupportedAlgorithm, "ECDSA on curve %s", k.Params().Name)
	}
	return verdict.Reject(verdict.UnsupportedAlgorithm, "keys of type %T", key)
}

// checkDigest holds a digest against the rules of a subscription.
func checkDigest(h crypto.Hash, o Options) error {
	if h == crypto.MD5 || h == crypto.SHA1 && !o.AllowSHA1 {
		return verdict.Reject(verdict.WeakAlgorithm, "message digest %v", h)
	}
	return nil
}

// sameMicalg compares a micalg parameter with a digest in any spelling in use:
// sha-256, sha256, SHA256.
func sameMicalg(micalg string, d digest) bool {
	squeeze := strings.NewReplacer("-", "", "_", "")
	return squeeze.Replace(strings.ToLower(micalg)) == squeeze.Replace(d.micalg)
}
