// Package sbom says whether a file is a software bill of materials, and of
// which standard (policy E3, E6).
package sbom

import (
	"errors"
)

// MaxSize is the size of a file in bytes.
const MaxSize = 64 << 20

// Document says what a file is.
type Document struct {
	Standard string // CycloneDX or SPDX
	Version  string // of the standard, e.g. 1.6 or 2.3
	Encoding string // JSON, XML, tag-value or JSON-LD
}

// String is the whole of it, e.g. "CycloneDX 1.6 JSON".
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

// Check says what a file is. The error says what was found instead.
func Check(raw []byte) (Document, error) { return Document{}, errors.New("TODO") }
