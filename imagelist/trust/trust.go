// Package trust holds what a grid site trusts: anchors, signing policies and
// CRLs of a hashed directory (IGTF layout) or a PEM bundle, loaded as one
// snapshot, and the question asked of it: does this chain hold at t?
//
// Load reads files; everything after it is pure. It does not know image
// lists, and nothing in it reads the clock.
package trust

import (
	"crypto/x509"
	"time"
)

// Mode says how strictly something that may be absent is asked for.
type Mode string

// The modes of trust.crl and trust.signing_policy (contract §2).
const (
	Require   Mode = "require"
	IfPresent Mode = "if-present"
	Ignore    Mode = "ignore"
)

// Policy is what one question asks of the snapshot. The zero value of a Mode
// means Require.
type Policy struct {
	CRL           Mode
	CRLGrace      time.Duration // how long past nextUpdate a CRL still counts
	SigningPolicy Mode
	AnyPurpose    bool // subscription "purpose: any": the extended key usage is not asked about
}

// Result is the evidence for one chain that holds.
type Result struct {
	Chain    []*x509.Certificate // signer first, self-signed anchor last
	CRLs     []CRLUsed           // one per link, in chain order; empty under Ignore
	Policies []string            // the policy files and lines that permitted each link
	Until    time.Time           // earliest notAfter along the chain
	Warnings []string
}

// CRLUsed names the revocation list that answered for one certificate.
type CRLUsed struct {
	Issuer     string // one-line DN
	File       string // file name within the trust directory
	Number     string // CRL number, decimal; "" for v1
	ThisUpdate time.Time
	NextUpdate time.Time
	SHA256     string // hex digest of its DER
}

// Check is one question, its answer and the fact behind it.
type Check struct {
	Name   string
	OK     bool
	Detail string
}
