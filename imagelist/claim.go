package imagelist

import (
	"crypto/x509"

	"vouch/imagelist/smime"
	"vouch/imagelist/verdict"
)

// Claim is a list that somebody signed. Who that is is a fact of the bytes;
// whether anybody should believe them is not asked: no chain, no CRL, no policy,
// no date. It is what an endorser needs of lists, their own above all. A cache
// never takes one: see Verified.
type Claim struct {
	List        *List
	Signer      Signer
	Certificate *x509.Certificate   // the signer's
	Others      []*x509.Certificate // the other certificates of the message
	Content     []byte              // the signed bytes, in canonical form
	Warnings    []string
}

// ReadClaim opens a message and reads the list in it. The error is a
// *verdict.Rejection: of the envelope, the signature or the list.
func ReadClaim(raw []byte, o smime.Options) (*Claim, error) {
	signed, err := smime.Open(raw, o)
	if err != nil {
		return nil, err
	}
	list, err := Decode(signed.Content)
	if err != nil {
		return nil, err
	}
	return &Claim{
		List: list, Signer: *signerOf(signed.Signer), Certificate: signed.Signer, Others: signed.Certificates,
		Content: signed.Content, Warnings: append(signed.Warnings, list.Warnings...),
	}, nil
}

// Consistent asks whether the list names its signer (the second gate of
// contract §4). The error is a *verdict.Rejection with EndorserMismatch.
func (c *Claim) Consistent() error {
	for _, e := range c.List.Endorsers {
		if Names(c.Certificate, e) {
			return nil
		}
	}
	return verdict.Reject(verdict.EndorserMismatch, "the list does not name its signer %q of %q", c.Signer.DN, c.Signer.CA)
}

// Names says whether an endorser's DN and CA are renderings of the
// certificate's names (trust.md §3.5).
func Names(c *x509.Certificate, e Endorser) bool { return names(c, e.DN, e.CA) }

// SignerOf is what a certificate says of whoever signs with it.
func SignerOf(c *x509.Certificate) Signer { return *signerOf(c) }
