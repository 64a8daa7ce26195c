package main

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The structures are written element by element: most cases are about what an
// encoder that knows them would not write.

// join is the parts one after the other.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// tlv is one element in DER.
func tlv(tag byte, parts ...[]byte) []byte {
	return marshal(asn1.RawValue{Class: int(tag >> 6), Tag: int(tag & 0x1f), IsCompound: tag&0x20 != 0, Bytes: join(parts...)})
}

// endless is one element of indefinite length.
func endless(tag byte, parts ...[]byte) []byte {
	return join([]byte{tag, 0x80}, join(parts...), []byte{0, 0})
}

func seq(parts ...[]byte) []byte    { return tlv(0x30, parts...) }
func rawSet(parts ...[]byte) []byte { return tlv(0x31, parts...) }
func octets(parts ...[]byte) []byte { return tlv(0x04, parts...) }
func bits(b []byte) []byte          { return tlv(0x03, []byte{0}, b) }
func null() []byte                  { return []byte{5, 0} }

// set is a SET OF in the order DER wants.
func set(parts ...[]byte) []byte {
	sorted := slices.Clone(parts)
	slices.SortFunc(sorted, bytes.Compare)
	return rawSet(sorted...)
}

// explicit is a constructed context-specific element [n].
func explicit(n byte, parts ...[]byte) []byte { return tlv(0xa0|n, parts...) }

// implicit is a primitive context-specific element [n].
func implicit(n byte, b []byte) []byte { return tlv(0x80|n, b) }

// retag gives an element another tag.
func retag(tag byte, element []byte) []byte {
	out := bytes.Clone(element)
	out[0] = tag
	return out
}

func integer(n int64) []byte { return bigInteger(big.NewInt(n)) }

func bigInteger(n *big.Int) []byte { return marshal(n) }

func boolean(b bool) []byte { return marshal(b) }

func marshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}

// oid is an OBJECT IDENTIFIER given with dots.
func oid(dotted string) []byte {
	var id asn1.ObjectIdentifier
	for s := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.Atoi(s)
		if err != nil {
			panic(fmt.Sprintf("oid %q", dotted))
		}
		id = append(id, n)
	}
	return marshal(id)
}

func utcTime(t time.Time) []byte     { return tlv(0x17, []byte(t.UTC().Format("060102150405Z"))) }
func generalTime(t time.Time) []byte { return tlv(0x18, []byte(t.UTC().Format("20060102150405Z"))) }

// validity is a Time of RFC 5280 §4.1.2.5.
func validity(t time.Time) []byte {
	if t.Year() < 2050 {
		return utcTime(t)
	}
	return generalTime(t)
}

// body is the content octets of a DER element.
func body(element []byte) []byte {
	var v asn1.RawValue
	if _, err := asn1.Unmarshal(element, &v); err != nil {
		panic(err)
	}
	return v.Bytes
}
