package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"vouch/imagelist/publisher"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) publisherStatus() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "how the workspace stands, and what is due",
		Description: `Shows the draft, what is signed and what is published, and what must be done: a
list, an image or the signer's certificate that expires within --within, a
removal that subscribers have not been told of, a signed list that is not
published. Changes nothing.

Exits 3 when something is due, 0 otherwise: a line for cron.

Examples:
  vouch publisher status
  vouch publisher status -C /srv/images --within 14d --quiet`,
		Flags:  []cli.Flag{&cli.StringFlag{Name: "within", Value: "7d", Usage: "what is due in less: `DURATION`"}},
		Action: takes(0, 0, s.publisherState),
	}
}

// publisherStatusDocument is vouch/publisher-status/v1.
type publisherStatusDocument struct {
	Schema string `json:"schema"`
	*publisher.Status
}

func (s *session) publisherState(c *cli.Context) error {
	within, ok := subscriber.ParseSpan(c.String("within"))
	if !ok {
		return usage(c, "--within is a duration such as 7d, not "+quoted(c.String("within")))
	}
	w, err := s.workspace(c, true)
	if err != nil {
		return err
	}
	st, err := w.Status(within, s.now)
	if err != nil {
		return badInput(err)
	}
	doc := publisherStatusDocument{"vouch/publisher-status/v1", st}
	if err := s.result(doc, func() error { s.writePublisherStatus(st); return nil }); err != nil {
		return err
	}
	if len(st.Due) > 0 {
		return status(exitRefused)
	}
	return nil
}

func (s *session) writePublisherStatus(st *publisher.Status) {
	paint := s.colours()
	if !s.quiet {
		s.writePublisherFacts(st)
	}
	for _, d := range st.Due {
		when, colour := "now", red
		if !d.At.IsZero() {
			when = relative(d.At, s.now)
		}
		if d.At.After(s.now) {
			colour = yellow
		}
		fmt.Fprintf(s.out, "%s %s %s\n          -> %s\n", paint.paint(colour, "due      "), event.Printable(d.What), when, event.Printable(d.Fix))
	}
	if len(st.Due) == 0 && !s.quiet {
		fmt.Fprintln(s.out, paint.paint(green, "nothing is due"))
	}
}

func (s *session) writePublisherFacts(st *publisher.Status) {
	draft := "says what is signed"
	if st.Changed {
		draft = "has changes that are not signed: vouch publisher diff"
	}
	fields := []string{"title", st.Title, "URI", st.URI, "responsible", st.Responsible, "draft", draft}
	if g := st.Signed; g != nil {
		fields = append(fields, "signed", fmt.Sprintf("version %s, expires %s", g.Version, instant(g.Expires, s.now)))
		if g.Signer != nil {
			fields = append(fields, "by", fmt.Sprintf("%s, certificate until %s", g.Signer.DN, instant(g.Certificate, s.now)))
		}
	}
	if p := st.Published; p != nil {
		fields = append(fields, "published", fmt.Sprintf("version %s at %s, %s", p.Version, p.Destination, relative(p.At, s.now)))
	}
	s.pairs("list", string(st.Identifier), fields...)
	if len(st.Images) == 0 {
		fmt.Fprintln(s.out, "no images: vouch publisher add FILE …")
		return
	}
	t := newTable("IMAGE", "VERSION:20", "TITLE:40", "SIZE", "STATE", "EXPIRES")
	for _, i := range st.Images {
		expires := ""
		if !i.Expires.IsZero() {
			expires = relative(i.Expires, s.now)
		}
		t.add(string(i.Identifier), i.Version, i.Title, bytesText(i.Size), i.State, expires)
	}
	t.write(s.out, "", nil)
}
