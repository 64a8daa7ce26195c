// Package legacy reads what the older subscribers to image lists were told to
// do: a dump of vmcatcher's database, cloudkeeper's image-lists.conf or
// cloudkeeper.yml, atrope's hepix.yaml.
//
// Bytes go in, wishes for subscriptions come out, and with them whatever could
// not be understood. Nothing is opened, fetched, written or trusted here. All
// text in a source is hostile: names are made anew from an allow-list, URLs
// lose their user information, everything else must be checked by whoever uses
// it, as it must be if a person had typed it.
package legacy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Kind is the tool that a source comes from.
type Kind string

// The kinds of sources.
const (
	VMCatcher   Kind = "vmcatcher"   // the text that sqlite3's .dump prints, of vmcatcher 0.4 to 0.6
	Cloudkeeper Kind = "cloudkeeper" // image-lists.conf, or cloudkeeper.yml
	Atrope      Kind = "atrope"      // hepix.yaml of atrope 1 and 2
)

// List is a subscription as the other tool had it.
type List struct {
	Source     string   // what the source calls it; hostile text
	Name       string   // a proposal, [a-z0-9][a-z0-9-]{0,63}; two lists may have the same
	URL        string   // http or https, without user information
	Identifier string   // of the list; "" when the source does not say
	Endorsers  []Person // who may speak for it; none when the source does not say
	Username   string   // secret
	Password   string   // secret; "" with a Username is AppDB's token
	Images     Selection
	Notes      []string // what is different now, in our words
}

// Person is an endorser, by the DN and that of the CA.
type Person struct{ DN, CA string }

// Selection is which images of a list were wanted: of Include, or all when it
// is nil, without Exclude. None says that no image was wanted at all.
type Selection struct {
	Include, Exclude []string // identifiers, fit for a file name
	None             bool
}

// Left is what a source says that is not carried over.
type Left struct {
	Source string // what the source calls it; hostile text
	URL    string // without user information; its query may hold a secret; "" when there is none to show
	Why    string
	Fix    string // what a person can do; may be empty
	Lost   bool   // the other tool acted on it
}

// Result is what a source says.
type Result struct {
	Kind  Kind
	Lists []List
	Left  []Left
}

// ErrDatabase says that the source is a SQLite database and not its dump.
var ErrDatabase = errors.New("a SQLite database: its dump is read, not the file")

// ErrUnknown says that the source is of none of the kinds.
var ErrUnknown = errors.New("neither a dump of a vmcatcher database nor an image-lists.conf nor a hepix.yaml")

const magic = "SQLite format 3\x00"

// IsDatabase says whether a file that begins with head is a SQLite database.
func IsDatabase(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }

// maxText bounds a source that is not a dump; an honest one is a few kilobytes.
const maxText = 1 << 20

// Read reads a source; with kind "" it finds out which it is. The errors are
// ErrDatabase, ErrUnknown, those of r, and what is wrong with the text; then
// there is no result at all. A dump that was cut short is an error.
func Read(r io.Reader, kind Kind) (*Result, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(b.Size())
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case IsDatabase(head):
		return nil, ErrDatabase
	}
	if kind == "" {
		kind = kindOf(head)
	}
	if kind == VMCatcher {
		return readVMCatcher(b)
	}
	text, err := io.ReadAll(io.LimitReader(b, maxText+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxText:
		return nil, errors.New("larger than 1 MiB")
	case !utf8.Valid(text):
		return nil, errors.New("not UTF-8 text")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	switch kind {
	case Cloudkeeper:
		return readCloudkeeper(text)
	case Atrope:
		return readAtrope(text)
	}
	return nil, ErrUnknown
}

var (
	dumpStart = regexp.MustCompile(`^(?i)\s*(PRAGMA|BEGIN|CREATE)\s`)
	urlStart  = regexp.MustCompile(`^(?i)https?://`)
	yamlStart = regexp.MustCompile(`^(---|[^\s:#{\[][^:]*:(\s|$)|"[^"]*":|'[^']*':)`)
	keeperKey = regexp.MustCompile(`(?m)^["']?cloudkeeper["']?:`)
)

// kindOf tells the kinds apart by their first line that is no comment.
func kindOf(head []byte) Kind {
	head = bytes.TrimPrefix(head, []byte("\ufeff"))
	if dumpStart.Match(head) {
		return VMCatcher
	}
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		trimmed := bytes.TrimSpace(line)
		switch {
		case len(trimmed) == 0 || trimmed[0] == '#':
			continue
		case urlStart.Match(trimmed):
			return Cloudkeeper
		case keeperKey.Match(head):
			return Cloudkeeper
		case yamlStart.Match(line):
			return Atrope
		}
		return ""
	}
	return ""
}

var identifierForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// usable keeps the identifiers that vouch can use, and counts the others. Each
// is kept once, in the order of the source.
func usable(ids []string) (good []string, bad int) {
	seen := map[string]bool{}
	for _, id := range ids {
		switch {
		case !identifierForm.MatchString(id):
			bad++
		case !seen[id]:
			seen[id] = true
			good = append(good, id)
		}
	}
	return good, bad
}

// sayUnusable notes identifiers that were left out.
func (l *List) sayUnusable(n int) {
	if n > 0 {
		l.Notes = append(l.Notes, fmt.Sprintf("images left out, since their identifiers are no file names: %d", n))
	}
}

// slug makes a subscription's name from the first text that leaves one.
func slug(texts ...string) string {
	for _, text := range texts {
		var b strings.Builder
		for _, r := range strings.ToLower(text) {
			switch {
			case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
				b.WriteRune(r)
			case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
				b.WriteByte('-')
			}
			if b.Len() == 64 {
				break
			}
		}
		if s := strings.TrimRight(b.String(), "-"); s != "" {
			return s
		}
	}
	return "imported"
}
