package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	_ "crypto/md5"
	_ "crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
)

// Keys are made of their names, so that every run writes the same files and
// no private key has to be kept: whoever has the name has the key.

// key is a private key and how it signs.
type key struct {
	spki []byte // SubjectPublicKeyInfo
	id   []byte // key identifier (RFC 5280 §4.2.1.2)
	size int    // of an RSA modulus in bytes
	n, d *big.Int
	ec   *ecdsa.PrivateKey
	ed   ed25519.PrivateKey
}

func newKey(spki []byte) *key {
	sum := sha256.Sum256(spki)
	return &key{spki: spki, id: sum[:20]}
}

var keys = map[string]*key{}

// remembered makes each key once.
func remembered(name string, fresh func() *key) *key {
	if keys[name] == nil {
		keys[name] = fresh()
	}
	return keys[name]
}

// stream is an endless run of bytes that depends on a name.
type stream struct {
	name string
	n    uint64
}

func (s *stream) bytes(n int) []byte {
	var out []byte
	for len(out) < n {
		sum := sha512.Sum512(binary.BigEndian.AppendUint64([]byte(s.name), s.n))
		s.n++
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// prime is the next one of exactly so many bits, the upper two set, for which
// e is a usable exponent.
func (s *stream) prime(size int, e *big.Int) *big.Int {
	for p := new(big.Int); ; {
		p.SetBytes(s.bytes((size + 7) / 8))
		p.Rsh(p, uint((8-size%8)%8))
		p.SetBit(p, size-1, 1)
		p.SetBit(p, size-2, 1)
		p.SetBit(p, 0, 1)
		for range 4 * size {
			p.Add(p, big.NewInt(2))
			rest := new(big.Int).Mod(new(big.Int).Sub(p, big.NewInt(1)), e)
			if rest.Sign() != 0 && p.BitLen() == size && p.ProbablyPrime(0) {
				return p
			}
		}
	}
}

// rsaKey is an RSA key of a size in bits with exponent 65537.
func rsaKey(name string, size int) *key { return rsaKeyOf(name, size, 65537) }

func rsaKeyOf(name string, size int, exponent int64) *key {
	return remembered(fmt.Sprintf("rsa %d %d %s", size, exponent, name), func() *key {
		s, e := &stream{name: fmt.Sprintf("rsa %d %s", size, name)}, big.NewInt(exponent)
		p, q := s.prime((size+1)/2, e), s.prime(size/2, e)
		one := big.NewInt(1)
		k := rsaPublic(new(big.Int).Mul(p, q), exponent)
		phi := new(big.Int).Mul(p.Sub(p, one), q.Sub(q, one))
		k.d = new(big.Int).ModInverse(e, phi)
		return k
	})
}

// rsaPublic is an RSA key of which nobody knows the private part.
func rsaPublic(n *big.Int, e int64) *key {
	k := newKey(seq(seq(oid("1.2.840.113549.1.1.1"), null()), bits(seq(bigInteger(n), integer(e)))))
	k.n, k.size = n, (n.BitLen()+7)/8
	return k
}

// rsaOfSize is a modulus of so many bits that was never two primes.
func rsaOfSize(size int) *key {
	n := new(big.Int).SetBytes((&stream{name: "modulus"}).bytes(size / 8))
	n.SetBit(n, size-1, 1)
	return rsaPublic(n.SetBit(n, 0, 1), 65537)
}

func ecKey(name string) *key { return curveKey(name, elliptic.P256()) }

func curveKey(name string, c elliptic.Curve) *key {
	return remembered(fmt.Sprintf("ec %s %s", c.Params().Name, name), func() *key {
		size := (c.Params().BitSize + 7) / 8
		scalar := (&stream{name: "ec " + name}).bytes(size)
		scalar[0] = 0 // below the order of every curve
		private, err := ecdsa.ParseRawPrivateKey(c, scalar)
		if err != nil {
			panic(err)
		}
		k := newKey(marshalPKIX(private.Public()))
		k.ec = private
		return k
	})
}

func edKey(name string) *key {
	return remembered("ed25519 "+name, func() *key {
		private := ed25519.NewKeyFromSeed((&stream{name: "ed " + name}).bytes(ed25519.SeedSize))
		k := newKey(marshalPKIX(private.Public()))
		k.ed = private
		return k
	})
}

// foreignCurveKey is a point of secp256k1, which the standard library does not know.
func foreignCurveKey() *key {
	const x, y = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
	point := append([]byte{4}, append(fromHex(x), fromHex(y)...)...)
	return newKey(seq(seq(oid("1.2.840.10045.2.1"), oid("1.3.132.0.10")), bits(point)))
}

// dsaKey has small numbers: no signature of it is ever checked.
func dsaKey() *key {
	parameters := seq(integer(1<<61-1), integer(65537), integer(4))
	return newKey(seq(seq(oid("1.2.840.10040.4.1"), parameters), bits(integer(12345))))
}

func marshalPKIX(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

func fromHex(s string) []byte {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic(s)
	}
	return n.FillBytes(make([]byte, len(s)/2))
}
