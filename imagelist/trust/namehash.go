package trust

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Hash is the name's hash since OpenSSL 1.0, as in the file names of a hashed
// directory: eight hexadecimal digits (openssl x509 -subject_hash). It is ""
// for what is not a name. It names files and proves nothing.
func Hash(rawName []byte) string {
	n, ok := parseName(rawName)
	if !ok {
		return ""
	}
	canonical, ok := n.canonical()
	if !ok {
		return ""
	}
	sum := sha1.Sum(canonical)
	return shortHash(sum[:])
}

// HashOld is the name's hash before OpenSSL 1.0 (openssl x509
// -subject_hash_old); "" for what is not a name.
func HashOld(rawName []byte) string {
	if _, ok := parseName(rawName); !ok {
		return ""
	}
	sum := md5.Sum(rawName)
	return shortHash(sum[:])
}

func shortHash(sum []byte) string { return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum)) }

// canonical is the encoding that OpenSSL compares names by: the RDN SETs one
// after the other, text as UTF-8 in lower case with white space normalised. It
// reports false where text is not of its type.
func (n name) canonical() ([]byte, bool) {
	var out []byte
	for _, r := range n {
		elements := make([][]byte, 0, len(r))
		for _, a := range r {
			e, ok := a.canonical()
			if !ok {
				return nil, false
			}
			elements = append(elements, e)
		}
		slices.SortFunc(elements, bytes.Compare)
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			for _, e := range elements {
				b.AddBytes(e)
			}
		})
		set, err := b.Bytes()
		if err != nil {
			return nil, false
		}
		out = append(out, set...)
	}
	return out, true
}

func (a ava) canonical() ([]byte, bool) {
	value := a.der
	if a.isText() {
		text, ok := a.text()
		if !ok {
			return nil, false
		}
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes(foldText(text)) })
		folded, err := b.Bytes()
		if err != nil {
			return nil, false
		}
		value = folded
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(a.typ)
		b.AddBytes(value)
	})
	element, err := b.Bytes()
	return element, err == nil
}

// isText reports whether the canonical encoding converts the value's type;
// others, NumericString among them, are kept as they are.
func (a ava) isText() bool {
	switch a.tag {
	case cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.T61String, cbasn1.IA5String,
		tagVisibleString, tagBMPString, tagUniversalString:
		return true
	}
	return false
}

// foldText removes ASCII white space at both ends, makes one blank of every
// run inside, and lowers ASCII letters. Other characters are kept.
func foldText(s string) []byte {
	out := make([]byte, 0, len(s))
	blank := false
	for i := range len(s) {
		c := s[i]
		if c == ' ' || c >= '\t' && c <= '\r' {
			blank = len(out) > 0
			continue
		}
		if blank {
			out = append(out, ' ')
			blank = false
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	return out
}
