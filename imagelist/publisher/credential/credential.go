// Package credential holds what an endorser signs with: a certificate and its
// key, read from files in any form grid CAs and browsers hand them out, or a
// command that keeps the key elsewhere, on a token say.
//
// It asks for no passphrase by itself: Source.Passphrase says where one comes
// from. No error contains a passphrase or bytes of a key. It knows nothing of
// image lists, and nothing in it reads the clock.
package credential

import (
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
)

// Credential is an endorser's certificate and key.
type Credential struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // others found beside it, issuers first, without the leaf; at most smime.MaxCertificates-1
	Key         crypto.Signer       // *rsa.PrivateKey or *ecdsa.PrivateKey; nil when it is elsewhere, never from Load
}

// Source says where a credential is.
type Source struct {
	CertFile string // PEM (several allowed), DER or PKCS#12
	KeyFile  string // PEM, DER or PKCS#12; "" when CertFile holds both
	// Passphrase is asked at most once for an encrypted object, which it can
	// name to a person as what. The bytes are zeroed after use, so they must
	// not be the caller's only copy. When it is nil, an encrypted object is an
	// error.
	Passphrase func(what string) ([]byte, error)
}

// Load reads a credential. The certificate is the one that belongs to the key,
// wherever in the file it stands, and the latest to expire of several.
//
// A file with a private key, encrypted or not, is refused when group or others
// may do anything with it, and when it is neither ours nor root's. Errors that
// the owner can act on are an *Error with a hint. Whether subscribers would
// take the certificate is another question: see Suitable.
func Load(s Source) (*Credential, error) {
	certs, err := s.read(s.CertFile)
	if err != nil {
		return nil, err
	}
	if len(certs.certs) == 0 {
		return nil, certs.lacks("certificate")
	}
	keys := certs
	if s.KeyFile != "" && s.KeyFile != s.CertFile {
		if keys, err = s.read(s.KeyFile); err != nil {
			return nil, err
		}
	}
	return s.pair(certs, keys)
}

// pair is the key of one file and its certificate in another.
func (s Source) pair(certs, keys *contents) (*Credential, error) {
	key, err := s.key(keys)
	if err != nil {
		return nil, err
	}
	leaf := leafOf(certs.certs, key)
	if leaf == nil {
		return nil, mismatch(certs, keys)
	}
	return &Credential{Certificate: leaf, Chain: chainOf(leaf, certs.certs), Key: key}, nil
}

// read takes a file in, and opens it when it is PKCS#12, whose certificates
// are encrypted as well.
func (s Source) read(file string) (*contents, error) {
	c, err := readContents(file, true)
	if err != nil || c.pfx == nil {
		return c, err
	}
	return c, s.openPFX(c)
}

// key is the one private key of a file.
func (s Source) key(c *contents) (crypto.Signer, error) {
	switch len(c.keys) {
	case 0:
		return nil, c.lacks("private key")
	case 1:
	default:
		return nil, fault("leave the one that belongs to your certificate in a file of its own", "%q: %d private keys", c.file, len(c.keys))
	}
	return s.unlock(c.file, c.keys[0])
}

// Certificate reads the certificate of a file without any key, and the others
// beside it, at most smime.MaxCertificates-1. Who may read the file does not
// matter. A PKCS#12 file is refused with ErrEncrypted.
func Certificate(file string) (*x509.Certificate, []*x509.Certificate, error) {
	c, err := readContents(file, false)
	switch {
	case err != nil:
		return nil, nil, err
	case c.pfx != nil:
		e := fault("take the certificate out: openssl pkcs12 -in FILE -clcerts -nokeys -out usercert.pem",
			"%q: a PKCS#12 file, whose certificate is encrypted with the key", file)
		e.err = ErrEncrypted
		return nil, nil, e
	case len(c.certs) == 0:
		return nil, nil, c.lacks("certificate")
	}
	leaf, err := endOf(c)
	if err != nil {
		return nil, nil, err
	}
	return leaf, chainOf(leaf, c.certs), nil
}

// Defaults are the files of the Globus Toolkit in the home directory where
// they exist: usercert.pem and userkey.pem, otherwise usercred.p12 as cert
// alone, otherwise nothing.
func Defaults() (cert, key string) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", ""
	}
	cert, key = filepath.Join(home, ".globus", "usercert.pem"), filepath.Join(home, ".globus", "userkey.pem")
	both := filepath.Join(home, ".globus", "usercred.p12")
	switch {
	case exists(cert) && exists(key):
		return cert, key
	case exists(both):
		return both, ""
	}
	return "", ""
}

func exists(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular()
}
