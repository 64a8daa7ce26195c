package trust

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"vouch/testdata/cases"
)

// trustFiles are the files of testdata/cases of one sort, each once, that are
// short enough to be bent often.
func trustFiles(f *testing.F, pattern string) [][]byte {
	f.Helper()
	const longest = 8 << 10
	paths, err := filepath.Glob(filepath.Join(cases.Dir(), "trust", "*", pattern))
	must(f, err)
	nested, err := filepath.Glob(filepath.Join(cases.Dir(), "trust", "*", "*", pattern))
	must(f, err)
	var files [][]byte
	seen := map[string]bool{}
	for _, path := range append(paths, nested...) {
		data, err := os.ReadFile(path)
		must(f, err)
		if len(data) <= longest && !seen[string(data)] {
			seen[string(data)] = true
			files = append(files, data)
		}
	}
	if len(files) == 0 {
		f.Fatalf("no %s below %s", pattern, cases.Dir())
	}
	return files
}

// certified is a certificate with any body and a true signature of the CA.
func certified(t testing.TB, ca *identity, tbs []byte) []byte {
	sum := sha256.Sum256(tbs)
	signature, err := ca.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	must(t, err)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithmNamed(tbs))
		b.AddASN1BitString(signature)
	})
	der, err := b.Bytes()
	must(t, err)
	return der
}

// algorithmNamed is the signature algorithm that a body names, which has to be
// the one outside too.
func algorithmNamed(tbs []byte) []byte {
	var body, algorithm cryptobyte.String
	in := cryptobyte.String(tbs)
	if in.ReadASN1(&body, cbasn1.SEQUENCE) && body.SkipOptionalASN1(context(0).Constructed()) &&
		body.SkipASN1(cbasn1.INTEGER) && body.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return algorithm
	}
	return nil
}

// FuzzCertificate: a CA that certifies anything whatever, and any certificate
// beside. What is accepted holds by the rules written out once more.
func FuzzCertificate(f *testing.F) {
	w := newWorld(f)
	carol := w.ca.user(f, dn(f, "DC=org", "DC=example", "CN=Carol"))
	w.put(file(w.ca, "r0"), toPEM(pemCRL, w.ca.crl(f, nil, carol)))
	s := w.load()
	alice := dn(f, "DC=org", "DC=example", "CN=Alice")
	for _, id := range []*identity{
		w.user, carol, w.root, w.ca.sub(f, dn(f, "DC=org", "CN=Sub")), w.ca.user(f, dn(f, "DC=com", "CN=Alice")), w.user.user(f, alice),
		w.ca.user(f, alice, withExtension(true, 1, 3, 6, 1, 5, 5, 7, 1, 14)), w.ca.user(f, alice, withExtension(true, 1, 2, 3)),
		w.ca.user(f, alice, valid(now, now)), w.ca.user(f, alice, func(c *x509.Certificate) { c.ExtKeyUsage, c.DNSNames = nil, []string{"a.example"} }),
	} {
		f.Add(id.cert.RawTBSCertificate, w.ca.cert.Raw, false)
		f.Add(id.cert.RawTBSCertificate, id.cert.Raw, true)
	}
	f.Fuzz(func(t *testing.T, tbs, beside []byte, anyPurpose bool) {
		signer, err := x509.ParseCertificate(certified(t, w.ca, tbs))
		if err != nil {
			return
		}
		var extra []*x509.Certificate
		if c, err := x509.ParseCertificate(beside); err == nil {
			extra = append(extra, c)
		}
		result, r, _ := outcome(t, s, signer, Policy{AnyPurpose: anyPurpose}, extra...)
		if r != nil {
			return
		}
		if !result.Chain[len(result.Chain)-1].Equal(w.root.cert) || result.Chain[0] != signer {
			t.Fatalf("a chain from %q to %q", result.Chain[0].Subject, result.Chain[len(result.Chain)-1].Subject)
		}
		checkSigner(t, signer, anyPurpose)
		if serialOf(signer.SerialNumber) == serialOf(carol.cert.SerialNumber) && bytes.Equal(signer.RawIssuer, w.ca.cert.RawSubject) {
			t.Fatal("revoked, and accepted")
		}
		checkLinks(t, result.Chain)
	})
}

// checkSigner asks of an accepted signer what it says of itself.
func checkSigner(t *testing.T, c *x509.Certificate, anyPurpose bool) {
	mail := slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case c.IsCA, len(c.UnhandledCriticalExtensions) > 0:
		t.Fatalf("a CA %t, critical extensions %v", c.IsCA, c.UnhandledCriticalExtensions)
	case !strings.HasPrefix(OneLine(c.RawSubject), "/DC=org/"):
		t.Fatalf("%q is not in the signing policy", OneLine(c.RawSubject))
	case c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		t.Fatalf("key usage %b", c.KeyUsage)
	case !anyPurpose && !mail && len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0:
		t.Fatalf("extended key usage %v and %v", c.ExtKeyUsage, c.UnknownExtKeyUsage)
	}
	for _, e := range c.Extensions {
		if oid := e.Id.String(); oid == oidProxyCertInfo || oid == oidProxyDraft {
			t.Fatal("a proxy")
		}
	}
}

// checkLinks asks each link of an accepted chain.
func checkLinks(t *testing.T, chain []*x509.Certificate) {
	for i, c := range chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			t.Fatalf("%q is not valid now", c.Subject)
		}
		if i == len(chain)-1 {
			break
		}
		issuer := chain[i+1]
		if err := c.CheckSignatureFrom(issuer); err != nil || !bytes.Equal(c.RawIssuer, issuer.RawSubject) || !issuer.IsCA {
			t.Fatalf("%q by %q: %v", c.Subject, issuer.Subject, err)
		}
	}
}
