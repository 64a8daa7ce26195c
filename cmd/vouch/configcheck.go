package main

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/subscriber/event"
)

func (s *session) configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "look at the configuration",
		Subcommands: []*cli.Command{{
			Name: "check", Usage: "parse the configuration, say what is wrong and where",
			Description: `Reads the configuration file and the files of subscriptions.d/ and blocks.d/
beside it. Everything that is wrong is named with file, line and column; then
the exit status is 2. Programs of handlers must be there; of the files that it
names, certificates, keys and tokens of the HTTP interface and those that
webhooks and brokers need are read too. No network, no state: ask as the user
that vouch runs as.

Examples:
  vouch config check
  vouch config check --config ./vouch.yaml`,
			Action: takes(0, 0, s.checkConfig),
		}},
	}
}

// configDocument is vouch/config/v1.
type configDocument struct {
	Schema        string   `json:"schema"`
	File          string   `json:"file"`
	StateDir      string   `json:"state_dir"`
	CacheDir      string   `json:"cache_dir"`
	Anchors       string   `json:"anchors"`
	Subscriptions int      `json:"subscriptions"`
	Handlers      int      `json:"handlers"`
	Blocks        int      `json:"blocks"`
	Weaker        []string `json:"weaker"` // settings that check less than the defaults do
}

func (s *session) checkConfig(*cli.Context) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	c := conf.Site
	if err := checkNamed(conf, time.Now()); err != nil {
		return err
	}
	doc := configDocument{
		Schema: "vouch/config/v1", File: conf.File, StateDir: c.StateDir, CacheDir: c.Cache.Dir, Anchors: c.Trust.Anchors,
		Subscriptions: len(c.Subscriptions), Handlers: len(c.Handlers), Blocks: len(c.Blocks),
	}
	if c.Trust.CRL != "require" {
		doc.Weaker = append(doc.Weaker, "trust: crl: "+string(c.Trust.CRL))
	}
	if c.Trust.SigningPolicy != "require" {
		doc.Weaker = append(doc.Weaker, "trust: signing_policy: "+string(c.Trust.SigningPolicy))
	}
	for _, sub := range c.Subscriptions {
		for _, w := range weaker(sub) {
			doc.Weaker = append(doc.Weaker, "subscription "+sub.Name+": "+w)
		}
	}
	return s.result(doc, func() error {
		if s.quiet {
			return nil
		}
		fmt.Fprintf(s.out, "%s: good: %s, %s, %s\n", event.Printable(conf.File), plural(doc.Subscriptions, "subscription"),
			plural(doc.Handlers, "handler"), plural(doc.Blocks, "block"))
		for _, w := range doc.Weaker {
			fmt.Fprintf(s.out, "weaker than the default: %s\n", event.Printable(w))
		}
		return nil
	})
}

// checkNamed looks at the files that the configuration names. The daemon does
// not start without those of the HTTP interface; a run does not stop for those
// of handlers: they are of no importance to what is published.
func checkNamed(conf *configuration, at time.Time) error {
	var wrong configErrors
	add := func(what string, err error) {
		wrong = append(wrong, &configError{File: conf.File, What: what + event.Printable(err.Error()), Fix: event.Printable(hint(err))})
	}
	if err := conf.HTTP.Check(at); err != nil {
		add("", err)
	}
	for _, h := range conf.Site.Handlers {
		if err := checkHandler(h); err != nil {
			add("handler "+h.Name+": ", err)
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

func checkHandler(h event.Handler) error {
	if s, ok := h.Sender.(interface{ Check() error }); ok {
		return s.Check()
	}
	if len(h.Exec) == 0 {
		return nil
	}
	_, err := exec.LookPath(h.Exec[0]) // an absolute path: nothing is looked for
	if err == nil {
		return nil
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner // the reason alone
	}
	return &refusal{"exec: " + quoted(h.Exec[0]) + ": " + err.Error(), "a program that vouch's user may run"}
}
