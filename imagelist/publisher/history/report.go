package history

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"vouch/imagelist"
)

// Report is what Verify found.
type Report struct {
	OK        bool             `json:"ok"` // no problem
	List      imagelist.ListID `json:"list"`
	Size      int64            `json:"size"`      // entries that hold
	Root      string           `json:"root"`      // of the tree of these, base64
	Witnessed int64            `json:"witnessed"` // entries that a signed list's checkpoint covers; the others are protected by the key alone
	Keys      []KeyReport      `json:"keys"`
	Signed    []SignedReport   `json:"signed"`
	SBOMs     int              `json:"sboms"` // files looked at
	Problem   *Problem         `json:"problem,omitzero"`
	Notes     []string         `json:"notes"` // what was not asked
}

// KeyReport is a checkpoint key, and the entry that introduced it.
type KeyReport struct {
	Verifier    string    `json:"verifier"`
	Since       int64     `json:"since"`
	Time        time.Time `json:"time"`
	Responsible string    `json:"responsible,omitzero"`
}

// SignedReport is a signed list that was looked at.
type SignedReport struct {
	File       string `json:"file"`
	Version    string `json:"version"`
	Signer     string `json:"signer"` // SHA-256 of the certificate
	Entry      *int64 `json:"entry,omitzero"`
	Checkpoint int64  `json:"checkpoint"` // size of the tree that its checkpoint names; 0 if it has none
}

// Problem is the first thing that is not as it was signed.
type Problem struct {
	Where  string    `json:"where"`          // the file
	Entry  *int64    `json:"entry,omitzero"` // the index of the entry, where it is about one
	Kind   Kind      `json:"kind,omitzero"`  // of that entry, as far as it can be read
	Time   time.Time `json:"time,omitzero"`
	Detail string    `json:"detail"` // what, and how that is known
}

func (p Problem) String() string {
	var b strings.Builder
	if strings.ContainsFunc(p.Where, func(r rune) bool { return !unicode.IsPrint(r) }) {
		fmt.Fprintf(&b, "%q", p.Where) // a file may have any name
	} else {
		b.WriteString(p.Where)
	}
	if p.Entry != nil {
		fmt.Fprintf(&b, ": entry %d", *p.Entry)
		if p.Kind != "" {
			fmt.Fprintf(&b, " (%.40q, %s)", p.Kind, p.Time.Format(time.RFC3339))
		}
	}
	return b.String() + ": " + p.Detail
}

// Witness is a signed list from elsewhere, such as a site's cache.
type Witness struct {
	Name    string
	Message []byte
}
