// Command mutants deletes one return of a refusal after the other and asks
// whether a test fails.
//
//	go run ./testdata/mutants [-sample N] [-only TEXT] [-jobs N] [-v] [PACKAGE…]
//
// A mutant is a return statement whose last value is an error, carries one, or
// is true or false as such; where nothing follows, zero values are returned
// instead. All of them are compiled in at once, from rewritten copies of the
// files in a temporary directory (go test -overlay), and an environment
// variable chooses one. Tests are traced first, so that a mutant meets only
// the tests that reach it: those of its own package, and then those of the
// other packages named.
//
// It prints the survivors and the share of the others. known.go lists the
// survivors that there have to be and why. The exit status is 1 when another
// one survives, when one of the list does not, or when less than 90 % are
// killed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// least is the share of mutants that tests have to kill, in percent.
const least = 90

var ours = []string{"./imagelist", "./imagelist/smime", "./imagelist/trust", "./imagelist/verdict"}

func main() {
	sample := flag.Uint("sample", 1, "try only one of `N`")
	only := flag.String("only", "", "try only those whose description contains this `text`")
	jobs := flag.Int("jobs", 2, "how many tests run at a time")
	verbose := flag.Bool("v", false, "also print what kills each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = ours
	}
	choose := func(m mutant) bool {
		return m.inSample(uint32(max(*sample, 1))) && strings.Contains(m.String(), *only)
	}
	ok, err := campaign(ctx, packages, choose, *jobs, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// campaign reports whether the outcome is as it should be.
func campaign(ctx context.Context, patterns []string, choose func(mutant) bool, jobs int, verbose bool) (bool, error) {
	started := time.Now()
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	all, binaries, err := prepare(ctx, patterns, dir)
	if err != nil {
		return false, err
	}
	var chosen []mutant
	for _, m := range all {
		if choose(m) {
			chosen = append(chosen, m)
		}
	}
	fmt.Printf("mutants: %d, tried: %d, prepared in %s\n", len(all), len(chosen), time.Since(started).Round(time.Second))
	outcomes, err := tryAll(ctx, chosen, binaries, dir, jobs, verbose)
	if err != nil {
		return false, err
	}
	ok := report(outcomes)
	if stale := unknownNames(all); len(stale) > 0 {
		fmt.Printf("in known.go, and no mutant:\n\t%s\n", strings.Join(stale, "\n\t"))
		ok = false
	}
	fmt.Printf("took %s\n", time.Since(started).Round(time.Second))
	return ok, nil
}

// prepare rewrites, compiles and traces.
func prepare(ctx context.Context, patterns []string, dir string) ([]mutant, []*binary, error) {
	packages, exports, err := list(patterns)
	if err != nil {
		return nil, nil, err
	}
	in := newInstrumentation(exports, dir)
	for _, p := range packages {
		if err := in.rewrite(p); err != nil {
			return nil, nil, err
		}
	}
	overlay, err := in.overlay()
	if err != nil {
		return nil, nil, err
	}
	var binaries []*binary
	for _, p := range packages {
		b, err := build(p, overlay, dir)
		if err != nil {
			return nil, nil, err
		}
		if b == nil {
			continue
		}
		if err := b.trace(ctx, filepath.Join(dir, "trace")); err != nil {
			return nil, nil, err
		}
		binaries = append(binaries, b)
	}
	return in.mutants, binaries, nil
}

// tryAll tries several at a time; the outcomes are in the order of the mutants.
func tryAll(ctx context.Context, mutants []mutant, binaries []*binary, dir string, jobs int, verbose bool) ([]outcome, error) {
	outcomes := make([]outcome, len(mutants))
	errs := make([]error, len(mutants))
	next := make(chan int)
	var workers sync.WaitGroup
	for w := range jobs {
		workers.Go(func() {
			for i := range next {
				m := mutants[i]
				own := slices.Clone(binaries)
				slices.SortStableFunc(own, func(a, b *binary) int { return before(a, b, m.pkg) })
				outcomes[i], errs[i] = try(ctx, m, own, filepath.Join(dir, fmt.Sprintf("output%d", w)))
				if errs[i] == nil {
					outcomes[i].tell(verbose)
				}
			}
		})
	}
	for i := range mutants {
		next <- i
	}
	close(next)
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// before puts the tests of a package in front of all others.
func before(a, b *binary, pkg string) int {
	switch {
	case a.pkg.ImportPath == b.pkg.ImportPath:
		return 0
	case a.pkg.ImportPath == pkg:
		return -1
	case b.pkg.ImportPath == pkg:
		return 1
	}
	return 0
}
