package smime

import (
	"bytes"
	"strings"
	"testing"

	"vouch/imagelist/verdict"
)

// TestReasons_Envelope bends the text of two good messages.
func TestReasons_Envelope(t *testing.T) {
	id := people()["p256"]
	clear, err := Sign([]byte(document), id.cert, id.key, nil, SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	opaque, err := Sign([]byte(document), id.cert, id.key, nil, SignOptions{Opaque: true})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(clear), `boundary="`)
	boundary, _, _ := strings.Cut(rest, `"`)
	long := "X: " + strings.Repeat("x", MaxHeader) + "\n"
	for _, c := range []struct {
		message  []byte
		old, new string
		code     verdict.Code
		why      string
	}{
		{clear, "MIME-Version: 1.0\n", long, verdict.MalformedEnvelope, "the header is longer than 65536 bytes"},
		{clear, "MIME-Version: 1.0\n", "Content-Type: text/plain\n", verdict.MalformedEnvelope, "more than one Content-Type"},
		{clear, "multipart/signed", "multipart/mixed", verdict.NotSigned, `Content-Type is "multipart/mixed"`},
		{clear, `micalg="sha-256"`, `micalg="sha-256`, verdict.MalformedEnvelope, "Content-Type multipart/signed: mime"},
		{clear, `protocol="application/x-pkcs7-signature"`, `protocol="application/pgp-signature"`, verdict.MalformedEnvelope, "is not a PKCS#7 signature"},
		{clear, `boundary="` + boundary + `"`, `boundary=""`, verdict.MalformedEnvelope, "no usable boundary"},
		{clear, `boundary="` + boundary + `"`, `boundary="other"`, verdict.MalformedEnvelope, "no boundary where one is needed"},
		{clear, preamble, "Hello", verdict.MalformedEnvelope, "text before the first part"},
		{clear, "\n--" + boundary + "--\n", "\n--" + boundary + "--\nmore", verdict.MalformedEnvelope, "text after the last part"},
		{clear, "\n--" + boundary + "--\n", "\n--" + boundary + "\n", verdict.MalformedEnvelope, "not exactly two parts"},
		{clear, "\n--" + boundary + "--\n", "\n", verdict.MalformedEnvelope, "no boundary where one is needed"},
		{clear, "\n--" + boundary + "--\n", "\n--" + boundary + "--x\n", verdict.MalformedEnvelope, "a line that only begins like the boundary"},
		{clear, "--" + boundary + "\n" + canonicalDocument + "\n--", "--" + boundary + "\n--", verdict.MalformedEnvelope, "a part without a line end"},
		{clear, "Content-Transfer-Encoding", long + "Content-Transfer-Encoding", verdict.MalformedEnvelope, "signature part: bad header"},
		{clear, "Content-Transfer-Encoding: base64", "Content-Type: application/x-pkcs7-signature", verdict.MalformedEnvelope, "signature part: bad header"},
		{clear, "\nContent-Type: application/x-pkcs7-signature", "\nContent-Type: text/plain", verdict.MalformedEnvelope, "signature part: Content-Type"},
		{clear, "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 7bit", verdict.MalformedEnvelope, `"7bit" is not base64`},
		{clear, "\n\nMI", "\n\n!MI", verdict.MalformedEnvelope, "PKCS#7: illegal base64"},
		{clear, "--" + boundary + "\n{", "--" + boundary + "\nContent-Type: text/html\n\n{", verdict.MalformedEnvelope, "its header is not that of plain text"},
		{clear, "--" + boundary + "\n{", "--" + boundary + "\n" + long + "{", verdict.MalformedEnvelope, "its header is not that of plain text"},
		{clear, "--" + boundary + "\n{", "--" + boundary + "\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{",
			verdict.MalformedEnvelope, `signed part: Content-Transfer-Encoding "base64"`},
		{opaque, "\n\nMI", "\n\n!MI", verdict.MalformedEnvelope, "PKCS#7: illegal base64"},
		{opaque, "base64\n\n", "base64\n\n\n", "", ""},
		{opaque, "base64\n\n", "quoted-printable\n\n", verdict.MalformedEnvelope, "is not base64"},
		{opaque, "application/x-pkcs7-mime", "application/octet-stream", verdict.NotSigned, "not an S/MIME message"},
	} {
		bent := bytes.Replace(c.message, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(bent, c.message) {
			t.Fatalf("%.40q is not in the message", c.old)
		}
		wantReason(t, bent, c.code, c.why)
	}
	der := forge(document, func(*forgery) {})
	wantReason(t, append(bytes.Clone(der), 0), verdict.MalformedEnvelope, "PKCS#7: ber: bytes after the end")
	wantReason(t, der[:len(der)-1], verdict.MalformedEnvelope, "PKCS#7: ber: an element reaches beyond")
	wantReason(t, encode([]int{1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30,
		1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30}),
		verdict.MalformedEnvelope, "PKCS#7: asn1")
	wantReason(t, lengthened(t, der), verdict.MalformedEnvelope, "PKCS#7: wrong fields")
	wantReason(t, []byte("-----BEGIN CMS-----\n"), verdict.MalformedEnvelope, "PEM: cannot be decoded")
	wantReason(t, []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), verdict.NotSigned, `PEM of type "CERTIFICATE"`)
	wantReason(t, []byte("-----BEGIN CMS-----\n-----END CMS-----\nmore"), verdict.MalformedEnvelope, "text after the end")
}

// wantReason opens a message, which gives a code and a text; "" accepts.
func wantReason(t *testing.T, message []byte, code verdict.Code, why string) {
	t.Helper()
	_, err := Open(message, Options{})
	if verdict.Of(err) != code || err != nil && !strings.Contains(err.Error(), why) {
		t.Errorf("%v; want %s: %s", err, code, why)
	}
}
