package smime

import (
	"errors"
	"math/bits"
)

// Identifier octets of X.690 that the normalisation knows.
const (
	tagOctetString = 0x04
	tagSequence    = 0x30
	tagSet         = 0x31
	constructed    = 0x20
	classMask      = 0xc0
	numberMask     = 0x1f
)

// signedDepth is where SignerInfos, certificates and algorithms stand in a
// message. Signatures cover the encoding of what is inside of them, so from
// there on nothing is rewritten: it is DER already or refused.
const signedDepth = 4

var (
	errTruncated  = errors.New("ber: an element reaches beyond its parent")
	errLimits     = errors.New("ber: too deep or too many elements")
	errForm       = errors.New("ber: bad identifier or length")
	errTrailing   = errors.New("ber: bytes after the end")
	errNotDER     = errors.New("ber: not DER where signatures need it")
	errSegment    = errors.New("ber: a piece of an octet string that is none")
	errUnfinished = errors.New("ber: no end of contents")
)

// element is one decoded element: its content octets, or its children. An
// octet string in pieces is primitive here and has them as children.
type element struct {
	id       byte
	value    []byte
	children []element
	size     int // content octets in DER
}

// decoder counts what is decoded, and notes whether any of it was not DER.
type decoder struct {
	elements int
	rewrite  bool
}

// normalise rewrites one BER element as DER: definite, shortest lengths and
// octet strings in one piece, within MaxDepth and MaxNodes, nothing after it.
// What is DER already is returned itself. It does not look into primitive
// values and does not sort sets.
//
// It runs before any other parser sees the bytes: the checks here, in time
// and space linear in the input, are what keeps overlapping, nested and
// endless encodings from the rest (T-46).
func normalise(ber []byte) ([]byte, error) {
	var d decoder
	e, rest, err := d.decode(ber, 0, false)
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, errTrailing
	case !d.rewrite:
		return ber, nil
	}
	return e.append(make([]byte, 0, e.length())), nil
}

// decode reads the first element of in.
func (d *decoder) decode(in []byte, depth int, strict bool) (e element, rest []byte, err error) {
	if d.elements++; d.elements > MaxNodes || depth >= MaxDepth {
		return e, nil, errLimits
	}
	strict = strict || depth == signedDepth && len(in) > 0 && in[0] == tagSequence
	id, length, body, err := d.header(in, strict)
	if err != nil {
		return e, nil, err
	}
	e.id = id
	if id&constructed == 0 {
		e.value, e.size = body[:length], length
		return e, body[length:], nil
	}
	if e.children, rest, err = d.children(body, length, depth+1, strict); err != nil {
		return e, nil, err
	}
	if id == tagOctetString|constructed {
		return e, rest, d.join(&e, strict)
	}
	for i := range e.children {
		e.size += e.children[i].length()
	}
	return e, rest, nil
}

// header reads identifier and length octets; the length is -1 when indefinite.
func (d *decoder) header(in []byte, strict bool) (id byte, length int, body []byte, err error) {
	if len(in) < 2 {
		return 0, 0, nil, errTruncated
	}
	id = in[0]
	if !validIdentifier(id) {
		return 0, 0, nil, errForm
	}
	length, n, err := berLength(in[1:], id)
	if err != nil {
		return 0, 0, nil, err
	}
	if body = in[1+n:]; length > len(body) {
		return 0, 0, nil, errTruncated
	}
	if length < 0 || n != lengthOctets(length) {
		d.rewrite = true
		if strict {
			return 0, 0, nil, errNotDER
		}
	}
	return id, length, body, nil
}

// validIdentifier refuses long tag numbers, which CMS and X.509 do not use, an
// end of contents out of place, and universal types in the form they cannot
// have.
func validIdentifier(id byte) bool {
	number := id & numberMask
	if number == numberMask {
		return false
	}
	if id&classMask != 0 {
		return true
	}
	switch id &^ constructed {
	case 0:
		return false
	case tagSequence &^ constructed, tagSet &^ constructed:
		return id&constructed != 0
	}
	return id&constructed == 0 || id == tagOctetString|constructed
}

// berLength reads length octets and says how many there are.
func berLength(in []byte, id byte) (length, n int, err error) {
	first := in[0]
	if first < 0x80 {
		return int(first), 1, nil
	}
	if first == 0x80 {
		if id&constructed == 0 {
			return 0, 0, errForm
		}
		return -1, 1, nil
	}
	n = int(first & 0x7f)
	if n > len(in)-1 {
		return 0, 0, errTruncated
	}
	for _, b := range in[1 : 1+n] {
		if length > 1<<30>>8 {
			return 0, 0, errTruncated
		}
		length = length<<8 | int(b)
	}
	return length, 1 + n, nil
}

// children reads the elements of a constructed one, up to its length or its
// end of contents.
func (d *decoder) children(body []byte, length, depth int, strict bool) (list []element, rest []byte, err error) {
	in := body
	if length >= 0 {
		in, rest = body[:length], body[length:]
	}
	for {
		if length >= 0 && len(in) == 0 {
			return list, rest, nil
		}
		if length < 0 && len(in) == 0 {
			return nil, nil, errUnfinished
		}
		if length < 0 && len(in) >= 2 && in[0] == 0 && in[1] == 0 {
			return list, in[2:], nil
		}
		var e element
		if e, in, err = d.decode(in, depth, strict); err != nil {
			return nil, nil, err
		}
		list = append(list, e)
	}
}

// join makes an octet string in pieces (X.690 §8.7.3) a primitive one.
func (d *decoder) join(e *element, strict bool) error {
	if strict {
		return errNotDER
	}
	d.rewrite = true
	e.id = tagOctetString
	for i := range e.children {
		if e.children[i].id != tagOctetString {
			return errSegment
		}
		e.size += e.children[i].size
	}
	return nil
}

// length is what the element takes in DER.
func (e *element) length() int { return 1 + lengthOctets(e.size) + e.size }

// append writes the element's DER.
func (e *element) append(out []byte) []byte {
	out = appendLength(append(out, e.id), e.size)
	if e.id == tagOctetString {
		return e.appendPieces(out)
	}
	out = append(out, e.value...)
	for i := range e.children {
		out = e.children[i].append(out)
	}
	return out
}

// appendPieces writes the content of an octet string.
func (e *element) appendPieces(out []byte) []byte {
	out = append(out, e.value...)
	for i := range e.children {
		out = e.children[i].appendPieces(out)
	}
	return out
}

// lengthOctets is how many octets the DER form of a length takes.
func lengthOctets(n int) int {
	if n < 0x80 {
		return 1
	}
	return 1 + (bits.Len(uint(n))+7)/8
}

func appendLength(out []byte, n int) []byte {
	if n < 0x80 {
		return append(out, byte(n))
	}
	octets := lengthOctets(n) - 1
	out = append(out, 0x80|byte(octets))
	for i := octets - 1; i >= 0; i-- {
		out = append(out, byte(n>>(8*i)))
	}
	return out
}
