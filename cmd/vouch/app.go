package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/subscriber"
)

// session is one run of the program: its streams, its instant and what the
// global flags said.
type session struct {
	in       io.Reader
	out      *bufio.Writer
	err      io.Writer
	now      time.Time // the instant of the run; nothing below asks the clock
	terminal bool      // standard output is one
	progress bool      // standard error is one

	json    bool
	quiet   bool
	verbose bool
	config  string // as asked for; "" looks in the usual places
	format  string // of the log
	log     *slog.Logger
}

// run reads the command line and does what it says.
func (s *session) run(ctx context.Context, argv []string) error {
	app := s.app()
	words := argv[1:]
	if len(words) > 0 && words[0] == completeWord {
		return s.complete(app, words[1:])
	}
	if len(words) > 0 && words[0] == "help" {
		words = append(words[1:len(words):len(words)], "--help")
	}
	o, err := order(app, words)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, o.words(argv[0]))
}

// app is the command line: every verb, its flags and its page of the manual.
func (s *session) app() *cli.App {
	app := &cli.App{
		Name:  "vouch",
		Usage: "keep exactly the virtual machine images that somebody you trust vouches for",
		Description: `An endorser vouches for images in a signed list; a site subscribes to lists,
names the endorsers who may speak for each, and keeps verified copies of the
images as long as they are vouched for, and not a moment longer.

A site needs a configuration file (see "vouch config check"), subscriptions
("vouch subscription add"), and "vouch daemon" as a service or a line in cron
("vouch sync"). "vouch status" says how things are and what to do about it. An
endorser, or anybody who is handed a list, starts with "vouch publisher verify".

Flags may stand before or after arguments. Exit status: 0 everything asked for
is true now; 1 unexpected failure; 2 usage, configuration or storage error, and
nothing was changed; 3 finished, but something was refused or failed; 4 another
process or state owns it; 5 no trust anchor or no CRL at all.`,
		Version:                   versionText(),
		Flags:                     globalFlags(),
		Before:                    s.before,
		Commands:                  s.commands(),
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // names and URLs have commas
		Writer:                    s.out,
		ErrWriter:                 s.err,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              onUsageError,
	}
	dress(app.Commands)
	return app
}

func (s *session) commands() []*cli.Command {
	return []*cli.Command{
		s.syncCommand(), s.daemonCommand(), s.statusCommand(), s.subscriptionCommand(), s.imageCommand(),
		s.blockCommand(), s.unblockCommand(), s.eventCommand(), s.cacheCommand(), s.trustCommand(),
		s.configCommand(), s.publisherCommand(), s.completionCommand(), s.manCommand(), s.versionCommand(),
	}
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "configuration `FILE`", EnvVars: []string{"VOUCH_CONFIG"}},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`text|json`"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print errors only", DisableDefaultText: true},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log what is done, and print results that are no news", DisableDefaultText: true},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`text|json`"},
	}
}

// before reads the global flags.
func (s *session) before(c *cli.Context) error {
	s.json, s.quiet, s.verbose = c.String("output") == "json", c.Bool("quiet"), c.Bool("verbose")
	s.config = c.String("config")
	for _, name := range []string{"output", "log-format"} {
		if v := c.String(name); v != "text" && v != "json" {
			return &usageError{what: "--" + name + " is text or json, not " + quoted(v)}
		}
	}
	if s.quiet && s.verbose {
		return &usageError{what: "both --quiet and --verbose"}
	}
	s.format = c.String("log-format")
	s.log = newLog(s.err, s.format, s.verbose, s.quiet)
	return nil
}

// load reads the configuration.
func (s *session) load() (*configuration, error) {
	file, err := findConfig(s.config)
	if err != nil {
		return nil, err
	}
	return loadConfig(file)
}

// options are what an operation on the state is told. A handler that calls
// vouch must not wait: the sync it would wait for is waiting for it.
func (s *session) options() subscriber.Options {
	return subscriber.Options{Log: s.log, Handler: os.Getenv("VOUCH_EVENT_ID") != ""}
}

// colours says whether the result may be coloured.
func (s *session) colours() painter { return painter(s.terminal && os.Getenv("NO_COLOR") == "") }

// result prints a result as JSON, or lets text print it.
func (s *session) result(v any, text func() error) error {
	if s.json {
		return writeJSON(s.out, v)
	}
	return text()
}

// takes wraps an action with the number of arguments it takes; most < 0 is any.
func takes(least, most int, action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		n := c.NArg()
		switch {
		case n < least && least == 1 && most == 1:
			return usage(c, "needs "+c.Command.ArgsUsage)
		case n < least:
			return usage(c, "too few arguments: needs "+c.Command.ArgsUsage)
		case most == 0 && n > 0:
			return usage(c, "takes no argument, have "+quoted(c.Args().First()))
		case most >= 0 && n > most:
			return usage(c, "one argument too many: "+quoted(c.Args().Get(most)))
		}
		return action(c)
	}
}

// usage is a usageError of the command that runs.
func usage(c *cli.Context, what string) error {
	return &usageError{command: commandPath(c), what: what}
}

// commandPath is the command as typed, without the program's name.
func commandPath(c *cli.Context) string {
	_, path, _ := strings.Cut(c.Command.HelpName, " ")
	return path
}

// onUsageError keeps the library from printing pages of help; it sees only
// values of a wrong type, everything else being order's.
func onUsageError(c *cli.Context, err error, _ bool) error { return usage(c, err.Error()) }

// dress gives every command what the library does not pass down.
func dress(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelpCommand = true
		c.OnUsageError = onUsageError
		for _, f := range c.Flags {
			if b, ok := f.(*cli.BoolFlag); ok {
				b.DisableDefaultText = true
			}
		}
		dress(c.Subcommands)
	}
}

// need says which of the flags are missing.
func need(c *cli.Context, flags ...string) error {
	for _, f := range flags {
		if !c.IsSet(f) {
			return usage(c, "needs --"+f)
		}
	}
	return nil
}

// when reads a time: RFC 3339, or a duration before now (or, with ahead, after it).
func (s *session) when(c *cli.Context, flag string, ahead bool) (time.Time, error) {
	text := c.String(flag)
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	d, ok := subscriber.ParseSpan(text)
	if !ok {
		return time.Time{}, usage(c, "--"+flag+" is a time such as 2026-12-31T00:00:00Z or a duration such as 7d, not "+quoted(text))
	}
	if !ahead {
		d = -d
	}
	return s.now.Add(d), nil
}
