package imagelist

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Encode is the list as canonical JSON: members sorted by name, one a line,
// every key that the specification asks for present even when empty, the ones
// of List.Extra and Image.Metadata that have no field of their own kept as they
// stand. Equal lists give equal bytes. Line ends are LF and stand only between
// tokens, so that the CRLF of a signed message changes nothing.
//
// Fields decide: a key in Image.Metadata that has a field, in whatever case, is
// not looked at.
// Refused and Warnings are not part of the text.
//
// Decode(Encode(l)) has the fields of l, with dates in UTC, Metadata filled in
// and Warnings anew. Encode errs rather than write what Decode would refuse.
func (l *List) Encode() ([]byte, error) {
	document, err := l.members()
	if err != nil {
		return nil, fmt.Errorf("encode list: %w", err)
	}
	out, err := document.encode(Decode)
	if err != nil {
		return nil, fmt.Errorf("encode list: %w", err)
	}
	return out, nil
}

// encode writes the whole text, and holds it against what will read it.
func (m members) encode(decode func([]byte) (*List, error)) ([]byte, error) {
	out := jsontext.Value(members{keyList.String(): m.value()}.value())
	if err := out.Indent(jsontext.WithIndent(" ")); err != nil {
		return nil, err
	}
	out = append(out, '\n')
	back, err := decode(out)
	if err != nil {
		return nil, err
	}
	if len(back.Refused) > 0 {
		e := back.Refused[0]
		return nil, fmt.Errorf("%s: %s", e.Field, e.Detail)
	}
	return out, nil
}

func (l *List) members() (members, error) {
	m, err := parseMembers(l.Extra)
	if err != nil {
		return nil, fmt.Errorf("extra keys: %w", err)
	}
	m.text(keyIdentifier, string(l.Identifier))
	m.text(keyVersion, l.Version)
	m.date(keyCreated, l.Created)
	m.date(keyExpires, l.Expires)
	m.text(keyTitle, l.Title)
	m.text(keyDescription, l.Description)
	m.text(keySource, l.Source)
	m.text(keyURI, l.URI)
	m.textIfAny(keyVO, l.VO)
	m.textIfAny(keyCheckpoint, l.Checkpoint)
	m.set(keyEndorser, endorserValue(l.Endorsers))
	images := make([]jsontext.Value, len(l.Images))
	for i := range l.Images {
		entry, err := l.Images[i].members()
		if err != nil {
			return nil, fmt.Errorf("%s: metadata: %w", entryPath(i), err)
		}
		images[i] = members{keyImage.String(): entry.value()}.value()
	}
	m.set(keyImages, arrayValue(images))
	if len(l.Revoked) > 0 {
		m.set(keyRevoked, revokedValue(l.Revoked))
	}
	return m, nil
}

func (i *Image) members() (members, error) {
	m, err := parseMembers(i.Metadata)
	if err != nil {
		return nil, err
	}
	m.text(keyIdentifier, string(i.Identifier))
	m.text(keyVersion, i.Version)
	m.text(keyURI, i.URI)
	m.text(keySHA512, i.SHA512.String())
	m.set(keySize, fmt.Append(nil, i.Size))
	m.text(keyTitle, i.Title)
	m.text(keyDescription, i.Description)
	m.text(keyComments, i.Comments)
	m.text(keyOS, i.OS)
	m.text(keyOSVersion, i.OSVersion)
	m.text(keyArch, i.Arch)
	m.text(keyHypervisor, i.Hypervisor)
	m.textIfAny(keyFormat, i.Format)
	m.textIfAny(keyVO, i.VO)
	m.textIfAny(keyMPURI, i.MPURI)
	delete(m, keyExpires.String())
	if !i.Expires.IsZero() {
		m.date(keyExpires, i.Expires)
	}
	return m, nil
}

// endorserValue is one object, or for several what existing readers know: an
// array of them.
func endorserValue(endorsers []Endorser) jsontext.Value {
	var all []jsontext.Value
	for _, e := range endorsers {
		m := members{}
		m.text(keyDN, e.DN)
		m.text(keyCA, e.CA)
		m.text(keyEmail, e.Email)
		m.text(keyCreator, e.Creator)
		all = append(all, members{keyX509.String(): m.value()}.value())
	}
	if len(all) == 1 {
		return all[0]
	}
	return arrayValue(all)
}

func revokedValue(revoked []Revocation) jsontext.Value {
	var all []jsontext.Value
	for _, r := range revoked {
		m := members{}
		m.text(keyIdentifier, string(r.Identifier))
		m.text(keyVersion, r.Version)
		m.text(keySHA512, r.SHA512.String())
		m.date(keyDate, r.Date)
		m.text(keyReason, r.Reason)
		all = append(all, m.value())
	}
	return arrayValue(all)
}

// members is one object to be written.
type members map[string]jsontext.Value

// parseMembers takes an object apart; nil is the empty one. Names that differ
// from a known one only in case are left out: beside it they are duplicates.
func parseMembers(raw []byte) (members, error) {
	m := members{}
	if raw == nil {
		return m, nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if t, err := dec.ReadToken(); err != nil {
		return nil, err
	} else if t.Kind() != '{' {
		return nil, errors.New("not an object")
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		text := name.String() // valid only until the next read
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		if keyOf[text] != unknown || fold([]byte(text)) == unknown {
			m[text] = value.Clone()
		}
	}
	return m, nil
}

func (m members) set(k key, v jsontext.Value) { m[k.String()] = v }

func (m members) text(k key, s string) { m.set(k, quote(s)) }

// quote leaves invalid UTF-8 as it is, for Encode's own check to find.
func quote(s string) jsontext.Value {
	v, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		return jsontext.Value(`"` + s + `"`)
	}
	return v
}

// textIfAny writes what is optional in the specification.
func (m members) textIfAny(k key, s string) {
	delete(m, k.String())
	if s != "" {
		m.text(k, s)
	}
}

func (m members) date(k key, t time.Time) { m.text(k, t.UTC().Format(time.RFC3339Nano)) }

func (m members) value() jsontext.Value {
	out := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(name)...), ':'), m[name]...)
	}
	return append(out, '}')
}

func arrayValue(values []jsontext.Value) jsontext.Value {
	return slices.Concat([]byte{'['}, bytes.Join(asBytes(values), []byte{','}), []byte{']'})
}

func asBytes(values []jsontext.Value) [][]byte {
	out := make([][]byte, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}
