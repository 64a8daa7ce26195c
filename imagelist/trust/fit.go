package trust

import (
	"crypto/x509"
	"fmt"
	"time"

	"vouch/imagelist/verdict"
)

// Fit asks of a signer's certificate, at an instant, what Verify asks of it
// without any other: the strength of its key and of its signature, its dates,
// that it is no proxy and not self-signed, and its purpose. An endorser asks
// it before signing.
//
// The error is the *verdict.Rejection that subscribers would give: one of
// weak-algorithm, unsupported-algorithm, untrusted, cert-expired,
// cert-not-yet-valid, key-usage and proxy-certificate. It does not ask whether
// anybody trusts the issuer, and a nil error promises no acceptance.
func Fit(signer *x509.Certificate, at time.Time) error {
	dn := fmt.Sprintf("%q", OneLine(signer.RawSubject))
	for _, ask := range []func() *verdict.Rejection{
		func() *verdict.Rejection { return weakSigner(signer) },
		func() *verdict.Rejection { return outside(signer, dn, at) },
		func() *verdict.Rejection { return proxy(signer) },
		func() *verdict.Rejection { return signingUse(signer) },
		func() *verdict.Rejection { return ownIssuer(signer) },
		func() *verdict.Rejection { return mailUse(signer, dn) },
	} {
		if r := ask(); r != nil {
			return r
		}
	}
	return nil
}

// ownIssuer refuses a signer that vouches for itself. Verify refuses it for
// want of an anchor, or for being one.
func ownIssuer(signer *x509.Certificate) *verdict.Rejection {
	if selfSigned(signer) {
		return verdict.Reject(verdict.Untrusted, "%q is self-signed", OneLine(signer.RawSubject))
	}
	return nil
}
