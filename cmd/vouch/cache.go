package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

func (s *session) cacheCommand() *cli.Command {
	return &cli.Command{
		Name: "cache", Usage: "check, clean, measure and fill the cache",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "hash every cached image again",
				Description: `Reads everything, which may take long. What is corrupt is withdrawn at once,
quarantined and downloaded again by the next sync. Exits 3 when something was.`,
				Action: takes(0, 0, s.checkCache),
			},
			{
				Name: "prune", Usage: "delete what nobody refers to any more",
				Description: "Deletes expired bytes older than cache.keep_expired, and bytes and partial\ndownloads that nothing refers to. Foreign files are named, never deleted.",
				Action:      takes(0, 0, s.pruneCache),
			},
			{
				Name: "usage", Usage: "how much room the cache takes, as of the last run",
				Action: takes(0, 0, s.cacheUsage),
			},
			s.cacheAdopt(),
		},
	}
}

func (s *session) checkCache(c *cli.Context) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	rep, err := subscriber.CheckCache(c.Context, conf.Site, s.options())
	if err != nil {
		return err
	}
	if err := s.result(rep, func() error {
		s.names("corrupt", rep.Corrupt)
		s.names("missing", rep.Missing)
		if !s.quiet || rep.Exit != exitOK {
			fmt.Fprintf(s.out, "%s checked, %s: %d corrupt, %d missing\n", plural(rep.Checked, "image"), bytesText(rep.Bytes), len(rep.Corrupt), len(rep.Missing))
		}
		return nil
	}); err != nil {
		return err
	}
	return status(rep.Exit)
}

// names prints one line for each of some names.
func (s *session) names(kind string, names []string) {
	for _, n := range names {
		fmt.Fprintf(s.out, "%-8s %s\n", kind, event.Printable(n))
	}
}

func (s *session) pruneCache(c *cli.Context) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	rep, err := subscriber.PruneCache(c.Context, conf.Site, s.options())
	if err != nil {
		return err
	}
	return s.result(rep, func() error {
		s.names("foreign", rep.Foreign)
		if !s.quiet {
			fmt.Fprintf(s.out, "%s removed, %s freed\n", plural(rep.Removed, "file"), bytesText(rep.Bytes))
		}
		return nil
	})
}

// usageDocument is vouch/usage/v1.
type usageDocument struct {
	Schema string `json:"schema"`
	subscriber.CacheStatus
}

func (s *session) cacheUsage(*cli.Context) error {
	_, st, err := s.snapshot()
	if err != nil {
		return err
	}
	s.noteNoRun(st)
	return s.result(usageDocument{"vouch/usage/v1", st.Cache}, func() error {
		s.writeUsage(st.Cache)
		return nil
	})
}

func (s *session) cacheAdopt() *cli.Command {
	return &cli.Command{
		Name: "adopt", Usage: "take images from other directories without downloading", ArgsUsage: "[DIR...]",
		Description: `Takes every file under the directories whose SHA-512 and size an accepted list
names: when moving from another tool, or to another machine. The sources are
left as they are. --copy is the default; --reflink shares blocks where the file
system can; --link makes a hard link, which is quick, but leaves the source able
to change the bytes.

--take-over makes a cache that another state directory or machine filled this
site's own. Be sure that the other one is gone.

Examples:
  vouch cache adopt /var/cache/vmcatcher/endorsed
  vouch cache adopt --take-over`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "link", Usage: "hard links"},
			&cli.BoolFlag{Name: "reflink", Usage: "shared blocks"},
			&cli.BoolFlag{Name: "copy", Usage: "copies (default)"},
			&cli.BoolFlag{Name: "take-over", Usage: "make another state's cache this one's"},
		},
		Action: s.adopt,
	}
}

func (s *session) adopt(c *cli.Context) error {
	how, chosen := cache.AdoptCopy, 0
	for flag, mode := range map[string]cache.AdoptMode{"link": cache.AdoptLink, "reflink": cache.AdoptReflink, "copy": cache.AdoptCopy} {
		if c.Bool(flag) {
			how, chosen = mode, chosen+1
		}
	}
	if chosen > 1 {
		return usage(c, "one of --link, --reflink and --copy")
	}
	if c.NArg() == 0 && !c.Bool("take-over") {
		return usage(c, "needs DIR")
	}
	dirs, err := directories(c.Args().Slice())
	if err != nil {
		return err
	}
	conf, err := s.load()
	if err != nil {
		return err
	}
	rep, err := subscriber.Adopt(c.Context, conf.Site, s.options(), dirs, how, c.Bool("take-over"))
	if err != nil {
		return err
	}
	if err := s.result(rep, func() error { s.writeAdopted(rep); return nil }); err != nil {
		return err
	}
	return status(rep.Exit)
}

// directories makes the arguments absolute, and refuses what is no directory.
func directories(args []string) ([]string, error) {
	var dirs []string
	for _, a := range args {
		dir, err := filepath.Abs(a)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, &refusal{quoted(a) + " is not a directory", ""}
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

func (s *session) writeAdopted(rep *subscriber.AdoptReport) {
	s.names("adopted", rep.Adopted)
	if s.verbose {
		for _, k := range rep.Skipped {
			fmt.Fprintf(s.out, "%-8s %s: %s\n", "skipped", event.Printable(k.Path), event.Printable(k.Detail))
		}
	}
	if !s.quiet {
		fmt.Fprintf(s.out, "%s adopted, %s; %d skipped\n", plural(len(rep.Adopted), "image"), bytesText(rep.Bytes), len(rep.Skipped))
	}
}

func (s *session) writeUsage(c subscriber.CacheStatus) {
	if c.Path == "" {
		return
	}
	t := newTable("WHAT", "FILES", "BYTES")
	for _, row := range []struct {
		what string
		n    cache.Tally
	}{
		{"blobs", c.Usage.Blobs}, {"endorsed", c.Usage.Endorsed}, {"expired", c.Usage.Expired},
		{"partial", c.Usage.Partial}, {"foreign", c.Usage.Foreign},
	} {
		t.add(row.what, fmt.Sprint(row.n.Count), bytesText(row.n.Bytes))
	}
	t.write(s.out, "", nil)
	fmt.Fprintln(s.out, cacheLine(c))
	s.names("foreign", c.Foreign)
}

// cacheLine is a cache in one line.
func cacheLine(c subscriber.CacheStatus) string {
	text := bytesText(c.Usage.Bytes())
	if c.MaxSize > 0 {
		text += " of at most " + bytesText(c.MaxSize)
	}
	return text + " in " + event.Printable(c.Path) + "; " + humanize.IBytes(c.Free) + " of " + humanize.IBytes(c.Total) + " free"
}
