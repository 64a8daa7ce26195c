package main

import (
	"math"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"vouch/subscriber"
)

// Readers of single values. Each returns a reader that stores what it read
// and, when it cannot, says so where the value stands.

func textTo(dst *string) func(node) {
	return func(n node) {
		if s, ok := n.text(); ok {
			*dst = s
		}
	}
}

// checked reads text that must pass a check; check returns what is wrong.
func checked(dst *string, check func(string) (what, fix string)) func(node) {
	return func(n node) {
		s, ok := n.text()
		if !ok {
			return
		}
		if what, fix := check(s); what != "" {
			n.fail(what, fix)
			return
		}
		*dst = s
	}
}

func boolTo(dst *bool) func(node) {
	return func(n node) {
		b, ok := n.ast.(*ast.BoolNode)
		if !ok {
			n.want("true or false")
			return
		}
		*dst = b.Value
	}
}

// choice reads one of a few words.
func choice[T ~string](dst *T, words ...T) func(node) {
	return func(n node) {
		s, ok := n.text()
		if !ok {
			return
		}
		if !slices.Contains(words, T(s)) {
			n.fail("unknown value "+quoted(s), "one of "+joined(words))
			return
		}
		*dst = T(s)
	}
}

func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

func intTo(dst *int, least, most int) func(node) {
	return func(n node) {
		i, ok := n.ast.(*ast.IntegerNode)
		if !ok {
			n.want("a whole number")
			return
		}
		v, err := strconv.Atoi(i.Token.Value)
		if err != nil || v < least || v > most {
			n.fail("out of range", "from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
			return
		}
		*dst = v
	}
}

// pathTo reads an absolute path: vouch runs from cron and from handlers, and a
// relative one would mean something else each time.
func pathTo(dst *string) func(node) {
	return func(n node) {
		checked(dst, func(s string) (string, string) {
			if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
				return "not an absolute path: " + quoted(s), "begin it with /"
			}
			n.doc.paths = append(n.doc.paths, namedPath{s, n.doc.file})
			return "", ""
		})(n)
	}
}

// zero reports a plain 0, which needs no unit.
func zero(n node) bool {
	i, ok := n.ast.(*ast.IntegerNode)
	return ok && i.Token.Value == "0"
}

// unitText is the text of a quantity; a bare number other than 0 has no unit
// and is refused.
func unitText(n node, units string) (string, bool) {
	if _, number := n.ast.(*ast.IntegerNode); number {
		n.fail("a number without a unit", "units are "+units)
		return "", false
	}
	return n.text()
}

func durationTo(dst *time.Duration) func(node) {
	return func(n node) {
		if zero(n) {
			*dst = 0
			return
		}
		s, ok := unitText(n, "s m h d")
		if !ok {
			return
		}
		d, ok := subscriber.ParseSpan(s)
		if !ok {
			n.fail("not a duration: "+quoted(s), "such as 30s, 15m, 6h or 7d")
			return
		}
		*dst = d
	}
}

func sizeTo(dst *int64) func(node) {
	return func(n node) {
		if zero(n) {
			*dst = 0
			return
		}
		s, ok := unitText(n, "KiB MiB GiB TiB")
		if !ok {
			return
		}
		v, ok := parseSize(s)
		if !ok {
			n.fail("not a size: "+quoted(s), "such as 10KiB, 16MiB, 1.5GiB or 2TiB")
			return
		}
		*dst = v
	}
}

var sizeForm = regexp.MustCompile(`^(\d{1,9}(?:\.\d{1,3})?) ?([KMGT])iB$`)

// parseSize reads a number of KiB, MiB, GiB or TiB into bytes.
func parseSize(s string) (int64, bool) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	v, _ := strconv.ParseFloat(m[1], 64)
	v *= float64(int64(1) << (10 * (strings.IndexByte("KMGT", m[2][0]) + 1)))
	if v >= math.MaxInt64 {
		return 0, false
	}
	return int64(v), true
}

// spaceTo reads free space to leave: part of the file system or bytes.
func spaceTo(bytes *int64, part *float64) func(node) {
	return func(n node) {
		if s, ok := n.ast.(*ast.StringNode); ok && strings.HasSuffix(s.Value, "%") {
			v, err := strconv.ParseFloat(strings.TrimSuffix(s.Value, "%"), 64)
			if err != nil || !(v >= 0 && v < 100) {
				n.fail("not a percentage: "+quoted(s.Value), "such as 5%")
				return
			}
			*bytes, *part = 0, v/100
			return
		}
		*part = 0
		sizeTo(bytes)(n)
	}
}

func networkTo(dst *[]netip.Prefix) func(node) {
	return func(n node) {
		s, ok := n.text()
		if !ok {
			return
		}
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() {
			n.fail("not a network: "+quoted(s), "such as 10.1.0.0/16, without host bits")
			return
		}
		*dst = append(*dst, p)
	}
}

var hexForm = regexp.MustCompile(`^[0-9a-f]+$`)

// hexTo reads a digest of so many bits; colons and upper case, as OpenSSL
// prints them, are taken away.
func hexTo(dst *string, bits int) func(node) {
	return func(n node) {
		s, ok := n.text()
		if !ok {
			return
		}
		h, ok := parseHex(s, bits)
		if !ok {
			n.fail("not a digest", "want "+strconv.Itoa(bits/4)+" hexadecimal digits")
			return
		}
		*dst = h
	}
}

// parseHex normalises a digest of so many bits to lower case without colons.
func parseHex(s string, bits int) (string, bool) {
	h := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	return h, len(h) == bits/4 && hexForm.MatchString(h)
}

// instantTo reads an RFC 3339 time.
func instantTo(dst *time.Time) func(node) {
	return func(n node) {
		s, ok := n.text()
		if !ok {
			return
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			n.fail("not a time: "+quoted(s), "such as 2026-12-31T00:00:00Z")
			return
		}
		*dst = t.UTC()
	}
}
