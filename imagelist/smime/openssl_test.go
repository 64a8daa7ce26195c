package smime

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"vouch/imagelist/verdict"
)

// signed is a message by alice, with further options, from the tool named first.
func (s shop) signed(content string, tool string, options ...string) []byte {
	s.t.Helper()
	args := append([]string{tool, "-sign", "-signer", "alice.pem", "-inkey", "alice.key"}, options...)
	return s.make([]byte(content), args...)
}

// TestOpenSSLMessages is the table of trust.md with messages openssl makes.
func TestOpenSSLMessages(t *testing.T) {
	s := newShop(t)
	long := strings.Repeat(document, 400)
	longCanonical := strings.Repeat(canonicalDocument, 400)
	sha1 := Options{AllowSHA1: true}
	by := func(name string) []string { return []string{"-signer", name + ".pem", "-inkey", name + ".key"} }
	tests := []struct {
		name    string
		message []byte
		options Options
		want    verdict.Code
		content string
	}{
		{"smime clear", s.signed(document, "smime"), Options{}, "", canonicalDocument},
		{"cms clear", s.signed(document, "cms"), Options{}, "", canonicalDocument},
		{"CRLF file", s.signed(document, "smime", "-crlfeol"), Options{}, "", canonicalDocument},
		{"SHA-384", s.signed(document, "cms", "-md", "sha384"), Options{}, "", canonicalDocument},
		{"SHA-512", s.signed(document, "smime", "-md", "sha512"), Options{}, "", canonicalDocument},
		{"text header", s.signed(document, "smime", "-text"), Options{}, "", canonicalDocument},
		{"text header, opaque", s.signed(document, "cms", "-text", "-nodetach"), Options{}, "", canonicalDocument},
		{"no trailing newline", s.signed("{}", "smime"), Options{}, "", "{}"},
		{"chain included", s.signed(document, "smime", "-certfile", "ca.pem"), Options{}, "", canonicalDocument},
		{"P-256", s.make([]byte(document), append([]string{"smime", "-sign"}, by("p256")...)...), Options{}, "", canonicalDocument},
		{"P-384", s.make([]byte(document), append([]string{"cms", "-sign"}, by("p384")...)...), Options{}, "", canonicalDocument},
		{"P-521, SHA-512", s.make([]byte(document), append([]string{"cms", "-sign", "-md", "sha512"}, by("p521")...)...), Options{}, "", canonicalDocument},
		{"RSA-PSS", s.signed(document, "cms", "-keyopt", "rsa_padding_mode:pss"), Options{}, "", canonicalDocument},
		{"RSA-PSS, SHA-512", s.signed(document, "cms", "-md", "sha512", "-keyopt", "rsa_padding_mode:pss"), Options{}, "", canonicalDocument},
		{"subject key identifier", s.signed(document, "cms", "-keyid"), Options{}, "", canonicalDocument},
		{"subject key identifier, P-256", s.make([]byte(document), append([]string{"cms", "-sign", "-keyid"}, by("p256")...)...), Options{}, "", canonicalDocument},

		{"opaque", s.signed(document, "smime", "-nodetach"), Options{}, "", canonicalDocument},
		{"opaque, BER in pieces", s.signed(long, "smime", "-nodetach", "-stream"), Options{}, "", longCanonical},
		{"opaque, cms BER in pieces", s.signed(long, "cms", "-nodetach", "-stream"), Options{}, "", longCanonical},
		{"clear, streamed", s.signed(long, "cms", "-stream"), Options{}, "", longCanonical},
		{"PEM PKCS7", s.signed(document, "smime", "-nodetach", "-outform", "PEM"), Options{}, "", canonicalDocument},
		{"PEM CMS", s.signed(document, "cms", "-nodetach", "-outform", "PEM"), Options{}, "", canonicalDocument},
		{"DER", s.signed(document, "cms", "-nodetach", "-outform", "DER"), Options{}, "", canonicalDocument},
		{"BER", s.signed(long, "cms", "-nodetach", "-stream", "-outform", "DER"), Options{}, "", longCanonical},
		{"opaque as it stands", s.signed(document, "cms", "-nodetach", "-binary"), Options{}, "", document},

		{"binary", s.signed(document, "smime", "-binary"), Options{}, verdict.Signature, ""},
		{"binary allowed", s.signed(document, "smime", "-binary"), Options{Binary: true}, "", document},
		{"binary allowed, not needed", s.signed(document, "smime"), Options{Binary: true}, "", canonicalDocument},
		{"binary with text header", s.signed(document, "smime", "-binary", "-text"), Options{Binary: true}, "", document},

		{"SHA-1", s.signed(document, "smime", "-md", "sha1"), Options{}, verdict.WeakAlgorithm, ""},
		{"SHA-1 allowed", s.signed(document, "smime", "-md", "sha1"), sha1, "", canonicalDocument},
		{"MD5", s.signed(document, "smime", "-md", "md5"), sha1, verdict.WeakAlgorithm, ""},
		{"SHA-224", s.signed(document, "cms", "-md", "sha224"), sha1, verdict.UnsupportedAlgorithm, ""},
		{"1024 bits", s.make([]byte(document), append([]string{"smime", "-sign"}, by("short")...)...), sha1, verdict.WeakAlgorithm, ""},
		{"P-224", s.make([]byte(document), append([]string{"cms", "-sign"}, by("p224")...)...), sha1, verdict.UnsupportedAlgorithm, ""},
		{"RSA-PSS with SHA-1", s.signed(document, "cms", "-md", "sha1", "-keyopt", "rsa_padding_mode:pss"), sha1, verdict.UnsupportedAlgorithm, ""},

		{"no attributes", s.signed(document, "smime", "-noattr"), Options{}, verdict.MalformedEnvelope, ""},
		{"no certificate", s.signed(document, "smime", "-nocerts"), Options{}, verdict.MalformedEnvelope, ""},
		{"detached DER", s.signed(document, "cms", "-outform", "DER"), Options{}, verdict.MalformedEnvelope, ""},
		{"two signers", s.signed(document, "cms", by("bob")...), Options{}, verdict.MultipleSigners, ""},
		{"two signers, one weak", s.signed(document, "cms", by("short")...), Options{}, verdict.WeakAlgorithm, ""},
		{"encrypted", s.make([]byte(document), "smime", "-encrypt", "-aes128", "alice.pem"), Options{}, verdict.NotSigned, ""},
		{"encrypted, streamed", s.make([]byte(long), "cms", "-encrypt", "-stream", "-aes128", "-outform", "PEM", "alice.pem"), Options{}, verdict.NotSigned, ""},
		{"certificates only", s.make(nil, "crl2pkcs7", "-nocrl", "-certfile", "alice.pem"), Options{}, verdict.NotSigned, ""},
		{"compressed or plain data", s.make([]byte(document), "cms", "-data_create", "-outform", "PEM"), Options{}, verdict.NotSigned, ""},
		{"signed twice", s.signed(string(s.signed(document, "smime")), "smime"), Options{}, verdict.MalformedEnvelope, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, test.message, test.options, test.want, test.content)
		})
	}
}

// TestOrderOfVerdicts tampers with messages that are refused or special for
// their algorithms too: that the signature is wrong comes first.
func TestOrderOfVerdicts(t *testing.T) {
	s := newShop(t)
	for name, message := range map[string][]byte{
		"SHA-256":                s.signed(document, "cms"),
		"SHA-1":                  s.signed(document, "smime", "-md", "sha1"),
		"MD5":                    s.signed(document, "smime", "-md", "md5"),
		"RSA-PSS":                s.signed(document, "cms", "-keyopt", "rsa_padding_mode:pss"),
		"subject key identifier": s.signed(document, "cms", "-keyid"),
		"1024 bits":              s.make([]byte(document), "cms", "-sign", "-signer", "short.pem", "-inkey", "short.key"),
		"two signers":            s.signed(document, "cms", "-signer", "bob.pem", "-inkey", "bob.key"),
	} {
		t.Run(name, func(t *testing.T) {
			tampered := bytes.Replace(message, []byte("Images"), []byte("Image5"), 1)
			expect(t, tampered, Options{}, verdict.Signature, "")
			expect(t, tampered, Options{AllowSHA1: true, Binary: true}, verdict.Signature, "")
		})
	}
}

func TestOpen_Facts(t *testing.T) {
	s := newShop(t)
	alice, ca := people()["alice"].cert, people()["ca"].cert
	got := expect(t, s.signed(document, "smime", "-md", "sha1", "-certfile", "ca.pem"), Options{AllowSHA1: true}, "", canonicalDocument)
	if !got.Signer.Equal(alice) || !got.Detached || got.Digest != crypto.SHA1 {
		t.Errorf("signer %v, detached %v, digest %v", got.Signer.Subject, got.Detached, got.Digest)
	}
	if len(got.Certificates) != 2 || !slices.ContainsFunc(got.Certificates, ca.Equal) {
		t.Errorf("certificates %d", len(got.Certificates))
	}
	if got.SigningTime.Before(alice.NotBefore) || got.SigningTime.After(alice.NotAfter) {
		t.Errorf("signing time %v", got.SigningTime)
	}
	if !slices.Equal(got.Warnings, []string{"SHA-1 message digest"}) {
		t.Errorf("warnings %q", got.Warnings)
	}
	if opaque := expect(t, s.signed(document, "cms", "-nodetach"), Options{}, "", canonicalDocument); opaque.Detached || opaque.Warnings != nil {
		t.Errorf("opaque: detached %v, warnings %q", opaque.Detached, opaque.Warnings)
	}
}

// TestT47_Envelope bends the text of a good message.
func TestT47_Envelope(t *testing.T) {
	s := newShop(t)
	clear := string(s.signed(document, "smime"))
	opaque := string(s.signed(document, "smime", "-nodetach"))
	pemText := string(s.signed(document, "smime", "-nodetach", "-outform", "PEM"))
	p7 := s.signed(document, "cms", "-nodetach", "-outform", "DER")
	_, after, _ := strings.Cut(clear, "boundary=\"")
	boundary, _, _ := strings.Cut(after, "\"")
	closing := "--" + boundary + "--"
	part := "--" + boundary + "\nContent-Type: text/plain\n\nmore\n\n"
	protocol := ` protocol="application/x-pkcs7-signature";`
	edit := func(message string, old, new string) []byte {
		t.Helper()
		if !strings.Contains(message, old) {
			t.Fatalf("nothing to edit: %q", old)
		}
		return []byte(strings.Replace(message, old, new, 1))
	}
	tests := []struct {
		name    string
		message []byte
		want    verdict.Code
		warning string
	}{
		{"LF", []byte(strings.ReplaceAll(clear, "\r\n", "\n")), "", ""},
		{"CRLF", []byte(strings.ReplaceAll(strings.ReplaceAll(clear, "\r\n", "\n"), "\n", "\r\n")), "", ""},
		{"one LF among CRLF", edit(clear, "{\r\n", "{\n"), "", ""},
		{"CRs before LF", edit(clear, "{\r\n", "{\r\r\r\n"), "", ""},
		{"mail headers", []byte("Received: by x\n\tfor y\nSubject: list\n" + clear), "", ""},
		{"lines that are no header", []byte("a list\n" + clear), "", ""},
		{"header over the cap", []byte("X: " + strings.Repeat("x", MaxHeader) + "\n" + clear), verdict.MalformedEnvelope, ""},
		{"folded Content-Type", edit(clear, protocol, "\n\t"+strings.TrimSpace(protocol)), "", ""},
		{"wrong micalg", edit(clear, `micalg="sha-256"`, `micalg="md5"`), "", "micalg"},
		{"micalg in another spelling", edit(clear, `micalg="sha-256"`, `micalg=SHA256`), "", ""},
		{"no micalg", edit(clear, `micalg="sha-256"; `, ""), "", "micalg"},
		{"no protocol", edit(clear, protocol, ""), "", "protocol"},
		{"protocol without x-", edit(clear, `"application/x-pkcs7-signature"; m`, `"application/pkcs7-signature"; m`), "", ""},
		{"part without x-", edit(clear, "Type: application/x-pkcs7-signature", "Type: application/pkcs7-signature"), "", ""},
		{"wrong protocol", edit(clear, protocol, ` protocol="application/pgp-signature";`), verdict.MalformedEnvelope, ""},
		{"wrong part type", edit(clear, "Type: application/x-pkcs7-signature", "Type: application/pgp-signature"), verdict.MalformedEnvelope, ""},
		{"part type twice", edit(clear, "Content-Type: application/x", "Content-Type: application/pkcs7-signature\nContent-Type: application/x"), verdict.MalformedEnvelope, ""},
		{"two Content-Types", []byte("Content-Type: text/plain\n" + clear), verdict.MalformedEnvelope, ""},
		{"two Content-Types, one empty", []byte("content-type :\n" + clear), verdict.MalformedEnvelope, ""},
		{"boundary twice", edit(clear, protocol, ` boundary="x";`), verdict.MalformedEnvelope, ""},
		{"no boundary", edit(clear, `; boundary="`+boundary+`"`, ""), verdict.MalformedEnvelope, ""},

		{"no preamble", edit(clear, preamble, ""), "", ""},
		{"other preamble", edit(clear, preamble, "Pay attention"), verdict.MalformedEnvelope, ""},
		{"preamble and more", edit(clear, preamble, preamble+". Or not"), verdict.MalformedEnvelope, ""},
		{"epilogue", []byte(clear + "more"), verdict.MalformedEnvelope, ""},
		{"third part", edit(clear, closing, part+closing), verdict.MalformedEnvelope, ""},
		{"part before", edit(clear, "--"+boundary+"\n{", part+"--"+boundary+"\n{"), verdict.MalformedEnvelope, ""},
		{"part after the end", []byte(clear + part), verdict.MalformedEnvelope, ""},
		{"no closing boundary", edit(clear, closing, ""), verdict.MalformedEnvelope, ""},
		{"closed after the first part", edit(clear, "\n--"+boundary+"\nContent", "\n"+closing+"\nContent"), verdict.MalformedEnvelope, ""},
		{"boundary with a tail", edit(clear, "\n--"+boundary+"\nContent", "\n--"+boundary+"x\n--"+boundary+"\nContent"), verdict.MalformedEnvelope, ""},
		{"padding after the boundary", edit(clear, closing, closing+" \t"), "", ""},

		{"space before the boundary", edit(clear, "\n\n--"+boundary+"\nContent", "\n \n--"+boundary+"\nContent"), verdict.Signature, ""},
		{"blank line more", edit(clear, "\n\n--"+boundary+"\nContent", "\n\n\n--"+boundary+"\nContent"), verdict.Signature, ""},
		{"blank line less", edit(clear, "\n\n--"+boundary+"\nContent", "\n--"+boundary+"\nContent"), verdict.Signature, ""},
		{"blank line before the content", edit(clear, "\n{", "\n\n{"), verdict.Signature, ""},
		{"other content", edit(clear, "Images", "Image5"), verdict.Signature, ""},
		{"part header not signed", edit(clear, "\n{", "\nContent-Type: text/plain\n\n{"), verdict.Signature, ""},
		{"part that is a message", edit(clear, "\n{", "\nContent-Type: message/rfc822\n\n{"), verdict.MalformedEnvelope, ""},
		{"encoded part", edit(clear, "\n{", "\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{"), verdict.MalformedEnvelope, ""},

		{"not base64", edit(clear, "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 8bit"), verdict.MalformedEnvelope, ""},
		{"encoding not said", edit(clear, "Content-Transfer-Encoding: base64\n", ""), "", ""},
		{"broken base64", edit(clear, "\n\nMII", "\n\nM*I"), verdict.MalformedEnvelope, ""},
		{"empty signature", []byte(clear[:strings.Index(clear, "\n\nMII")] + "\n\n" + closing + "\n"), verdict.MalformedEnvelope, ""},
		{"other smime-type", edit(opaque, "signed-data", "certs-only"), "", "smime-type"},
		{"pkcs7-mime without x-", edit(opaque, "x-pkcs7-mime", "pkcs7-mime"), "", ""},
		{"PEM after blank lines", []byte("\n\r\n" + pemText), "", ""},
		{"PEM and more", []byte(pemText + pemText), verdict.MalformedEnvelope, ""},
		{"PEM begun twice", []byte(pemText[:strings.IndexByte(pemText, '\n')+1] + pemText), verdict.MalformedEnvelope, ""},
		{"PEM cut short", []byte(pemText[:len(pemText)/2]), verdict.MalformedEnvelope, ""},
		{"PEM of a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p7}), verdict.NotSigned, ""},
		{"bytes after the DER", append(bytes.Clone(p7), 0), verdict.MalformedEnvelope, ""},
		{"a second PKCS#7", append(bytes.Clone(p7), p7...), verdict.MalformedEnvelope, ""},
		{"DER cut short", p7[:len(p7)-1], verdict.MalformedEnvelope, ""},

		{"nothing", nil, verdict.NotSigned, ""},
		{"plain JSON", []byte(document), verdict.NotSigned, ""},
		{"plain JSON, large", []byte(strings.Repeat(" ", MaxHeader) + document), verdict.NotSigned, ""},
		{"plain JSON with blank lines", []byte("{\n\n" + clear), verdict.NotSigned, ""},
		{"web page", []byte("<!DOCTYPE html>\n\n<p>Not Found"), verdict.NotSigned, ""},
		{"plain mail", []byte("Content-Type: text/plain\n\n" + document), verdict.NotSigned, ""},
		{"multipart/mixed", edit(clear, "multipart/signed", "multipart/mixed"), verdict.NotSigned, ""},
		{"header only", []byte(clear[:strings.Index(clear, "\n\n")]), verdict.MalformedEnvelope, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := expect(t, test.message, Options{}, test.want, canonicalDocument)
			if got == nil {
				return
			}
			if said := strings.Join(got.Warnings, "\n"); (said != "") != (test.warning != "") || !strings.Contains(said, test.warning) {
				t.Errorf("warnings %q; want %q", said, test.warning)
			}
		})
	}
}

// TestFlippedBits changes every bit of the content and of the signature's
// structure: no change gives other content or another signer's key. (The rest
// of the certificate is covered by its own signature, which trust checks.)
func TestFlippedBits(t *testing.T) {
	alice := people()["p256"]
	for name, o := range map[string]SignOptions{"clear": {}, "opaque": {Opaque: true}} {
		t.Run(name, func(t *testing.T) {
			good, err := Sign([]byte("{\n}\n"), alice.cert, alice.key, nil, o)
			if err != nil {
				t.Fatal(err)
			}
			accepted := 0
			for i := range good {
				for bit := range 8 {
					bad := bytes.Clone(good)
					bad[i] ^= 1 << bit
					got, err := Open(bad, Options{})
					if err != nil {
						continue
					}
					accepted++
					if string(got.Content) != "{\r\n}\r\n" || !alice.cert.PublicKey.(*ecdsa.PublicKey).Equal(got.Signer.PublicKey) {
						t.Fatalf("byte %d bit %d: content %q, signer %v", i, bit, got.Content, got.Signer.Subject)
					}
				}
			}
			t.Logf("%d of %d changes accepted", accepted, 8*len(good))
		})
	}
}
