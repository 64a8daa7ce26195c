package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/publisher"
	"vouch/subscriber/event"
)

func (s *session) publisherInit() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "make a workspace for a new list",
		Description: `Makes a workspace in the current directory, or the one that -C names. The list
gets a random identifier, which is for ever, and no images yet.

Examples:
  vouch publisher init -C images --uri https://lists.example.org/image.list --title "Images of the example group"
  vouch publisher init --uri https://lists.example.org/image.list --title T --responsible "Alice Example"`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "uri", Usage: "where subscribers will fetch the list: `URL` (hv:uri)"},
			&cli.StringFlag{Name: "title", Usage: "`TEXT` (dc:title)"},
			&cli.StringFlag{Name: "description", Usage: "`TEXT` (dc:description)"},
			&cli.StringFlag{Name: "source", Usage: "who issues the list: `TEXT` (dc:source)"},
			&cli.StringFlag{Name: "identifier", Usage: "`ID` of the list; a random UUID otherwise"},
			&cli.StringFlag{Name: "email", Usage: "of the endorser: `ADDRESS`; the certificate's otherwise (hv:email)"},
			&cli.StringFlag{Name: "cert", Usage: "the endorser's certificate: `FILE`; ~/.globus/usercert.pem otherwise"},
		}, whoFlags()...),
		Action: takes(0, 0, s.initWorkspace),
	}
}

func (s *session) publisherImport() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "make a workspace that continues an existing list", ArgsUsage: "FILE|URL|-",
		Description: `Reads a signed list, or a list as JSON such as vmcaster exports, and makes a
workspace that goes on from there: with its identifier, its images, and
versions that follow. Of a signed list the signature is checked, the chain of
its certificate is not: "vouch publisher verify" does that.

Examples:
  vouch publisher import https://lists.example.org/image.list -C images
  vouch publisher import exported.json --responsible "Alice Example"`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "cert", Usage: "the endorser's certificate: `FILE`; ~/.globus/usercert.pem otherwise"},
		}, whoFlags()...),
		Action: takes(1, 1, s.importWorkspace),
	}
}

// workspaceDocument is vouch/workspace-made/v1.
type workspaceDocument struct {
	Schema      string           `json:"schema"`
	Directory   string           `json:"directory"`
	Identifier  imagelist.ListID `json:"identifier"`
	Responsible string           `json:"responsible"`
	Version     string           `json:"version"` // of the list that is continued; "" for a new one
	Images      int              `json:"images"`
	Warnings    []string         `json:"warnings"`
}

func (s *session) initWorkspace(c *cli.Context) error {
	if err := need(c, "uri", "title"); err != nil {
		return err
	}
	if err := checkPublic(c.String("uri")); err != nil {
		return err
	}
	who, err := s.namedPerson(c)
	if err != nil {
		return err
	}
	email := c.String("email")
	if email == "" && who.Certificate != nil && len(who.Certificate.EmailAddresses) > 0 {
		email = who.Certificate.EmailAddresses[0]
	}
	w, err := publisher.Init(c.Context, c.String("C"), publisher.Beginning{
		Identifier: imagelist.ListID(c.String("identifier")), URI: c.String("uri"), Title: c.String("title"),
		Description: c.String("description"), Source: c.String("source"), Who: who, Email: email, At: s.now,
	}, publisher.Options{HistoryKey: c.String("history-key")})
	return s.made(c, w, err)
}

func (s *session) importWorkspace(c *cli.Context) error {
	raw, err := readMessage(c.Context, s.in, c.Args().First())
	if err != nil {
		return badMessage(err)
	}
	who, err := s.who(c, nil)
	if err != nil {
		return badInput(err)
	}
	w, err := publisher.Continue(c.Context, c.String("C"), raw, who, s.now, publisher.Options{HistoryKey: c.String("history-key")})
	return s.made(c, w, err)
}

// namedPerson is who begins a workspace: as told, as the certificate says, or
// as the machine knows whoever types.
func (s *session) namedPerson(c *cli.Context) (publisher.Who, error) {
	who, err := s.who(c, nil)
	if err != nil {
		return who, badInput(err)
	}
	if who.Responsible == "" && who.Certificate != nil {
		who.Responsible = who.Certificate.Subject.CommonName
	}
	if who.Responsible == "" {
		who.Responsible = personName()
	}
	if who.Responsible == "" {
		return who, usage(c, "needs --responsible: the policy asks for the individual who endorses")
	}
	return who, nil
}

// made says what workspace there is now.
func (s *session) made(c *cli.Context, w *publisher.Workspace, err error) error {
	if err != nil {
		return badInput(err)
	}
	defer w.Close()
	draft, err := w.Draft()
	if err != nil {
		return badInput(err)
	}
	doc := workspaceDocument{
		Schema: "vouch/workspace-made/v1", Directory: c.String("C"), Identifier: draft.Identifier,
		Responsible: w.Settings.Responsible, Images: len(draft.Images), Warnings: draft.Warnings,
	}
	last, err := w.Last()
	if err != nil {
		return badInput(err)
	}
	if last != nil {
		doc.Version = last.List.Version
	}
	return s.result(doc, func() error {
		s.warnings(doc.Warnings)
		if s.quiet {
			return nil
		}
		s.pairs("list", string(doc.Identifier), "workspace", doc.Directory, "responsible", doc.Responsible,
			"continues version", doc.Version, "images", fmt.Sprint(doc.Images))
		_, err := fmt.Fprintf(s.out, "next: vouch publisher add FILE -C %s …\n", event.Printable(doc.Directory))
		return err
	})
}

// warnings tells them on standard error, and with --quiet nobody.
func (s *session) warnings(all []string) {
	if s.quiet {
		return
	}
	for _, w := range all {
		fmt.Fprintln(s.err, "warning:", event.Printable(w))
	}
}
