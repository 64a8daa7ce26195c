package smime

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSign_OpenSSL lets openssl smime and cms judge what Sign writes.
func TestSign_OpenSSL(t *testing.T) {
	s := newShop(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"alice", "p256", "p384", "p521"} {
		for _, hash := range []crypto.Hash{0, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			for _, opaque := range []bool{false, true} {
				id, ca := people()[name], people()["ca"].cert
				message, err := Sign([]byte(document), id.cert, id.key, []*x509.Certificate{ca, id.cert}, SignOptions{Hash: hash, Opaque: opaque, At: at})
				if err != nil {
					t.Fatal(err)
				}
				for _, tool := range []string{"smime", "cms"} {
					if out, ok := s.accepts(tool, message); !ok || string(out) != canonicalDocument {
						t.Errorf("%s %v opaque %v: openssl %s: %v, %q", name, hash, opaque, tool, ok, out)
					}
				}
				got := expect(t, message, Options{}, "", canonicalDocument)
				want := hash
				if want == 0 {
					want = crypto.SHA256
				}
				if got.Digest != want || got.Detached == opaque || !got.Signer.Equal(id.cert) || !got.SigningTime.Equal(at) ||
					len(got.Certificates) != 2 || got.Warnings != nil {
					t.Errorf("%s %v opaque %v: opened as %+v", name, hash, opaque, got)
				}
			}
		}
	}
}

func TestSign_Content(t *testing.T) {
	alice := people()["p256"]
	for _, content := range []string{"", "{}", "{}\n", "{}\r\n\r\n", "\n\n{\n}", "{\r\r\n}", strings.Repeat("{}", 1000), "----\n--\n"} {
		for _, opaque := range []bool{false, true} {
			message, err := Sign([]byte(content), alice.cert, alice.key, nil, SignOptions{Opaque: opaque})
			if err != nil {
				t.Fatalf("%q: %v", content, err)
			}
			got := expect(t, message, Options{}, "", string(Canonical([]byte(content))))
			if !got.SigningTime.IsZero() {
				t.Errorf("signing time %v", got.SigningTime)
			}
		}
	}
}

func TestSign_Refusals(t *testing.T) {
	alice, bob := people()["alice"], people()["bob"]
	many := make([]*x509.Certificate, MaxCertificates)
	for i := range many {
		many[i] = certify("extra", int64(100+i), bob.key.Public(), people()["ca"])
	}
	tests := []struct {
		name    string
		content string
		signer  identity
		chain   []*x509.Certificate
		options SignOptions
		want    string
	}{
		{"another's key", document, identity{alice.cert, bob.key}, nil, SignOptions{}, "does not match"},
		{"a key of another kind", document, identity{alice.cert, people()["p256"].key}, nil, SignOptions{}, "does not match"},
		{"a short key", document, people()["short"], nil, SignOptions{}, "1024 bits"},
		{"Ed25519", document, people()["ed25519"], nil, SignOptions{}, "ed25519"},
		{"P-224", document, people()["p224"], nil, SignOptions{}, "P-224"},
		{"SHA-1", document, alice, nil, SignOptions{Hash: crypto.SHA1}, "SHA-1"},
		{"MD5", document, alice, nil, SignOptions{Hash: crypto.MD5}, "MD5"},
		{"SHA3", document, alice, nil, SignOptions{Hash: crypto.SHA3_256}, "SHA3-256"},
		{"many certificates", document, alice, many, SignOptions{}, "17 certificates"},
		{"a MIME header", "Content-Type: text/plain\n\n{}", alice, nil, SignOptions{}, "MIME header"},
		{"attributes", "1\x00", alice, nil, SignOptions{}, "attributes"},
		{"a lone carriage return", "{\r}", alice, nil, SignOptions{}, "carriage return"},
		{"a carriage return at the end", "{}\r", alice, nil, SignOptions{}, "carriage return"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			message, err := Sign([]byte(test.content), test.signer.cert, test.signer.key, test.chain, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) || message != nil {
				t.Errorf("%d bytes, error %v; want %q", len(message), err, test.want)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"a", "a"},
		{"\n", "\r\n"},
		{"\r\n", "\r\n"},
		{"\r\r\n", "\r\n"},
		{"a\nb\r\nc\r\r\n", "a\r\nb\r\nc\r\n"},
		{"a\r\nb\nc", "a\r\nb\r\nc"},
		{"a\rb\n\n", "a\rb\r\n\r\n"},
		{"a\r", "a\r"},
	}
	for _, test := range tests {
		in := []byte(test.in)
		got := Canonical(in)
		if string(got) != test.want || string(in) != test.in {
			t.Errorf("%q: %q; want %q", test.in, got, test.want)
		}
		if again := Canonical(got); !bytes.Equal(again, got) || len(got) > 0 && &again[0] != &got[0] {
			t.Errorf("%q: canonical form is rewritten or copied", test.in)
		}
	}
}

// TestSign_Chain puts the certificates in the message, each once.
func TestSign_Chain(t *testing.T) {
	alice, ca := people()["alice"], people()["ca"].cert
	message, err := Sign([]byte(document), alice.cert, alice.key, []*x509.Certificate{ca, ca}, SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := expect(t, message, Options{}, "", canonicalDocument)
	if len(got.Certificates) != 2 || !slices.ContainsFunc(got.Certificates, ca.Equal) {
		t.Errorf("%d certificates", len(got.Certificates))
	}
}
