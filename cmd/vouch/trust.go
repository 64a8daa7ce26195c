package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) trustCommand() *cli.Command {
	return &cli.Command{
		Name: "trust", Usage: "look at trust anchors, signing policies and revocation lists",
		Subcommands: []*cli.Command{
			{
				Name: "ls", Usage: "list the trust anchors",
				Description: `What is unusable comes first, then what ends next. KIND is root, where chains end,
or sub. POLICIES are the CA's own files; a subordinate CA may be spoken of in the
files of the CA above it. CRL is the age of the newest revocation list that counts,
DUE when the next one is. STATE says why the CA cannot be used. A CA whose own
certificate has expired is listed, and trusted no more.

Examples:
  vouch trust ls
  vouch trust ls -o json`,
				Action: takes(0, 0, s.listTrust),
			},
			{
				Name: "check", Usage: "say what is wrong with the trust directory, or will soon be",
				Description: `Names files that cannot be used and why, CAs without a policy file or a valid
revocation list where the configuration requires one, and what expires within
30 days (certificates) or 24 hours (revocation lists). Exits 3 when something is
wrong, 5 when nobody could be trusted at all.

Examples:
  vouch trust check
  fetch-crl && vouch trust check --quiet`,
				Action: takes(0, 0, s.checkTrust),
			},
		},
	}
}

// trustDocument is vouch/trust/v1.
type trustDocument struct {
	Schema   string        `json:"schema"`
	Path     string        `json:"path"`
	Usable   bool          `json:"usable"`
	Detail   string        `json:"detail"` // why it is not usable
	Anchors  []anchorEntry `json:"anchors"`
	Problems []trustEntry  `json:"problems"` // what is wrong now
	Soon     []trustEntry  `json:"soon"`     // what expires soon, or has expired harmlessly
	Next     []trustEntry  `json:"next"`     // the first certificate and the first revocation list to end, however far off
}

type anchorEntry struct {
	DN         string        `json:"dn"`
	Hash       string        `json:"hash"`
	SHA256     string        `json:"sha256"`
	Files      []string      `json:"files"`
	SelfSigned bool          `json:"self_signed"` // where chains end; otherwise a link of them
	NotBefore  time.Time     `json:"not_before"`
	NotAfter   time.Time     `json:"not_after"`
	Policies   []policyEntry `json:"policies"`
	CRLs       []crlEntry    `json:"crls"`
	State      string        `json:"state"` // "ok", or why none of its certificates can be accepted
}

type policyEntry struct {
	File    string `json:"file"`
	Rules   int    `json:"rules"`
	Problem string `json:"problem,omitempty"`
}

type crlEntry struct {
	File       string    `json:"file"`
	Number     string    `json:"number"`
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Entries    int       `json:"entries"`
	SHA256     string    `json:"sha256"`
	Problem    string    `json:"problem,omitempty"`
}

// trustEntry is one remark on the trust directory.
type trustEntry struct {
	Subject string    `json:"subject"` // a file or the DN of a CA
	Detail  string    `json:"detail"`
	Hint    string    `json:"hint"`
	When    time.Time `json:"when,omitzero"` // of what ends or has ended
}

// inspectTrust loads the trust directory and says what there is to say.
func (s *session) inspectTrust() (*trustDocument, error) {
	conf, err := s.load()
	if err != nil {
		return nil, err
	}
	want := conf.Site.Trust
	d := &trustDocument{Schema: "vouch/trust/v1", Path: want.Anchors}
	store, err := trust.Load(want.Anchors)
	if err != nil {
		d.Detail = err.Error()
		return d, nil
	}
	if err := store.Usable(trust.Policy{CRL: want.CRL, CRLGrace: want.CRLGrace, SigningPolicy: want.SigningPolicy}); err != nil {
		d.Detail = err.Error()
	}
	d.Usable = d.Detail == ""
	for _, p := range store.Problems() {
		d.Problems = append(d.Problems, trustEntry{Subject: p.File, Detail: p.Detail, Hint: "vouch does as if it were not there"})
	}
	for _, a := range store.Anchors() {
		e := entryOfAnchor(a)
		d.remark(&e, want, s.now)
		d.Anchors = append(d.Anchors, e)
	}
	d.comingNext(want, s.now)
	slices.SortStableFunc(d.Soon, func(a, b trustEntry) int { return a.When.Compare(b.When) })
	return d, nil
}

func entryOfAnchor(a trust.Anchor) anchorEntry {
	e := anchorEntry{
		DN: a.DN, Hash: a.Hash, SHA256: a.SHA256, Files: a.Files, SelfSigned: a.SelfSigned,
		NotBefore: a.NotBefore.UTC(), NotAfter: a.NotAfter.UTC(),
	}
	for _, p := range a.Policies {
		e.Policies = append(e.Policies, policyEntry(p))
	}
	for _, c := range a.CRLs {
		c.ThisUpdate, c.NextUpdate = c.ThisUpdate.UTC(), c.NextUpdate.UTC()
		e.CRLs = append(e.CRLs, crlEntry(c))
	}
	return e
}

// When an end is near enough to be told.
const (
	certSoon = 30 * day
	crlSoon  = 24 * time.Hour
)

// remark notes what is wrong with one CA, or will soon be, and sums it up as
// its state. An expired CA needs neither policy nor CRL; directories hold many
// of them.
func (d *trustDocument) remark(a *anchorEntry, want subscriber.TrustConfig, now time.Time) {
	a.State = "ok"
	if !now.Before(a.NotAfter) {
		a.State = "expired"
		d.soon(a.DN, "the CA's certificate expired", "", a.NotAfter, now)
		return
	}
	if now.Before(a.NotBefore) {
		a.State = "not yet valid"
	}
	if a.NotAfter.Sub(now) < certSoon {
		d.soon(a.DN, "the CA's certificate expires", "update the package of trust anchors", a.NotAfter, now)
	}
	if want.SigningPolicy == trust.Require && len(a.Policies) == 0 && a.SelfSigned {
		d.wrong(a, "no signing policy", "its certificates are refused as signing-policy")
	}
	if want.SigningPolicy != trust.Ignore && slices.ContainsFunc(a.Policies, func(p policyEntry) bool { return p.Problem != "" }) {
		a.State = "unusable policy file" // the file itself is among the problems
	}
	if want.CRL != trust.Ignore {
		d.remarkCRL(a, want, now)
	}
}

func (d *trustDocument) remarkCRL(a *anchorEntry, want subscriber.TrustConfig, now time.Time) {
	switch next := a.validUntil(); {
	case next.IsZero() && len(a.CRLs) > 0:
		d.wrong(a, "no usable revocation list: "+a.CRLs[0].File+": "+a.CRLs[0].Problem, subscriber.HintFor(verdict.CRLMissing))
	case next.IsZero() && want.CRL == trust.Require:
		d.wrong(a, "no revocation list", subscriber.HintFor(verdict.CRLMissing))
	case next.IsZero():
	case !now.Before(next.Add(want.CRLGrace)):
		d.wrong(a, "the revocation list is stale since "+instant(next, now), subscriber.HintFor(verdict.CRLStale))
	case next.Sub(now) < crlSoon:
		d.soon(a.DN, "the revocation list is stale", subscriber.HintFor(verdict.CRLStale), next, now)
	}
}

// wrong records a problem of a CA; the first is its state.
func (d *trustDocument) wrong(a *anchorEntry, detail, hint string) {
	d.Problems = append(d.Problems, trustEntry{Subject: a.DN, Detail: detail, Hint: hint})
	if a.State == "ok" {
		a.State = detail
	}
}

func (d *trustDocument) soon(subject, detail, hint string, when, now time.Time) {
	d.Soon = append(d.Soon, trustEntry{subject, detail + " " + relative(when, now), hint, when})
}

// comingNext names the first certificate and the first revocation list that
// will end, so that a quiet directory still says when to look again.
func (d *trustDocument) comingNext(want subscriber.TrustConfig, now time.Time) {
	var cert, crl *anchorEntry
	for i := range d.Anchors {
		a := &d.Anchors[i]
		if !now.Before(a.NotAfter) {
			continue
		}
		if cert == nil || a.NotAfter.Before(cert.NotAfter) {
			cert = a
		}
		if until := a.validUntil(); now.Before(until) && (crl == nil || until.Before(crl.validUntil())) {
			crl = a
		}
	}
	if crl != nil && want.CRL != trust.Ignore {
		until := crl.validUntil()
		d.Next = append(d.Next, trustEntry{Subject: crl.DN, Detail: "the revocation list is due " + relative(until, now), When: until})
	}
	if cert != nil {
		d.Next = append(d.Next, trustEntry{Subject: cert.DN, Detail: "the CA's certificate expires " + relative(cert.NotAfter, now), When: cert.NotAfter})
	}
}

// newest is the CA's usable revocation list with the latest nextUpdate, nil
// when it has none.
func (a *anchorEntry) newest() *crlEntry {
	var latest *crlEntry
	for i := range a.CRLs {
		c := &a.CRLs[i]
		if c.Problem == "" && (latest == nil || c.NextUpdate.After(latest.NextUpdate)) {
			latest = c
		}
	}
	return latest
}

// validUntil is how long the CA's revocation lists count, zero when it has none.
func (a *anchorEntry) validUntil() time.Time {
	if c := a.newest(); c != nil {
		return c.NextUpdate
	}
	return time.Time{}
}

func (s *session) listTrust(*cli.Context) error {
	d, err := s.inspectTrust()
	if err != nil {
		return err
	}
	if err := s.result(d, func() error { s.writeAnchors(d); return nil }); err != nil {
		return err
	}
	return s.distrust(d)
}

func (s *session) checkTrust(*cli.Context) error {
	d, err := s.inspectTrust()
	if err != nil {
		return err
	}
	if err := s.result(d, func() error {
		s.writeRemarks(d)
		return nil
	}); err != nil {
		return err
	}
	if err := s.distrust(d); err != nil {
		return err
	}
	if len(d.Problems) > 0 {
		return status(exitRefused)
	}
	return nil
}

// distrust is the status of a trust directory that lets nobody pass.
func (s *session) distrust(d *trustDocument) error {
	if d.Usable {
		return nil
	}
	if !s.json {
		fmt.Fprintln(s.err, "vouch:", event.Printable(d.Detail))
	}
	return status(exitDistrust)
}
