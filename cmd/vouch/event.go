package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/urfave/cli/v2"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) eventCommand() *cli.Command {
	return &cli.Command{
		Name: "event", Usage: "what happened, and who was told",
		Subcommands: []*cli.Command{s.eventList(), s.eventRetry()},
	}
}

func (s *session) eventList() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list events, or follow them",
		Description: `Reads the event log. Without --since, the events of the last 7 days.
--follow goes on until interrupted. --pending and --dead list what handlers have
not had instead: still being tried, or given up until "vouch event retry"; of
each the oldest 1000, and "vouch status" has the numbers.
With --output json, one JSON document a line: the CloudEvents of the log.

Examples:
  vouch event ls --since 24h
  vouch event ls --follow -o json | jq 'select(.type=="image.available")'
  vouch event ls --dead`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "since", Usage: "a time, or a duration before now: `TIME`"},
			&cli.StringFlag{Name: "until", Usage: "a time, or a duration before now: `TIME`"},
			&cli.StringFlag{Name: "subject", Usage: "only of this image or list: `ID`"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what comes"},
			&cli.BoolFlag{Name: "pending", Usage: "what handlers have not had yet"},
			&cli.BoolFlag{Name: "dead", Usage: "what handlers will not be told again by itself"},
		},
		Action: takes(0, 0, s.listEvents),
	}
}

func (s *session) listEvents(c *cli.Context) error {
	deliveries := c.Bool("pending") || c.Bool("dead")
	if deliveries && (c.Bool("follow") || c.IsSet("since") || c.IsSet("until")) {
		return usage(c, "--pending and --dead list what is so now: no --since, --until or --follow")
	}
	if c.Bool("follow") && c.IsSet("until") {
		return usage(c, "both --follow and --until")
	}
	if deliveries {
		return s.listDeliveries(c.String("subject"), c.Bool("pending"), c.Bool("dead"))
	}
	since, err := s.when(c, "since", false)
	if err != nil {
		return err
	}
	until, err := s.when(c, "until", false)
	if err != nil {
		return err
	}
	if since.IsZero() {
		since = s.now.Add(-7 * day)
	}
	conf, err := s.load()
	if err != nil {
		return err
	}
	p := eventPrinter{session: s, subject: c.String("subject"), until: until, flush: c.Bool("follow")}
	if c.Bool("follow") {
		err = event.Follow(c.Context, conf.Site.StateDir, since, p.print)
	} else {
		err = event.ReadLog(conf.Site.StateDir, since, p.print)
	}
	if p.err != nil {
		return p.err
	}
	return err
}

// eventPrinter prints events as they are read.
type eventPrinter struct {
	*session
	subject string
	until   time.Time
	flush   bool
	err     error
}

// print is a yield of event.ReadLog.
func (p *eventPrinter) print(line []byte, e event.Event) bool {
	if !p.until.IsZero() && !e.Time.Before(p.until) {
		return false
	}
	if p.subject != "" && e.Subject != p.subject {
		return true
	}
	if p.json {
		_, p.err = p.out.Write(append(event.PrintableJSON(line), '\n'))
	} else {
		_, p.err = fmt.Fprintln(p.out, eventLine(e))
	}
	if p.err == nil && p.flush {
		p.err = p.out.Flush()
	}
	return p.err == nil
}

// eventLine is an event for a person.
func eventLine(e event.Event) string {
	var d struct {
		Subscription string `json:"subscription"`
		Title        string `json:"title"`
		Version      string `json:"version"`
		Reason       string `json:"reason"`
		Detail       string `json:"detail"`
	}
	_ = json.Unmarshal(e.Data, &d) // what is not there is not shown
	text := fmt.Sprintf("%s  %-16s", e.Time.UTC().Format(time.RFC3339), event.Printable(string(e.Type)))
	for _, part := range nonEmpty(e.Subject, d.Subscription, d.Version, d.Title, d.Reason, d.Detail) {
		text += "  " + shortened(event.Printable(part), 128)
	}
	return text
}

// deliveryDocument is vouch/delivery/v1, one a line.
type deliveryDocument struct {
	Schema string `json:"schema"`
	subscriber.DeliveryStatus
}

func (s *session) listDeliveries(subject string, pending, dead bool) error {
	_, st, err := s.snapshot()
	if err != nil {
		return err
	}
	t := newTable("EVENT:60", "TYPE:20", "SUBJECT:60", "HANDLER:30", "SINCE", "TRIES", "STATE", "ERROR") // the cause stands at the end of an error
	for _, d := range st.Deliveries {
		if d.Dead && !dead || !d.Dead && !pending || subject != "" && d.Subject != subject {
			continue
		}
		if s.json {
			if err := writeJSONLine(s.out, deliveryDocument{"vouch/delivery/v1", d}); err != nil {
				return err
			}
			continue
		}
		state := "next " + relative(d.Next, s.now)
		if d.Dead {
			state = "dead"
		}
		why := strings.TrimPrefix(d.Error, "handler "+d.Handler+": "+d.Type+": ") // which the line says already
		t.add(d.Event, d.Type, d.Subject, d.Handler, relative(d.Time, s.now), fmt.Sprint(d.Attempts), state, why)
	}
	if !s.json {
		t.write(s.out, "", nil)
	}
	return nil
}

func (s *session) eventRetry() *cli.Command {
	return &cli.Command{
		Name: "retry", Usage: "deliver again what failed", ArgsUsage: "[ID...]",
		Description: `Tells handlers again, now. Without IDs, everything that is pending or dead.
Exits 3 when a handler failed again.

Examples:
  vouch event ls --dead
  vouch event retry`,
		Action: func(c *cli.Context) error {
			conf, err := s.load()
			if err != nil {
				return err
			}
			n, err := subscriber.Retry(c.Context, conf.Site, s.options(), c.Args().Slice())
			if err != nil {
				return err
			}
			if err := s.result(retryDocument{"vouch/retry/v1", n.Delivered, n.Pending, n.Dead}, func() error {
				_, err := fmt.Fprintf(s.out, "%d delivered, %d pending, %d dead\n", n.Delivered, n.Pending, n.Dead)
				return err
			}); err != nil {
				return err
			}
			if n.Pending+n.Dead > 0 {
				return status(exitRefused)
			}
			return nil
		},
	}
}

// retryDocument is vouch/retry/v1.
type retryDocument struct {
	Schema    string `json:"schema"`
	Delivered int    `json:"delivered"`
	Pending   int    `json:"pending"`
	Dead      int    `json:"dead"`
}
