package credential

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"vouch/imagelist/smime"
)

// FuzzLoad gives Load's parsers any bytes as certificate and key. What is
// accepted is a pair, and no error has the passphrase in it.
func FuzzLoad(f *testing.F) {
	s := newShop(f)
	s.user("bob", "ec", "P-256")
	pkcs8 := func(options ...string) []byte {
		return s.openssl(append([]string{"pkcs8", "-topk8", "-in", "bob.key", "-passout", "file:pass"}, options...)...)
	}
	pkcs12 := func(options ...string) []byte {
		return s.openssl(append([]string{"pkcs12", "-export", "-in", "bob.pem", "-inkey", "bob.key", "-passout", "file:pass", "-iter", "2"}, options...)...)
	}
	cert := s.openssl("x509", "-in", "bob.pem", "-outform", "DER")
	f.Add(s.get("alice.pem"), s.get("alice.key"))
	f.Add(s.get("alice.csr"), s.openssl("rsa", "-traditional", "-outform", "DER", "-in", "alice.key"))
	f.Add(slices.Concat(s.get("bob.pem"), s.get("sub.pem"), s.get("root.pem")), s.get("bob.key"))
	f.Add(cert, pkcs8("-iter", "2", "-outform", "DER"))
	f.Add(cert, pkcs8("-iter", "2", "-v2", "des3", "-outform", "DER"))
	f.Add(cert, pkcs8("-scrypt", "-scrypt_N", "2", "-outform", "DER"))
	f.Add(cert, s.openssl("ec", "-in", "bob.key", "-outform", "DER"))
	f.Add(cert, s.openssl("ec", "-aes128", "-passout", "file:pass", "-in", "bob.key"))
	f.Add(pkcs12(), []byte(nil))
	f.Add(pkcs12("-legacy", "-certfile", "sub.pem"), []byte(nil))
	f.Add(pkcs12("-keypbe", "NONE", "-certpbe", "NONE", "-nomac", "-passout", "pass:"), []byte(nil))
	f.Fuzz(func(t *testing.T, certs, keys []byte) {
		got, err := load(bytes.Clone(certs), bytes.Clone(keys))
		if err != nil {
			if strings.Contains(err.Error()+hintOf(err), secret) {
				t.Errorf("the passphrase shows: %v", err)
			}
			return
		}
		if !belongs(got.Certificate, got.Key.Public()) || len(got.Chain) >= smime.MaxCertificates {
			t.Errorf("certificate of %v, %d others", got.Certificate.Subject, len(got.Chain))
		}
	})
}

// load is Load without the file system.
func load(certs, keys []byte) (*Credential, error) {
	s := Source{Passphrase: (&asker{answer: secret}).passphrase}
	open := func(data []byte) (*contents, error) {
		c := &contents{file: "file"}
		if err := c.parse(data); err != nil || c.pfx == nil {
			return c, err
		}
		return c, s.openPFX(c)
	}
	c, err := open(certs)
	if err != nil {
		return nil, err
	}
	if len(c.certs) == 0 {
		return nil, c.lacks("certificate")
	}
	k := c
	if len(keys) > 0 {
		if k, err = open(keys); err != nil {
			return nil, err
		}
	}
	return s.pair(c, k)
}
