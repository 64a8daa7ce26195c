package credential

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"software.sslmate.com/src/go-pkcs12"
)

// isPFX tells PKCS#12 (RFC 7292 §4) from other structures: it begins with its
// version, 3. In BER, as browsers of old wrote it, the length is left open.
func isPFX(data []byte) bool {
	if isBER(data) {
		return true
	}
	s := cryptobyte.String(data)
	var body cryptobyte.String
	var version int
	return s.ReadASN1(&body, cbasn1.SEQUENCE) && body.ReadASN1Integer(&version) && version == 3
}

func isBER(data []byte) bool {
	return len(data) > 5 && string(data[:5]) == "\x30\x80\x02\x01\x03"
}

// openPFX takes key and certificates out of a PKCS#12 file. An empty
// passphrase is tried before anybody is asked: robots have files with one.
func (s Source) openPFX(c *contents) error {
	const again = "convert it: (umask 077; openssl pkcs12 -in FILE -out usercred.pem), with -legacy for an old one, and name usercred.pem"
	switch {
	case isBER(c.pfx):
		return fault(again, "%q: PKCS#12 in BER, as old browsers write it", c.file)
	case toil(c.pfx, 0):
		return fault(again, "%q: PKCS#12 with more than %d iterations", c.file, maxIterations)
	}
	err := c.decodePFX("")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		passphrase, asked := s.ask("PKCS#12 file", c.file)
		if asked != nil {
			return asked
		}
		err = c.decodePFX(string(passphrase)) // the library wants a string, which nobody can zero
		clear(passphrase)
	}
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return wrongPassphrase("PKCS#12 file", c.file)
	case err != nil:
		return fault(again, "%q: PKCS#12: %v", c.file, err)
	}
	return nil
}

func (c *contents) decodePFX(passphrase string) error {
	key, cert, others, err := pkcs12.DecodeChain(c.pfx, passphrase)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	c.certs = append([]*x509.Certificate{cert}, others...)
	c.keys = []privateKey{{&pem.Block{Type: pemPKCS8, Bytes: der}}}
	return nil
}

// toil reports whether a structure asks for more iterations than anybody would
// wait for: wherever a salt is, the number after it. What is encrypted is not
// looked into; whoever wrote that knew the passphrase.
func toil(der cryptobyte.String, depth int) bool {
	const maxDepth = 32
	var element cryptobyte.String
	var tag, before cbasn1.Tag
	for der.ReadAnyASN1(&element, &tag) {
		switch {
		case tag == cbasn1.INTEGER && before == cbasn1.OCTET_STRING:
			if !fewIterations(element) {
				return true
			}
		case tag&0x20 != 0 || tag == cbasn1.OCTET_STRING: // constructed, or perhaps a wrapping
			if depth > maxDepth || toil(element, depth+1) {
				return true
			}
		}
		before = tag
	}
	return false
}

func fewIterations(value []byte) bool {
	n := 0
	for _, b := range value {
		if n = n<<8 | int(b); n > maxIterations {
			return false
		}
	}
	return true
}
