package imagelist_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"vouch/imagelist"
	"vouch/imagelist/verdict"
	"vouch/testdata/cases/judge"
)

// TestDecode_EachByteCutOrReplaced bends a list at every place: what is no JSON
// is refused, whatever part of it is read at that moment, and a list that is
// accepted is written as one.
func TestDecode_EachByteCutOrReplaced(t *testing.T) {
	text := listOf(head+`,"x:y":[{"a":1}],"ad:vo":"v","vouch:revoked":[{"dc:identifier":"old","hv:version":"2","sl:checksum:sha512":"`+
		digestA+`","date":"2026-11-01T00:00:00Z","reason":"r"}]`, entry)
	mustDecode(t, text)
	for i := range text {
		if l, err := imagelist.Decode([]byte(text[:i])); err == nil {
			t.Fatalf("%d of %d bytes are a list: %+v", i, len(text), l)
		}
		if strings.IndexByte(`{}[]":,`, text[i]) < 0 {
			continue
		}
		for _, other := range []string{"", "{", "}", "[", "]", `"`, ":", ",", "\x01", "\xff"} {
			bent := text[:i] + other + text[i+1:]
			l, err := imagelist.Decode([]byte(bent))
			if valid := json.Valid([]byte(bent)); err == nil && !valid {
				t.Errorf("%q instead of %q at %d: accepted", other, text[i], i)
			}
			if err != nil && l != nil {
				t.Errorf("%q instead of %q at %d: a list and %v", other, text[i], i, err)
			}
		}
	}
}

// TestDecode_FaultAnywhere: what JSON allows and format.md does not is the
// reason, wherever it stands.
func TestDecode_FaultAnywhere(t *testing.T) {
	text := listOf(head+`,"x:y":[{"a":"1"}],"ad:vo":"v","vouch:revoked":[{"dc:identifier":"old","hv:version":"2","sl:checksum:sha512":"`+
		digestA+`","date":"2026-11-01T00:00:00Z","reason":"r"}]`, entry)
	for i := range text {
		if strings.HasPrefix(text[i:], `":"`) {
			refused(t, text[:i+3]+`\u0000`+text[i+3:], "U+0000 in a string")
		}
		if strings.HasPrefix(text[i:], `,"`) {
			refused(t, text[:i+2]+`\u0000`+text[i+2:], "U+0000 in a string")
		}
	}
}

// TestCases_Reasons: the account of a refused case ends in the one reason, at
// the gate that it belongs to.
func TestCases_Reasons(t *testing.T) {
	gate := map[verdict.Code]string{verdict.NotSigned: "envelope", verdict.MalformedEnvelope: "envelope", verdict.Signature: "signature",
		verdict.UnsupportedAlgorithm: "", verdict.WeakAlgorithm: "", verdict.MultipleSigners: "signature", verdict.Untrusted: "chain",
		verdict.CertExpired: "validity", verdict.CertNotYetValid: "validity", verdict.KeyUsage: "key-usage",
		verdict.ProxyCertificate: "proxy", verdict.SigningPolicy: "signing-policy", verdict.Revoked: "crl", verdict.CRLMissing: "crl",
		verdict.CRLStale: "crl", verdict.MalformedList: "list", verdict.EndorserMismatch: "endorser", verdict.NotAuthorised: "authorised"}
	var anchors judge.Anchors
	for _, c := range readCases(t) {
		store, err := anchors.Load(c.TrustPath())
		if err != nil {
			t.Fatal(err)
		}
		v, told := imagelist.Examine(c.Message, store, c.At, judge.Question(c))
		if (v == nil) != (told.Rejection != nil) {
			t.Fatalf("%s: %v and %v", c.ID, v, told.Rejection)
		}
		last := told.Checks[len(told.Checks)-1]
		if v != nil {
			if !last.OK {
				t.Errorf("%s: accepted, and %+v", c.ID, last)
			}
			continue
		}
		want := gate[told.Rejection.Code]
		if last.OK || last.Detail != told.Rejection.Detail || want != "" && last.Name != want {
			t.Errorf("%s: %v, and the last check is %+v", c.ID, told.Rejection, last)
		}
	}
}

// TestEncode_Reasons: a draft is refused for the reason that it has.
func TestEncode_Reasons(t *testing.T) {
	for want, spoil := range map[string]func(*imagelist.List){
		"encode list: extra keys: EOF":                                  func(l *imagelist.List) { l.Extra = []byte{} },
		"encode list: extra keys: not an object":                        func(l *imagelist.List) { l.Extra = []byte(`[]`) },
		"encode list: extra keys: jsontext: object member name must be": func(l *imagelist.List) { l.Extra = []byte(`{1`) },
		"encode list: extra keys: jsontext: invalid character '1'":      func(l *imagelist.List) { l.Extra = []byte(`{"x" 1}`) },
		"encode list: hv:images[0]: metadata: jsontext: unexpected EOF": func(l *imagelist.List) { l.Images[0].Metadata = []byte(`{"x":`) },
		"encode list: malformed-list: invalid UTF-8":                    func(l *imagelist.List) { l.Title = "\xff" },
		"encode list: hv:images[0].hv:image.hv:uri: neither http":       func(l *imagelist.List) { l.Images[0].URI = "ftp://h/" },
		"encode list: malformed-list: hv:imagelist.hv:version: empty":   func(l *imagelist.List) { l.Version = "" },
	} {
		l := draft()
		spoil(l)
		out, err := l.Encode()
		if out != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d bytes, %v; want %s", len(out), err, want)
		}
	}
}

// TestParseDigest: 128 hexadecimal digits and nothing else.
func TestParseDigest(t *testing.T) {
	for text, want := range map[string]string{
		"": "have 0 characters", digestA[1:]: "have 127", digestA + "a": "have 129", digestA[1:] + "g": "invalid byte",
	} {
		if _, err := imagelist.ParseDigest(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if d, err := imagelist.ParseDigest(strings.ToUpper(digestA)); err != nil || fmt.Sprint(d) != digestA {
		t.Errorf("%s, %v", d, err)
	}
}
