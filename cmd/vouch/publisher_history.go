package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/publisher/history"
	"vouch/subscriber/event"
)

func (s *session) publisherHistory() *cli.Command {
	return &cli.Command{
		Name: "history", Usage: "the auditable record: show, verify, export",
		Description: `Shows who endorsed, replaced, removed, signed and published what, when and why
(policy E6, E7). The record is a Merkle tree with signed checkpoints; signed
lists carry the checkpoint of their day, so that every subscribed site is a
witness.

--verify checks every entry, checkpoint, signed list and bill of materials, and
names the first that was altered, removed or reordered. --witness names signed
lists from elsewhere, a site's cache say, that must agree. --export writes a
bundle that a stakeholder can check with --from, without the workspace.

Exits 3 when the history does not hold.

Examples:
  vouch publisher history
  vouch publisher history --image 63175437-7d59-4851-b333-c96cb6545a86
  vouch publisher history --verify --witness /var/cache/vouch/lists/ID.smime
  vouch publisher history --export history.zip
  vouch publisher history --verify --from history.zip`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verify", Usage: "check everything"},
			&cli.StringFlag{Name: "export", Usage: "write a bundle: `FILE`"},
			&cli.StringFlag{Name: "from", Usage: "read an exported bundle instead of a workspace: `FILE`"},
			&cli.StringSliceFlag{Name: "witness", Usage: "signed list from elsewhere, with --verify: `FILE`; may be repeated"},
			&cli.StringFlag{Name: "image", Usage: "only entries about the image `ID`, or that name this SHA-512"},
			&cli.StringFlag{Name: "since", Usage: "only entries since a time, or a duration ago: `TIME`"},
		},
		Action: takes(0, 0, s.history),
	}
}

// historyDocument is vouch/history/v1.
type historyDocument struct {
	Schema  string          `json:"schema"`
	Entries history.Entries `json:"entries"`
}

// historyReport is vouch/history-verdict/v1.
type historyReport struct {
	Schema string `json:"schema"`
	*history.Report
}

func (s *session) history(c *cli.Context) error {
	fsys, closed, err := s.historyFiles(c)
	if err != nil {
		return err
	}
	defer closed()
	switch {
	case c.Bool("verify") && c.IsSet("export"):
		return usage(c, "either --verify or --export")
	case len(c.StringSlice("witness")) > 0 && !c.Bool("verify"):
		return usage(c, "--witness goes with --verify")
	case c.Bool("verify"):
		return s.verifyHistory(c, fsys)
	case c.IsSet("export"):
		return s.exportHistory(c, fsys)
	}
	return s.showHistory(c, fsys)
}

// historyFiles are those of the workspace, or of a bundle.
func (s *session) historyFiles(c *cli.Context) (fs.FS, func(), error) {
	from := c.String("from")
	if from == "" {
		w, err := s.workspace(c, true)
		if err != nil {
			return nil, nil, err
		}
		return os.DirFS(w.Dir()), func() {}, nil
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, nil, badInput(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	fsys, err := history.OpenBundle(f, info.Size())
	if err != nil {
		f.Close()
		return nil, nil, &refusal{quoted(from) + ": " + err.Error(), "--from reads what --export wrote"}
	}
	return fsys, func() { f.Close() }, nil
}

func (s *session) showHistory(c *cli.Context, fsys fs.FS) error {
	entries, err := history.Read(fsys)
	if err != nil {
		return noHistory(err)
	}
	since, err := s.when(c, "since", false)
	if err != nil {
		return err
	}
	entries = entries.Since(since)
	if id := c.String("image"); id != "" {
		if d, err := imagelist.ParseDigest(id); err == nil {
			entries = entries.OfDigest(d)
		} else {
			entries = entries.OfImage(imagelist.ImageID(id))
		}
	}
	return s.result(historyDocument{"vouch/history/v1", entries}, func() error { s.writeHistory(entries); return nil })
}

func noHistory(err error) error {
	return &refusal{err.Error(), "-C names a workspace, --from an exported bundle"}
}

func (s *session) writeHistory(entries history.Entries) {
	t := newTable("#", "WHEN", "WHAT", "WHO:32", "OF", "WHY:60")
	for _, e := range entries {
		t.add(fmt.Sprint(e.Index), e.Time.UTC().Format(time.RFC3339), string(e.Kind), e.Responsible, object(e), why(e))
	}
	t.write(s.out, "", nil)
}

// object is what an entry is about.
func object(e history.Entry) string {
	switch {
	case e.Image.Identifier != "":
		return strings.TrimSpace(string(e.Image.Identifier) + " " + e.Image.Version)
	case e.List.Version != "":
		return "list version " + e.List.Version
	case e.List.Identifier != "":
		return "list " + string(e.List.Identifier)
	}
	return ""
}

// why is what an entry says beyond who, when and of what.
func why(e history.Entry) string {
	var all []string
	for _, part := range []struct{ name, text string }{
		{"", e.Reason}, {"at ", e.Destination}, {"replaces ", e.Replaces.Version}, {"SBOM ", e.SBOM.Format}, {"no SBOM: ", e.NoSBOM}, {"by ", e.Signer.DN},
	} {
		if part.text != "" && (part.name != "by " || e.Kind == history.Sign) {
			all = append(all, part.name+part.text)
		}
	}
	return strings.Join(all, "; ")
}

func (s *session) exportHistory(c *cli.Context, fsys fs.FS) error {
	out := c.String("export")
	if err := writeFileBy(out, func(w io.Writer) error { return history.Export(w, fsys) }); err != nil {
		return badInput(err)
	}
	return s.result(map[string]string{"schema": "vouch/history-exported/v1", "file": out}, func() error {
		if s.quiet {
			return nil
		}
		_, err := fmt.Fprintf(s.out, "%s is written; it is checked with: vouch publisher history --verify --from %[1]s\n", event.Printable(out))
		return err
	})
}

func (s *session) verifyHistory(c *cli.Context, fsys fs.FS) error {
	var witnesses []history.Witness
	for _, name := range c.StringSlice("witness") {
		raw, err := readMessage(c.Context, s.in, name)
		if err != nil {
			return badMessage(err)
		}
		witnesses = append(witnesses, history.Witness{Name: name, Message: raw})
	}
	r, err := history.Verify(fsys, witnesses...)
	if err != nil {
		return noHistory(err)
	}
	if err := s.result(historyReport{"vouch/history-verdict/v1", r}, func() error { s.writeHistoryReport(r); return nil }); err != nil {
		return err
	}
	if r.Problem != nil {
		return status(exitRefused)
	}
	return nil
}

func (s *session) writeHistoryReport(r *history.Report) {
	paint := s.colours()
	if r.Problem != nil {
		fmt.Fprintf(s.out, "%s: %s\n", paint.paint(red, "does not hold"), event.Printable(r.Problem.String()))
		if !s.quiet {
			fmt.Fprintf(s.out, "the first %d entries hold; what comes after was not looked at\n", r.Size)
		}
		return
	}
	if !s.quiet {
		s.pairs("history of", string(r.List), "entries", fmt.Sprint(r.Size), "root", r.Root,
			"witnessed", fmt.Sprintf("the first %d, by checkpoints in signed lists", r.Witnessed),
			"signed lists", fmt.Sprint(len(r.Signed)), "SBOMs", fmt.Sprint(r.SBOMs))
		for _, k := range r.Keys {
			s.field("key", fmt.Sprintf("%s, since entry %d (%s, %s)", k.Verifier, k.Since, k.Responsible, k.Time.UTC().Format(time.RFC3339)))
		}
		for _, n := range r.Notes {
			s.field("note", n)
		}
		fmt.Fprintln(s.out, paint.paint(green, "holds"))
	}
}
