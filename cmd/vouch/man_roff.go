package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// manPage is a page as it grows, in the man(7) language.
type manPage struct {
	bytes.Buffer
	begun bool // the section has a paragraph
}

// roff makes text of characters that roff would obey. A hyphen is written as
// the one that can be pasted into a shell.
var roff = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// text writes lines that may begin with anything.
func (m *manPage) text(lines ...string) {
	for _, line := range lines {
		line = roff.Replace(line)
		if strings.HasPrefix(line, ".") {
			line = `\&` + line
		}
		fmt.Fprintln(m, line)
	}
}

func (m *manPage) section(name string) {
	fmt.Fprintf(m, ".SH %s\n", strings.ToUpper(name))
	m.begun = false
}

func (m *manPage) paragraph() {
	if m.begun {
		fmt.Fprintln(m, ".PP")
	}
	m.begun = true
}

func (m *manPage) literal(lines []string) {
	m.paragraph()
	fmt.Fprintln(m, ".nf")
	m.text(lines...)
	fmt.Fprintln(m, ".fi")
}

// prose writes paragraphs. Indented lines are meant to stay as they are.
func (m *manPage) prose(text string) {
	for _, block := range blocksOf(text) {
		if strings.HasPrefix(block[0], " ") {
			m.literal(block)
			continue
		}
		m.paragraph()
		m.text(block...)
	}
}

// blocksOf cuts a text at empty lines, and where indentation begins or ends.
func blocksOf(text string) [][]string {
	var blocks [][]string
	indented, fresh := false, true
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line == "" {
			fresh = true
			continue
		}
		if now := strings.HasPrefix(line, " "); fresh || now != indented {
			blocks, indented, fresh = append(blocks, nil), now, false
		}
		last := &blocks[len(blocks)-1]
		*last = append(*last, line)
	}
	return blocks
}

// flags writes each as a term and what it does, as --help has them.
func (m *manPage) flags(flags []cli.Flag) {
	for _, f := range flags {
		names, does, _ := strings.Cut(f.String(), "\t")
		fmt.Fprintln(m, ".TP")
		for i, name := range strings.Split(names, ", ") {
			if i > 0 {
				fmt.Fprint(m, ", ")
			}
			name, value, _ := strings.Cut(name, " ")
			fmt.Fprintf(m, `\fB%s\fR`, roff.Replace(name))
			if value != "" {
				fmt.Fprintf(m, ` \fI%s\fR`, roff.Replace(value))
			}
		}
		fmt.Fprintln(m)
		m.text(strings.TrimSpace(does))
	}
	m.begun = m.begun || len(flags) > 0
}
