package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vouch/imagelist/smime"
)

// signs reports a credential that does not sign what subscribers open.
func signs(t *testing.T, c *Credential, subject string) {
	t.Helper()
	if got := c.Certificate.Subject.CommonName; got != subject {
		t.Errorf("certificate of %q, want %q", got, subject)
	}
	message, err := smime.Sign([]byte("{}\n"), c.Certificate, c.Key, c.Chain, smime.SignOptions{})
	must(t, err)
	signed, err := smime.Open(message, smime.Options{})
	must(t, err)
	if !signed.Signer.Equal(c.Certificate) || len(signed.Certificates) != 1+len(c.Chain) {
		t.Errorf("signed by %v with %d certificates", signed.Signer.Subject, len(signed.Certificates))
	}
}

// TestLoad_Forms reads keys in the forms that openssl writes.
func TestLoad_Forms(t *testing.T) {
	s := newShop(t)
	s.user("bob", "ec", "P-256")
	s.user("carol", "ec", "P-384")
	s.user("dave", "ec", "P-521")
	pkcs8 := func(who string, options ...string) []string {
		return append([]string{"pkcs8", "-topk8", "-in", who + ".key", "-passout", "file:pass"}, options...)
	}
	pkcs12 := func(who string, options ...string) []string {
		return append([]string{"pkcs12", "-export", "-in", who + ".pem", "-inkey", who + ".key", "-passout", "file:pass"}, options...)
	}
	for _, c := range []struct {
		name, who string
		make      []string // openssl arguments; the key or PKCS#12 file is in the output
		asks      bool
	}{
		{"PKCS#8", "alice", []string{"pkcs8", "-topk8", "-nocrypt", "-in", "alice.key"}, false},
		{"PKCS#1", "alice", []string{"rsa", "-traditional", "-in", "alice.key"}, false},
		{"PKCS#1 DER", "alice", []string{"rsa", "-traditional", "-outform", "DER", "-in", "alice.key"}, false},
		{"PKCS#8 DER", "alice", []string{"pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", "alice.key"}, false},
		{"SEC1", "bob", []string{"ec", "-in", "bob.key"}, false},
		{"SEC1 DER", "bob", []string{"ec", "-in", "bob.key", "-outform", "DER"}, false},
		{"P-384", "carol", []string{"pkcs8", "-topk8", "-nocrypt", "-in", "carol.key"}, false},
		{"P-521", "dave", []string{"ec", "-in", "dave.key"}, false},
		{"old PEM, AES-256", "alice", []string{"rsa", "-traditional", "-aes256", "-passout", "file:pass", "-in", "alice.key"}, true},
		{"old PEM, 3DES", "alice", []string{"rsa", "-traditional", "-des3", "-passout", "file:pass", "-in", "alice.key"}, true},
		{"old PEM, SEC1", "bob", []string{"ec", "-aes128", "-passout", "file:pass", "-in", "bob.key"}, true},
		{"PBES2 as it comes", "alice", pkcs8("alice"), true},
		{"PBES2 AES-256, SHA-256", "alice", pkcs8("alice", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"), true},
		{"PBES2 AES-192, SHA-384", "bob", pkcs8("bob", "-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA384"), true},
		{"PBES2 AES-128, SHA-512", "alice", pkcs8("alice", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"), true},
		{"PBES2 3DES, SHA-1", "alice", pkcs8("alice", "-v2", "des3", "-v2prf", "hmacWithSHA1"), true},
		{"PBES2 many iterations", "alice", pkcs8("alice", "-iter", "200000"), true},
		{"PBES2 scrypt", "alice", pkcs8("alice", "-scrypt"), true},
		{"PBES2 DER", "alice", pkcs8("alice", "-outform", "DER"), true},
		{"PKCS#12", "alice", pkcs12("alice", "-certfile", "sub.pem"), true},
		{"PKCS#12 of an EC key", "bob", pkcs12("bob"), true},
		{"PKCS#12 legacy", "alice", pkcs12("alice", "-legacy", "-certfile", "sub.pem"), true},
		{"PKCS#12 3DES", "alice", pkcs12("alice", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"), true},
		{"PKCS#12 without passphrase", "alice", []string{"pkcs12", "-export", "-in", "alice.pem", "-inkey", "alice.key", "-passout", "pass:"}, false},
		{"PKCS#12 without encryption or MAC", "alice", []string{"pkcs12", "-export", "-in", "alice.pem", "-inkey", "alice.key", "-passout", "pass:", "-keypbe", "NONE", "-certpbe", "NONE", "-nomac"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := s.put(strings.ReplaceAll(c.name, " ", "-"), s.openssl(c.make...), 0o600)
			source := Source{CertFile: s.path(c.who + ".pem"), KeyFile: key}
			if c.make[0] == "pkcs12" {
				source = Source{CertFile: key}
			}
			a := &asker{answer: secret}
			source.Passphrase = a.passphrase
			got, err := Load(source)
			must(t, err)
			signs(t, got, c.who)
			if (len(a.asked) == 1) != c.asks || len(a.asked) > 1 || !a.zeroed() {
				t.Errorf("asked %q, zeroed %v", a.asked, a.zeroed())
			}
			if c.asks && !strings.Contains(a.asked[0], key) {
				t.Errorf("asked %q", a.asked)
			}
			if c.asks {
				refused(t, source, &asker{answer: "wrong"}, "wrong passphrase", "when the file was made")
				refused(t, source, nil, "there is no passphrase", "terminal")
			}
		})
	}
}

// refused loads with another passphrase and wants an error with a hint.
func refused(t *testing.T, s Source, a *asker, want, hint string) {
	t.Helper()
	s.Passphrase = nil
	if a != nil {
		s.Passphrase = a.passphrase
	}
	got, err := Load(s)
	if err == nil || got != nil || !strings.Contains(err.Error(), want) || !strings.Contains(hintOf(err), hint) {
		t.Fatalf("%v (hint %q), want %q (%q)", err, hintOf(err), want, hint)
	}
	if strings.Contains(err.Error()+hintOf(err), secret) || a != nil && (strings.Contains(err.Error(), a.answer+`"`) || !a.zeroed()) {
		t.Errorf("the passphrase shows: %v", err)
	}
}

// TestLoad_ManyWrongPassphrases: the padding is right once in 256 times, and
// is not to be taken for success.
func TestLoad_ManyWrongPassphrases(t *testing.T) {
	s := newShop(t)
	s.put("old.key", s.openssl("rsa", "-traditional", "-aes128", "-passout", "file:pass", "-in", "alice.key"), 0o600)
	s.put("new.key", s.openssl("pkcs8", "-topk8", "-in", "alice.key", "-passout", "file:pass", "-iter", "1"), 0o600)
	for _, key := range []string{"old.key", "new.key"} {
		for i := range 1500 {
			refused(t, Source{CertFile: s.path("alice.pem"), KeyFile: s.path(key)}, &asker{answer: strings.Repeat("x", 1+i)}, "wrong passphrase", "")
		}
	}
}

// TestLoad_Files is about what else is in the files.
func TestLoad_Files(t *testing.T) {
	s := newShop(t)
	s.user("bob", "ec", "P-256")
	s.openssl("x509", "-in", "alice.pem", "-outform", "DER", "-out", "alice.der")
	s.put("text.pem", s.openssl("x509", "-in", "alice.pem", "-text"), 0o644)
	s.put("params.key", append(s.openssl("ecparam", "-name", "prime256v1"), s.openssl("ec", "-in", "bob.key")...), 0o600)
	s.put("dos.pem", []byte("\xef\xbb\xbf"+strings.ReplaceAll(string(s.get("alice.pem")), "\n", "\r\n")), 0o644)
	must(t, os.Rename(s.path("alice.pem"), s.path("first.pem")))
	s.issue("alice", "/DC=org/DC=example/CN=alice", "sub", "user", "-days", "500")
	s.join("renewed.pem", "first.pem", "alice.pem")
	s.join("chain.pem", "alice.pem", "sub.pem", "root.pem")
	s.join("upside.pem", "root.pem", "sub.pem", "root.pem", "alice.pem", "bob.pem")
	s.join("both.pem", "alice.key", "alice.pem", "sub.pem")
	must(t, os.Symlink("both.pem", s.path("link.pem")))
	for _, c := range []struct {
		cert, key, who string
		chain          []string
	}{
		{"alice.pem", "alice.key", "alice", nil},
		{"alice.der", "alice.key", "alice", nil},
		{"text.pem", "alice.key", "alice", nil},
		{"dos.pem", "alice.key", "alice", nil},
		{"bob.pem", "params.key", "bob", nil},
		{"chain.pem", "alice.key", "alice", []string{"Sub", "Root"}},
		{"upside.pem", "alice.key", "alice", []string{"Sub", "Root", "bob"}},
		{"upside.pem", "bob.key", "bob", []string{"Sub", "Root", "alice"}},
		{"renewed.pem", "alice.key", "alice", nil},
		{"both.pem", "", "alice", []string{"Sub"}},
		{"both.pem", "both.pem", "alice", []string{"Sub"}},
		{"link.pem", "", "alice", []string{"Sub"}},
	} {
		t.Run(c.cert+" "+c.key, func(t *testing.T) {
			key := c.key
			if key != "" {
				key = s.path(key)
			}
			got, err := Load(Source{CertFile: s.path(c.cert), KeyFile: key})
			must(t, err)
			signs(t, got, c.who)
			if names := commonNames(got.Chain); !slices.Equal(names, c.chain) {
				t.Errorf("chain %q, want %q", names, c.chain)
			}
			if c.cert == "renewed.pem" && !got.Certificate.NotAfter.After(soon.AddDate(1, 0, 0)) {
				t.Errorf("the old one, until %v", got.Certificate.NotAfter)
			}
		})
	}
}

func commonNames(certs []*x509.Certificate) []string {
	var names []string
	for _, c := range certs {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// TestLoad_LongChain: no more than a message may have.
func TestLoad_LongChain(t *testing.T) {
	s := newShop(t)
	all := slices.Concat(s.get("alice.key"), s.get("root.pem"))
	for i := range smime.MaxCertificates {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(1 + i))}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		must(t, err)
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	s.put("all.pem", slices.Concat(all, s.get("alice.pem"), s.get("sub.pem")), 0o600)
	got, err := Load(Source{CertFile: s.path("all.pem")})
	must(t, err)
	signs(t, got, "alice")
	if names := commonNames(got.Chain); len(names) != smime.MaxCertificates-1 || names[0] != "Sub" || names[1] != "Root" {
		t.Errorf("chain %q", names)
	}
}

// TestLoad_Refusals: each mistake has its own words.
func TestLoad_Refusals(t *testing.T) {
	need(t, "ssh-keygen")
	s := newShop(t)
	s.user("bob", "ec", "P-256")
	s.key("ed", "ed25519", "")
	s.key("x", "x25519", "")
	s.user("koblitz", "ec", "secp256k1")
	s.put("public.pem", s.openssl("pkey", "-in", "alice.key", "-pubout"), 0o600)
	s.put("public.der", s.openssl("pkey", "-in", "alice.key", "-pubout", "-outform", "DER"), 0o600)
	s.put("request.der", s.openssl("req", "-in", "alice.csr", "-outform", "DER"), 0o600)
	s.put("bundle.p7b", s.openssl("crl2pkcs7", "-nocrl", "-certfile", "alice.pem"), 0o600)
	s.put("trusted.pem", s.openssl("x509", "-in", "alice.pem", "-trustout"), 0o600)
	s.put("pbes1.key", s.openssl("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-in", "alice.key", "-passout", "file:pass"), 0o600)
	s.put("camellia.key", s.openssl("pkcs8", "-topk8", "-v2", "camellia-256-cbc", "-in", "alice.key", "-passout", "file:pass"), 0o600)
	scrypt := s.openssl("pkcs8", "-topk8", "-in", "alice.key", "-passout", "file:pass", "-scrypt", "-scrypt_N", "4096", "-outform", "DER")
	s.put("slow.key", bytes.Replace(scrypt, []byte("\x02\x01\x08\x02\x01\x01"), []byte("\x02\x01\x7f\x02\x01\x7f"), 1), 0o600)
	toil := func(name string, args ...string) {
		der := s.openssl(append(args, "-iter", "300000")...)
		patched := bytes.ReplaceAll(der, []byte("\x02\x03\x04\x93\xe0"), []byte("\x02\x03\x7f\xff\xff"))
		if bytes.Equal(der, patched) {
			t.Fatal("no iteration count found in " + name)
		}
		s.put(name, patched, 0o600)
	}
	toil("toil.key", "pkcs8", "-topk8", "-in", "alice.key", "-passout", "file:pass", "-outform", "DER")
	toil("toil.p12", "pkcs12", "-export", "-in", "alice.pem", "-inkey", "alice.key", "-passout", "file:pass")
	s.put("edbag.p12", s.openssl("pkcs12", "-export", "-nocerts", "-inkey", "ed.key", "-passout", "file:pass"), 0o600)
	s.put("nokey.p12", s.openssl("pkcs12", "-export", "-nokeys", "-in", "alice.pem", "-passout", "file:pass"), 0o600)
	s.put("alice.p12", s.openssl("pkcs12", "-export", "-in", "alice.pem", "-inkey", "alice.key", "-passout", "file:pass"), 0o600)
	s.run(nil, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", s.path("id_ecdsa"))
	s.join("two.key", "alice.key", "bob.key")
	s.put("empty", nil, 0o600)
	s.put("noise", []byte("hello\x1b[31m\n"), 0o600)
	s.put("torn.key", s.get("alice.key")[:300], 0o600)
	s.put("bad.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}}), 0o600)
	s.put("bad.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}}), 0o600)
	s.put("bad.der", []byte{0x30, 0}, 0o600)
	s.put("ber.p12", []byte("\x30\x80\x02\x01\x03\x30\x80"), 0o600)
	s.put("huge", make([]byte, maxFile+1), 0o600)
	for _, c := range []struct{ cert, key, want, hint string }{
		{"none.pem", "alice.key", "none.pem: no such file", ""},
		{"alice.pem", "none.key", "none.key: no such file", ""},
		{"", "", "no such file", ""},
		{".", "", "is a directory", ""},
		{"huge", "", "more than 1048576 bytes", ""},
		{"alice.pem", "", "no private key, only a certificate", "the key as well"},
		{"alice.key", "", "no certificate, only a private key", "swapped"},
		{"alice.key", "alice.pem", "no certificate, only a private key", "swapped"},
		{"alice.pem", "bob.pem", "no private key, only a certificate", ""},
		{"alice.pem", "bob.key", `does not match the certificate of "/DC=org/DC=example/CN=alice"`, "-pubout"},
		{"bob.pem", "alice.p12", "does not match the certificate of", "-pubkey"},
		{"alice.pem", "two.key", "2 private keys", "file of its own"},
		{"alice.csr", "alice.key", "no certificate, but a certificate request", "your CA"},
		{"request.der", "alice.key", "no certificate, but a certificate request", "your CA"},
		{"alice.pem", "alice.csr", "no private key, but a certificate request", ""},
		{"alice.pem", "public.pem", "no private key, but a public key", "private key"},
		{"alice.pem", "public.der", "no private key, but a public key", "private key"},
		{"alice.pem", "id_ecdsa", "no private key, but an OpenSSH private key", "ssh-keygen -p -m PKCS8"},
		{"alice.pem", "id_ecdsa.pub", "no private key, but an OpenSSH public key", "X.509"},
		{"bundle.p7b", "alice.key", "no certificate, but a PKCS#7 bundle", "openssl pkcs7"},
		{"trusted.pem", "alice.key", "no certificate, but a certificate in OpenSSL's own form", "openssl x509"},
		{"alice.pem", "ed.key", "key of type Ed25519: subscribers cannot verify it", "P-256"},
		{"alice.pem", "x.key", "key of type X25519: subscribers cannot verify it", "P-256"},
		{"alice.pem", "koblitz.key", "unknown elliptic curve", "P-256"},
		{"alice.pem", "pbes1.key", "scheme 1.2.840.113549.1.12.1.3", "openssl pkcs8"},
		{"alice.pem", "camellia.key", "cipher 1.2.392", "openssl pkcs8"},
		{"alice.pem", "slow.key", "too much work", "openssl pkcs8"},
		{"alice.pem", "toil.key", "8388607 iterations", "openssl pkcs8"},
		{"toil.p12", "", "more than 5000000 iterations", "openssl pkcs12"},
		{"edbag.p12", "", "certificate missing", "openssl pkcs12"},
		{"nokey.p12", "", "private key missing", "openssl pkcs12"},
		{"ber.p12", "", "PKCS#12 in BER", "openssl pkcs12"},
		{"empty", "alice.key", "no certificate in it", "PEM, DER and PKCS#12"},
		{"alice.pem", "noise", "no private key in it", "PEM, DER and PKCS#12"},
		{"alice.pem", "torn.key", "no private key in it", "PEM, DER and PKCS#12"},
		{"bad.pem", "alice.key", "certificate 1: x509:", ""},
		{"alice.pem", "bad.key", "private key: asn1:", ""},
		{"bad.der", "", "DER that is no certificate or key", "PEM, DER"},
	} {
		t.Run(c.cert+" "+c.key, func(t *testing.T) {
			source := Source{CertFile: c.cert, KeyFile: c.key}
			if c.cert != "" {
				source.CertFile = s.path(c.cert)
			}
			if c.key != "" {
				source.KeyFile = s.path(c.key)
			}
			refused(t, source, &asker{answer: secret}, c.want, c.hint)
		})
	}
}

// TestLoad_PassphraseFails: the reason it cannot be had comes through.
func TestLoad_PassphraseFails(t *testing.T) {
	s := newShop(t)
	s.put("locked.key", s.openssl("pkcs8", "-topk8", "-in", "alice.key", "-passout", "file:pass"), 0o600)
	_, err := Load(Source{CertFile: s.path("alice.pem"), KeyFile: s.path("locked.key"),
		Passphrase: func(string) ([]byte, error) { return nil, ErrInterrupted }})
	if err == nil || !strings.Contains(err.Error(), `locked.key": passphrase: interrupted`) {
		t.Error(err)
	}
}

// TestLoad_Modes: a secret is its owner's alone; a certificate is not secret.
func TestLoad_Modes(t *testing.T) {
	s := newShop(t)
	s.put("alice.p12", s.openssl("pkcs12", "-export", "-in", "alice.pem", "-inkey", "alice.key", "-passout", "file:pass"), 0o600)
	s.put("locked.key", s.openssl("pkcs8", "-topk8", "-in", "alice.key", "-passout", "file:pass"), 0o600)
	s.join("both.pem", "alice.pem", "alice.key")
	must(t, os.Symlink("alice.key", s.path("link.key")))
	must(t, os.Chmod(s.path("alice.pem"), 0o666))
	key := func(name string) Source { return Source{CertFile: s.path("alice.pem"), KeyFile: s.path(name)} }
	for file, source := range map[string]Source{
		"alice.key": key("alice.key"), "locked.key": key("locked.key"), "alice.p12": {CertFile: s.path("alice.p12")},
		"both.pem": {CertFile: s.path("both.pem")}, "link.key": key("link.key"),
	} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644} {
			must(t, os.Chmod(s.path(file), mode))
			a := &asker{answer: secret}
			refused(t, source, a, fmt.Sprintf("mode %04o: group or others", mode), "chmod 600 \""+s.path(file))
			if a.asked != nil {
				t.Errorf("%s: asked before it was refused", file)
			}
		}
		for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
			must(t, os.Chmod(s.path(file), mode))
			source.Passphrase = (&asker{answer: secret}).passphrase
			if _, err := Load(source); err != nil {
				t.Errorf("%s: mode %o: %v", file, mode, err)
			}
		}
	}
	if os.Geteuid() == 0 {
		must(t, os.Chown(s.path("alice.key"), 4242, -1))
		must(t, os.Chmod(s.path("alice.key"), 0o600))
		refused(t, key("alice.key"), nil, "belongs to user 4242", "yours or root's")
	}
}

// TestLoad_Pipe: a key may come from a command, as the shell's <(command).
func TestLoad_Pipe(t *testing.T) {
	s := newShop(t)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	_, err = w.Write(s.get("alice.key"))
	must(t, err)
	must(t, w.Close())
	got, err := Load(Source{CertFile: s.path("alice.pem"), KeyFile: fmt.Sprintf("/dev/fd/%d", r.Fd())})
	must(t, err)
	signs(t, got, "alice")
}

func TestCertificate(t *testing.T) {
	s := newShop(t)
	s.user("bob", "ec", "P-256")
	s.key("proxy", "rsa", "2048")
	s.issue("proxy", "/DC=org/DC=example/CN=alice/CN=123", "alice", "proxy")
	s.put("alice.p12", s.openssl("pkcs12", "-export", "-in", "alice.pem", "-inkey", "alice.key", "-passout", "file:pass"), 0o644)
	s.join("chain.pem", "root.pem", "sub.pem", "alice.pem")
	s.join("x509up", "proxy.pem", "proxy.key", "alice.pem")
	s.join("two.pem", "alice.pem", "bob.pem", "sub.pem")
	s.join("cas.pem", "root.pem", "sub.pem")
	must(t, os.Chmod(s.path("x509up"), 0o644))
	for _, c := range []struct {
		file, who string
		chain     []string
		want      string
	}{
		{"alice.pem", "alice", nil, ""},
		{"chain.pem", "alice", []string{"Sub", "Root"}, ""},
		{"x509up", "123", []string{"alice"}, ""},
		{"cas.pem", "Root", []string{"Sub"}, ""},
		{"two.pem", "", nil, `which of 2 certificates is meant: "/DC=org/DC=example/CN=alice", "/DC=org/DC=example/CN=bob"`},
		{"alice.p12", "", nil, "PKCS#12"},
		{"alice.key", "", nil, "no certificate, only a private key"},
		{"alice.csr", "", nil, "a certificate request"},
		{"none.pem", "", nil, "no such file"},
	} {
		leaf, chain, err := Certificate(s.path(c.file))
		if c.want != "" {
			if err == nil || leaf != nil || !strings.Contains(err.Error(), c.want) || c.file != "none.pem" && hintOf(err) == "" {
				t.Errorf("%s: %v (hint %q), want %q", c.file, err, hintOf(err), c.want)
			}
			continue
		}
		if err != nil || leaf.Subject.CommonName != c.who || !slices.Equal(commonNames(chain), c.chain) {
			t.Errorf("%s: %v, chain %q, want %q, %q: %v", c.file, leaf.Subject, commonNames(chain), c.who, c.chain, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	expect := func(cert, key string) {
		t.Helper()
		if c, k := Defaults(); strings.TrimPrefix(c, home+"/.globus/") != cert || strings.TrimPrefix(k, home+"/.globus/") != key {
			t.Errorf("%q and %q, want %q and %q", c, k, cert, key)
		}
	}
	expect("", "")
	must(t, os.MkdirAll(filepath.Join(home, ".globus", "userkey.pem"), 0o700))
	touch := func(name string) { must(t, os.WriteFile(filepath.Join(home, ".globus", name), nil, 0o600)) }
	touch("usercert.pem")
	expect("", "")
	touch("usercred.p12")
	expect("usercred.p12", "")
	must(t, os.Remove(filepath.Join(home, ".globus", "userkey.pem")))
	touch("userkey.pem")
	expect("usercert.pem", "userkey.pem")
	t.Setenv("HOME", "")
	expect("", "")
}
