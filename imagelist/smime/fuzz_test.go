package smime

import (
	"bytes"
	"strings"
	"testing"

	"vouch/imagelist/verdict"
)

// messages are seeds: one of every form.
func messages(f *testing.F) [][]byte {
	f.Helper()
	id := people()["p256"]
	clear, err := Sign([]byte(document), id.cert, id.key, nil, SignOptions{})
	if err != nil {
		f.Fatal(err)
	}
	opaque, err := Sign([]byte(document), id.cert, id.key, nil, SignOptions{Opaque: true})
	if err != nil {
		f.Fatal(err)
	}
	return [][]byte{
		clear, opaque, forge(document, func(*forgery) {}), []byte(document), overlapping(32),
		[]byte("-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n"),
		[]byte(strings.ReplaceAll(string(clear), "\r\n", "\n")),
	}
}

// FuzzOpen: never a panic, never content with an error, every error a code of
// Open's, and nothing accepted that the seeds' signers did not sign.
func FuzzOpen(f *testing.F) {
	for _, m := range messages(f) {
		f.Add(m, false, false)
		f.Add(m, true, true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, sha1, binary bool) {
		before := bytes.Clone(raw)
		got, err := Open(raw, Options{AllowSHA1: sha1, Binary: binary})
		if !bytes.Equal(raw, before) {
			t.Fatal("the input was changed")
		}
		if err == nil {
			if !bytes.Equal(Canonical(got.Content), []byte(canonicalDocument)) {
				t.Fatalf("accepted %q", got.Content)
			}
			return
		}
		switch verdict.Of(err) {
		case verdict.NotSigned, verdict.MalformedEnvelope, verdict.Signature,
			verdict.WeakAlgorithm, verdict.UnsupportedAlgorithm, verdict.MultipleSigners:
		default:
			t.Fatalf("code %q: %v", verdict.Of(err), err)
		}
		if got != nil {
			t.Fatal("content with an error")
		}
	})
}

// FuzzNormalise: what comes out is DER, so that it comes out of itself, and is
// not longer than what went in.
func FuzzNormalise(f *testing.F) {
	f.Add(forge(document, func(*forgery) {}))
	f.Add(overlapping(20))
	f.Add([]byte("\x30\x80\x24\x80\x04\x01\x61\x04\x02\x62\x63\x00\x00\x00\x00"))
	f.Add([]byte("\x30\x84\x00\x00\x00\x03\x02\x01\x05"))
	f.Fuzz(func(t *testing.T, ber []byte) {
		der, err := normalise(ber)
		if err != nil {
			return
		}
		var d decoder
		e, rest, err := d.decode(der, 0, true)
		if err != nil || len(rest) > 0 || d.rewrite {
			t.Fatalf("% x: not DER: %v", der, err)
		}
		if len(der) > len(ber) || e.length() != len(der) {
			t.Fatalf("%d bytes from %d, counted as %d", len(der), len(ber), e.length())
		}
	})
}

// FuzzSplit: no boundary line is left in either part, and the parts put
// together again are the same parts.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("--b\n{}\n--b\nsig\n--b--\n"), "b")
	f.Add([]byte(preamble+"\r\n\r\n--b\r\n{}\r\n--b\r\n\r\n--b--"), "b")
	f.Add([]byte("--b\n--b\n--b--"), "b")
	f.Add([]byte("--b\n\n--bb\n\n--b--"), "b")
	f.Fuzz(func(t *testing.T, body []byte, boundary string) {
		first, second, err := split(body, boundary)
		if err != nil {
			if verdict.Of(err) != verdict.MalformedEnvelope {
				t.Fatalf("error %v", err)
			}
			return
		}
		for _, part := range [][]byte{first, second} {
			if mark := "--" + boundary; bytes.HasPrefix(part, []byte(mark)) || bytes.Contains(part, []byte("\n"+mark)) {
				t.Fatalf("a boundary in %q", part)
			}
		}
		mark := "\n--" + boundary
		again := []byte(mark + "\n" + string(first) + mark + "\n" + string(second) + mark + "--\n")
		if one, two, err := split(again, boundary); err != nil || !bytes.Equal(one, first) || !bytes.Equal(two, second) {
			t.Fatalf("%q and %q, put together again, are %q and %q: %v", first, second, one, two, err)
		}
	})
}
