package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"vouch/imagelist/verdict"
)

// Limits of path building (T-46).
const (
	maxDepth  = 6  // CA certificates above the signer
	maxExtra  = 16 // certificates taken from a message
	maxChains = 32 // chains examined for one signer
	maxProofs = 32 // signatures verified to explain a refusal
	maxSlow   = 2  // certificates taken from a message whose key is slow
)

var errTooLong = fmt.Errorf("every chain has more than %d CAs", maxDepth)

// slow reports whether verifying with a certificate's key takes a millisecond.
func slow(c *x509.Certificate) bool {
	const largeRSA = 4096
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	return rsaBits(c) > largeRSA || ok && key.Curve == elliptic.P521()
}

// usable are the certificates of a message that may help to build a chain. A
// maze of certificates that have all issued each other has crypto/x509 verify a
// hundred signatures, which must not all be slow ones.
func usable(signer *x509.Certificate, extra []*x509.Certificate) []*x509.Certificate {
	var some []*x509.Certificate
	slowOnes := 0
	for _, c := range extra {
		if len(some) == maxExtra || c == nil || c.Equal(signer) || oversized(c) {
			continue
		}
		if slow(c) {
			if slowOnes++; slowOnes > maxSlow {
				continue
			}
		}
		some = append(some, c)
	}
	return some
}

// chains builds every chain from the signer to a self-signed anchor that is
// valid at the instant. Purposes are judged afterwards, chain by chain, to tell
// a wrong purpose from a missing anchor.
func (s *Store) chains(signer *x509.Certificate, extra []*x509.Certificate, at time.Time) ([][]*x509.Certificate, error) {
	between := s.subCAs.Clone()
	for _, c := range extra {
		between.AddCert(c)
	}
	chains, err := signer.Verify(x509.VerifyOptions{
		Roots:         s.roots, // never nil: nil would mean the system's
		Intermediates: between,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, err
	}
	chains = slices.DeleteFunc(chains, func(c []*x509.Certificate) bool { return len(c) > maxDepth+1 })
	if len(chains) == 0 {
		return nil, errTooLong
	}
	chains = chains[:min(len(chains), maxChains)]
	if len(chains[0]) == 1 && !signer.IsCA {
		return nil, errors.New("the signer is a trust anchor itself")
	}
	return chains, nil
}

// explain says why no chain was built. It follows issuers by name and
// signature without asking about dates, purposes and the strength of
// algorithms, and looks at what it finds for the reason. It cannot accept.
func (q *question) explain(signer *x509.Certificate, extra []*x509.Certificate, err error) *examined {
	w := walk{store: q.store, extra: extra}
	w.from([]*x509.Certificate{signer})
	var reason *examined
	for _, path := range w.paths {
		if e := q.diagnose(path); e.refusal != nil && (reason == nil || before(e.refusal, reason.refusal)) {
			reason = e
		}
	}
	if reason != nil {
		return reason
	}
	e := &examined{}
	e.refuse(checkChain, q.untrusted(signer, w, err))
	return e
}

// diagnose looks for what is wrong with a path, in the order of the codes.
func (q *question) diagnose(path []*x509.Certificate) *examined {
	e := &examined{}
	below := path[:len(path)-1]
	if i := slices.IndexFunc(below, weakSignature); i >= 0 {
		e.refuse(checkAlgorithm, verdict.Reject(verdict.WeakAlgorithm,
			"the certificate of %s is signed with %s", q.store.describe(below[i]), below[i].SignatureAlgorithm))
		return e
	}
	if i := slices.IndexFunc(below, foreignSignature); i >= 0 {
		e.refuse(checkAlgorithm, verdict.Reject(verdict.UnsupportedAlgorithm,
			"the certificate of %s is signed in a way that is not supported", q.store.describe(below[i])))
		return e
	}
	e.pass(checkAlgorithm, "%s, %s", path[0].SignatureAlgorithm, keyOf(path[0]))
	q.passChain(e, path)
	for _, code := range []verdict.Code{verdict.CertExpired, verdict.CertNotYetValid} {
		for _, c := range path {
			if r := q.outside(c); r != nil && r.Code == code {
				e.refuse(checkValidity, r)
				return e
			}
		}
	}
	e.pass(checkValidity, "all of the chain until %s", stamp(earliest(path)))
	for _, c := range path[1:max(1, len(path)-1)] { // the signer may be an anchor itself
		if !c.IsCA && e.refuse(checkProxy, verdict.Reject(verdict.ProxyCertificate,
			"%q is no CA and has issued a certificate", OneLine(c.RawSubject))) {
			return e
		}
	}
	return e
}

// untrusted is the refusal when no path leads to an anchor, or one does and
// crypto/x509 found something else wrong with it.
func (q *question) untrusted(signer *x509.Certificate, w walk, err error) *verdict.Rejection {
	s := q.store
	if len(s.all) == 0 {
		return s.empty()
	}
	for _, name := range w.unknown {
		for _, hash := range hashesOf(name) {
			if file, ok := s.disabled[hash]; ok {
				r := verdict.Reject(verdict.Untrusted, "the anchor %q cannot be used: see %s", OneLine(name), file)
				r.Missing = true
				return r
			}
		}
	}
	if len(w.paths) > 0 || errors.Is(err, errTooLong) {
		return verdict.Reject(verdict.Untrusted, "%q: %v", OneLine(signer.RawSubject), err)
	}
	if len(w.unknown) > 0 {
		return verdict.Reject(verdict.Untrusted, "no anchor %q (%s.0)", OneLine(w.unknown[0]), Hash(w.unknown[0]))
	}
	return verdict.Reject(verdict.Untrusted, "%q was not issued by the CA it names, %q", OneLine(signer.RawSubject), OneLine(signer.RawIssuer))
}

// walk finds the paths from a signer to the anchors.
type walk struct {
	store   *Store
	extra   []*x509.Certificate
	proofs  int
	paths   [][]*x509.Certificate
	unknown [][]byte // names of issuers of which there is no certificate
}

func (w *walk) from(path []*x509.Certificate) {
	last := path[len(path)-1]
	if w.store.isRoot(last) {
		w.paths = append(w.paths, slices.Clone(path))
		return
	}
	if len(path) > maxDepth || len(w.paths) >= maxChains {
		return
	}
	named := false
	for _, issuer := range w.named(last.RawIssuer) {
		if slices.ContainsFunc(path, issuer.Equal) {
			continue
		}
		named = true
		if w.proofs++; w.proofs > maxProofs {
			return
		}
		if foreignSignature(last) || signedBy(last, issuer) {
			w.from(append(path, issuer))
		}
	}
	if !named {
		w.unknown = append(w.unknown, last.RawIssuer)
	}
}

// named are the certificates of a subject, the store's first.
func (w *walk) named(subject []byte) []*x509.Certificate {
	var found []*x509.Certificate
	for _, a := range w.store.subjects[string(subject)] {
		found = append(found, a.cert)
	}
	for _, c := range w.extra {
		if bytes.Equal(c.RawSubject, subject) {
			found = append(found, c)
		}
	}
	return found
}

func (s *Store) isRoot(c *x509.Certificate) bool {
	return slices.ContainsFunc(s.subjects[string(c.RawSubject)], func(a *authority) bool {
		return a.selfSigned && a.cert.Equal(c)
	})
}
