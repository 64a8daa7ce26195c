package listtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"sync"
	"testing"
)

// kind is a kind of key.
type kind int

const (
	p256 kind = iota
	rsa2048
)

// pool keeps the keys of a process: making an RSA key takes longer than most
// tests. The owner of a key is part of its name, so that two certificates
// share a key only when they are the same person's.
var pool struct {
	sync.Mutex
	keys map[owner]crypto.Signer
}

type owner struct {
	name string
	kind kind
}

func keyOf(t testing.TB, name string, k kind) crypto.Signer {
	t.Helper()
	pool.Lock()
	defer pool.Unlock()
	o := owner{name, k}
	if key := pool.keys[o]; key != nil {
		return key
	}
	key, err := generate(k)
	if err != nil {
		t.Fatalf("key of %s: %v", name, err)
	}
	if pool.keys == nil {
		pool.keys = make(map[owner]crypto.Signer)
	}
	pool.keys[o] = key
	return key
}

func generate(k kind) (crypto.Signer, error) {
	if k == rsa2048 {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// keyPEM is a private key as PKCS#8, unencrypted.
func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
