package trust

import (
	"bytes"
	"encoding/asn1"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// name is a decoded X.501 distinguished name. encoding/x509/pkix is of no use
// here: it shows DC, UID and emailAddress as numbers, in reverse.
type name []rdn

// rdn is one relative distinguished name in the order of its encoding.
type rdn []ava

// ava is one attribute: its type, and its value as it is encoded.
type ava struct {
	oid   string
	typ   []byte // the OBJECT IDENTIFIER element
	tag   cbasn1.Tag
	value []byte // content octets
	der   []byte // the value's whole element
}

// The string types of X.680 that names are made of and cryptobyte does not name.
const (
	tagVisibleString   = cbasn1.Tag(26)
	tagUniversalString = cbasn1.Tag(28)
	tagBMPString       = cbasn1.Tag(30)
)

// parseName decodes the DER of a Name. It reports false for anything else.
func parseName(raw []byte) (name, bool) {
	in := cryptobyte.String(raw)
	var sequence cryptobyte.String
	if !in.ReadASN1(&sequence, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	var n name
	for !sequence.Empty() {
		var set cryptobyte.String
		if !sequence.ReadASN1(&set, cbasn1.SET) || set.Empty() {
			return nil, false
		}
		r, ok := parseRDN(set)
		if !ok {
			return nil, false
		}
		n = append(n, r)
	}
	return n, true
}

func parseRDN(set cryptobyte.String) (rdn, bool) {
	var r rdn
	for !set.Empty() {
		var pair, typ, element, value cryptobyte.String
		var a ava
		if !set.ReadASN1(&pair, cbasn1.SEQUENCE) ||
			!pair.ReadASN1Element(&typ, cbasn1.OBJECT_IDENTIFIER) ||
			!pair.ReadAnyASN1Element(&element, &a.tag) || !pair.Empty() {
			return nil, false
		}
		a.typ, a.der = typ, element
		var oid asn1.ObjectIdentifier
		if !typ.ReadASN1ObjectIdentifier(&oid) || !element.ReadAnyASN1(&value, &a.tag) {
			return nil, false
		}
		a.oid, a.value = oid.String(), value
		r = append(r, a)
	}
	return r, true
}

// text decodes the value to UTF-8 by its type. It reports false for types
// that are not text and for bytes that are not of their type. T61 is read as
// ISO 8859-1, as everybody does.
func (a ava) text() (string, bool) {
	switch a.tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String, tagVisibleString:
		return string(a.value), utf8.Valid(a.value)
	case cbasn1.T61String:
		runes := make([]rune, len(a.value))
		for i, c := range a.value {
			runes[i] = rune(c)
		}
		return string(runes), true
	case tagBMPString:
		return decodeBMP(a.value)
	case tagUniversalString:
		return decodeUniversal(a.value)
	}
	return "", false
}

func decodeBMP(b []byte) (string, bool) {
	if len(b)%2 != 0 {
		return "", false
	}
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) > 0; b = b[2:] {
		units = append(units, uint16(b[0])<<8|uint16(b[1]))
	}
	return string(utf16.Decode(units)), true
}

func decodeUniversal(b []byte) (string, bool) {
	if len(b)%4 != 0 {
		return "", false
	}
	var s []byte
	for ; len(b) > 0; b = b[4:] {
		r := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		if r > utf8.MaxRune {
			return "", false
		}
		s = utf8.AppendRune(s, rune(r))
	}
	return string(s), true
}

// isPrefixOf reports whether m is n and exactly one more RDN.
func (n name) isPrefixOf(m name) bool {
	if len(m) != len(n)+1 {
		return false
	}
	a, okA := n.canonical()
	b, okB := m[:len(n)].canonical()
	return okA && okB && bytes.Equal(a, b)
}
