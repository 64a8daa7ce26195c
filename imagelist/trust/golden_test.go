package trust

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const goldenFile = "testdata/names.golden"

// TestGoldenFile holds our renderings against testdata/names.golden, which
// openssl made: for each name its two hashes and the four forms in circulation.
// With VOUCH_UPDATE_GOLDEN=1 openssl makes it anew.
func TestGoldenFile(t *testing.T) {
	if len(goldenNames) < 60 {
		t.Fatalf("%d names", len(goldenNames))
	}
	if os.Getenv("VOUCH_UPDATE_GOLDEN") != "" {
		must(t, os.WriteFile(goldenFile, openSSLGolden(t), 0o644))
	}
	want, err := os.ReadFile(goldenFile)
	must(t, err)
	if have := ourGolden(t); !bytes.Equal(have, want) {
		t.Errorf("renderings differ from %s at\n%s", goldenFile, firstDifference(string(have), string(want)))
	}
}

// TestGoldenFile_OpenSSL: the file is what openssl says.
func TestGoldenFile_OpenSSL(t *testing.T) {
	want, err := os.ReadFile(goldenFile)
	must(t, err)
	if have := openSSLGolden(t); !bytes.Equal(have, want) {
		t.Errorf("openssl renders otherwise at\n%s", firstDifference(string(have), string(want)))
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}

func goldenEntry(name, hash, hashOld string, forms [4]string) string {
	return fmt.Sprintf("%s\n\t%s %s\n\t%q\n\t%q\n\t%q\n\t%q\n", name, hash, hashOld, forms[0], forms[1], forms[2], forms[3])
}

func ourGolden(t *testing.T) []byte {
	var b bytes.Buffer
	for _, text := range goldenNames {
		raw := rawName(t, text)
		n, ok := parseName(raw)
		if !ok {
			t.Fatal(text)
		}
		var all [4]string
		for i, style := range forms {
			if all[i] = n.render(style); !Matches(raw, all[i]) {
				t.Errorf("%q is not among %q", all[i], Renderings(raw))
			}
		}
		b.WriteString(goldenEntry(text, Hash(raw), HashOld(raw), all))
	}
	return b.Bytes()
}

func openSSLGolden(t *testing.T) []byte {
	var b bytes.Buffer
	key := newRoot(t, dn(t, "CN=key"))
	for _, text := range goldenNames {
		pem := certificateOf(t, rawName(t, text), key)
		subject := func(options string, more ...string) string {
			return openssl(t, "", pem, append([]string{"x509", "-noout", "-nameopt", options}, append(more, "-subject")...)...)
		}
		lines := strings.SplitN(subject("compat", "-subject_hash", "-subject_hash_old"), "\n", 3)
		bytesShown := attributesShown(t, text, subject("sep_multiline,sname,ignore_type,esc_ctrl,esc_msb"))
		decoded := attributesShown(t, text, subject("sep_multiline,sname,utf8,esc_ctrl"))
		var all [4]string
		all[0] = oneLine(joinAttributes(bytesShown, "/"))
		all[1] = strings.TrimSuffix(strings.TrimPrefix(lines[2], "subject="), "\n")
		all[2] = unescape(joinAttributes(decoded, "/"))
		all[3] = unescape(joinAttributes(decoded, "+"))
		b.WriteString(goldenEntry(text, lines[0], lines[1], all))
	}
	return b.Bytes()
}

// escape is how openssl shows a byte that is not printable, as \C3, and the
// backslash itself.
var escape = regexp.MustCompile(`\\([0-9A-F]{2}|\\)`)

// oneLine writes openssl's escapes as the form of old did: \xC3, and a
// backslash as it is.
func oneLine(s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		if e == `\\` {
			return `\`
		}
		return `\x` + e[1:]
	})
}

// unescape undoes openssl's escapes.
func unescape(s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		c := byte('\\')
		if e != `\\` {
			fmt.Sscanf(e[1:], "%02X", &c)
		}
		return string([]byte{c})
	})
}

// attributesShown takes openssl's lines, one for each RDN, apart. The spec of
// the name says how many attributes each has.
func attributesShown(t *testing.T, spec, shown string) [][]string {
	lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n    ")[1:]
	rdns := strings.Split(spec, ", ")
	if len(lines) != len(rdns) {
		t.Fatalf("%s: openssl shows %q", spec, shown)
	}
	var all [][]string
	for i, line := range lines {
		attributes := []string{line}
		if n := strings.Count(rdns[i], " + "); n > 0 {
			attributes = strings.Split(line, " + ")
			if len(attributes) != n+1 {
				t.Fatalf("%s: openssl shows %q", spec, line)
			}
		}
		all = append(all, attributes)
	}
	return all
}

func joinAttributes(rdns [][]string, between string) string {
	var b strings.Builder
	for _, r := range rdns {
		b.WriteString("/" + strings.Join(r, between))
	}
	return b.String()
}
