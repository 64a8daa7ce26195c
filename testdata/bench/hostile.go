package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
)

// The worst messages that fit into the limits of threats.md T-46. Their
// signatures are true, so that nothing ends early.

// hostile makes certificates of authorities that nobody trusts.
type hostile struct {
	curve521, middle, large, slow signingKey // P-521, P-384, RSA of 4096 and of 8192 bits
	serial                        int64
}

// signingKey signs, and says with which algorithm.
type signingKey struct {
	spki, algorithm []byte
	sign            func(data []byte) []byte
}

func newHostile() (h *hostile, err error) {
	h = &hostile{}
	if h.curve521, err = curveKey(elliptic.P521()); err != nil {
		return nil, err
	}
	if h.middle, err = curveKey(elliptic.P384()); err != nil {
		return nil, err
	}
	if h.large, err = slowKey(4096); err != nil {
		return nil, err
	}
	h.slow, err = slowKey(8192)
	return h, err
}

func curveKey(curve elliptic.Curve) (signingKey, error) {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return signingKey{}, err
	}
	spki, err := spkiOf(key.Public())
	return signingKey{spki: spki, algorithm: seq(oid(1, 2, 840, 10045, 4, 3, 2)), sign: func(data []byte) []byte {
		digest := sha256.Sum256(data)
		signature, _ := ecdsa.SignASN1(rand.Reader, key, digest[:])
		return signature
	}}, err
}

func spkiOf(public crypto.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(public) }

// slowKey is the RSA key of its size that takes longest to verify with: with
// the largest exponent the standard library knows. Small primes make it in no
// time.
func slowKey(size int) (signingKey, error) {
	e := big.NewInt(1<<31 - 1)
	n, phi := big.NewInt(1), big.NewInt(1)
	for n.BitLen() <= size-8 {
		n, phi = big.NewInt(1), big.NewInt(1)
		for range size / 512 {
			p, err := rand.Prime(rand.Reader, 512)
			if err != nil {
				return signingKey{}, err
			}
			n.Mul(n, p)
			phi.Mul(phi, p.Sub(p, big.NewInt(1)))
		}
	}
	d := new(big.Int).ModInverse(e, phi)
	spki, err := spkiOf(&rsa.PublicKey{N: n, E: int(e.Int64())})
	return signingKey{spki: spki, algorithm: seq(oid(1, 2, 840, 113549, 1, 1, 11), null), sign: func(data []byte) []byte {
		digest := sha256.Sum256(data)
		info := seq(seq(oid(2, 16, 840, 1, 101, 3, 4, 2, 1), null), tlv(4, digest[:]))
		padded := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size/8-3-len(info)), []byte{0}, info)
		return new(big.Int).Exp(new(big.Int).SetBytes(padded), d, n).FillBytes(make([]byte, size/8))
	}}, err
}

// certificate is one by a key and about a key.
func (h *hostile) certificate(by, about signingKey, issuer, subject string, extensions ...[]byte) []byte {
	h.serial++
	tbs := seq(tlv(0xa0, integer(2)), integer(h.serial), by.algorithm, cn(issuer),
		seq(tlv(0x17, []byte("200101000000Z")), tlv(0x17, []byte("491231235959Z"))), cn(subject), about.spki,
		tlv(0xa3, seq(extensions...)))
	return seq(tbs, by.algorithm, tlv(3, []byte{0}, by.sign(tbs)))
}

// message is signed by the key of the first certificate, or times over.
func (h *hostile) message(by signingKey, times int, attributes [][]byte, crls []byte, certificates ...[]byte) []byte {
	content := []byte("{}\r\n")
	digest := sha256.Sum256(content)
	sha := seq(oid(2, 16, 840, 1, 101, 3, 4, 2, 1), null)
	all := slices.Concat([][]byte{
		seq(oid(1, 2, 840, 113549, 1, 9, 3), tlv(0x31, oid(1, 2, 840, 113549, 1, 7, 1))),
		seq(oid(1, 2, 840, 113549, 1, 9, 4), tlv(0x31, tlv(4, digest[:]))),
	}, attributes)
	slices.SortFunc(all, bytes.Compare)
	algorithm := by.algorithm
	if bytes.Contains(algorithm, oid(1, 2, 840, 113549, 1, 1, 11)) {
		algorithm = seq(oid(1, 2, 840, 113549, 1, 1, 1), null)
	}
	info := seq(integer(1), issuerAndSerial(certificates[0]), sha, tlv(0xa0, all...), algorithm, tlv(4, by.sign(tlv(0x31, all...))))
	data := seq(integer(1), tlv(0x31, sha), seq(oid(1, 2, 840, 113549, 1, 7, 1), tlv(0xa0, tlv(4, content))),
		tlv(0xa0, certificates...), crls, tlv(0x31, bytes.Repeat(info, times)))
	return seq(oid(1, 2, 840, 113549, 1, 7, 2), tlv(0xa0, data))
}

func issuerAndSerial(certificate []byte) []byte {
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		panic(err)
	}
	return seq(c.RawIssuer, marshal(c.SerialNumber))
}

var (
	null     = []byte{5, 0}
	asCA     = extension([]int{2, 5, 29, 19}, seq([]byte{1, 1, 0xff}))
	keyUsage = extension([]int{2, 5, 29, 15}, tlv(3, []byte{1, 0x86}))
)

func extension(id []int, value []byte) []byte { return seq(oid(id...), tlv(4, value)) }

// altNames is an extension of alternative names, each of them different.
func altNames(n, length int, salt string) []byte {
	var all [][]byte
	for i := range n {
		text := fmt.Sprintf("%s%d.", salt, i)
		for len(text) < length {
			text += "a."
		}
		all = append(all, tlv(0x82, []byte(text+"x")))
	}
	return extension([]int{2, 5, 29, 17}, seq(all...))
}

// constraints permit so many domains, and none of those in altNames.
func constraints(n int) []byte {
	var all [][]byte
	for i := range n {
		all = append(all, seq(tlv(0x82, fmt.Appendf(nil, "y%d.x", i))))
	}
	return extension([]int{2, 5, 29, 30}, seq(tlv(0xa1, all...)))
}

func cn(name string) []byte {
	return seq(tlv(0x31, seq(oid(2, 5, 4, 3), tlv(0x0c, []byte(name)))))
}

func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	n := len(body)
	switch {
	case n < 0x80:
		return slices.Concat([]byte{tag, byte(n)}, body)
	case n < 0x100:
		return slices.Concat([]byte{tag, 0x81, byte(n)}, body)
	case n < 0x10000:
		return slices.Concat([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body)
	}
	return slices.Concat([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, body)
}

func seq(parts ...[]byte) []byte { return tlv(0x30, parts...) }
func integer(n int64) []byte     { return marshal(n) }
func oid(id ...int) []byte       { return marshal(asn1.ObjectIdentifier(id)) }

func marshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}
