package main

import (
	"bytes"
	"crypto"
)

// structureCase bends the CMS of an opaque message; what is bent is signed,
// unless the bending is of the signature.
type structureCase struct {
	id, description, expect string
	bend                    func(*signedData)
	more                    []about
}

// structures holds RFC 5652 against what encoders do and attackers would.
func structures(b *book) {
	text := list(b.alice)
	for _, group := range [][]structureCase{
		signedAttributes(), forgedAttributes(text), signerInfos(b), identifiers(b), severalSigners(b, text),
		outlines(), messageCertificates(b), messageCRLs(b),
	} {
		for _, c := range group {
			b.add("structure-"+c.id, c.description, c.expect, "trust.md case table; RFC 5652; T-46", embedded(b.alice, text, c.bend), c.more...)
		}
	}
	for _, c := range encodings(b.alice, text) {
		b.add("structure-"+c.id, c.description, c.expect, "trust.md, normalise BER under limits; T-46", c.message, c.more...)
	}
	for _, c := range hostileEncodings() {
		b.add("structure-"+c.id, c.description, c.expect, "trust.md, denial of service; T-46", c.message)
	}
}

func first(change func(*signerInfo)) func(*signedData) {
	return func(m *signedData) { change(m.signers[0]) }
}

func signedAttributes() []structureCase {
	attr := func(id string, values ...[]byte) func(*signedData) {
		return first(func(s *signerInfo) { s.set(id, values...) })
	}
	twice := func(id string) func(*signedData) {
		return first(func(s *signerInfo) {
			for _, a := range s.attributes {
				if bytes.Contains(a, oid(id)) {
					s.attributes = append(s.attributes, a)
					return
				}
			}
		})
	}
	const bad = malformedEnvelope
	return []structureCase{
		{"plain", "nothing bent", accepted, func(*signedData) {}, nil},
		{"attr-none", "no signed attributes, the content signed directly", bad, first(func(s *signerInfo) { s.bare = true }), nil},
		{"attr-empty", "an empty set of signed attributes", bad, first(func(s *signerInfo) { s.attributes = nil }), nil},
		{"attr-no-content-type", "no content type attribute", bad, first(func(s *signerInfo) { s.drop(idContentType) }), nil},
		{"attr-no-digest", "no message digest attribute", bad, first(func(s *signerInfo) { s.drop(idMessageDigest) }), nil},
		{"attr-content-type-other", "content type attribute: signed data, content: data", bad, attr(idContentType, oid(idSignedData)), nil},
		{"attr-content-type-text", "content type attribute that is no object identifier", bad, attr(idContentType, tlv(utf8String, []byte("data"))), nil},
		{"attr-content-type-two-values", "content type attribute of two values", bad, attr(idContentType, oid(idData), oid(idSignedData)), nil},
		{"attr-content-type-no-value", "content type attribute without a value", bad, attr(idContentType), nil},
		{"attr-content-type-twice", "content type attribute twice", bad, twice(idContentType), nil},
		{"attr-digest-twice", "message digest attribute twice", bad, twice(idMessageDigest), nil},
		{"attr-digest-two-values", "message digest attribute of two values, one of them right", bad,
			first(func(s *signerInfo) {
				s.set(idMessageDigest, s.value(idMessageDigest), octets(make([]byte, 32)))
			}), nil},
		{"attr-digest-no-value", "message digest attribute without a value", bad, attr(idMessageDigest), nil},
		{"attr-digest-integer", "message digest attribute that is an integer", bad, attr(idMessageDigest, integer(1)), nil},
		{"attr-digest-zero", "message digest of zeros", badSignature, attr(idMessageDigest, octets(make([]byte, 32))), nil},
		{"attr-digest-empty", "an empty message digest", badSignature, attr(idMessageDigest, octets()), nil},
		{"attr-digest-prefix", "the first half of the message digest", badSignature, first(func(s *signerInfo) {
			s.set(idMessageDigest, octets(body(s.value(idMessageDigest))[:16]))
		}), nil},
		{"attr-digest-longer", "the message digest and a byte more", badSignature, first(func(s *signerInfo) {
			s.set(idMessageDigest, octets(body(s.value(idMessageDigest)), []byte{0}))
		}), nil},
		{"attr-digest-sha512", "the message digest of another algorithm", badSignature, attr(idMessageDigest, octets(sum(crypto.SHA512, []byte("x")))), nil},
		{"attr-time", "a signing time in UTCTime", accepted, attr(idSigningTime, utcTime(at)), nil},
		{"attr-time-generalized", "a signing time in GeneralizedTime", accepted, attr(idSigningTime, generalTime(at.AddDate(30, 0, 0))), nil},
		{"attr-time-before-certificate", "a signing time before the certificate's validity: a claim, no fact", accepted, attr(idSigningTime, utcTime(days(-4000))), nil},
		{"attr-time-after-certificate", "a signing time after the certificate's validity", accepted, attr(idSigningTime, utcTime(days(4000))), nil},
		{"attr-time-two-values", "a signing time of two values", bad, attr(idSigningTime, utcTime(at), utcTime(days(1))), nil},
		{"attr-time-integer", "a signing time that is no time", bad, attr(idSigningTime, integer(1)), nil},
		{"attr-time-impossible", "a signing time on 31 February", bad, attr(idSigningTime, tlv(0x17, []byte("260231000000Z"))), nil},
		{"attr-unknown", "an unknown signed attribute", accepted, attr("1.2.3.4.5", null()), nil},
		{"attr-unknown-twice", "an unknown signed attribute twice", bad, first(func(s *signerInfo) {
			s.attributes = append(s.attributes, attribute("1.2.3.4.5", null()), attribute("1.2.3.4.5", integer(1)))
		}), nil},
		{"attr-capabilities", "S/MIME capabilities, as mail programs add", accepted, attr(idCapabilities, seq(seq(oid("2.16.840.1.101.3.4.1.42")))), nil},
		{"attr-unsorted", "signed attributes that are not in the order of DER, signed as they stand", bad, first(func(s *signerInfo) {
			s.unsorted = true
			s.attributes = [][]byte{s.attributes[1], s.attributes[0]}
		}), nil},
		{"attr-third-field", "an attribute of three fields", bad, first(func(s *signerInfo) {
			s.attributes = append(s.attributes, seq(oid("1.2.3.4.5"), rawSet(null()), null()))
		}), nil},
		{"attr-values-sequence", "an attribute whose values are a SEQUENCE", bad, first(func(s *signerInfo) {
			s.attributes = append(s.attributes, seq(oid("1.2.3.4.5"), seq(null())))
		}), nil},
		{"attr-no-attribute", "a signed attribute that is an integer", bad, first(func(s *signerInfo) { s.attributes = append(s.attributes, integer(5)) }), nil},
		{"attr-unsigned", "an unsigned attribute", accepted, first(func(s *signerInfo) { s.unsigned = [][]byte{attribute("1.2.3.4.5", null())} }), nil},
		{"attr-countersignature", "a countersignature that is rubbish, unsigned as they all are", accepted,
			first(func(s *signerInfo) { s.unsigned = [][]byte{attribute(idCounter, octets([]byte("x")))} }), nil},
		{"attr-unsigned-digest", "the message digest among the unsigned attributes only", bad, first(func(s *signerInfo) {
			s.unsigned = [][]byte{s.attributes[1]}
			s.drop(idMessageDigest)
		}), nil},
	}
}

// forgedAttributes are messages whose content and attributes change places
// (ePrint 2023/1801).
func forgedAttributes(text string) []structureCase {
	of := func(content []byte) []byte {
		return set(attribute(idContentType, oid(idData)), attribute(idMessageDigest, octets(sum(crypto.SHA256, content))))
	}
	attributes := of(canonical([]byte(text)))
	return []structureCase{
		{"forged-attributes", "attributes once signed, passed off as the content of a message without attributes", malformedEnvelope, func(m *signedData) {
			m.content = attributes
			m.signers[0].bare, m.signers[0].signed = true, attributes
		}, nil},
		{"forged-content", "a content once signed without attributes, passed off as attributes", malformedEnvelope, func(m *signedData) {
			m.signers[0].signed = attributes
			m.signers[0].bare = true
		}, nil},
		{"content-is-attributes", "content that is an encoding of attributes, validly signed with attributes", malformedEnvelope, func(m *signedData) {
			m.content = attributes
			m.signers[0].set(idMessageDigest, octets(sum(crypto.SHA256, attributes)))
		}, nil},
		{"attributes-as-context", "attributes signed under their context-specific tag instead of SET", badSignature, first(func(s *signerInfo) {
			s.signed = retag(0xa0, set(s.attributes...))
		}), nil},
		{"content-signed-beside-attributes", "the signature covers the content although there are attributes", badSignature, func(m *signedData) {
			m.signers[0].signed = m.content
		}, nil},
	}
}

func signerInfos(b *book) []structureCase {
	const bad = malformedEnvelope
	sig := func(bend func([]byte) []byte) func(*signedData) {
		return first(func(s *signerInfo) { s.bend = bend })
	}
	mallory := newMallory()
	return []structureCase{
		{"signer-version-0", "SignerInfo of version 0", bad, first(func(s *signerInfo) { s.version = 0 }), nil},
		{"signer-version-2", "SignerInfo of version 2", bad, first(func(s *signerInfo) { s.version = 2 }), nil},
		{"signer-version-3-by-issuer", "version 3 with issuer and serial number", bad, first(func(s *signerInfo) { s.version = 3 }), nil},
		{"signer-extra-field", "a SignerInfo with a field more", bad, first(func(s *signerInfo) { s.more = null() }), nil},
		{"signer-digest-not-listed", "its digest is not among those of SignedData", bad, func(m *signedData) { m.digests = [][]byte{digestID(crypto.SHA512)} }, nil},
		{"signer-no-digests", "an empty set of digest algorithms", bad, func(m *signedData) { m.digests = nil }, nil},
		{"signer-more-digests", "a digest algorithm that nobody uses, beside", accepted, func(m *signedData) { m.digests = append(m.digests, digestID(crypto.SHA1)) }, nil},
		{"signer-digest-no-parameters", "a digest without the NULL", accepted, func(m *signedData) {
			m.signers[0].digest = seq(oid(digests[crypto.SHA256]))
			m.digests = [][]byte{m.signers[0].digest}
		}, nil},
		{"signer-digest-null-beside-none", "NULL in the one place, nothing in the other", accepted, func(m *signedData) { m.digests = [][]byte{seq(oid(digests[crypto.SHA256]))} }, nil},
		{"signature-zeros", "a signature of zeros", badSignature, sig(func(s []byte) []byte { return make([]byte, len(s)) }), nil},
		{"signature-none", "an empty signature", badSignature, sig(func(s []byte) []byte { return nil }), nil},
		{"signature-cut", "a signature without its last byte", badSignature, sig(func(s []byte) []byte { return s[:len(s)-1] }), nil},
		{"signature-byte-after", "a byte after the signature", badSignature, sig(func(s []byte) []byte { return append(bytes.Clone(s), 0) }), nil},
		{"signature-flipped", "one bit of the signature changed", badSignature, sig(flipLast), nil},
		{"signature-other-key", "signed with another key than the certificate's", badSignature, first(func(s *signerInfo) { s.by = mallory.key }), nil},
		{"signature-by-bob", "signed by Bob in the name of Alice, both certificates inside", badSignature, func(m *signedData) {
			m.signers[0].by = b.bob.key
			carrying(b.bob)(m)
		}, nil},
		{"signature-of-other-attributes", "a signature over the attributes of another message", badSignature, first(func(s *signerInfo) {
			s.signed = set(attribute(idContentType, oid(idData)), attribute(idMessageDigest, octets(make([]byte, 32))))
		}), nil},
		{"content-replaced", "another list in the place of the one that was signed", badSignature, func(m *signedData) {
			m.content = bytes.Replace(m.content, []byte("Test list"), []byte("Best list"), 1)
		}, nil},
		{"content-appended", "a line after the list that was signed", badSignature, func(m *signedData) { m.content = append(bytes.Clone(m.content), "x\r\n"...) }, nil},
		{"content-lf-inside", "signed as CRLF, embedded as LF", badSignature, func(m *signedData) {
			m.content = bytes.ReplaceAll(m.content, []byte("\r\n"), []byte("\n"))
		}, nil},
		{"content-lf-signed", "embedded and signed with LF (openssl -nodetach -binary)", accepted, func(m *signedData) {
			m.content = bytes.ReplaceAll(m.content, []byte("\r\n"), []byte("\n"))
			m.signers[0].set(idMessageDigest, octets(sum(crypto.SHA256, m.content)))
		}, nil},
	}
}

func newMallory() *entity { return root("/CN=Mallory", ecKey("mallory"), asUser) }

// identifiers are about how the signer's certificate is named.
func identifiers(b *book) []structureCase {
	const bad = malformedEnvelope
	sid := func(version int64, der []byte) func(*signedData) {
		return first(func(s *signerInfo) { s.version, s.sid = version, der })
	}
	keyID := differs("key-identifier")
	mallory := issue(newMallory(), b.alice.dn, ecKey("mallory"), asUser, func(c *certificate) {
		c.issuer, c.serial = b.alice.tbs.issuer, b.alice.tbs.serial
	})
	sameID := issue(newMallory(), person("Mallory"), ecKey("mallory"), asUser, with(idSubjectKey, false, octets(b.alice.key.id)))
	noID := b.ca.user(person("Without key identifier"), without(idSubjectKey))
	return []structureCase{
		{"sid-key-identifier", "the signer named by subject key identifier", accepted, sid(3, implicit(0, b.alice.key.id)), []about{keyID}},
		{"sid-key-identifier-version-3", "the same in a SignedData of version 3, as RFC 5652 says", accepted, func(m *signedData) {
			m.version = 3
			sid(3, implicit(0, b.alice.key.id))(m)
		}, []about{keyID}},
		{"sid-key-identifier-version-1", "a subject key identifier in a SignerInfo of version 1", bad, sid(1, implicit(0, b.alice.key.id)), nil},
		{"sid-key-identifier-unknown", "a subject key identifier of nobody", bad, sid(3, implicit(0, []byte("nobody"))), nil},
		{"sid-key-identifier-empty", "an empty subject key identifier", bad, sid(3, implicit(0, nil)), nil},
		{"sid-key-identifier-empty-matches", "an empty identifier and a certificate that has none", bad, func(m *signedData) {
			sid(3, implicit(0, nil))(m)
			m.certs = [][]byte{noID.cert}
			m.signers[0].by = noID.key
		}, nil},
		{"sid-key-identifier-of-bob", "the key identifier of somebody else in the message", badSignature, func(m *signedData) {
			sid(3, implicit(0, b.bob.key.id))(m)
			carrying(b.bob)(m)
		}, nil},
		{"sid-key-identifier-prefix", "the first half of the key identifier", bad, sid(3, implicit(0, b.alice.key.id[:10])), nil},
		{"sid-key-identifier-of-two", "two certificates with one key identifier", bad, func(m *signedData) {
			sid(3, implicit(0, b.alice.key.id))(m)
			carrying(sameID)(m)
		}, nil},
		{"sid-other-serial", "another serial number", bad, sid(1, seq(b.alice.tbs.issuer, integer(77))), nil},
		{"sid-negative-serial", "the serial number with its sign changed", bad, sid(1, seq(b.alice.tbs.issuer, integer(-77))), nil},
		{"sid-other-issuer", "another issuer", bad, sid(1, seq(dn("/CN=Other"), b.alice.tbs.serial)), nil},
		{"sid-subject-for-issuer", "the subject in place of the issuer", bad, sid(1, seq(b.alice.name, b.alice.tbs.serial)), nil},
		{"sid-three-fields", "issuer, serial number and a field more", bad, sid(1, seq(b.alice.tbs.issuer, b.alice.tbs.serial, null())), nil},
		{"sid-null", "a signer named by nothing", bad, sid(1, null()), nil},
		{"sid-printable-issuer", "the issuer's name with other string types", bad, sid(1, seq(rdns([]ava{{"DC", "org", utf8String}}, []ava{{"DC", "example", utf8String}},
			[]ava{{"CN", "Example CA", printableString}}), b.alice.tbs.serial)), nil},
		{"sid-two-match", "two certificates of one issuer and serial number, the right one too", bad, func(m *signedData) { m.certs = append(m.certs, mallory.cert) }, nil},
		{"sid-impostor", "a certificate with Alice's issuer and serial number that Mallory made", untrusted, func(m *signedData) {
			m.certs = [][]byte{mallory.cert}
			m.signers[0].by = mallory.key
		}, nil},
	}
}

func severalSigners(b *book, text string) []structureCase {
	content := canonical([]byte(text))
	also := func(who *entity, bend ...func(*signerInfo)) func(*signedData) {
		return func(m *signedData) {
			s := m.addSigner(who, content, crypto.SHA256)
			carrying(who)(m)
			for _, f := range bend {
				f(s)
			}
		}
	}
	rogue := root(example("/CN=Rogue CA"), ecKey("rogue")).user(person("Alice"))
	times := func(n int) func(*signedData) {
		return func(m *signedData) {
			for range n - 1 {
				m.signers = append(m.signers, m.signers[0])
			}
		}
	}
	return []structureCase{
		{"signers-none", "no signer, certificates only", notSigned, func(m *signedData) { m.signers = nil }, nil},
		{"signers-none-no-digests", "no signer and no digest", notSigned, func(m *signedData) { m.signers, m.digests = nil, nil }, nil},
		{"signers-two", "Alice and Bob, both valid", multipleSigners, also(b.bob), nil},
		{"signers-two-alike", "Alice twice", multipleSigners, times(2), nil},
		{"signers-two-untrusted", "Alice, and somebody nobody trusts", multipleSigners, also(rogue), nil},
		{"signers-two-second-forged", "Alice, and a signature in Bob's name that is none", badSignature, also(b.bob, func(s *signerInfo) { s.bend = flipLast }), nil},
		{"signers-two-first-forged", "a forged signature of Alice's, and Bob's", badSignature, func(m *signedData) {
			m.signers[0].bend = flipLast
			also(b.bob)(m)
		}, nil},
		{"signers-two-second-without-certificate", "Alice, and somebody whose certificate is not there", malformedEnvelope, func(m *signedData) {
			m.addSigner(b.bob, content, crypto.SHA256)
		}, nil},
		{"signers-two-second-weak", "Alice, and Bob over SHA-1", weakAlgorithm, func(m *signedData) {
			m.addSigner(b.bob, content, crypto.SHA1)
			carrying(b.bob)(m)
		}, nil},
		{"signers-eight", "eight signers, the most that are looked at", multipleSigners, times(8), nil},
		{"signers-nine", "nine signers", malformedEnvelope, times(9), nil},
		{"signers-other-content", "Alice, and Bob over another content", badSignature, func(m *signedData) {
			m.addSigner(b.bob, []byte("{}"), crypto.SHA256)
			carrying(b.bob)(m)
		}, nil},
	}
}

// outlines are about SignedData itself.
func outlines() []structureCase {
	const bad = malformedEnvelope
	version := func(n int64) func(*signedData) { return func(m *signedData) { m.version = n } }
	outer := func(id string) func(*signedData) { return func(m *signedData) { m.outerType = id } }
	inner := func(id string) func(*signedData) { return func(m *signedData) { m.contentType = id } }
	wrapped := func(wrap func(content []byte) []byte) func(*signedData) {
		return func(m *signedData) { m.wrapped = wrap(m.content) }
	}
	pack := func(f func([]byte) []byte) func(*signedData) { return func(m *signedData) { m.pack = f } }
	signed := func(data []byte) []byte { return seq(oid(idSignedData), explicit(0, data)) }
	return []structureCase{
		{"version-0", "SignedData of version 0", bad, version(0), nil},
		{"version-2", "SignedData of version 2, which there is not", bad, version(2), nil},
		{"version-3", "SignedData of version 3", accepted, version(3), nil},
		{"version-4", "SignedData of version 4", accepted, version(4), nil},
		{"version-5", "SignedData of version 5", accepted, version(5), nil},
		{"version-6", "SignedData of version 6", bad, version(6), nil},
		{"version-negative", "SignedData of version -1", bad, version(-1), nil},
		{"outer-data", "a ContentInfo of type data", notSigned, outer(idData), nil},
		{"outer-enveloped", "a ContentInfo of type enveloped data", notSigned, outer(idEnveloped), nil},
		{"outer-encrypted", "a ContentInfo of type encrypted data", notSigned, outer(idEncrypted), nil},
		{"outer-digested", "a ContentInfo of type digested data", notSigned, outer(idDigested), nil},
		{"outer-compressed", "a ContentInfo of type compressed data (RFC 3274)", notSigned, outer("1.2.840.113549.1.9.16.1.9"), nil},
		{"outer-third-field", "a ContentInfo with a field more", bad, pack(func(d []byte) []byte { return seq(oid(idSignedData), explicit(0, d), null()) }), nil},
		{"outer-tag-1", "SignedData under [1]", bad, pack(func(d []byte) []byte { return seq(oid(idSignedData), explicit(1, d)) }), nil},
		{"outer-no-tag", "SignedData without its [0]", bad, pack(func(d []byte) []byte { return seq(oid(idSignedData), d) }), nil},
		{"outer-two-inside", "two SignedData in one ContentInfo", bad, pack(func(d []byte) []byte { return seq(oid(idSignedData), explicit(0, d, d)) }), nil},
		{"outer-set", "SignedData that is a SET", bad, pack(func(d []byte) []byte { return signed(retag(0x31, d)) }), nil},
		{"outer-twice", "a signed message inside a signed message", bad, pack(func(d []byte) []byte { return signed(signed(d)) }), nil},
		{"more-fields", "SignedData with a field more", bad, func(m *signedData) { m.more = null() }, nil},
		{"content-type-signed", "eContentType signed data", bad, inner(idSignedData), nil},
		{"content-type-tst", "eContentType of a time stamp token", bad, inner("1.2.840.113549.1.9.16.1.4"), nil},
		{"content-type-enveloped", "eContentType enveloped data", bad, inner(idEnveloped), nil},
		{"content-utf8", "content in a UTF8String", bad, wrapped(func(c []byte) []byte { return explicit(0, tlv(utf8String, c)) }), nil},
		{"content-sequence", "content in a SEQUENCE, as PKCS#7 allows", bad, wrapped(func(c []byte) []byte { return explicit(0, seq(octets(c))) }), nil},
		{"content-two", "two contents", bad, wrapped(func(c []byte) []byte { return explicit(0, octets(c), octets(c)) }), nil},
		{"content-third-field", "a field beside the content", bad, wrapped(func(c []byte) []byte { return join(explicit(0, octets(c)), null()) }), nil},
		{"content-tag-1", "content under [1]", bad, wrapped(func(c []byte) []byte { return explicit(1, octets(c)) }), nil},
		{"content-no-octets", "a [0] with nothing in it", bad, wrapped(func([]byte) []byte { return explicit(0) }), nil},
		{"content-empty", "an empty content, signed: no list", malformedList, func(m *signedData) {
			m.content = []byte{}
			m.signers[0].set(idMessageDigest, octets(sum(crypto.SHA256, nil)))
		}, nil},
	}
}

// messageCertificates are about what else is in the message.
func messageCertificates(b *book) []structureCase {
	const bad = malformedEnvelope
	unreadable := seq(integer(1))
	certs := func(list ...[]byte) func(*signedData) { return func(m *signedData) { m.certs = list } }
	cert := b.alice.cert
	fill := func(n int) func(*signedData) { return func(m *signedData) { m.certs = repeat(cert, n) } }
	large := b.ca.user(person("Large"), with("1.2.3.4.5", false, octets(make([]byte, 1<<20))))
	return []structureCase{
		{"certs-none", "the signer's certificate is not in the message", bad, certs(), nil},
		{"certs-another", "only somebody else's certificate", bad, certs(b.bob.cert), nil},
		{"certs-issuer-only", "only the issuer's certificate", bad, certs(b.ca.cert), nil},
		{"certs-chain", "the issuer's certificate as well", accepted, carrying(b.ca), nil},
		{"certs-bob", "somebody else's certificate as well", accepted, carrying(b.bob), nil},
		{"certs-twice", "the signer's certificate twice", accepted, certs(cert, cert), nil},
		{"certs-16", "sixteen certificates", accepted, fill(16), nil},
		{"certs-17", "seventeen certificates", bad, fill(17), nil},
		{"certs-unreadable-signer", "a SEQUENCE that is no certificate for the signer's", bad, certs(unreadable), nil},
		{"certs-unreadable-other", "a SEQUENCE that is no certificate beside the signer's", accepted, certs(unreadable, cert), []about{differs("unreadable-extra")}},
		{"certs-attribute-certificate", "an attribute certificate beside the signer's", accepted, certs(cert, explicit(2, integer(1))), []about{differs("unreadable-extra")}},
		{"certs-damaged", "the signer's certificate with one byte of its signature changed", untrusted, certs(flipLast(cert)), nil},
		{"certs-cut", "the signer's certificate without its signature", bad, certs(seq(body(cert)[:len(body(cert))-74])), nil},
		{"certs-over-1-mib", "a certificate that makes the structure larger than 1 MiB", bad, func(m *signedData) { m.certs = append(m.certs, large.cert) }, nil},
	}
}

func repeat(b []byte, n int) [][]byte {
	var all [][]byte
	for range n {
		all = append(all, b)
	}
	return all
}

func messageCRLs(b *book) []structureCase {
	return []structureCase{
		{"crls", "a CRL in the message, which is not asked", accepted, func(m *signedData) { m.crls = [][]byte{b.ca.crl(asDER)} }, nil},
		{"crls-garbage", "a SEQUENCE in the place of a CRL", accepted, func(m *signedData) { m.crls = [][]byte{seq(integer(1))} }, []about{differs("unreadable-extra")}},
		{"crls-other", "revocation information of another format (RFC 5652 §10.2.1)", accepted, func(m *signedData) {
			m.crls = [][]byte{explicit(1, oid("1.2.3.4.5"), null())}
		}, []about{differs("unreadable-extra")}},
	}
}

// encodedCase is a message as it stands.
type encodedCase struct {
	id, description, expect string
	message                 []byte
	more                    []about
}

// encodings are BER of one and the same message.
func encodings(by *entity, text string) []encodedCase {
	content := canonical([]byte(text))
	outer := func(wrap func(data []byte) []byte) []byte {
		return embedded(by, text, func(m *signedData) { m.pack = wrap })
	}
	inner := func(wrapped []byte) []byte {
		return embedded(by, text, func(m *signedData) {
			m.wrapped = wrapped
			m.pack = func(data []byte) []byte {
				return endless(0x30, oid(idSignedData), endless(0xa0, endless(0x30, body(data))))
			}
		})
	}
	half := len(content) / 2
	pieces := join(octets(content[:half]), octets(content[half:]))
	var many [][]byte
	for i := 0; i < len(content); i += 10 {
		many = append(many, octets(content[i:min(i+10, len(content))]))
	}
	p7 := embedded(by, text)
	return []encodedCase{
		{"ber-outer", "ContentInfo of indefinite length", accepted, outer(func(d []byte) []byte { return endless(0x30, oid(idSignedData), endless(0xa0, d)) }), nil},
		{"ber-pieces", "the content in two pieces, as openssl -stream writes it", accepted, inner(endless(0xa0, endless(0x24, pieces))), nil},
		{"ber-many-pieces", "the content in pieces of ten bytes", accepted, inner(endless(0xa0, endless(0x24, many...))), nil},
		{"ber-pieces-definite", "pieces within definite lengths", accepted, inner(explicit(0, tlv(0x24, pieces))), nil},
		{"ber-nested-pieces", "pieces of pieces", accepted, inner(endless(0xa0, endless(0x24, endless(0x24, pieces)))), nil},
		{"ber-empty-piece", "an empty piece between", accepted, inner(endless(0xa0, endless(0x24, octets(content[:half]), octets(), octets(content[half:])))), nil},
		{"ber-long-length", "a length in more octets than it needs", accepted, outer(func(d []byte) []byte { return longLength(seq(oid(idSignedData), explicit(0, d))) }), nil},
		{"ber-piece-of-another-type", "a piece that is a UTF8String", malformedEnvelope, inner(endless(0xa0, endless(0x24, octets(content[:half]), tlv(utf8String, content[half:])))), nil},
		{"ber-pieces-reordered", "the pieces exchanged", badSignature, inner(endless(0xa0, endless(0x24, octets(content[half:]), octets(content[:half])))), nil},
		{"ber-no-end", "an indefinite length without end of contents", malformedEnvelope, outer(func(d []byte) []byte { return join([]byte{0x30, 0x80}, oid(idSignedData), explicit(0, d)) }), nil},
		{"ber-byte-after", "a byte after the end of contents", malformedEnvelope, outer(func(d []byte) []byte { return append(endless(0x30, oid(idSignedData), explicit(0, d)), 0) }), nil},
		{"ber-end-twice", "two ends of contents", malformedEnvelope, outer(func(d []byte) []byte { return append(endless(0x30, oid(idSignedData), explicit(0, d)), 0, 0) }), nil},
		{"ber-signer", "a SignerInfo of indefinite length, where signatures need DER", malformedEnvelope,
			embedded(by, text, first(func(s *signerInfo) { s.endless = true })), nil},
		{"ber-primitive-endless", "a primitive element of indefinite length", malformedEnvelope, inner(endless(0xa0, join([]byte{4, 0x80}, content, []byte{0, 0}))), nil},
		{"der-length-short", "an outer length one too small", malformedEnvelope, add(p7, 3, -1), nil},
		{"der-length-long", "an outer length one too large", malformedEnvelope, add(p7, 3, 1), nil},
		{"der-child-beyond-parent", "SignedData that reaches one byte beyond its parent", malformedEnvelope, add(p7, 22, 1), nil},
		{"der-length-huge", "an outer length of four gigabytes", malformedEnvelope, join([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, p7[4:]), nil},
		{"der-length-of-nine-octets", "a length in nine octets", malformedEnvelope, join([]byte{0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0}, p7[4:]), nil},
		{"der-long-tag", "a tag number in the long form", malformedEnvelope, outer(func(d []byte) []byte { return seq(oid(idSignedData), explicit(0, d), []byte{0xbf, 0x1f, 0}) }), nil},
	}
}

// longLength writes a definite length in four octets.
func longLength(element []byte) []byte {
	b := body(element)
	n := len(b)
	return join([]byte{element[0], 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, b)
}

// add changes one byte.
func add(der []byte, at int, n int8) []byte {
	out := bytes.Clone(der)
	out[at] += byte(n)
	return out
}

// hostileEncodings cost a careless parser seconds and gigabytes.
func hostileEncodings() []encodedCase {
	nested := func(n int) []byte {
		var b []byte
		for range n {
			b = tlv(0x30, b)
		}
		return b
	}
	return []encodedCase{
		{"dos-overlapping", "overlapping BER: every level's length reaches over the next", malformedEnvelope, overlapping(190), nil},
		{"dos-endless", "100,000 openings of indefinite length", malformedEnvelope, bytes.Repeat([]byte{0x30, 0x80}, 100000), nil},
		{"dos-endless-octets", "100,000 constructed octet strings in one another", malformedEnvelope, join([]byte{0x30, 0x80}, bytes.Repeat([]byte{0x24, 0x80}, 100000)), nil},
		{"dos-nested", "2,000 levels, all well-formed", malformedEnvelope, nested(2000), nil},
		{"dos-depth-33", "33 levels where 32 are allowed", malformedEnvelope, seq(oid(idSignedData), explicit(0, seq(nested(31), octets(make([]byte, 200))))), nil},
		{"dos-elements", "60,000 elements", malformedEnvelope, seq(oid(idSignedData), explicit(0, seq(bytes.Repeat(null(), 60000)))), nil},
		{"dos-pieces", "60,000 empty pieces of an octet string", malformedEnvelope, seq(oid(idSignedData), explicit(0, tlv(0x24, bytes.Repeat([]byte{4, 0}, 60000)))), nil},
		{"dos-one-octet-length", "a SEQUENCE that says it is 127 bytes long and ends", malformedEnvelope, []byte{0x30, 0x81, 0x7f}, nil},
		{"dos-empty", "an empty SEQUENCE of indefinite length", malformedEnvelope, []byte{0x30, 0x80, 0, 0}, nil},
	}
}

// overlapping is BER in which each element claims the bytes of all that follow.
func overlapping(levels int) []byte {
	var b []byte
	for i := range levels {
		left := 4 * (levels - i)
		b = append(b, 0x30, 0x82, byte(left>>8), byte(left))
	}
	return append(b, bytes.Repeat([]byte{0}, 4)...)
}
