package main

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	_ "crypto/sha3"
	"math/big"
)

// algorithmCase is a message by somebody with a key of some kind.
type algorithmCase struct {
	id, description, expect string
	key                     *key
	hash                    crypto.Hash
	bend                    func(*signerInfo)
	more                    []about
}

// algorithms are about keys, digests and signatures.
func algorithms(b *book) {
	for _, group := range [][]algorithmCase{rsaSigners(), ecSigners(), pssSigners(), digestsInUse(), otherKeys(), bentSignatures()} {
		for _, c := range group {
			who := issue(b.ca, person("Signer"), c.key, asUser)
			message := embedded(who, list(who), func(m *signedData) {
				m.signers, m.digests = nil, nil
				s := m.addSigner(who, m.content, c.hash)
				if c.bend != nil {
					c.bend(s)
				}
			})
			b.add("algorithm-"+c.id, c.description, c.expect, "trust.md case table, 3.6; T-46", message, c.more...)
		}
	}
	certificateAlgorithms(b)
}

func withAlgorithm(a algorithm) func(*signerInfo) { return func(s *signerInfo) { s.sign = a } }

// naming keeps the signature and names another algorithm for it.
func naming(id []byte) func(*signerInfo) { return func(s *signerInfo) { s.says = id } }

func rsaSigners() []algorithmCase {
	key := rsaKey("signer", 2048)
	return []algorithmCase{
		{"rsa-2048-sha256", "RSA of 2048 bits, SHA-256", accepted, key, crypto.SHA256, nil, nil},
		{"rsa-2048-sha384", "RSA of 2048 bits, SHA-384", accepted, key, crypto.SHA384, nil, nil},
		{"rsa-2048-sha512", "RSA of 2048 bits, SHA-512", accepted, key, crypto.SHA512, nil, nil},
		{"rsa-3072", "RSA of 3072 bits", accepted, rsaKey("signer", 3072), crypto.SHA256, nil, nil},
		{"rsa-4096", "RSA of 4096 bits", accepted, rsaKey("signer", 4096), crypto.SHA512, nil, nil},
		{"rsa-named-with-digest", "sha256WithRSAEncryption in the SignerInfo", accepted, key, crypto.SHA256, withAlgorithm(key.with(crypto.SHA256)), nil},
		{"rsa-no-parameters", "rsaEncryption without the NULL", accepted, key, crypto.SHA256, naming(seq(oid("1.2.840.113549.1.1.1"))), nil},
		{"rsa-exponent-3", "RSA with exponent 3", accepted, rsaKeyOf("signer", 2048, 3), crypto.SHA256, nil, nil},
		{"rsa-odd-size", "RSA of 2049 bits", accepted, rsaKey("signer", 2049), crypto.SHA256, nil, nil},
		{"rsa-2047", "RSA of 2047 bits", weakAlgorithm, rsaKey("signer", 2047), crypto.SHA256, nil, nil},
		{"rsa-1536", "RSA of 1536 bits", weakAlgorithm, rsaKey("signer", 1536), crypto.SHA256, nil, nil},
		{"rsa-1024", "RSA of 1024 bits", weakAlgorithm, rsaKey("signer", 1024), crypto.SHA256, nil, nil},
		{"rsa-1024-allow-sha1", "RSA of 1024 bits is not what allow-sha1 allows", weakAlgorithm, rsaKey("signer", 1024), crypto.SHA1, nil, []about{options("allow-sha1")}},
		{"rsa-512", "RSA of 512 bits", weakAlgorithm, rsaKey("signer", 512), crypto.SHA256, nil, nil},
		{"rsa-16384", "RSA of 16384 bits, only there to cost time", unsupportedAlgorithm, rsaOfSize(16384), crypto.SHA256, nil, nil},
		{"rsa-8200", "RSA of 8200 bits, over the limit of 8192", unsupportedAlgorithm, rsaOfSize(8200), crypto.SHA256, nil, nil},
	}
}

func ecSigners() []algorithmCase {
	p256, p384, p521 := ecKey("signer"), curveKey("signer", elliptic.P384()), curveKey("signer", elliptic.P521())
	return []algorithmCase{
		{"p256-sha256", "P-256, SHA-256", accepted, p256, crypto.SHA256, nil, nil},
		{"p256-sha512", "P-256, SHA-512", accepted, p256, crypto.SHA512, nil, nil},
		{"p384-sha384", "P-384, SHA-384", accepted, p384, crypto.SHA384, nil, nil},
		{"p384-sha256", "P-384, SHA-256", accepted, p384, crypto.SHA256, nil, nil},
		{"p521-sha512", "P-521, SHA-512", accepted, p521, crypto.SHA512, nil, nil},
		{"p256-null", "ecdsa-with-SHA256 with a NULL", accepted, p256, crypto.SHA256, naming(seq(oid(ecdsaWith[crypto.SHA256]), null())), nil},
		{"p224", "P-224", unsupportedAlgorithm, curveKey("signer", elliptic.P224()), crypto.SHA256, nil, nil},
		{"ec-named-by-key", "id-ecPublicKey for the signature algorithm", unsupportedAlgorithm, p256, crypto.SHA256, naming(seq(oid("1.2.840.10045.2.1"))), nil},
		{"ec-other-digest", "ecdsa-with-SHA384 over a SHA-256 digest", unsupportedAlgorithm, p256, crypto.SHA256, withAlgorithm(p256.with(crypto.SHA384)), nil},
		{"ec-named-rsa", "an ECDSA signature that says it is RSA", badSignature, p256, crypto.SHA256, naming(seq(oid("1.2.840.113549.1.1.1"), null())), nil},
	}
}

func pssSigners() []algorithmCase {
	key := rsaKey("signer", 2048)
	smime := []about{differs("rsa-pss")}
	named := func(parameters ...[]byte) func(*signerInfo) {
		return func(s *signerInfo) {
			s.sign = pssWith(crypto.SHA256, 32)
			s.says = seq(append([][]byte{oid("1.2.840.113549.1.1.10")}, parameters...)...)
		}
	}
	other := func(hash, mask crypto.Hash, salt int) func(*signerInfo) {
		a := algorithm{hash: hash, mask: mask, pss: true, salt: salt}
		a.id = seq(oid("1.2.840.113549.1.1.10"), pssParameters(hash, mask, integer(int64(salt))))
		return withAlgorithm(a)
	}
	p := crypto.SHA256
	return []algorithmCase{
		{"pss-sha256", "RSA-PSS, SHA-256, salt of 32", accepted, key, crypto.SHA256, withAlgorithm(pssWith(crypto.SHA256, 32)), smime},
		{"pss-sha384", "RSA-PSS, SHA-384, salt of 48", accepted, key, crypto.SHA384, withAlgorithm(pssWith(crypto.SHA384, 48)), smime},
		{"pss-sha512", "RSA-PSS, SHA-512, salt of 64", accepted, key, crypto.SHA512, withAlgorithm(pssWith(crypto.SHA512, 64)), smime},
		{"pss-long-salt", "RSA-PSS with the longest salt, as openssl signs", accepted, key, crypto.SHA256, withAlgorithm(pssWith(crypto.SHA256, 222)), smime},
		{"pss-no-salt", "RSA-PSS without salt", accepted, key, crypto.SHA256, withAlgorithm(pssWith(crypto.SHA256, 0)), smime},
		{"pss-salt-not-as-said", "RSA-PSS with another salt length than it says", badSignature, key, crypto.SHA256, named(pssParameters(p, p, integer(20))), nil},
		{"pss-salt-negative", "RSA-PSS with a salt of -1 bytes", unsupportedAlgorithm, key, crypto.SHA256, named(pssParameters(p, p, integer(-1))), nil},
		{"pss-salt-huge", "RSA-PSS with a salt longer than any key", unsupportedAlgorithm, key, crypto.SHA256, named(pssParameters(p, p, integer(1<<30))), nil},
		{"pss-no-parameters", "RSA-PSS without parameters", unsupportedAlgorithm, key, crypto.SHA256, named(), nil},
		{"pss-defaults", "RSA-PSS with its defaults, which are SHA-1", unsupportedAlgorithm, key, crypto.SHA256, named(seq()), nil},
		{"pss-trailer-2", "RSA-PSS with trailer field 2", unsupportedAlgorithm, key, crypto.SHA256, named(pssParameters(p, p, integer(32), explicit(3, integer(2)))), nil},
		{"pss-mask-sha1", "RSA-PSS whose mask function is over SHA-1", unsupportedAlgorithm, key, crypto.SHA256, other(crypto.SHA256, crypto.SHA1, 32), nil},
		{"pss-other-digest", "RSA-PSS over SHA-512, the message digest over SHA-256", unsupportedAlgorithm, key, crypto.SHA256, other(crypto.SHA512, crypto.SHA512, 32), nil},
		{"pss-sha1", "RSA-PSS over SHA-1", weakAlgorithm, key, crypto.SHA1, withAlgorithm(pssWith(crypto.SHA1, 20)), nil},
		{"pss-is-pkcs1", "a PKCS #1 v1.5 signature that says it is RSA-PSS", badSignature, key, crypto.SHA256, naming(pssWith(crypto.SHA256, 32).id), nil},
		{"pkcs1-is-pss", "an RSA-PSS signature that says it is PKCS #1 v1.5", badSignature, key, crypto.SHA256, func(s *signerInfo) {
			s.sign, s.says = pssWith(crypto.SHA256, 32), seq(oid("1.2.840.113549.1.1.1"), null())
		}, nil},
		{"pss-ec-key", "RSA-PSS with a P-256 key", badSignature, ecKey("signer"), crypto.SHA256, naming(pssWith(crypto.SHA256, 32).id), nil},
	}
}

func digestsInUse() []algorithmCase {
	key, ec := rsaKey("signer", 2048), ecKey("signer")
	sha1 := []about{options("allow-sha1")}
	return []algorithmCase{
		{"sha1", "SHA-1", weakAlgorithm, key, crypto.SHA1, nil, nil},
		{"sha1-allowed", "SHA-1 with allow-sha1", accepted, key, crypto.SHA1, nil, sha1},
		{"sha1-ec", "ECDSA over SHA-1", weakAlgorithm, ec, crypto.SHA1, nil, nil},
		{"sha1-ec-allowed", "ECDSA over SHA-1 with allow-sha1", accepted, ec, crypto.SHA1, nil, sha1},
		{"sha1-tampered-allowed", "SHA-1 and a signature that is none: the signature is the reason", badSignature, key, crypto.SHA1, func(s *signerInfo) { s.bend = flipLast }, sha1},
		{"md5", "MD5", weakAlgorithm, key, crypto.MD5, nil, nil},
		{"md5-allow-sha1", "MD5 is not what allow-sha1 allows", weakAlgorithm, key, crypto.MD5, nil, sha1},
		{"sha224", "SHA-224", unsupportedAlgorithm, key, crypto.SHA224, nil, nil},
		{"sha512-256", "SHA-512/256", unsupportedAlgorithm, key, crypto.SHA512_256, nil, nil},
		{"sha3-256", "SHA3-256", unsupportedAlgorithm, key, crypto.SHA3_256, nil, nil},
		{"digest-parameters", "a digest algorithm with parameters", unsupportedAlgorithm, key, crypto.SHA256, func(s *signerInfo) {
			s.digest = seq(oid(digests[crypto.SHA256]), integer(256))
		}, nil},
		{"sha1-named-sha256", "a SHA-1 digest that says it is SHA-256", badSignature, key, crypto.SHA256, func(s *signerInfo) {
			s.set(idMessageDigest, octets(sum(crypto.SHA1, []byte("x"))))
		}, nil},
	}
}

func otherKeys() []algorithmCase {
	h := crypto.SHA256
	return []algorithmCase{
		{"ed25519", "Ed25519 (RFC 8419)", unsupportedAlgorithm, edKey("signer"), crypto.SHA512, nil, nil},
		{"dsa", "DSA", unsupportedAlgorithm, dsaKey(), h, naming(seq(oid("2.16.840.1.101.3.4.3.2"))), nil},
		{"unknown-key", "a key of an unknown kind", unsupportedAlgorithm, newKey(seq(seq(oid("1.2.3.4.5")), bits([]byte{1, 2, 3}))), h, naming(seq(oid("1.2.3.4.5"))), nil},
		{"secp256k1", "a curve whose certificates cannot be read", unsupportedAlgorithm, foreignCurveKey(), h, naming(seq(oid(ecdsaWith[h]))), nil},
		{"signature-dsa", "an RSA key, and a signature that says it is DSA", unsupportedAlgorithm, rsaKey("signer", 2048), h, naming(seq(oid("1.2.840.10040.4.3"))), nil},
		{"signature-unknown", "an unknown signature algorithm", unsupportedAlgorithm, rsaKey("signer", 2048), h, naming(seq(oid("1.2.3.4.5"))), nil},
		{"signature-parameters", "rsaEncryption with parameters", unsupportedAlgorithm, rsaKey("signer", 2048), h, naming(seq(oid("1.2.840.113549.1.1.1"), integer(1))), nil},
		{"signature-is-digest", "the digest's identifier for the signature algorithm", unsupportedAlgorithm, rsaKey("signer", 2048), h, naming(digestID(h)), nil},
		{"rsa-named-other-digest", "sha512WithRSAEncryption over a SHA-256 digest", unsupportedAlgorithm, rsaKey("signer", 2048), h, naming(seq(oid(rsaWith[crypto.SHA512]), null())), nil},
		{"rsa-named-ecdsa", "an RSA signature that says it is ECDSA", badSignature, rsaKey("signer", 2048), h, naming(seq(oid(ecdsaWith[h]))), nil},
	}
}

// bentSignatures are valid but for their encoding.
func bentSignatures() []algorithmCase {
	rsa, cubic, ec := rsaKey("signer", 2048), rsaKeyOf("signer", 2048, 3), ecKey("signer")
	pairs := func(change func(r, s *big.Int) []byte) func(*signerInfo) {
		return func(i *signerInfo) { i.bend = func(sig []byte) []byte { return change(halves(sig)) } }
	}
	padded := func(k *key, encode func(attributes []byte) []byte) func(*signerInfo) {
		return func(s *signerInfo) { s.signature = k.power(encode(set(s.attributes...))) }
	}
	h := crypto.SHA256
	n := order(ec.ec)
	return []algorithmCase{
		{"ecdsa-negated", "s replaced by n-s: as valid as the other", accepted, ec, h, pairs(func(r, s *big.Int) []byte { return pair(r, new(big.Int).Sub(n, s)) }), nil},
		{"ecdsa-zero-r", "r of zero", badSignature, ec, h, pairs(func(_, s *big.Int) []byte { return pair(new(big.Int), s) }), nil},
		{"ecdsa-zero-both", "r and s of zero", badSignature, ec, h, pairs(func(_, _ *big.Int) []byte { return pair(new(big.Int), new(big.Int)) }), nil},
		{"ecdsa-r-plus-order", "r and the order of the curve", badSignature, ec, h, pairs(func(r, s *big.Int) []byte { return pair(new(big.Int).Add(r, n), s) }), nil},
		{"ecdsa-negative-s", "s below zero", badSignature, ec, h, pairs(func(r, s *big.Int) []byte { return pair(r, new(big.Int).Sub(s, n)) }), nil},
		{"ecdsa-third-integer", "three integers", badSignature, ec, h, pairs(func(r, s *big.Int) []byte { return seq(bigInteger(r), bigInteger(s), integer(0)) }), nil},
		{"ecdsa-plain", "r and s without DER", badSignature, ec, h, pairs(func(r, s *big.Int) []byte {
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}), nil},
		{"rsa-leading-zero", "an RSA signature with a zero byte before it", badSignature, rsa, h, func(s *signerInfo) {
			s.bend = func(sig []byte) []byte { return append([]byte{0}, sig...) }
		}, nil},
		{"rsa-plus-modulus", "an RSA signature and the modulus", badSignature, rsa, h, func(s *signerInfo) {
			s.bend = func(sig []byte) []byte { return new(big.Int).Add(new(big.Int).SetBytes(sig), rsa.n).Bytes() }
		}, nil},
		{"rsa-no-digest-info", "the padded digest without its DigestInfo", badSignature, rsa, h, padded(rsa, func(a []byte) []byte { return rsa.pkcs1(sum(h, a)) }), nil},
		{"rsa-digest-info-no-null", "a DigestInfo without the NULL", badSignature, rsa, h, padded(rsa, func(a []byte) []byte {
			return rsa.pkcs1(seq(seq(oid(digests[h])), octets(sum(h, a))))
		}), nil},
		{"rsa-digest-info-longer", "bytes after the DigestInfo", badSignature, rsa, h, padded(rsa, func(a []byte) []byte { return rsa.pkcs1(append(digestInfo(h, a), 0, 0)) }), nil},
		{"rsa-digest-info-other", "a DigestInfo of another digest", badSignature, rsa, h, padded(rsa, func(a []byte) []byte { return rsa.pkcs1(digestInfo(crypto.SHA512, a)) }), nil},
		{"rsa-block-type-2", "padding of block type 2", badSignature, rsa, h, padded(rsa, func(a []byte) []byte {
			block := rsa.pkcs1(digestInfo(h, a))
			block[1] = 2
			return block
		}), nil},
		{"rsa-short-padding", "padding cut short and bytes behind, as a forger with exponent 3 would make", badSignature, cubic, h, func(s *signerInfo) {
			s.signature = cubeRoot(cubic, digestInfo(h, set(s.attributes...)))
		}, nil},
	}
}

func pair(r, s *big.Int) []byte { return seq(bigInteger(r), bigInteger(s)) }

// cubeRoot is a number whose cube begins like a signature over a DigestInfo:
// Bleichenbacher's forgery of 2006, which needs no key.
func cubeRoot(k *key, info []byte) []byte {
	target := join([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8), []byte{0}, info)
	target = append(target, bytes.Repeat([]byte{0xff}, k.size-len(target))...)
	n := new(big.Int).SetBytes(target)
	low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/3+1))
	for one := big.NewInt(1); new(big.Int).Sub(high, low).Cmp(one) > 0; {
		middle := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
		if new(big.Int).Exp(middle, big.NewInt(3), nil).Cmp(n) > 0 {
			high = middle
		} else {
			low = middle
		}
	}
	return low.FillBytes(make([]byte, k.size))
}

// certificateAlgorithms are about what certificates are signed with.
func certificateAlgorithms(b *book) {
	const dir = "algorithms"
	b.base(dir)
	rsaRoot := root(example("/CN=RSA Root"), rsaKey("root", 2048))
	oldRoot := root(example("/CN=SHA-1 Root"), rsaKey("old root", 2048), signedOver(crypto.SHA1))
	md5Root := root(example("/CN=MD5 Root"), rsaKey("md5 root", 2048), signedOver(crypto.MD5))
	weakRoot := root(example("/CN=1024-bit Root"), rsaKey("weak root", 1024))
	edRoot := root(example("/CN=Ed25519 Root"), edKey("root"))
	p384Root := root(example("/CN=P-384 Root"), curveKey("root", elliptic.P384()), signedOver(crypto.SHA384))
	largeRoot := root(example("/CN=4096-bit Root"), rsaKey("large root", 4096), signedOver(crypto.SHA512))
	for _, r := range []*entity{rsaRoot, oldRoot, md5Root, weakRoot, edRoot, p384Root, largeRoot} {
		b.install(dir, r)
	}
	sha1Sub := rsaRoot.sub(example("/CN=SHA-1 CA"), ecKey("sha1 sub"), signedOver(crypto.SHA1))
	weakSub := rsaRoot.sub(example("/CN=1024-bit CA"), rsaKey("weak sub", 1024))
	b.install(dir, sha1Sub)
	b.install(dir, weakSub)
	pss, longSalt := pssWith(crypto.SHA256, 32), pssWith(crypto.SHA256, 222)
	pssSub := rsaRoot.sub(example("/CN=RSA-PSS CA"), ecKey("pss sub"), signedWith(longSalt))
	b.install(dir, pssSub)
	mismatch := func(c *certificate) { c.says = c.by.with(crypto.SHA512).id }
	for _, c := range []struct {
		id, description, expect string
		who                     *entity
		more                    []about
	}{
		{"cert-sha1", "the signer's certificate signed over SHA-1", weakAlgorithm, rsaRoot.user(person("A"), signedOver(crypto.SHA1)), nil},
		{"cert-sha1-allowed", "which allow-sha1, for messages, does not allow", weakAlgorithm, rsaRoot.user(person("A"), signedOver(crypto.SHA1)), []about{options("allow-sha1")}},
		{"cert-sha1-ec", "the same with ECDSA", weakAlgorithm, b.ca.user(person("A"), signedOver(crypto.SHA1)), nil},
		{"cert-md5", "the signer's certificate signed over MD5", weakAlgorithm, rsaRoot.user(person("A"), signedOver(crypto.MD5)), nil},
		{"cert-sha384", "the signer's certificate signed over SHA-384", accepted, rsaRoot.user(person("A"), signedOver(crypto.SHA384)), nil},
		{"cert-sha512", "the signer's certificate signed over SHA-512", accepted, largeRoot.user(person("A"), signedOver(crypto.SHA512)), nil},
		{"cert-pss", "the signer's certificate signed with RSA-PSS", accepted, rsaRoot.user(person("A"), signedWith(pss)), nil},
		{"cert-p384", "a P-384 root", accepted, p384Root.user(person("A"), signedOver(crypto.SHA384)), nil},
		{"cert-ed25519", "a root with an Ed25519 key", accepted, edRoot.user(person("A")), nil},
		{"cert-two-algorithms", "a certificate that names two signature algorithms", malformedEnvelope, rsaRoot.user(person("A"), mismatch), nil},
		{"root-sha1", "a root that signed itself over SHA-1, which proves nothing anyway", accepted, oldRoot.user(person("A")), nil},
		{"root-md5", "a root that signed itself over MD5", accepted, md5Root.user(person("A")), nil},
		{"root-1024", "a root of 1024 bits", weakAlgorithm, weakRoot.user(person("A")), nil},
		{"sub-sha1", "a subordinate CA signed over SHA-1", weakAlgorithm, sha1Sub.user(person("A")), nil},
		{"sub-1024", "a subordinate CA of 1024 bits", weakAlgorithm, weakSub.user(person("A")), nil},
		{"cert-pss-long-salt", "the signer's certificate signed with RSA-PSS and the longest salt, which crypto/x509 does not check", unsupportedAlgorithm, rsaRoot.user(person("A"), signedWith(longSalt)), nil},
		{"sub-pss-long-salt", "a subordinate CA signed so", unsupportedAlgorithm, pssSub.user(person("A")), nil},
	} {
		more := append([]about{trusting(dir)}, c.more...)
		b.add("algorithm-"+c.id, c.description, c.expect, "trust.md case table, 3.6", clearSigned(c.who, list(c.who)), more...)
	}
}
