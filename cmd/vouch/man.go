package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

// The manual is made of what --help shows, so that there is one text of each
// command: a page for every command in section 1, vouch-publisher-add(1) and
// so on, as git has them, and the sample configuration as vouch.yaml(5).

// manCommand is for those who package vouch, and hidden from everybody else.
func (s *session) manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "write the manual pages", ArgsUsage: "DIR", Hidden: true,
		Description: `Writes DIR/man1/vouch.1, one page more for each command, and, with --sample,
DIR/man5/vouch.yaml.5. The pages are the same in every run.

Examples:
  vouch man --sample etc/vouch.yaml /usr/share/man`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "sample", Usage: "the commented configuration `FILE`"}},
		Action: takes(1, 1, func(c *cli.Context) error {
			pages := s.manual()
			if file := c.String("sample"); file != "" {
				sample, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				pages["man5/vouch.yaml.5"] = samplePage(sample)
			}
			for name, page := range pages {
				if err := writeFileOver(filepath.Join(c.Args().First(), name), page); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// manual is a page for every command a person may type, by its file's name.
func (s *session) manual() map[string][]byte {
	app := s.app()
	pages := map[string][]byte{}
	root := &cli.Command{Name: "vouch", Usage: app.Usage, Description: app.Description, Subcommands: app.Commands}
	var visit func(path []string, c *cli.Command)
	visit = func(path []string, c *cli.Command) {
		if c.Hidden {
			return
		}
		pages["man1/"+strings.Join(path, "-")+".1"] = commandPage(path, c, app.Flags)
		for _, sub := range c.Subcommands {
			visit(append(path[:len(path):len(path)], sub.Name), sub)
		}
	}
	visit([]string{"vouch"}, root)
	return pages
}

// commandPage is the page of one command, or of a group of them.
func commandPage(path []string, c *cli.Command, globals []cli.Flag) []byte {
	m := &manPage{}
	m.head(strings.Join(path, "-"), 1, c.Usage)
	m.section("synopsis")
	m.synopsis(path, c)
	about, examples, _ := strings.Cut(c.Description, "Examples:\n")
	m.section("description")
	m.prose(cmp.Or(about, strings.ToUpper(c.Usage[:1])+c.Usage[1:]+"."))
	m.commands(path, c)
	if len(path) > 1 {
		m.section("options")
		m.flags(c.Flags)
		m.prose("Those of every command, --config and --output among them, are in vouch(1).")
	}
	if len(path) == 1 {
		m.section("options of every command")
		m.flags(globals)
		m.files()
	}
	m.exitStatuses()
	if examples != "" {
		m.section("examples")
		m.literal(strings.Split(strings.TrimRight(examples, "\n"), "\n"))
	}
	m.seeAlso(path, c)
	return m.Bytes()
}

func (m *manPage) head(name string, section int, does string) {
	v := version()
	date, _, _ := strings.Cut(v.Time, "T")
	fmt.Fprintf(m, ".TH %s %d \"%s\" \"vouch %s\"\n", roff.Replace(strings.ToUpper(name)), section, date, roff.Replace(v.Version))
	m.section("name")
	fmt.Fprintf(m, "%s \\- %s\n", roff.Replace(name), roff.Replace(does))
}

func (m *manPage) synopsis(path []string, c *cli.Command) {
	words := `\fB` + roff.Replace(strings.Join(path, " ")) + `\fR`
	if c.Action != nil {
		fmt.Fprintf(m, "%s [\\fIoptions\\fR]", words)
		if c.ArgsUsage != "" {
			fmt.Fprintf(m, ` \fI%s\fR`, roff.Replace(c.ArgsUsage))
		}
		fmt.Fprintln(m)
	}
	if len(c.Subcommands) > 0 {
		if c.Action != nil {
			fmt.Fprintln(m, ".br")
		}
		fmt.Fprintf(m, "%s \\fIcommand\\fR [\\fIoptions\\fR] ...\n", words)
	}
}

func (m *manPage) commands(path []string, c *cli.Command) {
	if len(c.Subcommands) == 0 {
		return
	}
	m.section("commands")
	for _, sub := range c.Subcommands {
		if !sub.Hidden {
			fmt.Fprintln(m, ".TP")
			m.reference(append(path[:len(path):len(path)], sub.Name), "")
			m.text(sub.Usage)
		}
	}
}

// reference names another page.
func (m *manPage) reference(path []string, after string) {
	fmt.Fprintf(m, ".BR %s (1)%s\n", roff.Replace(strings.Join(path, "-")), after)
}

func (m *manPage) seeAlso(path []string, c *cli.Command) {
	m.section("see also")
	for n := 1; n < len(path); n++ {
		m.reference(path[:n], ",")
	}
	fmt.Fprintln(m, ".BR vouch.yaml (5)")
}

func (m *manPage) exitStatuses() {
	m.section("exit status")
	for code, means := range []string{
		exitOK:       "everything asked for is true now",
		exitFailure:  "unexpected failure",
		exitUsage:    "usage, configuration, or storage that cannot work; nothing was changed",
		exitRefused:  "finished, but something was refused or failed",
		exitOwned:    "another process or state owns it",
		exitDistrust: "no trust anchor or no CRL at all",
	} {
		fmt.Fprintf(m, ".TP\n.B %d\n", code)
		m.text(means)
	}
}

// manFiles are where things are unless the configuration says otherwise.
var manFiles = [][2]string{
	{"/etc/vouch/vouch.yaml", "the configuration"},
	{"/etc/vouch/subscriptions.d/", "which lists to follow, one file each"},
	{"/etc/vouch/blocks.d/", "what this site blocked, one file each"},
	{"/var/lib/vouch/", "state, evidence and the event log; only vouch writes here"},
	{"/var/cache/vouch/endorsed/", "the images that are vouched for now"},
	{"/var/cache/vouch/index.json", "the same for programs"},
	{"/etc/grid-security/certificates/", "whom to believe"},
}

func (m *manPage) files() {
	m.section("files")
	for _, f := range manFiles {
		fmt.Fprintf(m, ".TP\n.I %s\n", roff.Replace(f[0]))
		m.text(f[1])
	}
}

// samplePage is the sample configuration, which is its own manual.
func samplePage(sample []byte) []byte {
	m := &manPage{}
	m.head("vouch.yaml", 5, "the configuration of vouch")
	m.section("synopsis")
	fmt.Fprintf(m, ".I %s\n", roff.Replace(manFiles[0][0]))
	m.section("description")
	m.prose(`Read from --config FILE, else $VOUCH_CONFIG, else /etc/vouch/vouch.yaml, else
$XDG_CONFIG_HOME/vouch/vouch.yaml.`)
	m.literal(strings.Split(strings.TrimRight(string(sample), "\n"), "\n"))
	m.section("see also")
	m.reference([]string{"vouch"}, ",")
	m.reference([]string{"vouch", "config", "check"}, ",")
	m.reference([]string{"vouch", "subscription", "add"}, "")
	return m.Bytes()
}
