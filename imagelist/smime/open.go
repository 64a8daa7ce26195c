package smime

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"slices"

	"vouch/imagelist/verdict"
)

// Open takes a message apart and checks its one signature: clear-signed or
// opaque S/MIME, PEM, or DER.
//
// Every refusal is a *verdict.Rejection: NotSigned (no S/MIME at all,
// encrypted, or without a signer), MalformedEnvelope, Signature,
// WeakAlgorithm, UnsupportedAlgorithm, MultipleSigners; when several things
// are wrong, the first in this order. Nothing of the content is returned then.
//
// Signed.Content is what was hashed, except that a text/plain header of the
// signed part itself (openssl smime -text), which is hashed too, is cut off.
// Content and Certificates may share memory with raw: do not change it.
//
// Open says nothing about who the signer is, whether anybody trusts the
// certificate, or whether it was valid at any time; nor does it bound the size
// of raw, which is the caller's to do.
func Open(raw []byte, o Options) (*Signed, error) {
	e, err := unwrap(raw)
	if err != nil {
		return nil, err
	}
	der, err := normalise(e.p7)
	if err != nil {
		return nil, malformed("PKCS#7: %v", err)
	}
	m, err := parseMessage(der)
	if err != nil {
		return nil, err
	}
	if len(der)-len(m.content) > MaxPKCS7 {
		return nil, malformed("PKCS#7: more than %d bytes beside the content", MaxPKCS7)
	}
	forms, err := e.forms(m, o)
	if err != nil {
		return nil, err
	}
	j, err := m.judgeAll(forms, o)
	if err != nil {
		return nil, err
	}
	signer := m.signers[0]
	return &Signed{
		Content:      j.form.content,
		Signer:       signer.certificate,
		Certificates: m.certificates,
		SigningTime:  signer.attributes.signingTime,
		Digest:       j.digest.hash,
		Detached:     e.detached,
		Warnings:     slices.Concat(e.warnings, m.warnings, e.oddities(j.digest)),
	}, nil
}

// unwrap recognises the transport form by its first bytes.
func unwrap(raw []byte) (*envelope, error) {
	// A SEQUENCE in long or indefinite form; in short form no signer fits.
	if len(raw) > 1 && raw[0] == tagSequence && raw[1] >= 0x80 {
		return &envelope{p7: raw}, nil
	}
	if text := bytes.TrimLeft(raw, " \t\r\n"); bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		return unwrapPEM(text)
	}
	return unwrapMIME(raw)
}

func unwrapPEM(text []byte) (*envelope, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, malformed("PEM: cannot be decoded")
	}
	switch block.Type {
	case "PKCS7", "CMS", "PKCS #7 SIGNED DATA":
	default:
		return nil, notSigned("PEM of type %.100q", block.Type)
	}
	// encoding/pem passes over what it cannot read before a block that it can.
	if bytes.Count(text, []byte("-----BEGIN ")) > 1 {
		return nil, malformed("PEM: more than one beginning")
	}
	if len(block.Headers) > 0 || len(bytes.Trim(rest, " \t\r\n")) > 0 {
		return nil, malformed("PEM: headers, or text after the end")
	}
	return &envelope{p7: block.Bytes}, nil
}

// forms are the readings of the content that the signature may cover, most
// likely first.
func (e *envelope) forms(m *message, o Options) ([]form, error) {
	var readings [][]byte
	switch {
	case e.detached && m.embedded:
		return nil, malformed("both embedded and detached content")
	case !e.detached && !m.embedded:
		return nil, malformed("PKCS#7 without its content")
	case m.embedded:
		readings = [][]byte{m.content}
	case o.Binary:
		readings = [][]byte{Canonical(e.part), e.part}
	default:
		readings = [][]byte{Canonical(e.part)}
	}
	forms := make([]form, len(readings))
	for i, hashed := range readings {
		if isAttributes(hashed) {
			return nil, malformed("the content is an encoding of signed attributes")
		}
		content, err := withoutHeader(hashed)
		if err != nil {
			return nil, err
		}
		forms[i] = form{hashed: hashed, content: content}
	}
	return forms, nil
}

// judgeAll judges every signer and gives the first verdict in order; more than
// one signer is itself the last of them.
func (m *message) judgeAll(forms []form, o Options) (j judgement, err error) {
	order := []verdict.Code{verdict.Signature, verdict.WeakAlgorithm, verdict.UnsupportedAlgorithm, verdict.MultipleSigners}
	if n := len(m.signers); n > 1 {
		err = verdict.Reject(verdict.MultipleSigners, "%d signers", n)
	}
	for i := range m.signers {
		var fault error
		j, fault = judge(&m.signers[i], forms, o)
		if fault != nil && (err == nil || slices.Index(order, verdict.Of(fault)) < slices.Index(order, verdict.Of(err))) {
			err = fault
		}
	}
	return j, err
}

// oddities are the warnings that need the digest in hand.
func (e *envelope) oddities(d digest) (warnings []string) {
	if e.detached && !sameMicalg(e.micalg, d) {
		warnings = append(warnings, "micalg does not name the digest in use, "+d.micalg)
	}
	if d.hash == crypto.SHA1 {
		warnings = append(warnings, "SHA-1 message digest")
	}
	return warnings
}
