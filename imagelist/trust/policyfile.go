package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"

	"vouch/imagelist/verdict"
)

// kind is one of the two sorts of file that say which subjects a CA may sign.
type kind int

const (
	signingPolicies kind = iota // HASH.signing_policy, of Globus
	namespaces                  // HASH.namespaces, of EUGridPMA
	kinds           = 2
)

func (k kind) String() string { return [kinds]string{"signing_policy", "namespaces"}[k] }

// policyFile is a policy under one of its names.
type policyFile struct {
	name string
	*policyRules
}

// policyRules is the content of a policy file, parsed when first asked for.
type policyRules struct {
	data  []byte
	err   error // it could not be read
	parse policyParser
	once  sync.Once

	rules  []rule
	broken error
}

type policyParser func(data []byte) ([]rule, error)

// rule is one statement of either kind of file: this issuer may, or may not,
// sign subjects like that.
type rule struct {
	line    int
	issuer  string // the DN as written
	self    bool   // instead of a DN: the CA whose file it is
	deny    bool
	pattern string // as written
	matches func(subject string) bool
}

// parsed returns the rules of a file, or why none of them can be relied on.
func (f *policyRules) parsed() ([]rule, error) {
	f.once.Do(func() {
		if f.broken = f.err; f.err == nil {
			f.rules, f.broken = f.parse(f.data)
		}
	})
	return f.rules, f.broken
}

// ruling is what the files of one kind say about one link of a chain.
type ruling int

const (
	silent   ruling = iota // no file speaks about this issuer
	permits                // and none denies
	denies                 // by a rule, or because no rule permits
	unusable               // a file that should be asked cannot be
)

// opinion is a ruling and where it comes from.
type opinion struct {
	ruling ruling
	where  string // file and line
	detail string // for a person: which rule, and what it says
	own    bool   // the issuer itself has a file
}

// permission is where a link of a chain is permitted.
type permission struct {
	where  string // files and lines
	detail string
}

// subject is the name asked about, in the texts that rules are matched with.
type subject struct {
	dn      string
	permits []string // a rule that permits must match one of these
	denies  []string // a rule that denies, any of these
}

// escaped is the one form in which a '/' in a value cannot pass for structure.
var escaped = forms[1:2]

func subjectOf(rawName []byte) (subject, bool) {
	n, ok := parseName(rawName)
	if !ok {
		return subject{}, false
	}
	s := subject{dn: n.render(forms[0]), denies: n.renderings(forms)}
	if n.ambiguous() {
		s.permits = n.renderings(escaped)
	} else {
		s.permits = n.renderings([]style{forms[0], forms[2]})
	}
	return s, true
}

// signingPolicy asks both kinds of file whether chain[i+1] may sign chain[i].
// Both must permit where both speak; under Require one of them must. What it
// returns beside a rejection is where permission was found.
func (s *Store) signingPolicy(chain []*x509.Certificate, i int, mode Mode) (permission, *verdict.Rejection) {
	subject, ok := subjectOf(chain[i].RawSubject)
	if !ok {
		return permission{}, verdict.Reject(verdict.SigningPolicy, "a subject that is no name")
	}
	var opinions [kinds]opinion
	for k := range opinions {
		opinions[k] = s.opinion(kind(k), chain, i, subject)
	}
	for _, bad := range []ruling{denies, unusable} {
		for _, o := range opinions {
			if o.ruling == bad {
				r := verdict.Reject(verdict.SigningPolicy, "%s", o.detail)
				r.Missing = bad == unusable
				return permission{}, r
			}
		}
	}
	return s.permission(opinions, chain[i+1], subject, mode)
}

// permission combines opinions none of which is against.
func (s *Store) permission(opinions [kinds]opinion, issuer *x509.Certificate, subject subject, mode Mode) (permission, *verdict.Rejection) {
	var where, detail []string
	own := false
	for _, o := range opinions {
		own = own || o.own
		if o.ruling == permits {
			where, detail = append(where, o.where), append(detail, o.detail)
		}
	}
	switch {
	case len(where) > 0:
		return permission{strings.Join(where, ", "), strings.Join(detail, ", ")}, nil
	case own:
		return permission{}, verdict.Reject(verdict.SigningPolicy, "the policy files of %s say nothing about it", s.describe(issuer))
	case mode == IfPresent:
		return permission{"no policy file", "no policy file"}, nil
	}
	r := verdict.Reject(verdict.SigningPolicy, "no signing_policy or namespaces file speaks about %s, asked for %q",
		s.describe(issuer), subject.dn)
	r.Missing = true
	return permission{}, r
}

// opinion looks for the nearest CA above chain[i] whose files of one kind
// speak about the issuer. Subordinate CAs are often described in the file of
// the CA above them: CERN Grid CA in that of CERN Root CA 2.
func (s *Store) opinion(k kind, chain []*x509.Certificate, i int, subject subject) opinion {
	issuer := chain[i+1].RawSubject
	found := opinion{}
	for level := i + 1; level < len(chain); level++ {
		for _, f := range s.policiesOf(k, chain[level].RawSubject) {
			found.own = found.own || level == i+1
			found.add(f, issuer, bytes.Equal(chain[level].RawSubject, issuer), subject)
		}
		if found.ruling != silent {
			break
		}
	}
	return found
}

// policiesOf are the files of a CA under its two hashes; normally one file.
func (s *Store) policiesOf(k kind, rawName []byte) []policyFile {
	var files []policyFile
	for _, hash := range hashesOf(rawName) {
		f, ok := s.policies[k][hash]
		if ok && (len(files) == 0 || files[0].policyRules != f.policyRules) {
			files = append(files, f)
		}
	}
	return files
}

// add counts one file in: the worst opinion stands.
func (o *opinion) add(f policyFile, issuer []byte, self bool, subject subject) {
	rules, err := f.parsed()
	if err != nil {
		o.worsen(unusable, f.name, fmt.Sprintf("%s: %v", f.name, err))
		return
	}
	verdict, by := judge(rules, issuer, self, subject)
	where := fmt.Sprintf("%s:%d", f.name, by.line)
	switch {
	case verdict == denies && by.line > 0:
		o.worsen(denies, where, fmt.Sprintf("%s denies %q by %q", where, subject.dn, by.pattern))
	case verdict == denies:
		o.worsen(denies, f.name, fmt.Sprintf("nothing in %s permits %q", f.name, subject.dn))
	case verdict == permits:
		o.worsen(permits, where, fmt.Sprintf("%s by %q", where, by.pattern))
	}
}

// worsen replaces an opinion by one that counts for more: a denial is a fact,
// whatever else cannot be read.
func (o *opinion) worsen(r ruling, where, detail string) {
	rank := [...]int{silent: 0, permits: 1, unusable: 2, denies: 3}
	if rank[r] > rank[o.ruling] {
		o.ruling, o.where, o.detail = r, where, detail
	}
}

// judge applies one file's rules: a denial beats any permission, and where
// there are rules about the issuer one of them must permit. The rule is the one
// that decided, none where it is the lack of one.
func judge(rules []rule, issuer []byte, self bool, subject subject) (result ruling, by rule) {
	for _, r := range rules {
		if !(r.self && self) && !Matches(issuer, r.issuer) {
			continue
		}
		if result == silent {
			result = denies
		}
		switch {
		case r.deny && r.matchesAny(subject.denies):
			return denies, r
		case !r.deny && result == denies && r.matchesAny(subject.permits):
			result, by = permits, r
		}
	}
	return result, by
}

func (r rule) matchesAny(texts []string) bool {
	for _, t := range texts {
		if r.matches(t) {
			return true
		}
	}
	return false
}
