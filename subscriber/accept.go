package subscriber

import (
	"crypto/x509"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
	"vouch/subscriber/metadata"
)

// claim is a verified list that wants to become a subscription's current one.
type claim struct {
	sub     *Subscription
	pinned  imagelist.ListID // by configuration or by the first accepted list; "" for none
	list    *imagelist.Verified
	expires time.Time // effective: its own date or max_list_age
}

// accept is the fourth gate: is this list current? It returns nil, or the
// first reason in the order of contract §4. Pure: st is only read.
//
// holder names the configured subscription that already follows the list, ""
// if none; behind says that the local clock cannot be believed.
func accept(st *metadata.Snapshot, c claim, holder string, blocks []Block, at time.Time, behind bool) *verdict.Rejection {
	l := c.list.List()
	if c.pinned != "" && l.Identifier != c.pinned {
		return verdict.Reject(verdict.IdentifierChanged, "the list says %q, subscription %s follows %q", l.Identifier, c.sub.Name, c.pinned)
	}
	if holder != "" && holder != c.sub.Name {
		return verdict.Reject(verdict.IdentifierClash, "list %s is already followed by subscription %s", l.Identifier, holder)
	}
	if rej := belowFloor(st.Floors[string(l.Identifier)], c.list); rej != nil {
		return rej
	}
	if behind || l.Created.After(at.Add(future)) {
		return verdict.Reject(verdict.CreatedInFuture, "created %s, the clock here says %s", l.Created.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	if !at.Before(c.expires) {
		return verdict.Reject(verdict.ListExpired, "expired at %s", c.expires.UTC().Format(time.RFC3339))
	}
	if b := blockedList(blocks, string(l.Identifier), speakerOf(c.list), at); b != nil { // or it could push others' lists aside
		return verdict.Reject(verdict.Blocked, "blocked by this site: %s", b.Reason)
	}
	return nil
}

// belowFloor refuses going back (T-02): the floor is the newest list ever
// accepted under this identifier, whoever was subscribed then.
func belowFloor(f metadata.Floor, v *imagelist.Verified) *verdict.Rejection {
	if f.List == "" {
		return nil
	}
	l := v.List()
	switch c := imagelist.CompareVersions(l.Version, f.Version); {
	case c < 0:
		return verdict.Reject(verdict.VersionRollback, "version %q is older than %q, which was accepted before", l.Version, f.Version)
	case l.Created.Before(f.Created):
		return verdict.Reject(verdict.VersionRollback, "created %s, before the accepted version %q of %s", l.Created.UTC().Format(time.RFC3339), f.Version, f.Created.UTC().Format(time.RFC3339))
	case c == 0 && v.Payload().String() != f.Payload:
		return verdict.Reject(verdict.VersionReused, "version %q was accepted before with other content", l.Version)
	}
	return nil
}

// speaker is who signed, as far as it is known: the certificate is there when
// the message could be judged, the text always.
type speaker struct {
	dn, ca, sha256 string
	cert           *x509.Certificate
}

func speakerOf(v *imagelist.Verified) speaker {
	s := v.Signer()
	return speaker{dn: s.DN, ca: s.CA, sha256: s.SHA256, cert: v.Trust().Chain[0]}
}

// matches compares with a DN and CA that a person wrote, in any of the
// renderings in circulation; an empty CA matches every one.
func (s speaker) matches(dn, ca string) bool {
	if s.cert == nil {
		return s.dn == dn && (ca == "" || s.ca == ca)
	}
	return trust.Matches(s.cert.RawSubject, dn) && (ca == "" || trust.Matches(s.cert.RawIssuer, ca))
}

// blockedList finds the block that keeps a whole list out.
func blockedList(blocks []Block, id string, s speaker, at time.Time) *Block {
	for i, b := range blocks {
		if !b.ActiveAt(at) {
			continue
		}
		if b.List != "" && b.List == id || b.Cert != "" && b.Cert == s.sha256 || b.Endorser != "" && s.matches(b.Endorser, b.CA) {
			return &blocks[i]
		}
	}
	return nil
}

// blockedImage finds the block that keeps one image out.
func blockedImage(blocks []Block, id, sha512 string, at time.Time) *Block {
	for i, b := range blocks {
		if b.ActiveAt(at) && (b.Image != "" && b.Image == id || b.SHA512 != "" && b.SHA512 == sha512) {
			return &blocks[i]
		}
	}
	return nil
}
