package imagelist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxMembers bounds one object: names must be remembered to find duplicates,
// and a 16 MiB object of nothing but names would cost ten times its size.
const maxMembers = 10000

// maxNumber is the length of a number in characters.
const maxNumber = 20

// scanner reads one JSON text, once, from first byte to last, under the rules
// of format.md ("JSON rules"). jsontext refuses invalid UTF-8, unpaired
// surrogates, byte order marks, comments and exact duplicates; the scanner adds
// the rest: U+0000, noncharacters, lengths, depth, and names that differ from
// a known one, or from its double, only in case.
type scanner struct {
	dec      *jsontext.Decoder
	depth    int
	text     []byte // the last string, when it had to be unescaped
	kept     []byte // compact copy of the value being read, while keeping
	keeping  bool
	overflow bool // kept would have grown beyond MaxEntry and is cut
}

// value is what the list needs of a JSON value: its kind (0 if absent) and the
// text of a string or number.
type value struct {
	kind jsontext.Kind
	text string
}

func newScanner(content []byte) *scanner {
	// The decoder reads a bytes.Buffer in place and never writes to it.
	return &scanner{dec: jsontext.NewDecoder(bytes.NewBuffer(content))}
}

// keep starts a compact copy of the next value; keptCopy ends it.
func (s *scanner) keep() { s.kept, s.keeping, s.overflow = s.kept[:0], true, false }

// keptCopy is the value read since keep, or false if it is longer than MaxEntry.
func (s *scanner) keptCopy() ([]byte, bool) {
	s.keeping = false
	return bytes.Clone(s.kept), !s.overflow
}

func (s *scanner) emit(raw ...byte) {
	if !s.keeping || s.overflow {
		return
	}
	if s.overflow = len(s.kept)+len(raw) > MaxEntry; !s.overflow {
		s.kept = append(s.kept, raw...)
	}
}

// read reads one value; the text of scalars only if wanted.
func (s *scanner) read(wanted bool) (value, error) {
	kind := s.dec.PeekKind()
	switch kind {
	case '{':
		return value{kind: kind}, s.object(s.skipMember)
	case '[':
		return value{kind: kind}, s.array(s.skipElement)
	}
	raw, err := s.dec.ReadValue()
	if err != nil {
		return value{}, err
	}
	s.emit(raw...)
	text := []byte(raw)
	switch {
	case kind == '"':
		if text, err = s.unquote(raw); err != nil {
			return value{}, err
		}
	case kind == '0' && len(raw) > maxNumber:
		return value{}, s.fault("number longer than %d characters", maxNumber)
	}
	if !wanted {
		return value{kind: kind}, nil
	}
	return value{kind: kind, text: string(text)}, nil
}

func (s *scanner) skip() error {
	_, err := s.read(false)
	return err
}

func (s *scanner) skipMember(key) error  { return s.skip() }
func (s *scanner) skipElement(int) error { return s.skip() }

// object reads an object; member must read exactly the one value of its key.
func (s *scanner) object(member func(key) error) error {
	if err := s.open('{'); err != nil {
		return err
	}
	var seen uint64
	for n := 0; s.dec.PeekKind() != '}'; n++ {
		if n == maxMembers {
			return s.fault("object with more than %d members", maxMembers)
		}
		if n > 0 {
			s.emit(',')
		}
		k, err := s.name(&seen)
		if err != nil {
			return err
		}
		s.emit(':')
		if err := member(k); err != nil {
			return err
		}
	}
	return s.close()
}

// name reads a member's name and enters it into the set of known keys seen in
// this object, whatever its case.
func (s *scanner) name(seen *uint64) (key, error) {
	raw, err := s.dec.ReadValue()
	if err != nil {
		return unknown, err
	}
	s.emit(raw...)
	text, err := s.unquote(raw)
	if err != nil {
		return unknown, err
	}
	k := keyOf[string(text)]
	known := k
	if k == unknown {
		known = fold(text)
	}
	if known == unknown {
		return unknown, nil
	}
	if *seen&(1<<known) != 0 {
		return unknown, s.fault("duplicate member name: differs from %s only in case", known)
	}
	*seen |= 1 << known
	return k, nil
}

// array reads an array; element must read exactly one value.
func (s *scanner) array(element func(int) error) error {
	if err := s.open('['); err != nil {
		return err
	}
	for i := 0; s.dec.PeekKind() != ']'; i++ {
		if i > 0 {
			s.emit(',')
		}
		if err := element(i); err != nil {
			return err
		}
	}
	return s.close()
}

func (s *scanner) open(kind byte) error {
	if have := s.dec.PeekKind(); have > 0 && have != jsontext.Kind(kind) {
		return s.fault("want %q, have %s", kind, have)
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	if s.depth++; s.depth > MaxDepth {
		return s.fault("nested deeper than %d", MaxDepth)
	}
	s.emit(kind)
	return nil
}

func (s *scanner) close() error {
	t, err := s.dec.ReadToken()
	if err != nil {
		return err
	}
	s.depth--
	s.emit(byte(t.Kind()))
	return nil
}

// end says whether nothing but white space is left.
func (s *scanner) end() error {
	if _, err := s.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("bytes after the end of the object")
	}
	return nil
}

// unquote gives the text of a string literal that jsontext has passed. The
// result is valid until the next call.
func (s *scanner) unquote(raw []byte) ([]byte, error) {
	text := raw[1 : len(raw)-1]
	var high byte
	for _, c := range text {
		high |= c
	}
	escaped := bytes.IndexByte(text, '\\') >= 0
	if escaped {
		s.text, _ = jsontext.AppendUnquote(s.text[:0], raw)
		text = s.text
	}
	if len(text) > MaxString {
		return nil, s.fault("string longer than %d bytes", MaxString)
	}
	if escaped || high >= utf8.RuneSelf {
		if r, bad := forbidden(text); bad {
			return nil, s.fault("%U in a string", r)
		}
	}
	return text, nil
}

// forbidden finds U+0000 and the noncharacters of Unicode (§23.7).
func forbidden(text []byte) (rune, bool) {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == 0 || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef {
			return r, true
		}
		i += size
	}
	return 0, false
}

func (s *scanner) fault(format string, args ...any) error {
	where := string(s.dec.StackPointer())
	if len(where) > 100 {
		where = where[:100]
	}
	return fmt.Errorf("%s within %q", fmt.Sprintf(format, args...), where)
}
