package smime

import (
	"bytes"
	"strings"
)

// maxBoundary is RFC 2046 §5.1.1.
const maxBoundary = 70

// delimiter is a boundary line of a multipart body.
type delimiter struct {
	before  int // where the part before it ends, its line end excluded
	after   int // where the line after it begins
	closing bool
}

// split cuts a multipart body into exactly two parts (RFC 1847 §2.1), without
// the line ends that belong to the boundaries (RFC 2046 §5.1.1).
func split(body []byte, boundary string) (first, second []byte, err error) {
	if !validBoundary(boundary) {
		return nil, nil, malformed("multipart/signed: no usable boundary parameter")
	}
	var d [3]delimiter
	for i, from := 0, 0; i < len(d); i++ {
		if d[i], err = nextDelimiter(body, "--"+boundary, from); err != nil {
			return nil, nil, err
		}
		if closing := i == len(d)-1; d[i].closing != closing {
			return nil, nil, malformed("multipart/signed: not exactly two parts")
		}
		from = d[i].after
	}
	if d[1].before < d[0].after || d[2].before < d[1].after {
		return nil, nil, malformed("multipart/signed: a part without a line end")
	}
	switch string(bytes.Trim(body[:d[0].before], " \t\r\n")) {
	case "", preamble:
	default:
		return nil, nil, malformed("multipart/signed: text before the first part")
	}
	if len(bytes.Trim(body[d[2].after:], " \t\r\n")) > 0 {
		return nil, nil, malformed("multipart/signed: text after the last part")
	}
	return body[d[0].after:d[1].before], body[d[1].after:d[2].before], nil
}

// validBoundary is RFC 2046 §5.1.1, but with all of printable ASCII.
func validBoundary(s string) bool {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	return s != "" && len(s) <= maxBoundary && !strings.ContainsFunc(s, unprintable)
}

// nextDelimiter finds the next line of body, from a line start on, that begins
// with mark. White space after it is transport padding; anything else is
// refused, because OpenSSL takes such a line for the boundary and others do not.
func nextDelimiter(body []byte, mark string, from int) (delimiter, error) {
	at := from
	if !bytes.HasPrefix(body[from:], []byte(mark)) {
		n := bytes.Index(body[from:], []byte("\n"+mark))
		if n < 0 {
			return delimiter{}, malformed("multipart/signed: no boundary where one is needed")
		}
		at = from + n + 1
	}
	tail, _, _ := bytes.Cut(body[at+len(mark):], []byte{'\n'})
	d := delimiter{before: at, after: min(at+len(mark)+len(tail)+1, len(body))}
	switch string(bytes.TrimRight(tail, " \t\r")) {
	case "":
	case "--":
		d.closing = true
	default:
		return delimiter{}, malformed("multipart/signed: a line that only begins like the boundary")
	}
	if at > 0 {
		d.before = len(bytes.TrimRight(body[:at-1], "\r"))
	}
	return d, nil
}
