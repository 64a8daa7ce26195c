package imagelist

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
)

// examination is one message on its way through the gates.
type examination struct {
	question Question
	at       time.Time
	told     *Explanation
}

// run takes the gates in their order. Each sees only what the one before it
// let through.
func (x *examination) run(raw []byte, anchors *trust.Store) (*Verified, *verdict.Rejection) {
	signed, no := x.open(raw)
	if no != nil {
		return nil, no
	}
	held, no := x.authentic(signed, anchors)
	if no != nil {
		return nil, no
	}
	list, no := x.decode(signed.Content)
	if no != nil {
		return nil, no
	}
	if no := x.consistent(signed.Signer, list); no != nil {
		return nil, no
	}
	if no := x.authorised(signed.Signer); no != nil {
		return nil, no
	}
	return &Verified{
		list:    list,
		signer:  *x.told.Signer,
		message: sha512.Sum512(raw),
		payload: sha512.Sum512(signed.Content),
		trust:   held,
		at:      x.at,
	}, nil
}

func (x *examination) pass(name, format string, args ...any) {
	x.told.Checks = append(x.told.Checks, trust.Check{Name: name, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (x *examination) refuse(name string, no *verdict.Rejection) *verdict.Rejection {
	x.told.Checks = append(x.told.Checks, trust.Check{Name: name, Detail: no.Detail})
	return no
}

// open is the first half of the first gate: whose key signed which bytes.
func (x *examination) open(raw []byte) (*smime.Signed, *verdict.Rejection) {
	signed, err := smime.Open(raw, x.question.Envelope)
	if err != nil {
		no := rejection(err, verdict.MalformedEnvelope)
		switch no.Code {
		case verdict.NotSigned, verdict.MalformedEnvelope:
			return nil, x.refuse("envelope", no)
		}
		x.pass("envelope", "read")
		return nil, x.refuse("signature", no)
	}
	x.told.Signer = signerOf(signed.Signer)
	x.told.Warnings = append(x.told.Warnings, signed.Warnings...)
	form := "embedded"
	if signed.Detached {
		form = "clear-signed"
	}
	x.pass("envelope", "%s, %d bytes, certificates: %d", form, len(raw), len(signed.Certificates))
	x.pass("signature", "%s over %d bytes by %q", signed.Digest, len(signed.Content), x.told.Signer.DN)
	return signed, nil
}

// authentic is the second half: whether that key may be believed at the instant.
func (x *examination) authentic(signed *smime.Signed, anchors *trust.Store) (*trust.Result, *verdict.Rejection) {
	held, checks, err := anchors.Verify(signed.Signer, signed.Certificates, x.at, x.question.Trust)
	x.told.Checks = append(x.told.Checks, checks...)
	if err != nil {
		return nil, rejection(err, verdict.Untrusted)
	}
	x.told.Trust = held
	x.told.Warnings = append(x.told.Warnings, held.Warnings...)
	return held, nil
}

func (x *examination) decode(content []byte) (*List, *verdict.Rejection) {
	list, err := Decode(content)
	if err != nil {
		return nil, x.refuse("list", rejection(err, verdict.MalformedList))
	}
	x.told.Warnings = append(x.told.Warnings, list.Warnings...)
	x.pass("list", "images: %d, entries refused: %d", len(list.Images), len(list.Refused))
	return list, nil
}

// consistent asks whether the list names its signer. Rendering the
// certificate's names and looking for the text among the renderings is the only
// safe comparison: the text cannot be parsed back (trust.md §3.5).
func (x *examination) consistent(signer *x509.Certificate, list *List) *verdict.Rejection {
	for _, e := range list.Endorsers {
		if names(signer, e.DN, e.CA) {
			x.pass("endorser", "%q is the signer", clip(e.DN))
			return nil
		}
	}
	first := list.Endorsers[0]
	return x.refuse("endorser", verdict.Reject(verdict.EndorserMismatch, "the list names %q of %q, signed by %q of %q",
		clip(first.DN), clip(first.CA), x.told.Signer.DN, x.told.Signer.CA))
}

func (x *examination) authorised(signer *x509.Certificate) *verdict.Rejection {
	if x.question.Authorised == nil {
		x.pass("authorised", "not asked")
		return nil
	}
	detail := fmt.Sprintf("%q of %q is not among the %d authorised endorsers",
		x.told.Signer.DN, x.told.Signer.CA, len(x.question.Authorised))
	for _, a := range x.question.Authorised {
		if !names(signer, a.DN, a.CA) {
			continue
		}
		switch {
		case a.Pin == x.told.Signer.Key:
			x.pass("authorised", "by name and key")
			return nil
		case a.Pin != "":
			detail = fmt.Sprintf("the key of %q is not the pinned one", x.told.Signer.DN)
		case trust.Ambiguous(signer.RawSubject) || trust.Ambiguous(signer.RawIssuer):
			detail = fmt.Sprintf("%q can be read as another name: authorise it with a pin", x.told.Signer.DN)
		default:
			x.pass("authorised", "by name")
			return nil
		}
	}
	return x.refuse("authorised", verdict.Reject(verdict.NotAuthorised, "%s", detail))
}

// names says whether both texts are renderings of the certificate's names.
func names(c *x509.Certificate, dn, ca string) bool {
	return trust.Matches(c.RawSubject, dn) && trust.Matches(c.RawIssuer, ca)
}

func signerOf(c *x509.Certificate) *Signer {
	fingerprint, key := sha256.Sum256(c.Raw), sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return &Signer{
		DN:       trust.OneLine(c.RawSubject),
		CA:       trust.OneLine(c.RawIssuer),
		NotAfter: c.NotAfter.UTC(),
		SHA256:   hex.EncodeToString(fingerprint[:]),
		Key:      hex.EncodeToString(key[:]),
	}
}

// rejection is the Rejection in err, or one made of it.
func rejection(err error, otherwise verdict.Code) *verdict.Rejection {
	if no := verdict.As(err); no != nil {
		return no
	}
	return verdict.Reject(otherwise, "%s", err)
}
