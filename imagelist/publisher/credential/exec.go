package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// MaxMessage bounds what a signing command may print, in bytes.
const MaxMessage = 24 << 20

const (
	// killDelay is how long a command has between SIGTERM and SIGKILL, and how
	// long what it left behind may keep our pipes open.
	killDelay = 2 * time.Second

	maxLastLine = 512 // bytes of standard error in an error's text
)

var errTooMuch = fmt.Errorf("printed more than %d bytes", MaxMessage)

// Exec runs a command that keeps the key, on a token say, with /bin/sh -c. It
// has the content on standard input and must print the S/MIME message, which
// is returned and has to be verified like any other. An endorser with a
// PKCS#11 token writes
//
//	openssl smime -sign -engine pkcs11 -keyform engine -signer usercert.pem
//	  -inkey 'pkcs11:token=NAME;object=LABEL;type=private'
//
// and types the PIN when the token asks for it; a robot ends the URI in
// ";pin-source=/path/to/pin", a file that nobody else can read.
//
// The command has our environment. On a terminal it may ask for a PIN: it is
// in the foreground while it runs, and what it did to the terminal is undone.
// Its standard error is copied to stderr, if that is not nil. When ctx ends,
// its process group is ended, within two killDelays. More than MaxMessage
// bytes, no output and an exit status other than 0, whose error ends in the
// last line of standard error, are errors. None of them repeats the command,
// which may contain what it should not.
//
// While it runs, SIGTTOU is ignored in the whole process, and afterwards it is
// as if nobody had handled it: that is how a terminal is taken back.
func Exec(ctx context.Context, command string, content []byte, stderr io.Writer) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &head{stop: func() { cancel(errTooMuch) }}
	last := &tail{}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(content), out, last
	if stderr != nil {
		cmd.Stderr = io.MultiWriter(stderr, last)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = killDelay
	cmd.Cancel = func() error {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGCONT) // one that is stopped does not hear it
	}
	back := lendTerminal(cmd.SysProcAttr)
	err := cmd.Run()
	if cmd.Process != nil && ctx.Err() != nil {
		endGroup(cmd.Process.Pid)
	}
	back()
	return result(ctx, err, out, last)
}

func result(ctx context.Context, err error, out *head, last *tail) ([]byte, error) {
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("signing command: %w", context.Cause(ctx))
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // exit 0, but a descendant keeps the pipes
		if line := last.line(); line != "" {
			return nil, fmt.Errorf("signing command: %w: %q", err, line)
		}
		return nil, fmt.Errorf("signing command: %w", err)
	case len(out.kept) == 0:
		return nil, fault("it has to write the S/MIME message to standard output", "signing command: printed nothing")
	}
	return out.kept, nil
}

// endGroup waits for the rest of a process group that was told to end, and
// kills what does not.
func endGroup(pgid int) {
	for range killDelay / (10 * time.Millisecond) {
		if syscall.Kill(-pgid, 0) != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(-pgid, syscall.SIGKILL)
}

// lendTerminal lets a command that gets a process group of its own read from
// our terminal, as a shell does with a job: a background group that asks for a
// PIN would be stopped by SIGTTIN for ever. The function returned takes the
// terminal back and undoes what the command did to it.
func lendTerminal(attr *syscall.SysProcAttr) (back func()) {
	nothing := func() {}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nothing // cron, CI
	}
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	pgrp, err2 := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || err2 != nil || pgrp != unix.Getpgrp() {
		tty.Close()
		return nothing // a background job ourselves
	}
	signal.Ignore(syscall.SIGTTOU) // before the child is made: it moves itself to the foreground
	attr.Foreground, attr.Ctty = true, fd
	return func() {
		_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, pgrp)
		_ = term.Restore(fd, state)
		signal.Reset(syscall.SIGTTOU)
		tty.Close()
	}
}

// head keeps what is written to it, up to MaxMessage bytes.
type head struct {
	kept []byte
	stop func() // called at the first byte too many
}

func (h *head) Write(p []byte) (int, error) {
	if len(h.kept)+len(p) > MaxMessage {
		h.stop()
		return 0, errTooMuch
	}
	h.kept = append(h.kept, p...)
	return len(p), nil
}

// tail keeps the last bytes written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-maxLastLine):]...)
	t.kept = t.kept[max(0, len(t.kept)-maxLastLine):]
	return len(p), nil
}

// line is the last line that is not blank.
func (t *tail) line() string {
	text := bytes.TrimSpace(t.kept)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}
