package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// shell runs commands in the demonstration's directory and shows them as they
// would look on a terminal there.
type shell struct {
	ctx context.Context
	dir string // where commands run
	bin string // first on the PATH

	heard int // how many events were asked for so far
}

// say tells what comes next, or why it is so.
func (s *shell) say(format string, args ...any) {
	fmt.Printf("\n# "+format+"\n", args...)
}

// run shows a command line and its output, and asks for its exit status and for
// what must stand in the output.
func (s *shell) run(status int, line string, want ...string) error {
	fmt.Println("$", line)
	out, err := s.output(status, line)
	fmt.Print(out)
	if err != nil {
		return err
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			return fmt.Errorf("%s: does not say %q", line, w)
		}
	}
	return nil
}

// output is what a command line printed, on both streams.
func (s *shell) output(status int, line string) (string, error) {
	cmd := exec.CommandContext(s.ctx, "/bin/sh", "-c", line)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"PATH=" + s.bin + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=C.UTF-8",
		"VOUCH_CONFIG=" + s.dir + "/etc/vouch.yaml",
	}
	// Interrupted, vouch ends its work in an orderly way, its handlers too: so
	// everybody in the line is asked, and given time.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return string(out), fmt.Errorf("%s: %w", line, err)
	}
	if have := cmd.ProcessState.ExitCode(); have != status {
		return string(out), fmt.Errorf("%s: exit %d, not %d", line, have, status)
	}
	return string(out), nil
}

// wait sleeps until t, or until somebody loses patience.
func (s *shell) wait(t time.Time) error {
	select {
	case <-time.After(time.Until(t)):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
