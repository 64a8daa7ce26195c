package legacy

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// sqlValue is a value as text; blobs are their hexadecimal digits.
type sqlValue struct {
	text string
	null bool
}

// arguments reads values up to the closing parenthesis, the opening one being
// read already.
func (d *dump) arguments(depth int) ([]sqlValue, error) {
	const most = 1000 // of columns, and of arguments of a function
	var vals []sqlValue
	for len(vals) < most {
		t, err := d.token()
		if err != nil {
			return nil, err
		}
		v, err := d.value(t, depth)
		if err != nil {
			return nil, err
		}
		vals = append(vals, v)
		t, err = d.token()
		switch {
		case err != nil:
			return nil, err
		case t.kind == ')':
			return vals, nil
		case t.kind != ',':
			return nil, d.errorf("a list of values that does not end")
		}
	}
	return nil, d.errorf("more than %d values", most)
}

// value is the value that begins with a token: a literal, or one of the
// functions with which sqlite3 writes texts that have line ends or other
// controls in them.
func (d *dump) value(t token, depth int) (sqlValue, error) {
	switch {
	case t.kind == 's' || t.kind == 'x':
		return sqlValue{text: t.text}, nil
	case t.is("NULL"):
		return sqlValue{null: true}, nil
	case t.kind != 'w':
		return sqlValue{}, d.errorf("not a value")
	case strings.IndexByte("+-.0123456789", t.text[0]) >= 0:
		return sqlValue{text: t.text}, nil
	}
	open, err := d.token()
	if err != nil {
		return sqlValue{}, err
	}
	if open.kind != '(' || depth > 8 {
		return sqlValue{}, d.errorf("not a value")
	}
	args, err := d.arguments(depth + 1)
	if err != nil {
		return sqlValue{}, err
	}
	text, ok := call(strings.ToLower(t.text), args)
	if !ok {
		return sqlValue{}, d.errorf("a function that sqlite3 does not write, or too long a text")
	}
	return sqlValue{text: text}, nil
}

// call is replace(text, old, new), char(number...) or unistr(text).
func call(name string, args []sqlValue) (string, bool) {
	switch {
	case name == "char":
		var b strings.Builder
		for _, a := range args {
			n, err := strconv.ParseUint(a.text, 10, 21)
			if err != nil || n > utf8.MaxRune {
				return "", false
			}
			b.WriteRune(rune(n))
		}
		return b.String(), true
	case name == "replace" && len(args) == 3 && args[1].text != "":
		old, new := args[1].text, args[2].text
		grown := strings.Count(args[0].text, old) * max(0, len(new)-len(old))
		if len(args[0].text)+grown > maxValue {
			return "", false
		}
		return strings.ReplaceAll(args[0].text, old, new), true
	case name == "unistr" && len(args) == 1:
		return unistr(args[0].text)
	}
	return "", false
}

// unistr reads the escapes of SQLite's function of this name: a backslash and
// four hexadecimal digits, \u and four, \+ and six, \U and eight; two backslashes
// are one.
func unistr(s string) (string, bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		skip, digits := 1, 0
		switch {
		case strings.HasPrefix(after, `\`):
			b.WriteByte('\\')
			s = after[1:]
			continue
		case strings.HasPrefix(after, "u"):
			digits = 4
		case strings.HasPrefix(after, "+"):
			digits = 6
		case strings.HasPrefix(after, "U"):
			digits = 8
		default:
			skip, digits = 0, 4
		}
		if len(after) < skip+digits {
			return "", false
		}
		n, err := strconv.ParseUint(after[skip:skip+digits], 16, 32)
		if err != nil || n > utf8.MaxRune {
			return "", false
		}
		b.WriteRune(rune(n))
		s = after[skip+digits:]
	}
}
