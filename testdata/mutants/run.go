package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vouch/testdata/mutants/active"
)

// binary is the test binary of one package, with every mutant in it.
type binary struct {
	pkg     *listed
	path    string
	reached map[int]map[string]bool  // mutant -> the tests that reach it
	took    map[string]time.Duration // by each test and part of one
}

// build compiles the tests of a package; nil if it has none.
func build(p *listed, overlay, dir string) (*binary, error) {
	b := &binary{pkg: p, path: filepath.Join(dir, strings.ReplaceAll(p.ImportPath, "/", "-")+".test"),
		reached: map[int]map[string]bool{}, took: map[string]time.Duration{}}
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", b.path, p.ImportPath)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go test -c %s: %w\n%s", p.ImportPath, err, out)
	}
	if _, err := os.Stat(b.path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return b, nil
}

// most is how much memory a test may ask for, in KiB: some mutants are a limit
// taken away.
const most = 6 << 20

// slow are tests that wait for other programs most of the time. What they would
// kill others have to.
const slow = "OpenSSL|TestIGTFHashes|TestGoldenNames"

// run runs tests with one mutant, or tracing, within a limit of processor time,
// and says how much of it was used. Output goes to a file.
func (b *binary) run(ctx context.Context, mutant, output string, limit time.Duration, args ...string) (time.Duration, error) {
	out, err := os.Create(output)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	limited := fmt.Sprintf(`ulimit -v %d -t %d; exec "$0" "$@"`, most, int(limit.Seconds()))
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-c", limited, b.path, "-test.timeout", "15m", "-test.skip", slow}, args...)...)
	cmd.Dir = b.pkg.Dir
	cmd.Env = append(os.Environ(), active.Variable+"="+mutant)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return 0, err
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(time.Second), err
}

// trace runs all tests once, with nothing deleted, and notes what they reach.
func (b *binary) trace(ctx context.Context, output string) error {
	if _, err := b.run(ctx, active.Trace, output, 10*time.Minute, "-test.v", "-test.parallel=1"); err != nil {
		return fmt.Errorf("%s: the tests fail with nothing deleted: %w; see %s", b.pkg.ImportPath, err, output)
	}
	f, err := os.Open(output)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	test := ""
	for lines.Scan() {
		test = b.line(lines.Text(), test)
	}
	return lines.Err()
}

var (
	begins = regexp.MustCompile(`^=== (RUN|CONT|NAME|PAUSE) +(\S+)`)
	ends   = regexp.MustCompile(`^ *--- PASS: (\S+) \((\S+)\)`)
)

// line reads a line that was written while a test ran, and returns the test
// that runs after it.
func (b *binary) line(line, test string) string {
	if number, ok := strings.CutPrefix(line, active.Mark); ok {
		n, err := strconv.Atoi(number)
		if err != nil {
			return test
		}
		if b.reached[n] == nil {
			b.reached[n] = map[string]bool{}
		}
		b.reached[n][test] = true
	} else if m := begins.FindStringSubmatch(line); m != nil && m[1] != "PAUSE" {
		return m[2]
	} else if m != nil {
		return parent(m[2])
	} else if m := ends.FindStringSubmatch(line); m != nil {
		b.took[m[1]], _ = time.ParseDuration(m[2])
		return parent(m[1])
	}
	return test
}

func parent(test string) string {
	return test[:max(strings.LastIndexByte(test, '/'), 0)]
}

// batches are the tests to meet, one after the other: some that are quick, all
// that reach the mutant, and the whole tests that these are parts of, because
// what one part made may be what fails another.
func (b *binary) batches(n int) [][]string {
	const quick, few = 50 * time.Millisecond, 50
	if len(b.reached[n]) == 0 {
		return nil
	}
	all := slices.Sorted(maps.Keys(b.reached[n]))
	some := slices.DeleteFunc(slices.Clone(all), func(test string) bool { return test == "" || b.took[test] > quick })
	whole := map[string]bool{}
	for _, test := range all {
		whole[top(test)] = true
	}
	batches := [][]string{all, slices.Sorted(maps.Keys(whole))}
	if len(some) > 0 {
		batches = slices.Insert(batches, 0, some[:min(len(some), few)])
	}
	return batches
}

// top is the test that this one is a part of, or itself.
func top(test string) string {
	whole, _, _ := strings.Cut(test, "/")
	return whole
}

// pattern is the argument of -test.run that names tests, at each depth.
func pattern(tests []string) string {
	var levels []map[string]bool
	for _, test := range tests {
		for i, name := range strings.Split(test, "/") {
			if i == len(levels) {
				levels = append(levels, map[string]bool{})
			}
			levels[i][regexp.QuoteMeta(name)] = true
		}
	}
	var all []string
	for _, names := range levels {
		all = append(all, "^("+strings.Join(slices.Sorted(maps.Keys(names)), "|")+")$")
	}
	return strings.Join(all, "/")
}

// patience is how much processor time tests may take: some mutants never end.
func (b *binary) patience(tests []string) time.Duration {
	wait := 5 * time.Second
	for _, test := range tests {
		wait += 3 * b.took[test]
	}
	return wait
}

// outcome is what became of one mutant.
type outcome struct {
	mutant
	reached bool
	by      string // the package whose tests failed; "" for a survivor
	late    bool   // because they did not end
}

// try deletes one return, and runs what reaches it, the tests of its own
// package first.
func try(ctx context.Context, m mutant, binaries []*binary, output string) (outcome, error) {
	o := outcome{mutant: m}
	for _, b := range binaries {
		for _, tests := range b.batches(m.n) {
			o.reached = true
			failed, late, err := b.fails(ctx, m, tests, output)
			if err != nil || failed {
				o.by, o.late = b.pkg.ImportPath, late
				return o, err
			}
		}
	}
	return o, nil
}

func (b *binary) fails(ctx context.Context, m mutant, tests []string, output string) (failed, late bool, err error) {
	limit := b.patience(tests).Truncate(time.Second)
	args := []string{"-test.failfast"}
	if tests[0] != "" { // otherwise it is reached before any, and they all meet it
		args = append(args, "-test.run", pattern(tests))
	}
	used, err := b.run(ctx, strconv.Itoa(m.n), output, limit, args...)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, false, ctx.Err()
	case errors.As(err, &exit):
		return true, used >= limit, nil
	}
	return false, false, err
}
