package event

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// hidden reports whether r acts on a terminal or a reader without being seen
// (T-45): controls, line and paragraph separators, format characters (the
// bidirectional controls among them), what Unicode calls default ignorable
// (zero-width), and code points without a graphic form.
func hidden(r rune) bool {
	return !unicode.IsGraphic(r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.Is(unicode.Variation_Selector, r)
}

// Printable is s with everything hidden or invalid written out: \x1b for
// ASCII controls and bytes that are not UTF-8, \u202e and \U000e0001 for the
// rest. Line ends and tabs are escaped too: the result is one line.
//
// It is for people. Backslashes stay as they are, so it cannot be undone, and
// it does not tell look-alike letters apart.
func Printable(s string) string {
	if printable(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !hidden(r):
			b.WriteString(s[:n])
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, hidden)
}

// PrintableJSON is a JSON text, meaning the same, in which everything hidden
// is written as a \u escape; a byte that is not UTF-8 becomes \ufffd. Line ends
// and tabs between tokens stay.
func PrintableJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		// In valid JSON an ASCII control is white space between tokens.
		if invalid := r == utf8.RuneError && n == 1; !invalid && (r < ' ' || !hidden(r)) {
			out = append(out, text[:n]...)
		} else {
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		}
		text = text[n:]
	}
	return out
}
