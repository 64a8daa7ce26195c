package imagelist

import (
	"time"

	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
)

// Authorised is an endorser a site lets speak for a subscription.
type Authorised struct {
	DN  string // one-line text, any rendering in circulation (trust.md §3.5)
	CA  string
	Pin string // SHA-256 of the public key (SubjectPublicKeyInfo), lower-case hex; "" asks for no particular key
}

// Question is what one subscription asks of a message.
type Question struct {
	Envelope   smime.Options
	Trust      trust.Policy
	Authorised []Authorised // nil: the third gate is reported as not asked
}

// Signer is who signed, as a fact of the bytes.
type Signer struct {
	DN       string    `json:"dn"`
	CA       string    `json:"ca"`
	NotAfter time.Time `json:"not_after"`
	SHA256   string    `json:"sha256"` // of the certificate's DER, lower-case hex
	Key      string    `json:"key"`    // SHA-256 of the SubjectPublicKeyInfo, lower-case hex
}

// Explanation is the account of one judgement, check by check: what an
// administrator pastes into a ticket, and what is kept as evidence.
type Explanation struct {
	At        time.Time
	Rejection *verdict.Rejection // nil: accepted
	Signer    *Signer            // nil when no signature could be attributed
	Trust     *trust.Result      // nil unless the chain held
	Checks    []trust.Check      // every check made, in order; the last one is the reason of a refusal
	Warnings  []string
}

// Verified is a list whose signature, chain, consistency and (when asked)
// authorisation held at an instant. It has no constructor but Examine and
// Verify. It does not say that the list is current: see ExpiredAt and the
// subscriber's accept.
type Verified struct {
	list    *List
	signer  Signer
	message Digest
	payload Digest
	trust   *trust.Result
	at      time.Time
}

// List is the signed content. Callers must not change it.
func (v *Verified) List() *List { return v.list }

// Signer is who signed it.
func (v *Verified) Signer() Signer { return v.signer }

// Message is the SHA-512 of the message as it was fetched, byte for byte.
func (v *Verified) Message() Digest { return v.message }

// Payload is the SHA-512 of the signed content in canonical form. Two
// messages with one payload say the same.
func (v *Verified) Payload() Digest { return v.payload }

// Trust is the chain and the CRLs that held.
func (v *Verified) Trust() *trust.Result { return v.trust }

// At is the instant it was judged at.
func (v *Verified) At() time.Time { return v.at }

// Verify judges a message under given anchors at a given instant (contract §4):
// is it authentic, a list, consistent, authorised? Asked in this order, never
// merged; the first that fails is the reason.
//
// The error is a *verdict.Rejection, and its Code one of the first gate's, or
// MalformedList, EndorserMismatch, NotAuthorised. Nothing of a refused message is
// returned. Whether the list is current is not asked: see List.Current.
func Verify(raw []byte, anchors *trust.Store, at time.Time, q Question) (*Verified, error) {
	v, e := Examine(raw, anchors, at, q)
	if e.Rejection != nil {
		return nil, e.Rejection
	}
	return v, nil
}

// Examine is Verify with an account of every check made. Exactly one of
// *Verified and Explanation.Rejection is nil.
func Examine(raw []byte, anchors *trust.Store, at time.Time, q Question) (*Verified, *Explanation) {
	x := &examination{question: q, at: at, told: &Explanation{At: at}}
	var v *Verified
	v, x.told.Rejection = x.run(raw, anchors)
	return v, x.told
}
