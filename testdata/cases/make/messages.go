package main

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// canonical is the form of a text that is signed.
func canonical(text []byte) []byte {
	lf := bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))
}

const boundary = "----6c1f5a0e2d"

// wrap is base64 in lines of 64 characters.
func wrap(der []byte) string { return wrapAt(64, der) }

func wrapAt(width int, der []byte) string {
	text := base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + "\n")
		text = text[width:]
	}
	return b.String() + text + "\n"
}

// detached is the clear-signed message as OpenSSL writes it, all lines ending in LF.
func detached(part, p7 []byte) string {
	return "MIME-Version: 1.0\n" +
		`Content-Type: multipart/signed; protocol="application/x-pkcs7-signature"; micalg="sha-256"; boundary="` + boundary + "\"\n\n" +
		"This is an S/MIME signed message\n\n" +
		"--" + boundary + "\n" + string(part) + "\n--" + boundary + "\n" +
		"Content-Type: application/x-pkcs7-signature; name=\"smime.p7s\"\n" +
		"Content-Transfer-Encoding: base64\n" +
		"Content-Disposition: attachment; filename=\"smime.p7s\"\n\n" +
		wrap(p7) + "\n--" + boundary + "--\n\n"
}

// opaque is the message with the content inside, as OpenSSL writes it.
func opaque(p7 []byte) string {
	return "MIME-Version: 1.0\n" +
		"Content-Disposition: attachment; filename=\"smime.p7m\"\n" +
		"Content-Type: application/x-pkcs7-mime; smime-type=signed-data; name=\"smime.p7m\"\n" +
		"Content-Transfer-Encoding: base64\n\n" + wrap(p7)
}

// clearSigned is a list signed by somebody, bent by those who want to.
func clearSigned(by *entity, text string, bend ...func(*signedData)) []byte {
	content := canonical([]byte(text))
	m := newSignedData(by, content)
	for _, b := range bend {
		b(m)
	}
	return []byte(detached([]byte(text), m.build(content)))
}

// embedded is the PKCS#7 of a list with the content inside.
func embedded(by *entity, text string, bend ...func(*signedData)) []byte {
	content := canonical([]byte(text))
	m := newSignedData(by, content)
	m.content = content
	for _, b := range bend {
		b(m)
	}
	return m.build(content)
}

// carrying puts further certificates into the message.
func carrying(others ...*entity) func(*signedData) {
	return func(m *signedData) {
		for _, o := range others {
			m.certs = append(m.certs, o.cert)
		}
	}
}
