package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"math/big"
)

// algorithm is a signature algorithm: its identifier, and how to compute it.
type algorithm struct {
	id   []byte // AlgorithmIdentifier
	hash crypto.Hash
	pss  bool
	salt int
	mask crypto.Hash // of the mask function of PSS
}

// Object identifiers of digests.
var digests = map[crypto.Hash]string{
	crypto.MD5: "1.2.840.113549.2.5", crypto.SHA1: "1.3.14.3.2.26", crypto.SHA224: "2.16.840.1.101.3.4.2.4",
	crypto.SHA256: "2.16.840.1.101.3.4.2.1", crypto.SHA384: "2.16.840.1.101.3.4.2.2", crypto.SHA512: "2.16.840.1.101.3.4.2.3",
	crypto.SHA512_256: "2.16.840.1.101.3.4.2.6", crypto.SHA3_256: "2.16.840.1.101.3.4.2.8",
}

var rsaWith = map[crypto.Hash]string{
	crypto.MD5: "1.2.840.113549.1.1.4", crypto.SHA1: "1.2.840.113549.1.1.5", crypto.SHA224: "1.2.840.113549.1.1.14",
	crypto.SHA256: "1.2.840.113549.1.1.11", crypto.SHA384: "1.2.840.113549.1.1.12", crypto.SHA512: "1.2.840.113549.1.1.13",
	crypto.SHA512_256: "1.2.840.113549.1.1.16", crypto.SHA3_256: "2.16.840.1.101.3.4.3.14",
}

var ecdsaWith = map[crypto.Hash]string{
	crypto.SHA1: "1.2.840.10045.4.1", crypto.SHA224: "1.2.840.10045.4.3.1",
	crypto.SHA256: "1.2.840.10045.4.3.2", crypto.SHA384: "1.2.840.10045.4.3.3", crypto.SHA512: "1.2.840.10045.4.3.4",
}

func digestID(h crypto.Hash) []byte { return seq(oid(digests[h]), null()) }

// with is the usual algorithm of a key over a digest, as certificates and CRLs name it.
func (k *key) with(h crypto.Hash) algorithm {
	switch {
	case k.ec != nil:
		return algorithm{id: seq(oid(ecdsaWith[h])), hash: h}
	case k.ed != nil:
		return algorithm{id: seq(oid("1.3.101.112"))}
	}
	return algorithm{id: seq(oid(rsaWith[h]), null()), hash: h}
}

// inCMS is the same as SignerInfos name it: plain rsaEncryption for RSA.
func (k *key) inCMS(h crypto.Hash) algorithm {
	a := k.with(h)
	if k.n != nil {
		a.id = seq(oid("1.2.840.113549.1.1.1"), null())
	}
	return a
}

// pssWith is RSA-PSS with one digest for all.
func pssWith(h crypto.Hash, salt int) algorithm {
	a := algorithm{hash: h, mask: h, pss: true, salt: salt}
	a.id = seq(oid("1.2.840.113549.1.1.10"), pssParameters(h, h, integer(int64(salt))))
	return a
}

func pssParameters(h, mask crypto.Hash, salt []byte, more ...[]byte) []byte {
	return seq(explicit(0, digestID(h)),
		explicit(1, seq(oid("1.2.840.113549.1.1.8"), digestID(mask))),
		explicit(2, salt), join(more...))
}

func sum(h crypto.Hash, data []byte) []byte {
	w := h.New()
	w.Write(data)
	return w.Sum(nil)
}

// sign signs data; deterministically, whatever the algorithm.
func (k *key) sign(a algorithm, data []byte) []byte {
	switch {
	case k.ed != nil:
		signature, _ := k.ed.Sign(nil, data, crypto.Hash(0))
		return signature
	case k.ec != nil:
		signature, err := k.ec.Sign(nil, sum(a.hash, data), a.hash) // RFC 6979
		if err != nil {
			panic(err)
		}
		return signature
	case k.d == nil:
		return bytes.Repeat([]byte{1}, max(k.size, 40)) // nobody can
	case a.pss:
		return k.power(k.pssEncode(a, sum(a.hash, data)))
	}
	return k.power(k.pkcs1(digestInfo(a.hash, data)))
}

// power is the private operation of RSA.
func (k *key) power(padded []byte) []byte {
	return new(big.Int).Exp(new(big.Int).SetBytes(padded), k.d, k.n).FillBytes(make([]byte, k.size))
}

func digestInfo(h crypto.Hash, data []byte) []byte { return seq(digestID(h), octets(sum(h, data))) }

// pkcs1 is EMSA-PKCS1-v1_5 of RFC 8017 §9.2.
func (k *key) pkcs1(info []byte) []byte {
	return join([]byte{0, 1}, bytes.Repeat([]byte{0xff}, k.size-3-len(info)), []byte{0}, info)
}

// pssEncode is EMSA-PSS of RFC 8017 §9.1.1, the salt all 0x5a.
func (k *key) pssEncode(a algorithm, digest []byte) []byte {
	size := (k.n.BitLen() - 1 + 7) / 8
	salt := bytes.Repeat([]byte{0x5a}, a.salt)
	h := sum(a.hash, join(make([]byte, 8), digest, salt))
	db := join(make([]byte, size-a.salt-len(h)-2), []byte{1}, salt)
	for i, m := range mask(a.mask, h, len(db)) {
		db[i] ^= m
	}
	db[0] &= 0xff >> (8*size - (k.n.BitLen() - 1))
	return join(db, h, []byte{0xbc})
}

// mask is MGF1 of RFC 8017 B.2.1.
func mask(h crypto.Hash, seed []byte, size int) []byte {
	var out []byte
	for i := byte(0); len(out) < size; i++ {
		out = append(out, sum(h, join(seed, []byte{0, 0, 0, i}))...)
	}
	return out[:size]
}

// halves are r and s of an ECDSA signature.
func halves(signature []byte) (r, s *big.Int) {
	inner := body(signature)
	n := int(inner[1]) + 2
	return new(big.Int).SetBytes(body(inner[:n])), new(big.Int).SetBytes(body(inner[n:]))
}

// order is the order of the key's curve.
func order(k *ecdsa.PrivateKey) *big.Int { return k.Curve.Params().N }
