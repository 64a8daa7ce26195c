package smime

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"vouch/imagelist/verdict"
)

func TestNormalise(t *testing.T) {
	tests := []struct {
		name string
		in   string // hexadecimal
		want string // "" is in itself
		err  error
	}{
		{"DER", "30 03 02 01 05", "", nil},
		{"empty sequence", "30 00", "", nil},
		{"indefinite", "30 80 02 01 05 00 00", "30 03 02 01 05", nil},
		{"long length", "30 81 03 02 01 05", "30 03 02 01 05", nil},
		{"leading zeros in the length", "30 84 00 00 00 03 02 01 05", "30 03 02 01 05", nil},
		{"indefinite in indefinite", "30 80 a0 80 05 00 00 00 00 00", "30 04 a0 02 05 00", nil},
		{"octet string in pieces", "24 80 04 01 61 04 02 62 63 00 00", "04 03 61 62 63", nil},
		{"pieces in pieces", "24 80 24 04 04 02 61 62 04 01 63 00 00", "04 03 61 62 63", nil},
		{"no pieces", "24 00", "04 00", nil},
		{"zero bytes in a primitive", "04 02 00 00", "", nil},

		{"nothing", "", "", errTruncated},
		{"identifier only", "30", "", errTruncated},
		{"beyond the end", "30 04 02 01 05", "", errTruncated},
		{"child beyond its parent", "30 03 02 02 05 06", "", errTruncated},
		{"length of length beyond the end", "30 84 00", "", errTruncated},
		{"huge length", "30 88 ff ff ff ff ff ff ff ff", "", errTruncated},
		{"no end", "30 80 02 01 05", "", errUnfinished},
		{"end beyond the parent", "30 05 30 80 02 01 05 00 00", "", errUnfinished},
		{"half an end", "30 80 02 01 05 00", "", errTruncated},
		{"end in a definite one", "30 02 00 00", "", errForm},
		{"end alone", "00 00", "", errForm},
		{"indefinite primitive", "04 80 61 00 00", "", errForm},
		{"primitive sequence", "10 03 02 01 05", "", errForm},
		{"constructed integer", "22 03 02 01 05", "", errForm},
		{"constructed text", "2c 03 0c 01 61", "", errForm},
		{"long tag number", "1f 81 01 00", "", errForm},
		{"piece of another type", "24 03 02 01 05", "", errSegment},
		{"trailing", "30 00 00", "", errTrailing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in, err := hex.DecodeString(strings.ReplaceAll(test.in, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			want, err := hex.DecodeString(strings.ReplaceAll(test.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				want = in
			}
			got, err := normalise(in)
			if !errors.Is(err, test.err) || err == nil && !bytes.Equal(got, want) {
				t.Errorf("% x, %v; want % x, %v", got, err, want, test.err)
			}
		})
	}
}

// TestNormalise_SignedParts keeps its hands off what signatures cover.
func TestNormalise_SignedParts(t *testing.T) {
	wrap := func(inner string) []byte {
		return []byte("\x30\x80\x30\x80\x30\x80\x30\x80" + inner + strings.Repeat("\x00\x00", 4))
	}
	if _, err := normalise(wrap("\x30\x80\x00\x00")); !errors.Is(err, errNotDER) {
		t.Errorf("indefinite: %v", err)
	}
	if _, err := normalise(wrap("\x30\x81\x03\x02\x01\x05")); !errors.Is(err, errNotDER) {
		t.Errorf("long length: %v", err)
	}
	if _, err := normalise(wrap("\x30\x05\x24\x03\x04\x01\x61")); !errors.Is(err, errNotDER) {
		t.Errorf("pieces: %v", err)
	}
	if got, err := normalise(wrap("\xa0\x80\x24\x80\x04\x01\x61\x00\x00\x00\x00")); err != nil || !bytes.HasSuffix(got, []byte("\xa0\x03\x04\x01\x61")) {
		t.Errorf("content: % x, %v", got, err)
	}
}

// TestT46_HostileEncodings are the inputs that cost the PKCS#7 library its
// stack, its memory or minutes; each is refused before the library sees it.
// The test's own time limit is the assertion.
func TestT46_HostileEncodings(t *testing.T) {
	nested := func(levels int) []byte {
		der := []byte{5, 0}
		for range levels {
			der = append(appendLength([]byte{tagSequence}, len(der)), der...)
			if len(der) > 1<<16 {
				break
			}
		}
		return der
	}
	oid := string(encode(oidSignedData))
	tests := map[string][]byte{
		"flood of indefinite lengths":     bytes.Repeat([]byte{0x30, 0x80}, 3<<20),
		"flood behind a content type":     []byte("\x30\x80" + oid + "\xa0\x80" + strings.Repeat("\x30\x80", 400<<10)),
		"flood of octet strings":          bytes.Repeat([]byte{0x24, 0x80}, 400<<10),
		"overlapping":                     overlapping(32),
		"overlapping, behind a type":      append([]byte("\x30\x80"+oid+"\xa0\x80"), overlapping(32)...),
		"nested":                          nested(MaxDepth + 1),
		"nested deeply":                   nested(50000),
		"many elements":                   append([]byte{0x30, 0x83, 0x0f, 0xff, 0xfe}, bytes.Repeat([]byte{5, 0}, 0x0ffffe/2)...),
		"many empty pieces":               []byte("\x30\x80\x24\x80" + strings.Repeat("\x04\x00", 400<<10) + "\x00\x00\x00\x00"),
		"three bytes":                     {0x30, 0x80, 0x30},
		"length of 126 octets":            append([]byte{0x30, 0xfe}, make([]byte, 200)...),
		"hostile unsigned attributes":     forge(document, func(f *forgery) { f.info.UnsignedAttributes = implicit(1, overlapping(32)) }),
		"nested in unsigned attributes":   forge(document, func(f *forgery) { f.info.UnsignedAttributes = implicit(1, nested(40)) }),
		"indefinite in signed attributes": forge(document, func(f *forgery) { f.set(oidMGF, asn1.RawValue{FullBytes: []byte{0x30, 0x80, 0, 0}}) }),
	}
	for name, p7 := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := normalise(p7); err == nil {
				t.Error("normalise takes it")
			}
			expect(t, writeOpaque(p7), Options{}, verdict.MalformedEnvelope, "")
			expect(t, writeSigned([]byte(document), p7, "sha-256"), Options{}, verdict.MalformedEnvelope, "")
		})
	}
}

// overlapping are n ≤ 32 elements of 2 bytes, each with a child that claims all
// of the bytes that follow. A reader that lets a child reach beyond its parent
// reads the rest twice at every one of them: 2^n times.
func overlapping(n int) []byte {
	var out []byte
	for left := n - 1; left >= 0; left-- {
		out = append(out, 0x30, 2, 0x30, byte(4*left))
	}
	return out
}

func TestT46_HostileText(t *testing.T) {
	boundary := "Content-Type: multipart/signed; boundary=b\n\n"
	tests := map[string]struct {
		message string
		want    verdict.Code
	}{
		"boundaries":        {boundary + strings.Repeat("--b\n", 1<<20), verdict.MalformedEnvelope},
		"almost boundaries": {boundary + strings.Repeat("\n--", 2<<20), verdict.MalformedEnvelope},
		"carriage returns":  {boundary + "--b\n" + strings.Repeat("\r", 4<<20) + "\n--b\n\n\n--b--\n", verdict.MalformedEnvelope},
		"folded lines":      {"Content-Type: multipart/signed;\n" + strings.Repeat(" \n", MaxHeader) + boundary, verdict.MalformedEnvelope},
		"parameters":        {"Content-Type: multipart/signed" + strings.Repeat(";a=b", MaxHeader/8) + "\n\n", verdict.MalformedEnvelope},
		"dashes":            {"-----BEGIN " + strings.Repeat("-----BEGIN ", 1<<18), verdict.MalformedEnvelope},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { expect(t, []byte(test.message), Options{}, test.want, "") })
	}
}
