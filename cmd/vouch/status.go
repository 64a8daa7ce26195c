package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "say how every subscription and image is, and what to do about it",
		Description: `Reads the snapshot that the last run left, and answers while another run is
going on. Exits 0 whenever it could report.

VERIFIED is when the list was last fetched and verified, EXPIRES the earlier of
the list's end and the end of its signer's certificate, IMAGES how many of the
list's images are published. Images that are not in order are listed by name,
with --verbose all of them.

--nagios prints one line with performance data and exits 0, 1 (warning),
2 (critical) or 3 (unknown), as monitoring plug-ins do.

Examples:
  vouch status
  vouch status --nagios
  vouch status -o json | jq '.problems'`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "nagios", Usage: "one line for a monitoring system, exit 0, 1, 2 or 3"}},
		Action: takes(0, 0, s.status),
	}
}

func (s *session) status(c *cli.Context) error {
	nagios := c.Bool("nagios")
	conf, st, err := s.snapshot()
	if err != nil && nagios {
		return s.unknown(err)
	}
	if err != nil {
		return err
	}
	st.Problems = append(st.Problems, st.Overdue(s.now, conf.Site.AlarmAt(st.LastSync))...)
	if nagios {
		line, code := nagiosLine(st, s.now)
		fmt.Fprintln(s.out, line)
		return status(code)
	}
	return s.result(st, func() error {
		(&statusPage{st, s.now, s.verbose, s.colours(), s.out}).write()
		return nil
	})
}

// snapshot reads the configuration and the snapshot of the last run. Before
// the first run the snapshot is one that says so.
//
// A command that reads a snapshot is over before collecting garbage would pay:
// that is a third of the time it takes to list ten thousand images.
func (s *session) snapshot() (*configuration, *subscriber.Status, error) {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	conf, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	st, err := subscriber.ReadStatus(conf.Site.StateDir)
	if errors.Is(err, subscriber.ErrNoStatus) {
		return conf, beforeFirstRun(conf, s.now), nil
	}
	return conf, st, err
}

// never is the problem of a site where nothing has run.
const never = "no-run"

func beforeFirstRun(conf *configuration, now time.Time) *subscriber.Status {
	st := &subscriber.Status{Schema: "vouch/status/v1", Generated: now}
	for _, sub := range conf.Site.Subscriptions {
		st.Subscriptions = append(st.Subscriptions, subscriber.SubscriptionStatus{
			Name: sub.Name, URL: redacted(sub.URL), List: string(sub.List), State: "new", Weaker: weaker(sub),
		})
	}
	st.Problems = []subscriber.Problem{{
		Severity: "warning", Subject: "vouch", Code: never, Detail: "nothing has run yet", Hint: "run vouch sync, or start vouch daemon",
	}}
	return st
}

// statusPage is the page for 3 a.m.
type statusPage struct {
	st      *subscriber.Status
	now     time.Time
	verbose bool
	colours painter
	out     interface {
		Write([]byte) (int, error)
		WriteString(string) (int, error)
	}
}

func (p *statusPage) write() {
	p.head()
	p.subscriptions()
	p.images()
	p.withdrawn()
	p.surroundings()
	p.problems()
}

func (p *statusPage) line(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p *statusPage) head() {
	switch {
	case p.st.LastSync.IsZero() && len(p.st.Images) > 0:
		p.line("last sync   the first one has not come to its end")
		return
	case p.st.LastSync.IsZero():
		p.line("last sync   never")
		return
	}
	p.line("last sync   %s, exit %d", instant(p.st.LastSync, p.now), p.st.LastExit)
	p.line("state       %s, generation %d", event.Printable(p.st.State), p.st.Generation)
}

func (p *statusPage) subscriptions() {
	if len(p.st.Subscriptions) == 0 {
		p.line("\nno subscriptions: see vouch subscription add --help")
		return
	}
	t := newTable("SUBSCRIPTION:40", "STATE:12", "VERSION:20", "VERIFIED", "EXPIRES", "IMAGES", "REASON:24", "WEAKER:40")
	for _, s := range p.st.Subscriptions {
		t.add(s.Name, s.State, s.Version, relative(s.Verified, p.now), expiry(s.Expires, p.now),
			fmt.Sprintf("%d/%d", s.Available, s.Images), s.Reason, strings.Join(s.Weaker, ", "))
	}
	p.line("")
	t.write(p.out, "", p.paint)
}

// expiry is a date that may not exist.
func expiry(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return relative(t, now)
}

// paint colours the words of a STATE column.
func (p *statusPage) paint(column, cell string) string {
	if column != "STATE" && column != "SEVERITY" {
		return cell
	}
	return p.colours.paint(stateColour(cell), cell)
}

func stateColour(state string) string {
	switch state {
	case "ok", "available":
		return green
	case "new", "stale", "held", "unreachable", "warning", "pending":
		return yellow
	case "rejected", "expired", "withdrawn", "failed", "refused", "critical", "dead":
		return red
	}
	return ""
}

// shownImages bounds the list of images that are not in order.
const shownImages = 20

func (p *statusPage) images() {
	t, left := newTable("IMAGE:40", "SUBSCRIPTION:24", "STATE:12", "VERSION:20", "EXPIRES", "REASON:24", "TITLE:40"), 0
	for _, i := range p.st.Images {
		switch {
		case i.State == "available" && !p.verbose:
			continue
		case len(t.rows) >= shownImages && !p.verbose:
			left++
			continue
		}
		t.add(i.Identifier, i.Subscription, i.State, i.Version, expiry(i.Expires, p.now), i.Reason, i.Title)
	}
	if len(t.rows) == 0 {
		return
	}
	p.line("")
	t.write(p.out, "", p.paint)
	if left > 0 {
		p.line("and %d more: see vouch image ls", left)
	}
}

// recent is how long a withdrawal is news.
const recent = 7 * day

// withdrawn shows what left and is not back: these bytes may not be used under
// this name.
func (p *statusPage) withdrawn() {
	t := newTable("WITHDRAWN:40", "SUBSCRIPTION:24", "WHEN", "REASON:24", "TITLE:40")
	for _, w := range p.st.Gone() {
		if p.now.Sub(w.At) <= recent && len(t.rows) < shownImages {
			t.add(w.Identifier, w.Subscription, relative(w.At, p.now), w.Reason, w.Title)
		}
	}
	if len(t.rows) > 0 {
		p.line("")
		t.write(p.out, "", nil)
	}
}

func (p *statusPage) surroundings() {
	if p.st.Trust.Path != "" || p.st.Cache.Path != "" || len(p.st.Handlers) > 0 {
		p.line("")
	}
	if t := p.st.Trust; t.Path != "" {
		p.line("trust       %s, %s in %s", plural(t.Anchors, "anchor"), plural(t.CRLs, "CRL"), event.Printable(t.Path))
		if t.Error != "" {
			p.line("            %s", p.colours.paint(red, event.Printable(t.Error)))
		}
	}
	if c := p.st.Cache; c.Path != "" {
		p.line("cache       %s", cacheLine(c))
	}
	for _, h := range p.st.Handlers {
		line := fmt.Sprintf("handler     %s: %d pending, %d dead", event.Printable(h.Name), h.Pending, h.Dead)
		if !h.Oldest.IsZero() {
			line += ", oldest " + relative(h.Oldest, p.now)
		}
		p.line("%s", line)
	}
}

func (p *statusPage) problems() {
	if len(p.st.Problems) == 0 {
		p.line("\n%s", p.colours.paint(green, "no problems"))
		return
	}
	p.line("\n%s", p.colours.paint(bold, "PROBLEMS"))
	for _, b := range p.st.Problems {
		since := ""
		if !b.Since.IsZero() {
			since = ", since " + instant(b.Since, p.now)
		}
		p.line("  %s  %s: %s%s", p.colours.paint(stateColour(b.Severity), fmt.Sprintf("%-8s", event.Printable(b.Severity))),
			event.Printable(b.Subject), codeAnd(b.Code, b.Detail), since)
		if b.Hint != "" {
			p.line("            -> %s", event.Printable(b.Hint))
		}
	}
}

// codeAnd is a code with what explains it.
func codeAnd(code, detail string) string {
	if detail == "" {
		return event.Printable(code)
	}
	return event.Printable(code + " (" + detail + ")")
}
