package credential

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/pbkdf2"
	"golang.org/x/crypto/scrypt"
)

// Bounds of the work a file may ask for to try one passphrase: a few seconds,
// and 256 MiB. OpenSSL writes 2048 iterations, and scrypt with 16 MiB.
const (
	maxIterations = 5_000_000
	maxScrypt     = 1 << 21 // N*r*p; memory is 128*N*r bytes
)

const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
	oidScrypt = "1.3.6.1.4.1.11591.4.11"
)

// hmacs are the pseudo-random functions of PBKDF2 (RFC 8018 appendix B.1).
var hmacs = map[string]func() hash.Hash{
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

// cbc is a block cipher in CBC mode.
type cbc struct {
	keySize int
	block   func(key []byte) (cipher.Block, error)
}

var ciphers = map[string]cbc{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

var errStructure = errors.New("damaged: not the structure of PKCS#8")

// decryptPKCS8 is the PrivateKeyInfo inside an EncryptedPrivateKeyInfo (RFC
// 5958 §3, RFC 8018 PBES2, RFC 7914 §7): AES or 3DES in CBC mode, the key from
// PBKDF2 or scrypt. The error is errPassphrase, or says what is not supported.
func decryptPKCS8(der, passphrase []byte) ([]byte, error) {
	whole := cryptobyte.String(der)
	var info, data, parameters, kdf, encryption, iv cryptobyte.String
	if !whole.ReadASN1(&info, cbasn1.SEQUENCE) || !whole.Empty() {
		return nil, errStructure
	}
	scheme, parameters, ok := readAlgorithm(&info)
	if !ok || !info.ReadASN1(&data, cbasn1.OCTET_STRING) {
		return nil, errStructure
	}
	if scheme != oidPBES2 {
		return nil, fmt.Errorf("scheme %s", scheme)
	}
	if !parameters.ReadASN1(&parameters, cbasn1.SEQUENCE) {
		return nil, errStructure
	}
	kdfName, kdf, ok := readAlgorithm(&parameters)
	cipherName, encryption, ok2 := readAlgorithm(&parameters)
	if !ok || !ok2 || !encryption.ReadASN1(&iv, cbasn1.OCTET_STRING) {
		return nil, errStructure
	}
	c, ok := ciphers[cipherName]
	if !ok {
		return nil, fmt.Errorf("cipher %s", cipherName)
	}
	key, err := deriveKey(kdfName, kdf, passphrase, c.keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return c.decrypt(key, iv, data)
}

// readAlgorithm reads an AlgorithmIdentifier.
func readAlgorithm(s *cryptobyte.String) (name string, parameters cryptobyte.String, ok bool) {
	var body cryptobyte.String
	var oid asn1.ObjectIdentifier
	ok = s.ReadASN1(&body, cbasn1.SEQUENCE) && body.ReadASN1ObjectIdentifier(&oid)
	return oid.String(), body, ok
}

// deriveKey makes the cipher's key of a passphrase.
func deriveKey(name string, parameters cryptobyte.String, passphrase []byte, size int) ([]byte, error) {
	var body, salt cryptobyte.String
	if !parameters.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&salt, cbasn1.OCTET_STRING) {
		return nil, errStructure
	}
	switch name {
	case oidPBKDF2:
		return derivePBKDF2(salt, body, passphrase, size)
	case oidScrypt:
		return deriveScrypt(salt, body, passphrase, size)
	}
	return nil, fmt.Errorf("key derivation %s", name)
}

func derivePBKDF2(salt []byte, body cryptobyte.String, passphrase []byte, size int) ([]byte, error) {
	var iterations, length int
	length = size
	if !body.ReadASN1Integer(&iterations) || body.PeekASN1Tag(cbasn1.INTEGER) && !body.ReadASN1Integer(&length) {
		return nil, errStructure
	}
	prf, name := sha1.New, ""
	if !body.Empty() {
		var ok bool
		if name, _, ok = readAlgorithm(&body); !ok {
			return nil, errStructure
		}
		prf = hmacs[name]
	}
	switch {
	case prf == nil:
		return nil, fmt.Errorf("pseudo-random function %s", name)
	case length != size:
		return nil, fmt.Errorf("key of %d bytes for a cipher that takes %d", length, size)
	case iterations < 1 || iterations > maxIterations:
		return nil, fmt.Errorf("%d iterations, at most %d", iterations, maxIterations)
	}
	return pbkdf2.Key(passphrase, salt, iterations, size, prf), nil
}

func deriveScrypt(salt []byte, body cryptobyte.String, passphrase []byte, size int) ([]byte, error) {
	var n, r, p int
	if !body.ReadASN1Integer(&n) || !body.ReadASN1Integer(&r) || !body.ReadASN1Integer(&p) {
		return nil, errStructure
	}
	if n < 2 || r < 1 || p < 1 || n > maxScrypt || r > maxScrypt/n || p > maxScrypt/n/r {
		return nil, fmt.Errorf("scrypt with N=%d r=%d p=%d: too much work", n, r, p)
	}
	return scrypt.Key(passphrase, salt, n, r, p, size)
}

// decrypt takes off the padding too (RFC 8018 §6.1.1).
func (c cbc) decrypt(key, iv, data []byte) ([]byte, error) {
	block, err := c.block(key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, errStructure
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > size || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(pad)}, pad)) {
		clear(plain)
		return nil, errPassphrase
	}
	plain = plain[:len(plain)-pad]
	if !isSequence(plain) {
		clear(plain)
		return nil, errPassphrase
	}
	return plain, nil
}
