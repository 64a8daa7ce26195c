// Package verdict holds the stable codes that say why something was refused.
//
// A code is data that travels: reports, events, logs, metric labels and
// `publisher verify` all carry the same word for the same fact (contract §4).
// The package is a leaf so that the envelope, the trust store, the network and
// the cache can name a reason without knowing each other.
package verdict

import (
	"errors"
	"fmt"
	"strings"
)

// Code is one of the stable reasons of contract §4. The zero value means
// "nothing is wrong".
type Code string

// The codes, in the order in which they are judged: when several things are
// wrong, the first in this order is the reason.
const (
	Fetch    Code = "fetch"
	TooLarge Code = "too-large"

	// Gate one: authentic.
	NotSigned            Code = "not-signed"
	MalformedEnvelope    Code = "malformed-envelope"
	Signature            Code = "signature"
	WeakAlgorithm        Code = "weak-algorithm"
	UnsupportedAlgorithm Code = "unsupported-algorithm"
	MultipleSigners      Code = "multiple-signers"
	Untrusted            Code = "untrusted"
	CertExpired          Code = "cert-expired"
	CertNotYetValid      Code = "cert-not-yet-valid"
	KeyUsage             Code = "key-usage"
	ProxyCertificate     Code = "proxy-certificate"
	SigningPolicy        Code = "signing-policy"
	Revoked              Code = "revoked"
	CRLMissing           Code = "crl-missing"
	CRLStale             Code = "crl-stale"

	// Gate two and three: consistent, authorised.
	MalformedList    Code = "malformed-list"
	EndorserMismatch Code = "endorser-mismatch"
	NotAuthorised    Code = "not-authorised"

	// Gate four: current.
	IdentifierChanged Code = "identifier-changed"
	IdentifierClash   Code = "identifier-clash"
	VersionRollback   Code = "version-rollback"
	VersionReused     Code = "version-reused"
	CreatedInFuture   Code = "created-in-future"
	ListExpired       Code = "list-expired"

	// Single images.
	MalformedEntry   Code = "malformed-entry"
	ImageExpired     Code = "image-expired"
	ChecksumMismatch Code = "checksum-mismatch"
	SizeMismatch     Code = "size-mismatch"
	NoSpace          Code = "no-space"
	OverQuota        Code = "over-quota"
	NetworkDenied    Code = "network-denied"
	Blocked          Code = "blocked"
	Held             Code = "held"
)

// Rejection is a refusal: data with a reason, not a failure of the program.
// It implements error so that it can travel where errors do; use As to tell
// it from one.
type Rejection struct {
	Code   Code
	Detail string // what and where, for a person; may quote hostile text: print it escaped
	// Missing is set when the refusal is for want of knowledge rather than a
	// fact: a CRL, anchor or policy file that is absent, stale, empty,
	// unreadable or unparsable. Stored lists survive it for trust.outage_grace.
	Missing bool
}

func (r *Rejection) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Detail) }

// maxDetail bounds a detail, in bytes. It may quote what a stranger has sent, and
// goes into events, logs and the environment of handlers.
const maxDetail = 4 << 10

// Reject builds a Rejection; format and args give the detail, which is cut
// after 4 KiB.
func Reject(c Code, format string, args ...any) *Rejection {
	detail := fmt.Sprintf(format, args...)
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	return &Rejection{Code: c, Detail: detail}
}

// As returns the Rejection in err's chain, or nil.
func As(err error) *Rejection {
	var r *Rejection
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// Of returns the code of the Rejection in err's chain, or "".
func Of(err error) Code {
	if r := As(err); r != nil {
		return r.Code
	}
	return ""
}
