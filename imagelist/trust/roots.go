package trust

import "crypto/x509"

// Roots are the self-signed anchors, for TLS. Callers must not change them.
func (s *Store) Roots() []*x509.Certificate {
	var roots []*x509.Certificate
	for _, a := range s.all {
		if a.selfSigned {
			roots = append(roots, a.cert)
		}
	}
	return roots
}

// Count says how many CAs and how many CRL files there are, without looking
// into the latter.
func (s *Store) Count() (anchors, crls int) {
	for _, files := range s.crls {
		crls += len(files)
	}
	return len(s.all), crls
}
