package smime

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"vouch/imagelist/verdict"
)

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
)

// The structures of RFC 5652 §3, §5.1, §5.3, read from and written to DER.

type contentInfo struct {
	Raw     asn1.RawContent
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type signedData struct {
	Raw              asn1.RawContent
	Version          int
	DigestAlgorithms []algorithm `asn1:"set"`
	Encapsulated     contentInfo
	Certificates     asn1.RawValue `asn1:"optional,tag:0"`
	CRLs             asn1.RawValue `asn1:"optional,tag:1"`
	Signers          []signerInfo  `asn1:"set"`
}

type signerInfo struct {
	Raw                asn1.RawContent
	Version            int
	SID                asn1.RawValue
	DigestAlgorithm    algorithm
	SignedAttributes   asn1.RawValue `asn1:"optional,tag:0"`
	SignatureAlgorithm algorithm
	Signature          []byte
	UnsignedAttributes asn1.RawValue `asn1:"optional,tag:1"`
}

type algorithm struct {
	Raw        asn1.RawContent
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

type issuerAndSerial struct {
	Raw    asn1.RawContent
	Issuer asn1.RawValue
	Serial *big.Int
}

// message is a SignedData whose structure holds: what is left to ask are its
// algorithms, its signatures, and whose they are.
type message struct {
	data         *signedData
	content      []byte // eContent
	embedded     bool   // eContent is present
	certificates []*x509.Certificate
	unreadable   [][]byte // DER of those that cannot be read
	signers      []signer
	warnings     []string
}

// signer is one SignerInfo, its attributes and its certificate.
type signer struct {
	info        *signerInfo
	attributes  *attributes
	certificate *x509.Certificate
	keyID       bool // named by subject key identifier
}

// parseMessage is the structural gate: it takes strict DER, and every field of
// RFC 5652 that decides something is looked at here, because neither the
// library nor encoding/asn1 does.
func parseMessage(der []byte) (*message, error) {
	var outer contentInfo
	if err := unmarshal(der, &outer); err != nil {
		return nil, malformed("PKCS#7: %v", err)
	}
	if !outer.Type.Equal(oidSignedData) {
		return nil, notSigned("PKCS#7: content type %v is not signed data", outer.Type)
	}
	if fields(outer.Raw) != 2 {
		return nil, malformed("PKCS#7: wrong fields")
	}
	var data signedData
	if err := unmarshal(outer.Content.Bytes, &data); err != nil {
		return nil, malformed("SignedData: %v", err)
	}
	if len(data.Signers) == 0 {
		return nil, notSigned("SignedData: no signer")
	}
	m := &message{data: &data}
	for _, step := range []func() error{m.checkShape, m.readContent, m.readCertificates, m.readSigners} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// checkShape refuses what encoding/asn1 lets pass and the counts of T-46.
func (m *message) checkShape() error {
	d := m.data
	present := 4 + count(d.Certificates) + count(d.CRLs)
	switch {
	case fields(d.Raw) != present || d.Version < 1 || d.Version == 2 || d.Version > 5:
		return malformed("SignedData: wrong version or fields")
	case len(d.Signers) > MaxSignerInfos:
		return malformed("SignedData: %d signers, at most %d", len(d.Signers), MaxSignerInfos)
	case !d.Encapsulated.Type.Equal(oidData):
		return malformed("SignedData: content type %v is not data", d.Encapsulated.Type)
	case fields(d.Encapsulated.Raw) != 1+count(d.Encapsulated.Content):
		return malformed("SignedData: wrong content fields")
	}
	return nil
}

// readContent takes eContent out, an OCTET STRING when present.
func (m *message) readContent() error {
	outer := m.data.Encapsulated.Content
	if count(outer) == 0 {
		return nil
	}
	m.embedded = true
	var octets asn1.RawValue
	if err := unmarshal(outer.Bytes, &octets); err != nil || octets.FullBytes[0] != tagOctetString {
		return malformed("SignedData: content is not one octet string")
	}
	m.content = octets.Bytes
	return nil
}

// readCertificates keeps those that can be read and have names of a bearable
// length. One that cannot be is only noted: it matters when it is the signer's,
// and then it is missing.
func (m *message) readCertificates() error {
	list, err := elements(m.data.Certificates.Bytes)
	if err != nil {
		return malformed("SignedData: certificates: %v", err)
	}
	if len(list) > MaxCertificates {
		return malformed("SignedData: %d certificates, at most %d", len(list), MaxCertificates)
	}
	for i, e := range list {
		c, err := x509.ParseCertificate(e.FullBytes)
		if err != nil || max(len(c.RawSubject), len(c.RawIssuer)) > MaxName {
			m.warnings = append(m.warnings, fmt.Sprintf("certificate %d of the message cannot be read", i+1))
			m.unreadable = append(m.unreadable, e.FullBytes)
			continue
		}
		m.certificates = append(m.certificates, c)
	}
	return nil
}

// readSigners checks each SignerInfo and finds its certificate.
func (m *message) readSigners() error {
	for i := range m.data.Signers {
		s, err := m.readSigner(&m.data.Signers[i])
		if err != nil {
			return err
		}
		m.signers = append(m.signers, s)
	}
	return nil
}

func (m *message) readSigner(info *signerInfo) (signer, error) {
	s := signer{info: info, keyID: info.SID.FullBytes[0] != tagSequence}
	version := 1
	if s.keyID {
		version = 3
	}
	present := 5 + count(info.SignedAttributes) + count(info.UnsignedAttributes)
	if info.Version != version || fields(info.Raw) != present {
		return s, malformed("SignerInfo: wrong version or fields")
	}
	if !slices.ContainsFunc(m.data.DigestAlgorithms, func(a algorithm) bool {
		return a.Algorithm.Equal(info.DigestAlgorithm.Algorithm)
	}) {
		return s, malformed("SignerInfo: its digest algorithm is not among those of SignedData")
	}
	var err error
	if s.attributes, err = readAttributes(info.SignedAttributes); err != nil {
		return s, malformed("SignerInfo: %v", err)
	}
	s.certificate, err = m.find(info.SID)
	return s, err
}

// find returns the certificate a SignerIdentifier names. Two different ones
// are refused: which of them signed would depend on the reader.
func (m *message) find(sid asn1.RawValue) (*x509.Certificate, error) {
	names, err := identifies(sid)
	if err != nil {
		return nil, malformed("SignerInfo: signer identifier: %v", err)
	}
	var found *x509.Certificate
	for _, c := range m.certificates {
		if !names(c) || c.Equal(found) {
			continue
		}
		if found != nil {
			return nil, malformed("SignerInfo: two certificates match the signer identifier")
		}
		found = c
	}
	if found == nil && slices.ContainsFunc(m.unreadable, func(der []byte) bool { return foreignKey(der, sid) }) {
		return nil, verdict.Reject(verdict.UnsupportedAlgorithm, "the signer's key is of a kind or on a curve that is not supported")
	}
	if found == nil {
		return nil, malformed("the signer's certificate is not in the message or cannot be read")
	}
	return found, nil
}

// plainCertificate is what is needed of a certificate that crypto/x509 does not read.
type plainCertificate struct {
	TBS struct {
		Version   int `asn1:"optional,explicit,default:0,tag:0"`
		Serial    *big.Int
		Algorithm asn1.RawValue
		Issuer    asn1.RawValue
		Validity  asn1.RawValue
		Subject   asn1.RawValue
		Key       asn1.RawValue
	}
}

// foreignKey says whether a certificate that cannot be read is the one that
// issuer and serial number name, and its key the reason.
func foreignKey(der []byte, sid asn1.RawValue) bool {
	var c plainCertificate
	var id issuerAndSerial
	if _, err := asn1.Unmarshal(der, &c); err != nil || unmarshal(sid.FullBytes, &id) != nil {
		return false
	}
	_, err := x509.ParsePKIXPublicKey(c.TBS.Key.FullBytes)
	return err != nil && bytes.Equal(c.TBS.Issuer.FullBytes, id.Issuer.FullBytes) && c.TBS.Serial.Cmp(id.Serial) == 0
}

// identifies reads a SignerIdentifier as the question whether it names a
// certificate: issuer and serial number, or [0] subject key identifier.
func identifies(sid asn1.RawValue) (func(*x509.Certificate) bool, error) {
	switch sid.FullBytes[0] {
	case 0x80:
		if len(sid.Bytes) == 0 {
			return nil, errors.New("empty subject key identifier")
		}
		return func(c *x509.Certificate) bool { return bytes.Equal(c.SubjectKeyId, sid.Bytes) }, nil
	case tagSequence:
		var id issuerAndSerial
		if err := unmarshal(sid.FullBytes, &id); err != nil {
			return nil, err
		}
		if fields(id.Raw) != 2 {
			return nil, errors.New("wrong fields")
		}
		return func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawIssuer, id.Issuer.FullBytes) && c.SerialNumber.Cmp(id.Serial) == 0
		}, nil
	}
	return nil, errors.New("neither issuer and serial number nor subject key identifier")
}

// unmarshal reads exactly one value.
func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = errTrailing
	}
	return err
}

// elements cuts content octets into their elements.
func elements(body []byte) (list []asn1.RawValue, err error) {
	for len(body) > 0 {
		var e asn1.RawValue
		if body, err = asn1.Unmarshal(body, &e); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// fields counts the elements of a SEQUENCE that was unmarshalled into a
// struct: encoding/asn1 silently drops those beyond the struct's. -1 is none.
func fields(raw asn1.RawContent) int {
	var seq asn1.RawValue
	if err := unmarshal(raw, &seq); err != nil {
		return -1
	}
	list, err := elements(seq.Bytes)
	if err != nil {
		return -1
	}
	return len(list)
}

// count is 1 when an optional element is present.
func count(v asn1.RawValue) int {
	return min(len(v.FullBytes), 1)
}
