package publisher

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/publisher/credential"
	"vouch/imagelist/publisher/history"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
)

// Composed is the next version of the list, ready to be signed.
type Composed struct {
	List    *imagelist.List
	Content []byte // the exact bytes to sign, in canonical form (RFC 8551 §3.1.1)
}

// InvalidError lists what keeps a draft from being signed.
type InvalidError struct {
	File     string
	Findings []imagelist.Finding // the errors
}

func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = fmt.Sprintf("%s: %s: %s", e.File, f.Path, f.Detail)
	}
	return strings.Join(lines, "\n")
}

// Hint says what to do.
func (e *InvalidError) Hint() string {
	return "correct the draft; vouch publisher validate says more"
}

// Compose makes the next version of the draft: raises the version, sets the
// dates, names the endorser, carries the history's checkpoint. Nothing is
// written. cert is the certificate of the key that will sign; nil leaves the
// endorsers as the draft, or the last signed version, has them.
//
// It refuses a draft that subscribers would refuse, bytes whose endorsement is
// not in the history, an endorsed image that is missing without a recorded
// removal, and a certificate that subscribers would not take or that ends
// before the list. The error is an *Error or *InvalidError.
func (w *Workspace) Compose(cert *x509.Certificate, lifetime time.Duration, at time.Time) (*Composed, error) {
	draft, err := w.sound()
	if err != nil {
		return nil, err
	}
	last, err := w.Last()
	if err != nil {
		return nil, err
	}
	l := *draft
	l.Created = at.UTC().Truncate(time.Second)
	l.Expires = l.Created.Add(lifetime)
	l.Checkpoint = w.log.Checkpoint()
	if l.Version, err = nextVersion(draft, last); err != nil {
		return nil, err
	}
	if last != nil && last.List.Created.After(l.Created) {
		return nil, problem("check this machine's clock", "version %s was signed at %s, which is still to come", last.List.Version, last.List.Created.UTC().Format(time.RFC3339))
	}
	switch {
	case cert != nil:
		if err := credential.Suitable(cert, at, l.Expires); err != nil {
			return nil, err
		}
		l.Endorsers = named(l.Endorsers, cert, w.Settings.Responsible)
	case len(l.Endorsers) > 0 && l.Endorsers[0].DN != "":
	case last != nil && len(last.List.Endorsers) > 0:
		l.Endorsers = last.List.Endorsers
	default:
		return nil, problem("--cert FILE is the certificate of whoever signs; no key is needed with it", "the list must name its endorser, and the draft does not")
	}
	if err := w.acceptable(&l, at); err != nil {
		return nil, err
	}
	if err := w.covers(&l, true); err != nil {
		return nil, err
	}
	content, err := l.Encode()
	if err != nil {
		return nil, &Error{What: w.path(draftFile), Err: err, Fix: "correct the draft"}
	}
	return &Composed{&l, smime.Canonical(content)}, nil
}

// nextVersion is the one that a person wrote into the draft, if it is newer
// than what was signed, or the next.
func nextVersion(draft *imagelist.List, last *Signed) (string, error) {
	have := ""
	if last != nil {
		have = last.List.Version
	}
	switch {
	case draft.Version == "" || draft.Version == have:
		return imagelist.NextVersion(have), nil
	case imagelist.CompareVersions(draft.Version, have) <= 0:
		return "", problem("leave hv:version out of the draft, and the next one is taken", "hv:version %q does not come after %q, which was signed", draft.Version, have)
	}
	return draft.Version, nil
}

// named makes the certificate's subject an endorser that the list names:
// without it the second gate refuses the list.
func named(endorsers []imagelist.Endorser, cert *x509.Certificate, responsible string) []imagelist.Endorser {
	for _, e := range endorsers {
		if imagelist.Names(cert, e) {
			return endorsers
		}
	}
	s := imagelist.SignerOf(cert)
	me := imagelist.Endorser{DN: s.DN, CA: s.CA, Creator: responsible}
	if len(endorsers) == 1 {
		me.Email, me.Creator = endorsers[0].Email, endorsers[0].Creator
	}
	if me.Email == "" && len(cert.EmailAddresses) > 0 {
		me.Email = cert.EmailAddresses[0]
	}
	return []imagelist.Endorser{me}
}

// acceptable refuses what a subscriber would.
func (w *Workspace) acceptable(l *imagelist.List, at time.Time) error {
	signed := *l // what Compose has set is asked for now, draft or not
	text, err := signed.EncodeDraft()
	if err != nil {
		return &Error{What: w.path(draftFile), Err: err, Fix: "correct the draft"}
	}
	whole, err := imagelist.Decode(text)
	if err != nil {
		return &Error{What: w.path(draftFile), Err: err, Fix: "correct the draft"}
	}
	var wrong []imagelist.Finding
	for _, f := range whole.Validate() {
		if f.Severity == imagelist.Error {
			wrong = append(wrong, f)
		}
	}
	for i := range l.Images {
		if l.Images[i].ExpiredAt(at) {
			wrong = append(wrong, imagelist.Finding{Severity: imagelist.Error, Path: fmt.Sprintf("hv:images[%d].hv:image.dc:date:expires", i),
				Detail: "in the past: give a later date, or remove the image"})
		}
	}
	if wrong != nil {
		return &InvalidError{w.path(draftFile), wrong}
	}
	return nil
}

// covers holds a list against the history: it may vouch only for bytes whose
// endorsement is recorded, and, when it is to be whole, must not leave out an
// image without a recorded removal.
func (w *Workspace) covers(l *imagelist.List, whole bool) error {
	endorsed, err := w.endorsed()
	if err != nil {
		return err
	}
	for i := range l.Images {
		image := &l.Images[i]
		switch sum, known := endorsed[image.Identifier]; {
		case !known:
			return problem("vouch publisher add records it and puts it into the draft", "image %q: its endorsement is not in the history", image.Identifier)
		case sum != image.SHA512.String():
			return problem("vouch publisher add --replace records other bytes", "image %q: the history has endorsed other bytes", image.Identifier)
		}
		delete(endorsed, image.Identifier)
	}
	for id := range endorsed {
		if whole {
			return problem("vouch publisher remove "+string(id)+" --reason … records why; or put it back", "image %q is endorsed and missing from the draft", id)
		}
	}
	return nil
}

// Trust is what a signed list is held against before it is kept.
type Trust struct {
	Store  *trust.Store // nil: the chain is not asked about
	Strict bool         // the anchors were named for this: a chain must lead to one
}

// Complete takes what came back from the signer: holds it against what was
// composed and judges it with the subscriber's code, then records and keeps it.
// Notes are what the judgement could not know here.
func (w *Workspace) Complete(c *Composed, message []byte, t Trust, who Who, at time.Time) (s *Signed, notes []string, err error) {
	claim, err := imagelist.ReadClaim(message, smime.Options{})
	if err != nil {
		return nil, nil, &Error{What: "subscribers would refuse what was signed", Err: err, Fix: "sign with RSA or ECDSA and SHA-256 or better; nothing was kept"}
	}
	if !bytes.Equal(claim.Content, c.Content) {
		return nil, nil, problem("sign the file as it stands; nothing was kept", "what was signed is not what was to be signed")
	}
	if err := claim.Consistent(); err != nil {
		return nil, nil, &Error{What: "subscribers would refuse what was signed", Err: err, Fix: "--cert names the certificate that signs, so that the list can name it too"}
	}
	if err := credential.Suitable(claim.Certificate, at, claim.List.Expires); err != nil {
		return nil, nil, err
	}
	if notes, err = t.judge(message, at); err != nil {
		return nil, nil, err
	}
	last, err := w.Last()
	if err != nil {
		return nil, nil, err
	}
	who.Certificate = claim.Certificate
	change, err := w.signature(message, claim, last, who, at)
	if err != nil {
		return nil, nil, err
	}
	if err := w.commit(*change); err != nil {
		return nil, nil, err
	}
	e := change.Entries[len(change.Entries)-1]
	return &Signed{Message: message, Claim: claim, Entry: e, List: claim.List}, notes, nil
}

// judge asks the subscriber's question of the chain. Facts refuse; what this
// machine does not know is a note.
func (t Trust) judge(message []byte, at time.Time) (notes []string, err error) {
	if t.Store == nil {
		return []string{"no trust anchors here: the chain was not checked (--anchors)"}, nil
	}
	q := imagelist.Question{Trust: trust.Policy{CRL: trust.IfPresent, SigningPolicy: trust.IfPresent}}
	_, err = imagelist.Verify(message, t.Store, at, q)
	no := verdict.As(err)
	switch {
	case err == nil:
		return nil, nil
	case no != nil && !t.Strict && (no.Missing || no.Code == verdict.Untrusted):
		return []string{fmt.Sprintf("the chain could not be checked here: %s", no)}, nil
	}
	return nil, &Error{What: "subscribers would refuse what was signed", Err: err, Fix: "nothing was kept; vouch publisher verify explains a verdict"}
}

// signature is the change that records a signed list: edits by hand that
// nobody has recorded yet, the signature, the message.
func (w *Workspace) signature(message []byte, claim *imagelist.Claim, last *Signed, who Who, at time.Time) (*change, error) {
	l := claim.List
	if last != nil && imagelist.CompareVersions(l.Version, last.List.Version) <= 0 {
		return nil, problem("prepare it again", "version %q does not come after %q, which was signed meanwhile", l.Version, last.List.Version)
	}
	if err := w.covers(l, false); err != nil {
		return nil, err
	}
	entries, err := w.edits(last, l, who, at)
	if err != nil {
		return nil, err
	}
	e := w.entry(history.Sign, who, at)
	e.List = history.List{Identifier: l.Identifier, Version: l.Version, SHA512: digest(message), Expires: l.Expires.UTC()}
	c := &change{
		Entries: append(entries, e),
		Files:   []file{{Name: filepath.Join(signedDir, signedName(l.Version)), content: message}},
	}
	draft, err := w.sound()
	if err != nil || draft.Version == "" {
		return c, err
	}
	used := *draft
	used.Version = "" // the next one follows from what is signed
	c.Draft, err = drafted(&used)
	return c, err
}

// edits records what was changed by hand since the last signed version: keys of
// the list, and of images whose bytes are the same.
func (w *Workspace) edits(last *Signed, l *imagelist.List, who Who, at time.Time) ([]history.Entry, error) {
	if last == nil || last.Message == nil {
		return nil, nil
	}
	differences, err := imagelist.Diff(last.List, l)
	if err != nil {
		return nil, err
	}
	replaced := map[imagelist.ImageID]bool{}
	for _, d := range differences {
		if d.Key == "" || d.Key == "sl:checksum:sha512" {
			replaced[d.Image] = true
		}
	}
	var entries []history.Entry
	for _, d := range differences {
		if replaced[d.Image] || d.Image == "" && slices.Contains(setBySigning, d.Key) {
			continue
		}
		if n := len(entries); n > 0 && entries[n-1].Image.Identifier == d.Image {
			entries[n-1].Reason += ", " + d.Key
			continue
		}
		e := w.entry(history.Edit, who, at)
		e.Reason = "changed: " + d.Key
		if i := slices.IndexFunc(l.Images, func(i imagelist.Image) bool { return i.Identifier == d.Image }); i >= 0 {
			e.Image = recorded(&l.Images[i])
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// setBySigning are the list's keys that change with every version, and the one
// that removals change.
var setBySigning = []string{"hv:version", "dc:date:created", "dc:date:expires", "vouch:checkpoint", "vouch:revoked", "hv:endorser"}

// Prepare notes what is given out to be signed elsewhere.
func (w *Workspace) Prepare(c *Composed) error {
	local := w.Local
	local.Prepared = digest(c.Content)
	return w.Remember(w.Settings, local)
}

// Prepared is what was given out, as it came back in a message. The error is
// an *Error when the message signs something else.
func (w *Workspace) Prepared(message []byte) (*Composed, error) {
	claim, err := imagelist.ReadClaim(message, smime.Options{})
	if err != nil {
		return nil, &Error{What: "subscribers would refuse what was signed", Err: err, Fix: "sign with RSA or ECDSA and SHA-256 or better: openssl cms -sign -md sha256 -in PREPARED -signer CERT -inkey KEY"}
	}
	switch w.Local.Prepared {
	case "":
		return nil, problem("vouch publisher sign --prepare FILE gives out what is to be signed", "nothing was prepared in this workspace on this machine")
	case digest(claim.Content):
		return &Composed{claim.List, claim.Content}, nil
	}
	return nil, problem("sign the file that --prepare wrote last, as it stands", "what was signed is not what was prepared")
}
