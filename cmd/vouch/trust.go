package main

import (
	"fmt"
	"strings"
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
				Description: `CRL says how long the newest revocation list of the CA counts. A CA whose own
certificate has expired is listed, and trusted no more.`,
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
	Subject string `json:"subject"` // a file or the DN of a CA
	Detail  string `json:"detail"`
	Hint    string `json:"hint"`
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
		d.Problems = append(d.Problems, trustEntry{p.File, p.Detail, ""})
	}
	for _, a := range store.Anchors() {
		e := entryOfAnchor(a)
		d.Anchors = append(d.Anchors, e)
		d.remark(&e, want, s.now)
	}
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

// remark notes what is wrong with one CA, or will soon be. An expired CA needs
// neither policy nor CRL; directories hold many of them.
func (d *trustDocument) remark(a *anchorEntry, want subscriber.TrustConfig, now time.Time) {
	if !now.Before(a.NotAfter) {
		d.Soon = append(d.Soon, trustEntry{a.DN, "the CA's certificate expired " + relative(a.NotAfter, now), ""})
		return
	}
	if a.NotAfter.Sub(now) < certSoon {
		d.Soon = append(d.Soon, trustEntry{a.DN, "the CA's certificate expires " + relative(a.NotAfter, now), "update the package of trust anchors"})
	}
	if want.SigningPolicy == trust.Require && len(a.Policies) == 0 && a.SelfSigned {
		d.Problems = append(d.Problems, trustEntry{a.DN, "no signing policy", "its certificates are refused as signing-policy"})
	}
	if want.CRL == trust.Ignore {
		return
	}
	switch next := a.validUntil(); {
	case next.IsZero() && want.CRL == trust.Require:
		d.Problems = append(d.Problems, trustEntry{a.DN, "no revocation list", subscriber.HintFor(verdict.CRLMissing)})
	case next.IsZero():
	case !now.Before(next.Add(want.CRLGrace)):
		d.Problems = append(d.Problems, trustEntry{a.DN, "the revocation list is stale since " + instant(next, now), subscriber.HintFor(verdict.CRLStale)})
	case next.Sub(now) < crlSoon:
		d.Soon = append(d.Soon, trustEntry{a.DN, "the revocation list is stale " + relative(next, now), subscriber.HintFor(verdict.CRLStale)})
	}
}

// validUntil is the latest nextUpdate of the CA's usable revocation lists,
// zero when it has none.
func (a *anchorEntry) validUntil() time.Time {
	var latest time.Time
	for _, c := range a.CRLs {
		if c.Problem == "" && c.NextUpdate.After(latest) {
			latest = c.NextUpdate
		}
	}
	return latest
}

func (s *session) listTrust(*cli.Context) error {
	d, err := s.inspectTrust()
	if err != nil {
		return err
	}
	if err := s.result(d, func() error {
		t := newTable("CA:100", "HASH", "EXPIRES", "POLICIES:40", "CRL", "REVOKED")
		for _, a := range d.Anchors {
			var policies []string
			for _, p := range a.Policies {
				policies = append(policies, p.File)
			}
			crl, revoked := "none", 0
			if next := a.validUntil(); !next.IsZero() {
				crl = relative(next, s.now)
			}
			for _, c := range a.CRLs {
				revoked = max(revoked, c.Entries)
			}
			t.add(a.DN, a.Hash, relative(a.NotAfter, s.now), strings.Join(policies, " "), crl, fmt.Sprint(revoked))
		}
		t.write(s.out, "", nil)
		return nil
	}); err != nil {
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
		s.remarks("wrong", d.Problems)
		if !s.quiet {
			s.remarks("soon", d.Soon)
			fmt.Fprintf(s.out, "%s in %s, %s\n", plural(len(d.Anchors), "CA"), event.Printable(d.Path), plural(len(d.Problems), "problem"))
		}
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

func (s *session) remarks(kind string, entries []trustEntry) {
	for _, e := range entries {
		fmt.Fprintf(s.out, "%-6s %s: %s\n", kind, event.Printable(e.Subject), event.Printable(e.Detail))
		if e.Hint != "" {
			fmt.Fprintf(s.out, "       -> %s\n", event.Printable(e.Hint))
		}
	}
}
