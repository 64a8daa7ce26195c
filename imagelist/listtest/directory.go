package listtest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vouch/imagelist/trust"
)

// A FileOption changes what WriteTo writes.
type FileOption func(*files)

type files struct {
	noCRL, noPolicy bool
	from, until     time.Time
	glob, pattern   string
}

// NoCRL leaves the CRL out, and removes one that is there.
func NoCRL() FileOption { return func(f *files) { f.noCRL = true } }

// CRLDates sets thisUpdate and nextUpdate.
func CRLDates(from, until time.Time) FileOption {
	return func(f *files) { f.from, f.until = from, until }
}

// NoPolicy leaves .signing_policy and .namespaces out, and removes what is there.
func NoPolicy() FileOption { return func(f *files) { f.noPolicy = true } }

// Permit sets which subjects the CA may sign: the glob for .signing_policy, the
// regular expression for .namespaces. Otherwise all of /DC=org/DC=example.
func Permit(glob, pattern string) FileOption {
	return func(f *files) { f.glob, f.pattern = glob, pattern }
}

// WriteTo writes, or replaces, the CA's files in a hashed directory under both
// of OpenSSL's hashes: HASH.0, HASH.r0, HASH.signing_policy, HASH.namespaces.
// The CRL names what Revoke was told, and is good from an hour before to a
// week after the CA's instant. Each file is replaced atomically.
func (ca *CA) WriteTo(dir string, options ...FileOption) {
	ca.t.Helper()
	f := files{from: ca.at.Add(-time.Hour), until: ca.at.AddDate(0, 0, 7), glob: "/DC=org/DC=example/*", pattern: "/DC=org/DC=example/.*"}
	for _, o := range options {
		o(&f)
	}
	content := map[string][]byte{
		".0":  certPEM(ca.Cert),
		".r0": ca.CRL(f.from, f.until),
		".signing_policy": fmt.Appendf(nil, "access_id_CA X509 '%s'\npos_rights globus CA:sign\ncond_subjects globus '\"%s\"'\n",
			ca.DN(), f.glob),
		".namespaces": fmt.Appendf(nil, "#NAMESPACES-VERSION: 1.0\nTO Issuer \"%s\" \\\n  PERMIT Subject \"%s\"\n",
			ca.DN(), f.pattern),
	}
	absent := map[string]bool{".r0": f.noCRL, ".signing_policy": f.noPolicy, ".namespaces": f.noPolicy}
	for _, hash := range []string{trust.Hash(ca.Cert.RawSubject), trust.HashOld(ca.Cert.RawSubject)} {
		for suffix, data := range content {
			path := filepath.Join(dir, hash+suffix)
			if absent[suffix] {
				remove(ca.t, path)
			} else {
				replace(ca.t, path, data, 0o644)
			}
		}
	}
}

// RemoveFrom removes all of the CA's files.
func (ca *CA) RemoveFrom(dir string) {
	ca.t.Helper()
	for _, hash := range []string{trust.Hash(ca.Cert.RawSubject), trust.HashOld(ca.Cert.RawSubject)} {
		for _, suffix := range []string{".0", ".r0", ".signing_policy", ".namespaces"} {
			remove(ca.t, filepath.Join(dir, hash+suffix))
		}
	}
}

// CRL is a revocation list in PEM. Its number grows with every call.
func (ca *CA) CRL(from, until time.Time) []byte {
	ca.t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(serials.Add(1)), ThisUpdate: from, NextUpdate: until, RevokedCertificateEntries: ca.revoked,
	}, ca.Cert, ca.Key)
	if err != nil {
		ca.t.Fatalf("CRL of %s: %v", ca.DN(), err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func replace(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}
