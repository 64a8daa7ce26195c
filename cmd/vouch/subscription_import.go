package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/urfave/cli/v2"

	"vouch/subscriber/legacy"
)

func (s *session) subscriptionImport() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "take over the subscriptions of vmcatcher, cloudkeeper or atrope", ArgsUsage: "FILE...",
		Description: `Writes subscriptions.d/NAME.yaml for every list that FILE follows, and says what
it could not carry over and what to do about it. FILE is vmcatcher's database or
its dump, cloudkeeper's image-lists.conf or cloudkeeper.yml, or atrope's
hepix.yaml; "-" is standard input. Which one it is shows in the text, or is said
by --from. A database is read with the sqlite3 command, never written.

Carried over are address, list identifier, endorsers, which images are wanted
and what happens to new ones, user names, passwords and tokens: those go into
files under credentials/ that only their owner can read, and are never shown.
What is subscribed to already is left alone, so that it can be run again.

vmcatcher and atrope say who may sign a list. cloudkeeper does not, and a
subscription that anybody may sign does not exist: name the endorser of all such
lists with --endorser-dn and --endorser-ca, in pairs, or let
--trust-on-first-use fetch each list, verify it and write down who signed it;
compare the fingerprints with the endorser.

Then "vouch cache adopt DIR" takes the images that are there already, and the
next sync downloads only what is missing. Exits 3 when a list that the other
tool followed was not carried over.

Examples:
  vouch subscription import /var/lib/vmcatcher/vmcatcher.db --dry-run
  sqlite3 -readonly vmcatcher.db .dump | vouch subscription import -
  vouch subscription import /etc/cloudkeeper/image-lists.conf --trust-on-first-use
  vouch subscription import /etc/atrope/hepix.yaml`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "what FILE is: `vmcatcher|cloudkeeper|atrope`"},
			&cli.StringSliceFlag{Name: "endorser-dn", Usage: "`DN` of the endorser of lists that come without one; may be repeated"},
			&cli.StringSliceFlag{Name: "endorser-ca", Usage: "`DN` of the CA of that endorser, in the same order"},
			&cli.BoolFlag{Name: "trust-on-first-use", Usage: "authorise whoever validly signed such a list now"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be written, and write nothing"},
		},
		Action: takes(1, -1, s.importSubscriptions),
	}
}

// importDocument is vouch/import/v1.
type importDocument struct {
	Schema        string          `json:"schema"`
	DryRun        bool            `json:"dry_run"`
	Subscriptions []importedEntry `json:"subscriptions"` // written, or with dry_run to be written
	Left          []leftEntry     `json:"left"`          // not carried over
	Exit          int             `json:"exit"`
}

// importedEntry is a subscription that was carried over. It holds no secret.
type importedEntry struct {
	Name         string         `json:"name"`
	From         string         `json:"from"`   // the tool
	Source       string         `json:"source"` // what the tool called it
	URL          string         `json:"url"`    // redacted
	File         string         `json:"file"`
	List         string         `json:"list,omitempty"`
	Endorsers    []endorserFile `json:"endorsers"`
	FirstUse     bool           `json:"first_use"` // the endorser is whoever signed the list now
	Include      []string       `json:"include,omitempty"`
	Exclude      []string       `json:"exclude,omitempty"`
	HoldNew      bool           `json:"hold_new"`
	UsernameFile string         `json:"username_file,omitempty"`
	PasswordFile string         `json:"password_file,omitempty"`
	Notes        []string       `json:"notes,omitempty"`
}

// leftEntry is a list that was not carried over.
type leftEntry struct {
	From   string `json:"from"`
	Source string `json:"source"`
	URL    string `json:"url"` // redacted
	Why    string `json:"why"`
	Fix    string `json:"fix,omitempty"`
	Lost   bool   `json:"lost"` // the other tool followed it: exit 3
}

func (s *session) importSubscriptions(c *cli.Context) error {
	people, err := endorsersFromFlags(c)
	if err != nil {
		return err
	}
	kind := legacy.Kind(c.String("from"))
	switch kind {
	case "", legacy.VMCatcher, legacy.Cloudkeeper, legacy.Atrope:
	default:
		return usage(c, "--from is vmcatcher, cloudkeeper or atrope, not "+quoted(string(kind)))
	}
	conf, err := s.load()
	if err != nil {
		return err
	}
	var sources []*legacy.Result
	for _, file := range c.Args().Slice() {
		res, err := s.readSource(c.Context, file, kind)
		if err != nil {
			return err
		}
		sources = append(sources, res)
	}
	m := newMove(s, conf, people, c.Bool("trust-on-first-use"))
	for _, res := range sources {
		if err := m.take(c.Context, res); err != nil {
			return err
		}
	}
	if m.doc.DryRun = c.Bool("dry-run"); !m.doc.DryRun {
		if err := m.write(); err != nil {
			return err
		}
	}
	if err := s.result(m.doc, func() error { s.writeImported(m.doc); return nil }); err != nil {
		return err
	}
	return status(m.doc.Exit)
}

// endorsersFromFlags are those for the lists that come without one.
func endorsersFromFlags(c *cli.Context) ([]endorserFile, error) {
	dns, cas := c.StringSlice("endorser-dn"), c.StringSlice("endorser-ca")
	switch {
	case len(dns) != len(cas):
		return nil, usage(c, fmt.Sprintf("%d --endorser-dn but %d --endorser-ca: they come in pairs", len(dns), len(cas)))
	case c.Bool("trust-on-first-use") && len(dns) > 0:
		return nil, usage(c, "--trust-on-first-use finds the endorser itself: no --endorser-dn")
	}
	var people []endorserFile
	for i := range dns {
		for _, dn := range []string{dns[i], cas[i]} {
			if what, fix := checkDN(dn); what != "" {
				return nil, &refusal{what, fix}
			}
		}
		people = append(people, endorserFile{DN: dns[i], CA: cas[i]})
	}
	return people, nil
}

// readSource reads one FILE. What is wrong with it is a refusal: nothing has
// been written yet.
func (s *session) readSource(ctx context.Context, file string, kind legacy.Kind) (*legacy.Result, error) {
	in := s.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, &refusal{"import: " + err.Error(), ""}
		}
		defer f.Close()
		in = f
	}
	res, err := legacy.Read(in, kind)
	switch {
	case errors.Is(err, legacy.ErrDatabase) && file == "-":
		return nil, &refusal{"import: standard input is " + err.Error(), pipeHint(file)}
	case errors.Is(err, legacy.ErrDatabase) && kind != "" && kind != legacy.VMCatcher:
		return nil, &refusal{"import: " + quoted(file) + " is a SQLite database, and nothing of " + string(kind), ""}
	case errors.Is(err, legacy.ErrDatabase):
		return readDatabase(ctx, file)
	case errors.Is(err, legacy.ErrUnknown):
		return nil, &refusal{"import: " + quoted(file) + " is " + err.Error(), "say with --from what it is"}
	case err != nil:
		return nil, &refusal{"import: " + quoted(file) + ": " + err.Error(), ""}
	}
	return res, nil
}

// readDatabase reads vmcatcher's database through sqlite3.
func readDatabase(ctx context.Context, file string) (*legacy.Result, error) {
	path, err := filepath.Abs(file) // it cannot look like an option
	if err != nil {
		return nil, err
	}
	argv := legacy.DumpCommand(path)
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return nil, &refusal{"import: " + quoted(file) + " is a SQLite database, and sqlite3 is not installed", "install sqlite3, or where it is: " + pipeHint(file)}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	var said bytes.Buffer
	cmd.Stderr = &firstBytes{to: &said, left: 4 << 10}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	res, err := legacy.Read(out, legacy.VMCatcher)
	if err != nil {
		cancel() // it may have more to say
	}
	if ended := cmd.Wait(); ended != nil && said.Len() > 0 {
		return nil, &refusal{"import: sqlite3 on " + quoted(file) + ": " + quoted(said.String()), "run it as a user that may read the database and its directory"}
	} else if err == nil && ended != nil {
		err = ended
	}
	if err != nil {
		return nil, &refusal{"import: the dump of " + quoted(file) + ": " + err.Error(), "see what sqlite3 makes of the database"}
	}
	return res, nil
}

// firstBytes keeps the beginning of what is written.
type firstBytes struct {
	to   io.Writer
	left int
}

func (w *firstBytes) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	w.to.Write(p[:n])
	return len(p), nil
}

var plainPath = regexp.MustCompile(`^/?[A-Za-z0-9_.][A-Za-z0-9/_.-]*$`)

// pipeHint is the command line that pipes a dump; a name that a shell could
// take for something else is not put into it.
func pipeHint(file string) string {
	if !plainPath.MatchString(file) {
		file = "FILE"
	}
	return "sqlite3 -readonly " + file + " .dump | vouch subscription import -"
}

// ownerOf is the user that a file belongs to; -1 when it cannot be told.
func ownerOf(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
