package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The extensions of a CRL and its entries (RFC 5280 §5.2, §5.3).
const (
	oidCRLNumber    = "2.5.29.20"
	oidReasonCode   = "2.5.29.21"
	oidHold         = "2.5.29.23"
	oidInvalidity   = "2.5.29.24"
	oidDeltaCRL     = "2.5.29.27"
	oidDistribution = "2.5.29.28"
	oidAuthorityKey = "2.5.29.35"
)

// certificateIssuer is missing on purpose: it belongs to indirect CRLs.
var knownEntryExtensions = map[string]bool{oidReasonCode: true, oidHold: true, oidInvalidity: true}

// extension is an X.509 Extension.
type extension struct {
	oid      string
	critical bool
	value    []byte
}

func readExtension(in *cryptobyte.String) (extension, bool) {
	var x extension
	var body, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&oid) ||
		body.PeekASN1Tag(cbasn1.BOOLEAN) && !body.ReadASN1Boolean(&x.critical) ||
		!body.ReadASN1(&value, cbasn1.OCTET_STRING) || !body.Empty() {
		return x, false
	}
	x.oid, x.value = oid.String(), value
	return x, true
}

func (c *crl) parseExtensions(in cryptobyte.String) error {
	seen := map[string]bool{}
	for !in.Empty() {
		x, ok := readExtension(&in)
		if !ok || seen[x.oid] {
			return fmt.Errorf("%w: extensions", errNotCRL)
		}
		seen[x.oid] = true
		if err := c.extension(x); err != nil {
			return err
		}
	}
	return nil
}

func (c *crl) extension(x extension) error {
	value := cryptobyte.String(x.value)
	switch x.oid {
	case oidCRLNumber:
		number := new(big.Int)
		if !value.ReadASN1Integer(number) || number.BitLen() > 8*32 {
			return fmt.Errorf("%w: number", errNotCRL)
		}
		c.number = number.String()
	case oidAuthorityKey:
		return c.authorityKey(value)
	case oidDistribution:
		return c.distribution(value)
	case oidDeltaCRL:
		c.unusable = errors.New("a delta CRL")
	default:
		if x.critical {
			c.unusable = fmt.Errorf("it has the critical extension %s", x.oid)
		}
	}
	return nil
}

// context is the tag of a field [n] of a primitive or constructed type.
func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }

func (c *crl) authorityKey(value cryptobyte.String) error {
	var body, id cryptobyte.String
	var present bool
	if !value.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadOptionalASN1(&id, &present, context(0)) {
		return fmt.Errorf("%w: authority key identifier", errNotCRL)
	}
	if present {
		c.keyID = id
	}
	return nil
}

// scope says which of its issuer's certificates a CRL speaks about
// (IssuingDistributionPoint, RFC 5280 §5.2.5). The zero value means all.
type scope struct {
	limited  bool     // to a distribution point
	uris     []string // its names
	userOnly bool
	caOnly   bool
}

func (c *crl) distribution(value cryptobyte.String) error {
	malformed := fmt.Errorf("%w: issuing distribution point", errNotCRL)
	var body, point, reasons cryptobyte.String
	var some bool
	if !value.ReadASN1(&body, cbasn1.SEQUENCE) ||
		!body.ReadOptionalASN1(&point, &c.scope.limited, context(0).Constructed()) {
		return malformed
	}
	if c.scope.limited {
		c.scope.uris = pointURIs(point)
	}
	var indirect, attributes bool
	if !readFlag(&body, &c.scope.userOnly, 1) || !readFlag(&body, &c.scope.caOnly, 2) ||
		!body.ReadOptionalASN1(&reasons, &some, context(3)) ||
		!readFlag(&body, &indirect, 4) || !readFlag(&body, &attributes, 5) || !body.Empty() {
		return malformed
	}
	switch {
	case indirect:
		c.unusable = errors.New("an indirect CRL")
	case some:
		c.unusable = errors.New("only for some reasons")
	case attributes:
		c.unusable = errors.New("only for attribute certificates")
	}
	return nil
}

// readFlag reads a BOOLEAN DEFAULT FALSE of implicit tag [n].
func readFlag(in *cryptobyte.String, flag *bool, n uint8) bool {
	var value cryptobyte.String
	var present bool
	ok := in.ReadOptionalASN1(&value, &present, context(n))
	*flag = present && len(value) == 1 && value[0] != 0
	return ok && (!present || len(value) == 1)
}

// pointURIs are the URIs of a DistributionPointName; names of another sort
// are compared with nothing, so that the CRL then speaks about no certificate.
func pointURIs(point cryptobyte.String) []string {
	var full cryptobyte.String
	if !point.ReadASN1(&full, context(0).Constructed()) || !point.Empty() {
		return nil
	}
	var uris []string
	for !full.Empty() {
		var general cryptobyte.String
		var tag cbasn1.Tag
		if !full.ReadAnyASN1(&general, &tag) {
			return nil
		}
		if tag == context(6) {
			uris = append(uris, string(general))
		}
	}
	return uris
}

// covers reports whether the CRL is there to speak about a certificate.
func (s scope) covers(c *x509.Certificate) bool {
	if s.userOnly && c.IsCA || s.caOnly && !c.IsCA {
		return false
	}
	return !s.limited || slices.ContainsFunc(c.CRLDistributionPoints, func(uri string) bool {
		return slices.Contains(s.uris, uri)
	})
}
