package smime

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"go.mozilla.org/pkcs7"

	"vouch/imagelist/verdict"
)

var errDigest = errors.New("the content is not what was signed")

// form is one reading of the content.
type form struct {
	hashed  []byte
	content []byte // hashed, without the part's own header
}

// judgement is what one signer's signature turned out to cover.
type judgement struct {
	form   form
	digest digest
}

// judge checks one signer: signature, then strength, then support, the order
// in which verdicts are given. A signature that cannot be checked for want of
// an algorithm, or that costs too much to check, is not called wrong.
func judge(s *signer, forms []form, o Options) (judgement, error) {
	key := CheckKey(s.certificate.PublicKey)
	if verdict.Of(key) == verdict.UnsupportedAlgorithm {
		return judgement{}, key
	}
	how, err := schemeOf(s.info)
	if err != nil {
		return judgement{}, verdict.Reject(verdict.UnsupportedAlgorithm, "%v", err)
	}
	j := judgement{digest: how.digest}
	if k, ok := s.certificate.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < minRSACheck {
		return j, key
	}
	if j.form, err = signedForm(s, how, forms); err != nil {
		return j, verdict.Reject(verdict.Signature, "%v", err)
	}
	if err := checkDigest(how.digest.hash, o); err != nil {
		return j, err
	}
	return j, key
}

// signedForm returns the first of forms that the signature covers. The PKCS#7
// library does not know RSA-PSS, signers named by key identifier, and MD5.
func signedForm(s *signer, how scheme, forms []form) (f form, err error) {
	check := checkLibrary
	if how.kind == rsaPSS || s.keyID || how.digest.hash == crypto.MD5 {
		check = checkStandard
	}
	for _, f = range forms {
		if err = check(s, how, f.hashed); !errors.Is(err, errDigest) {
			return f, err
		}
	}
	return f, err
}

// checkLibrary checks RSA (PKCS #1 v1.5) and ECDSA signatures with the PKCS#7
// library. It is given a message reduced to the one SignerInfo and the one
// certificate in question, without content: it fails on certificates and CRLs
// that Go cannot parse and takes embedded content for the signed one.
func checkLibrary(s *signer, _ scheme, content []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the PKCS#7 library cannot read the message: %v", r)
		}
	}()
	der, err := reduced(s)
	if err != nil {
		return err
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return err
	}
	p7.Content = content
	p7.Certificates = []*x509.Certificate{untimed(s)}
	var mismatch *pkcs7.MessageDigestMismatchError
	if err := p7.Verify(); errors.As(err, &mismatch) {
		return errDigest
	} else if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	return nil
}

// untimed is the signer's certificate with a validity that holds at the
// signing time: the library compares the two, but that time is only a claim,
// and validity is asked at the instant of the run, by package trust.
func untimed(s *signer) *x509.Certificate {
	c := *s.certificate
	c.NotBefore, c.NotAfter = s.attributes.signingTime, s.attributes.signingTime
	return &c
}

// reduced encodes a message with nothing in it but one signer, without
// unsigned attributes, which mean nothing here and need not be well-formed.
func reduced(s *signer) ([]byte, error) {
	info := *s.info
	info.Raw, info.UnsignedAttributes = nil, asn1.RawValue{}
	return encodeMessage(signedData{
		Version:          1,
		DigestAlgorithms: []algorithm{s.info.DigestAlgorithm},
		Encapsulated:     contentInfo{Type: oidData},
		Certificates:     implicit(0, s.certificate.Raw),
		Signers:          []signerInfo{info},
	})
}

// encodeMessage wraps a SignedData as a ContentInfo.
func encodeMessage(d signedData) ([]byte, error) {
	inner, err := asn1.Marshal(d)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{Type: oidSignedData, Content: implicit(0, inner)})
}

// implicit is a constructed element with a context-specific tag.
func implicit(tag int, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: content}
}

// checkStandard checks with the standard library alone.
func checkStandard(s *signer, how scheme, content []byte) error {
	h := how.digest.hash.New()
	h.Write(content)
	if !bytes.Equal(h.Sum(nil), s.attributes.digest) {
		return errDigest
	}
	h.Reset()
	h.Write(s.attributes.der)
	if !how.verify(s.certificate.PublicKey, h.Sum(nil), s.info.Signature) {
		return errors.New("signature: not made by the signer's key")
	}
	return nil
}

// verify checks a signature over a digest. A key of the wrong kind has made none.
func (how scheme) verify(key crypto.PublicKey, sum, signature []byte) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch how.kind {
		case rsaPSS:
			return rsa.VerifyPSS(k, how.digest.hash, sum, signature, &rsa.PSSOptions{SaltLength: how.salt}) == nil
		case rsaPKCS1:
			return rsa.VerifyPKCS1v15(k, how.digest.hash, sum, signature) == nil
		}
	case *ecdsa.PublicKey:
		return how.kind == ecDSA && ecdsa.VerifyASN1(k, sum, signature)
	}
	return false
}
