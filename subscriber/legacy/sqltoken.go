package legacy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The bounds of a dump. A site that ran for ten years has gigabytes of old
// messages in it, which pass by; what is kept are a few thousand short texts.
const (
	maxDump  = 16 << 30 // bytes
	maxValue = 64 << 10 // of one text that is kept
	maxKept  = 16 << 20 // of all texts that are kept
)

// token is one word of SQL: a word or number as it stands, a quoted name, a
// string, a blob, or one character of punctuation.
type token struct {
	kind byte // 'w' word, 'n' quoted name, 's' string, 'x' blob, 0 the end, else the character
	text string
}

// is says whether the token is this key word.
func (t token) is(word string) bool { return t.kind == 'w' && strings.EqualFold(t.text, word) }

// scanner cuts SQL into tokens, without keeping what passes by.
type scanner struct {
	r    *bufio.Reader
	read int64
	line int
	pass bool // do not keep texts
	end  bool // there is no more
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", s.line, fmt.Sprintf(format, args...))
}

// next is the next byte; 0 at the end, which no dump contains otherwise.
func (s *scanner) next() (byte, error) {
	c, err := s.r.ReadByte()
	switch {
	case err == io.EOF:
		s.end = true
		return 0, nil
	case err != nil:
		return 0, err
	case c == 0:
		return 0, s.errorf("a NUL byte")
	case c == '\n':
		s.line++
	}
	if s.read++; s.read > maxDump {
		return 0, errors.New("larger than 16 GiB")
	}
	return c, nil
}

func (s *scanner) peek() byte {
	b, err := s.r.Peek(1)
	if err != nil {
		s.end = true
		return 0
	}
	return b[0]
}

// token is the next token, after white space and comments.
func (s *scanner) token() (token, error) {
	for {
		c, err := s.next()
		switch {
		case err != nil || c == 0:
			return token{}, err
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
		case c == '-' && s.peek() == '-':
			err = s.skipComment("\n")
		case c == '/' && s.peek() == '*':
			err = s.skipComment("*/")
		case c == '\'':
			text, err := s.quoted('\'')
			return token{'s', text}, err
		case c == '"' || c == '`':
			text, err := s.quoted(c)
			return token{'n', text}, err
		case c == '[':
			text, err := s.until(']')
			return token{'n', text}, err
		case (c == 'x' || c == 'X') && s.peek() == '\'':
			s.next()
			text, err := s.quoted('\'')
			return token{'x', text}, err
		case wordByte(c) || (c == '-' || c == '+') && wordByte(s.peek()):
			text, err := s.word(c)
			return token{'w', text}, err
		default:
			return token{kind: c}, nil
		}
		if err != nil {
			return token{}, err
		}
	}
}

func (s *scanner) skipComment(end string) error {
	for tail := ""; tail != end; {
		c, err := s.next()
		if err != nil || c == 0 {
			return err
		}
		if tail += string(c); len(tail) > len(end) {
			tail = tail[1:]
		}
	}
	return nil
}

func wordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '$' || c >= 0x80
}

// word reads on from the first byte of a word or number; the sign of an
// exponent belongs to it.
func (s *scanner) word(first byte) (string, error) {
	text := []byte{first}
	number := !('a' <= first|0x20 && first|0x20 <= 'z') && first < 0x80 && first != '_'
	for {
		c := s.peek()
		sign := (c == '-' || c == '+') && number && text[len(text)-1]|0x20 == 'e'
		if !wordByte(c) && !sign {
			return string(text), nil
		}
		if len(text) >= maxValue {
			return "", s.errorf("a word longer than 64 KiB")
		}
		s.next()
		text = append(text, c)
	}
}

// quoted reads on after a quote to the one that ends the text; a doubled quote
// stands for itself.
func (s *scanner) quoted(quote byte) (string, error) {
	var text []byte
	for {
		part, err := s.until(quote)
		if err != nil {
			return "", err
		}
		if text = append(text, part...); len(text) > maxValue {
			return "", s.errorf("a value longer than 64 KiB")
		}
		if s.peek() != quote {
			return string(text), nil
		}
		s.next()
		if !s.pass {
			text = append(text, quote)
		}
	}
}

// until reads to a byte, and past it.
func (s *scanner) until(end byte) (string, error) {
	var text []byte
	for {
		part, err := s.r.ReadSlice(end)
		s.read += int64(len(part))
		s.line += bytes.Count(part, []byte("\n"))
		switch {
		case s.read > maxDump:
			return "", errors.New("larger than 16 GiB")
		case err == io.EOF:
			s.end = true
			return "", s.errorf("a text without end")
		case err != nil && err != bufio.ErrBufferFull:
			return "", err
		case !s.pass && len(text)+len(part) > maxValue:
			return "", s.errorf("a value longer than 64 KiB")
		case !s.pass:
			text = append(text, part...)
		}
		if err == nil {
			return string(bytes.TrimSuffix(text, []byte{end})), nil
		}
	}
}
