package smime

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

var (
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
)

// attribute is RFC 5652 §5.3 Attribute.
type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// attributes are the signed attributes of one signer.
type attributes struct {
	der         []byte // as a SET OF, which is what the signature covers
	digest      []byte
	signingTime time.Time // zero if absent
}

// readAttributes reads signed attributes, which must be there, in DER, each
// type once, with content type (id-data) and message digest in one value (RFC
// 5652 §5.4, §11). Without them, or with others, a signature over attributes
// can be passed off as one over content, and the reverse.
func readAttributes(raw asn1.RawValue) (*attributes, error) {
	if count(raw) == 0 {
		return nil, errors.New("no signed attributes")
	}
	der := bytes.Clone(raw.FullBytes)
	der[0] = tagSet
	list, err := parseAttributes(der)
	if err != nil {
		return nil, fmt.Errorf("signed attributes: %w", err)
	}
	if again, err := asn1.MarshalWithParams(list, "set"); err != nil || !bytes.Equal(again, der) {
		return nil, errors.New("signed attributes: not DER")
	}
	a := &attributes{der: der}
	var contentType asn1.ObjectIdentifier
	if err := single(list, oidContentType, &contentType, true); err != nil {
		return nil, fmt.Errorf("content type attribute: %w", err)
	}
	if !contentType.Equal(oidData) {
		return nil, errors.New("content type attribute: not data")
	}
	if err := single(list, oidMessageDigest, &a.digest, true); err != nil {
		return nil, fmt.Errorf("message digest attribute: %w", err)
	}
	if err := single(list, oidSigningTime, &a.signingTime, false); err != nil {
		return nil, fmt.Errorf("signing time attribute: %w", err)
	}
	return a, nil
}

// parseAttributes reads one element, a SET OF Attribute in which no type occurs
// twice.
func parseAttributes(der []byte) ([]attribute, error) {
	var list []attribute
	if _, err := asn1.UnmarshalWithParams(der, &list, "set"); err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(list))
	for _, a := range list {
		if name := a.Type.String(); seen[name] {
			return nil, fmt.Errorf("%s occurs twice", name)
		} else {
			seen[name] = true
		}
	}
	return list, nil
}

// single reads the one value of an attribute into v.
func single(list []attribute, oid asn1.ObjectIdentifier, v any, required bool) error {
	for _, a := range list {
		if !a.Type.Equal(oid) {
			continue
		}
		if len(a.Values) != 1 {
			return fmt.Errorf("%d values", len(a.Values))
		}
		return unmarshal(a.Values[0].FullBytes, v)
	}
	if required {
		return errors.New("missing")
	}
	return nil
}

// isAttributes says whether content is itself an encoded SET, as a SET OF
// Attribute is. Such content was never a list, but a signature over it would
// also be one over another message (ePrint 2023/1801).
func isAttributes(content []byte) bool {
	var set asn1.RawValue
	return len(content) > 0 && content[0] == tagSet && unmarshal(content, &set) == nil
}
