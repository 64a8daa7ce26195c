// Package sbom says whether a file is a software bill of materials, and of
// which standard (policy E3, E6): CycloneDX as JSON or XML, SPDX 2 as JSON or
// tag-value, SPDX 3 as JSON-LD.
//
// It reads the whole of a file with the libraries of the standards, but does
// not validate it against their schemas, and says nothing about whether it is
// true or complete.
package sbom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxSize is the size of a file in bytes.
const MaxSize = 64 << 20

// Document says what a file is.
type Document struct {
	Standard string // CycloneDX or SPDX
	Version  string // of the standard, e.g. 1.6 or 2.3
	Encoding string // JSON, XML, tag-value or JSON-LD
	Packages int    // how many components or packages it lists; 0 is possible, and of little use
}

// String is what an entry of the history calls it, e.g. "CycloneDX 1.6 JSON".
func (d Document) String() string { return d.Standard + " " + d.Version + " " + d.Encoding }

// Ext is a file name extension without the dot, e.g. "json".
func (d Document) Ext() string {
	switch d.Encoding {
	case "XML":
		return "xml"
	case "tag-value":
		return "spdx"
	}
	return "json"
}

// An Error says that a file is no bill of materials that is known here, and
// what it is instead. Its text quotes the file.
type Error struct{ Found string }

func (e *Error) Error() string { return "software bill of materials: " + e.Found }

// Hint says what would be one.
func (e *Error) Hint() string {
	return "want CycloneDX (JSON, XML), SPDX 2 (JSON, tag-value) or SPDX 3 (JSON-LD); or say why there is none: --no-sbom REASON"
}

func found(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Read reads a file and checks it. It returns what it read, to be kept.
func Read(r io.Reader) ([]byte, Document, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, Document{}, fmt.Errorf("software bill of materials: %w", err)
	}
	d, err := Check(raw)
	return raw, d, err
}

// Check says what a file is. Every error is an *Error.
func Check(raw []byte) (Document, error) {
	if len(raw) > MaxSize {
		return Document{}, found("larger than %d bytes", MaxSize)
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	switch {
	case len(text) == 0:
		return Document{}, found("an empty file")
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return Document{}, found("no text: it begins with the bytes % x", raw[:min(len(raw), 8)])
	case text[0] == '{' || text[0] == '[':
		return checkJSON(text)
	case text[0] == '<':
		return checkXML(text)
	}
	return checkTagValue(text)
}

// clean shortens what a library says about hostile text.
func clean(err error) string {
	const most = 200
	var e *Error
	if errors.As(err, &e) {
		return e.Found
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, err.Error())
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
