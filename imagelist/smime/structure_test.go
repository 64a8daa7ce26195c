package smime

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// forgery is a message by alice in which everything can be bent before and
// after it is signed.
type forgery struct {
	content    []byte
	attributes []attribute
	info       signerInfo
	data       signedData
	late       func(*forgery) // runs when everything is signed
}

// set gives an attribute its values.
func (f *forgery) set(oid asn1.ObjectIdentifier, values ...any) {
	a := attribute{Type: oid, Values: []asn1.RawValue{}}
	for _, v := range values {
		a.Values = append(a.Values, asn1.RawValue{FullBytes: encode(v)})
	}
	for i := range f.attributes {
		if f.attributes[i].Type.Equal(oid) {
			f.attributes[i] = a
			return
		}
	}
	f.attributes = append(f.attributes, a)
}

func encode(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}

// forge builds the message, opaque, as DER.
func forge(content string, bend func(*forgery)) []byte {
	alice := people()["alice"]
	sum := sha256.Sum256([]byte(content))
	f := &forgery{content: []byte(content), late: func(*forgery) {}}
	f.set(oidContentType, oidData)
	f.set(oidMessageDigest, sum[:])
	f.info = signerInfo{
		Version:            1,
		SID:                asn1.RawValue{FullBytes: encode(issuerAndSerial{Issuer: asn1.RawValue{FullBytes: alice.cert.RawIssuer}, Serial: alice.cert.SerialNumber})},
		DigestAlgorithm:    algorithm{Algorithm: digests[0].oid},
		SignatureAlgorithm: algorithm{Algorithm: oidRSA, Parameters: asn1.NullRawValue},
	}
	f.data = signedData{
		Version:          1,
		DigestAlgorithms: []algorithm{f.info.DigestAlgorithm},
		Encapsulated:     contentInfo{Type: oidData, Content: implicit(0, encode(f.content))},
		Certificates:     implicit(0, alice.cert.Raw),
	}
	bend(f)
	if f.info.SignedAttributes.FullBytes == nil {
		der, err := asn1.MarshalWithParams(f.attributes, "set")
		if err != nil {
			panic(err)
		}
		f.info.SignedAttributes = asn1.RawValue{FullBytes: der}
	}
	f.info.Signature = signed(alice.key, f.info.SignedAttributes.FullBytes)
	f.info.SignedAttributes.FullBytes = append([]byte{0xa0}, f.info.SignedAttributes.FullBytes[1:]...)
	if f.data.Signers == nil {
		f.data.Signers = []signerInfo{f.info}
	}
	f.late(f)
	der, err := encodeMessage(f.data)
	if err != nil {
		panic(err)
	}
	return der
}

// lengthened is a SEQUENCE with a NULL more at its end.
func lengthened(t *testing.T, der []byte) []byte {
	t.Helper()
	var seq asn1.RawValue
	if err := unmarshal(der, &seq); err != nil {
		t.Fatal(err)
	}
	return encode(asn1.RawValue{Tag: seq.Tag, IsCompound: true, Bytes: append(bytes.Clone(seq.Bytes), asn1.NullBytes...)})
}

func signed(key crypto.Signer, message []byte) []byte {
	sum := sha256.Sum256(message)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return signature
}

// TestStructure bends the CMS structure: what encoding/asn1 and the library
// let pass and RFC 5652 does not, all of it validly signed.
func TestStructure(t *testing.T) {
	alice := people()["alice"].cert
	attributesDER := func(list ...attribute) []byte {
		der, err := asn1.MarshalWithParams(list, "set")
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	twin := *alice
	twin.Raw = certify("alice", alice.SerialNumber.Int64(), people()["bob"].key.Public(), people()["ca"]).Raw
	tests := []struct {
		name string
		bend func(*forgery)
		want verdict.Code
	}{
		{"good", func(f *forgery) {}, ""},
		{"no content type", func(f *forgery) { f.attributes = f.attributes[1:] }, verdict.MalformedEnvelope},
		{"no message digest", func(f *forgery) { f.attributes = f.attributes[:1] }, verdict.MalformedEnvelope},
		{"other content type", func(f *forgery) { f.set(oidContentType, oidSignedData) }, verdict.MalformedEnvelope},
		{"content type of two values", func(f *forgery) { f.set(oidContentType, oidData, oidSignedData) }, verdict.MalformedEnvelope},
		{"content type of no value", func(f *forgery) { f.set(oidContentType) }, verdict.MalformedEnvelope},
		{"message digest of two values", func(f *forgery) { f.set(oidMessageDigest, []byte("x"), []byte("y")) }, verdict.MalformedEnvelope},
		{"message digest twice", func(f *forgery) { f.attributes = append(f.attributes, f.attributes[1]) }, verdict.MalformedEnvelope},
		{"message digest of another type", func(f *forgery) { f.set(oidMessageDigest, "text") }, verdict.MalformedEnvelope},
		{"message digest wrong", func(f *forgery) { f.set(oidMessageDigest, make([]byte, 32)) }, verdict.Signature},
		{"message digest empty", func(f *forgery) { f.set(oidMessageDigest, []byte{}) }, verdict.Signature},
		{"signing time that is none", func(f *forgery) { f.set(oidSigningTime, 1) }, verdict.MalformedEnvelope},
		{"unknown attribute", func(f *forgery) { f.set(oidMGF, "x") }, ""},
		{"unknown attribute twice", func(f *forgery) {
			f.set(oidMGF, "x")
			f.attributes = append(f.attributes, f.attributes[2])
		}, verdict.MalformedEnvelope},
		{"attributes not sorted", func(f *forgery) {
			list, err := elements(attributesDER(f.attributes...)[2:])
			if err != nil {
				t.Fatal(err)
			}
			wrong := append(bytes.Clone(list[1].FullBytes), list[0].FullBytes...)
			f.info.SignedAttributes.FullBytes = encode(asn1.RawValue{Tag: 17, IsCompound: true, Bytes: wrong})
		}, verdict.MalformedEnvelope},
		{"attribute with a third field", func(f *forgery) {
			a := asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: append(append(encode(oidMGF), 0x31, 2, 5, 0), 5, 0)}
			der := append(encode(f.attributes[0]), append(encode(f.attributes[1]), encode(a)...)...)
			f.info.SignedAttributes.FullBytes = encode(asn1.RawValue{Tag: 17, IsCompound: true, Bytes: der})
		}, verdict.MalformedEnvelope},
		{"no attributes at all", func(f *forgery) {
			f.late = func(f *forgery) { f.data.Signers[0].SignedAttributes = asn1.RawValue{} }
		}, verdict.MalformedEnvelope},
		{"content that is attributes", func(f *forgery) {
			content := attributesDER(f.attributes...)
			sum := sha256.Sum256(content)
			f.set(oidMessageDigest, sum[:])
			f.data.Encapsulated.Content = implicit(0, encode(content))
		}, verdict.MalformedEnvelope},
		{"foreign eContentType", func(f *forgery) { f.data.Encapsulated.Type = oidSignedData }, verdict.MalformedEnvelope},
		{"content in no octet string", func(f *forgery) { f.data.Encapsulated.Content = implicit(0, encode("text")) }, verdict.MalformedEnvelope},
		{"two contents", func(f *forgery) {
			f.data.Encapsulated.Content = implicit(0, append(encode(f.content), encode(f.content)...))
		}, verdict.MalformedEnvelope},
		{"no digest algorithms", func(f *forgery) { f.data.DigestAlgorithms = nil }, verdict.MalformedEnvelope},
		{"other digest algorithms", func(f *forgery) { f.data.DigestAlgorithms = []algorithm{{Algorithm: digests[1].oid}} }, verdict.MalformedEnvelope},
		{"version of SignedData", func(f *forgery) { f.data.Version = 2 }, verdict.MalformedEnvelope},
		{"version of SignerInfo", func(f *forgery) { f.info.Version = 3 }, verdict.MalformedEnvelope},
		{"another field in SignedData", func(f *forgery) {
			f.late = func(f *forgery) { f.data.Raw = lengthened(t, encode(f.data)) }
		}, verdict.MalformedEnvelope},
		{"another field beside the content", func(f *forgery) {
			f.data.Encapsulated.Raw = lengthened(t, encode(f.data.Encapsulated))
		}, verdict.MalformedEnvelope},
		{"no certificates", func(f *forgery) { f.data.Certificates = asn1.RawValue{} }, verdict.MalformedEnvelope},
		{"unreadable certificate of the signer", func(f *forgery) { f.data.Certificates = implicit(0, encode(struct{ A int }{1})) }, verdict.MalformedEnvelope},
		{"unreadable certificate of another", func(f *forgery) {
			f.data.Certificates = implicit(0, append(encode(struct{ A int }{1}), alice.Raw...))
		}, ""},
		{"certificate twice", func(f *forgery) {
			f.data.Certificates = implicit(0, append(bytes.Clone(alice.Raw), alice.Raw...))
		}, ""},
		{"two certificates of one name and number", func(f *forgery) {
			f.data.Certificates = implicit(0, append(bytes.Clone(alice.Raw), twin.Raw...))
		}, verdict.MalformedEnvelope},
		{"certificate with another key", func(f *forgery) { f.data.Certificates = implicit(0, twin.Raw) }, verdict.Signature},
		{"many certificates", func(f *forgery) {
			f.data.Certificates = implicit(0, bytes.Repeat(alice.Raw, MaxCertificates+1))
		}, verdict.MalformedEnvelope},
		{"most certificates", func(f *forgery) {
			f.data.Certificates = implicit(0, bytes.Repeat(alice.Raw, MaxCertificates))
		}, ""},
		{"large CRLs", func(f *forgery) {
			f.data.CRLs = implicit(1, encode([]asn1.RawValue{{FullBytes: encode(make([]byte, MaxPKCS7))}}))
		}, verdict.MalformedEnvelope},
		{"CRLs that Go cannot read", func(f *forgery) { f.data.CRLs = implicit(1, encode(struct{ A int }{1})) }, ""},
		{"zero signers", func(f *forgery) { f.data.Signers = []signerInfo{} }, verdict.NotSigned},
		{"two signers", func(f *forgery) {
			f.late = func(f *forgery) { f.data.Signers = append(f.data.Signers, f.data.Signers[0]) }
		}, verdict.MultipleSigners},
		{"two signers, one forged", func(f *forgery) {
			f.late = func(f *forgery) {
				second := f.data.Signers[0]
				second.Signature = make([]byte, 256)
				f.data.Signers = append(f.data.Signers, second)
			}
		}, verdict.Signature},
		{"many signers", func(f *forgery) {
			f.late = func(f *forgery) {
				for range MaxSignerInfos {
					f.data.Signers = append(f.data.Signers, f.data.Signers[0])
				}
			}
		}, verdict.MalformedEnvelope},
		{"signature of zeros", func(f *forgery) {
			f.late = func(f *forgery) { f.data.Signers[0].Signature = make([]byte, 256) }
		}, verdict.Signature},
		{"no signature", func(f *forgery) {
			f.late = func(f *forgery) { f.data.Signers[0].Signature = nil }
		}, verdict.Signature},
		{"sha256WithRSAEncryption", func(f *forgery) { f.info.SignatureAlgorithm.Algorithm = digests[0].rsa }, ""},
		{"sha512WithRSAEncryption over SHA-256", func(f *forgery) { f.info.SignatureAlgorithm.Algorithm = digests[2].rsa }, verdict.UnsupportedAlgorithm},
		{"ECDSA with an RSA key", func(f *forgery) { f.info.SignatureAlgorithm = algorithm{Algorithm: digests[0].ecdsa} }, verdict.Signature},
		{"DSA", func(f *forgery) {
			f.info.SignatureAlgorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 3}
		}, verdict.UnsupportedAlgorithm},
		{"algorithm with parameters", func(f *forgery) {
			f.info.SignatureAlgorithm.Parameters = asn1.RawValue{FullBytes: []byte{2, 1, 1}}
		}, verdict.UnsupportedAlgorithm},
		{"RSA-PSS without parameters", func(f *forgery) { f.info.SignatureAlgorithm = algorithm{Algorithm: oidPSS} }, verdict.UnsupportedAlgorithm},
		{"signing time outside the certificate's validity", func(f *forgery) { f.set(oidSigningTime, alice.NotAfter.Add(time.Hour).UTC()) }, ""},
		{"unsigned attributes", func(f *forgery) { f.info.UnsignedAttributes = implicit(1, encode(f.attributes[0])) }, ""},
		{"signer named by nothing", func(f *forgery) { f.info.SID = asn1.RawValue{FullBytes: []byte{5, 0}}; f.info.Version = 3 }, verdict.MalformedEnvelope},
		{"signer named by an empty key identifier", func(f *forgery) {
			f.info.SID, f.info.Version = asn1.RawValue{FullBytes: []byte{0x80, 0}}, 3
		}, verdict.MalformedEnvelope},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, forge(document, test.bend), Options{}, test.want, document)
		})
	}
}

// TestT47_EmbeddedAndDetached shows one content and has another signed.
func TestT47_EmbeddedAndDetached(t *testing.T) {
	embedded := forge(canonicalDocument, func(*forgery) {})
	expect(t, writeSigned([]byte("{}"), embedded, "sha-256"), Options{}, verdict.MalformedEnvelope, "")
	expect(t, writeSigned([]byte(canonicalDocument), embedded, "sha-256"), Options{}, verdict.MalformedEnvelope, "")
	detached := forge(canonicalDocument, func(f *forgery) { f.data.Encapsulated.Content = asn1.RawValue{} })
	expect(t, writeSigned([]byte(canonicalDocument), detached, "sha-256"), Options{}, "", canonicalDocument)
	expect(t, detached, Options{}, verdict.MalformedEnvelope, "")
}

// TestT46_LargeSignature is a detached structure over its cap.
func TestT46_LargeSignature(t *testing.T) {
	p7 := forge(document, func(f *forgery) {
		f.data.Encapsulated.Content = asn1.RawValue{}
		f.info.UnsignedAttributes = implicit(1, encode(make([]byte, MaxPKCS7)))
	})
	expect(t, writeSigned([]byte(document), p7, "sha-256"), Options{}, verdict.MalformedEnvelope, "")
}

// TestLargeContent is opaque content over the cap of the structure around it.
func TestLargeContent(t *testing.T) {
	content := strings.Repeat(document, 2*MaxPKCS7/len(document))
	expect(t, forge(content, func(*forgery) {}), Options{}, "", content)
}

// TestOuterFields has something beside the SignedData in its ContentInfo.
func TestOuterFields(t *testing.T) {
	p7 := forge(document, func(*forgery) {})
	expect(t, lengthened(t, p7), Options{}, verdict.MalformedEnvelope, "")
}

func TestCheckKey(t *testing.T) {
	modulus := func(bits uint) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	tests := []struct {
		name string
		key  crypto.PublicKey
		want verdict.Code
	}{
		{"RSA 512", modulus(512), verdict.WeakAlgorithm},
		{"RSA 2047", modulus(2047), verdict.WeakAlgorithm},
		{"RSA 2048", modulus(2048), ""},
		{"RSA 8192", modulus(8192), ""},
		{"RSA 8193", modulus(8193), verdict.UnsupportedAlgorithm},
		{"Ed25519", people()["ed25519"].cert.PublicKey, verdict.UnsupportedAlgorithm},
		{"P-224", people()["p224"].cert.PublicKey, verdict.UnsupportedAlgorithm},
		{"P-521", people()["p521"].cert.PublicKey, ""},
		{"unknown to Go", nil, verdict.UnsupportedAlgorithm},
	}
	for _, test := range tests {
		if got := verdict.Of(CheckKey(test.key)); got != test.want {
			t.Errorf("%s: %q; want %q", test.name, got, test.want)
		}
	}
}

// TestT46_KeySizes has signers whose keys cannot or must not be verified with.
func TestT46_KeySizes(t *testing.T) {
	alice := people()["alice"].cert
	for bits, want := range map[uint]verdict.Code{512: verdict.WeakAlgorithm, 16384: verdict.UnsupportedAlgorithm} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		key := &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
		cert := certify("alice", alice.SerialNumber.Int64(), key, people()["ca"])
		expect(t, forge(document, func(f *forgery) { f.data.Certificates = implicit(0, cert.Raw) }), Options{}, want, "")
	}
}

// TestKeyIdentifier are signers named by subject key identifier, which the
// library does not know.
func TestKeyIdentifier(t *testing.T) {
	named := func(name string, late func(*forgery)) []byte {
		return forge(document, func(f *forgery) {
			f.info.SID = asn1.RawValue{FullBytes: append([]byte{0x80, byte(len(name))}, name...)}
			f.info.Version = 3
			f.data.Certificates = implicit(0, append(bytes.Clone(people()["alice"].cert.Raw), people()["bob"].cert.Raw...))
			f.late = late
		})
	}
	unchanged := func(*forgery) {}
	expect(t, named("alice", unchanged), Options{}, "", document)
	expect(t, named("bob", unchanged), Options{}, verdict.Signature, "")
	expect(t, named("carol", unchanged), Options{}, verdict.MalformedEnvelope, "")
	expect(t, named("alice", func(f *forgery) {
		f.data.Signers[0].Signature = make([]byte, 256)
	}), Options{}, verdict.Signature, "")
	expect(t, named("alice", func(f *forgery) {
		f.data.Signers[0].SignatureAlgorithm = algorithm{Algorithm: digests[0].ecdsa}
	}), Options{}, verdict.Signature, "")
	expect(t, named("alice", func(f *forgery) {
		f.data.Encapsulated.Content = implicit(0, encode([]byte("{}")))
	}), Options{}, verdict.Signature, "")
}

// TestBase64_UnusedBits has one structure in a second text.
func TestBase64_UnusedBits(t *testing.T) {
	var p7 []byte
	for pad := 0; len(p7)%3 != 1; pad++ {
		p7 = forge(document, func(f *forgery) { f.info.UnsignedAttributes = implicit(1, encode(make([]byte, pad))) })
	}
	message := writeOpaque(p7)
	expect(t, message, Options{}, "", document)
	last := bytes.LastIndex(message, []byte("==")) - 1 // A, Q, g or w: its low four bits are unused
	message[last]++
	expect(t, message, Options{}, verdict.MalformedEnvelope, "")
}

// T-45, T-46: what a stranger writes into names and identifiers is not carried
// into every event, log and status.
func TestT46_LongNames(t *testing.T) {
	alice := people()["alice"]
	long := certify(strings.Repeat("é", MaxName/2), 77, alice.key.Public(), people()["ca"])
	_, err := Open(forge(document, func(f *forgery) {
		f.data.Certificates = implicit(0, long.Raw)
		f.info.SID = asn1.RawValue{FullBytes: encode(issuerAndSerial{Issuer: asn1.RawValue{FullBytes: long.RawIssuer}, Serial: long.SerialNumber})}
	}), Options{})
	if verdict.Of(err) != verdict.MalformedEnvelope {
		t.Errorf("a name of %d bytes: %v", len(long.RawSubject), err)
	}
	_, err = Open(forge(document, func(f *forgery) {
		f.info.DigestAlgorithm.Algorithm = append(asn1.ObjectIdentifier{1, 2}, make([]int, 100000)...)
		f.data.DigestAlgorithms = []algorithm{f.info.DigestAlgorithm}
	}), Options{})
	if no := verdict.As(err); no == nil || no.Code != verdict.UnsupportedAlgorithm || len(no.Detail) > 5<<10 {
		t.Errorf("an identifier of 100000 numbers: %.100v", err)
	}
}
