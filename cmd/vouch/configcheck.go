package main

import (
	"fmt"

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
the exit status is 2. Of the files that it names, those for signing events and
for the certificates of their receivers are read too; no network, no state.

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
	if err := checkSenders(conf); err != nil {
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

// checkSenders looks at the secrets and certificates of handlers that are no
// programs. A run does not stop for them: they are of no importance to what is
// published.
func checkSenders(conf *configuration) error {
	var wrong configErrors
	for _, h := range conf.Site.Handlers {
		s, ok := h.Sender.(interface{ Check() error })
		if !ok {
			continue
		}
		if err := s.Check(); err != nil {
			wrong = append(wrong, &configError{File: conf.File, What: "handler " + h.Name + ": " + event.Printable(err.Error()), Fix: hint(err)})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}
