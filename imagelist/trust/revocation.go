package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"vouch/imagelist/verdict"
)

// MaxCRLGrace is the longest that a CRL counts after its nextUpdate, whatever
// Policy.CRLGrace says.
const MaxCRLGrace = 72 * time.Hour

// maxSkew is how far in the future a CRL may have been made.
const maxSkew = 5 * time.Minute

// answer is what the CRLs of an issuer say about one of its certificates.
type answer struct {
	used     *CRLUsed // nil if there is none and none is required
	detail   string
	warnings []string
	refusal  *verdict.Rejection
}

// revocation asks every CRL of a certificate's issuer about it. One that is
// validly signed and lists it revokes it, stale or not; that it is not listed
// counts only where at least one is current. above is the rest of its chain,
// issuer first: a CA that has changed its key signs with the new one the CRLs
// about what the old one issued (rollover), and then the new key stands there.
func (q *question) revocation(c *x509.Certificate, above []*x509.Certificate) answer {
	l := lookup{question: q, cert: c, issuers: sameName(above)}
	for _, f := range q.store.crlsOf(above[0].RawSubject) {
		l.files++
		if l.file(f) {
			return answer{refusal: l.revoked}
		}
	}
	if l.best == nil {
		return l.without()
	}
	used := l.best.used(l.bestFile)
	a := answer{used: &used, detail: fmt.Sprintf("%q is not in %s, %s old", OneLine(c.RawSubject), used, age(q.at.Sub(used.ThisUpdate)))}
	if l.best.algorithm == x509.SHA1WithRSA || l.best.algorithm == x509.ECDSAWithSHA1 {
		a.warnings = append(a.warnings, fmt.Sprintf("%s: the CRL is signed over SHA-1", l.bestFile))
	}
	if q.at.After(used.NextUpdate) {
		a.warnings = append(a.warnings, fmt.Sprintf("%s: the CRL should have been replaced by %s",
			l.bestFile, stamp(used.NextUpdate)))
	}
	return a
}

// lookup is one such question while it is asked of one list after the other.
type lookup struct {
	*question
	cert    *x509.Certificate
	issuers []*x509.Certificate // of one name; the first is the issuer

	files    int
	best     *crl // of those that count, the newest
	bestFile string
	stale    []string // lists that are of the issuer and not of this time
	other    []string // what else was found
	revoked  *verdict.Rejection
}

// file reports whether the certificate is revoked by one of a file's lists.
func (l *lookup) file(f crlFile) bool {
	lists, broken := f.parsed()
	for _, err := range broken {
		l.other = append(l.other, fmt.Sprintf("%s: %v", f.name, err))
	}
	for _, c := range lists {
		if l.list(f.name, c); l.revoked != nil {
			return true
		}
	}
	return false
}

func (l *lookup) list(file string, c *crl) {
	if err := c.speaksOf(l.cert, l.issuers); err != nil {
		l.other = append(l.other, fmt.Sprintf("%s: %v", file, err))
		return
	}
	if e, listed := c.find(l.cert.SerialNumber); listed {
		l.revoked = verdict.Reject(verdict.Revoked, "%q, serial %x, is revoked since %s (%s) by %s", OneLine(l.cert.RawSubject),
			l.cert.SerialNumber, e.date.UTC().Format(time.RFC3339), e.reason(), c.used(file))
		return
	}
	switch why := c.outside(l.at, l.policy.CRLGrace); {
	case c.nextUpdate.IsZero():
		l.other = append(l.other, fmt.Sprintf("%s: %v", file, errNoNextUpdate))
	case why != "":
		l.stale = append(l.stale, fmt.Sprintf("%s: %s", file, why))
	case l.best == nil || c.thisUpdate.After(l.best.thisUpdate):
		l.best, l.bestFile = c, file
	}
}

// sameName are those of a chain that have the name of its first.
func sameName(chain []*x509.Certificate) []*x509.Certificate {
	var same []*x509.Certificate
	for _, c := range chain {
		if bytes.Equal(c.RawSubject, chain[0].RawSubject) {
			same = append(same, c)
		}
	}
	return same
}

// speaksOf says why the CRL has nothing to say about a certificate of issuers.
func (c *crl) speaksOf(cert *x509.Certificate, issuers []*x509.Certificate) error {
	err := c.signedBy(issuers[0])
	for _, other := range issuers[1:] {
		if err != nil && c.signedBy(other) == nil {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	if c.unusable != nil {
		return c.unusable
	}
	if !c.scope.covers(cert) {
		return fmt.Errorf("it is not about this sort of certificate")
	}
	return nil
}

// outside says why the CRL is not of the instant; "" if it is.
func (c *crl) outside(at time.Time, grace time.Duration) string {
	grace = min(max(grace, 0), MaxCRLGrace)
	switch {
	case c.thisUpdate.After(at.Add(maxSkew)):
		return fmt.Sprintf("it is from the future, %s", stamp(c.thisUpdate))
	case at.After(c.nextUpdate.Add(grace)):
		return fmt.Sprintf("it is %s old, the next one was due at %s", age(at.Sub(c.thisUpdate)), stamp(c.nextUpdate))
	}
	return ""
}

// without is the answer where no CRL counts. Only a CRL that is not there at
// all may be done without: one that is there and useless is a sign that
// something is wrong.
func (l *lookup) without() answer {
	name := OneLine(l.issuers[0].RawSubject)
	found := strings.Join(append(l.stale, l.other...), "; ")
	var r *verdict.Rejection
	switch {
	case len(l.stale) > 0:
		r = verdict.Reject(verdict.CRLStale, "no current CRL of %q: %s", name, found)
	case l.files > 0:
		r = verdict.Reject(verdict.CRLMissing, "no usable CRL of %q: %s", name, found)
	case l.policy.CRL == IfPresent:
		return answer{detail: fmt.Sprintf("%q has no CRL here", name)}
	default:
		r = verdict.Reject(verdict.CRLMissing, "no CRL of %q (%s.r0)", name, Hash(l.issuers[0].RawSubject))
	}
	r.Missing = true
	return answer{refusal: r}
}

// crlsOf are the CRL files of an issuer under its two hashes.
func (s *Store) crlsOf(rawName []byte) []crlFile {
	var files []crlFile
	for _, hash := range hashesOf(rawName) {
	next:
		for _, f := range s.crls[hash] {
			for _, known := range files {
				if known.crlLists == f.crlLists {
					continue next
				}
			}
			files = append(files, f)
		}
	}
	return files
}

func (c *crl) used(file string) CRLUsed {
	return CRLUsed{
		Issuer: OneLine(c.issuer), File: file, Number: c.number,
		ThisUpdate: c.thisUpdate, NextUpdate: c.nextUpdate, SHA256: fingerprint(c.der),
	}
}

// String says which CRL it is, for a person.
func (u CRLUsed) String() string {
	number := ""
	if u.Number != "" {
		number = " number " + u.Number
	}
	return fmt.Sprintf("CRL%s of %s (%s, next %s)", number, stamp(u.ThisUpdate), u.File, stamp(u.NextUpdate))
}

// age is a duration in days, or hours when it is less than two of them.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return fmt.Sprintf("%d h", max(d, 0)/time.Hour)
	}
	return fmt.Sprintf("%d days", d/day)
}
