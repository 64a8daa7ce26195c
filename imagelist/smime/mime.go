package smime

import (
	"bytes"
	"encoding/base64"
	"errors"
	"mime"
	"regexp"
	"strings"

	"vouch/imagelist/verdict"
)

// The splitting is done by hand because these lists are not well-formed MIME:
// the signed part has no header block, not even an empty one, and its bytes
// matter to the last line end.

// preamble is what OpenSSL writes before the first boundary. Any other text
// there would be shown by some readers and is covered by no signature.
const preamble = "This is an S/MIME signed message"

// envelope is a message taken out of its transport form.
type envelope struct {
	p7       []byte // the PKCS#7 structure, BER or DER
	part     []byte // the signed part as it stands, when detached
	detached bool
	micalg   string
	warnings []string
}

// header is what matters of one MIME header block.
type header struct {
	contentType field
	encoding    field // Content-Transfer-Encoding
}

// field is a header field: how often it occurs, and the text of all of it,
// unfolded.
type field struct {
	count int
	text  []byte
}

func (f *field) String() string { return string(bytes.TrimSpace(f.text)) }

func malformed(format string, args ...any) error {
	return verdict.Reject(verdict.MalformedEnvelope, format, args...)
}

func notSigned(format string, args ...any) error {
	return verdict.Reject(verdict.NotSigned, format, args...)
}

// unwrapMIME takes a MIME message apart. Mail headers and lines that are no
// header field at all may stand in the header block; they decide nothing.
func unwrapMIME(raw []byte) (*envelope, error) {
	h, body, ok := readHeader(raw)
	if !ok && startsWithField(raw) {
		return nil, malformed("the header is longer than %d bytes", MaxHeader)
	}
	if h.twice() {
		return nil, malformed("more than one Content-Type or Content-Transfer-Encoding")
	}
	kind, params, err := h.mediaType()
	switch kind {
	case "multipart/signed", "application/pkcs7-mime", "application/x-pkcs7-mime":
	default:
		return nil, notSigned("not an S/MIME message: Content-Type is %.100q", kind)
	}
	if err != nil {
		return nil, malformed("Content-Type %s: %v", kind, err)
	}
	if kind == "multipart/signed" {
		return unwrapSigned(body, params)
	}
	return unwrapOpaque(h, body, params)
}

// unwrapOpaque is application/pkcs7-mime: the content is inside the structure.
// Whether that is signed at all is read from the structure; smime-type only
// earns a warning.
func unwrapOpaque(h header, body []byte, params map[string]string) (*envelope, error) {
	p7, err := decodeBase64(h, body)
	if err != nil {
		return nil, err
	}
	e := &envelope{p7: p7}
	if t := params["smime-type"]; t != "" && !strings.EqualFold(t, "signed-data") {
		e.warnings = append(e.warnings, "smime-type is not signed-data")
	}
	return e, nil
}

// unwrapSigned is multipart/signed: the signed part, then its signature.
func unwrapSigned(body []byte, params map[string]string) (*envelope, error) {
	e := &envelope{detached: true, micalg: params["micalg"]}
	switch protocol := params["protocol"]; {
	case protocol == "":
		e.warnings = append(e.warnings, "multipart/signed has no protocol parameter")
	case !isSignatureType(protocol):
		return nil, malformed("protocol %.100q is not a PKCS#7 signature", protocol)
	}
	part, signature, err := split(body, params["boundary"])
	if err != nil {
		return nil, err
	}
	h, encoded, ok := readHeader(signature)
	if !ok || h.twice() {
		return nil, malformed("signature part: bad header")
	}
	if kind, _, err := h.mediaType(); err != nil || !isSignatureType(kind) {
		return nil, malformed("signature part: Content-Type is %.100q", kind)
	}
	e.part = part
	e.p7, err = decodeBase64(h, encoded)
	return e, err
}

func isSignatureType(s string) bool {
	s = strings.ToLower(s)
	return s == "application/pkcs7-signature" || s == "application/x-pkcs7-signature"
}

// decodeBase64 reads a body. Without a Content-Transfer-Encoding it is taken
// for base64, as OpenSSL does. Unused bits must be zero, so that one structure
// has one text.
func decodeBase64(h header, body []byte) ([]byte, error) {
	if h.encoding.count > 0 && !strings.EqualFold(h.encoding.String(), "base64") {
		return nil, malformed("Content-Transfer-Encoding %.100q is not base64", h.encoding.String())
	}
	body = bytes.Trim(body, " \t\r\n")
	out := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
	n, err := base64.StdEncoding.Strict().Decode(out, body)
	if err != nil {
		return nil, malformed("PKCS#7: %v", err)
	}
	return out[:n], nil
}

// readHeader reads a header block up to its blank line, or to the end of b,
// and returns what follows it. It is false when the block exceeds MaxHeader.
func readHeader(b []byte) (h header, body []byte, ok bool) {
	var ignored field
	current := &ignored // what a folded line continues
	for rest := b; ; {
		line, after, _ := bytes.Cut(rest, []byte{'\n'})
		if len(b)-len(rest)+len(line) > MaxHeader {
			return h, nil, false
		}
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			return h, after, true
		}
		if line[0] != ' ' && line[0] != '\t' {
			if current, line = h.field(line); current == nil {
				current = &ignored
			}
			current.count++
		}
		current.text = append(append(current.text, ' '), line...)
		rest = after
	}
}

// field returns the field that a line begins, if it matters, and the rest of
// the line.
func (h *header) field(line []byte) (*field, []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	switch strings.ToLower(string(bytes.TrimRight(name, " \t"))) {
	case "content-type":
		return &h.contentType, value
	case "content-transfer-encoding":
		return &h.encoding, value
	}
	return nil, nil
}

// twice says whether a field that decides something occurs twice: readers
// differ in which one they take.
func (h *header) twice() bool { return h.contentType.count > 1 || h.encoding.count > 1 }

// extended are parameters that decide something, in the form of RFC 2231. Some
// readers know it and others take the plain parameter beside it.
var extended = regexp.MustCompile(`(?i)[;\s](boundary|protocol)\*`)

// mediaType is the Content-Type, lower case, "" if absent, and its parameters.
// A bad parameter, or a comment, is an error that comes with the type.
func (h *header) mediaType() (kind string, params map[string]string, err error) {
	if h.contentType.count == 0 {
		return "", nil, nil
	}
	value := h.contentType.String()
	kind = value
	if end := strings.IndexAny(value, ";("); end >= 0 {
		kind = value[:end]
	}
	if _, params, err = mime.ParseMediaType(value); err == nil && extended.MatchString(value) {
		err = errors.New("a parameter in the form of RFC 2231")
	}
	return strings.ToLower(strings.TrimSpace(kind)), params, err
}

// startsWithField says whether b begins with a header field. A JSON document
// never does: its first byte is no letter.
func startsWithField(b []byte) bool {
	line, _, _ := bytes.Cut(b[:min(len(b), MaxHeader)], []byte{'\n'})
	name, _, found := bytes.Cut(line, []byte{':'})
	name = bytes.TrimRight(name, " \t")
	if !found || len(name) == 0 || name[0] == '-' {
		return false
	}
	for _, c := range name {
		if c != '-' && (c < '0' || '9' < c && c < 'A' || 'Z' < c && c < 'a' || 'z' < c) {
			return false
		}
	}
	return true
}

// withoutHeader returns the hashed bytes without the part's own MIME header
// (openssl smime -text), if it has one. The header must be that of plain text
// as it stands: anything else is nested or encoded, and its meaning would not
// be the bytes that were signed.
func withoutHeader(part []byte) ([]byte, error) {
	if !startsWithField(part) {
		return part, nil
	}
	h, body, ok := readHeader(part)
	kind, _, err := h.mediaType()
	if !ok || h.twice() || err != nil || kind != "text/plain" {
		return nil, malformed("signed part: its header is not that of plain text")
	}
	switch strings.ToLower(h.encoding.String()) {
	case "", "7bit", "8bit", "binary":
		return body, nil
	}
	return nil, malformed("signed part: Content-Transfer-Encoding %.100q", h.encoding.String())
}
