package trust

import (
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"vouch/imagelist/verdict"
)

// Anchor is one CA of the store as a person asks about it.
type Anchor struct {
	DN         string
	Files      []string // names within the trust directory
	Hash       string   // of the name, since OpenSSL 1.0
	HashOld    string   // and before
	SHA256     string   // of the certificate's DER, lower-case hex
	SelfSigned bool     // where chains end; otherwise a link of them
	NotBefore  time.Time
	NotAfter   time.Time
	Policies   []PolicyFile
	CRLs       []CRL
}

// PolicyFile is a signing_policy or namespaces file of an anchor.
type PolicyFile struct {
	File    string
	Rules   int    // patterns, or statements
	Problem string // why none of it can be relied on; "" if it can
}

// CRL is one revocation list in a file of an anchor.
type CRL struct {
	File       string
	Number     string // decimal; "" if it has none
	ThisUpdate time.Time
	NextUpdate time.Time // zero if it has none
	Entries    int
	SHA256     string // of its DER, lower-case hex
	Problem    string // why it does not count, dates aside; "" if it counts
}

// ID identifies what was loaded: a hexadecimal digest over the names and
// contents of all files that mean something. Two snapshots with one ID answer
// alike.
func (s *Store) ID() string { return s.id }

// Path is the absolute path that was loaded.
func (s *Store) Path() string { return s.path }

// Pool holds the self-signed anchors, for TLS. It is a copy.
func (s *Store) Pool() *x509.CertPool { return s.roots.Clone() }

// Usable returns nil if the snapshot could let anybody pass under p. Otherwise
// it returns a *verdict.Rejection with Missing set: untrusted without a single
// anchor, crl-missing where CRLs are required and there is none.
func (s *Store) Usable(p Policy) error {
	if !slices.ContainsFunc(s.all, func(a *authority) bool { return a.selfSigned }) {
		return s.empty()
	}
	if (p.CRL == Require || p.CRL == "") && !s.anyCRL() {
		r := verdict.Reject(verdict.CRLMissing, "%s holds no CRL: run fetch-crl, or set trust.crl to if-present", s.path)
		r.Missing = true
		return r
	}
	return nil
}

// empty is the refusal of a store without anchors.
func (s *Store) empty() *verdict.Rejection {
	r := verdict.Reject(verdict.Untrusted, "%s holds no trust anchor", s.path)
	r.Missing = true
	return r
}

func (s *Store) anyCRL() bool {
	for _, files := range s.crls {
		for _, f := range files {
			if lists, _ := f.parsed(); len(lists) > 0 {
				return true
			}
		}
	}
	return false
}

// Anchors lists the CAs with their policies and CRLs, sorted by DN. It parses
// everything and verifies every CRL's signature.
func (s *Store) Anchors() []Anchor {
	list := make([]Anchor, 0, len(s.all))
	for _, a := range s.all {
		list = append(list, Anchor{
			DN: a.dn, Files: slices.Clone(a.files), Hash: a.hash, HashOld: a.hashOld,
			SHA256: fingerprint(a.cert.Raw), SelfSigned: a.selfSigned,
			NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
			Policies: s.policyInventory(a.cert), CRLs: s.crlInventory(a.cert),
		})
	}
	return list
}

func (s *Store) policyInventory(c *x509.Certificate) []PolicyFile {
	var list []PolicyFile
	for k := range s.policies {
		for _, f := range s.policiesOf(kind(k), c.RawSubject) {
			rules, err := f.parsed()
			p := PolicyFile{File: f.name, Rules: len(rules)}
			if err != nil {
				p.Problem = err.Error()
			}
			list = append(list, p)
		}
	}
	return list
}

func (s *Store) crlInventory(issuer *x509.Certificate) []CRL {
	var list []CRL
	for _, f := range s.crlsOf(issuer.RawSubject) {
		lists, broken := f.parsed()
		for _, err := range broken {
			list = append(list, CRL{File: f.name, Problem: err.Error()})
		}
		for _, c := range lists {
			list = append(list, c.inventory(f.name, issuer))
		}
	}
	return list
}

func (c *crl) inventory(file string, issuer *x509.Certificate) CRL {
	entry := CRL{
		File: file, Number: c.number, ThisUpdate: c.thisUpdate, NextUpdate: c.nextUpdate,
		Entries: len(c.serials), SHA256: fingerprint(c.der),
	}
	if err := c.problem(issuer); err != nil {
		entry.Problem = err.Error()
	}
	return entry
}

// problem says why a CRL counts for none of the issuer's certificates.
func (c *crl) problem(issuer *x509.Certificate) error {
	if err := c.signedBy(issuer); err != nil {
		return err
	}
	if c.unusable == nil && c.nextUpdate.IsZero() {
		return errNoNextUpdate
	}
	return c.unusable
}

// Problems lists what in the trust directory is not used, and why, sorted by
// file. It parses everything; it does not say which CRLs are stale, since that
// is a question of time.
func (s *Store) Problems() []Problem {
	all := slices.Clone(s.problems)
	for _, files := range s.policies {
		for _, f := range files {
			if _, err := f.parsed(); err != nil {
				all = append(all, Problem{f.name, err.Error()})
			}
		}
	}
	for _, files := range s.crls {
		for _, f := range files {
			_, broken := f.parsed()
			for _, err := range broken {
				all = append(all, Problem{f.name, err.Error()})
			}
		}
	}
	slices.SortFunc(all, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return strings.Compare(a.Detail, b.Detail)
	})
	return all
}
