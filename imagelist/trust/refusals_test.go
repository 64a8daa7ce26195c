package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// TestLegacyProxies: only one CN of "proxy" under the issuer's full name is
// one, whoever has it.
func TestLegacyProxies(t *testing.T) {
	w := newWorld(t)
	name := "DC:i=org, DC:i=example, CN:u=Issuing CA, "
	for last, code := range map[string]verdict.Code{
		"CN:u=proxy": verdict.ProxyCertificate, "CN:u=Limited  Proxy": verdict.ProxyCertificate,
		"CN:u=proxy + OU:u=x": "", "OU:u=proxy": "", "CN:u=proxies": "",
	} {
		_, r, _ := outcome(t, w.load(), w.ca.user(t, rawName(t, name+last)).cert, Policy{})
		if r == nil && code != "" || r != nil && r.Code != code {
			t.Errorf("%s: %v, want %q", last, r, code)
		}
	}
	sub := w.root.sub(t, dn(t, "DC=org", "DC=example", "CN=Root", "CN=proxy"))
	w.anchor(sub)
	_, r, _ := outcome(t, w.load(), sub.user(t, dn(t, "DC=org", "CN=A")).cert, Policy{})
	wantCode(t, r, verdict.ProxyCertificate, false)
}

// TestPolicyTextUnusable: what is refused for a reason of its own.
func TestPolicyTextUnusable(t *testing.T) {
	for text, want := range map[string]string{
		head + `cond_subjects globus "/A" /B`:                              "quotes do not match",
		head + `cond_subjects globus "/A" /B"`:                             "quotes do not match",
		head + `cond_subjects globus '"/A" /B'`:                            "quotes do not match",
		head + `cond_subjects globus "/A`:                                  "quotes do not match",
		head + `cond_subjects globus '/A`:                                  "quotes do not match",
		head + `cond_subjects globus /A'`:                                  "quotes do not match",
		head + `cond_subjects globus /A /B`:                                "quotes do not match",
		head + `cond_subjects globus '/A' /B`:                              `"/B" after the value`,
		head + `cond_subjects globus`:                                      "a value is missing",
		head + `cond_subjects globus # /A`:                                 "a value is missing",
		head + `cond_subjects globus ""`:                                   "an empty text",
		head + `cond_subjects globus '"/A" ""'`:                            "an empty text",
		head + `cond_subjects globus ''`:                                   "an empty text",
		head + `cond_subjects`:                                             "line 3: a condition wants globus",
		"access_id_CA X509 '/A\n":                                          "quotes do not match",
		"access_id_CA X509":                                                "a value is missing",
		"access_id_CA X509 /A /B\n":                                        "quotes do not match",
		"access_id_CA X509 \"/A\" \"/B\"\n":                                "wants X509 and one DN",
		"access_id_CA X510 /A\n":                                           "wants X509 and one DN",
		"access_id_CA X509 /A\naccess_id_CA X509 /A\n":                     "out of order",
		head + "access_id_CA X509 /A\n":                                    "out of order",
		head + "pos_rights globus CA:sign\n":                               "out of order",
		"access_id_CA X509 /A\ncond_subjects globus /A\n":                  "out of order",
		"cond_subjects globus /A\n":                                        "out of order",
		head:                                                               "the last block is not complete",
		"access_id_CA X509 /A\n":                                           "the last block is not complete",
		"# nothing\n":                                                      "no conditions",
		head + "cond_subjects globus /A\n" + strings.Repeat("x", 1<<20+10): "token too long",
		"access_id_CA X509 /A\npos_rights globus CA:other\n":               "pos_rights wants globus CA:sign",
		"access_id_CA X509 /A\npos_rights mars CA:sign\n":                  "pos_rights wants globus CA:sign",
		"access_id_CA X509 /A\npos_rights globus CA:sign x\n":              "pos_rights wants globus CA:sign",
		"access_id_ANYBODY X509 /A\n":                                      `"access_id_ANYBODY" is not supported`,
	} {
		_, err := parseSigningPolicy([]byte(text))
		refused(t, err, want)
	}
	const statement = `TO Issuer "/A" PERMIT Subject "/B"` + "\n"
	for text, want := range map[string]string{
		"#NAMESPACES-VERSION: 1.1\n" + statement:        `version "1.1" is not supported`,
		statement + `TO Issuer "/A" \`:                  "continued by nothing",
		statement + `TO Issuer "/A" MAYBE Subject "/B"`: "line 2: not a statement",
		"# nothing\n":                          "no statements",
		`TO Issuer "/A" PERMIT Subject "("`:    "missing closing )",
		`TO Issuer "/A" PERMIT Subject ")|("`:  "unexpected )",
		`TO Issuer "/A" PERMIT Subject "\Q/B"`: "missing closing )",
		`TO Issuer "/A" PERMIT Subject "` + strings.Repeat("x", maxPattern+1) + `"`: "more than 1024 bytes",
	} {
		_, err := parseNamespaces([]byte(text))
		refused(t, err, want)
	}
}

// TestEd25519: a key of another kind than RSA and ECDSA is shown as what it is.
func TestEd25519(t *testing.T) {
	w := newWorld(t)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	_, r, checks := outcome(t, w.load(), issue(t, dn(t, "DC=org", "CN=E"), w.ca, key, asUser).cert, Policy{})
	if r != nil || !strings.Contains(checks[0].Detail, "Ed25519 key") {
		t.Errorf("%v, %v", r, checks)
	}
}

// TestFirstFactStands: of two facts about one chain the first in the order of
// contract §4 is the reason, and the last that is told.
func TestFirstFactStands(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	alice := dn(t, "DC=org", "CN=Alice")
	forTLS := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	subtrees := dn(t, "DC=org")
	for _, tag := range []byte{0xa4, 0x30, 0xa0, 0x30} { // directoryName, GeneralSubtree, permittedSubtrees, NameConstraints
		subtrees = append([]byte{tag, byte(len(subtrees))}, subtrees...)
	}
	constrained := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: subtrees})
	}
	elsewhere := func(w *world, ca *identity) { w.put(file(ca, "signing_policy"), signingPolicyFor(ca, "/DC=com/*")) }
	below := func(w *world, name string, key bool, options ...option) *identity {
		ca := w.root.sub(t, dn(t, "DC=org", "DC=example", "CN=Root", "CN="+name), options...)
		if key {
			ca = issue(t, ca.cert.RawSubject, w.root, short, append([]option{asCA}, options...)...)
		}
		w.anchor(ca)
		return ca
	}
	for _, c := range []struct {
		name string
		user func(w *world) *identity
		code verdict.Code
		why  string
	}{
		{"a short key and a proxy", func(w *world) *identity {
			return issue(t, dn(t, "DC=org", "DC=example", "CN=Issuing CA", "CN=proxy"), w.ca, short, asUser)
		}, verdict.WeakAlgorithm, "the signer's key has 1024 bits"},
		{"a short key and no anchor", func(w *world) *identity {
			return issue(t, alice, newRoot(t, dn(t, "CN=Nobody")), short, asUser)
		}, verdict.WeakAlgorithm, "the signer's key has 1024 bits"},
		{"a short key of a CA and key usage", func(w *world) *identity {
			return below(w, "Short", true).user(t, alice, forTLS)
		}, verdict.WeakAlgorithm, "has 1024 bits"},
		{"constraints and key usage", func(w *world) *identity {
			return below(w, "Constrained", false, constrained).user(t, alice, forTLS)
		}, verdict.Untrusted, "constrains directory names"},
		{"key usage and a proxy above", func(w *world) *identity {
			return below(w, "proxy", false).user(t, alice, forTLS)
		}, verdict.KeyUsage, "emailProtection"},
		{"a proxy above and the signing policy", func(w *world) *identity {
			ca := below(w, "proxy", false)
			elsewhere(w, ca)
			return ca.user(t, alice)
		}, verdict.ProxyCertificate, "is a proxy certificate"},
		{"the signing policy and revoked", func(w *world) *identity {
			elsewhere(w, w.ca)
			w.put(file(w.ca, "r0"), w.ca.crl(t, nil, w.user))
			return w.user
		}, verdict.SigningPolicy, "nothing in"},
		{"two signing policies", func(w *world) *identity {
			elsewhere(w, w.ca)
			elsewhere(w, w.root)
			return w.user
		}, verdict.SigningPolicy, "CN=Alice"},
		{"expired, by an end entity", func(w *world) *identity {
			return w.user.user(t, alice, valid(now.Add(-2*time.Hour), now.Add(-time.Hour)))
		}, verdict.CertExpired, "expired at"},
		{"no such anchor", func(w *world) *identity { return newRoot(t, dn(t, "CN=Nobody")).user(t, alice) }, verdict.Untrusted, "no anchor"},
		{"another key of the anchor", func(w *world) *identity { return newRoot(t, w.root.cert.RawSubject).user(t, alice) }, verdict.Untrusted, "was not issued by"},
		{"a critical extension", func(w *world) *identity { return w.ca.user(t, alice, withExtension(true, 1, 2, 3)) }, verdict.Untrusted, "unhandled critical extension"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			user := c.user(w)
			_, r, _ := outcome(t, w.load(), user.cert, Policy{}, w.user.cert)
			wantCode(t, r, c.code, false)
			if r != nil && !strings.Contains(r.Detail, c.why) {
				t.Errorf("%v, want %q", r, c.why)
			}
		})
	}
}

// TestWeakSignatureComesFirst: the signature of the signer's certificate and of
// a CA's is weak whether or not there is an anchor.
func TestWeakSignatureComesFirst(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	user := *newRoot(t, dn(t, "CN=Nobody")).user(t, dn(t, "DC=org", "CN=A")).cert
	user.SignatureAlgorithm = x509.SHA1WithRSA
	_, r, _ := outcome(t, s, &user, Policy{})
	wantCode(t, r, verdict.WeakAlgorithm, false)
	ca := *w.ca.cert
	ca.SignatureAlgorithm = x509.SHA1WithRSA
	e := (&question{store: s, at: now.AddDate(9, 0, 0)}).diagnose([]*x509.Certificate{w.user.cert, &ca, w.root.cert})
	if last := e.checks[len(e.checks)-1]; e.refusal == nil || e.refusal.Code != verdict.WeakAlgorithm || last.Detail != e.refusal.Detail {
		t.Errorf("%v, %v", e.refusal, e.checks)
	}
}

// TestFirstEndEntityIsTold: of several that have issued the one nearest to the
// signer is the reason.
func TestFirstEndEntityIsTold(t *testing.T) {
	w := newWorld(t)
	bob := w.user.user(t, dn(t, "DC=org", "CN=Bob"))
	e := (&question{store: w.load(), at: now}).diagnose([]*x509.Certificate{bob.user(t, dn(t, "CN=x")).cert, bob.cert, w.user.cert, w.ca.cert, w.root.cert})
	if e.refusal == nil || !strings.Contains(e.refusal.Detail, "CN=Bob") {
		t.Errorf("%v", e.refusal)
	}
}

// TestSelfSigned: a CA that was renamed and kept its key names that key as its
// issuer's, and is no chain end.
func TestSelfSigned(t *testing.T) {
	root := newRoot(t, dn(t, "CN=Old name"))
	renamed := issue(t, dn(t, "CN=New name"), root, root.key, asCA)
	if selfSigned(renamed.cert) || !selfSigned(root.cert) {
		t.Error("a renamed CA is taken for a root")
	}
}

// TestCRLOfUnknownAlgorithm is refused for that and not for its signature.
func TestCRLOfUnknownAlgorithm(t *testing.T) {
	ca := newRoot(t, dn(t, "CN=CA"))
	list, err := parseCRL(ca.crl(t, nil))
	must(t, err)
	list.algorithm = x509.UnknownSignatureAlgorithm
	refused(t, list.signedBy(ca.cert), errOldDigest.Error())
	_, err = follow(t.TempDir() + "/nowhere")
	refused(t, err, "no such file")
}
