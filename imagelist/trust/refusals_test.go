package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

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
