package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// Store is one snapshot of a trust directory or bundle, immutable after Load
// and safe for concurrent use. Policy files and CRLs are read by Load and
// parsed when they are first asked about.
type Store struct {
	path     string
	id       string
	all      []*authority            // sorted by DN
	subjects map[string][]*authority // by the DER of the subject
	policies [kinds]map[string]policyFile
	crls     map[string][]crlFile
	disabled map[string]string // hash -> the file that should hold its anchor and does not
	problems []Problem
	roots    *x509.CertPool // self-signed: where chains end
	subCAs   *x509.CertPool // the others: links, never ends
}

// authority is one CA certificate of the store, under all its file names.
type authority struct {
	cert       *x509.Certificate
	dn         string
	files      []string
	hash       string
	hashOld    string
	selfSigned bool
}

// Problem is something in the trust directory that is not used, and why. It
// disables that file or CA alone.
type Problem struct {
	File   string // name within the trust directory
	Detail string
}

// add takes a CA certificate found in a file; the same one under another name
// is the same authority.
func (s *Store) add(cert *x509.Certificate, file string) {
	subject := string(cert.RawSubject)
	for _, a := range s.subjects[subject] {
		if a.cert.Equal(cert) {
			a.files = append(a.files, file)
			return
		}
	}
	a := &authority{
		cert: cert, dn: OneLine(cert.RawSubject), files: []string{file}, selfSigned: selfSigned(cert),
		hash: Hash(cert.RawSubject), hashOld: HashOld(cert.RawSubject),
	}
	s.all = append(s.all, a)
	s.subjects[subject] = append(s.subjects[subject], a)
	if a.selfSigned {
		s.roots.AddCert(cert)
	} else {
		s.subCAs.AddCert(cert)
	}
}

// selfSigned reports whether a certificate is the end of a chain: its issuer
// is its subject, and the key is its own, not the one a CA had before
// (rollover). Key identifiers settle that where they are; verifying the
// signatures of all anchors would be most of the time Load takes, and an
// anchor is trusted for where it lies.
func selfSigned(c *x509.Certificate) bool {
	if !selfIssued(c) {
		return false
	}
	if len(c.AuthorityKeyId) > 0 && len(c.SubjectKeyId) > 0 {
		return bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId)
	}
	return signedBy(c, c)
}

func newStore(path string) *Store {
	s := &Store{
		path:     path,
		subjects: map[string][]*authority{},
		crls:     map[string][]crlFile{},
		disabled: map[string]string{},
		roots:    x509.NewCertPool(),
		subCAs:   x509.NewCertPool(),
	}
	for k := range s.policies {
		s.policies[k] = map[string]policyFile{}
	}
	return s
}

// hashesOf are the two names a CA's files may have.
func hashesOf(rawName []byte) []string {
	if newer, older := Hash(rawName), HashOld(rawName); newer != older {
		return []string{newer, older}
	}
	return []string{Hash(rawName)}
}

func (s *Store) problem(file, format string, args ...any) {
	s.problems = append(s.problems, Problem{file, fmt.Sprintf(format, args...)})
}

// describe names a certificate and, if it is one of the store's, its file.
func (s *Store) describe(c *x509.Certificate) string {
	dn := fmt.Sprintf("%q", OneLine(c.RawSubject))
	for _, a := range s.subjects[string(c.RawSubject)] {
		if a.cert.Equal(c) {
			return fmt.Sprintf("%s (%s)", dn, a.files[0])
		}
	}
	return dn
}

func (s *Store) sort() {
	slices.SortFunc(s.all, func(a, b *authority) int {
		if c := strings.Compare(a.dn, b.dn); c != 0 {
			return c
		}
		return bytes.Compare(a.cert.Raw, b.cert.Raw)
	})
}

func fingerprint(der []byte) string { return fmt.Sprintf("%x", sha256.Sum256(der)) }
