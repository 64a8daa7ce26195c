package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"

	"vouch/imagelist/verdict"
)

const (
	oidKeyUsage         = "2.5.29.15"
	oidBasicConstraints = "2.5.29.19"
	oidExtKeyUsage      = "2.5.29.37"
	oidProxyCertInfo    = "1.3.6.1.5.5.7.1.14"     // RFC 3820
	oidProxyDraft       = "1.3.6.1.4.1.3536.1.222" // Globus before the RFC
	oidCommonName       = "2.5.4.3"
)

func hasExtension(c *x509.Certificate, oid string) bool {
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.String() == oid })
}

// selfIssued reports whether a certificate names itself as its issuer, which
// rollover certificates do without being self-signed.
func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// plain reports whether a certificate has none of the extensions that say
// what it is for, as those of the first grid CAs.
func plain(c *x509.Certificate) bool {
	return !hasExtension(c, oidKeyUsage) && !hasExtension(c, oidExtKeyUsage) && !hasExtension(c, oidBasicConstraints)
}

// weakSigner refuses a signer whose own certificate cannot bear a signature.
func weakSigner(c *x509.Certificate) *verdict.Rejection {
	bits := rsaBits(c)
	switch {
	case weakSignature(c) && !selfIssued(c):
		return verdict.Reject(verdict.WeakAlgorithm, "the signer's certificate is signed with %s", c.SignatureAlgorithm)
	case bits > 0 && bits < minRSA:
		return verdict.Reject(verdict.WeakAlgorithm, "the signer's key has %d bits, less than %d", bits, minRSA)
	case foreignSignature(c) && !selfIssued(c):
		return verdict.Reject(verdict.UnsupportedAlgorithm, "the signer's certificate is signed in a way that is not supported")
	case oversized(c):
		return verdict.Reject(verdict.UnsupportedAlgorithm, "the signer's certificate has a key of %d bits and %d alternative names", bits, alternativeNames(c))
	}
	return nil
}

// weakKeys refuses chains with a short RSA key. Weak signatures are no matter
// here: crypto/x509 builds no chain with one below the anchor.
func weakKeys(chain []*x509.Certificate) *verdict.Rejection {
	for _, c := range chain {
		if bits := rsaBits(c); bits > 0 && bits < minRSA {
			return verdict.Reject(verdict.WeakAlgorithm, "the key of %q has %d bits, less than %d", OneLine(c.RawSubject), bits, minRSA)
		}
	}
	return nil
}

// maxNames bounds the alternative names of a certificate (T-46).
const maxNames = 100

func alternativeNames(c *x509.Certificate) int {
	return len(c.DNSNames) + len(c.EmailAddresses) + len(c.IPAddresses) + len(c.URIs)
}

// oversized reports whether a certificate is only there to cost time.
func oversized(c *x509.Certificate) bool {
	return rsaBits(c) > maxRSA || alternativeNames(c) > maxNames
}

// purpose asks what the keys of the chain may be used for.
func (q *question) purpose(chain []*x509.Certificate) *verdict.Rejection {
	r := signingUse(chain[0])
	if r != nil || q.policy.AnyPurpose {
		return r
	}
	for _, c := range chain {
		if r := mailUse(c, q.store.describe(c)); r != nil {
			return r
		}
	}
	return nil
}

// signingUse refuses a signer that is a CA, or whose key usage is another.
func signingUse(signer *x509.Certificate) *verdict.Rejection {
	const signing = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	switch {
	case signer.IsCA:
		return verdict.Reject(verdict.KeyUsage, "the signer %q is a CA", OneLine(signer.RawSubject))
	case hasExtension(signer, oidKeyUsage) && signer.KeyUsage&signing == 0:
		return verdict.Reject(verdict.KeyUsage, "the signer's key usage has neither digitalSignature nor nonRepudiation")
	}
	return nil
}

// mailUse refuses a certificate that is not for mail.
func mailUse(c *x509.Certificate, described string) *verdict.Rejection {
	if forMail(c) {
		return nil
	}
	return verdict.Reject(verdict.KeyUsage, "the extended key usage of %s does not have emailProtection", described)
}

// forMail reports whether the extended key usage allows signing mail, as it
// does where there is none.
func forMail(c *x509.Certificate) bool {
	return !hasExtension(c, oidExtKeyUsage) ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// proxy refuses the three sorts of proxy certificate: by RFC 3820, by its
// draft, and those of Globus 2, a CN of "proxy" under the issuer's full name.
// An end entity as issuer is refused where chains are built.
func proxy(c *x509.Certificate) *verdict.Rejection {
	switch {
	case hasExtension(c, oidProxyCertInfo), hasExtension(c, oidProxyDraft), legacyProxy(c):
		return verdict.Reject(verdict.ProxyCertificate, "%q is a proxy certificate", OneLine(c.RawSubject))
	}
	return nil
}

func legacyProxy(c *x509.Certificate) bool {
	subject, okSubject := parseName(c.RawSubject)
	issuer, okIssuer := parseName(c.RawIssuer)
	if !okSubject || !okIssuer || !issuer.isPrefixOf(subject) {
		return false
	}
	last := subject[len(subject)-1]
	if len(last) != 1 || last[0].oid != oidCommonName {
		return false
	}
	cn, _ := last[0].text()
	cn = string(foldText(cn))
	return cn == "proxy" || cn == "limited proxy"
}

func keyOf(c *x509.Certificate) string {
	if bits := rsaBits(c); bits > 0 {
		return fmt.Sprintf("RSA key of %d bits", bits)
	}
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); ok {
		return key.Params().Name + " key"
	}
	return c.PublicKeyAlgorithm.String() + " key"
}

func usageOf(c *x509.Certificate) string {
	var uses []string
	for bit, name := range map[x509.KeyUsage]string{
		x509.KeyUsageDigitalSignature: "digitalSignature", x509.KeyUsageContentCommitment: "nonRepudiation"} {
		if c.KeyUsage&bit != 0 {
			uses = append(uses, name)
		}
	}
	if hasExtension(c, oidExtKeyUsage) && forMail(c) {
		uses = append(uses, "emailProtection")
	}
	if len(uses) == 0 {
		return "not limited"
	}
	slices.Sort(uses)
	return strings.Join(uses, ", ")
}
