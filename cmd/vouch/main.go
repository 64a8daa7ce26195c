// Command vouch keeps on a site exactly the virtual machine images that
// somebody the site trusts vouches for, and lets endorsers publish their
// signed lists of them.
//
// This package knows words on a command line, the configuration file, exit
// statuses, signals and terminals. It decides nothing: what may be trusted and
// what follows from it is in subscriber and imagelist.
//
//	main.go argv.go app.go exit.go output.go    the frame
//	config*.go                                  files to subscriber.Config
//	one file per verb                           the rest
package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

func main() {
	debug.SetMemoryLimit(memoryLimit)
	// A bug, or systemd's watchdog, ends vouch by a signal. Without this Go
	// exits 2, which is the status of a wrong configuration: nobody would start
	// the daemon again.
	debug.SetTraceback("crash")
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// memoryLimit is where the collector begins to work harder. What a run really
// holds grows with lists and images, some 8 KiB for each image, and not with
// their bytes; the limit keeps a large site's run from twice that.
const memoryLimit = 150 << 20

// run is the program: words in, text out, the exit status returned.
//
// The first SIGINT or SIGTERM ends the work in an orderly way: downloads keep
// what they have. The second kills.
func run(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	s := &session{
		in: stdin, out: bufio.NewWriterSize(stdout, 64<<10), err: stderr, now: time.Now().UTC(),
		terminal: isTerminal(stdout), progress: isTerminal(stderr),
	}
	err := s.run(ctx, argv)
	if _, told := errors.AsType[exitStatus](err); !told && asksNagios(argv) && exitCode(err) == exitUsage {
		err = s.unknown(err)
	}
	code := report(err, s.json || asksJSON(argv), s.out, stderr)
	if ferr := s.out.Flush(); ferr != nil && code == exitOK {
		return report(ferr, false, s.out, stderr)
	}
	return code
}

// asksJSON says whether a command line that could not be read asked for JSON:
// its error must be JSON too.
func asksJSON(argv []string) bool {
	for i, w := range argv {
		if slices.Contains([]string{"--output=json", "-output=json", "-o=json"}, w) {
			return true
		}
		if w == "json" && slices.Contains([]string{"--output", "-output", "-o", "--o"}, argv[i-1]) {
			return true
		}
		if w == "--" {
			return false
		}
	}
	return false
}
