package credential

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// contents are the objects of one file.
type contents struct {
	file  string
	certs []*x509.Certificate
	keys  []privateKey
	pfx   []byte // the file, when it is PKCS#12
	other string // something else, which it was perhaps mistaken for
}

// mistakes are the PEM blocks that are taken for a certificate or key.
var mistakes = map[string]string{
	"CERTIFICATE REQUEST":     "a certificate request",
	"NEW CERTIFICATE REQUEST": "a certificate request",
	"PUBLIC KEY":              "a public key",
	"RSA PUBLIC KEY":          "a public key",
	"SSH2 PUBLIC KEY":         "an OpenSSH public key",
	"OPENSSH PRIVATE KEY":     "an OpenSSH private key",
	"DSA PRIVATE KEY":         "a DSA key, which subscribers cannot verify",
	"PKCS7":                   "a PKCS#7 bundle",
	"TRUSTED CERTIFICATE":     "a certificate in OpenSSL's own form",
	"X509 CRL":                "a revocation list",
	"PGP PRIVATE KEY BLOCK":   "a PGP key",
	"PGP PUBLIC KEY BLOCK":    "a PGP key",
}

// hints say what to do about a mistake.
var hints = map[string]string{
	"a certificate request":               "your CA answers a request with the certificate: name that file",
	"a public key":                        "name the private key, or the certificate",
	"an OpenSSH public key":               "image lists are signed with an X.509 certificate and its key, as in ~/.globus",
	"an OpenSSH private key":              "if your certificate is for this key, convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY",
	"a PKCS#7 bundle":                     "take the certificates out: openssl pkcs7 -print_certs -in FILE -out usercert.pem",
	"a certificate in OpenSSL's own form": "convert it: openssl x509 -in FILE -out usercert.pem",
}

// readContents takes a file apart. Secret says that private keys in it must be
// out of others' reach.
func readContents(file string, secret bool) (*contents, error) {
	f, err := readFile(file)
	if err != nil {
		return nil, err
	}
	c := &contents{file: file}
	if err := c.parse(f.data); err != nil {
		return nil, err
	}
	if secret && (len(c.keys) > 0 || c.pfx != nil) {
		return c, f.private()
	}
	return c, nil
}

var utf8Mark = []byte("\xef\xbb\xbf") // Windows editors leave it

func (c *contents) parse(data []byte) error {
	data = bytes.TrimPrefix(data, utf8Mark)
	switch {
	case len(data) > 0 && data[0] == 0x30: // a SEQUENCE
		return c.parseDER(data)
	case bytes.HasPrefix(data, []byte("ssh-")) || bytes.HasPrefix(data, []byte("ecdsa-sha2-")):
		c.other = "an OpenSSH public key"
		return nil
	}
	return c.parsePEM(data)
}

func (c *contents) parsePEM(data []byte) error {
	defer clear(data) // there may be a plain key in it; blocks are copies
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("%q: certificate %d: %w", c.file, len(c.certs)+1, err)
			}
			c.certs = append(c.certs, cert)
		case pemPKCS1, pemSEC1, pemPKCS8, pemEncrypted:
			c.keys = append(c.keys, privateKey{block})
		case "EC PARAMETERS": // openssl ecparam -genkey writes them before the key
		default:
			if what := mistakes[block.Type]; what != "" {
				c.other = what
			}
		}
	}
	return nil
}

// parseDER tells by its structure what a file without names is.
func (c *contents) parseDER(data []byte) error {
	if isPFX(data) {
		c.pfx = data
		return nil
	}
	certs, err := x509.ParseCertificates(data)
	if err == nil {
		c.certs = certs
		return nil
	}
	if kind := keyKind(data); kind != "" {
		c.keys = []privateKey{{&pem.Block{Type: kind, Bytes: data}}}
		return nil
	}
	if _, err := x509.ParseCertificateRequest(data); err == nil {
		c.other = "a certificate request"
		return nil
	}
	if _, err := x509.ParsePKIXPublicKey(data); err == nil {
		c.other = "a public key"
		return nil
	}
	return fault(formsHint, "%q: DER that is no certificate or key: %v", c.file, err)
}

const formsHint = "PEM, DER and PKCS#12 (.p12, .pfx) are read"

// keyKind is the PEM name of a private key in DER, "" for anything else.
func keyKind(der []byte) string {
	s := cryptobyte.String(der)
	var body, first cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) || !s.Empty() || !body.ReadAnyASN1(&first, &tag) {
		return ""
	}
	switch {
	case tag == cbasn1.SEQUENCE && body.SkipASN1(cbasn1.OCTET_STRING) && body.Empty():
		return pemEncrypted
	case tag != cbasn1.INTEGER:
		return ""
	case body.PeekASN1Tag(cbasn1.SEQUENCE):
		return pemPKCS8
	case body.PeekASN1Tag(cbasn1.INTEGER):
		return pemPKCS1
	case body.PeekASN1Tag(cbasn1.OCTET_STRING):
		return pemSEC1
	}
	return ""
}

// lacks says what is there instead of what was wanted.
func (c *contents) lacks(what string) error {
	switch {
	case c.other != "":
		hint := hints[c.other]
		if hint == "" {
			hint = formsHint
		}
		return fault(hint, "%q: no %s, but %s", c.file, what, c.other)
	case len(c.certs) > 0:
		return fault("name the file of the key as well, or a command that keeps it elsewhere", "%q: no %s, only a certificate", c.file, what)
	case len(c.keys) > 0:
		return fault("name the file of the certificate: are the two swapped?", "%q: no %s, only a private key", c.file, what)
	}
	return fault(formsHint, "%q: no %s in it", c.file, what)
}
