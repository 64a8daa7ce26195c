package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/publisher"
	"vouch/imagelist/publisher/credential"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) publisherSign() *cli.Command {
	return &cli.Command{
		Name: "sign", Usage: "sign the draft as the next version of the list",
		Description: `Raises the version, sets the dates, signs, judges the result with the
subscriber's own code, and only then keeps it under signed/ and records it.
Nothing is published: "vouch publisher publish" signs by itself when the draft
has changed.

The key is a file (RSA or ECDSA; PEM or PKCS#12; its passphrase is asked for on
the terminal, or read from --passphrase-file or --passphrase-fd), or is held by
a command (--exec), or lies behind an air gap (--prepare, then --attach). Never
put a passphrase into an argument or the environment.

Examples:
  vouch publisher sign                                    # ~/.globus/usercert.pem and userkey.pem
  vouch publisher sign --cert robot.p12 --passphrase-file /run/secrets/robot
  vouch publisher sign --cert me.pem --exec "openssl cms -sign -md sha256 -signer me.pem -engine pkcs11 -keyform engine -inkey 'pkcs11:object=me'"
  vouch publisher sign --cert me.pem --prepare to-sign.json     # carry it over, then there:
      openssl cms -sign -md sha256 -in to-sign.json -signer me.pem -inkey me.key -out signed.list
  vouch publisher sign --attach signed.list`,
		Flags: append(append(keyFlags(),
			&cli.StringFlag{Name: "prepare", Usage: "write what is to be signed, and sign nothing: `FILE`"},
			&cli.StringFlag{Name: "attach", Usage: "take what was signed elsewhere: `FILE`"},
			&cli.StringFlag{Name: "out", Usage: "write the signed list there too: `FILE`"},
		), whoFlags()...),
		Action: takes(0, 0, s.sign),
	}
}

func (s *session) publisherRenew() *cli.Command {
	return &cli.Command{
		Name: "renew", Usage: "sign the unchanged list anew before it expires", ArgsUsage: "[DEST]",
		Description: `For cron: does nothing while the list is good for longer than --within.
Otherwise signs the same images as a new version, and publishes it if DEST is
given, or was before. What was signed and could not be published is published
the next time. Refuses when the draft has changes that nobody signed: those are
a release, not a renewal.

Examples:
  vouch publisher renew -C /srv/images
  vouch publisher renew lists.example.org:/srv/www/image.list --within 14d --passphrase-file /run/secrets/robot`,
		Flags: append(append(append(keyFlags(),
			&cli.StringFlag{Name: "within", Value: "7d", Usage: "renew when the list expires in less: `DURATION`"}), placeFlags()...), whoFlags()...),
		Action: takes(0, 1, s.renew),
	}
}

// signedDocument is vouch/signed/v1.
type signedDocument struct {
	Schema  string    `json:"schema"`
	Version string    `json:"version"`
	File    string    `json:"file"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Images  int       `json:"images"`
	Signer  string    `json:"signer"` // DN
	Notes   []string  `json:"notes"`
}

// signer is what makes a signature: the certificate the list must name, and how.
type signer struct {
	known *credential.Credential // Certificate nil when only the command knows it
	how   func(ctx context.Context, content []byte) ([]byte, error)
	local publisher.Local // to be remembered
}

func (s *session) sign(c *cli.Context) error {
	if n := count(c.IsSet("prepare"), c.IsSet("attach"), c.IsSet("exec")); n > 1 {
		return usage(c, "one of --prepare, --attach and --exec")
	}
	w, err := s.workspace(c, false)
	if err != nil {
		return err
	}
	defer w.Close()
	switch {
	case c.IsSet("prepare"):
		return s.prepare(c, w)
	case c.IsSet("attach"):
		return s.attach(c, w)
	}
	key, err := s.signer(c, w)
	if err != nil {
		return err
	}
	signed, notes, err := s.signDraft(c, w, key)
	if err != nil {
		return err
	}
	return s.signed(c, w, signed, notes)
}

func count(set ...bool) (n int) {
	for _, is := range set {
		if is {
			n++
		}
	}
	return n
}

// signDraft makes the next version of the draft.
func (s *session) signDraft(c *cli.Context, w *publisher.Workspace, key *signer) (*publisher.Signed, []string, error) {
	lifetime, err := s.lifetime(c, w)
	if err != nil {
		return nil, nil, err
	}
	composed, err := w.Compose(key.known.Certificate, lifetime, s.now)
	if err != nil {
		return nil, nil, badInput(err)
	}
	message, err := key.how(c.Context, composed.Content)
	if err != nil {
		return nil, nil, badInput(err)
	}
	signed, notes, err := s.keep(c, w, composed, message)
	if err != nil {
		return nil, nil, err
	}
	settings := w.Settings
	if c.IsSet("lifetime") {
		settings.Lifetime = c.String("lifetime")
	}
	return signed, notes, w.Remember(settings, key.local)
}

// keep judges and keeps what was signed.
func (s *session) keep(c *cli.Context, w *publisher.Workspace, composed *publisher.Composed, message []byte) (*publisher.Signed, []string, error) {
	t, err := s.anchors(c)
	if err != nil {
		return nil, nil, err
	}
	signed, notes, err := w.Complete(composed, message, t, publisher.Who{Responsible: c.String("responsible")}, s.now)
	return signed, notes, badInput(err)
}

// anchors are what a signed list's chain is held against.
func (s *session) anchors(c *cli.Context) (publisher.Trust, error) {
	dir := c.String("anchors")
	t := publisher.Trust{Strict: dir != ""}
	if dir == "" {
		if dir = defaultAnchors; !isDir(dir) {
			return t, nil
		}
	}
	store, err := trust.Load(dir)
	switch {
	case err == nil:
		t.Store = store
	case t.Strict:
		return t, &refusal{err.Error(), "--anchors names a hashed directory such as " + defaultAnchors + ", or a PEM bundle"}
	}
	return t, nil
}

// signer finds what signs: a command, or files.
func (s *session) signer(c *cli.Context, w *publisher.Workspace) (*signer, error) {
	key := &signer{known: &credential.Credential{}, local: w.Local}
	if command := c.String("exec"); command != "" {
		key.how = func(ctx context.Context, content []byte) ([]byte, error) {
			message, err := credential.Exec(ctx, command, content, s.err)
			if err != nil && ctx.Err() == nil && hint(err) == "" {
				return nil, &refusal{err.Error(), "nothing was signed; run the command by hand on what sign --prepare writes"}
			}
			return message, err
		}
		if c.IsSet("cert") {
			cert, chain, err := credential.Certificate(c.String("cert"))
			if err != nil {
				return nil, badInput(err)
			}
			key.known.Certificate, key.known.Chain = cert, chain
		}
		return key, nil
	}
	source, err := s.keySource(c, w)
	if err != nil {
		return nil, err
	}
	if key.known, err = credential.Load(source); err != nil {
		return nil, badInput(err)
	}
	key.how = func(_ context.Context, content []byte) ([]byte, error) {
		return smime.Sign(content, key.known.Certificate, key.known.Key, key.known.Chain, smime.SignOptions{At: s.now})
	}
	key.local.Cert, _ = filepath.Abs(source.CertFile)
	key.local.Key = ""
	if source.KeyFile != "" {
		key.local.Key, _ = filepath.Abs(source.KeyFile)
	}
	return key, nil
}

// keySource says which files: those named, those used last, or the usual ones.
func (s *session) keySource(c *cli.Context, w *publisher.Workspace) (credential.Source, error) {
	source := credential.Source{CertFile: c.String("cert"), KeyFile: c.String("key")}
	switch {
	case source.CertFile != "":
	case source.KeyFile != "":
		return source, usage(c, "--key needs --cert beside it")
	case w.Local.Cert != "":
		source.CertFile, source.KeyFile = w.Local.Cert, w.Local.Key
	default:
		if source.CertFile, source.KeyFile = credential.Defaults(); source.CertFile == "" {
			return source, usage(c, "needs --cert and --key, or --exec: there is no ~/.globus/usercert.pem")
		}
	}
	file, fd := c.String("passphrase-file"), c.Int("passphrase-fd")
	switch {
	case file != "" && fd >= 0:
		return source, usage(c, "one of --passphrase-file and --passphrase-fd")
	case file != "":
		source.Passphrase = credential.PassphraseFile(file)
	case fd >= 0:
		source.Passphrase = credential.PassphraseFD(fd)
	default:
		source.Passphrase = credential.PassphraseTerminal
	}
	return source, nil
}

// prepare writes what is to be signed elsewhere.
func (s *session) prepare(c *cli.Context, w *publisher.Workspace) error {
	lifetime, err := s.lifetime(c, w)
	if err != nil {
		return err
	}
	who, err := s.who(c, w)
	if err != nil {
		return badInput(err)
	}
	composed, err := w.Compose(who.Certificate, lifetime, s.now)
	if err != nil {
		return badInput(err)
	}
	if err := writeFileOver(c.String("prepare"), composed.Content); err != nil {
		return badInput(err)
	}
	if err := w.Prepare(composed); err != nil {
		return err
	}
	doc := signedDocument{
		Schema: "vouch/prepared/v1", Version: composed.List.Version, File: c.String("prepare"),
		Created: composed.List.Created, Expires: composed.List.Expires, Images: len(composed.List.Images),
	}
	if len(composed.List.Endorsers) > 0 {
		doc.Signer = composed.List.Endorsers[0].DN
	}
	return s.result(doc, func() error {
		if s.quiet {
			return nil
		}
		_, err := fmt.Fprintf(s.out, "version %s is in %s, to be signed by %s; then: vouch publisher sign --attach SIGNED\n",
			event.Printable(doc.Version), event.Printable(doc.File), event.Printable(doc.Signer))
		return err
	})
}

// attach takes what was signed elsewhere.
func (s *session) attach(c *cli.Context, w *publisher.Workspace) error {
	message, err := readMessage(c.Context, s.in, c.String("attach"))
	if err != nil {
		return badMessage(err)
	}
	composed, err := w.Prepared(message)
	if err != nil {
		return badInput(err)
	}
	signed, notes, err := s.keep(c, w, composed, message)
	if err != nil {
		return err
	}
	return s.signed(c, w, signed, notes)
}

// signed says what was signed, and writes --out.
func (s *session) signed(c *cli.Context, w *publisher.Workspace, signed *publisher.Signed, notes []string) error {
	l := signed.List
	doc := signedDocument{
		Schema: "vouch/signed/v1", Version: l.Version, File: w.SignedFile(l.Version), Created: l.Created, Expires: l.Expires,
		Images: len(l.Images), Signer: signed.Claim.Signer.DN, Notes: notes,
	}
	if out := c.String("out"); out != "" {
		if err := writeFileOver(out, signed.Message); err != nil {
			return &refusal{fmt.Sprintf("version %s is signed and kept, but --out: %s", l.Version, err), "copy " + doc.File}
		}
	}
	return s.result(doc, func() error {
		s.warnings(doc.Notes)
		if !s.quiet {
			s.writeSigned(&doc)
		}
		return nil
	})
}

func (s *session) writeSigned(doc *signedDocument) {
	s.pairs("signed version", doc.Version, "by", doc.Signer, "images", fmt.Sprint(doc.Images), "expires", instant(doc.Expires, s.now), "file", doc.File)
}

// renewedDocument is vouch/renewed/v1.
type renewedDocument struct {
	Schema    string          `json:"schema"`
	Due       bool            `json:"due"` // a new version was signed
	Version   string          `json:"version"`
	Expires   time.Time       `json:"expires"`
	Notes     []string        `json:"notes"`
	Published *publicationDoc `json:"published"` // null when it was published nowhere
}

func (s *session) renew(c *cli.Context) error {
	within, ok := subscriber.ParseSpan(c.String("within"))
	if !ok {
		return usage(c, "--within is a duration such as 7d, not "+quoted(c.String("within")))
	}
	w, err := s.workspace(c, false)
	if err != nil {
		return err
	}
	defer w.Close()
	r, err := w.Renewal(within, s.now)
	if err != nil {
		return badInput(err)
	}
	dest := c.Args().First()
	if dest == "" {
		dest = w.Settings.Destination
	}
	doc := renewedDocument{Schema: "vouch/renewed/v1", Due: r.Due, Version: r.Last.Version, Expires: r.Last.Expires}
	if !r.Due && (dest == "" || !r.Owed) {
		return s.result(doc, func() error { return s.notDue(r.Last) })
	}
	code, err := s.renewNow(c, w, dest, &doc)
	if err != nil {
		return err
	}
	if err := s.result(doc, func() error { return s.writeRenewed(&doc) }); err != nil {
		return err
	}
	return status(code)
}

// renewNow signs, if that is due, and publishes, if there is a place. The place
// is opened first: without it nothing is signed, and tomorrow is another day.
func (s *session) renewNow(c *cli.Context, w *publisher.Workspace, dest string, doc *renewedDocument) (int, error) {
	var key *signer
	var err error
	if doc.Due || c.Bool("client-cert") {
		if key, err = s.signer(c, w); err != nil {
			return 0, err
		}
	}
	var p *publication
	if dest != "" {
		if p, err = s.publicationOf(c, w, dest, key); err != nil {
			return 0, err
		}
		defer p.close()
	}
	if doc.Due {
		signed, notes, err := s.signDraft(c, w, key)
		if err != nil {
			return 0, err
		}
		doc.Version, doc.Expires, doc.Notes = signed.List.Version, signed.List.Expires, notes
	}
	if p == nil {
		return exitOK, nil
	}
	var code int
	doc.Published, code, err = p.publish(c.Context)
	if err != nil && doc.Due {
		err = signedAnyway(doc.Version, err)
	}
	return code, badInput(err)
}

func (s *session) writeRenewed(doc *renewedDocument) error {
	s.warnings(doc.Notes)
	if doc.Published != nil {
		s.writePublication(doc.Published)
		return nil
	}
	if s.quiet {
		return nil
	}
	_, err := fmt.Fprintf(s.out, "renewed: version %s, expires %s\n", event.Printable(doc.Version), instant(doc.Expires, s.now))
	return err
}

// notDue says so to a person; cron hears nothing.
func (s *session) notDue(last *imagelist.List) error {
	if !s.terminal && !s.verbose || s.quiet {
		return nil
	}
	_, err := fmt.Fprintf(s.out, "nothing to do: version %s expires %s\n", event.Printable(last.Version), instant(last.Expires, s.now))
	return err
}
