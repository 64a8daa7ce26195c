package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
)

func (s *session) publisherValidate() *cli.Command {
	return &cli.Command{
		Name: "validate", Usage: "hold a draft or any list against the format", ArgsUsage: "[FILE|URL|-]",
		Description: `Without an argument: the draft of the workspace. Otherwise a signed list, ours or
anybody's, or a list as JSON. Every finding has its place, its rule and a
severity: an error makes subscribers refuse the list or the entry, a warning is
what the format asks for and readers live without.

Of a signed list the envelope and the signature are checked too; who signed it
is for "vouch publisher verify" to judge.

Exits 0 when there is no error, 3 otherwise.

Examples:
  vouch publisher validate
  vouch publisher validate https://lists.example.org/image.list -o json`,
		Flags:  []cli.Flag{directoryFlag()},
		Action: takes(0, 1, s.validate),
	}
}

// validationDocument is vouch/validation/v1.
type validationDocument struct {
	Schema   string              `json:"schema"`
	Subject  string              `json:"subject"`
	Valid    bool                `json:"valid"` // no errors
	Errors   int                 `json:"errors"`
	Warnings int                 `json:"warnings"`
	Images   int                 `json:"images"` // that are good
	Findings []imagelist.Finding `json:"findings"`
}

func (s *session) validate(c *cli.Context) error {
	from := c.Args().First()
	if from == "" {
		from = filepath.Join(c.String("C"), "draft.json")
	}
	raw, err := readMessage(c.Context, s.in, from)
	if err != nil {
		return badMessage(err)
	}
	doc := validationDocument{Schema: "vouch/validation/v1", Subject: from}
	doc.judge(raw, s.now)
	for _, f := range doc.Findings {
		if f.Severity == imagelist.Error {
			doc.Errors++
		} else {
			doc.Warnings++
		}
	}
	doc.Valid = doc.Errors == 0
	if err := s.result(doc, func() error { return s.writeValidation(&doc) }); err != nil {
		return err
	}
	if !doc.Valid {
		return status(exitRefused)
	}
	return nil
}

// badMessage is the error of a list that could not be read.
func badMessage(err error) error {
	if no := verdict.As(err); no != nil {
		return &refusal{"list: " + no.Error(), "a file, an http or https URL, or - for standard input"}
	}
	return err
}

// judge reads the list, in whatever form it comes, and collects what is wrong.
func (d *validationDocument) judge(raw []byte, at time.Time) {
	list, wrong := d.read(raw)
	if wrong != nil {
		d.Findings = append(d.Findings, *wrong)
		return
	}
	d.Images = len(list.Images)
	d.Findings = append(d.Findings, list.Validate()...)
	if !list.Expires.IsZero() && list.ExpiredAt(at) {
		d.warn("hv:imagelist.dc:date:expires", "expired at "+list.Expires.UTC().Format(time.RFC3339))
	}
	if list.CreatedInFuture(at) {
		d.warn("hv:imagelist.dc:date:created", "in the future")
	}
	for i := range list.Images {
		if list.Images[i].ExpiredAt(at) {
			d.warn(fmt.Sprintf("hv:images[%d].hv:image.dc:date:expires", i), "in the past")
		}
	}
}

func (d *validationDocument) warn(path, detail string) {
	d.Findings = append(d.Findings, imagelist.Finding{Severity: imagelist.Warning, Path: path, Clause: "the present", Detail: detail})
}

func (d *validationDocument) read(raw []byte) (*imagelist.List, *imagelist.Finding) {
	claim, err := imagelist.ReadClaim(raw, smime.Options{AllowSHA1: true, Binary: true})
	switch no := verdict.As(err); {
	case err == nil:
		if err := claim.Consistent(); err != nil {
			d.Findings = append(d.Findings, imagelist.Finding{Severity: imagelist.Error, Path: "hv:imagelist.hv:endorser", Clause: "consistent with the signer", Detail: verdict.As(err).Detail})
		}
		for _, w := range claim.Warnings[:len(claim.Warnings)-len(claim.List.Warnings)] {
			d.Findings = append(d.Findings, imagelist.Finding{Severity: imagelist.Warning, Path: "envelope", Clause: "RFC 8551, RFC 5652", Detail: w})
		}
		return claim.List, nil
	case no.Code == verdict.MalformedList:
		return nil, &imagelist.Finding{Severity: imagelist.Error, Path: "hv:imagelist", Clause: "HEPiX image list", Detail: no.Detail}
	case no.Code != verdict.NotSigned:
		return nil, &imagelist.Finding{Severity: imagelist.Error, Path: "envelope", Clause: "RFC 8551, RFC 5652", Detail: no.Error()}
	}
	list, err := imagelist.DecodeDraft(raw)
	if at, ok := errors.AsType[*imagelist.PositionError](err); ok {
		return nil, &imagelist.Finding{Severity: imagelist.Error, Path: fmt.Sprintf("line %d, column %d", at.Line, at.Column), Clause: "JSON, RFC 8259", Detail: at.Detail}
	}
	return list, nil
}

func (s *session) writeValidation(d *validationDocument) error {
	paint := s.colours()
	for _, f := range d.Findings {
		colour := yellow
		if f.Severity == imagelist.Error {
			colour = red
		} else if s.quiet {
			continue
		}
		fmt.Fprintf(s.out, "%s %s: %s (%s)\n", paint.paint(colour, fmt.Sprintf("%-7s", f.Severity)), event.Printable(f.Path), event.Printable(f.Detail), event.Printable(f.Clause))
	}
	if s.quiet {
		return nil
	}
	word := paint.paint(green, "valid")
	if !d.Valid {
		word = paint.paint(red, "not valid")
	}
	_, err := fmt.Fprintf(s.out, "%s: %s; %s, %s, %s\n", event.Printable(d.Subject), word, plural(d.Images, "image"), plural(d.Errors, "error"), plural(d.Warnings, "warning"))
	return err
}
