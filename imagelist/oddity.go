package imagelist

import (
	"fmt"
	"strconv"
	"strings"
)

// Paths as they are shown to people.
const (
	listPath  = "hv:imagelist"
	imagePath = "hv:images[].hv:image"
)

func step(i int) string         { return "[" + strconv.Itoa(i) + "]" }
func entryPath(i int) string    { return keyImages.String() + step(i) }
func endorserPath(i int) string { return listPath + keyEndorser.step() + step(i) }

// maxWarnings is how many lines one list may make an administrator read.
const maxWarnings = 100

// oddity is something wrong that decides nothing.
type oddity struct {
	path string // imagePath stands for every entry
	key  key    // unknown: the object as a whole
	text string
}

// oddities collects them. What recurs in many entries is told once, with its
// first place and a count.
type oddities struct {
	entry int // the entry being read
	seen  []oddity
	first []int // entry each was first seen in
	count map[oddity]int
	more  int // distinct ones beyond maxWarnings
}

const missing = "missing"

func (o *oddities) note(path string, k key, text string) {
	odd := oddity{path, k, text}
	switch n := o.count[odd]; {
	case n > 0:
		o.count[odd] = n + 1
	case len(o.seen) == maxWarnings-1:
		o.more++
	default:
		if o.count == nil {
			o.count = make(map[oddity]int)
		}
		o.count[odd] = 1
		o.seen = append(o.seen, odd)
		o.first = append(o.first, o.entry)
	}
}

// lines are the warnings as people read them, at most maxWarnings.
func (o *oddities) lines() []string {
	var lines []string
	for i, odd := range o.seen {
		line := odd.place(o.first[i]) + ": " + odd.text
		if n := o.count[odd] - 1; n > 0 {
			line += fmt.Sprintf(" (and in %d more)", n)
		}
		lines = append(lines, line)
	}
	if o.more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", o.more))
	}
	return lines
}

// findings are the warnings that a look at the decoded list would not give again.
func (o *oddities) findings() []Finding {
	var all []Finding
	for i, odd := range o.seen {
		if odd.text != missing {
			all = append(all, Finding{Severity: Warning, Path: odd.place(o.first[i]), Clause: odd.clause(), Detail: odd.text})
		}
	}
	return all
}

func (o oddity) clause() string {
	switch {
	case o.path == imagePath:
		return clauseImage
	case o.key == keyRevoked || strings.HasPrefix(o.path, listPath+keyRevoked.step()):
		return clauseRevoked
	}
	return clauseList
}

func (o oddity) place(entry int) string {
	path := o.path
	if path == imagePath {
		path = entryPath(entry) + "." + keyImage.String()
	}
	return path + o.key.step()
}
