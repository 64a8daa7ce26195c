package smime

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// people are the signers of the tests, by name, all certified by "ca".
var people = sync.OnceValue(func() map[string]identity {
	must := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return key
	}
	ec := func(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }
	bits := func(n int) crypto.Signer { return must(rsa.GenerateKey(rand.Reader, n)) }
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	keys := map[string]crypto.Signer{
		"alice": bits(2048), "bob": bits(2048), "short": bits(1024),
		"p224": ec(elliptic.P224()), "p256": ec(elliptic.P256()), "p384": ec(elliptic.P384()), "p521": ec(elliptic.P521()),
		"ed25519": must(ed, err),
	}
	ca := identity{key: ec(elliptic.P256())}
	ca.cert = certify("ca", 1, ca.key.Public(), ca)
	all := map[string]identity{"ca": ca}
	serial := int64(1)
	for name, key := range keys {
		serial++
		all[name] = identity{certify(name, serial, key.Public(), ca), key}
	}
	return all
})

// certify makes a certificate that is valid for signing mail, around today.
func certify(name string, serial int64, key crypto.PublicKey, ca identity) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{Organization: []string{"Example"}, CommonName: name},
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
		SubjectKeyId: []byte(name),
	}
	issuer := ca.cert
	if issuer == nil {
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
		template.BasicConstraintsValid, template.IsCA = true, true
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key, ca.key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

// shop is a directory with everybody's PEM files and openssl run in it.
type shop struct {
	t   *testing.T
	dir string
}

func newShop(t *testing.T) shop {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s := shop{t, t.TempDir()}
	for name, id := range people() {
		der, err := x509.MarshalPKCS8PrivateKey(id.key)
		if err != nil {
			t.Fatal(err)
		}
		s.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Raw}))
		s.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return s
}

func (s shop) write(name string, data []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// openssl runs a command on standard input and returns its output.
func (s shop) openssl(stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = s.dir
	cmd.Stdin = bytes.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err != nil {
		s.t.Logf("openssl %v: %v\n%s", args, err, complaint.Bytes())
	}
	return out.Bytes(), err
}

// make is openssl that has to succeed.
func (s shop) make(stdin []byte, args ...string) []byte {
	s.t.Helper()
	out, err := s.openssl(stdin, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// accepts says whether openssl smime or cms verifies a message, and the
// content it writes.
func (s shop) accepts(tool string, message []byte) ([]byte, bool) {
	out, err := s.openssl(message, tool, "-verify", "-CAfile", "ca.pem")
	return out, err == nil
}

const document = "{\n \"hv:imagelist\": {\n  \"dc:title\": \"Images\"\n }\n}\n"

// canonicalDocument is document as it is hashed.
var canonicalDocument = string(bytes.ReplaceAll([]byte(document), []byte("\n"), []byte("\r\n")))

// expect opens a message and compares the outcome: the code of the refusal, or
// "" and then the content.
func expect(t *testing.T, message []byte, o Options, want verdict.Code, content string) *Signed {
	t.Helper()
	got, err := Open(message, o)
	if verdict.Of(err) != want || (err == nil) != (want == "") {
		t.Fatalf("Open: %v; want %q", err, want)
	}
	if want != "" {
		if got != nil {
			t.Fatal("a refused message with content")
		}
		return nil
	}
	if string(got.Content) != content {
		t.Fatalf("content %.200q; want %.200q", got.Content, content)
	}
	return got
}
