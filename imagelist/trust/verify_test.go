package trust

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// outcome runs one question and checks what is always true of the answer.
func outcome(t testing.TB, s *Store, signer *x509.Certificate, p Policy, extra ...*x509.Certificate) (*Result, *verdict.Rejection, []Check) {
	t.Helper()
	result, checks, err := s.Verify(signer, extra, now, p)
	fitsToo(t, signer, p, err)
	if err == nil {
		if result == nil || slices.ContainsFunc(checks, func(c Check) bool { return !c.OK }) {
			t.Fatalf("accepted with %v", checks)
		}
		return result, nil, checks
	}
	r := verdict.As(err)
	if r == nil || result != nil {
		t.Fatalf("result %v, error %v", result, err)
	}
	if last := checks[len(checks)-1]; last.OK || last.Detail != r.Detail {
		t.Errorf("the last check is %+v, the reason %q", last, r.Detail)
	}
	if !slices.Contains(order, r.Code) {
		t.Errorf("code %q has no place in the order", r.Code)
	}
	return nil, r, checks
}

func wantCode(t testing.TB, r *verdict.Rejection, code verdict.Code, missing bool) {
	t.Helper()
	if r == nil {
		t.Fatalf("accepted, want %s", code)
	}
	if r.Code != code || r.Missing != missing {
		t.Errorf("%v (missing %v), want %s (missing %v)", r, r.Missing, code, missing)
	}
}

func TestChainThatHolds(t *testing.T) {
	w := newWorld(t)
	result, _, checks := outcome(t, w.load(), w.user.cert, Policy{})
	if result == nil {
		t.Fatal(checks)
	}
	if len(result.Chain) != 3 || !result.Chain[0].Equal(w.user.cert) || !result.Chain[2].Equal(w.root.cert) {
		t.Errorf("chain %v", result.Chain)
	}
	if len(result.CRLs) != 2 || result.CRLs[0].Issuer != OneLine(w.ca.cert.RawSubject) || result.CRLs[0].File != file(w.ca, "r0") ||
		result.CRLs[0].Number != "7" || len(result.CRLs[0].SHA256) != 64 || !result.CRLs[0].NextUpdate.Equal(now.Add(24*time.Hour)) {
		t.Errorf("CRLs %+v", result.CRLs)
	}
	if want := []string{file(w.ca, "signing_policy") + ":4", file(w.root, "signing_policy") + ":4"}; !slices.Equal(result.Policies, want) {
		t.Errorf("policies %q, want %q", result.Policies, want)
	}
	if !result.Until.Equal(w.user.cert.NotAfter) || len(result.Warnings) != 0 {
		t.Errorf("until %v, warnings %q", result.Until, result.Warnings)
	}
	var names []string
	for _, c := range checks {
		names = append(names, c.Name)
	}
	want := []string{"algorithm", "chain", "chain", "chain", "validity", "key-usage", "proxy", "signing-policy", "signing-policy", "crl", "crl"}
	if !slices.Equal(names, want) {
		t.Errorf("checks %q, want %q", names, want)
	}
}

// TestT01_EachConditionAlone takes a chain that holds and removes one
// condition at a time.
func TestT01_EachConditionAlone(t *testing.T) {
	day := 24 * time.Hour
	alice := func(t *testing.T) []byte { return dn(t, "DC=org", "DC=example", "CN=Alice") }
	for _, c := range []struct {
		name    string
		spoil   func(t *testing.T, w *world)
		code    verdict.Code
		missing bool
	}{
		{"nothing", func(*testing.T, *world) {}, "", false},
		{"no such anchor", func(t *testing.T, w *world) {
			w.user = newRoot(t, dn(t, "DC=org", "CN=Other")).user(t, alice(t))
		}, verdict.Untrusted, false},
		{"anchor of the same name and another key", func(t *testing.T, w *world) {
			w.user = newRoot(t, w.root.cert.RawSubject).user(t, alice(t))
		}, verdict.Untrusted, false},
		{"self-signed under the user's name", func(t *testing.T, w *world) {
			w.user = issue(t, alice(t), nil, ecKey(t), asUser)
		}, verdict.Untrusted, false},
		{"only the subordinate is installed", func(t *testing.T, w *world) {
			for _, hash := range hashesOf(w.root.cert.RawSubject) {
				w.remove(hash + ".0")
			}
		}, verdict.Untrusted, false},
		{"the anchor's file is damaged", func(t *testing.T, w *world) {
			for _, hash := range hashesOf(w.root.cert.RawSubject) {
				w.remove(hash + ".0")
				w.put(hash+".0", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
			}
		}, verdict.Untrusted, true},
		{"unknown critical extension", func(t *testing.T, w *world) {
			w.user = w.ca.user(t, alice(t), withExtension(true, 1, 2, 3, 4))
		}, verdict.Untrusted, false},
		{"expired", func(t *testing.T, w *world) {
			w.user = w.ca.user(t, alice(t), valid(now.Add(-2*day), now.Add(-day)))
		}, verdict.CertExpired, false},
		{"not yet valid", func(t *testing.T, w *world) {
			w.user = w.ca.user(t, alice(t), valid(now.Add(day), now.Add(2*day)))
		}, verdict.CertNotYetValid, false},
		{"issued by an expired CA", func(t *testing.T, w *world) {
			old := w.root.sub(t, dn(t, "DC=org", "CN=Old"), valid(now.Add(-9*day), now.Add(-day)))
			w.anchor(old)
			w.user = old.user(t, alice(t))
		}, verdict.CertExpired, false},
		{"under an expired anchor", func(t *testing.T, w *world) {
			old := newRoot(t, dn(t, "DC=org", "CN=Old"), valid(now.Add(-9*day), now.Add(-day)))
			w.anchor(old)
			w.user = old.user(t, alice(t))
		}, verdict.CertExpired, false},
		{"key usage", func(t *testing.T, w *world) {
			w.user = w.ca.user(t, alice(t), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })
		}, verdict.KeyUsage, false},
		{"extended key usage", func(t *testing.T, w *world) {
			w.user = w.ca.user(t, alice(t), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
		}, verdict.KeyUsage, false},
		{"extended key usage of the CA", func(t *testing.T, w *world) {
			tls := w.root.sub(t, dn(t, "DC=org", "CN=TLS"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
			w.anchor(tls)
			w.user = tls.user(t, alice(t))
		}, verdict.KeyUsage, false},
		{"a CA as signer", func(t *testing.T, w *world) { w.user = w.ca }, verdict.KeyUsage, false},
		{"a CA that may sign mail", func(t *testing.T, w *world) {
			w.user = w.root.sub(t, alice(t), func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature })
		}, verdict.KeyUsage, false},
		{"an anchor as signer", func(t *testing.T, w *world) { w.user = w.root }, verdict.KeyUsage, false},
		{"signing policy denies the user", func(t *testing.T, w *world) {
			w.put(file(w.ca, "signing_policy"), signingPolicyFor(w.ca, "/DC=com/*"))
		}, verdict.SigningPolicy, false},
		{"signing policy denies the CA", func(t *testing.T, w *world) {
			w.put(file(w.root, "signing_policy"), signingPolicyFor(w.root, "/DC=com/*"))
		}, verdict.SigningPolicy, false},
		{"signing policy is gone", func(t *testing.T, w *world) { w.remove(file(w.ca, "signing_policy")) }, verdict.SigningPolicy, true},
		{"signing policy is unreadable", func(t *testing.T, w *world) {
			w.put(file(w.ca, "signing_policy"), []byte("access_id_CA X509 'x"))
		}, verdict.SigningPolicy, true},
		{"revoked", func(t *testing.T, w *world) {
			w.put(file(w.ca, "r0"), w.ca.crl(t, nil, w.user))
		}, verdict.Revoked, false},
		{"no CRL", func(t *testing.T, w *world) { w.remove(file(w.ca, "r0")) }, verdict.CRLMissing, true},
		{"no CRL of the root", func(t *testing.T, w *world) { w.remove(file(w.root, "r0")) }, verdict.CRLMissing, true},
		{"stale CRL", func(t *testing.T, w *world) {
			w.put(file(w.ca, "r0"), w.ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now.Add(-2*day), now.Add(-day) }))
		}, verdict.CRLStale, true},
		{"short RSA key", func(t *testing.T, w *world) {
			key, err := rsa.GenerateKey(rand.Reader, 1024)
			must(t, err)
			w.user = issue(t, alice(t), w.ca, key, asUser)
		}, verdict.WeakAlgorithm, false},
		{"short RSA key of the CA", func(t *testing.T, w *world) {
			key, err := rsa.GenerateKey(rand.Reader, 1024)
			must(t, err)
			short := issue(t, dn(t, "DC=org", "CN=Short"), w.root, key, asCA)
			w.anchor(short)
			w.user = short.user(t, alice(t))
		}, verdict.WeakAlgorithm, false},
		{"a revoked user and an unreadable policy", func(t *testing.T, w *world) {
			w.put(file(w.ca, "signing_policy"), nil)
			w.put(file(w.ca, "r0"), w.ca.crl(t, nil, w.user))
		}, verdict.Revoked, false},
		{"an unreadable policy and no CRL", func(t *testing.T, w *world) {
			w.put(file(w.ca, "signing_policy"), nil)
			w.remove(file(w.ca, "r0"))
		}, verdict.SigningPolicy, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.spoil(t, w)
			_, r, _ := outcome(t, w.load(), w.user.cert, Policy{})
			if c.code != "" || r != nil {
				wantCode(t, r, c.code, c.missing)
			}
		})
	}
}

func TestPurposes(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	subject := dn(t, "DC=org", "DC=example", "CN=Alice")
	usage := func(ku x509.KeyUsage, eku ...x509.ExtKeyUsage) option {
		return func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = ku, eku }
	}
	for _, c := range []struct {
		name       string
		user       option
		mail, any_ bool
	}{
		{"nonRepudiation only", usage(x509.KeyUsageContentCommitment), true, true},
		{"no usages", usage(0), true, true},
		{"any extended", usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageAny), true, true},
		{"client only", usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth), false, true},
		{"encipherment", usage(x509.KeyUsageKeyEncipherment, x509.ExtKeyUsageEmailProtection), false, false},
		{"unknown extended", func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 2, 3})
			c.KeyUsage = x509.KeyUsageDigitalSignature
			c.ExtKeyUsage = nil
		}, false, true},
	} {
		user := w.ca.user(t, subject, c.user)
		for _, p := range []Policy{{}, {AnyPurpose: true}} {
			want := c.mail
			if p.AnyPurpose {
				want = c.any_
			}
			if _, r, _ := outcome(t, s, user.cert, p); (r == nil) != want {
				t.Errorf("%s, any purpose %v: %v", c.name, p.AnyPurpose, r)
			} else if r != nil && r.Code != verdict.KeyUsage {
				t.Errorf("%s: %v", c.name, r)
			}
		}
	}
	plain := w.ca.user(t, subject, func(c *x509.Certificate) { c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = false, 0, nil })
	if result, r, _ := outcome(t, s, plain.cert, Policy{}); r != nil || len(result.Warnings) != 1 {
		t.Errorf("no extensions at all: %v", r)
	}
}

func TestProxies(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	name := []string{"DC=org", "DC=example", "CN=Alice"}
	under := func(cn string) []byte { return dn(t, append(slices.Clone(name), "CN="+cn)...) }
	// An end entity may sign nothing; crypto/x509 lets the test do it all the same.
	proxyOf := func(subject []byte, options ...option) *identity { return w.user.user(t, subject, options...) }
	for _, c := range []struct {
		name  string
		proxy *identity
		code  verdict.Code
	}{
		{"RFC 3820", proxyOf(under("12345"), withExtension(true, 1, 3, 6, 1, 5, 5, 7, 1, 14)), verdict.ProxyCertificate},
		{"draft", proxyOf(under("12345"), withExtension(true, 1, 3, 6, 1, 4, 1, 3536, 1, 222)), verdict.ProxyCertificate},
		{"draft, not critical", proxyOf(under("1"), withExtension(false, 1, 3, 6, 1, 4, 1, 3536, 1, 222)), verdict.ProxyCertificate},
		{"legacy", proxyOf(under("proxy")), verdict.ProxyCertificate},
		{"legacy limited", proxyOf(under("limited proxy")), verdict.ProxyCertificate},
		{"issued by an end entity", proxyOf(dn(t, "DC=org", "CN=Mallory")), verdict.ProxyCertificate},
		{"expired", proxyOf(under("proxy"), valid(now.Add(-2*time.Hour), now.Add(-time.Hour))), verdict.CertExpired},
		{"by a CA", w.ca.user(t, dn(t, "DC=org", "DC=example", "CN=Issuing CA", "CN=proxy")), verdict.ProxyCertificate},
		{"no proxy, only called so", w.ca.user(t, dn(t, "DC=org", "CN=proxy")), ""},
	} {
		_, r, _ := outcome(t, s, c.proxy.cert, Policy{}, w.user.cert)
		if r != nil || c.code != "" {
			if r == nil || r.Code != c.code {
				t.Errorf("%s: %v, want %q", c.name, r, c.code)
			}
		}
	}
}

// TestWeakSignatures: crypto/x509 makes no SHA-1 signatures over certificates.
func TestWeakSignatures(t *testing.T) {
	dir := newDirectory(t)
	sh := func(args ...string) { openssl(t, dir.path, nil, args...) }
	dir.put("user.ext", []byte("basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n"))
	dir.put("ca.ext", []byte("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n"))
	sh("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-keyout", "root.key", "-out", "root.crt", "-subj", "/DC=org/CN=Root", "-days", "3650")
	sign := func(name, subject, issuer, ext, digest string) *x509.Certificate {
		sh("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", subject)
		sh("x509", "-req", "-in", name+".csr", "-CA", issuer+".crt", "-CAkey", issuer+".key", "-CAcreateserial", "-extfile", ext, digest, "-out", name+".crt", "-days", "365")
		return readCert(t, filepath.Join(dir.path, name+".crt"))
	}
	root := &identity{cert: readCert(t, filepath.Join(dir.path, "root.crt"))}
	sha1User := sign("sha1user", "/DC=org/CN=A", "root", "user.ext", "-sha1")
	user := sign("user", "/DC=org/CN=B", "root", "user.ext", "-sha256")
	sha1CA := sign("sha1ca", "/DC=org/CN=Sub", "root", "ca.ext", "-sha1")
	below := sign("below", "/DC=org/CN=C", "sha1ca", "user.ext", "-sha256")
	md5User := sign("md5user", "/DC=org/CN=D", "root", "user.ext", "-md5")
	dir.cert(root)
	s, p := dir.load(), Policy{CRL: Ignore, SigningPolicy: Ignore}
	at := time.Now()
	for _, c := range []struct {
		name string
		cert *x509.Certificate
		code verdict.Code
	}{{"SHA-1 root", user, ""}, {"SHA-1", sha1User, verdict.WeakAlgorithm}, {"MD5", md5User, verdict.WeakAlgorithm}, {"SHA-1 subordinate", below, verdict.WeakAlgorithm}} {
		_, _, err := s.Verify(c.cert, []*x509.Certificate{sha1CA}, at, p)
		if verdict.Of(err) != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
		if err := Fit(c.cert, at); c.cert != below && verdict.Of(err) != c.code {
			t.Errorf("%s: fit: %v, want %q", c.name, err, c.code)
		}
	}
}

func readCert(t testing.TB, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	certs := parseCertificates(content{data: data})
	must(t, certs.err)
	return certs.certs[0]
}

// TestRollover: two anchors of one name, the CRL of each in a file of its own, and
// a user of each.
func TestRollover(t *testing.T) {
	d := newDirectory(t)
	name := dn(t, "DC=org", "CN=CA")
	older, newer := newRoot(t, name), newRoot(t, name)
	d.cert(older)
	d.cert(newer)
	d.put(file(older, "signing_policy"), signingPolicyFor(older, "/DC=org/*"))
	d.put(file(older, "r0"), older.crl(t, nil))
	d.put(file(older, "r1"), newer.crl(t, nil))
	s := d.load()
	for i, ca := range []*identity{older, newer} {
		user := ca.user(t, dn(t, "DC=org", "CN=User"))
		result, r, _ := outcome(t, s, user.cert, Policy{})
		if r != nil {
			t.Fatalf("%d: %v", i, r)
		}
		if want := []string{file(ca, "r0"), file(ca, "r1")}[i]; result.CRLs[0].File != want {
			t.Errorf("%d: CRL %v", i, result.CRLs[0])
		}
	}
}

// TestAnyChainMayHold: a CA signed by two roots, one of which has no CRL.
func TestAnyChainMayHold(t *testing.T) {
	d := newDirectory(t)
	one, other := newRoot(t, dn(t, "DC=org", "CN=One")), newRoot(t, dn(t, "DC=org", "CN=Other"))
	name, key := dn(t, "DC=org", "CN=Cross"), ecKey(t)
	first, second := issue(t, name, one, key, asCA), issue(t, name, other, key, asCA)
	for _, ca := range []*identity{one, other, first, second} {
		d.anchor(ca)
	}
	user := first.user(t, dn(t, "DC=org", "CN=User"))
	for _, broken := range []*identity{one, other} {
		crl, err := os.ReadFile(filepath.Join(d.path, file(broken, "r0")))
		must(t, err)
		d.remove(file(broken, "r0"))
		result, r, _ := outcome(t, d.load(), user.cert, Policy{})
		if r != nil || result.Chain[2].Equal(broken.cert) {
			t.Errorf("without the CRL of %s: %v", OneLine(broken.cert.RawSubject), r)
		}
		d.put(file(broken, "r0"), crl)
	}
	d.put(file(one, "signing_policy"), signingPolicyFor(one, "/DC=com/*"))
	d.remove(file(other, "r0"))
	_, r, _ := outcome(t, d.load(), user.cert, Policy{})
	wantCode(t, r, verdict.CRLMissing, true) // the other might hold
}

// TestMessageCertificates: a CA of the message is a link only under an
// installed policy, and nothing in a message is an anchor.
func TestMessageCertificates(t *testing.T) {
	w := newWorld(t)
	sub := w.root.sub(t, dn(t, "DC=org", "CN=Sub of the message"))
	user := sub.user(t, dn(t, "DC=org", "CN=Bob"))
	_, r, _ := outcome(t, w.load(), user.cert, Policy{CRL: Ignore}, sub.cert)
	wantCode(t, r, verdict.SigningPolicy, true)
	w.put(file(w.root, "namespaces"), append(namespacesFor(w.root, "PERMIT", "/DC=org/.*"), namespacesFor(sub, "PERMIT", "/DC=org/CN=Bob")...))
	if _, r, _ := outcome(t, w.load(), user.cert, Policy{CRL: Ignore}, sub.cert); r != nil {
		t.Error(r)
	}
	_, r, _ = outcome(t, w.load(), user.cert, Policy{})
	wantCode(t, r, verdict.Untrusted, false)
	rogue := newRoot(t, dn(t, "DC=org", "CN=Rogue"))
	_, r, _ = outcome(t, w.load(), rogue.user(t, dn(t, "DC=org", "CN=X")).cert, Policy{}, rogue.cert)
	wantCode(t, r, verdict.Untrusted, false)
}

// TestT46_HostileChains: what costs time is refused before it does.
func TestT46_HostileChains(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	deep := w.root
	var links []*x509.Certificate
	for range maxDepth {
		deep = deep.sub(t, dn(t, "DC=org", "CN="+strings.Repeat("x", len(links)+1)))
		links = append(links, deep.cert)
	}
	lax := Policy{CRL: Ignore, SigningPolicy: Ignore}
	_, r, _ := outcome(t, s, deep.user(t, dn(t, "CN=deep")).cert, lax, links...)
	wantCode(t, r, verdict.Untrusted, false)
	if r != nil && !strings.Contains(r.Detail, "more than 6") {
		t.Error(r)
	}
	// Sixteen CAs of one name that sign each other.
	name, key := dn(t, "DC=org", "CN=Maze"), ecKey(t)
	maze := []*identity{issue(t, name, nil, key, asCA)}
	links = nil
	for range maxExtra {
		maze = append(maze, issue(t, name, maze[len(maze)-1], key, asCA))
		links = append(links, maze[len(maze)-1].cert)
	}
	_, r, _ = outcome(t, s, maze[3].user(t, dn(t, "CN=lost")).cert, lax, links...)
	wantCode(t, r, verdict.Untrusted, false)

	many := w.ca.user(t, dn(t, "CN=many"), func(c *x509.Certificate) {
		for range maxNames + 1 {
			c.EmailAddresses = append(c.EmailAddresses, "a@example.org")
		}
	})
	_, r, _ = outcome(t, s, many.cert, lax)
	wantCode(t, r, verdict.UnsupportedAlgorithm, false)
}

// TestAnchorAsSigner: a self-signed user certificate that is installed is no
// chain, and neither is it one to explain.
func TestAnchorAsSigner(t *testing.T) {
	d := newDirectory(t)
	self := issue(t, dn(t, "DC=org", "CN=Self"), nil, ecKey(t), asUser)
	d.cert(self)
	_, r, _ := outcome(t, d.load(), self.cert, Policy{})
	wantCode(t, r, verdict.Untrusted, false)
}

// TestNameConstraints: what crypto/x509 would not apply is refused.
func TestNameConstraints(t *testing.T) {
	people := dn(t, "DC=org", "OU=people")
	subtree := func(tag byte, base []byte) []byte {
		name := append([]byte{tag, byte(len(base))}, base...)
		return append([]byte{0x30, byte(len(name))}, name...)
	}
	permitted := func(subtrees ...[]byte) []byte {
		list := slices.Concat(subtrees...)
		field := append([]byte{0xa0, byte(len(list))}, list...)
		return append([]byte{0x30, byte(len(field))}, field...)
	}
	mail := subtree(0x81, []byte("example.org"))
	for _, c := range []struct {
		name    string
		value   []byte
		subject []byte
		code    verdict.Code
	}{
		{"directory", permitted(subtree(0xa4, people)), dn(t, "DC=org", "CN=A"), verdict.Untrusted},
		{"mail and directory", permitted(mail, subtree(0xa4, people)), dn(t, "DC=org", "CN=A"), verdict.Untrusted},
		{"mail", permitted(mail), dn(t, "DC=org", "CN=A"), ""},
		{"mail in the subject", permitted(mail), dn(t, "DC=org", "CN=A", "emailAddress=a@example.com"), verdict.Untrusted},
		{"hosts", permitted(subtree(0x82, []byte("example.org"))), dn(t, "DC=org", "CN=A", "emailAddress=a@example.com"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			ca := w.root.sub(t, dn(t, "DC=org", "CN=Constrained"), func(cert *x509.Certificate) {
				cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: c.value})
			})
			w.anchor(ca)
			_, r, _ := outcome(t, w.load(), ca.user(t, c.subject).cert, Policy{})
			if r == nil && c.code != "" || r != nil && r.Code != c.code {
				t.Errorf("%v, want %q", r, c.code)
			}
		})
	}
	w := newWorld(t)
	for _, value := range [][]byte{{4, 0}, {0x30, 4, 0xa0, 2, 5, 0}} {
		c := &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: value}}}
		if !constraintForms(c)[generalDirectory] {
			t.Errorf("% x is understood", value)
		}
	}
	if len(constraintForms(w.ca.cert)) != 0 {
		t.Error("constraints where there are none")
	}
}

// T-46: no more than two certificates of a message may have a key that takes a
// millisecond to verify with.
func TestT46_SlowKeys(t *testing.T) {
	root := newRoot(t, dn(t, "CN=root"))
	modulus := new(big.Int).SetBit(big.NewInt(1), maxRSA-1, 1)
	var extra []*x509.Certificate
	for i := range 5 {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), RawSubject: dn(t, "CN=slow"), NotBefore: now, NotAfter: now}
		der, err := x509.CreateCertificate(rand.Reader, template, root.cert, &rsa.PublicKey{N: modulus, E: 65537}, root.key)
		must(t, err)
		c, err := x509.ParseCertificate(der)
		must(t, err)
		extra = append(extra, c)
	}
	user := root.user(t, dn(t, "CN=u"))
	if got := usable(user.cert, append(extra, root.cert)); len(got) != maxSlow+1 || got[maxSlow] != root.cert {
		t.Errorf("%d of %d certificates may be used", len(got), len(extra)+1)
	}
}
