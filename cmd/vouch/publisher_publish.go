package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/urfave/cli/v2"

	"vouch/imagelist/publisher"
	"vouch/imagelist/publisher/destination"
	"vouch/subscriber/event"
)

func (s *session) publisherPublish() *cli.Command {
	return &cli.Command{
		Name: "publish", Usage: "sign a changed draft, and put the list where subscribers find it", ArgsUsage: "[DEST]",
		Description: `Signs the draft first if it says anything that is not signed yet. Then replaces
the list at DEST, whole and at once: there is no moment without one. DEST is
kept, and need not be said again. It is
  /srv/www/image.list                         a path on this machine
  [user@]host:/srv/www/image.list             over SSH (SFTP), with your ~/.ssh/config and agent
  sftp://[user@]host[:port]/srv/www/image.list
  https://host/image.list                     by PUT, only if nobody published meanwhile

With --images the image files that were endorsed on this machine are uploaded
beside the list before it, under the last part of their hv:uri.

Afterwards the list's own hv:uri is read and compared, as a subscriber would
(not with --no-fetch-back). Refused are: another list at DEST, and one that is
newer than this.

Examples:
  vouch publisher publish lists.example.org:/srv/www/image.list --images
  vouch publisher publish https://lists.example.org/image.list --client-cert
  vouch publisher publish --notify https://site.example.org:8780/v1/subscriptions/example/refresh --notify-token-file site.token`,
		Flags:  append(append(keyFlags(), placeFlags()...), whoFlags()...),
		Action: takes(0, 1, s.publishList),
	}
}

// publicationDoc is vouch/publication/v1.
type publicationDoc struct {
	Schema string          `json:"schema"`
	Signed *signedDocument `json:"signed"` // null when the draft was signed already
	*publisher.Publication
	Notified string   `json:"notified"` // "" not asked, "yes", or what went wrong
	Notes    []string `json:"notes"`
}

// publication is one about to happen: key, place and what was asked.
type publication struct {
	s    *session
	c    *cli.Context
	w    *publisher.Workspace
	key  *signer // nil until a signature is needed
	dest destination.Destination
	o    destination.Options
	note []string

	notice *destination.Notice // nil: nobody is told
}

func (s *session) publishList(c *cli.Context) error {
	w, err := s.workspace(c, false)
	if err != nil {
		return err
	}
	defer w.Close()
	dest := c.Args().First()
	if dest == "" {
		dest = w.Settings.Destination
	}
	if dest == "" {
		return usage(c, "needs DEST, the first time")
	}
	p, err := s.publication(c, w, dest)
	if err != nil {
		return err
	}
	defer p.close()
	doc, code, err := p.publish(c.Context)
	if err != nil {
		return badInput(err)
	}
	if err := s.result(doc, func() error { s.writePublication(doc); return nil }); err != nil {
		return err
	}
	return status(code)
}

// publication opens the place. The key is found first if a signature may be
// needed, so that what is wrong with it is known before anything is done.
func (s *session) publication(c *cli.Context, w *publisher.Workspace, dest string) (*publication, error) {
	changed, err := w.Changed()
	if err != nil {
		return nil, badInput(err)
	}
	var key *signer
	if changed || c.Bool("client-cert") {
		if key, err = s.signer(c, w); err != nil {
			return nil, err
		}
	}
	return s.publicationOf(c, w, dest, key)
}

func (s *session) publicationOf(c *cli.Context, w *publisher.Workspace, dest string, key *signer) (*publication, error) {
	p := &publication{s: s, c: c, w: w, key: key, o: destination.Options{
		UsernameFile: c.String("username-file"), PasswordFile: c.String("password-file"), TokenFile: c.String("token-file"),
		RootsFile: c.String("roots"), Overwrite: c.Bool("overwrite"),
	}}
	p.o.Note = func(text string) { p.note = append(p.note, text) }
	if c.Bool("client-cert") {
		if key == nil || key.known.Key == nil {
			return nil, usage(c, "--client-cert needs --cert and --key")
		}
		p.o.ClientCert = &tls.Certificate{PrivateKey: key.known.Key, Leaf: key.known.Certificate, Certificate: [][]byte{key.known.Certificate.Raw}}
		for _, chain := range key.known.Chain {
			p.o.ClientCert.Certificate = append(p.o.ClientCert.Certificate, chain.Raw)
		}
	}
	var err error
	if p.notice, err = notice(c, p.o); err != nil {
		return nil, err
	}
	if p.dest, err = destination.Open(c.Context, dest, p.o); err != nil {
		return nil, badInput(err)
	}
	return p, nil
}

// notice is the one to send afterwards, nil for none. What is wrong with it is
// known before anything is published.
func notice(c *cli.Context, o destination.Options) (*destination.Notice, error) {
	o.TokenFile = c.String("notify-token-file")
	if c.String("notify") == "" {
		if o.TokenFile != "" {
			return nil, usage(c, "--notify-token-file needs --notify")
		}
		return nil, nil
	}
	n, err := destination.NewNotice(c.String("notify"), o)
	return n, badInput(err)
}

func (p *publication) close() { p.dest.Close() }

// publish signs a changed draft and publishes. The code is the exit status
// that the document explains.
func (p *publication) publish(ctx context.Context) (*publicationDoc, int, error) {
	doc := &publicationDoc{Schema: "vouch/publication/v1"}
	changed, err := p.w.Changed()
	if err != nil {
		return nil, 0, err
	}
	if changed {
		signed, notes, err := p.s.signDraft(p.c, p.w, p.key)
		if err != nil {
			return nil, 0, err
		}
		l := signed.List
		doc.Signed = &signedDocument{Schema: "vouch/signed/v1", Version: l.Version, File: p.w.SignedFile(l.Version), Created: l.Created,
			Expires: l.Expires, Images: len(l.Images), Signer: signed.Claim.Signer.DN, Notes: notes}
		doc.Notes = append(doc.Notes, notes...)
	}
	who, err := p.s.whoSigns(p.c, p.w, p.key)
	if err != nil {
		return nil, 0, err
	}
	bar, finish := p.s.transfers()
	doc.Publication, err = p.w.Publish(ctx, p.dest, publisher.Publishing{
		Images: p.c.Bool("images"), FetchBack: !p.c.Bool("no-fetch-back"), Progress: bar,
		Access: destination.Options{RootsFile: p.o.RootsFile}, Who: who, At: p.s.now,
	})
	finish()
	doc.Notes = append(doc.Notes, p.note...)
	if err != nil && doc.Signed != nil {
		return nil, 0, signedAnyway(doc.Signed.Version, err)
	}
	if err != nil {
		return nil, 0, err
	}
	settings := p.w.Settings
	settings.Destination = p.dest.String()
	if err := p.w.Remember(settings, p.w.Local); err != nil {
		return nil, 0, err
	}
	return doc, p.afterwards(ctx, doc), nil
}

// signedAnyway says of a publication that failed that the new version stands.
func signedAnyway(version string, err error) error {
	return &halfway{"version " + version + " is signed", badInput(err), "vouch publisher publish"}
}

// afterwards tells the site, and says what the exit status is: published is
// published, but what was asked for beyond it may have failed.
func (p *publication) afterwards(ctx context.Context, doc *publicationDoc) int {
	code := exitOK
	if doc.Served != "" && doc.Served != "yes" {
		code = exitRefused
	}
	if p.notice != nil {
		doc.Notified = "yes"
		if err := p.notice.Send(ctx); err != nil {
			doc.Notified, code = err.Error(), exitRefused
		}
	}
	return code
}

func (s *session) writePublication(doc *publicationDoc) {
	s.warnings(doc.Notes)
	if !s.quiet {
		if doc.Signed != nil {
			s.writeSigned(doc.Signed)
		}
		for _, i := range doc.Images {
			how := "uploaded " + bytesText(i.Size-i.Resumed)
			if i.Skipped {
				how = "was there already"
			}
			fmt.Fprintf(s.out, "image     %s: %s\n", event.Printable(i.Name), how)
		}
		fmt.Fprintln(s.out, event.Printable(published(doc)))
	}
	if doc.Served == "yes" && !s.quiet {
		fmt.Fprintln(s.out, "its hv:uri serves it")
	} else if doc.Served != "" && doc.Served != "yes" {
		fmt.Fprintln(s.err, "vouch: published, but subscribers do not see it:", event.Printable(doc.Served))
		fmt.Fprintln(s.err, "hint: does hv:uri lead to DEST, and is there a cache between? --no-fetch-back leaves this check out")
	}
	if doc.Notified == "yes" && !s.quiet {
		fmt.Fprintln(s.out, "the site is told")
	} else if doc.Notified != "" && doc.Notified != "yes" {
		fmt.Fprintln(s.err, "vouch: published, but the site could not be told:", event.Printable(doc.Notified))
		fmt.Fprintln(s.err, "hint: it looks by its own schedule; the same command again tells it now")
	}
}

func published(doc *publicationDoc) string {
	switch {
	case doc.Unchanged:
		return fmt.Sprintf("version %s is live at %s already", doc.Version, doc.Destination)
	case doc.Replaced == "":
		return fmt.Sprintf("version %s is live at %s", doc.Version, doc.Destination)
	}
	return fmt.Sprintf("version %s is live at %s, in the place of %s", doc.Version, doc.Destination, doc.Replaced)
}
