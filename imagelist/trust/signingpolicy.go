package trust

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// lines calls f with every line of a policy file, numbered from 1 and without
// white space at its end.
func lines(data []byte, f func(number int, line string) error) error {
	in := bufio.NewScanner(bytes.NewReader(data))
	in.Buffer(nil, maxPolicyFile+1)
	for n := 1; in.Scan(); n++ {
		if err := f(n, strings.TrimRight(in.Text(), " \t\r\v\f")); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return in.Err()
}

// parseSigningPolicy reads the part of Globus's EACL language that CAs use:
// blocks of access_id_CA, pos_rights and conditions, in this order. What it
// does not understand makes the whole file unusable, since it might be there
// to deny.
func parseSigningPolicy(data []byte) ([]rule, error) {
	var p eacl
	if err := lines(data, p.line); err != nil {
		return nil, err
	}
	if p.state == afterIssuer || p.state == afterRights {
		return nil, errors.New("the last block is not complete")
	}
	if len(p.rules) == 0 {
		return nil, errors.New("no conditions")
	}
	return p.rules, nil
}

// eacl is a signing policy as far as it has been read.
type eacl struct {
	state  eaclState
	issuer string
	number int
	rules  []rule
}

type eaclState int

const (
	beforeBlock eaclState = iota
	afterIssuer
	afterRights
	inConditions
)

var errOrder = errors.New("out of order: a block is access_id_CA, pos_rights, cond_subjects")

func (p *eacl) line(number int, line string) error {
	line = strings.TrimLeft(line, " \t\v\f")
	if line == "" || line[0] == '#' {
		return nil
	}
	keyword, rest := word(line)
	authority, value := word(rest)
	p.number = number
	switch keyword {
	case "access_id_CA":
		return p.accessID(authority, value)
	case "pos_rights":
		return p.rights(authority, value)
	case "cond_subjects":
		return p.condition(authority, value, false)
	case "cond_banned_subjects":
		return p.condition(authority, value, true)
	}
	return fmt.Errorf("%q is not supported", keyword)
}

// word splits off the first blank-separated word.
func word(s string) (first, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func (p *eacl) accessID(authority, value string) error {
	if p.state == afterIssuer || p.state == afterRights {
		return errOrder
	}
	issuers, err := quoted(value)
	if err != nil {
		return err
	}
	if authority != "X509" || len(issuers) != 1 {
		return errors.New("access_id_CA wants X509 and one DN")
	}
	p.state, p.issuer = afterIssuer, issuers[0]
	return nil
}

func (p *eacl) rights(authority, value string) error {
	if p.state != afterIssuer {
		return errOrder
	}
	right, comment := word(value)
	if authority != "globus" || right != "CA:sign" || comment != "" && comment[0] != '#' {
		return errors.New("pos_rights wants globus CA:sign")
	}
	p.state = afterRights
	return nil
}

func (p *eacl) condition(authority, value string, deny bool) error {
	if p.state != afterRights && p.state != inConditions {
		return errOrder
	}
	if authority != "globus" {
		return errors.New("a condition wants globus")
	}
	patterns, err := quoted(value)
	if err != nil {
		return err
	}
	for _, pattern := range patterns {
		p.rules = append(p.rules, rule{line: p.number, issuer: p.issuer, deny: deny, pattern: pattern,
			matches: func(subject string) bool { return glob(pattern, subject) }})
	}
	p.state = inConditions
	return nil
}

var errQuotes = errors.New("quotes do not match")

// quoted reads a value: 'one text', '"one" "or more"', "one" "or more", or a
// single word. Only a comment may follow.
func quoted(s string) ([]string, error) {
	switch {
	case s == "" || s[0] == '#':
		return nil, errors.New("a value is missing")
	case s[0] == '\'':
		inner, rest, ok := strings.Cut(s[1:], "'")
		if !ok {
			return nil, errQuotes
		}
		if rest = strings.TrimSpace(rest); rest != "" && rest[0] != '#' {
			return nil, fmt.Errorf("%q after the value", rest)
		}
		inner = strings.TrimSpace(inner)
		if !strings.Contains(inner, `"`) {
			return nonEmpty([]string{inner})
		}
		return doubleQuoted(inner)
	case s[0] == '"':
		return doubleQuoted(s)
	}
	value, rest := word(s)
	if rest != "" && rest[0] != '#' || strings.ContainsAny(value, `'"`) {
		return nil, errQuotes
	}
	return []string{value}, nil
}

func doubleQuoted(s string) ([]string, error) {
	var all []string
	for s != "" && s[0] != '#' {
		if s[0] != '"' {
			return nil, errQuotes
		}
		text, rest, ok := strings.Cut(s[1:], `"`)
		if !ok {
			return nil, errQuotes
		}
		all, s = append(all, text), strings.TrimSpace(rest)
	}
	return nonEmpty(all)
}

func nonEmpty(texts []string) ([]string, error) {
	for _, t := range texts {
		if t == "" {
			return nil, errors.New("an empty text")
		}
	}
	return texts, nil
}

// glob matches the whole of text: '*' is any run, also of '/', '?' any one
// character, everything else itself. It takes time in the product of the
// lengths at most, whatever the pattern.
func glob(pattern, text string) bool {
	star, retry := -1, 0 // the last '*' seen, and where what follows it was last tried
	p, t := 0, 0
	for t < len(text) {
		_, width := utf8.DecodeRuneInString(text[t:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			p, t = p+1, t+width
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			retry++
			p, t = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
