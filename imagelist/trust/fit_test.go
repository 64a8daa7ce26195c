package trust

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// fitsToo holds Fit against every question the tests ask of Verify: what is
// accepted fits, and what does not fit is refused no later in the order.
func fitsToo(t testing.TB, signer *x509.Certificate, p Policy, refused error) {
	t.Helper()
	fit := Fit(signer, now)
	switch {
	case fit == nil || p.AnyPurpose && verdict.Of(fit) == verdict.KeyUsage:
	case refused == nil:
		t.Errorf("accepted, but it does not fit: %v", fit)
	case slices.Index(order, verdict.Of(refused)) > slices.Index(order, verdict.Of(fit)):
		t.Errorf("refused with %v, but it does not fit: %v", refused, fit)
	}
}

// TestFit spoils the signer's certificate alone: Fit says what Verify says.
func TestFit(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	alice := dn(t, "DC=org", "DC=example", "CN=Alice")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	uses := func(ku x509.KeyUsage, eku ...x509.ExtKeyUsage) option {
		return func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = ku, eku }
	}
	names := func(c *x509.Certificate) {
		for range maxNames + 1 {
			c.EmailAddresses = append(c.EmailAddresses, "a@example.org")
		}
	}
	for _, c := range []struct {
		name   string
		signer *identity
		want   verdict.Code
	}{
		{"good", w.user, ""},
		{"no extended key usage", w.ca.user(t, alice, uses(x509.KeyUsageContentCommitment)), ""},
		{"expired", w.ca.user(t, alice, valid(now.Add(-2*time.Hour), now.Add(-time.Second))), verdict.CertExpired},
		{"the last second", w.ca.user(t, alice, valid(now.Add(-2*time.Hour), now)), ""},
		{"not yet valid", w.ca.user(t, alice, valid(now.Add(time.Second), now.Add(time.Hour))), verdict.CertNotYetValid},
		{"CA", w.root.sub(t, alice), verdict.KeyUsage},
		{"key usage", w.ca.user(t, alice, uses(x509.KeyUsageKeyEncipherment)), verdict.KeyUsage},
		{"extended key usage", w.ca.user(t, alice, uses(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageServerAuth)), verdict.KeyUsage},
		{"short key", issue(t, alice, w.ca, short, asUser), verdict.WeakAlgorithm},
		{"a signature that is not supported", foreign(w.user), verdict.UnsupportedAlgorithm},
		{"many names", w.ca.user(t, alice, names), verdict.UnsupportedAlgorithm},
		{"self-signed", issue(t, alice, nil, ecKey(t), asUser), verdict.Untrusted},
		{"self-signed, another purpose", issue(t, alice, nil, ecKey(t), uses(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageServerAuth)), verdict.Untrusted},
		{"proxy", w.user.user(t, dn(t, "DC=org", "DC=example", "CN=Alice", "CN=1"), withExtension(true, 1, 3, 6, 1, 5, 5, 7, 1, 14)), verdict.ProxyCertificate},
		{"proxy for another purpose", w.user.user(t, dn(t, "DC=org", "DC=example", "CN=Alice", "CN=proxy"), uses(x509.KeyUsageKeyEncipherment)), verdict.ProxyCertificate},
		{"expired proxy", w.user.user(t, dn(t, "DC=org", "DC=example", "CN=Alice", "CN=proxy"), valid(now.Add(-2*time.Hour), now.Add(-time.Hour))), verdict.CertExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := s.Verify(c.signer.cert, []*x509.Certificate{w.user.cert}, now, Policy{})
			fit := Fit(c.signer.cert, now)
			if verdict.Of(fit) != c.want || verdict.Of(err) != c.want || (fit == nil) != (c.want == "") {
				t.Errorf("Fit %v, Verify %v, want %q", fit, err, c.want)
			}
		})
	}
}

// foreign is an identity whose certificate is signed in a way that
// crypto/x509 does not know.
func foreign(id *identity) *identity {
	cert := *id.cert
	cert.SignatureAlgorithm = x509.UnknownSignatureAlgorithm
	return &identity{cert: &cert, key: id.key}
}
