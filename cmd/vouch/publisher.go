package main

import "github.com/urfave/cli/v2"

func (s *session) publisherCommand() *cli.Command {
	return &cli.Command{
		Name: "publisher", Usage: "for endorsers: make, sign and check lists",
		Description: "These commands need no configuration file and touch no site's state.",
		Subcommands: []*cli.Command{
			s.publisherVerify(),
		},
	}
}
