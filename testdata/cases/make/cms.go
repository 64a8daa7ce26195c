package main

import (
	"bytes"
	"crypto"
)

// Object identifiers of CMS.
const (
	idData          = "1.2.840.113549.1.7.1"
	idSignedData    = "1.2.840.113549.1.7.2"
	idEnveloped     = "1.2.840.113549.1.7.3"
	idDigested      = "1.2.840.113549.1.7.5"
	idEncrypted     = "1.2.840.113549.1.7.6"
	idContentType   = "1.2.840.113549.1.9.3"
	idMessageDigest = "1.2.840.113549.1.9.4"
	idSigningTime   = "1.2.840.113549.1.9.5"
	idCounter       = "1.2.840.113549.1.9.6"
	idCapabilities  = "1.2.840.113549.1.9.15"
)

// signedData is a SignedData in the making. Fields are bent before build signs.
type signedData struct {
	version     int64
	digests     [][]byte // AlgorithmIdentifiers
	contentType string
	content     []byte // eContent; nil when detached
	wrapped     []byte // instead of the explicit [0] with the OCTET STRING
	certs       [][]byte
	crls        [][]byte
	signers     []*signerInfo
	more        []byte // further elements at the end

	outerType string
	pack      func(signedData []byte) []byte // instead of ContentInfo
}

// signerInfo is a SignerInfo in the making.
type signerInfo struct {
	version    int64
	sid        []byte
	digest     []byte // AlgorithmIdentifier
	attributes [][]byte
	bare       bool // no signed attributes
	unsorted   bool // attributes as they stand
	sign       algorithm
	says       []byte // the signature algorithm, if it is another
	by         *key
	signed     []byte // what is signed, if neither attributes nor content
	signature  []byte // instead of the one that is made
	bend       func(signature []byte) []byte
	unsigned   [][]byte
	more       []byte
	endless    bool // of indefinite length
}

func attribute(id string, values ...[]byte) []byte { return seq(oid(id), set(values...)) }

// newSignedData is a message by somebody over content, detached.
func newSignedData(by *entity, content []byte) *signedData {
	m := &signedData{version: 1, contentType: idData, outerType: idSignedData, certs: [][]byte{by.cert}}
	m.addSigner(by, content, crypto.SHA256)
	return m
}

// addSigner adds one more signature.
func (m *signedData) addSigner(by *entity, content []byte, h crypto.Hash) *signerInfo {
	s := &signerInfo{
		version: 1, sid: seq(by.tbs.issuer, by.tbs.serial), digest: digestID(h), by: by.key, sign: by.key.inCMS(h),
		attributes: [][]byte{attribute(idContentType, oid(idData)), attribute(idMessageDigest, octets(sum(h, content)))},
	}
	m.signers = append(m.signers, s)
	m.digests = append(m.digests, s.digest)
	return s
}

// set replaces the values of a signed attribute, or adds it.
func (s *signerInfo) set(id string, values ...[]byte) {
	s.drop(id)
	s.attributes = append(s.attributes, attribute(id, values...))
}

func (s *signerInfo) drop(id string) {
	var rest [][]byte
	for _, a := range s.attributes {
		if !bytes.HasPrefix(body(a), oid(id)) {
			rest = append(rest, a)
		}
	}
	s.attributes = rest
}

// value is the one value of a signed attribute.
func (s *signerInfo) value(id string) []byte {
	for _, a := range s.attributes {
		if values, found := bytes.CutPrefix(body(a), oid(id)); found {
			return body(values)
		}
	}
	panic(id)
}

func (s *signerInfo) der(content []byte) []byte {
	attributes := set(s.attributes...)
	if s.unsorted {
		attributes = rawSet(s.attributes...)
	}
	covered := attributes
	field := retag(0xa0, attributes)
	if s.bare {
		covered, field = content, nil
	}
	if s.signed != nil {
		covered = s.signed
	}
	signature := s.signature
	if signature == nil {
		signature = s.by.sign(s.sign, covered)
	}
	if s.bend != nil {
		signature = s.bend(signature)
	}
	says := s.says
	if says == nil {
		says = s.sign.id
	}
	var unsigned []byte
	if len(s.unsigned) > 0 {
		unsigned = retag(0xa1, set(s.unsigned...))
	}
	fields := join(integer(s.version), s.sid, s.digest, field, says, octets(signature), unsigned, s.more)
	if s.endless {
		return endless(0x30, fields)
	}
	return seq(fields)
}

// build encodes the message; content is what signers without attributes sign.
func (m *signedData) build(content []byte) []byte {
	var infos [][]byte
	for _, s := range m.signers {
		infos = append(infos, s.der(content))
	}
	inner := m.wrapped
	if inner == nil && m.content != nil {
		inner = explicit(0, octets(m.content))
	}
	var certs, crls []byte
	if len(m.certs) > 0 {
		certs = retag(0xa0, set(m.certs...))
	}
	if len(m.crls) > 0 {
		crls = retag(0xa1, rawSet(m.crls...))
	}
	data := seq(integer(m.version), set(m.digests...), seq(oid(m.contentType), inner), certs, crls, set(infos...), m.more)
	if m.pack != nil {
		return m.pack(data)
	}
	return seq(oid(m.outerType), explicit(0, data))
}
