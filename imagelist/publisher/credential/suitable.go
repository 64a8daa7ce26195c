package credential

import (
	"crypto/x509"
	"fmt"
	"time"

	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
)

// Suitable says why subscribers would not take what a certificate signs at an
// instant, or would stop before the list expires at until (zero: not asked).
// The questions about the certificate are the subscriber's own: see
// smime.CheckKey and trust.Fit. That its CA is trusted anywhere, and has not
// revoked it, is not asked.
//
// The error is an *Error with a hint; except for a certificate that expires
// before the list, it wraps the *verdict.Rejection of subscribers. One of
// key-usage for a want of emailProtection does not bind a subscription that
// says "purpose: any".
func Suitable(c *x509.Certificate, at, until time.Time) error {
	err := smime.CheckKey(c.PublicKey)
	if err == nil {
		err = trust.Fit(c, at)
	}
	if r := verdict.As(err); r != nil {
		return &Error{fmt.Sprintf("certificate %q: subscribers would refuse it: %v", trust.OneLine(c.RawSubject), r), hintFor(c, r), r}
	}
	if c.NotAfter.Before(until) {
		return fault("renew the certificate, or give the list a shorter lifetime", "certificate %q: expires at %s, before the list at %s",
			trust.OneLine(c.RawSubject), c.NotAfter.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
	}
	return err
}

// hintFor says what an endorser can do about a refusal.
func hintFor(c *x509.Certificate, r *verdict.Rejection) string {
	switch {
	case r.Code == verdict.ProxyCertificate:
		return "sign with the certificate that the proxy was made from, ~/.globus/usercert.pem, and its key"
	case r.Code == verdict.CertExpired:
		return "renew it with your CA"
	case r.Code == verdict.CertNotYetValid:
		return "wait, or set this machine's clock right"
	case r.Code == verdict.Untrusted:
		return "have it issued by a CA that the sites trust, one of the IGTF"
	case c.IsCA:
		return "sign with a personal or robot certificate, not with a CA's"
	case r.Code == verdict.KeyUsage:
		return "ask your CA for a personal or robot certificate: digitalSignature, and emailProtection if it has an extended key usage"
	case smime.CheckKey(c.PublicKey) != nil:
		return kindsHint
	}
	return "ask your CA for a new certificate, signed with SHA-256 or better"
}
