package main

import (
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/publisher"
	"vouch/subscriber/event"
)

func (s *session) publisherDiff() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "what changed between two lists", ArgsUsage: "[OLD [NEW]]",
		Description: `Without arguments: from the newest signed version to the draft. With one: from
that list to the draft. Lists may be signed or JSON, files or URLs; signatures
are read and not judged.

Examples:
  vouch publisher diff
  vouch publisher diff https://lists.example.org/image.list
  vouch publisher diff signed/7.smime signed/8.smime -o json`,
		Action: takes(0, 2, s.diff),
	}
}

// diffDocument is vouch/diff/v1.
type diffDocument struct {
	Schema      string                 `json:"schema"`
	Old         string                 `json:"old"`
	New         string                 `json:"new"`
	Differences []imagelist.Difference `json:"differences"`
}

func (s *session) diff(c *cli.Context) error {
	doc := diffDocument{Schema: "vouch/diff/v1", Old: c.Args().Get(0), New: c.Args().Get(1), Differences: []imagelist.Difference{}}
	old, err := s.anyList(c, &doc.Old, (*publisher.Workspace).LastList, "the newest signed version")
	if err != nil {
		return err
	}
	new, err := s.anyList(c, &doc.New, (*publisher.Workspace).Draft, filepath.Join(c.String("C"), "draft.json"))
	if err != nil {
		return err
	}
	found, err := imagelist.Diff(old, new)
	if err != nil {
		return fmt.Errorf("diff: %w", err)
	}
	for _, d := range found {
		if c.NArg() < 2 && publisher.SetBySigning(d) {
			continue // a draft has none of it
		}
		doc.Differences = append(doc.Differences, d)
	}
	return s.result(doc, func() error { s.writeDiff(&doc); return nil })
}

// anyList is the list that an argument names, or the workspace's otherwise.
func (s *session) anyList(c *cli.Context, name *string, otherwise func(*publisher.Workspace) (*imagelist.List, error), what string) (*imagelist.List, error) {
	if *name == "" {
		*name = what
		w, err := s.workspace(c, true)
		if err != nil {
			return nil, err
		}
		l, err := otherwise(w)
		return l, badInput(err)
	}
	raw, err := readMessage(c.Context, s.in, *name)
	if err != nil {
		return nil, badMessage(err)
	}
	l, err := publisher.Read(raw)
	return l, badInput(err)
}

func (s *session) writeDiff(doc *diffDocument) {
	if len(doc.Differences) == 0 {
		if !s.quiet {
			fmt.Fprintln(s.out, "no difference")
		}
		return
	}
	paint := s.colours()
	var of imagelist.ImageID
	for _, d := range doc.Differences {
		id := event.Printable(string(d.Image))
		switch {
		case d.Key == "" && d.Old == "":
			fmt.Fprintln(s.out, paint.paint(green, "+ image "+id), event.Printable(d.New))
			continue
		case d.Key == "":
			fmt.Fprintln(s.out, paint.paint(red, "- image "+id), event.Printable(d.Old))
			continue
		case d.Image != of && d.Image != "":
			fmt.Fprintln(s.out, "  image "+id)
		}
		of = d.Image
		if d.Old != "" {
			fmt.Fprintln(s.out, paint.paint(red, "    - "+event.Printable(d.Key)+": "+event.Printable(d.Old)))
		}
		if d.New != "" {
			fmt.Fprintln(s.out, paint.paint(green, "    + "+event.Printable(d.Key)+": "+event.Printable(d.New)))
		}
	}
}
