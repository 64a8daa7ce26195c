package main

import (
	"bytes"
	"crypto"
	"fmt"
	"math/big"
	"time"
)

// at is the instant of every case that does not say otherwise.
var at = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func days(n int) time.Time { return at.AddDate(0, 0, n) }

// entity is a certificate with its key.
type entity struct {
	dn   string // as one-line text
	ca   string // the issuer's
	name []byte
	key  *key
	cert []byte
	tbs  *certificate
}

// certificate is a TBSCertificate in the making.
type certificate struct {
	version         []byte // the explicit field, or nothing for version 1
	serial          []byte // INTEGER
	issuer, subject []byte
	from, until     []byte // Time
	key             *key
	extensions      [][]byte
	sign            algorithm // what it is signed with
	says            []byte    // what the inner algorithm is, if it is another
	by              *key
	bend            func(der []byte) []byte // after signing
}

type option func(*certificate)

// issued counts the certificates of one name by one key.
var issued = map[string]int{}

// serialNumber depends on nothing but who certifies whom and how often before, so
// that a new case leaves the certificates of the others alone.
func serialNumber(by *key, name string) []byte {
	who := string(by.spki) + name
	issued[who]++
	digest := sum(crypto.SHA256, fmt.Appendf(nil, "%s %d", who, issued[who]))
	return bigInteger(new(big.Int).SetBytes(digest[:7]))
}

func (c *certificate) der() []byte {
	inner := c.says
	if inner == nil {
		inner = c.sign.id
	}
	tbs := [][]byte{c.version, c.serial, inner, c.issuer, seq(c.from, c.until), c.subject, c.key.spki}
	if len(c.extensions) > 0 {
		tbs = append(tbs, explicit(3, seq(c.extensions...)))
	}
	signed := seq(tbs...)
	der := seq(signed, c.sign.id, bits(c.by.sign(c.sign, signed)))
	if c.bend != nil {
		der = c.bend(der)
	}
	return der
}

// issue certifies a key; without an issuer the certificate is self-signed.
func issue(issuer *entity, name string, k *key, options ...option) *entity {
	c := &certificate{
		version: explicit(0, integer(2)), subject: dn(name),
		from: validity(days(-365)), until: validity(days(365)), key: k,
	}
	e := &entity{dn: name, ca: name, key: k, tbs: c}
	if issuer == nil {
		c.issuer, c.by = c.subject, k
	} else {
		e.ca = issuer.dn
		c.issuer, c.by = issuer.name, issuer.key
		c.extensions = append(c.extensions, authorityKey(issuer.key.id))
	}
	c.serial = serialNumber(c.by, name)
	c.sign = c.by.with(crypto.SHA256)
	for _, o := range options {
		o(c)
	}
	if issuer == nil {
		c.issuer = c.subject
	}
	e.name, e.cert = c.subject, c.der()
	return e
}

// root is a self-signed CA.
func root(name string, k *key, options ...option) *entity {
	return issue(nil, name, k, append([]option{valid(-3650, 3650), asCA}, options...)...)
}

// sub is a CA below another.
func (ca *entity) sub(name string, k *key, options ...option) *entity {
	return issue(ca, name, k, append([]option{valid(-1000, 1000), asCA}, options...)...)
}

// user is somebody who may sign mail.
func (ca *entity) user(name string, options ...option) *entity {
	return issue(ca, name, ecKey(name), append([]option{asUser}, options...)...)
}

func extension(id string, critical bool, value []byte) []byte {
	if critical {
		return seq(oid(id), boolean(true), octets(value))
	}
	return seq(oid(id), octets(value))
}

// Object identifiers of extensions.
const (
	idSubjectKey  = "2.5.29.14"
	idKeyUsage    = "2.5.29.15"
	idAltName     = "2.5.29.17"
	idBasic       = "2.5.29.19"
	idConstraints = "2.5.29.30"
	idPoints      = "2.5.29.31"
	idPolicies    = "2.5.29.32"
	idAuthority   = "2.5.29.35"
	idExtended    = "2.5.29.37"
)

// Bits of key usage, from the left.
const (
	digitalSignature = 0x80
	nonRepudiation   = 0x40
	keyEncipherment  = 0x20
	dataEncipherment = 0x10
	keyAgreement     = 0x08
	keyCertSign      = 0x04
	cRLSign          = 0x02
	encipherOnly     = 0x01
)

// Extended key usages.
const (
	serverAuth      = "1.3.6.1.5.5.7.3.1"
	clientAuth      = "1.3.6.1.5.5.7.3.2"
	codeSigning     = "1.3.6.1.5.5.7.3.3"
	emailProtection = "1.3.6.1.5.5.7.3.4"
	timeStamping    = "1.3.6.1.5.5.7.3.8"
	anyUsage        = "2.5.29.37.0"
)

func authorityKey(id []byte) []byte { return extension(idAuthority, false, seq(implicit(0, id))) }

// with adds or replaces an extension.
func with(id string, critical bool, value []byte) option {
	return func(c *certificate) {
		without(id)(c)
		c.extensions = append(c.extensions, extension(id, critical, value))
	}
}

// without takes an extension away.
func without(id string) option {
	return func(c *certificate) {
		var rest [][]byte
		for _, e := range c.extensions {
			if !bytes.HasPrefix(body(e), oid(id)) {
				rest = append(rest, e)
			}
		}
		c.extensions = rest
	}
}

func bare(c *certificate) { c.extensions = nil }

// usage is the key usage, with the unused bits DER wants.
func usage(b byte) option {
	unused := byte(0)
	for b != 0 && b>>unused&1 == 0 {
		unused++
	}
	value := tlv(3, []byte{unused, b})
	return with(idKeyUsage, true, value)
}

func extended(critical bool, ids ...string) option {
	var list [][]byte
	for _, id := range ids {
		list = append(list, oid(id))
	}
	return with(idExtended, critical, seq(list...))
}

func basic(critical, ca bool, pathLength int) option {
	var parts [][]byte
	if ca {
		parts = append(parts, boolean(true))
	}
	if pathLength >= 0 {
		parts = append(parts, integer(int64(pathLength)))
	}
	return with(idBasic, critical, seq(parts...))
}

func asCA(c *certificate) {
	basic(true, true, -1)(c)
	usage(keyCertSign | cRLSign)(c)
	with(idSubjectKey, false, octets(c.key.id))(c)
}

func asUser(c *certificate) {
	basic(false, false, -1)(c)
	usage(digitalSignature)(c)
	extended(false, clientAuth, emailProtection)(c)
	with(idSubjectKey, false, octets(c.key.id))(c)
}

// valid is from so many days before the instant to so many after.
func valid(from, until int) option {
	return func(c *certificate) { c.from, c.until = validity(days(from)), validity(days(until)) }
}

func between(from, until time.Time) option {
	return func(c *certificate) { c.from, c.until = validity(from), validity(until) }
}

func serial(n int64) option { return func(c *certificate) { c.serial = integer(n) } }

func named(name []byte) option { return func(c *certificate) { c.subject = name } }

func signedWith(a algorithm) option { return func(c *certificate) { c.sign = a } }

// signedOver is the usual algorithm of the issuer's key with another digest.
func signedOver(h crypto.Hash) option {
	return func(c *certificate) { c.sign = c.by.with(h) }
}

func point(uri string) option {
	return with(idPoints, false, seq(seq(explicit(0, explicit(0, implicit(6, []byte(uri)))))))
}
