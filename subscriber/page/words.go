package page

import (
	"fmt"
	"html/template"
	"net/url"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// words are what the templates say things with. None of them returns markup:
// whatever they return is escaped as its place asks.
var words = template.FuncMap{
	"text":  text,
	"brief": brief,
	"fold":  fold,
	"full":  full,

	"imageLink": func(id string) string { return link("/image?id=", id) },
	"listLink":  func(name string) string { return link("/list?name=", name) },

	"bytes": size,
	"count": count,
	"grade": func(word any) grade { return grades[fmt.Sprint(word)] },
	"inc":   func(n int) int { return n + 1 },
	"comma": func(n int) string { return humanize.Comma(int64(n)) },
}

// text is a short text as one printable line (T-45).
func text(v any) string {
	s, _ := begin(fmt.Sprint(v), factLength)
	return s
}

// link is the address of what has this name; "" when the name is so long that a
// page of it would be nothing else.
func link(path, name string) string {
	if len(name) > maxName {
		return ""
	}
	return path + url.QueryEscape(name)
}

const maxName = 300

// Lengths of text, in characters: in a line of a table, in its tip, in a place
// of its own, and unfolded there: one of many, or the only one.
const (
	lineLength = 120
	tipLength  = 600
	factLength = 250
	foldLength = 2 << 10
	fullLength = 64 << 10
)

// passage is a text and, when that is only its beginning, more of it.
type passage struct {
	Text, More string
	Length     int // of the whole, in bytes
}

// brief is a text for a line, with a tip that shows more of a long one.
func brief(v any) passage { return passageOf(fmt.Sprint(v), lineLength, tipLength) }

// fold is a text for a place where more of it can be unfolded.
func fold(v any) passage { return passageOf(fmt.Sprint(v), factLength, foldLength) }

// full is a text for a place where the rest of it can be unfolded.
func full(v any) passage { return passageOf(fmt.Sprint(v), factLength, fullLength) }

func passageOf(s string, length, more int) passage {
	p, cut := passage{Length: len(s)}, false
	if p.Text, cut = begin(s, length); cut {
		p.More, _ = begin(s, more)
	}
	return p
}

// begin is the printable beginning of a text, and whether it was cut to so many
// characters. What is cut away is not even looked at: a title may have
// megabytes.
func begin(s string, limit int) (string, bool) {
	cut := len(s) > limit*utf8.UTFMax
	if cut {
		s = s[:limit*utf8.UTFMax]
	}
	r := []rune(event.Printable(s))
	if !cut && len(r) <= limit {
		return string(r), false
	}
	return string(r[:limit-1]) + "…", true
}

func size(n any) string {
	switch n := n.(type) {
	case int64:
		return humanize.IBytes(uint64(max(n, 0)))
	case uint64:
		return humanize.IBytes(n)
	}
	return fmt.Sprint(n)
}

// count is "1 image", "10,000 images".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanize.Comma(int64(n)) + " " + what + "s"
}

// grade is how a word is meant, the worst first; it is also a class of the style
// sheet. The words themselves are always shown: colour says nothing alone.
type grade int

const (
	bad grade = iota - 2
	warn
	plain
	good
	gone
)

func (g grade) String() string { return [...]string{"bad", "warn", "plain", "good", "gone"}[g-bad] }

// grades of the states of lists and images, of severities and of event types.
var grades = map[string]grade{
	"critical": bad, "rejected": bad, "expired": bad, "withdrawn": bad, "failed": bad, "refused": bad, "dead": bad,
	"warning": warn, "stale": warn, "unreachable": warn, "new": warn, "held": warn, "pending": warn, "removed": warn,
	"ok": good, "available": good, "blocked": plain,

	string(event.ListRejected): bad, string(event.ListExpired): bad, string(event.ImageRevoked): bad, string(event.ImageCorrupt): bad, string(event.ImageFailed): bad,
	string(event.ListUnreachable): warn, string(event.ListExpiring): warn, string(event.ImageExpired): warn, string(event.ImageBlocked): warn,
	string(event.ImageAvailable): good, string(event.ListAccepted): good,
}

// usable says whether an image's bytes are published now.
func usable(i *subscriber.ImageStatus) bool { return i.State == "available" || i.State == "stale" }
