package differential

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"

	"vouch/imagelist/trust"
)

// authorities are the names of the keys of testdata/cases/make that certify.
var authorities = []string{"ca", "issuing", "rogue", "third", "multi", "mixed", "labelled", "crossed", "cross b", "cross c", "older", "newer", "umlaut", "maze"}

// keyring holds the private keys that are known: by the convention of
// testdata/cases/make, whoever has the name of a key has the key.
type keyring struct {
	certifying []*ecdsa.PrivateKey
	byKey      map[string]*ecdsa.PrivateKey // by SubjectPublicKeyInfo

	mu      sync.Mutex
	issuers map[string]*ecdsa.PrivateKey // by certificate, as they are met; nil when nobody's
}

func newKeyring() *keyring {
	k := &keyring{byKey: map[string]*ecdsa.PrivateKey{}, issuers: map[string]*ecdsa.PrivateKey{}}
	for _, name := range authorities {
		k.certifying = append(k.certifying, privateKey(name))
	}
	return k
}

// privateKey is a P-256 key as testdata/cases/make/keys.go computes it.
func privateKey(name string) *ecdsa.PrivateKey {
	sum := sha512.Sum512(binary.BigEndian.AppendUint64([]byte("ec "+name), 0))
	scalar := sum[:32]
	scalar[0] = 0
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		panic(err)
	}
	return key
}

// learn takes in the key of whoever a certificate is about.
func (k *keyring) learn(cert *node) {
	if subject, spki := cert.at(0, 5), cert.at(0, 6); spki != nil {
		key := privateKey(trust.OneLine(subject.der()))
		if public, err := x509.MarshalPKIXPublicKey(key.Public()); err == nil && bytes.Equal(public, spki.der()) {
			k.byKey[string(public)] = key
		}
	}
	k.issuer(cert)
}

// issuer is the key that made a certificate's signature, if it is known.
func (k *keyring) issuer(cert *node) *ecdsa.PrivateKey {
	tbs, signature := cert.at(0), cert.at(2)
	if tbs == nil || signature == nil || len(signature.value) < 2 {
		return nil
	}
	id := string(cert.der())
	k.mu.Lock() // messages are made side by side
	defer k.mu.Unlock()
	if key, ok := k.issuers[id]; ok {
		return key
	}
	digest := sha256.Sum256(tbs.der())
	k.issuers[id] = nil
	for _, key := range k.certifying {
		if ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature.value[1:]) {
			k.issuers[id] = key
		}
	}
	return k.issuers[id]
}

// parts are the places in a SignedData that belong together.
type parts struct {
	content    *node // the OCTET STRING; nil when detached
	certs      *node
	info       *node // the first SignerInfo
	attributes *node // of it
	digest     *node // the value of the messageDigest attribute
}

func partsOf(root *node) (p parts) {
	data := root.at(1, 0)
	p.certs = data.child(0xa0)
	p.content = data.at(2, 1, 0)
	if p.info = data.child(0x31).at(0); p.info == nil {
		return p
	}
	for _, c := range p.info.children[min(2, len(p.info.children)):] {
		if c.id == 0xa0 {
			p.attributes = c
		}
	}
	if p.attributes == nil {
		return p
	}
	for _, a := range p.attributes.children {
		if a.at(0) != nil && bytes.Equal(a.at(0).value, identifiers[3]) {
			p.digest = a.at(1, 0)
		}
	}
	return p
}

// hashes are the digests a SignerInfo may name.
var hashes = map[string]crypto.Hash{
	string(identifiers[6]): crypto.SHA256, string(identifiers[7]): crypto.SHA384, string(identifiers[8]): crypto.SHA512, string(identifiers[9]): crypto.SHA1,
}

func sum(h crypto.Hash, data []byte) []byte {
	w := h.New()
	w.Write(data)
	return w.Sum(nil)
}

// mend makes signatures true again after a change: of the certificate by the
// CA that had made it, of the attributes by the signer. One thing or another
// is left as it is, now and then.
func (k *keyring) mend(r *rand.Rand, root *node, issuer *ecdsa.PrivateKey, content []byte) {
	careful := func() bool { return r.IntN(8) > 0 }
	p := partsOf(root)
	if p.info == nil || len(p.info.children) < 5 {
		return
	}
	cert := p.certs.at(0)
	if cert != nil && issuer != nil && len(cert.children) == 3 && careful() {
		digest := sha256.Sum256(cert.at(0).der())
		*cert.children[2] = *leaf(3, append([]byte{0}, signed(issuer, digest[:])...))
	}
	if tbs := cert.at(0); tbs != nil && len(tbs.children) > 6 && p.info.children[1].id == 0x30 && careful() {
		*p.info.children[1] = node{id: 0x30, children: []*node{tbs.children[3].clone(), tbs.children[1].clone()}}
	}
	h := crypto.SHA256
	if id := p.info.at(2, 0); id != nil && hashes[string(id.value)] != 0 {
		h = hashes[string(id.value)]
	}
	if p.content != nil {
		content = p.content.body()
	}
	if p.digest != nil && careful() {
		*p.digest = *leaf(4, sum(h, content))
	}
	key := k.signer(cert)
	signature := slices.IndexFunc(p.info.children, func(c *node) bool { return c.id == 4 })
	if key == nil || signature < 0 || !careful() {
		return
	}
	covered := content
	if p.attributes != nil {
		set := p.attributes.clone()
		set.id = 0x31
		covered = set.der()
	}
	*p.info.children[signature] = *leaf(4, signed(key, sum(h, covered)))
}

func (k *keyring) signer(cert *node) *ecdsa.PrivateKey {
	if spki := cert.at(0, 6); spki != nil {
		return k.byKey[string(spki.der())]
	}
	return nil
}

// signed is a signature that depends on nothing but key and digest (RFC 6979).
func signed(key *ecdsa.PrivateKey, digest []byte) []byte {
	h := map[int]crypto.Hash{20: crypto.SHA1, 32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(digest)]
	signature, err := key.Sign(nil, digest, h)
	if err != nil {
		panic(err)
	}
	return signature
}
