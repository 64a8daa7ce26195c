package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) syncCommand() *cli.Command {
	return &cli.Command{
		Name: "sync", Usage: "one complete pass: what cron runs", ArgsUsage: "[NAME...]",
		Description: `Refreshes the lists, downloads and publishes what they newly vouch for,
withdraws what nothing vouches for any more, and tells handlers. With names only
those subscriptions are fetched; expiry, revocation and blocks act on all.

Prints nothing when it changed nothing and found nothing wrong, unless on a
terminal or with --verbose; so cron sends mail only when there is news. Killing
it loses nothing: downloads resume.

A sync that finds another one running waits and then makes its own pass;
--no-wait exits 4 instead. When a change of the configuration would withdraw
more than a fifth of the published images, those withdrawals are held back and
named, until --accept-withdrawals.

Examples:
  vouch sync
  vouch sync cernvm --dry-run
  50 */6 * * *  vouch  vouch sync        (a line of /etc/cron.d/vouch)`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would happen and how much would be downloaded; change nothing"},
			&cli.BoolFlag{Name: "no-wait", Usage: "exit 4 when another process is at work"},
			&cli.BoolFlag{Name: "accept-withdrawals", Usage: "withdraw what a changed configuration no longer wants"},
		},
		Action: s.sync,
	}
}

func (s *session) sync(c *cli.Context) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	for _, name := range c.Args().Slice() {
		if _, err := conf.subscription(name); err != nil {
			return err
		}
	}
	o := subscriber.SyncOptions{
		Options: s.options(), Names: c.Args().Slice(),
		DryRun: c.Bool("dry-run"), AcceptWithdrawals: c.Bool("accept-withdrawals"),
	}
	o.NoWait = c.Bool("no-wait")
	finish := func() {}
	if s.progress && !s.quiet {
		bars := newBars(s.err)
		o.Progress, finish = bars, bars.finish
		o.Log = newLog(bars.area, s.format, s.verbose, s.quiet) // above the bars, not through them
	}
	rep, err := subscriber.Sync(c.Context, conf.Site, o)
	finish()
	if err != nil {
		return err
	}
	if err := s.result(rep, func() error { s.writeReport(rep); return nil }); err != nil {
		return err
	}
	return status(rep.Exit)
}

// news says whether a report is worth a cron mail.
func news(rep *subscriber.Report) bool {
	if rep.Exit != exitOK || rep.DryRun || len(rep.Problems) > 0 || len(rep.HeldBack) > 0 {
		return true
	}
	for _, l := range rep.Lists {
		if l.Result != "unchanged" {
			return true
		}
	}
	for _, i := range rep.Images {
		if i.Result != "unchanged" && i.Result != "held" {
			return true
		}
	}
	return false
}

func (s *session) writeReport(rep *subscriber.Report) {
	if s.quiet && rep.Exit == exitOK || !s.terminal && !s.verbose && !news(rep) {
		return
	}
	var changed []string
	for _, l := range rep.Lists {
		if l.Result != "unchanged" || s.verbose {
			changed = append(changed, line("list", l.Subscription, l.Version, l.Result, string(l.Reason), l.Detail))
		}
	}
	for _, i := range rep.Images {
		if i.Result != "unchanged" || s.verbose {
			changed = append(changed, line("image", i.Identifier, i.Version, i.Result, i.Reason, i.Detail))
		}
	}
	for _, i := range rep.HeldBack {
		changed = append(changed, line("image", i.Identifier, i.Version, "held back", i.Reason, "the configuration no longer wants it"))
	}
	for _, p := range rep.Problems {
		changed = append(changed, line(p.Severity, p.Subject, "", p.Code, "", p.Detail))
		if p.Hint != "" {
			changed = append(changed, "          -> "+event.Printable(p.Hint))
		}
	}
	for _, l := range changed {
		fmt.Fprintln(s.out, l)
	}
	if len(rep.HeldBack) > 0 {
		fmt.Fprintf(s.out, "%s held back: vouch sync --accept-withdrawals lets them happen\n", plural(len(rep.HeldBack), "withdrawal"))
	}
	fmt.Fprintln(s.out, summary(rep))
}

// line is one fact of a report: what, which, how, why.
func line(kind, name, version, result, reason, detail string) string {
	text := fmt.Sprintf("%-9s %s", kind, event.Printable(name))
	if version != "" {
		text += " " + event.Printable(version)
	}
	text += ": " + event.Printable(result)
	if reason != "" || detail != "" {
		text += ": " + event.Printable(strings.TrimSuffix(strings.Join(nonEmpty(reason, detail), ": "), ": "))
	}
	return text
}

func nonEmpty(texts ...string) []string {
	var kept []string
	for _, t := range texts {
		if t != "" {
			kept = append(kept, t)
		}
	}
	return kept
}

// summary is the last line: how much of what, and whether all is well.
func summary(rep *subscriber.Report) string {
	count := map[string]int{}
	for _, i := range rep.Images {
		count[i.Result]++
	}
	var parts []string
	for _, r := range []string{"available", "updated", "unchanged", "withdrawn", "held", "failed"} {
		if count[r] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[r], r))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no images"}
	}
	verb := "downloaded"
	if rep.DryRun {
		verb = "would be downloaded"
	}
	text := fmt.Sprintf("%s: %s; %s %s in %s", plural(len(rep.Lists), "list"), strings.Join(parts, ", "),
		bytesText(rep.Download), verb, span(rep.Finished.Sub(rep.Started)))
	if e := rep.Events; e.Pending+e.Dead > 0 {
		text += fmt.Sprintf("; events: %d delivered, %d pending, %d dead", e.Delivered, e.Pending, e.Dead)
	}
	if rep.DryRun {
		text = "dry run, nothing was changed; " + text
	}
	if rep.Exit != exitOK {
		text += "; not all is well: see vouch status"
	}
	return text
}
