package trust

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

func TestT10_Revoked(t *testing.T) {
	reason := func(code int) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = code }
	}
	for _, c := range []struct {
		name string
		put  func(t *testing.T, w *world)
		who  func(w *world) *identity
	}{
		{"leaf", func(t *testing.T, w *world) { w.put(file(w.ca, "r0"), toPEM(pemCRL, w.ca.crl(t, nil, w.user))) }, func(w *world) *identity { return w.user }},
		{"leaf, DER", func(t *testing.T, w *world) { w.put(file(w.ca, "r0"), w.ca.crl(t, nil, w.user)) }, func(w *world) *identity { return w.user }},
		{"intermediate", func(t *testing.T, w *world) { w.put(file(w.root, "r0"), w.root.crl(t, nil, w.ca)) }, func(w *world) *identity { return w.ca }},
		{"only in .r1", func(t *testing.T, w *world) { w.put(file(w.ca, "r1"), w.ca.crl(t, nil, w.user)) }, func(w *world) *identity { return w.user }},
		{"only in .r12, old hash", func(t *testing.T, w *world) {
			w.put(HashOld(w.ca.cert.RawSubject)+".r12", w.ca.crl(t, nil, w.user))
		}, func(w *world) *identity { return w.user }},
		{"on hold", func(t *testing.T, w *world) { w.put(file(w.ca, "r0"), w.ca.crl(t, reason(6), w.user)) }, func(w *world) *identity { return w.user }},
		{"second CRL of a PEM file", func(t *testing.T, w *world) {
			w.put(file(w.ca, "r0"), append(toPEM(pemCRL, w.ca.crl(t, nil)), toPEM(pemCRL, w.ca.crl(t, nil, w.user))...))
		}, func(w *world) *identity { return w.user }},
		{"second CRL of a DER file", func(t *testing.T, w *world) {
			w.put(file(w.ca, "r0"), append(w.ca.crl(t, nil), w.ca.crl(t, nil, w.user)...))
		}, func(w *world) *identity { return w.user }},
		{"only in a stale one", func(t *testing.T, w *world) {
			w.put(file(w.ca, "r1"), w.ca.crl(t, func(l *x509.RevocationList) {
				l.ThisUpdate, l.NextUpdate = now.Add(-72*time.Hour), now.Add(-48*time.Hour)
			}, w.user))
		}, func(w *world) *identity { return w.user }},
		{"from tomorrow on", func(t *testing.T, w *world) {
			w.put(file(w.ca, "r0"), w.ca.crl(t, func(l *x509.RevocationList) {
				l.RevokedCertificateEntries[0].RevocationTime = now.Add(24 * time.Hour)
			}, w.user))
		}, func(w *world) *identity { return w.user }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.put(t, w)
			for _, mode := range []Mode{Require, IfPresent} {
				_, r, _ := outcome(t, w.load(), w.user.cert, Policy{CRL: mode})
				wantCode(t, r, verdict.Revoked, false)
				if r != nil && !strings.Contains(r.Detail, fmt.Sprintf("%x", c.who(w).cert.SerialNumber)) {
					t.Errorf("%v does not name the serial number", r)
				}
			}
			if _, r, _ := outcome(t, w.load(), w.user.cert, Policy{CRL: Ignore}); r != nil {
				t.Errorf("ignored: %v", r)
			}
		})
	}
}

// TestT11_ModesAndStates is the table of trust.md §3.4: what each mode makes of
// each state of the issuer's only CRL.
func TestT11_ModesAndStates(t *testing.T) {
	type cell struct {
		code verdict.Code
		ok   bool
	}
	missing, stale, pass := cell{code: verdict.CRLMissing}, cell{code: verdict.CRLStale}, cell{ok: true}
	for _, c := range []struct {
		name                       string
		put                        func(t *testing.T, w *world, name string)
		require, ifPresent, ignore cell
	}{
		{"Missing", func(t *testing.T, w *world, name string) { w.remove(name) }, missing, pass, pass},
		{"Expired", func(t *testing.T, w *world, name string) {
			w.put(name, w.ca.crl(t, func(l *x509.RevocationList) { l.NextUpdate = now.Add(-time.Second) }))
		}, stale, stale, pass},
		{"Future", func(t *testing.T, w *world, name string) {
			w.put(name, w.ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = now.Add(6 * time.Minute) }))
		}, stale, stale, pass},
		{"BadSignature", func(t *testing.T, w *world, name string) {
			der := w.ca.crl(t, nil)
			der[len(der)-1] ^= 1
			w.put(name, der)
		}, missing, missing, pass},
		{"WrongIssuer", func(t *testing.T, w *world, name string) {
			w.put(name, newRoot(t, dn(t, "DC=org", "CN=Somebody")).crl(t, nil))
		}, missing, missing, pass},
		{"WrongKey", func(t *testing.T, w *world, name string) {
			w.put(name, newRoot(t, w.ca.cert.RawSubject).crl(t, nil))
		}, missing, missing, pass},
		{"Unreadable", func(t *testing.T, w *world, name string) {
			w.remove(name)
			must(t, os.Symlink("nowhere", filepath.Join(w.path, name)))
		}, missing, missing, pass},
		{"Unparsable", func(t *testing.T, w *world, name string) { w.put(name, []byte("<html>404</html>")) }, missing, missing, pass},
		{"Empty", func(t *testing.T, w *world, name string) { w.put(name, nil) }, missing, missing, pass},
	} {
		for mode, want := range map[Mode]cell{Require: c.require, IfPresent: c.ifPresent, Ignore: c.ignore} {
			t.Run(c.name+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				c.put(t, w, file(w.ca, "r0"))
				result, r, _ := outcome(t, w.load(), w.user.cert, Policy{CRL: mode})
				if !want.ok {
					wantCode(t, r, want.code, true)
				} else if r != nil {
					t.Error(r)
				} else if mode == Ignore && len(result.CRLs) != 0 {
					t.Errorf("ignored, and yet %v", result.CRLs)
				}
			})
		}
	}
}

func TestT11_Grace(t *testing.T) {
	w := newWorld(t)
	w.put(file(w.ca, "r0"), w.ca.crl(t, func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = now.Add(-200*time.Hour), now.Add(-time.Hour)
	}))
	s := w.load()
	for grace, want := range map[time.Duration]verdict.Code{0: verdict.CRLStale, -time.Hour: verdict.CRLStale,
		59 * time.Minute: verdict.CRLStale, time.Hour: "", 72 * time.Hour: ""} {
		result, r, _ := outcome(t, s, w.user.cert, Policy{CRLGrace: grace})
		if r != nil && r.Code != want || r == nil && want != "" {
			t.Errorf("grace %v: %v", grace, r)
		}
		if r == nil && len(result.Warnings) != 1 {
			t.Errorf("grace %v: warnings %q", grace, result.Warnings)
		}
	}
	for _, c := range []struct {
		late time.Duration
		code verdict.Code
	}{{MaxCRLGrace, ""}, {MaxCRLGrace + time.Second, verdict.CRLStale}} {
		_, _, err := s.Verify(w.user.cert, nil, now.Add(c.late-time.Hour), Policy{CRLGrace: 1000 * time.Hour, SigningPolicy: Ignore})
		if verdict.Of(err) != c.code {
			t.Errorf("%v late: %v", c.late, err)
		}
	}
}

// TestT11_NewestOfSeveral: the union revokes, the newest current one answers.
func TestT11_NewestOfSeveral(t *testing.T) {
	w := newWorld(t)
	other := w.ca.user(t, dn(t, "DC=org", "CN=Other"))
	w.put(file(w.ca, "r0"), w.ca.crl(t, func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	}))
	w.put(file(w.ca, "r1"), w.ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = now.Add(-2 * time.Hour) }, other))
	w.put(file(w.ca, "r2"), w.ca.crl(t, nil))
	w.put(file(w.ca, "r3"), []byte("rubbish"))
	result, r, _ := outcome(t, w.load(), w.user.cert, Policy{})
	if r != nil || result.CRLs[0].File != file(w.ca, "r2") {
		t.Fatalf("%v %v", result, r)
	}
	_, r, _ = outcome(t, w.load(), other.cert, Policy{})
	wantCode(t, r, verdict.Revoked, false)
}

func crlExtension(critical bool, value []byte, oid ...int) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: value})
	}
}

// point is an IssuingDistributionPoint with the given fields.
func point(fields ...[]byte) []byte {
	body := bytes.Join(fields, nil)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func flag(n byte) []byte { return []byte{0x80 | n, 1, 0xff} }

// fullName is the field distributionPoint with one URI.
func fullName(uri string) []byte {
	n := byte(len(uri))
	return append([]byte{0xa0, n + 4, 0xa0, n + 2, 0x86, n}, uri...)
}

func TestT11_CRLsThatMustNotBeUsed(t *testing.T) {
	entry := func(critical bool, oid ...int) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(5), RevocationTime: now,
				ExtraExtensions: []pkix.Extension{{Id: oid, Critical: critical, Value: []byte{5, 0}}}}}
		}
	}
	const uri = "http://x/crl"
	for _, c := range []struct {
		name   string
		change func(*x509.RevocationList)
		why    string // it does not count; "" if it does
	}{
		{"plain", nil, ""},
		{"delta", crlExtension(true, []byte{2, 1, 1}, 2, 5, 29, 27), "delta"},
		{"unknown critical", crlExtension(true, []byte{5, 0}, 1, 2, 3), "critical extension 1.2.3"},
		{"unknown", crlExtension(false, []byte{5, 0}, 1, 2, 3), ""},
		{"entry with unknown critical", entry(true, 1, 2, 3), "an entry has the critical extension 1.2.3"},
		{"entry with certificateIssuer", entry(true, 2, 5, 29, 29), "an entry has the critical"},
		{"entry with unknown", entry(false, 1, 2, 3), ""},
		{"indirect", crlExtension(true, point(flag(4)), 2, 5, 29, 28), "indirect"},
		{"attribute certificates", crlExtension(true, point(flag(5)), 2, 5, 29, 28), "attribute"},
		{"some reasons", crlExtension(true, point([]byte{0x83, 2, 0, 0x40}), 2, 5, 29, 28), "some reasons"},
		{"CAs only", crlExtension(true, point(flag(2)), 2, 5, 29, 28), "this sort"},
		{"users only", crlExtension(true, point(flag(1)), 2, 5, 29, 28), ""},
		{"this distribution point", crlExtension(true, point(fullName(uri)), 2, 5, 29, 28), ""},
		{"another distribution point", crlExtension(true, point(fullName("http://y/crl")), 2, 5, 29, 28), "this sort"},
		{"malformed distribution point", crlExtension(true, []byte{0x30, 5}, 2, 5, 29, 28), "malformed CRL: issuing distribution point"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			user := w.ca.user(t, dn(t, "DC=org", "CN=U"), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{uri} })
			w.put(file(w.ca, "r0"), w.ca.crl(t, c.change))
			_, r, _ := outcome(t, w.load(), user.cert, Policy{})
			if c.why == "" {
				if r != nil {
					t.Error(r)
				}
				return
			}
			wantCode(t, r, verdict.CRLMissing, true)
			if r != nil && !strings.Contains(r.Detail, c.why) {
				t.Errorf("%v, want %q", r, c.why)
			}
		})
	}
}

// TestT11_IssuerMayNotSignCRLs: crypto/x509 makes no such CRL, so the same key
// signs with a certificate that may.
func TestT11_IssuerMayNotSignCRLs(t *testing.T) {
	d := newDirectory(t)
	name, key := dn(t, "DC=org", "CN=CA"), ecKey(t)
	root := issue(t, name, nil, key, asCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	d.cert(root)
	d.put(file(root, "r0"), issue(t, name, nil, key, asCA).crl(t, nil))
	_, r, _ := outcome(t, d.load(), root.user(t, dn(t, "CN=u")).cert, Policy{SigningPolicy: Ignore})
	wantCode(t, r, verdict.CRLMissing, true)
}

// opensslCA makes CRLs that Go does not: of version 1, over SHA-1 or MD5,
// without nextUpdate.
type opensslCA struct {
	*directory
	root, user, gone *x509.Certificate
}

func newOpenSSLCA(t *testing.T) *opensslCA {
	ca := &opensslCA{directory: newDirectory(t)}
	ca.put("openssl.cnf", []byte("[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncertificate=root.crt\nprivate_key=root.key\n"+
		"default_md=sha256\ndefault_crl_days=30\n[v2]\nauthorityKeyIdentifier=keyid\n"))
	ca.put("index.txt", nil)
	ca.put("user.ext", []byte("basicConstraints=CA:FALSE\n"))
	openssl(t, ca.path, nil, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.crt", "-subj", "/DC=org/CN=Root", "-days", "365")
	for _, name := range []string{"user", "gone"} {
		openssl(t, ca.path, nil, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", "/DC=org/CN="+name)
		openssl(t, ca.path, nil, "x509", "-req", "-in", name+".csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "user.ext", "-out", name+".crt", "-days", "300")
	}
	openssl(t, ca.path, nil, "ca", "-config", "openssl.cnf", "-revoke", "gone.crt")
	ca.root, ca.user, ca.gone = ca.read("root.crt"), ca.read("user.crt"), ca.read("gone.crt")
	ca.cert(&identity{cert: ca.root})
	return ca
}

func (ca *opensslCA) read(name string) *x509.Certificate {
	return readCert(ca.t, filepath.Join(ca.path, name))
}

func TestT11_CRLsMadeByOpenSSL(t *testing.T) {
	ca := newOpenSSLCA(t)
	at := time.Now()
	for _, c := range []struct {
		name     string
		args     []string
		der      bool
		code     verdict.Code
		warnings int
	}{
		{"version 1", nil, false, "", 0},
		{"version 1, DER", nil, true, "", 0},
		{"version 2", []string{"-crlexts", "v2"}, false, "", 0},
		{"version 2, DER", []string{"-crlexts", "v2"}, true, "", 0},
		{"SHA-1", []string{"-md", "sha1"}, false, "", 1},
		{"SHA-512, PSS", []string{"-md", "sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}, false, "", 0},
		{"MD5", []string{"-md", "md5"}, false, verdict.CRLMissing, 0},
	} {
		out := openssl(t, ca.path, nil, append([]string{"ca", "-config", "openssl.cnf", "-gencrl"}, c.args...)...)
		if c.der {
			out = openssl(t, ca.path, []byte(out), "crl", "-outform", "DER")
		}
		ca.put(file(&identity{cert: ca.root}, "r0"), []byte(out))
		text := openssl(t, ca.path, []byte(out), "crl", "-noout", "-text")
		if v1 := strings.Contains(text, "Version 1"); v1 == (strings.HasPrefix(c.name, "version 2")) {
			t.Errorf("%s: openssl made\n%s", c.name, text)
		}
		s := ca.load()
		result, _, err := s.Verify(ca.user, nil, at, Policy{SigningPolicy: Ignore, AnyPurpose: true})
		if verdict.Of(err) != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
		if err == nil && len(result.Warnings) != c.warnings {
			t.Errorf("%s: warnings %q", c.name, result.Warnings)
		}
		if c.code != "" {
			continue
		}
		if _, _, err := s.Verify(ca.gone, nil, at, Policy{SigningPolicy: Ignore, AnyPurpose: true}); verdict.Of(err) != verdict.Revoked {
			t.Errorf("%s: the revoked one: %v", c.name, err)
		}
		if list := s.Anchors()[0].CRLs; len(list) != 1 || list[0].Entries != 1 || list[0].Problem != "" {
			t.Errorf("%s: %+v", c.name, list)
		}
	}
}

// TestT11_NoNextUpdate signs a CRL of which the field was cut out.
func TestT11_NoNextUpdate(t *testing.T) {
	w := newWorld(t)
	for _, revoked := range [][]*identity{nil, {w.user}} {
		der := withoutNextUpdate(t, w.ca, w.ca.crl(t, nil, revoked...))
		if list, err := x509.ParseRevocationList(der); err != nil || !list.NextUpdate.IsZero() {
			t.Fatalf("%v %v", list, err)
		}
		w.put(file(w.ca, "r0"), der)
		_, r, _ := outcome(t, w.load(), w.user.cert, Policy{})
		if revoked == nil {
			wantCode(t, r, verdict.CRLMissing, true)
		} else {
			wantCode(t, r, verdict.Revoked, false)
		}
	}
}

// withoutNextUpdate signs the list again, with a certificateList of the standard library's.
func withoutNextUpdate(t *testing.T, ca *identity, der []byte) []byte {
	t.Helper()
	var list struct {
		TBS struct {
			Raw       asn1.RawContent
			Version   int
			Algorithm pkix.AlgorithmIdentifier
			Issuer    asn1.RawValue
			This      time.Time
			Next      time.Time                 `asn1:"optional"`
			Revoked   []pkix.RevokedCertificate `asn1:"optional"`
			Ext       []pkix.Extension          `asn1:"tag:0,explicit,optional"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, err := asn1.Unmarshal(der, &list)
	must(t, err)
	tbs, err := asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		This      time.Time
		Revoked   []pkix.RevokedCertificate `asn1:"optional,omitempty"`
		Ext       []pkix.Extension          `asn1:"tag:0,explicit,optional"`
	}{list.TBS.Version, list.TBS.Algorithm, list.TBS.Issuer, list.TBS.This.UTC(), list.TBS.Revoked, list.TBS.Ext})
	must(t, err)
	digest := sha256.Sum256(tbs)
	signature, err := ca.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	must(t, err)
	out, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, list.Algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	must(t, err)
	return out
}

// TestSerialKey: one number in all its encodings.
func TestSerialKey(t *testing.T) {
	for _, c := range []struct {
		content []byte
		number  int64
	}{{[]byte{0}, 0}, {[]byte{1}, 1}, {[]byte{0, 1}, 1}, {[]byte{0, 0x80}, 128}, {[]byte{0, 0, 0x80}, 128}, {[]byte{1, 0}, 256}} {
		if serialKey(c.content) != serialOf(big.NewInt(c.number)) {
			t.Errorf("% x is not %d", c.content, c.number)
		}
	}
	if serialKey([]byte{0x80}) == serialOf(big.NewInt(128)) {
		t.Error("a negative number is a positive one")
	}
}

// TestMalformedCRLs: no part of a CRL is a CRL, nor is one with a wrong tag
// where the outline is.
func TestMalformedCRLs(t *testing.T) {
	ca := newRoot(t, dn(t, "CN=CA"))
	der := ca.crl(t, nil, ca)
	for n := range len(der) {
		if _, err := parseCRL(der[:n]); err == nil {
			t.Errorf("%d of %d bytes", n, len(der))
		}
	}
	if _, err := parseCRL(append(bytes.Clone(der), 0)); err == nil {
		t.Error("a byte behind it")
	}
	for name, change := range map[string][2][]byte{
		"version 3":         {{2, 1, 1, 0x30}, {2, 1, 2, 0x30}},
		"version 1 with it": {{2, 1, 1, 0x30}, {2, 1, 0, 0x30}},
		"two algorithms":    {{0x04, 0x03, 0x02}, {0x04, 0x03, 0x03}},
		"date":              {[]byte("261123"), []byte("26x123")},
	} {
		if !bytes.Contains(der, change[0]) {
			t.Fatalf("%s: nothing to change", name)
		}
		if _, err := parseCRL(bytes.Replace(der, change[0], change[1], 1)); err == nil {
			t.Error(name)
		}
	}
}

// TestLargeCRL: the lists of real CAs have tens of thousands of entries.
func TestLargeCRL(t *testing.T) {
	w := newWorld(t)
	der := w.ca.crl(t, func(l *x509.RevocationList) {
		for n := range int64(50000) {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(1e9 + n), RevocationTime: now})
		}
	}, w.user)
	w.put(file(w.ca, "r0"), der)
	s := w.load()
	_, r, _ := outcome(t, s, w.user.cert, Policy{})
	wantCode(t, r, verdict.Revoked, false)
	if n := s.Anchors()[0].CRLs[0].Entries; n != 50001 {
		t.Errorf("%d entries", n)
	}
}

// FuzzCRL: what parses has been looked at in whole, and nothing panics. What
// the standard library parses as well says the same.
func FuzzCRL(f *testing.F) {
	ca := newRoot(f, dn(f, "CN=CA"))
	user := ca.user(f, dn(f, "CN=u"))
	f.Add(ca.crl(f, nil))
	f.Add(ca.crl(f, nil, user))
	f.Add(ca.crl(f, crlExtension(true, point(fullName("http://x")), 2, 5, 29, 28), user))
	f.Add(toPEM(pemCRL, ca.crl(f, nil, user)))
	for _, file := range trustFiles(f, "*.r[0-9]*") {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lists, broken := (&crlLists{data: data}).parsed()
		if len(lists) == 0 && len(broken) == 0 {
			t.Fatal("neither a list nor a reason")
		}
		for _, c := range lists {
			_ = c.problem(ca.cert)
			e, _ := c.find(user.cert.SerialNumber)
			_ = e.reason()
			_ = c.scope.covers(user.cert)
			if std, err := x509.ParseRevocationList(c.der); err == nil &&
				(len(std.RevokedCertificateEntries) < len(c.serials) || !std.ThisUpdate.Equal(c.thisUpdate) || !std.NextUpdate.Equal(c.nextUpdate)) {
				t.Fatalf("%d entries, %v, %v; the standard library has %d, %v, %v", len(c.serials), c.thisUpdate, c.nextUpdate,
					len(std.RevokedCertificateEntries), std.ThisUpdate, std.NextUpdate)
			}
		}
	})
}
