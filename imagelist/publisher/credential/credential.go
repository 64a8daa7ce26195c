// Package credential holds what an endorser signs with: a certificate and its
// key, read from files in any form grid CAs hand them out, or a command that
// keeps the key elsewhere, on a token say.
//
// It asks for no passphrase by itself: the caller says where one comes from.
// No error contains a passphrase or bytes of a key. It knows nothing of image
// lists, and nothing in it reads the clock.
package credential

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"time"
)

// Credential is an endorser's certificate and key.
type Credential struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // others found beside it, without the leaf; at most smime.MaxCertificates-1
	Key         crypto.Signer       // *rsa.PrivateKey or *ecdsa.PrivateKey
}

// Source says where a credential is.
type Source struct {
	CertFile string // PEM (several allowed), DER or PKCS#12
	KeyFile  string // PEM, DER or PKCS#12; "" when CertFile holds both
	// Passphrase is asked at most once for an encrypted object; what names it.
	// The bytes are zeroed after use. When nil, an encrypted object is an
	// error with a hint.
	Passphrase func(what string) ([]byte, error)
}

var errTodo = errors.New("not written yet")

// Load reads a credential.
func Load(s Source) (*Credential, error) { return nil, errTodo }

// Certificate reads the certificate of a file without any key, and the others
// beside it.
func Certificate(file string) (*x509.Certificate, []*x509.Certificate, error) {
	return nil, nil, errTodo
}

// Defaults are the files of the Globus toolkit where they exist, "" otherwise:
// ~/.globus/usercert.pem and userkey.pem, or usercred.p12 alone.
func Defaults() (cert, key string) { return "", "" }

// Suitable says why subscribers would not take what a certificate signs.
func Suitable(c *x509.Certificate, at, until time.Time) error { return errTodo }

// Exec runs a command that signs content and returns the message it prints.
func Exec(ctx context.Context, command string, content []byte, stderr io.Writer) ([]byte, error) {
	return nil, errTodo
}

// PassphraseFile reads a passphrase from the first line of a file.
func PassphraseFile(file string) func(what string) ([]byte, error) {
	return func(string) ([]byte, error) { return nil, errTodo }
}

// PassphraseFD reads a passphrase from the first line of a file descriptor.
func PassphraseFD(fd uintptr) func(what string) ([]byte, error) {
	return func(string) ([]byte, error) { return nil, errTodo }
}

// PassphraseTerminal asks on /dev/tty without echo.
func PassphraseTerminal(what string) ([]byte, error) { return nil, errTodo }
