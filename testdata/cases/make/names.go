package main

import "strings"

// String types of X.680.
const (
	utf8String      = 0x0c
	numericString   = 0x12
	printableString = 0x13
	t61String       = 0x14
	ia5String       = 0x16
	visibleString   = 0x1a
	universalString = 0x1c
	bmpString       = 0x1e
)

// attributeTypes are the labels that names in this program are written with.
var attributeTypes = map[string]string{
	"DC": "0.9.2342.19200300.100.1.25", "C": "2.5.4.6", "O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3", "L": "2.5.4.7",
	"ST": "2.5.4.8", "SN": "2.5.4.4", "GN": "2.5.4.42", "title": "2.5.4.12", "serialNumber": "2.5.4.5",
	"UID": "0.9.2342.19200300.100.1.1", "emailAddress": "1.2.840.113549.1.9.1",
}

// ava is one attribute of a name; the string type is that of most CAs, unless given.
type ava struct {
	label, value string
	tag          byte
}

func (a ava) der() []byte {
	tag, typ := a.tag, attributeTypes[a.label]
	if typ == "" {
		typ = a.label
	}
	switch {
	case tag != 0:
	case a.label == "DC" || a.label == "emailAddress":
		tag = ia5String
	case a.label == "C" || a.label == "serialNumber":
		tag = printableString
	default:
		tag = utf8String
	}
	return seq(oid(typ), tlv(tag, []byte(a.value)))
}

// rdns is a name of which each part is one relative distinguished name.
func rdns(parts ...[]ava) []byte {
	var sets [][]byte
	for _, p := range parts {
		var elements [][]byte
		for _, a := range p {
			elements = append(elements, a.der())
		}
		sets = append(sets, set(elements...))
	}
	return seq(sets...)
}

// dn is a name of single attributes, written LABEL=value with '/' before each.
func dn(text string) []byte {
	var parts [][]ava
	for _, step := range strings.Split(text, "/")[1:] {
		label, value, _ := strings.Cut(step, "=")
		parts = append(parts, []ava{{label: label, value: value}})
	}
	return rdns(parts...)
}

// example is a name below /DC=org/DC=example.
func example(rest string) string { return "/DC=org/DC=example" + rest }

// person is the name of somebody in the people branch.
func person(cn string) string { return example("/OU=people/CN=" + cn) }
