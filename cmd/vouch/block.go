package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

func blockFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image", Usage: "an image by its identifier: `ID`"},
		&cli.StringFlag{Name: "sha512", Usage: "bytes, under whatever name: `DIGEST`"},
		&cli.StringFlag{Name: "endorser", Usage: "everything that an endorser signs: `DN`"},
		&cli.StringFlag{Name: "ca", Usage: "with --endorser, only the one of this CA: `DN`"},
		&cli.StringFlag{Name: "cert", Usage: "everything signed with a certificate: its `SHA256`"},
		&cli.StringFlag{Name: "list", Usage: "a whole list by its identifier: `ID`"},
	}
}

func (s *session) blockCommand() *cli.Command {
	return &cli.Command{
		Name: "block", Usage: "refuse an image, bytes, an endorser, a certificate or a list",
		Description: `Writes a file into blocks.d/ beside the configuration file and withdraws what it
names at once. What is blocked need not be known yet. A block survives new
versions, restarts and a lost state; --until gives it an end.

A configuration manager or an incident response team may write such files too:
  image: 63175437-7d59-4851-b333-c96cb6545a86
  reason: CVE-2026-12345, ticket 4711

Examples:
  vouch block --image 63175437-7d59-4851-b333-c96cb6545a86 --reason "CVE-2026-12345"
  vouch block --endorser "/DC=org/DC=example/CN=Mallory" --reason "key stolen" --until 30d
  vouch block ls`,
		Flags: append(blockFlags(),
			&cli.StringFlag{Name: "reason", Usage: "why, for the next person: `TEXT`"},
			&cli.StringFlag{Name: "until", Usage: "a time, or a duration from now: `TIME`"}),
		Subcommands: []*cli.Command{{
			Name: "ls", Usage: "list the blocks",
			Action: takes(0, 0, s.listBlocks),
		}},
		Action: takes(0, 0, s.block),
	}
}

func (s *session) unblockCommand() *cli.Command {
	return &cli.Command{
		Name: "unblock", Usage: "take a block back",
		Description: `Removes the files of blocks.d/ that block exactly this. The next sync brings
back what lists still vouch for.

Examples:
  vouch unblock --image 63175437-7d59-4851-b333-c96cb6545a86`,
		Flags:  blockFlags(),
		Action: takes(0, 0, s.unblock),
	}
}

// blockFile is a file of blocks.d as it is written; the keys are those of readBlock.
type blockFile struct {
	Image    string `yaml:"image,omitempty"`
	SHA512   string `yaml:"sha512,omitempty"`
	Endorser string `yaml:"endorser,omitempty"`
	CA       string `yaml:"ca,omitempty"`
	Cert     string `yaml:"cert,omitempty"`
	List     string `yaml:"list,omitempty"`
	Reason   string `yaml:"reason"`
	Until    string `yaml:"until,omitempty"`
}

// blockFromFlags reads what is to be blocked, as the file would be read.
func blockFromFlags(c *cli.Context, reason string, until time.Time) (subscriber.Block, []byte, error) {
	f := blockFile{
		Image: c.String("image"), SHA512: c.String("sha512"), Endorser: c.String("endorser"), CA: c.String("ca"),
		Cert: c.String("cert"), List: c.String("list"), Reason: reason,
	}
	if !until.IsZero() {
		f.Until = until.Format(time.RFC3339)
	}
	raw, err := yaml.Marshal(f)
	if err != nil {
		return subscriber.Block{}, nil, fmt.Errorf("block: %w", err)
	}
	d := &document{file: "block"}
	root, ok := d.parse(raw)
	if !ok || root == nil {
		return subscriber.Block{}, nil, usage(c, "cannot be written as YAML")
	}
	b := readBlock(node{d, root})
	if len(d.errs) > 0 {
		e := &usageError{command: commandPath(c), what: d.errs[0].What, hint: d.errs[0].Fix}
		return b, nil, e
	}
	return b, raw, nil
}

// plainName is a value that may be part of a file name as it is.
var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// blockName is the name of a block's file: the same for the same selector, so
// that a second block of one thing replaces the first, and safe whatever the
// selector is.
func blockName(b subscriber.Block) string {
	kind, value := selectorOf(b)
	if kind == "endorser" || !plainName.MatchString(value) {
		sum := sha256.Sum256([]byte(value + "\x00" + b.CA))
		value = hex.EncodeToString(sum[:16])
	}
	return kind + "-" + value + ".yaml"
}

// selectorOf is the one thing that a block is of.
func selectorOf(b subscriber.Block) (kind, value string) {
	for i, v := range []string{b.Image, b.SHA512, b.Endorser, b.Cert, b.List} {
		if v != "" {
			return blockKinds[i], v
		}
	}
	return "", ""
}

// blockDocument is vouch/block/v1.
type blockDocument struct {
	Schema string           `json:"schema"`
	Block  subscriber.Block `json:"block"`
	File   string           `json:"file"`
	Active bool             `json:"in_force"` // false: another process has yet to act on it
	Next   string           `json:"next"`
}

func (s *session) block(c *cli.Context) error {
	if err := need(c, "reason"); err != nil {
		return err
	}
	until, err := s.when(c, "until", true)
	if err != nil {
		return err
	}
	if !until.IsZero() && !until.After(s.now) {
		return usage(c, "--until is in the past")
	}
	b, raw, err := blockFromFlags(c, c.String("reason"), until)
	if err != nil {
		return err
	}
	conf, err := s.load()
	if err != nil {
		return err
	}
	b.File = filepath.Join(conf.blocksDir(), blockName(b))
	if err := writeFileOver(b.File, raw); err != nil {
		return fmt.Errorf("block: %w", err)
	}
	next, err := s.enforce(c.Context, conf)
	if err != nil {
		next = "not yet in force: " + err.Error() + "; the next vouch sync acts on it"
	}
	werr := s.result(blockDocument{"vouch/block/v1", b, b.File, err == nil, next}, func() error {
		if !s.quiet || err != nil {
			fmt.Fprintf(s.out, "%s is written; %s\n", event.Printable(b.File), event.Printable(next))
		}
		return nil
	})
	var locked *subscriber.LockedError
	switch {
	case werr != nil || err == nil:
		return werr
	case errors.As(err, &locked):
		return status(exitOwned)
	}
	return status(exitRefused) // the file is written: "nothing was changed" would be wrong
}

// enforce makes a block effective now. A sync that is running reads blocks.d
// again every second, and is watched until it acknowledges them; one that ends
// meanwhile leaves the work to us. The error says why nothing acted.
func (s *session) enforce(ctx context.Context, conf *configuration) (next string, err error) {
	blocks, err := conf.Site.Reload()
	if err != nil {
		return "", err
	}
	for deadline := time.Now().Add(actWithin); ; {
		next, err = s.pass(ctx)
		if err == nil {
			return cmp.Or(next, "in force"), nil
		}
		var locked *subscriber.LockedError
		if !errors.As(err, &locked) || time.Now().After(deadline) {
			return "", err
		}
		if st, serr := subscriber.ReadStatus(conf.Site.StateDir); serr == nil && st.Blocks == subscriber.BlocksDigest(blocks) {
			return "in force", nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// actWithin is how long a running sync may take to act on a new block.
const actWithin = 30 * time.Second

func (s *session) unblock(c *cli.Context) error {
	want, _, err := blockFromFlags(c, "unblock", time.Time{})
	if err != nil {
		return err
	}
	conf, err := s.load()
	if err != nil {
		return err
	}
	kind, value := selectorOf(want)
	var removed []string
	for _, b := range conf.Site.Blocks {
		if k, v := selectorOf(b); k != kind || v != value || b.CA != want.CA {
			continue
		}
		if err := os.Remove(b.File); err != nil {
			return fmt.Errorf("unblock: %w", err)
		}
		removed = append(removed, b.File)
	}
	if len(removed) == 0 {
		return &refusal{"no block of " + kind + " " + quoted(value), "vouch block ls lists them"}
	}
	next, err := s.takeEffect(c.Context)
	if err != nil {
		return err
	}
	if next == "" {
		next = "what lists still vouch for and the cache still has is back; vouch sync fetches the rest"
	}
	return s.done(kind+" "+quoted(value)+" is no longer blocked", next)
}

// blocksDocument is vouch/blocks/v1.
type blocksDocument struct {
	Schema string       `json:"schema"`
	Blocks []blockEntry `json:"blocks"`
}

type blockEntry struct {
	subscriber.Block
	File   string `json:"file"`
	Active bool   `json:"in_force"` // false: its end has passed
}

func (s *session) listBlocks(*cli.Context) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	doc := blocksDocument{Schema: "vouch/blocks/v1"}
	for _, b := range conf.Site.Blocks {
		doc.Blocks = append(doc.Blocks, blockEntry{b, b.File, b.ActiveAt(s.now)})
	}
	return s.result(doc, func() error {
		t := newTable("KIND", "WHAT:130", "UNTIL", "REASON:60", "FILE:60")
		for _, e := range doc.Blocks {
			kind, what := selectorOf(e.Block)
			if e.CA != "" {
				what += " of " + e.CA
			}
			until := "for ever"
			if !e.Until.IsZero() {
				until = relative(e.Until, s.now)
			}
			t.add(kind, what, until, e.Reason, filepath.Base(e.File))
		}
		t.write(s.out, "", nil)
		return nil
	})
}
