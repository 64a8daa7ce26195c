package credential

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
)

// belongs reports whether a certificate is for a key.
func belongs(c *x509.Certificate, public crypto.PublicKey) bool {
	known, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && known.Equal(public)
}

// leafOf is the key's certificate, nil when there is none. After a renewal
// with the same key there may be two; the later one is meant.
func leafOf(certs []*x509.Certificate, key crypto.Signer) *x509.Certificate {
	var leaf *x509.Certificate
	for _, c := range certs {
		if belongs(c, key.Public()) && (leaf == nil || c.NotAfter.After(leaf.NotAfter)) {
			leaf = c
		}
	}
	return leaf
}

// endOf is the certificate of a file that can only be the endorser's: no CA,
// and the issuer of no other.
func endOf(file *contents) (*x509.Certificate, error) {
	ends := slices.DeleteFunc(slices.Clone(file.certs), func(c *x509.Certificate) bool {
		return c.IsCA || slices.ContainsFunc(file.certs, func(d *x509.Certificate) bool {
			return !d.Equal(c) && bytes.Equal(d.RawIssuer, c.RawSubject)
		})
	})
	ends = slices.CompactFunc(ends, (*x509.Certificate).Equal)
	switch len(ends) {
	case 0:
		return file.certs[0], nil // which Suitable will have something to say about
	case 1:
		return ends[0], nil
	}
	return nil, fault("leave your own in a file, and its issuers", "%q: which of %d certificates is meant: %s", file.file, len(ends), namesOf(ends))
}

// chainOf are the certificates to send along with the leaf: first its issuer
// and theirs, then the rest, as many as a message may have. Others for the
// same key are left out: they issued nothing.
func chainOf(leaf *x509.Certificate, certs []*x509.Certificate) []*x509.Certificate {
	rest := slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return belongs(c, leaf.PublicKey) })
	var chain []*x509.Certificate
	for last := leaf; len(rest) > 0 && len(chain) < smime.MaxCertificates-1; last = chain[len(chain)-1] {
		i := max(0, slices.IndexFunc(rest, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, last.RawIssuer) }))
		chain = append(chain, rest[i])
		rest = slices.DeleteFunc(rest, rest[i].Equal)
	}
	return chain
}

func mismatch(certs, keys *contents) error {
	return fault("the two are for one key when these print the same: openssl x509 -noout -pubkey -in CERT; openssl pkey -pubout -in KEY",
		"%q: the key does not match the certificate of %s in %q", keys.file, namesOf(certs.certs), certs.file)
}

// namesOf lists the subjects of a few certificates for a person.
func namesOf(certs []*x509.Certificate) string {
	const few = 3
	var names []string
	for _, c := range certs[:min(few, len(certs))] {
		names = append(names, fmt.Sprintf("%q", trust.OneLine(c.RawSubject)))
	}
	if len(certs) > few {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}
