package main

import (
	"crypto"
	"encoding/pem"
	"time"
)

// crl is a CertificateList in the making.
type crl struct {
	version    []byte // INTEGER, or nothing for version 1
	issuer     []byte
	this, next []byte // Time; next may be nothing
	entries    [][]byte
	extensions [][]byte
	sign       algorithm
	says       []byte // what the inner algorithm is, if it is another
	by         *key
	number     int64
	der        bool // write DER, not PEM
	bend       func(der []byte) []byte
}

type crlOption func(*crl)

// crl makes a revocation list, good from an hour before to a week after the instant.
func (ca *entity) crl(options ...crlOption) []byte {
	c := &crl{version: integer(1), issuer: ca.name, this: validity(at.Add(-time.Hour)), next: validity(days(7)), by: ca.key, number: 7}
	c.sign = c.by.with(crypto.SHA256)
	c.extensions = [][]byte{authorityKey(ca.key.id), extension("2.5.29.20", false, integer(c.number))}
	for _, o := range options {
		o(c)
	}
	return c.encode()
}

func (c *crl) encode() []byte {
	inner := c.says
	if inner == nil {
		inner = c.sign.id
	}
	tbs := [][]byte{c.version, inner, c.issuer, c.this, c.next}
	if len(c.entries) > 0 {
		tbs = append(tbs, seq(c.entries...))
	}
	if len(c.extensions) > 0 {
		tbs = append(tbs, explicit(0, seq(c.extensions...)))
	}
	signed := seq(tbs...)
	der := seq(signed, c.sign.id, bits(c.by.sign(c.sign, signed)))
	if c.bend != nil {
		der = c.bend(der)
	}
	if c.der {
		return der
	}
	return toPEM("X509 CRL", der)
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// revokes lists a certificate, with extensions if any.
func revokes(e *entity, extensions ...[]byte) crlOption {
	return func(c *crl) { c.entries = append(c.entries, entry(e.tbs.serial, at.Add(-2*time.Hour), extensions...)) }
}

func entry(serial []byte, when time.Time, extensions ...[]byte) []byte {
	parts := [][]byte{serial, validity(when)}
	if len(extensions) > 0 {
		parts = append(parts, seq(extensions...))
	}
	return seq(parts...)
}

func reason(code byte) []byte { return extension("2.5.29.21", false, tlv(0x0a, []byte{code})) }

func dated(this, next time.Time) crlOption {
	return func(c *crl) { c.this, c.next = validity(this), validity(next) }
}

func crlExtension(id string, critical bool, value []byte) crlOption {
	return func(c *crl) { c.extensions = append(c.extensions, extension(id, critical, value)) }
}

// versionOne has neither version nor extensions.
func versionOne(c *crl) { c.version, c.extensions = nil, nil }

func asDER(c *crl) { c.der = true }

func crlOver(h crypto.Hash) crlOption { return func(c *crl) { c.sign = c.by.with(h) } }
