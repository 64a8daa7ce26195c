package trust

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vouch/imagelist/verdict"
)

const head = "access_id_CA X509 '/C=X/CN=CA'\npos_rights globus CA:sign\n"

// rulesText shows rules as "line issuer +|- subject" for a few subjects.
func rulesText(rules []rule, subjects ...string) string {
	var b strings.Builder
	for _, r := range rules {
		sign := "+"
		if r.deny {
			sign = "-"
		}
		fmt.Fprintf(&b, "%d %s %s", r.line, r.issuer, sign)
		for _, s := range subjects {
			if r.matches(s) {
				fmt.Fprintf(&b, " %s", s)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestSigningPolicyGrammar(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       string // of rulesText over the subjects /A and /B b
	}{
		{"as IGTF writes it", head + `cond_subjects globus '"/A" "/B b"'`, "3 /C=X/CN=CA + /A\n3 /C=X/CN=CA + /B b\n"},
		{"tabs, comments, CRLF", "# c\r\n\r\n access_id_CA\tX509\t'/C=X/CN=CA' # who\r\n\tpos_rights globus CA:sign # what\r\n cond_subjects  globus  '\"/A\"' # where\r\n", "5 /C=X/CN=CA + /A\n"},
		{"one pattern without double quotes", head + `cond_subjects globus '/B b'`, "3 /C=X/CN=CA + /B b\n"},
		{"bare pattern", head + `cond_subjects globus /A`, "3 /C=X/CN=CA + /A\n"},
		{"double quotes only", head + `cond_subjects globus "/A" "/B b"`, "3 /C=X/CN=CA + /A\n3 /C=X/CN=CA + /B b\n"},
		{"two conditions", head + "cond_subjects globus /A\ncond_subjects globus '/B b'", "3 /C=X/CN=CA + /A\n4 /C=X/CN=CA + /B b\n"},
		{"a banned subject", head + "cond_subjects globus *\ncond_banned_subjects globus /A", "3 /C=X/CN=CA + /A /B b\n4 /C=X/CN=CA - /A\n"},
		{"two blocks", head + "cond_subjects globus /A\n" + strings.Replace(head, "CN=CA", "CN=Other", 1) + "cond_subjects globus /A", "3 /C=X/CN=CA + /A\n6 /C=X/CN=Other + /A\n"},
		{"hash in a DN", strings.Replace(head, "CN=CA", "CN=CA #1", 1) + "cond_subjects globus /A", "3 /C=X/CN=CA #1 + /A\n"},
	} {
		rules, err := parseSigningPolicy([]byte(c.file))
		if got := rulesText(rules, "/A", "/B b"); err != nil || got != c.want {
			t.Errorf("%s: %v\n%swant\n%s", c.name, err, got, c.want)
		}
	}
}

func TestSigningPolicyUnusable(t *testing.T) {
	for name, file := range map[string]string{
		"empty": "", "comments only": "# nothing\n", "anybody": "access_id_ANYBODY X509 '/C=X'\n",
		"negative rights": "access_id_CA X509 '/C=X'\nneg_rights globus CA:sign\ncond_subjects globus /A\n",
		"other right":     "access_id_CA X509 '/C=X'\npos_rights globus CA:other\ncond_subjects globus /A\n",
		"no rights":       "access_id_CA X509 '/C=X'\ncond_subjects globus /A\n",
		"no condition":    head, "no issuer": "pos_rights globus CA:sign\ncond_subjects globus /A\n",
		"two issuers":        "access_id_CA X509 '\"/A\" \"/B\"'\npos_rights globus CA:sign\ncond_subjects globus /A\n",
		"not X509":           strings.Replace(head, "X509", "X510", 1) + "cond_subjects globus /A\n",
		"not globus":         head + "cond_subjects mars /A\n",
		"open single quote":  head + "cond_subjects globus '\"/A\"\n",
		"open double quote":  head + "cond_subjects globus '\"/A'\n",
		"text after a quote": head + "cond_subjects globus '/A' /B\n",
		"bare words":         head + "cond_subjects globus /A /B\n",
		"no pattern":         head + "cond_subjects globus\n", "empty pattern": head + "cond_subjects globus '\"\"'\n", "empty quotes": head + "cond_subjects globus ''\n",
		"unknown keyword": head + "cond_subjects globus /A\ncond_time globus now\n",
		"issuer twice":    "access_id_CA X509 '/C=X'\n" + head + "cond_subjects globus /A\n",
		"rubbish":         "\x00\xff\xfe", "html": "<html>",
	} {
		if rules, err := parseSigningPolicy([]byte(file)); err == nil {
			t.Errorf("%s: %s", name, rulesText(rules))
		}
	}
}

func TestGlobIsAnchored(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"/C=TW/*", "/C=TW/O=x", true}, {"/C=TW/*", "/O=Evil/C=TW/x", false}, {"/C=TW/*", "/C=TW", false}, {"/C=TW*", "/C=TW", true},
		{"/C=TW", "/C=TW/O=x", false}, {"/C=TW", "/C=TW", true}, {"*", "", true}, {"*", "/anything/at=all", true}, {"", "", true}, {"", "x", false},
		{"*/CN=a", "/O=x/CN=a", true}, {"*/CN=a", "/O=x/CN=a/CN=b", false}, {"/*/CN=*", "/O=x/CN=a", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false},
		{"a?c", "abc", true}, {"a?c", "a/c", true}, {"a?c", "ac", false}, {"a?c", "aöc", true}, {"a?", "a", false}, {"a**b", "ab", true},
		{"/C=x.y", "/C=xzy", false}, {"/C=[a]", "/C=a", false}, {"/C=[a]", "/C=[a]", true}, {"/c=x", "/C=x", false}, {"*a*a*a*", "aa", false},
	} {
		if glob(c.pattern, c.text) != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.text, !c.want)
		}
	}
	if glob(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 5000)) {
		t.Error("no b at the end")
	}
}

func TestNamespacesGrammar(t *testing.T) {
	const v = "#NAMESPACES-VERSION: 1.0\n"
	for _, c := range []struct{ name, file, want string }{
		{"as IGTF writes it", v + "#\nTO Issuer \"/C=X\" \\\n  PERMIT Subject \"/A.*\"\n", "3 /C=X + /A /A/b\n"},
		{"one line, other case", v + `to ISSUER "/C=X" Permit SUBJECT "/A"`, "2 /C=X + /A\n"},
		{"denial", v + `TO Issuer "/C=X" DENY Subject "/A"`, "2 /C=X - /A\n"},
		{"self", v + `TO Issuer SELF PERMIT Subject "/A"`, "2  + /A\n"},
		{"continued within a word", v + "TO Issuer \"/C=X\" PER\\\nMIT Subject \"/\\\nA\"\n", "2 /C=X + /A\n"},
		{"continued by indentation", v + "  TO Issuer \"/C=X\"\\\n\tPERMIT Subject \"/A\"", "2 /C=X + /A\n"},
		{"comment behind", v + "TO Issuer \"/C=X\" PERMIT Subject \"/A\"# \"\nTO Issuer \"/C=X\" DENY \\\n Subject \"/A/b\" # no", "2 /C=X + /A\n3 /C=X - /A/b\n"},
		{"no version, CRLF", "TO Issuer \"/C=X\" \\\r\n PERMIT Subject \"/A\"\r\n", "1 /C=X + /A\n"},
		{"whole subject", v + `TO Issuer "/C=X" PERMIT Subject "A|/b"`, "2 /C=X +\n"},
		{"alternatives stay inside", v + `TO Issuer "/C=X" PERMIT Subject "/A|/A/b"`, "2 /C=X + /A /A/b\n"},
		{"case is kept", v + `TO Issuer "/C=X" PERMIT Subject "/a"`, "2 /C=X +\n"},
		{"classes are not lower-cased", v + `TO Issuer "/C=X" PERMIT Subject "\S+"`, "2 /C=X + /A /A/b\n"},
	} {
		rules, err := parseNamespaces([]byte(c.file))
		if got := rulesText(rules, "/A", "/A/b"); err != nil || got != c.want {
			t.Errorf("%s: %v\n%swant\n%s", c.name, err, got, c.want)
		}
	}
	for name, file := range map[string]string{
		"version 2": "#NAMESPACES-VERSION: 2.0\nTO Issuer SELF PERMIT Subject \"/A\"\n", "empty": "", "version only": v,
		"open quote": v + "TO Issuer \"/C=X PERMIT Subject \"/A\"\n", "no subject": v + "TO Issuer SELF PERMIT\n",
		"bare subject": v + "TO Issuer SELF PERMIT Subject /A\n", "rubbish behind": v + "TO Issuer SELF PERMIT Subject \"/A\" x\n",
		"continued by nothing": v + "TO Issuer SELF \\\n", "neither": v + "TO Issuer SELF ALLOW Subject \"/A\"\n",
		"bad expression": v + "TO Issuer SELF PERMIT Subject \"(\"\n", "anchors undone": v + "TO Issuer SELF PERMIT Subject \"a)|(.*\"\n",
		"long expression":    v + "TO Issuer SELF PERMIT Subject \"" + strings.Repeat("a", maxPattern+1) + "\"\n",
		"comment continued":  v + "TO Issuer SELF PERMIT Subject \"/A\" # \\\nTO Issuer SELF DENY Subject \"/A\"\n",
		"words run together": v + "TO Issuer SELF\\\nPERMIT Subject \"/A\"\n",
		"one bad of two":     v + "TO Issuer SELF PERMIT Subject \"/A\"\nFROM\n",
	} {
		if rules, err := parseNamespaces([]byte(file)); err == nil {
			t.Errorf("%s: %s", name, rulesText(rules))
		}
	}
}

// TestPolicyFiles: what both kinds of file, at the issuer and above it, make of
// one user.
func TestPolicyFiles(t *testing.T) {
	const user = "/DC=org/DC=example/CN=Alice"
	type files = map[string][]byte // name -> content; nil removes the file
	for _, c := range []struct {
		name    string
		files   func(w *world) files
		code    verdict.Code // under require; "" permits
		missing bool
		lax     verdict.Code // under if-present
	}{
		{"signing policy alone", func(w *world) files { return nil }, "", false, ""},
		{"namespaces alone", func(w *world) files {
			return files{file(w.ca, "signing_policy"): nil, file(w.ca, "namespaces"): namespacesFor(w.ca, "PERMIT", user)}
		}, "", false, ""},
		{"neither", func(w *world) files { return files{file(w.ca, "signing_policy"): nil} }, verdict.SigningPolicy, true, ""},
		{"namespaces against", func(w *world) files {
			return files{file(w.ca, "namespaces"): namespacesFor(w.ca, "PERMIT", "/DC=com/.*")}
		}, verdict.SigningPolicy, false, verdict.SigningPolicy},
		{"signing policy against", func(w *world) files {
			return files{file(w.ca, "namespaces"): namespacesFor(w.ca, "PERMIT", user), file(w.ca, "signing_policy"): signingPolicyFor(w.ca, "/DC=com/*")}
		}, verdict.SigningPolicy, false, verdict.SigningPolicy},
		{"denial beats permission", func(w *world) files {
			return files{file(w.ca, "namespaces"): append(namespacesFor(w.ca, "PERMIT", user), namespacesFor(w.ca, "DENY", user)...)}
		}, verdict.SigningPolicy, false, verdict.SigningPolicy},
		{"denial of somebody else", func(w *world) files {
			return files{file(w.ca, "namespaces"): append(namespacesFor(w.ca, "PERMIT", user), namespacesFor(w.ca, "DENY", "/CN=Alice")...)}
		}, "", false, ""},
		{"SELF", func(w *world) files {
			return files{file(w.ca, "signing_policy"): nil, file(w.ca, "namespaces"): []byte("TO Issuer SELF PERMIT Subject \"/DC=org/.*\"")}
		}, "", false, ""},
		{"SELF of the root is not the CA", func(w *world) files {
			return files{file(w.ca, "signing_policy"): nil, file(w.root, "namespaces"): []byte("TO Issuer SELF PERMIT Subject \"/DC=org/.*\"")}
		}, verdict.SigningPolicy, true, ""},
		{"in the namespaces of the root", func(w *world) files {
			return files{file(w.ca, "signing_policy"): nil,
				file(w.root, "namespaces"): append(namespacesFor(w.root, "PERMIT", "/DC=org/.*"), namespacesFor(w.ca, "PERMIT", user)...)}
		}, "", false, ""},
		{"the issuer's own comes first", func(w *world) files {
			return files{file(w.ca, "namespaces"): namespacesFor(w.ca, "PERMIT", "/DC=com/.*"),
				file(w.root, "namespaces"): append(namespacesFor(w.root, "PERMIT", "/DC=org/.*"), namespacesFor(w.ca, "PERMIT", user)...)}
		}, verdict.SigningPolicy, false, verdict.SigningPolicy},
		{"own file about another CA", func(w *world) files {
			return files{file(w.ca, "signing_policy"): signingPolicyFor(w.root, "/DC=org/*")}
		}, verdict.SigningPolicy, false, verdict.SigningPolicy},
		{"unusable beside a permission", func(w *world) files {
			return files{file(w.ca, "namespaces"): []byte("#NAMESPACES-VERSION: 9\n")}
		}, verdict.SigningPolicy, true, verdict.SigningPolicy},
		{"unusable beside a denial", func(w *world) files {
			return files{file(w.ca, "namespaces"): []byte("#NAMESPACES-VERSION: 9\n"), file(w.ca, "signing_policy"): signingPolicyFor(w.ca, "/DC=com/*")}
		}, verdict.SigningPolicy, false, verdict.SigningPolicy},
		{"another file under the old hash", func(w *world) files {
			return files{HashOld(w.ca.cert.RawSubject) + ".signing_policy": signingPolicyFor(w.ca, "/DC=com/*")}
		}, verdict.SigningPolicy, false, verdict.SigningPolicy},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for name, data := range c.files(w) {
				if data == nil {
					w.remove(name)
				} else {
					w.put(name, data)
				}
			}
			s := w.load()
			_, r, _ := outcome(t, s, w.user.cert, Policy{})
			if c.code != "" || r != nil {
				wantCode(t, r, c.code, c.missing)
			}
			if _, r, _ := outcome(t, s, w.user.cert, Policy{SigningPolicy: IfPresent}); (r == nil) != (c.lax == "") {
				t.Errorf("if present: %v", r)
			}
			if _, r, _ := outcome(t, s, w.user.cert, Policy{SigningPolicy: Ignore}); r != nil {
				t.Errorf("ignored: %v", r)
			}
		})
	}
}

// TestPolicyNames: labels have old spellings, and what looks like structure
// inside a value is not.
func TestPolicyNames(t *testing.T) {
	d := newDirectory(t)
	root := newRoot(t, dn(t, "DC=org", "CN=CA", "emailAddress=ca@example.org"))
	d.anchor(root)
	ask := func(policy string, subject []byte) *verdict.Rejection {
		t.Helper()
		d.put(file(root, "signing_policy"), []byte(policy))
		_, r, _ := outcome(t, d.load(), root.user(t, subject).cert, Policy{})
		return r
	}
	policy := func(issuer, pattern string) string {
		return fmt.Sprintf("access_id_CA X509 '%s'\npos_rights globus CA:sign\ncond_subjects globus '\"%s\"'\n", issuer, pattern)
	}
	alice := dn(t, "DC=org", "CN=Alice", "emailAddress=a@example.org")
	for _, label := range []string{"emailAddress", "Email", "E"} {
		if r := ask(policy("/DC=org/CN=CA/"+label+"=ca@example.org", "/DC=org/CN=Alice/"+label+"=a@example.org"), alice); r != nil {
			t.Errorf("%s: %v", label, r)
		}
	}
	issuer := "/DC=org/CN=CA/emailAddress=ca@example.org"
	if r := ask(policy(issuer, "/DC=org/DC=x/*"), dn(t, "DC=org/DC=x/CN=y", "CN=Mallory")); r == nil {
		t.Error("one value passes for three")
	}
	if r := ask(policy(issuer, "/DC=org/CN=host/*"), dn(t, "DC=org", "CN=host/ce.example.org")); r != nil {
		t.Error(r)
	}
	if r := ask(policy(issuer, "/DC=org/*")+"cond_banned_subjects globus '\"/DC=org/CN=Alice/E=*\"'\n", alice); r == nil {
		t.Error("a ban by an old label does not work")
	}
}

// TestSelfIssuedLinks: a rollover certificate needs no permission of itself.
func TestSelfIssuedLinks(t *testing.T) {
	d := newDirectory(t)
	name := dn(t, "DC=com", "CN=CA")
	older := newRoot(t, name)
	newKey := older.sub(t, name) // the new key, signed by the old one
	d.cert(older)
	d.put(file(older, "signing_policy"), signingPolicyFor(older, "/DC=org/*"))
	user := newKey.user(t, dn(t, "DC=org", "CN=U"))
	result, r, _ := outcome(t, d.load(), user.cert, Policy{CRL: Ignore}, newKey.cert)
	if r != nil || len(result.Chain) != 3 {
		t.Fatal(r)
	}
	same := older.user(t, name)
	_, r, _ = outcome(t, d.load(), same.cert, Policy{CRL: Ignore})
	wantCode(t, r, verdict.SigningPolicy, false) // a user of the CA's name does
}

// realCertificates is where Debian's igtf-policy packages install.
const realCertificates = "/etc/grid-security/certificates"

func loadReal(t testing.TB) *Store {
	t.Helper()
	links, _ := filepath.Glob(filepath.Join(realCertificates, "*.0"))
	if len(links) < 150 {
		if os.Getenv("CI") != "" {
			t.Fatal("the igtf-policy packages are not installed")
		}
		t.Skip("the igtf-policy packages are not installed")
	}
	s, err := Load(realCertificates)
	must(t, err)
	return s
}

// TestIGTFSubordinates: every real subordinate CA is permitted by both kinds
// of file, wherever they are.
func TestIGTFSubordinates(t *testing.T) {
	s := loadReal(t)
	checked := 0
	for _, a := range s.all {
		if a.selfSigned {
			continue
		}
		checked++
		var chain []*x509.Certificate
		for c := a.cert; ; {
			chain = append(chain, c)
			parents := s.subjects[string(c.RawIssuer)]
			if s.isRoot(c) || len(parents) == 0 {
				break
			}
			c = parents[0].cert
		}
		if len(chain) < 2 {
			t.Errorf("%s: no issuer", a.dn)
			continue
		}
		subject, _ := subjectOf(a.cert.RawSubject)
		for k := range kind(kinds) {
			if o := s.opinion(k, chain, 0, subject); o.ruling != permits {
				t.Errorf("%s: %v: %+v", a.dn, k, o)
			}
		}
	}
	if checked < 25 {
		t.Errorf("%d subordinates", checked)
	}
}

func FuzzSigningPolicy(f *testing.F) {
	f.Add([]byte(head+"cond_subjects globus '\"/A*\" \"/B?\"'\n"), "/A/b")
	f.Add([]byte(head+"cond_banned_subjects globus '*'\n"), "/B/")
	for _, file := range trustFiles(f, "*.signing_policy") {
		f.Add(file, "/DC=org/DC=example/CN=Alice")
	}
	f.Fuzz(func(t *testing.T, data []byte, subject string) { fuzzPolicy(t, parseSigningPolicy, data, subject) })
}

func FuzzNamespaces(f *testing.F) {
	f.Add([]byte("#NAMESPACES-VERSION: 1.0\nTO Issuer \"/C=X/CN=CA\" \\\n PERMIT Subject \"/A.*\"\n"), "/A/b")
	f.Add([]byte("TO Issuer SELF DENY Subject \"[Run by the Issuer]\"\n"), "R")
	for _, file := range trustFiles(f, "*.namespaces") {
		f.Add(file, "/DC=org/DC=example/CN=Alice")
	}
	f.Fuzz(func(t *testing.T, data []byte, subject string) { fuzzPolicy(t, parseNamespaces, data, subject) })
}

// fuzzPolicy: a file is usable or not, never both and never by halves, and a
// ban can only take away.
func fuzzPolicy(t *testing.T, parse policyParser, data []byte, text string) {
	rules, err := parse(data)
	if (err == nil) != (len(rules) > 0) {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	who := subject{dn: text, permits: []string{text}, denies: []string{text}}
	for _, issuer := range [][]byte{dn(t, "C=X", "CN=CA"), dn(t, "DC=org", "DC=example", "CN=Example CA")} {
		for _, self := range []bool{true, false} {
			checkRuling(t, rules, issuer, self, who)
		}
	}
}

// checkRuling counts the rules about an issuer once more.
func checkRuling(t *testing.T, rules []rule, issuer []byte, self bool, who subject) {
	got, by := judge(rules, issuer, self, who)
	about, permitted, denied := 0, 0, 0
	for _, r := range rules {
		if r.self && !self || !r.self && !Matches(issuer, r.issuer) {
			continue
		}
		about++
		switch {
		case r.matches(who.dn) && r.deny:
			denied++
		case r.matches(who.dn):
			permitted++
		}
	}
	want := silent
	switch {
	case denied > 0, about > 0 && permitted == 0:
		want = denies
	case permitted > 0:
		want = permits
	}
	if got != want || got == permits && by.line == 0 {
		t.Fatalf("%d at line %d, want %d: %d rules, %d permit, %d deny", got, by.line, want, about, permitted, denied)
	}
}
