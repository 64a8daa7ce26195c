// Package imagelist is the HEPiX image list: what it says, and whether exactly
// these bytes were signed by the endorser they name, under given anchors, at a
// given instant.
//
// It touches no disk, no network and no clock. The one way to a *Verified is
// Verify, so an unverified list cannot reach the cache by any path through
// the code.
package imagelist

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ListID is a list's dc:identifier: constant for ever, safe as a file name.
type ListID string

// ImageID is an image's dc:identifier: constant over its versions, safe as a file name.
type ImageID string

// Digest is a SHA-512 (sl:checksum:sha512).
type Digest [64]byte

// String is the digest as 128 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads 128 hexadecimal digits of either case.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 128 {
		return d, fmt.Errorf("digest: want 128 hexadecimal digits, have %d characters", len(s))
	}
	if _, err := hex.Decode(d[:], []byte(strings.ToLower(s))); err != nil {
		return d, fmt.Errorf("digest: %w", err)
	}
	return d, nil
}

// Endorser is a role: the DN and CA of hv:x509, as OpenSSL one-line text.
// Email and Creator decide nothing and are kept for the next version.
type Endorser struct {
	DN      string `json:"dn"`
	CA      string `json:"ca"`
	Email   string `json:"-"` // hv:email
	Creator string `json:"-"` // dc:creator
}

// List is the content of hv:imagelist. Absent or null text is "".
type List struct {
	Identifier  ListID
	Version     string // hv:version; a number keeps its text
	Created     time.Time
	Expires     time.Time
	Title       string
	Description string
	Source      string
	URI         string // hv:uri; never moves the subscription
	VO          string // ad:vo
	Endorsers   []Endorser
	Images      []Image      // the well-formed entries, in the list's order
	Refused     []EntryError // the others; they do not affect the rest
	Revoked     []Revocation // vouch:revoked
	Checkpoint  string       // vouch:checkpoint, a signed note over the endorser's history; kept, not looked into
	Warnings    []string     // missing recommended keys and other harmless oddities, at most 100
	Extra       []byte       // the members of hv:imagelist that have no field, as one compact JSON object; nil if none

	odd   []Finding // what Decode passed over and Validate could not see again
	draft bool      // read by DecodeDraft: what signing sets may be absent
}

// Image is one well-formed hv:image.
type Image struct {
	Identifier  ImageID
	Version     string
	URI         string
	SHA512      Digest
	Size        int64
	Title       string
	Description string
	Comments    string // sl:comments
	OS          string
	OSVersion   string
	Arch        string
	Hypervisor  string
	Format      string    // hv:format, case kept
	VO          string    // ad:vo of the image
	MPURI       string    // ad:mpuri
	Expires     time.Time // dc:date:expires of the image; zero if absent
	Metadata    []byte    // the signed hv:image object, verbatim JSON (compact)
}

// EntryError is an entry refused alone (malformed-entry, identifier-clash
// within one list).
type EntryError struct {
	Index      int     // position in hv:images, from 0
	Identifier ImageID // "" unless the entry has a usable one
	SHA512     Digest  // zero unless the entry has a usable one
	Field      string  // the path of the offending key, e.g. hv:images[3].hv:image.hv:size
	Detail     string
}

// Revocation is one entry of vouch:revoked (contract §7).
type Revocation struct {
	Identifier ImageID
	Version    string
	SHA512     Digest
	Date       time.Time
	Reason     string
}

// Limits of format.md; a list outside of them is malformed-list, an entry
// outside of MaxEntry is malformed-entry.
const (
	MaxImages = 10000
	MaxDepth  = 32
	MaxString = 64 << 10
	MaxEntry  = 128 << 10 // of one hv:image's compact JSON: an entry travels in every event
)
