package trust

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestIGTFRandomNames: for 10,000 names the real policies give the answer of
// another reading of the same files, which shares no code with ours.
func TestIGTFRandomNames(t *testing.T) {
	s := loadReal(t)
	r := rand.New(rand.NewPCG(1, 2))
	reference := newReference(t, s)
	permitted := 0
	for range 10000 {
		a := s.all[r.IntN(len(s.all))]
		chain := append([]*x509.Certificate{nil}, upwards(s, a.cert)...)
		parts := reference.name(r, chain)
		user := &x509.Certificate{RawSubject: dn(t, parts...)}
		text := "/" + strings.Join(parts, "/")
		chain[0] = user
		_, refusal := s.signingPolicy(chain, 0, Require)
		if want := reference.permits(chain[1:], text); (refusal == nil) != want {
			t.Fatalf("%q by %q: %v, the reference says %t", text, a.dn, refusal, want)
		}
		if refusal == nil {
			permitted++
		}
	}
	if permitted < 2000 || permitted > 8000 {
		t.Errorf("%d of 10000 permitted: the names are no test", permitted)
	}
}

// upwards is the chain of a real CA, itself first.
func upwards(s *Store, c *x509.Certificate) []*x509.Certificate {
	for chain := []*x509.Certificate{}; ; {
		chain = append(chain, c)
		parents := s.subjects[string(c.RawIssuer)]
		if s.isRoot(c) || len(parents) == 0 {
			return chain
		}
		c = parents[0].cert
	}
}

// reference is another reading of the policy files: by file of a hash, sort and
// issuer the patterns, taken out with expressions over the whole text.
type reference struct {
	globs, patterns map[string]map[string][]string // by hash, then by issuer
}

var (
	eaclBlock     = regexp.MustCompile(`(?s)access_id_CA\s+X509\s+'([^']*)'(.*?)(?:access_id_CA|$)`)
	eaclSubjects  = regexp.MustCompile(`cond_subjects\s+globus\s+('[^']*'|"[^"]*")`)
	inQuotes      = regexp.MustCompile(`"([^"]*)"`)
	namespaceRule = regexp.MustCompile(`(?i)TO\s+Issuer\s+"([^"]*)"\s+PERMIT\s+Subject\s+"([^"]*)"`)
	anyDenial     = regexp.MustCompile(`(?i)\bDENY\b|\bSELF\b|neg_rights|banned`)
)

func newReference(t *testing.T, s *Store) *reference {
	ref := &reference{map[string]map[string][]string{}, map[string]map[string][]string{}}
	for _, a := range s.all {
		for sort, into := range map[string]map[string]map[string][]string{"signing_policy": ref.globs, "namespaces": ref.patterns} {
			raw, err := os.ReadFile(filepath.Join(realCertificates, a.hash+"."+sort))
			if os.IsNotExist(err) {
				continue
			}
			must(t, err)
			text := regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(string(raw), "")
			if anyDenial.MatchString(text) {
				t.Fatalf("%s.%s denies: the reference does not know that", a.hash, sort)
			}
			into[a.hash] = referenceRules(sort, text)
		}
	}
	return ref
}

func referenceRules(sort, text string) map[string][]string {
	rules := map[string][]string{}
	if sort == "namespaces" {
		for _, m := range namespaceRule.FindAllStringSubmatch(strings.ReplaceAll(text, "\\\n", " "), -1) {
			rules[m[1]] = append(rules[m[1]], m[2])
		}
		return rules
	}
	for text != "" {
		m := eaclBlock.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		issuer, body := text[m[2]:m[3]], text[m[4]:m[5]]
		for _, c := range eaclSubjects.FindAllStringSubmatch(body, -1) {
			for _, q := range inQuotes.FindAllStringSubmatch(c[1], -1) {
				rules[issuer] = append(rules[issuer], q[1])
			}
		}
		text = text[m[5]:]
	}
	return rules
}

// permits asks both sorts of file, each at the nearest CA that speaks of the issuer.
func (ref *reference) permits(chain []*x509.Certificate, subject string) bool {
	issuer, found := OneLine(chain[0].RawSubject), 0
	for _, sort := range []struct {
		rules   map[string]map[string][]string
		matches func(pattern, text string) bool
	}{{ref.globs, referenceGlob}, {ref.patterns, referencePattern}} {
		for _, ca := range chain {
			patterns := sort.rules[Hash(ca.RawSubject)][issuer]
			if len(patterns) == 0 {
				continue
			}
			permitted := false
			for _, p := range patterns {
				permitted = permitted || sort.matches(p, subject)
			}
			if !permitted {
				return false
			}
			found++
			break
		}
	}
	return found > 0
}

// referenceGlob matches the whole of text by recursion over the pattern.
func referenceGlob(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '*' {
		return referenceGlob(pattern[1:], text) || text != "" && referenceGlob(pattern, text[1:])
	}
	return text != "" && (pattern[0] == '?' || pattern[0] == text[0]) && referenceGlob(pattern[1:], text[1:])
}

// referencePattern does so for what real expressions are made of: characters,
// dots, classes, and stars behind them.
func referencePattern(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	size, one := 1, func(c byte) bool { return pattern[0] == '.' || c == pattern[0] }
	switch pattern[0] {
	case '\\':
		size, one = 2, func(c byte) bool { return c == pattern[1] }
	case '[':
		size = strings.IndexByte(pattern, ']') + 1
		one = func(c byte) bool { return strings.IndexByte(pattern[1:size-1], c) >= 0 }
	}
	first := text != "" && one(text[0])
	if strings.HasPrefix(pattern[size:], "*") {
		return referencePattern(pattern[size+1:], text) || first && referencePattern(pattern, text[1:])
	}
	return first && referencePattern(pattern[size:], text[1:])
}

// name makes the attributes of a name that some pattern about the issuer
// nearly matches.
func (ref *reference) name(r *rand.Rand, chain []*x509.Certificate) []string {
	issuer, patterns := OneLine(chain[1].RawSubject), []string{"/DC=org/DC=example/*"}
	for _, ca := range chain[1:] {
		patterns = append(patterns, ref.globs[Hash(ca.RawSubject)][issuer]...)
		patterns = append(patterns, ref.patterns[Hash(ca.RawSubject)][issuer]...)
	}
	text := patterns[r.IntN(len(patterns))]
	fill := []string{"CN=Alice", "OU=people/CN=Robot - lists", "CN=host", "x", "", "DC=a/O=b c/CN=d.e", fmt.Sprint("CN=", r.Uint32())}[r.IntN(7)]
	text = strings.NewReplacer(".*", fill, "*", fill, "?", "q").Replace(text)
	switch r.IntN(6) {
	case 0:
		text = "/O=Evil" + text
	case 1:
		at := r.IntN(len(text))
		text = text[:at] + string(rune('a'+r.IntN(26))) + text[at+1:]
	case 2:
		text = strings.ToLower(text)
	}
	var parts []string
	for part := range strings.SplitSeq(text, "/") {
		label, value, _ := strings.Cut(part, "=")
		if _, known := map[string]bool{"C": true, "O": true, "OU": true, "CN": true, "DC": true}[label]; known && value != "" {
			parts = append(parts, part)
		}
	}
	return append(parts, []string{"CN=x", "O=last"}[r.IntN(2)])[:max(1, len(parts)+r.IntN(2))]
}
