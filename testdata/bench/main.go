// Command bench measures vouch against what an administrator would do by hand:
// curl, sha512sum and openssl on the same files from the same local nginx.
//
//	go run ./testdata/bench [-vouch bin/vouch] [-rounds 5] [-size 2GiB] [-only NAME]
//
// Absolute numbers depend on the machine, so most targets are ratios. Both
// sides of a ratio run in turn, round after round, and the median of each
// counts. Processor time and peak memory are what the kernel says of the
// finished process and of those that it waited for. Everything measured is
// generated first, in a temporary directory that is removed at the end: it
// needs about ten times -size on a disk, not on a tmpfs (set TMPDIR).
//
// A missed target is shown as such, not an error: exit 1 means that something
// could not be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
)

// bench is what all measurements share.
type bench struct {
	ctx    context.Context
	vouch  string
	dir    string // temporary
	rounds int
	size   int64 // of a large image, in bytes
	world  *world
	rows   []row
}

// row is one line of the result.
type row struct {
	what, measured, target string
	ok                     bool
}

// numbers are the measurements, by the name that -only takes, and the programs
// that they need besides vouch.
var numbers = []struct {
	name    string
	needs   []string
	measure func(*bench) error
}{
	{"image", []string{"nginx", "curl", "openssl", "sha512sum"}, (*bench).image},
	{"add", []string{"nginx", "sha512sum"}, (*bench).endorse},
	{"four", []string{"nginx"}, (*bench).four},
	{"subscriptions", []string{"nginx", "curl"}, (*bench).subscriptions},
	{"verify", []string{"nginx", "openssl"}, (*bench).verify},
	{"read", []string{"nginx"}, (*bench).read},
	{"limits", []string{"nginx"}, (*bench).limits},
	{"events", []string{"nginx", "go"}, (*bench).events},
	{"idle", []string{"nginx"}, (*bench).idle},
	{"serve", []string{"nginx", "curl"}, (*bench).served},
}

var packages = map[string]string{"nginx": "nginx-light", "curl": "curl", "openssl": "openssl", "sha512sum": "coreutils", "go": "golang-go"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	b := &bench{ctx: ctx}
	vouch := flag.String("vouch", "bin/vouch", "the `program` to measure")
	size := flag.String("size", "2GiB", "`size` of a large image")
	only := flag.String("only", "", "measure only this: "+strings.Join(names(), ", "))
	flag.IntVar(&b.rounds, "rounds", 5, "how often everything is measured")
	flag.Parse()
	bytes, err := humanize.ParseBytes(*size)
	if err != nil || bytes < 1<<20 || bytes > 1<<40 {
		return fmt.Errorf("-size: %q is no size from 1MiB to 1TiB", *size)
	}
	b.size = int64(bytes)
	if *only != "" && !slices.Contains(names(), *only) {
		return fmt.Errorf("-only: %q is none of %s", *only, strings.Join(names(), ", "))
	}
	if b.rounds < 1 || flag.NArg() > 0 {
		return errors.New("-rounds is at least 1, and there are no arguments")
	}
	if b.vouch, err = filepath.Abs(*vouch); err != nil {
		return err
	}
	if _, err := os.Stat(b.vouch); err != nil {
		return fmt.Errorf("%w (make build makes it)", err)
	}
	if b.dir, err = os.MkdirTemp("", "vouch-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	return b.all(*only)
}

func names() []string {
	var all []string
	for _, n := range numbers {
		all = append(all, n.name)
	}
	return all
}

// all measures and prints; what is missing is skipped with a word, and an
// error does not keep what was measured before it from being shown.
func (b *bench) all(only string) error {
	defer func() {
		if b.world != nil {
			b.world.stop()
		}
	}()
	var failed error
	for _, n := range numbers {
		if only != "" && n.name != only {
			continue
		}
		if missing := missing(n.needs); len(missing) > 0 {
			fmt.Printf("skipped without %s: %s\n", strings.Join(missing, ", "), n.name)
			continue
		}
		if err := b.prepare(); err != nil {
			return err
		}
		if failed = n.measure(b); failed != nil {
			failed = fmt.Errorf("%s: %w", n.name, failed)
			break
		}
	}
	b.print()
	return failed
}

// missing names the programs that are not here, with their Debian packages.
func missing(programs []string) []string {
	var all []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			all = append(all, fmt.Sprintf("%s (apt-get install %s)", p, packages[p]))
		}
	}
	return all
}

// add notes a result.
func (b *bench) add(ok bool, what, target, measured string, args ...any) {
	b.rows = append(b.rows, row{what, fmt.Sprintf(measured, args...), target, ok})
}

func (b *bench) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "WHAT\tMEASURED\tTARGET\t\n")
	for _, r := range b.rows {
		verdict := "miss"
		if r.ok {
			verdict = "ok"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.what, r.measured, r.target, verdict)
	}
	w.Flush()
}

// progress says on standard error what takes so long.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
