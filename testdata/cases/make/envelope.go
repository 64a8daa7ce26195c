package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"vouch/testdata/cases"
)

// Verdicts that cases declare (contract §4).
const (
	accepted             = cases.Accepted
	notSigned            = "not-signed"
	malformedEnvelope    = "malformed-envelope"
	badSignature         = "signature"
	weakAlgorithm        = "weak-algorithm"
	unsupportedAlgorithm = "unsupported-algorithm"
	multipleSigners      = "multiple-signers"
	untrusted            = "untrusted"
	certExpired          = "cert-expired"
	certNotYetValid      = "cert-not-yet-valid"
	keyUsage             = "key-usage"
	proxyCertificate     = "proxy-certificate"
	policyDenies         = "signing-policy"
	revoked              = "revoked"
	crlMissing           = "crl-missing"
	crlStale             = "crl-stale"
	malformedList        = "malformed-list"
	endorserMismatch     = "endorser-mismatch"
	notAuthorised        = "not-authorised"
	createdInFuture      = "created-in-future"
	listExpired          = "list-expired"
	malformedEntry       = "malformed-entry"
)

// envelopeCases are edits of a clear-signed message whose lines end in LF.
type envelopeCase struct {
	id, description, expect string
	message                 string
	more                    []about
}

func envelopes(b *book) {
	s := newStationery(b)
	for _, group := range [][]envelopeCase{
		s.lineEnds(), s.headers(), s.contentTypes(), s.preambles(), s.parts(), s.boundaries(),
		s.signatureParts(), s.contents(), s.opaqueForms(), s.otherThings(),
	} {
		for _, c := range group {
			b.add("envelope-"+c.id, c.description, c.expect, "trust.md case table; format.md Envelope; T-47", []byte(c.message), c.more...)
		}
	}
}

// stationery is what the envelope cases are cut from.
type stationery struct {
	text   string // the list
	clear  string // clear-signed
	opaque string
	p7     []byte // with the content inside
	bare   []byte // without
	b      *book
}

func newStationery(b *book) *stationery {
	s := &stationery{b: b, text: list(b.alice)}
	content := canonical([]byte(s.text))
	s.p7 = embedded(b.alice, s.text)
	s.bare = newSignedData(b.alice, content).build(content)
	s.clear, s.opaque = detached([]byte(s.text), s.bare), opaque(s.p7)
	return s
}

// edit replaces the first occurrence in the clear-signed message.
func (s *stationery) edit(old, new string) string { return replace(s.clear, old, new) }

func replace(text, old, new string) string {
	if !strings.Contains(text, old) {
		panic(fmt.Sprintf("nothing to edit: %q", old))
	}
	return strings.Replace(text, old, new, 1)
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// signPart clear-signs a part that need not be a list alone.
func (s *stationery) signPart(part string) string {
	content := canonical([]byte(part))
	return detached([]byte(part), newSignedData(s.b.alice, content).build(content))
}

func (s *stationery) lineEnds() []envelopeCase {
	asItStands := newSignedData(s.b.alice, []byte(s.text)).build(nil)
	binary := detached([]byte(s.text), asItStands)
	return []envelopeCase{
		{"lf", "every line ends in LF", accepted, s.clear, nil},
		{"crlf", "every line ends in CRLF", accepted, crlf(s.clear), nil},
		{"lf-headers-crlf-content", "as openssl writes it: header lines LF, content CRLF", accepted, replace(s.clear, s.text, crlf(s.text)), nil},
		{"crlf-headers-lf-content", "header lines CRLF, content LF", accepted, replace(crlf(s.clear), crlf(s.text), s.text), nil},
		{"mixed-content", "content lines end in LF and CRLF by turns", accepted, s.edit("Test list\",\n", "Test list\",\r\n"), nil},
		{"cr-cr-lf", "more than one CR before an LF of the content", accepted, s.edit("Test list\",\n", "Test list\",\r\r\n"), nil},
		{"cr-alone", "a CR that ends no line slipped into the content", badSignature, s.edit("Test list", "Test\rlist"), nil},
		{"cr-for-lf", "content lines that end in CR alone", badSignature, replace(s.clear, s.text, strings.ReplaceAll(s.text, "\n", "\r")), nil},
		{"binary-refused", "signed over LF content (openssl -binary), which the subscription does not allow", badSignature, binary, nil},
		{"binary-allowed", "signed over LF content with the option binary", accepted, binary, []about{options(cases.Binary), differs("binary-option")}},
		{"binary-not-needed", "the option binary beside a canonical signature", accepted, s.clear, []about{options(cases.Binary), differs("binary-option")}},
		{"binary-tampered", "the option binary does not forgive other content", badSignature, replace(binary, "Test list", "Best list"), []about{options(cases.Binary)}},
		{"binary-turned-crlf", "binary content that a mail gateway turned to CRLF: neither reading was signed", badSignature, replace(binary, s.text, crlf(s.text)), []about{options(cases.Binary)}},
		{"no-last-line-end", "content without a line end of its own", accepted, s.signPart(strings.TrimSuffix(s.text, "\n")), nil},
		{"blank-lines-signed", "content that ends in signed blank lines", accepted, s.signPart(s.text + "\n\n"), nil},
		{"leading-blank-line-signed", "content that begins with a signed blank line", accepted, s.signPart("\n" + s.text), nil},
	}
}

func (s *stationery) headers() []envelopeCase {
	return []envelopeCase{
		{"mail-headers", "mail headers before the MIME headers", accepted, "Received: by mx.example.org\n\tfor list@example.org\nSubject: image list\n" + s.clear, nil},
		{"no-mime-version", "no MIME-Version", accepted, s.edit("MIME-Version: 1.0\n", ""), nil},
		{"lines-that-are-no-field", "text before the headers that is no header field", accepted, "an image list\n" + s.clear, nil},
		{"header-names-any-case", "header names in another case", accepted, s.edit("Content-Type: multipart", "cONTENT-tYPE: multipart"), nil},
		{"folded", "Content-Type folded over several lines", accepted, s.edit("; micalg", ";\n\tmicalg"), nil},
		{"blank-line-first", "a blank line before the headers ends them", notSigned, "\n" + s.clear, nil},
		{"header-of-64k", "a header block just under the cap", accepted, "X-Filler: " + strings.Repeat("x", 65<<10-1500) + "\n" + s.clear, nil},
		{"header-too-long", "a header line over 64 KiB", malformedEnvelope, "X-Filler: " + strings.Repeat("x", 65<<10) + "\n" + s.clear, nil},
		{"headers-too-many", "more than 64 KiB of short header lines", malformedEnvelope, strings.Repeat("X-Filler: 0123456789012345678901234567890123456789012345678901234567890123456789\n", 900) + s.clear, nil},
		{"content-type-twice", "two Content-Types, plain text first", malformedEnvelope, "Content-Type: text/plain\n" + s.clear, nil},
		{"content-type-twice-alike", "the same Content-Type twice", malformedEnvelope, replace(s.clear, "MIME-Version: 1.0\n", strings.Split(s.clear, "\n")[1]+"\n"), nil},
		{"content-type-twice-last", "a second Content-Type after the first", malformedEnvelope, s.edit("\n\nThis is", "\nContent-Type: text/plain\n\nThis is"), nil},
		{"content-type-twice-empty", "a second Content-Type without a value, and a space before its colon", malformedEnvelope, "content-type :\n" + s.clear, nil},
		{"transfer-encoding-twice", "two Content-Transfer-Encodings of the message", malformedEnvelope, "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n" + s.clear, nil},
		{"no-content-type", "headers without Content-Type", notSigned, s.edit("Content-Type: multipart", "X-Type: multipart"), nil},
		{"byte-order-mark", "a byte order mark hides the Content-Type", notSigned, "\ufeff" + s.edit("MIME-Version: 1.0\n", ""), nil},
		{"headers-only", "nothing after the headers", malformedEnvelope, s.clear[:strings.Index(s.clear, "\n\n")+2], nil},
	}
}

func (s *stationery) contentTypes() []envelopeCase {
	const protocol, micalg = ` protocol="application/x-pkcs7-signature";`, ` micalg="sha-256";`
	return []envelopeCase{
		{"protocol-without-x", "protocol application/pkcs7-signature, part x-pkcs7-signature", accepted, s.edit(protocol, ` protocol="application/pkcs7-signature";`), nil},
		{"protocol-missing", "no protocol parameter", accepted, s.edit(protocol, ""), nil},
		{"protocol-any-case", "protocol in capitals", accepted, s.edit(protocol, ` protocol="APPLICATION/X-PKCS7-SIGNATURE";`), nil},
		{"protocol-pgp", "protocol application/pgp-signature", malformedEnvelope, s.edit(protocol, ` protocol="application/pgp-signature";`), nil},
		{"protocol-mime", "protocol application/pkcs7-mime", malformedEnvelope, s.edit(protocol, ` protocol="application/pkcs7-mime";`), nil},
		{"protocol-twice", "two protocol parameters that differ", malformedEnvelope, s.edit(protocol, protocol+` protocol="application/pkcs7-signature";`), nil},
		{"protocol-twice-alike", "the same protocol parameter twice", accepted, s.edit(protocol, protocol+protocol), nil},
		{"micalg-wrong", "micalg names MD5, the signature SHA-256", accepted, s.edit(micalg, ` micalg="md5";`), nil},
		{"micalg-sha1", "micalg names SHA-1, as old tools write whatever they use", accepted, s.edit(micalg, " micalg=sha1;"), nil},
		{"micalg-missing", "no micalg", accepted, s.edit(micalg, ""), nil},
		{"micalg-unknown", "micalg of a digest that there is not", accepted, s.edit(micalg, ` micalg="sha-1024";`), nil},
		{"type-any-case", "Multipart/Signed", accepted, s.edit("multipart/signed", "Multipart/Signed"), nil},
		{"boundary-unquoted", "boundary without quotes", accepted, s.edit(`boundary="`+boundary+`"`, "boundary="+boundary), nil},
		{"boundary-missing", "no boundary parameter", malformedEnvelope, s.edit(`; boundary="`+boundary+`"`, ""), nil},
		{"boundary-empty", "an empty boundary", malformedEnvelope, s.edit(`boundary="`+boundary+`"`, `boundary=""`), nil},
		{"boundary-twice", "two boundary parameters", malformedEnvelope, s.edit(`boundary="`, `boundary="x"; boundary="`), nil},
		{"boundary-other", "a boundary that does not occur", malformedEnvelope, s.edit(`boundary="`+boundary, `boundary="`+boundary+"x"), nil},
		{"boundary-unclosed-quote", "a quote that does not end", malformedEnvelope, s.edit(boundary+"\"\n", boundary+"\n"), nil},
		{"boundary-extended-beside", "a boundary in the form of RFC 2231 beside a plain one", malformedEnvelope, s.edit(`boundary="`+boundary+`"`, `boundary="x"; boundary*=us-ascii''`+boundary), nil},
		{"boundary-extended", "a boundary in the form of RFC 2231", malformedEnvelope, s.edit(`boundary="`+boundary+`"`, "boundary*=us-ascii''"+boundary), nil},
		{"boundary-continued", "a boundary in two pieces (RFC 2231) beside a plain one", malformedEnvelope, s.edit(`boundary="`+boundary+`"`,
			`boundary="x"; boundary*0="`+boundary[:4]+`"; boundary*1="`+boundary[4:]+`"`), nil},
		{"protocol-extended", "a protocol in the form of RFC 2231", malformedEnvelope, s.edit(protocol, " protocol*=us-ascii''application%2Fx-pkcs7-signature;"), nil},
		{"type-comment", "a comment after the type", malformedEnvelope, s.edit("multipart/signed;", "multipart/signed (a list);"), nil},
		{"name-extended", "the signature's file name in the form of RFC 2231, which decides nothing", accepted, s.edit(`name="smime.p7s"`, "name*=utf-8''smime.p7s"), nil},
		{"mixed", "multipart/mixed", notSigned, s.edit("multipart/signed", "multipart/mixed"), nil},
		{"alternative", "multipart/alternative", notSigned, s.edit("multipart/signed", "multipart/alternative"), nil},
		{"encrypted-multipart", "multipart/encrypted", notSigned, s.edit("multipart/signed", "multipart/encrypted"), nil},
		{"plain-text", "the same body as text/plain", notSigned, s.edit("multipart/signed", "text/plain"), nil},
		{"nested-in-mixed", "the signed message as the only part of a multipart/mixed", notSigned,
			"Content-Type: multipart/mixed; boundary=\"outer\"\n\n--outer\n" + s.clear + "\n--outer--\n", nil},
	}
}

func (s *stationery) preambles() []envelopeCase {
	const preamble = "This is an S/MIME signed message"
	return []envelopeCase{
		{"no-preamble", "no preamble", accepted, s.edit(preamble+"\n\n", ""), nil},
		{"preamble-white-space", "a preamble of white space", accepted, s.edit(preamble, " \t"), nil},
		{"preamble-foreign", "another preamble, which some readers show", malformedEnvelope, s.edit(preamble, "Install image-2 instead"), nil},
		{"preamble-longer", "OpenSSL's preamble and more", malformedEnvelope, s.edit(preamble, preamble+". Or is it?"), nil},
		{"preamble-twice", "OpenSSL's preamble twice", malformedEnvelope, s.edit(preamble, preamble+"\n"+preamble), nil},
		{"preamble-json", "a second list in the preamble", malformedEnvelope, s.edit(preamble, `{"hv:imagelist": {}}`), nil},
		{"epilogue", "text after the closing boundary", malformedEnvelope, s.clear + "more\n", nil},
		{"epilogue-json", "a second list after the closing boundary", malformedEnvelope, s.clear + s.text, nil},
		{"epilogue-message", "a second signed message after the first", malformedEnvelope, s.clear + s.clear, nil},
		{"epilogue-nul", "a NUL after the closing boundary", malformedEnvelope, s.clear + "\x00", nil},
		{"epilogue-white-space", "blank lines after the closing boundary", accepted, s.clear + "\n \n\t\n", nil},
		{"no-line-end-at-end", "no line end after the closing boundary", accepted, strings.TrimRight(s.clear, "\n"), nil},
	}
}

func (s *stationery) parts() []envelopeCase {
	const mark, closing = "--" + boundary, "--" + boundary + "--"
	part := mark + "\nContent-Type: text/plain\n\nmore\n\n"
	body := s.clear[strings.Index(s.clear, mark):]
	first := strings.Index(body, "\n"+mark+"\nContent-Type")
	return []envelopeCase{
		{"third-part", "a part between signature and end", malformedEnvelope, s.edit(closing, part+closing), nil},
		{"third-part-first", "a part before the signed one", malformedEnvelope, s.edit(mark+"\n{", part+mark+"\n{"), nil},
		{"third-part-middle", "a part between the two", malformedEnvelope, s.edit(mark+"\nContent-Type", part+mark+"\nContent-Type"), nil},
		{"part-after-end", "a part after the closing boundary", malformedEnvelope, s.clear + part + closing + "\n", nil},
		{"signature-twice", "the signature part twice", malformedEnvelope, replace(s.clear, closing, body[first+1:]), nil},
		{"signature-first", "signature and content exchanged", malformedEnvelope, s.clear[:len(s.clear)-len(body)] + body[first+1:len(body)-len(closing)-2] + body[:first+1] + closing + "\n", nil},
		{"not-closed", "no closing boundary", malformedEnvelope, s.edit(closing, ""), nil},
		{"closed-early", "the closing boundary after the first part", malformedEnvelope, s.edit("\n"+mark+"\nContent-Type", "\n"+closing+"\nContent-Type"), nil},
		{"not-closed-fully", "a closing boundary with one hyphen", malformedEnvelope, s.edit(closing, mark+"-"), nil},
		{"one-part", "only the signed part", malformedEnvelope, s.clear[:len(s.clear)-len(body)] + body[:first] + "\n" + closing + "\n", nil},
		{"no-parts", "no part at all", malformedEnvelope, s.clear[:len(s.clear)-len(body)] + closing + "\n", nil},
		{"cut-in-signature", "the message ends within the signature", malformedEnvelope, s.clear[:len(s.clear)-200], nil},
		{"part-header-signed", "a signed text/plain header (openssl smime -text)", accepted, s.signPart("Content-Type: text/plain\n\n" + s.text), nil},
		{"part-header-charset", "a signed text/plain header with charset and 8bit", accepted, s.signPart("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + s.text), nil},
		{"part-header-not-signed", "a text/plain header put before the signed bytes", badSignature, s.edit("\n{", "\nContent-Type: text/plain\n\n{"), nil},
		{"part-header-html", "a signed part that says it is HTML", malformedEnvelope, s.signPart("Content-Type: text/html\n\n" + s.text), nil},
		{"part-header-twice", "a signed part with two Content-Types", malformedEnvelope, s.signPart("Content-Type: text/plain\nContent-Type: text/plain\n\n" + s.text), nil},
		{"part-header-base64", "a signed part that says it is base64", malformedEnvelope, s.signPart("Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + wrap([]byte(s.text))), nil},
		{"part-header-quoted-printable", "a signed part that says it is quoted-printable", malformedEnvelope, s.signPart("Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n" + s.text), nil},
		{"part-message", "a signed part that is a mail message", malformedEnvelope, s.signPart("Content-Type: message/rfc822\n\n" + s.text), nil},
		{"part-multipart", "a signed part that is a multipart", malformedEnvelope, s.signPart("Content-Type: multipart/mixed; boundary=\"in\"\n\n--in\n\n" + s.text + "\n--in--\n"), nil},
		{"part-signed-again", "a signed message, signed again", malformedEnvelope, s.signPart(strings.ReplaceAll(s.clear, boundary, "inner")), nil},
		{"part-header-json", "a signed part that says it is application/json", malformedEnvelope, s.signPart("Content-Type: application/json\n\n" + s.text), nil},
	}
}

func (s *stationery) boundaries() []envelopeCase {
	const mark = "--" + boundary
	with := func(b string) string { return strings.ReplaceAll(s.clear, boundary, b) }
	return []envelopeCase{
		{"boundary-punctuation", "a boundary of the punctuation RFC 2046 allows", accepted, with("=_a'()+_,-./:=?b"), nil},
		{"boundary-of-70", "a boundary of 70 characters", accepted, with(strings.Repeat("b", 70)), nil},
		{"boundary-of-71", "a boundary of 71 characters", malformedEnvelope, with(strings.Repeat("b", 71)), nil},
		{"boundary-of-one", "a boundary of one character", accepted, with("b"), []about{differs("openssl-mime")}},
		{"boundary-hyphens", "a boundary of hyphens alone", accepted, with("------"), nil},
		{"boundary-control", "a boundary with a control character", malformedEnvelope, with("a\x01b"), nil},
		{"boundary-padding", "white space after the boundary lines", accepted, strings.ReplaceAll(s.clear, "\n"+mark+"\n", "\n"+mark+" \t\n"), nil},
		{"boundary-tail", "a line that only begins like the boundary", malformedEnvelope, s.edit("\n"+mark+"\nContent", "\n"+mark+"x\n"+mark+"\nContent"), nil},
		{"boundary-tail-instead", "a boundary with a tail in place of the one between", malformedEnvelope, s.edit("\n"+mark+"\nContent", "\n"+mark+"x\nContent"), nil},
		{"boundary-in-content", "a signed content with the boundary in it", malformedEnvelope, strings.ReplaceAll(s.signPart(replace(s.text, "{\n", "{\n--cut\n")), boundary, "cut"), nil},
		{"boundary-indented", "a boundary line that begins with a space", malformedEnvelope, s.edit("\n"+mark+"\n{", "\n "+mark+"\n{"), nil},
		{"space-before-boundary", "a space on the line end that belongs to the boundary", badSignature, s.edit("\n\n"+mark+"\nContent", "\n \n"+mark+"\nContent"), nil},
		{"blank-line-more", "a blank line more before the boundary", badSignature, s.edit("\n\n"+mark+"\nContent", "\n\n\n"+mark+"\nContent"), nil},
		{"blank-line-less", "the content's last line end left to the boundary", badSignature, s.edit("\n\n"+mark+"\nContent", "\n"+mark+"\nContent"), nil},
		{"blank-line-first-of-content", "a blank line after the first boundary", badSignature, s.edit("\n{", "\n\n{"), nil},
	}
}

func (s *stationery) signatureParts() []envelopeCase {
	const kind, encoding = "Content-Type: application/x-pkcs7-signature; name", "Content-Transfer-Encoding: base64\n"
	text := wrap(s.bare)
	with := func(body string) string { return replace(s.clear, text, body) }
	return []envelopeCase{
		{"signature-without-x", "signature part application/pkcs7-signature", accepted, s.edit(kind, "Content-Type: application/pkcs7-signature; name"), nil},
		{"signature-pgp", "signature part application/pgp-signature", malformedEnvelope, s.edit(kind, "Content-Type: application/pgp-signature; name"), nil},
		{"signature-octets", "signature part application/octet-stream", malformedEnvelope, s.edit(kind, "Content-Type: application/octet-stream; name"), nil},
		{"signature-no-type", "signature part without Content-Type", malformedEnvelope, s.edit(kind, "X-Type: application/x-pkcs7-signature; name"), nil},
		{"signature-type-twice", "signature part with two Content-Types", malformedEnvelope, s.edit(kind, "Content-Type: application/pkcs7-signature\n"+kind), nil},
		{"signature-encoding-missing", "no Content-Transfer-Encoding: base64 all the same", accepted, s.edit(encoding, ""), nil},
		{"signature-encoding-any-case", "Content-Transfer-Encoding: BASE64", accepted, s.edit(encoding, "Content-Transfer-Encoding: BASE64\n"), nil},
		{"signature-encoding-8bit", "Content-Transfer-Encoding: 8bit", malformedEnvelope, s.edit(encoding, "Content-Transfer-Encoding: 8bit\n"), nil},
		{"signature-encoding-binary", "Content-Transfer-Encoding: binary, and DER", malformedEnvelope, replace(s.edit(encoding, "Content-Transfer-Encoding: binary\n"), text, string(s.bare)+"\n"), nil},
		{"signature-encoding-twice", "two Content-Transfer-Encodings", malformedEnvelope, s.edit(encoding, encoding+encoding), nil},
		{"signature-76-columns", "base64 in lines of 76, as mail programs write it", accepted, with(wrapAt(76, s.bare)), nil},
		{"signature-short-lines", "base64 in lines of 20", accepted, with(wrapAt(20, s.bare)), nil},
		{"signature-one-line", "base64 in one line", accepted, with(base64.StdEncoding.EncodeToString(s.bare) + "\n"), []about{differs("openssl-mime")}},
		{"signature-broken-base64", "a character that is no base64", malformedEnvelope, with(replace(text, "MII", "M*I")), nil},
		{"signature-url-base64", "base64 of the URL alphabet", malformedEnvelope, with(base64.URLEncoding.EncodeToString(s.bare) + "\n"), nil},
		{"signature-garbage-after", "text after the base64", malformedEnvelope, with(text + "!\n"), nil},
		{"signature-cut", "base64 without its last line", malformedEnvelope, with(text[:strings.LastIndex(strings.TrimSpace(text), "\n")+1]), nil},
		{"signature-spare-bits", "base64 whose unused bits are not zero", malformedEnvelope, with(spareBits(s.b, s.text)), nil},
		{"signature-empty", "an empty signature part", malformedEnvelope, with("\n"), nil},
		{"signature-pem", "PEM in the signature part", malformedEnvelope, with(string(toPEM("PKCS7", s.bare))), nil},
		{"signature-is-certificate", "a certificate for a signature", malformedEnvelope, with(wrap(s.b.alice.cert)), nil},
		{"signature-of-another", "the signature of another list", badSignature, with(wrap(newSignedData(s.b.alice, []byte("other")).build(nil))), nil},
		{"signature-byte-after", "a byte after the DER", malformedEnvelope, with(wrap(append(bytes.Clone(s.bare), 0))), nil},
		{"signature-second-p7", "a second PKCS#7 after the first", malformedEnvelope, with(wrap(append(bytes.Clone(s.bare), s.bare...))), nil},
	}
}

// spareBits is a signature whose last base64 digit says more than its bytes.
func spareBits(b *book, text string) string {
	content := canonical([]byte(text))
	for n := range 3 {
		m := newSignedData(b.alice, content)
		m.signers[0].unsigned = [][]byte{attribute("1.2.3.4", octets(make([]byte, n)))}
		if der := m.build(content); len(der)%3 == 1 {
			return strings.Replace(wrap(der), "A==\n", "B==\n", 1) + map[bool]string{true: "", false: "?"}[strings.HasSuffix(wrap(der), "A==\n")]
		}
	}
	panic("no length leaves spare bits")
}

func (s *stationery) contents() []envelopeCase {
	return []envelopeCase{
		{"tampered-letter", "one letter of the list changed", badSignature, s.edit("Test list", "Best list"), nil},
		{"tampered-case", "one letter of the checksum in capitals", badSignature, s.edit("ddaf35", "Ddaf35"), nil},
		{"tampered-space", "one space removed", badSignature, s.edit(": 3,", ":3,"), nil},
		{"tampered-added", "a line added", badSignature, s.edit("\n \"hv:uri\"", "\n \"ad:vo\": \"x\",\n \"hv:uri\""), nil},
		{"tampered-removed", "a line removed", badSignature, s.edit(" \"dc:source\": \"Example\",\n", ""), nil},
		{"tampered-trailing-space", "a space at a line's end", badSignature, s.edit("Test list\",\n", "Test list\", \n"), nil},
		{"tampered-emptied", "the content taken away", badSignature, replace(s.clear, s.text, ""), nil},
		{"tampered-nul", "a NUL byte put in", badSignature, s.edit("Test list", "Test\x00list"), nil},
		{"tampered-attributes", "the signature changed in its last byte", badSignature, replace(s.clear, wrap(s.bare), wrap(flipLast(s.bare))), nil},
	}
}

func flipLast(der []byte) []byte {
	out := bytes.Clone(der)
	out[len(out)-1] ^= 1
	return out
}

func (s *stationery) opaqueForms() []envelopeCase {
	pem := string(toPEM("PKCS7", s.p7))
	enveloped := seq(oid(idEnveloped), explicit(0, seq(integer(0), rawSet(), seq(oid(idData)))))
	return []envelopeCase{
		{"opaque", "application/x-pkcs7-mime", accepted, s.opaque, nil},
		{"opaque-crlf", "the same with CRLF", accepted, crlf(s.opaque), nil},
		{"opaque-without-x", "application/pkcs7-mime", accepted, replace(s.opaque, "x-pkcs7-mime", "pkcs7-mime"), nil},
		{"opaque-no-smime-type", "no smime-type", accepted, replace(s.opaque, " smime-type=signed-data;", ""), nil},
		{"opaque-other-smime-type", "smime-type certs-only over signed data: the structure decides", accepted, replace(s.opaque, "signed-data", "certs-only"), nil},
		{"opaque-no-encoding", "no Content-Transfer-Encoding", accepted, replace(s.opaque, "Content-Transfer-Encoding: base64\n", ""), nil},
		{"opaque-7bit", "Content-Transfer-Encoding: 7bit", malformedEnvelope, replace(s.opaque, "base64", "7bit"), nil},
		{"opaque-type-twice", "two Content-Types", malformedEnvelope, replace(s.opaque, "Content-Disposition", "Content-Type: application/pkcs7-mime\nContent-Disposition"), nil},
		{"opaque-text-after", "text after the base64", malformedEnvelope, s.opaque + "\nmore!\n", nil},
		{"opaque-empty", "an empty body", malformedEnvelope, s.opaque[:strings.Index(s.opaque, "\n\n")+2], nil},
		{"opaque-without-content", "a detached signature sent as an opaque message", malformedEnvelope, opaque(s.bare), nil},
		{"opaque-encrypted", "enveloped data (RFC 5652 §6)", notSigned, replace(opaque(enveloped), "signed-data", "enveloped-data"), nil},
		{"opaque-encrypted-labelled-signed", "enveloped data that says it is signed", notSigned, opaque(enveloped), nil},
		{"opaque-text-header", "a text/plain header inside (openssl -text -nodetach)", accepted, opaque(embedded(s.b.alice, "Content-Type: text/plain\n\n"+s.text)), nil},
		{"opaque-html-header", "a text/html header inside", malformedEnvelope, opaque(embedded(s.b.alice, "Content-Type: text/html\n\n"+s.text)), nil},
		{"pem", "PEM of type PKCS7", accepted, pem, nil},
		{"pem-cms", "PEM of type CMS", accepted, string(toPEM("CMS", s.p7)), []about{differs("pem-label")}},
		{"pem-old-label", "PEM of type PKCS #7 SIGNED DATA", accepted, string(toPEM("PKCS #7 SIGNED DATA", s.p7)), []about{differs("pem-label")}},
		{"pem-blank-lines", "PEM after blank lines", accepted, "\n\r\n" + pem, nil},
		{"pem-crlf", "PEM with CRLF", accepted, crlf(pem), nil},
		{"pem-certificate", "PEM of type CERTIFICATE", notSigned, string(toPEM("CERTIFICATE", s.p7)), nil},
		{"pem-private-key", "PEM of type PRIVATE KEY", notSigned, string(toPEM("PRIVATE KEY", s.p7)), nil},
		{"pem-headers", "PEM with headers", malformedEnvelope, replace(pem, "-----\n", "-----\nProc-Type: 4,CLEAR\n\n"), nil},
		{"pem-twice", "two PEM blocks", malformedEnvelope, pem + pem, nil},
		{"pem-text-after", "text after the PEM block", malformedEnvelope, pem + "more\n", nil},
		{"pem-text-before", "text before the PEM block", notSigned, "# an image list\n" + pem, nil},
		{"pem-cut", "PEM without its end", malformedEnvelope, pem[:len(pem)/2], nil},
		{"pem-without-content", "PEM of a detached signature", malformedEnvelope, string(toPEM("PKCS7", s.bare)), nil},
		{"der", "DER", accepted, string(s.p7), nil},
		{"der-byte-after", "a byte after the DER", malformedEnvelope, string(s.p7) + "\x00", nil},
		{"der-line-end-after", "a line end after the DER", malformedEnvelope, string(s.p7) + "\n", nil},
		{"der-second", "a second message after the DER", malformedEnvelope, string(s.p7) + string(s.p7), nil},
		{"der-cut", "DER without its last byte", malformedEnvelope, string(s.p7[:len(s.p7)-1]), nil},
		{"der-without-content", "DER of a detached signature", malformedEnvelope, string(s.bare), nil},
		{"base64-alone", "base64 without any header", notSigned, wrap(s.p7), nil},
		{"embedded-and-detached", "the list both inside the signature and beside it", malformedEnvelope, detached([]byte(s.text), s.p7), nil},
		{"embedded-other-shown", "one list shown, another inside the signature and signed", malformedEnvelope, detached([]byte(strings.Replace(s.text, "Test", "Evil", 1)), s.p7), nil},
		{"embedded-empty-content", "empty content inside the signature, the list beside it", malformedEnvelope,
			string(clearSigned(s.b.alice, s.text, func(m *signedData) { m.content = []byte{} })), nil},
	}
}

func (s *stationery) otherThings() []envelopeCase {
	return []envelopeCase{
		{"nothing", "no byte at all", notSigned, "", nil},
		{"unsigned", "the bare list", notSigned, s.text, nil},
		{"unsigned-long", "the bare list after 64 KiB of white space", notSigned, strings.Repeat(" ", 65<<10) + s.text, nil},
		{"web-page", "an error page", notSigned, "<!DOCTYPE html>\n<title>404</title>\n\n<p>Not Found\n", nil},
		{"mail", "a plain mail with the list", notSigned, "From: a@example.org\nContent-Type: application/json\n\n" + s.text, nil},
		{"list-then-message", "the bare list, then the signed message", notSigned, s.text + "\n" + s.clear, nil},
		{"pgp-clear", "an OpenPGP clear-signed list", notSigned, "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + s.text + "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n", nil},
		{"gzip", "a compressed message", notSigned, "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00", nil},
		{"utf-16", "the message in UTF-16", notSigned, "\xff\xfe" + strings.Join(strings.Split(s.clear[:400], ""), "\x00") + "\x00", nil},
		{"der-integer", "DER that is no SEQUENCE", notSigned, "\x02\x81\x01\x05", nil},
		{"jws", "a JSON Web Signature", notSigned, "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl\n", nil},
	}
}
