package smime

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// TestReasons: a message is refused for the reason that it has, in words.
func TestReasons(t *testing.T) {
	alice := people()["alice"].cert
	pss := func(p any) func(*forgery) {
		return func(f *forgery) {
			f.info.SignatureAlgorithm = algorithm{Algorithm: oidPSS, Parameters: asn1.RawValue{FullBytes: encode(p)}}
		}
	}
	sha256 := algorithm{Algorithm: digests[0].oid}
	sid := func(version int, der ...byte) func(*forgery) {
		return func(f *forgery) { f.info.SID, f.info.Version = asn1.RawValue{FullBytes: der}, version }
	}
	for _, c := range []struct {
		name string
		bend func(*forgery)
		code verdict.Code
		why  string
	}{
		{"certificates that are no elements", func(f *forgery) {
			f.data.Certificates = asn1.RawValue{Class: 2, Tag: 0, Bytes: []byte{0x30, 5}}
		}, verdict.MalformedEnvelope, "certificates: asn1"},
		{"PSS parameters of another type", pss("x"), verdict.UnsupportedAlgorithm, "RSA-PSS parameters: asn1"},
		{"PSS mask function without parameters", pss(pssParameters{Hash: sha256, MGF: algorithm{Algorithm: oidMGF}, Salt: 32, Trailer: 1}),
			verdict.UnsupportedAlgorithm, "RSA-PSS mask function: asn1"},
		{"PSS with two hashes", pss(pssParameters{Hash: sha256, Salt: 32, Trailer: 1,
			MGF: algorithm{Algorithm: oidMGF, Parameters: asn1.RawValue{FullBytes: encode(algorithm{Algorithm: digests[1].oid})}}}),
			verdict.UnsupportedAlgorithm, "other than one hash"},
		{"signed attributes that are none", func(f *forgery) {
			f.info.SignedAttributes.FullBytes = encode(asn1.RawValue{Tag: 17, IsCompound: true, Bytes: []byte{5, 0}})
		}, verdict.MalformedEnvelope, "signed attributes: asn1"},
		{"no attributes", func(f *forgery) {
			f.late = func(f *forgery) { f.data.Signers[0].SignedAttributes = asn1.RawValue{} }
		}, verdict.MalformedEnvelope, "no signed attributes"},
		{"no message digest", func(f *forgery) { f.attributes = f.attributes[:1] }, verdict.MalformedEnvelope, "message digest attribute: missing"},
		{"message digest of another type", func(f *forgery) { f.set(oidMessageDigest, "text") }, verdict.MalformedEnvelope, "message digest attribute: asn1"},
		{"content type of another type", func(f *forgery) { f.set(oidContentType, "text") }, verdict.MalformedEnvelope, "content type attribute: asn1"},
		{"content type of no value", func(f *forgery) { f.set(oidContentType) }, verdict.MalformedEnvelope, "content type attribute: 0 values"},
		{"message digest twice", func(f *forgery) { f.attributes = append(f.attributes, f.attributes[1]) }, verdict.MalformedEnvelope, "occurs twice"},
		{"signer identifier that is a number", sid(3, 2, 1, 1), verdict.MalformedEnvelope, "neither issuer and serial number"},
		{"signer identifier without serial number", sid(1, encode([]asn1.RawValue{{FullBytes: alice.RawIssuer}})...), verdict.MalformedEnvelope, "signer identifier: asn1"},
		{"signer identifier with a third field", sid(1, encode([]asn1.RawValue{{FullBytes: alice.RawIssuer},
			{FullBytes: encode(alice.SerialNumber)}, {FullBytes: []byte{5, 0}}})...), verdict.MalformedEnvelope, "signer identifier: wrong fields"},
		{"empty key identifier", sid(3, 0x80, 0), verdict.MalformedEnvelope, "empty subject key identifier"},
		{"RSA-PSS of another key", func(f *forgery) {
			pss(pssParameters{Hash: sha256, Salt: 32, Trailer: 1,
				MGF: algorithm{Algorithm: oidMGF, Parameters: asn1.RawValue{FullBytes: encode(sha256)}}})(f)
		}, verdict.Signature, "not made by the signer's key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(forge(document, c.bend), Options{})
			if verdict.Of(err) != c.code || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v; want %s: %s", err, c.code, c.why)
			}
		})
	}
}

// broken is a key that signs nothing, as one on a card that was pulled out.
type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no card")
}

func TestSign_Fails(t *testing.T) {
	alice := people()["alice"]
	large := *alice.cert
	large.Raw = encode(make([]byte, MaxPKCS7))
	for _, c := range []struct {
		name  string
		key   crypto.Signer
		chain []*x509.Certificate
		at    time.Time
		want  string
	}{
		{"the key", broken{alice.key}, nil, time.Time{}, "sign: key: no card"},
		{"the time", alice.key, nil, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "sign: signed attributes: asn1"},
		{"the chain", alice.key, []*x509.Certificate{&large}, time.Time{}, "certificates: more than 1048576 bytes"},
	} {
		message, err := Sign([]byte(document), alice.cert, c.key, c.chain, SignOptions{At: c.at})
		if err == nil || !strings.Contains(err.Error(), c.want) || message != nil {
			t.Errorf("%s: %v, %d bytes; want %q", c.name, err, len(message), c.want)
		}
	}
}

// TestElements: what is no whole number of elements has none.
func TestElements(t *testing.T) {
	if list, err := elements([]byte{5, 0, 0x30}); err == nil || list != nil {
		t.Errorf("%v, %v", list, err)
	}
	for _, raw := range [][]byte{nil, {0x30, 1}, {0x30, 1, 5}, {0x30, 0, 0}} {
		if n := fields(raw); n != -1 {
			t.Errorf("% x has %d fields", raw, n)
		}
	}
	if n := fields(bytes.Join([][]byte{{0x30, 4}, {5, 0}, {5, 0}}, nil)); n != 2 {
		t.Errorf("%d fields", n)
	}
}
