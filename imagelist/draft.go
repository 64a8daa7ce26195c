package imagelist

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// PositionError is JSON that a person broke: what, and where in the text.
type PositionError struct {
	Line, Column int // from 1; the column counts bytes
	Detail       string
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Detail)
}

// DecodeDraft reads a list in the making under the rules of Decode, except that
// what signing sets may be absent or empty: version, dates, endorsers and their
// names, and hv:images. The identifier is required. Entries that are wrong in
// themselves are in List.Refused.
//
// The error is a *PositionError.
func DecodeDraft(content []byte) (*List, error) {
	d := &decoder{scanner: newScanner(content), list: &List{draft: true}, draft: true}
	if err := d.document(); err != nil {
		offset := d.dec.InputOffset()
		if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			offset = syntax.ByteOffset
		}
		detail, _, _ := strings.Cut(told(err), " after offset ")
		before := content[:min(max(int(offset), 0), len(content))]
		return nil, &PositionError{
			Line:   bytes.Count(before, []byte{'\n'}) + 1,
			Column: len(before) - bytes.LastIndexByte(before, '\n'),
			Detail: detail,
		}
	}
	return d.finish(), nil
}

// EncodeDraft is Encode for a list that lacks what signing sets: what is absent
// is left out.
func (l *List) EncodeDraft() ([]byte, error) {
	m, err := l.members()
	if err != nil {
		return nil, fmt.Errorf("encode draft: %w", err)
	}
	for k, absent := range map[key]bool{
		keyVersion: l.Version == "", keyCreated: l.Created.IsZero(), keyExpires: l.Expires.IsZero(), keyEndorser: len(l.Endorsers) == 0,
	} {
		if absent {
			delete(m, k.String())
		}
	}
	out, err := m.encode(DecodeDraft)
	if err != nil {
		return nil, fmt.Errorf("encode draft: %w", err)
	}
	return out, nil
}

// Set gives a key of hv:image a value, as an endorser types it; "" removes an
// optional one. A key that neither the specification nor a list in the wild has
// is kept in Metadata, and known is false: it may be a slip of the pen.
//
// It errs for what is measured or identifies (identifier, URI, size, checksum),
// for keys of the list, for names that differ from a known one only in case, and
// for values of the wrong type.
func (i *Image) Set(name, value string) (known bool, err error) {
	if text := i.text(keyOf[name]); text != nil {
		*text = value
		return true, nil
	}
	switch k := keyOf[name]; {
	case k == keyExpires:
		if i.Expires = (time.Time{}); value == "" {
			return true, nil
		}
		if i.Expires, err = time.Parse(time.RFC3339, value); err != nil {
			return true, fmt.Errorf("%s: not an RFC 3339 date: %q", name, clip(value))
		}
		return true, nil
	case k == keyIdentifier || k == keyURI || k == keySize || k == keySHA512:
		return true, fmt.Errorf("%s: is measured or has a flag of its own", name)
	case k != unknown:
		return true, fmt.Errorf("%s: not a key of an image", name)
	case fold([]byte(name)) != unknown:
		return false, fmt.Errorf("%q: differs from %s only in case", clip(name), fold([]byte(name)))
	}
	return inTheWild(name), i.setMetadata(name, value)
}

func (i *Image) setMetadata(name, value string) error {
	m, err := parseMembers(i.Metadata)
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	delete(m, name)
	switch {
	case value == "":
	case name == coreMinimum || name == ramMinimum:
		if _, err := strconv.ParseUint(value, 10, 63); err != nil {
			return fmt.Errorf("%s: not a number: %q", name, clip(value))
		}
		m[name] = jsontext.Value(value)
	default:
		m[name] = quote(value)
	}
	i.Metadata = m.value()
	return nil
}

// text is the field of a key that holds text and that a person may choose.
func (i *Image) text(k key) *string {
	switch k {
	case keyVersion:
		return &i.Version
	case keyTitle:
		return &i.Title
	case keyDescription:
		return &i.Description
	case keyComments:
		return &i.Comments
	case keyOS:
		return &i.OS
	case keyOSVersion:
		return &i.OSVersion
	case keyArch:
		return &i.Arch
	case keyHypervisor:
		return &i.Hypervisor
	case keyFormat:
		return &i.Format
	case keyVO:
		return &i.VO
	case keyMPURI:
		return &i.MPURI
	}
	return nil
}

// KnownKeys are the names Set knows, for suggestions.
func KnownKeys() []string {
	known := slices.Clone(wild)
	for k := unknown + 1; k < keys; k++ {
		if k == keyExpires || new(Image).text(k) != nil {
			known = append(known, k.String())
		}
	}
	return known
}

// NextVersion is the least step up from a version: its last number one higher
// ("1.0.9" gives "1.0.10"), or ".1" after a text that does not end in a number.
// CompareVersions puts it after v. The next version of "" is "1".
func NextVersion(v string) string {
	if v == "" {
		return "1"
	}
	start := len(v)
	for start > 0 && v[start-1] >= '0' && v[start-1] <= '9' {
		start--
	}
	if part := bytes.LastIndexAny([]byte(v), ".-,/") + 1; start == len(v) || start != part {
		return v + ".1" // "beta2" is text, and text is compared byte by byte
	}
	digits := []byte(v[start:])
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i]++; digits[i] <= '9' {
			return v[:start] + string(digits)
		}
		digits[i] = '0'
	}
	return v[:start] + "1" + string(digits)
}
