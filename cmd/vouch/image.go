package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) imageCommand() *cli.Command {
	return &cli.Command{
		Name: "image", Usage: "look at images, and let held or clashing ones through",
		Subcommands: []*cli.Command{
			s.imageList(), s.imageShow(), s.imagePath(), s.imageApprove(), s.imageRelease(),
		},
	}
}

// isUsable says whether an image's bytes are published now. During an update,
// and while its replacement fails or is held, the old ones are.
func isUsable(i *subscriber.ImageStatus) bool { return i.State == "available" || i.State == "stale" }

func (s *session) imageList() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the images of all lists",
		Description: `STATE is available; stale (old bytes are published because the replacement
failed or is held); pending, failed, held, refused, expired or blocked (not
published).

--format vmcatcher prints identifier, state and list identifier, separated by
tabs. The state is a sum: 1 the image is subscribed to, 2 it is usable now.

Examples:
  vouch image ls
  vouch image ls --format vmcatcher
  vouch image ls -o json | jq -r '.images[] | select(.state=="failed").identifier'`,
		Flags:  []cli.Flag{&cli.StringFlag{Name: "format", Value: "table", Usage: "`table|vmcatcher`"}},
		Action: takes(0, 0, s.listImages),
	}
}

// imagesDocument is vouch/images/v1.
type imagesDocument struct {
	Schema string                   `json:"schema"`
	Images []subscriber.ImageStatus `json:"images"`
}

func (s *session) listImages(c *cli.Context) error {
	format := c.String("format")
	if format != "table" && format != "vmcatcher" {
		return usage(c, "--format is table or vmcatcher, not "+quoted(format))
	}
	_, st, err := s.snapshot()
	if err != nil {
		return err
	}
	s.noteNoRun(st)
	return s.result(imagesDocument{"vouch/images/v1", st.Images}, func() error {
		if format == "vmcatcher" {
			return writeVMCatcher(s.out, st.Images)
		}
		t := newTable("IDENTIFIER:128", "SUBSCRIPTION:24", "STATE:12", "VERSION:20", "SIZE", "EXPIRES", "REASON:24", "TITLE:50")
		for i := range st.Images {
			m := &st.Images[i]
			t.add(m.Identifier, m.Subscription, m.State, m.Version, bytesText(m.Size), expiry(m.Expires, s.now), m.Reason, m.Title)
		}
		colours := s.colours()
		t.write(s.out, "", func(column, cell string) string {
			if column != "STATE" {
				return cell
			}
			return colours.paint(stateColour(cell), cell)
		})
		return nil
	})
}

// noteNoRun says on standard error why a list is empty.
func (s *session) noteNoRun(st *subscriber.Status) {
	if len(st.Problems) == 1 && st.Problems[0].Code == never && !s.quiet {
		fmt.Fprintln(s.err, "vouch: nothing has run yet: run vouch sync")
	}
}

// writeVMCatcher prints what "vmcatcher_image -l" prints. Identifiers are
// safe text by contract §3, save those of refused entries.
func writeVMCatcher(w io.Writer, images []subscriber.ImageStatus) error {
	for i := range images {
		m, state := &images[i], 1
		if isUsable(m) {
			state |= 2
		}
		if _, err := fmt.Fprintf(w, "%s\t%d\t%s\n", event.Printable(m.Identifier), state, event.Printable(m.List)); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) imagePath() *cli.Command {
	return &cli.Command{
		Name: "path", Usage: "print where an image's verified bytes are", ArgsUsage: "ID",
		Description: `Prints the absolute path of the image under endorsed/ in the cache, a name to
copy from. When the image may not be used now it prints the reason on standard
error and exits 3.

Examples:
  qemu-img convert -f qcow2 -O raw "$(vouch image path ID)" disk.raw`,
		Action: takes(1, 1, s.printPath),
	}
}

// pathDocument is vouch/path/v1.
type pathDocument struct {
	Schema     string `json:"schema"`
	Identifier string `json:"identifier"`
	Path       string `json:"path"` // "" unless usable
	Format     string `json:"format"`
	SHA512     string `json:"sha512"`
	State      string `json:"state"`
	Reason     string `json:"reason"`
	Detail     string `json:"detail"`
}

func (s *session) printPath(c *cli.Context) error {
	conf, st, err := s.snapshot()
	if err != nil {
		return err
	}
	found, err := findImages(st, c.Args().First())
	var unknown *unknownImage
	if err != nil && !errors.As(err, &unknown) {
		return err
	}
	doc := pathOf(found, c.Args().First(), conf.Site.Cache.Dir)
	if s.json {
		err = writeJSON(s.out, doc)
	} else if doc.Path != "" {
		_, err = fmt.Fprintln(s.out, doc.Path)
	} else {
		_, err = fmt.Fprintf(s.err, "vouch: image %s is not available: %s\n", quoted(doc.Identifier), codeAnd(doc.Reason, doc.Detail))
	}
	if err == nil && doc.Path == "" {
		return status(exitRefused)
	}
	return err
}

// pathOf is where the usable one among the matches is, or why none is.
func pathOf(m matches, asked, cacheDir string) pathDocument {
	d := pathDocument{Schema: "vouch/path/v1", Identifier: asked, State: "unknown", Reason: "unknown", Detail: "no accepted list names it"}
	for _, w := range m.Withdrawn {
		d.Identifier, d.SHA512, d.State, d.Reason, d.Detail = w.Identifier, w.SHA512, "withdrawn", w.Reason, w.Detail
	}
	for _, i := range m.Images {
		d.Identifier, d.Format, d.SHA512, d.State, d.Reason, d.Detail = i.Identifier, i.Format, i.SHA512, i.State, i.Reason, i.Detail
		if !isUsable(&i) {
			continue
		}
		d.Path = filepath.Join(cacheDir, "endorsed", i.Identifier)
		if _, err := os.Lstat(d.Path); errors.Is(err, fs.ErrNotExist) { // withdrawn since the snapshot
			d.Path, d.State, d.Reason, d.Detail = "", "missing", "missing", "no such file in the cache"
		}
		return d
	}
	if d.Reason == "" {
		d.Reason = d.State
	}
	return d
}

func (s *session) imageApprove() *cli.Command {
	return &cli.Command{
		Name: "approve", Usage: "let a held image through", ArgsUsage: "ID",
		Description: `With "new: hold" or "updates: hold" in a subscription's images, new images or
new bytes wait until they are approved. --sha512 approves only these bytes;
without it, exactly the bytes that the list names today.
The next sync downloads and publishes it.

Examples:
  vouch image approve 63175437-7d59-4851-b333-c96cb6545a86`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "sha512", Usage: "approve only these bytes: `DIGEST`"}},
		Action: takes(1, 1, func(c *cli.Context) error {
			digest, err := digestFlag(c, "sha512", 512)
			if err != nil {
				return err
			}
			conf, err := s.load()
			if err != nil {
				return err
			}
			if err := subscriber.Approve(c.Context, conf.Site, s.options(), c.Args().First(), digest); err != nil {
				return err
			}
			return s.done("image "+quoted(c.Args().First())+" is approved", "the next vouch sync publishes it")
		}),
	}
}

func (s *session) imageRelease() *cli.Command {
	return &cli.Command{
		Name: "release", Usage: "give an image identifier to another subscription", ArgsUsage: "ID",
		Description: `An image identifier belongs to the list that had it first; another list that
names it is refused as identifier-clash. When an image has moved for good,
release it to the subscription that has it now.

Examples:
  vouch image release 63175437-7d59-4851-b333-c96cb6545a86 --to newlist --reason "moved, ticket 4711"`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the subscription that owns it from now on: `NAME`"},
			&cli.StringFlag{Name: "reason", Usage: "kept with the decision: `TEXT`"},
		},
		Action: takes(1, 1, func(c *cli.Context) error {
			if err := need(c, "to", "reason"); err != nil {
				return err
			}
			conf, err := s.load()
			if err != nil {
				return err
			}
			if _, err := conf.subscription(c.String("to")); err != nil {
				return err
			}
			if err := subscriber.Release(c.Context, conf.Site, s.options(), c.Args().First(), c.String("to"), c.String("reason")); err != nil {
				return err
			}
			return s.done("image "+quoted(c.Args().First())+" belongs to "+c.String("to"), "the next vouch sync follows it there")
		}),
	}
}

// doneDocument is vouch/done/v1: a change that has no other result.
type doneDocument struct {
	Schema string `json:"schema"`
	Done   string `json:"done"`
	Next   string `json:"next"`
}

// done confirms a change, and says what happens next.
func (s *session) done(what, next string) error {
	return s.result(doneDocument{"vouch/done/v1", what, next}, func() error {
		if s.quiet {
			return nil
		}
		if next != "" {
			what += "; " + next
		}
		_, err := fmt.Fprintln(s.out, event.Printable(what))
		return err
	})
}

// digestFlag reads a flag with a digest of so many bits, "" when it is not set.
func digestFlag(c *cli.Context, flag string, bits int) (string, error) {
	if !c.IsSet(flag) {
		return "", nil
	}
	h, ok := parseHex(c.String(flag), bits)
	if !ok {
		return "", usage(c, fmt.Sprintf("--%s wants %d hexadecimal digits", flag, bits/4))
	}
	return h, nil
}
