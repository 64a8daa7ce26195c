package credential

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The PEM names of private keys (RFC 7468; the first two are older).
const (
	pemPKCS1     = "RSA PRIVATE KEY"
	pemSEC1      = "EC PRIVATE KEY"
	pemPKCS8     = "PRIVATE KEY"
	pemEncrypted = "ENCRYPTED PRIVATE KEY"
)

// maxKey bounds a key's encoding: RSA of 16384 bits takes 9 kB, and checking
// the primes of a larger one takes minutes.
const maxKey = 16 << 10

// privateKey is a key as it lies in a file.
type privateKey struct{ block *pem.Block }

var errPassphrase = errors.New("wrong passphrase")

func (k privateKey) encrypted() bool {
	//lint:ignore SA1019 see decrypt
	return k.block.Type == pemEncrypted || x509.IsEncryptedPEMBlock(k.block)
}

// decrypt is the DER of the plain key and its PEM name.
func (k privateKey) decrypt(passphrase []byte) (der []byte, kind string, err error) {
	if k.block.Type == pemEncrypted {
		der, err = decryptPKCS8(k.block.Bytes, passphrase)
		return der, pemPKCS8, err
	}
	// The old form (RFC 1421 headers, "Proc-Type: 4,ENCRYPTED") is deprecated
	// because a ciphertext is not authenticated: who can change the file and
	// watch the answers could learn the key. Nobody can here, and most
	// userkey.pem in use are in this form.
	//lint:ignore SA1019 see above
	der, err = x509.DecryptPEMBlock(k.block, passphrase)
	if errors.Is(err, x509.IncorrectPasswordError) || err == nil && !isSequence(der) {
		err = errPassphrase
	}
	return der, k.block.Type, err
}

// isSequence reports whether DER is one SEQUENCE, as every key is. What a
// wrong passphrase gives is not, even when its padding happens to be right.
func isSequence(der []byte) bool {
	s := cryptobyte.String(der)
	return s.SkipASN1(cbasn1.SEQUENCE) && s.Empty()
}

// unlock makes a usable key, asking for a passphrase when it needs one.
func (s Source) unlock(file string, k privateKey) (crypto.Signer, error) {
	if len(k.block.Bytes) > maxKey {
		return nil, fmt.Errorf("%q: private key: %d bytes, more than %d", file, len(k.block.Bytes), maxKey)
	}
	der, kind := k.block.Bytes, k.block.Type
	defer func() { clear(der) }()
	if k.encrypted() {
		passphrase, err := s.ask("key", file)
		if err != nil {
			return nil, err
		}
		der, kind, err = k.decrypt(passphrase)
		clear(passphrase)
		switch {
		case errors.Is(err, errPassphrase):
			return nil, wrongPassphrase("key", file)
		case err != nil:
			return nil, fault("write it anew in a common form: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW",
				"%q: encrypted private key: %v", file, err)
		}
	}
	key, err := parseKey(kind, der)
	if err != nil {
		return nil, fault(kindsHint, "%q: private key: %v", file, err)
	}
	return signerOf(file, key)
}

// ask asks for the passphrase of one object.
func (s Source) ask(kind, file string) ([]byte, error) {
	if s.Passphrase == nil {
		return nil, fault("run it on a terminal, or have the passphrase read from a file or file descriptor",
			"%s %q: encrypted, and there is no passphrase", kind, file)
	}
	passphrase, err := s.Passphrase(fmt.Sprintf("%s %q", kind, file))
	if err != nil {
		return nil, fmt.Errorf("%s %q: passphrase: %w", kind, file, err)
	}
	return passphrase, nil
}

func wrongPassphrase(kind, file string) error {
	return fault("it is the one that was set when the file was made, not that of your account", "%s %q: wrong passphrase", kind, file)
}

// parseKey reads a plain key. crypto/x509 checks that it is sound, and its
// errors speak of structure alone, not of values.
func parseKey(kind string, der []byte) (any, error) {
	switch kind {
	case pemPKCS1:
		return x509.ParsePKCS1PrivateKey(der)
	case pemSEC1:
		return x509.ParseECPrivateKey(der)
	}
	return x509.ParsePKCS8PrivateKey(der)
}

const kindsHint = "ask your CA for a certificate for an RSA key of 2048 bits or more, or an ECDSA key on P-256, P-384 or P-521"

// signerOf takes the kinds of key that subscribers can verify. How long an RSA
// key is, and on which curve another, Suitable asks of the certificate.
func signerOf(file string, key any) (crypto.Signer, error) {
	name := fmt.Sprintf("%T", key)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		name = "Ed25519"
	case *ecdh.PrivateKey:
		name = "X25519"
	}
	return nil, fault(kindsHint, "%q: key of type %s: subscribers cannot verify it", file, name)
}
