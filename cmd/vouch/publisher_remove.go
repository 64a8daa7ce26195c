package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/publisher"
	"vouch/subscriber/event"
)

func (s *session) publisherRemove() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "revoke images", ArgsUsage: "ID…",
		Description: `Takes images out of the draft: the policy's revocation. It is recorded in the
history first. The next signed list leaves them out and says why and when
(vouch:revoked); subscribers withdraw them at their next refresh and pass the
reason on. With --publish all of it happens at once.

Examples:
  vouch publisher remove 63175437-7d59-4851-b333-c96cb6545a86 --reason "CVE-2026-12345" --publish lists.example.org:/srv/www/image.list
  vouch publisher remove --all --reason "the service ends"`,
		Flags: append(append(append([]cli.Flag{
			&cli.StringFlag{Name: "reason", Usage: "why: `TEXT`; subscribers read it"},
			&cli.BoolFlag{Name: "all", Usage: "all images of the draft: shuts the list down"},
			&cli.StringFlag{Name: "publish", Usage: "sign and publish at once: `DEST`"},
		}, keyFlags()...), placeFlags()...), whoFlags()...),
		Action: takes(0, -1, s.removeImages),
	}
}

// removedDocument is vouch/images-removed/v1.
type removedDocument struct {
	Schema    string          `json:"schema"`
	Removed   []removedImage  `json:"removed"`
	Reason    string          `json:"reason"`
	Published *publicationDoc `json:"published"` // null without --publish
}

type removedImage struct {
	Identifier imagelist.ImageID `json:"identifier"`
	Version    string            `json:"version"`
	Title      string            `json:"title"`
	SHA512     string            `json:"sha512"`
}

func (s *session) removeImages(c *cli.Context) error {
	if err := need(c, "reason"); err != nil {
		return err
	}
	if c.Bool("all") == (c.NArg() > 0) {
		return usage(c, "needs ID…, or --all")
	}
	w, err := s.workspace(c, false)
	if err != nil {
		return err
	}
	defer w.Close()
	var key *signer
	if c.IsSet("publish") { // what is wrong with the key is better known before
		if key, err = s.signer(c, w); err != nil {
			return err
		}
	}
	who, err := s.whoSigns(c, w, key)
	if err != nil {
		return badInput(err)
	}
	removed, err := s.remove(c, w, who)
	if err != nil {
		return badInput(err)
	}
	doc := removedDocument{Schema: "vouch/images-removed/v1", Reason: c.String("reason")}
	for _, i := range removed {
		doc.Removed = append(doc.Removed, removedImage{i.Identifier, i.Version, i.Title, i.SHA512.String()})
	}
	code := exitOK
	if key != nil {
		if doc.Published, code, err = s.publishRemoval(c, w, key); err != nil {
			return &halfway{"the removal is recorded", badInput(err), "vouch publisher publish " + c.String("publish")}
		}
	}
	if err := s.result(doc, func() error { s.writeRemoved(&doc); return nil }); err != nil {
		return err
	}
	return status(code)
}

// remove takes out the named images, or all.
func (s *session) remove(c *cli.Context, w *publisher.Workspace, who publisher.Who) ([]imagelist.Image, error) {
	var ids []imagelist.ImageID
	for _, id := range c.Args().Slice() {
		ids = append(ids, imagelist.ImageID(id))
	}
	if c.Bool("all") {
		draft, err := w.Draft()
		if err != nil {
			return nil, err
		}
		for i := range draft.Images {
			ids = append(ids, draft.Images[i].Identifier)
		}
	}
	return w.Remove(ids, c.String("reason"), who, s.now)
}

// publishRemoval signs and publishes. A server that is down does not keep the
// removal from being recorded: it is only met now.
func (s *session) publishRemoval(c *cli.Context, w *publisher.Workspace, key *signer) (*publicationDoc, int, error) {
	p, err := s.publicationOf(c, w, c.String("publish"), key)
	if err != nil {
		return nil, 0, err
	}
	defer p.close()
	return p.publish(c.Context)
}

func (s *session) writeRemoved(doc *removedDocument) {
	if !s.quiet {
		for _, i := range doc.Removed {
			fmt.Fprintf(s.out, "removed %s %s: %s\n", event.Printable(string(i.Identifier)), event.Printable(i.Version), event.Printable(doc.Reason))
		}
	}
	switch {
	case doc.Published != nil:
		s.writePublication(doc.Published)
	case !s.quiet:
		fmt.Fprintln(s.out, "recorded; subscribers hear of it with the next list: vouch publisher publish")
	}
}
