package trust

import (
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"vouch/imagelist/verdict"
)

const (
	oidNameConstraints = "2.5.29.30"
	labelEmail         = "emailAddress"
)

// The forms of GeneralName (RFC 5280 §4.2.1.6) that matter here.
const (
	generalMail      = cbasn1.Tag(1)
	generalDirectory = cbasn1.Tag(4)
)

// constrained refuses a chain in which a CA constrains names in a way that
// crypto/x509 does not apply (RFC 5280 §4.2.1.10): directory names, which it
// passes over where the extension is not critical, and mail addresses, which it
// compares with alternative names and not with those in the subject.
func (q *question) constrained(chain []*x509.Certificate) *verdict.Rejection {
	for _, ca := range chain[1:] {
		var reason string
		switch forms := constraintForms(ca); {
		case forms[generalDirectory]:
			reason = "directory names"
		case forms[generalMail] && mailInSubject(chain[:len(chain)-1]):
			reason = "mail addresses in subjects"
		default:
			continue
		}
		return verdict.Reject(verdict.Untrusted, "%s constrains %s, which is not supported", q.store.describe(ca), reason)
	}
	return nil
}

// constraintForms are the forms of name that a CA puts constraints on; one
// that cannot be read is taken for a directory name.
func constraintForms(ca *x509.Certificate) map[cbasn1.Tag]bool {
	forms := map[cbasn1.Tag]bool{}
	for _, e := range ca.Extensions {
		if e.Id.String() != oidNameConstraints {
			continue
		}
		in := cryptobyte.String(e.Value)
		var body, subtrees cryptobyte.String
		if !in.ReadASN1(&body, cbasn1.SEQUENCE) {
			forms[generalDirectory] = true
		}
		var tag cbasn1.Tag
		for body.ReadAnyASN1(&subtrees, &tag) {
			for !subtrees.Empty() {
				forms[subtreeForm(&subtrees)] = true
			}
		}
	}
	return forms
}

// subtreeForm takes the next GeneralSubtree.
func subtreeForm(in *cryptobyte.String) cbasn1.Tag {
	var subtree, base cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadASN1(&subtree, cbasn1.SEQUENCE) || !subtree.ReadAnyASN1(&base, &tag) {
		*in = nil
		return generalDirectory
	}
	const number = 0x1f
	return tag & number
}

func mailInSubject(chain []*x509.Certificate) bool {
	for _, c := range chain {
		if n, ok := parseName(c.RawSubject); ok && n.has(labelEmail) {
			return true
		}
	}
	return false
}
