package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"vouch/imagelist/verdict"
)

// Verify asks whether the signer's certificate may be believed at an instant:
// a chain to one of the store's self-signed anchors, all of it valid then, for
// signing mail (unless p.AnyPurpose), no proxy, every link permitted by a
// signing policy and covered by a CRL, as strictly as p says. extra are the
// certificates of the message; they are trusted with nothing.
//
// The error is a *verdict.Rejection with one of weak-algorithm,
// unsupported-algorithm, untrusted, cert-expired, cert-not-yet-valid,
// key-usage, proxy-certificate, signing-policy, revoked, crl-missing and
// crl-stale. A chain that holds wins over any that does not. A fact counts for
// more than missing knowledge about the same chain, so that a revoked signer is
// revoked whatever else cannot be read; otherwise the first in the order of the
// codes is the reason. The checks are those of the chain decided on, in
// order; the last one is the reason of a refusal.
//
// It does not ask who the signer is, nor compare at with any clock.
func (s *Store) Verify(signer *x509.Certificate, extra []*x509.Certificate, at time.Time, p Policy) (*Result, []Check, error) {
	q := &question{store: s, at: at, policy: p}
	if c := q.alone(signer); c.refusal != nil {
		return nil, c.checks, c.refusal
	}
	extra = usable(signer, extra)
	chains, err := s.chains(signer, extra, at)
	if err != nil {
		c := q.explain(signer, extra, err)
		return nil, c.checks, c.refusal
	}
	var worst *examined
	for _, chain := range chains {
		c := q.examine(chain)
		if c.refusal == nil {
			return &c.result, c.checks, nil
		}
		if worst == nil || before(c.refusal, worst.refusal) {
			worst = c
		}
	}
	return nil, worst.checks, worst.refusal
}

// question is what stays the same while one signer is judged.
type question struct {
	store  *Store
	at     time.Time
	policy Policy
}

// examined is the account of one chain, or of the signer before there is one.
type examined struct {
	result  Result
	checks  []Check
	refusal *verdict.Rejection // the reason, when it does not hold
}

// The names of the checks.
const (
	checkAlgorithm = "algorithm"
	checkChain     = "chain"
	checkValidity  = "validity"
	checkKeyUsage  = "key-usage"
	checkProxy     = "proxy"
	checkPolicy    = "signing-policy"
	checkCRL       = "crl"
)

func (e *examined) pass(name, format string, args ...any) {
	e.checks = append(e.checks, Check{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)})
}

// refuse records a refusal and reports whether it ends the examination. For
// want of knowledge one goes on, in case there is a fact as well.
func (e *examined) refuse(name string, r *verdict.Rejection) bool {
	if r == nil {
		return false
	}
	if e.refusal != nil && r.Missing {
		return false // the first stands
	}
	e.refusal = r
	e.checks = append(e.checks, Check{Name: name, Detail: r.Detail})
	return !r.Missing
}

// passChain tells a chain, signer first.
func (q *question) passChain(e *examined, chain []*x509.Certificate) {
	for i, c := range chain {
		role := "CA"
		switch i {
		case 0:
			role = "signer"
		case len(chain) - 1:
			role = "anchor"
		}
		e.pass(checkChain, "%s %s, SHA-256 %s", role, q.store.describe(c), fingerprint(c.Raw))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// alone asks what the signer's certificate says without any other.
func (q *question) alone(signer *x509.Certificate) *examined {
	e := &examined{}
	if e.refuse(checkAlgorithm, weakSigner(signer)) {
		return e
	}
	if r := proxy(signer); r != nil {
		if outside := q.outside(signer); outside != nil {
			e.refuse(checkValidity, outside)
		} else {
			e.refuse(checkProxy, r)
		}
	}
	return e
}

// outside refuses a certificate that is not valid at the instant.
func (q *question) outside(c *x509.Certificate) *verdict.Rejection {
	return outside(c, q.store.describe(c), q.at)
}

func outside(c *x509.Certificate, described string, at time.Time) *verdict.Rejection {
	switch {
	case at.After(c.NotAfter):
		return verdict.Reject(verdict.CertExpired, "%s expired at %s", described, stamp(c.NotAfter))
	case at.Before(c.NotBefore):
		return verdict.Reject(verdict.CertNotYetValid, "%s is not valid before %s", described, stamp(c.NotBefore))
	}
	return nil
}

// examine asks every question about one chain that crypto/x509 has built.
func (q *question) examine(chain []*x509.Certificate) *examined {
	e := &examined{result: Result{Chain: chain, Until: earliest(chain)}}
	signer := chain[0]
	if e.refuse(checkAlgorithm, weakKeys(chain)) {
		return e
	}
	e.pass(checkAlgorithm, "%s, %s", signer.SignatureAlgorithm, keyOf(signer))
	if e.refuse(checkChain, q.constrained(chain)) {
		return e
	}
	q.passChain(e, chain)
	e.pass(checkValidity, "all of the chain until %s", stamp(e.result.Until))
	if e.refuse(checkKeyUsage, q.purpose(chain)) {
		return e
	}
	e.pass(checkKeyUsage, "%s", usageOf(signer))
	if plain(signer) {
		e.result.Warnings = append(e.result.Warnings, "the signer's certificate does not say what its key is for")
	}
	for _, c := range chain[1:] {
		if e.refuse(checkProxy, proxy(c)) {
			return e
		}
	}
	e.pass(checkProxy, "none")
	if q.signingPolicies(e) || q.crls(e) || e.refusal == nil {
		return e
	}
	e.reasonLast()
	return e
}

// signingPolicies reports whether the examination ends here.
func (q *question) signingPolicies(e *examined) bool {
	if q.policy.SigningPolicy == Ignore {
		e.pass(checkPolicy, "not asked")
		return false
	}
	for i := range len(e.result.Chain) - 1 {
		if i > 0 && selfIssued(e.result.Chain[i]) {
			continue
		}
		where, r := q.store.signingPolicy(e.result.Chain, i, q.policy.SigningPolicy)
		if r == nil {
			e.result.Policies = append(e.result.Policies, where.where)
			e.pass(checkPolicy, "%q is permitted in %s", OneLine(e.result.Chain[i].RawSubject), where.detail)
		} else if e.refuse(checkPolicy, r) {
			return true
		}
	}
	return false
}

// crls reports whether the examination ends here.
func (q *question) crls(e *examined) bool {
	if q.policy.CRL == Ignore {
		e.pass(checkCRL, "not asked")
		return false
	}
	for i := range len(e.result.Chain) - 1 {
		a := q.revocation(e.result.Chain[i], e.result.Chain[i+1:])
		e.result.Warnings = append(e.result.Warnings, a.warnings...)
		switch {
		case a.refusal != nil:
			if e.refuse(checkCRL, a.refusal) {
				return true
			}
			continue
		case a.used != nil:
			e.result.CRLs = append(e.result.CRLs, *a.used)
		}
		e.pass(checkCRL, "%s", a.detail)
	}
	return false
}

// reasonLast drops the checks after the one that stands for the refusal.
func (e *examined) reasonLast() {
	last := slices.IndexFunc(e.checks, func(c Check) bool { return !c.OK })
	e.checks = e.checks[:last+1]
}

// before orders refusals of different chains: a chain that only knowledge is
// missing for might hold, so it speaks before one that a fact is against; then
// the order of contract §4.
func before(a, b *verdict.Rejection) bool {
	if a.Missing != b.Missing {
		return a.Missing
	}
	return slices.Index(order, a.Code) < slices.Index(order, b.Code)
}

// order is that of contract §4, as far as this package speaks.
var order = []verdict.Code{
	verdict.WeakAlgorithm, verdict.UnsupportedAlgorithm, verdict.Untrusted, verdict.CertExpired,
	verdict.CertNotYetValid, verdict.KeyUsage, verdict.ProxyCertificate, verdict.SigningPolicy,
	verdict.Revoked, verdict.CRLMissing, verdict.CRLStale,
}

func earliest(chain []*x509.Certificate) time.Time {
	until := chain[0].NotAfter
	for _, c := range chain {
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return until
}
