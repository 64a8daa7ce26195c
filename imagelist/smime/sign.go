package smime

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// SignOptions says how to sign. The zero value makes a clear-signed message
// with SHA-256 and no signing time.
type SignOptions struct {
	Hash   crypto.Hash // SHA-256 (when zero), SHA-384 or SHA-512
	Opaque bool        // application/pkcs7-mime, the content inside the structure
	At     time.Time   // the signing time claimed, to the second; none when zero
}

// Sign makes an S/MIME message of content, a JSON document, signed by key,
// whose certificate is cert. The message carries cert and chain, at most
// MaxCertificates, and no other copy of either.
//
// The content is signed in canonical form (see Canonical). The message has the
// shape that openssl smime -sign writes and old subscribers read: header lines
// end in LF, content lines in CRLF, and the signed part has no MIME header.
// What Open does not give back as it went in is refused: content that begins
// like a MIME header, or has a CR that ends no line.
//
// Errors are for the endorser, not rejections of a message: a key that does
// not match the certificate, is too short (RSA under 2048 bits) or of a kind
// Open does not take, and a digest other than those of SignOptions.
func Sign(content []byte, cert *x509.Certificate, key crypto.Signer, chain []*x509.Certificate, o SignOptions) ([]byte, error) {
	d, err := signingDigest(o.Hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if err := matches(cert, key); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	content = Canonical(content)
	if err := signable(content); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	info, err := newSignerInfo(content, cert, key, d, o.At)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	p7, err := encodeSigned(content, info, append([]*x509.Certificate{cert}, chain...), o.Opaque)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if o.Opaque {
		return writeOpaque(p7), nil
	}
	return writeSigned(content, p7, d.micalg), nil
}

func signingDigest(h crypto.Hash) (digest, error) {
	if h == 0 {
		h = crypto.SHA256
	}
	for _, d := range digests {
		if d.hash == h && checkDigest(h, Options{}) == nil {
			return d, nil
		}
	}
	return digest{}, fmt.Errorf("message digest %v: use SHA-256, SHA-384 or SHA-512", h)
}

// matches asks that key is the one that cert certifies, and one Open takes.
func matches(cert *x509.Certificate, key crypto.Signer) error {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return errors.New("the key does not match the certificate")
	}
	return CheckKey(cert.PublicKey)
}

// signable refuses canonical content that would be read otherwise.
func signable(content []byte) error {
	if startsWithField(content) {
		return errors.New("content: begins like a MIME header")
	}
	if isAttributes(content) {
		return errors.New("content: is an encoding of attributes")
	}
	if bytes.Count(content, []byte{'\r'}) != bytes.Count(content, []byte("\r\n")) {
		return errors.New("content: a carriage return that ends no line")
	}
	return nil
}

// newSignerInfo signs content (RFC 5652 §5.3, version 1).
func newSignerInfo(content []byte, cert *x509.Certificate, key crypto.Signer, d digest, at time.Time) (*signerInfo, error) {
	h := d.hash.New()
	h.Write(content)
	attributes, err := encodeAttributes(h.Sum(nil), at)
	if err != nil {
		return nil, fmt.Errorf("signed attributes: %w", err)
	}
	h.Reset()
	h.Write(attributes)
	signature, err := key.Sign(rand.Reader, h.Sum(nil), d.hash)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	sid, err := asn1.Marshal(issuerAndSerial{
		Issuer: asn1.RawValue{FullBytes: cert.RawIssuer},
		Serial: cert.SerialNumber,
	})
	if err != nil {
		return nil, fmt.Errorf("signer identifier: %w", err)
	}
	attributes[0] = 0xa0 // IMPLICIT [0]; as a SET OF it was signed
	return &signerInfo{
		Version:            1,
		SID:                asn1.RawValue{FullBytes: sid},
		DigestAlgorithm:    algorithm{Algorithm: d.oid},
		SignedAttributes:   asn1.RawValue{FullBytes: attributes},
		SignatureAlgorithm: signatureAlgorithm(key.Public(), d),
		Signature:          signature,
	}, nil
}

// signatureAlgorithm is rsaEncryption for RSA, as OpenSSL writes it, because
// old readers do not know the names that include a digest.
func signatureAlgorithm(key crypto.PublicKey, d digest) algorithm {
	if _, ok := key.(*ecdsa.PublicKey); ok {
		return algorithm{Algorithm: d.ecdsa}
	}
	return algorithm{Algorithm: oidRSA, Parameters: asn1.NullRawValue}
}

// encodeAttributes is the SET OF signed attributes.
func encodeAttributes(sum []byte, at time.Time) ([]byte, error) {
	var list []attribute
	add := func(oid asn1.ObjectIdentifier, value any) error {
		der, err := asn1.Marshal(value)
		list = append(list, attribute{Type: oid, Values: []asn1.RawValue{{FullBytes: der}}})
		return err
	}
	err := errors.Join(add(oidContentType, oidData), add(oidMessageDigest, sum))
	if !at.IsZero() {
		err = errors.Join(err, add(oidSigningTime, at.UTC()))
	}
	if err != nil {
		return nil, err
	}
	return asn1.MarshalWithParams(list, "set")
}

// encodeSigned is the ContentInfo, with the content inside when embed is set.
func encodeSigned(content []byte, info *signerInfo, certs []*x509.Certificate, embed bool) ([]byte, error) {
	set, err := encodeCertificates(certs)
	if err != nil {
		return nil, err
	}
	d := signedData{
		Version:          1,
		DigestAlgorithms: []algorithm{info.DigestAlgorithm},
		Encapsulated:     contentInfo{Type: oidData},
		Certificates:     set,
		Signers:          []signerInfo{*info},
	}
	if embed {
		octets, err := asn1.Marshal(content)
		if err != nil {
			return nil, err
		}
		d.Encapsulated.Content = implicit(0, octets)
	}
	p7, err := encodeMessage(d)
	if err == nil && len(p7)-len(d.Encapsulated.Content.Bytes) > MaxPKCS7 {
		err = fmt.Errorf("certificates: more than %d bytes", MaxPKCS7)
	}
	return p7, err
}

// encodeCertificates is the [0] SET OF certificates, sorted as DER wants it.
func encodeCertificates(certs []*x509.Certificate) (asn1.RawValue, error) {
	var list []asn1.RawValue
	seen := make(map[string]bool, len(certs))
	for _, c := range certs {
		if !seen[string(c.Raw)] {
			seen[string(c.Raw)] = true
			list = append(list, asn1.RawValue{FullBytes: c.Raw})
		}
	}
	if len(list) > MaxCertificates {
		return asn1.RawValue{}, fmt.Errorf("%d certificates, at most %d", len(list), MaxCertificates)
	}
	der, err := asn1.MarshalWithParams(list, "set")
	if err != nil {
		return asn1.RawValue{}, err
	}
	der[0] = 0xa0
	return asn1.RawValue{FullBytes: der}, nil
}

// writeSigned is the clear-signed message. The boundary is random, so that no
// content can contain it.
func writeSigned(content, p7 []byte, micalg string) []byte {
	boundary := "----" + rand.Text()
	var b bytes.Buffer
	b.Grow(len(content) + 2*len(p7) + 1024)
	fmt.Fprintf(&b, "MIME-Version: 1.0\n"+
		"Content-Type: multipart/signed; protocol=\"application/x-pkcs7-signature\"; micalg=\"%s\"; boundary=\"%s\"\n\n"+
		"%s\n\n--%s\n", micalg, boundary, preamble, boundary)
	b.Write(content)
	fmt.Fprintf(&b, "\n--%s\n"+
		"Content-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\n"+
		"Content-Transfer-Encoding: base64\n"+
		"Content-Disposition: attachment; filename=\"smime.p7s\"\n\n", boundary)
	writeBase64(&b, p7)
	fmt.Fprintf(&b, "\n--%s--\n\n", boundary)
	return b.Bytes()
}

// writeOpaque is the message that only S/MIME readers can read.
func writeOpaque(p7 []byte) []byte {
	var b bytes.Buffer
	b.WriteString("MIME-Version: 1.0\n" +
		"Content-Disposition: attachment; filename=\"smime.p7m\"\n" +
		"Content-Type: application/x-pkcs7-mime; smime-type=signed-data; name=\"smime.p7m\"\n" +
		"Content-Transfer-Encoding: base64\n\n")
	writeBase64(&b, p7)
	return b.Bytes()
}

// writeBase64 writes lines of 64 characters, the most that OpenSSL reads.
func writeBase64(b *bytes.Buffer, data []byte) {
	const perLine = 48
	for len(data) > 0 {
		n := min(perLine, len(data))
		b.Write(base64.StdEncoding.AppendEncode(b.AvailableBuffer(), data[:n]))
		b.WriteByte('\n')
		data = data[n:]
	}
}
