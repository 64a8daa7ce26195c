package trust

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxPattern bounds the regular expression of one statement, in bytes.
const maxPattern = 1 << 10

var (
	versionLine = regexp.MustCompile(`^#\s*NAMESPACES-VERSION:\s*(.*)$`)
	statement   = regexp.MustCompile(`(?i)^TO\s+Issuer\s+(?:"([^"]+)"|SELF)\s+(PERMIT|DENY)\s+Subject\s+"([^"]+)"\s*(#.*)?$`)
)

// parseNamespaces reads an EUGridPMA namespaces file of version 1.0:
//
//	TO Issuer ("DN"|SELF) (PERMIT|DENY) Subject "expression"
//
// with lines continued by a backslash at their end, also within a word, and a
// comment behind a statement. The expression is in RE2 syntax, where the format
// says POSIX basic: what real files use means the same in both. It must match
// the whole subject. Another version, or a statement that is not understood,
// makes the whole file unusable.
func parseNamespaces(data []byte) ([]rule, error) {
	var p nameRules
	if err := lines(data, p.line); err != nil {
		return nil, err
	}
	if p.start != 0 {
		return nil, errors.New("the last line is continued by nothing")
	}
	if len(p.rules) == 0 {
		return nil, errors.New("no statements")
	}
	return p.rules, nil
}

// nameRules is a namespaces file as far as it has been read.
type nameRules struct {
	joined string // the beginning of a continued line
	start  int    // and where it began; 0 between statements
	rules  []rule
}

func (p *nameRules) line(number int, line string) error {
	if p.start == 0 {
		line = strings.TrimLeft(line, " \t\v\f")
		if version := versionLine.FindStringSubmatch(line); version != nil && version[1] != "1.0" {
			return fmt.Errorf("version %q is not supported", version[1])
		}
		if line == "" || line[0] == '#' {
			return nil
		}
		p.start = number
	}
	if more, continued := strings.CutSuffix(line, `\`); continued {
		p.joined += more
		return nil
	}
	err := p.statement(p.joined+line, len(p.joined))
	p.joined, p.start = "", 0
	return err
}

// statement takes a whole line; before is what of it comes from lines that
// were continued. No comment may begin there: it would hide the next statement.
func (p *nameRules) statement(line string, before int) error {
	m := statement.FindStringSubmatch(line)
	if m == nil {
		return errors.New("not a statement")
	}
	if comment := m[4]; comment != "" && len(line)-len(comment) < before {
		return errors.New("a comment that is continued")
	}
	matches, err := wholeMatch(m[3])
	if err != nil {
		return err
	}
	p.rules = append(p.rules, rule{line: p.start, issuer: m[1], self: m[1] == "",
		deny: strings.EqualFold(m[2], "DENY"), pattern: m[3], matches: matches})
	return nil
}

// wholeMatch compiles an expression by itself first, so that an unbalanced
// parenthesis cannot undo the anchors.
func wholeMatch(expression string) (func(string) bool, error) {
	if len(expression) > maxPattern {
		return nil, fmt.Errorf("an expression of more than %d bytes", maxPattern)
	}
	if _, err := regexp.Compile(expression); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`\A(?s:` + expression + `)\z`)
	if err != nil {
		return nil, err
	}
	return re.MatchString, nil
}
