package smime

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"vouch/imagelist/verdict"
	"vouch/testdata/cases"
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

// caseMessages are the messages of testdata/cases that are short enough to be
// bent often, with their options.
func caseMessages(f *testing.F) []*cases.Case {
	f.Helper()
	const longest = 8 << 10
	all, err := cases.Read()
	if err != nil {
		f.Fatal(err)
	}
	var short []*cases.Case
	for _, c := range all {
		if len(c.Message) <= longest {
			short = append(short, c)
		}
	}
	return short
}

// spoken is what the signers of a set of messages signed.
type spoken struct {
	contents map[string]bool
	der      []byte // of all messages: every digest that was signed is in it
}

func (s *spoken) add(raw []byte) {
	if e, err := unwrap(raw); err == nil {
		if der, err := normalise(e.p7); err == nil {
			s.der = append(s.der, der...)
		}
	}
	for _, o := range []Options{{}, {AllowSHA1: true}, {Binary: true}, {AllowSHA1: true, Binary: true}} {
		if got, err := Open(raw, o); err == nil {
			s.contents[string(got.Content)] = true
		}
	}
}

// by says whether somebody signed the content. Of a message that is refused
// for other reasons only the digest is known.
func (s *spoken) by(content []byte) bool {
	if s.contents[string(content)] {
		return true
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA1} {
		sum := h.New()
		sum.Write(content)
		if bytes.Contains(s.der, sum.Sum(nil)) {
			return true
		}
	}
	return false
}

// FuzzOpen: never a panic, never content with an error, every error a code of
// Open's, and nothing accepted that the seeds' signers did not sign.
func FuzzOpen(f *testing.F) {
	said := spoken{contents: map[string]bool{}}
	for _, m := range messages(f) {
		said.add(m)
		f.Add(m, false, false)
		f.Add(m, true, true)
	}
	for _, c := range caseMessages(f) {
		said.add(c.Message)
		f.Add(c.Message, c.Has(cases.AllowSHA1), c.Has(cases.Binary))
	}
	f.Fuzz(func(t *testing.T, raw []byte, sha1, binary bool) {
		before := bytes.Clone(raw)
		got, err := Open(raw, Options{AllowSHA1: sha1, Binary: binary})
		if !bytes.Equal(raw, before) {
			t.Fatal("the input was changed")
		}
		if err == nil {
			if !said.by(got.Content) {
				t.Fatalf("accepted %q", got.Content)
			}
			if got.Detached && !binary && !bytes.Equal(Canonical(got.Content), got.Content) {
				t.Fatalf("not the form that was hashed: %q", got.Content)
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

// FuzzUnwrap: the parts are those that a reading line by line finds.
func FuzzUnwrap(f *testing.F) {
	for _, m := range messages(f) {
		f.Add(m)
	}
	for _, c := range caseMessages(f) {
		f.Add(c.Message)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := unwrap(raw)
		if err != nil {
			if code := verdict.Of(err); code != verdict.NotSigned && code != verdict.MalformedEnvelope {
				t.Fatalf("code %q: %v", code, err)
			}
			return
		}
		if !e.detached {
			if e.part != nil {
				t.Fatalf("embedded, and yet a part: %q", e.part)
			}
			return
		}
		part, p7 := byLines(t, string(raw))
		if string(e.part) != part || !bytes.Equal(e.p7, p7) {
			t.Fatalf("parts %q and % x, by lines %q and % x", e.part, e.p7, part, p7)
		}
	})
}

// byLines reads a clear-signed message that was accepted the plain way: its
// last line is the closing boundary, and three lines begin with the boundary.
func byLines(t *testing.T, raw string) (part string, p7 []byte) {
	last := strings.TrimRight(raw, " \t\r\n")
	last = last[strings.LastIndexByte(last, '\n')+1:]
	mark := strings.TrimSuffix(last, "--")
	if mark == last || !strings.HasPrefix(mark, "--") {
		t.Fatalf("the last line is %q", last)
	}
	_, body := cutHeader(raw)
	var sections []string
	section := ""
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, mark) {
			sections = append(sections, section)
			section = ""
			continue
		}
		section += line
	}
	if len(sections) != 3 {
		t.Fatalf("%d lines begin with %q", len(sections), mark)
	}
	_, encoded := cutHeader(sections[2])
	p7, err := base64.StdEncoding.DecodeString(strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(strings.TrimSuffix(sections[1], "\n"), "\r"), p7
}

// cutHeader cuts a text at its first empty line.
func cutHeader(text string) (header, body string) {
	for line := range strings.Lines(text) {
		header += line
		if strings.TrimRight(line, "\r\n") == "" {
			break
		}
	}
	return header, text[len(header):]
}

var lineEnd = regexp.MustCompile("\r*\n")

// FuzzCanonical: the canonical form is the one a regular expression makes, is
// its own canonical form, and what is parsed is what is hashed, except for a
// header of the signed part.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte("{\r\r\n\n\r\n\r}\r"), false)
	f.Add([]byte("Content-Type: text/plain\n\n{}\n"), true)
	for _, c := range caseMessages(f) {
		if e, err := unwrap(c.Message); err == nil && e.detached {
			f.Add(e.part, c.Has(cases.Binary))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, binary bool) {
		before := bytes.Clone(text)
		canonical := Canonical(text)
		if want := lineEnd.ReplaceAll(text, []byte("\r\n")); !bytes.Equal(canonical, want) {
			t.Fatalf("%q instead of %q", canonical, want)
		}
		if again := Canonical(canonical); !bytes.Equal(again, canonical) {
			t.Fatalf("%q, and once more %q", canonical, again)
		}
		forms, err := (&envelope{part: text, detached: true}).forms(&message{}, Options{Binary: binary})
		if err != nil && verdict.Of(err) != verdict.MalformedEnvelope {
			t.Fatal(err)
		}
		for i, form := range forms {
			checkForm(t, form, [][]byte{canonical, text}[i])
		}
		if !bytes.Equal(text, before) {
			t.Fatal("the input was changed")
		}
	})
}

// checkForm asserts that the content is what is hashed, or what follows the
// header of a text/plain part in it.
func checkForm(t *testing.T, f form, hashed []byte) {
	if !bytes.Equal(f.hashed, hashed) || !bytes.HasSuffix(hashed, f.content) {
		t.Fatalf("content %q, hashed %q instead of %q", f.content, f.hashed, hashed)
	}
	header := string(hashed[:len(hashed)-len(f.content)])
	if want, _ := cutHeader(string(hashed)); header != "" && (header != want || !strings.Contains(strings.ToLower(header), "text/plain")) {
		t.Fatalf("cut off: %q", header)
	}
}

// FuzzNormalise: what comes out is DER, so that it comes out of itself, and is
// not longer than what went in.
func FuzzNormalise(f *testing.F) {
	f.Add(forge(document, func(*forgery) {}))
	f.Add(overlapping(20))
	f.Add([]byte("\x30\x80\x24\x80\x04\x01\x61\x04\x02\x62\x63\x00\x00\x00\x00"))
	f.Add([]byte("\x30\x84\x00\x00\x00\x03\x02\x01\x05"))
	for _, c := range caseMessages(f) {
		if e, err := unwrap(c.Message); err == nil {
			f.Add(e.p7)
		}
	}
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
