package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// killDelay is how long a process group has between SIGTERM and SIGKILL,
	// and how long a descendant may keep our pipes after the program ended.
	killDelay = 2 * time.Second

	maxStdout   = 64 << 10 // kept; what comes after is read and dropped
	maxStderr   = 4 << 10  // the last of it is kept
	maxReceipt  = 4 << 10  // of one line of standard output
	maxLastLine = 512      // of standard error, in an error's text
)

// run starts the handler's program for c and waits for its end.
func (h Handler) run(ctx context.Context, c call) (Receipt, error) {
	if err := context.Cause(ctx); err != nil {
		return Receipt{}, err
	}
	ctx, cancel := withTimeout(ctx, h.timeout())
	defer cancel()

	cmd, env, err := h.command(ctx, c)
	if err != nil {
		return Receipt{}, err
	}
	stdout, stderr := &head{max: maxStdout}, &tail{max: maxStderr}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return Receipt{}, &notStarted{err}
	}
	if err := wait(ctx, cmd, env); err != nil {
		return Receipt{}, ended(err, stderr.kept)
	}
	return receiptIn(stdout.kept), nil
}

// notStarted is why a program could not even be begun.
type notStarted struct{ error }

func (e *notStarted) Unwrap() error { return e.error }

// Hint says what to do.
func (e *notStarted) Hint() string {
	return "exec: is a program that vouch's user may run; vouch config check looks at it"
}

// command is the program, its environment and its input, ready to start.
func (h Handler) command(ctx context.Context, c call) (*exec.Cmd, environment, error) {
	argv := h.Exec
	if h.Shell != "" {
		argv = []string{"/bin/sh", "-c", h.Shell}
	}
	if len(argv) == 0 {
		return nil, nil, errors.New("neither exec nor shell is configured")
	}
	var err error
	if c.payload, err = c.event.payload(); err != nil {
		return nil, nil, err
	}
	credential, home, err := h.credential()
	if err != nil {
		return nil, nil, err
	}
	env, err := h.environment(c, home)
	if err != nil {
		return nil, nil, err
	}

	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = env.list()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential}
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
	// A vmcatcher command string never had anything to read, and some of the
	// tools in them take what they find on standard input for a request.
	if h.Shell == "" || !h.VMCatcher {
		line, err := c.event.Line()
		if err != nil {
			return nil, nil, err
		}
		cmd.Stdin = bytes.NewReader(append(line, '\n'))
	}
	return cmd, env, nil
}

// credential is whom the program runs as, nil for ourselves, and that user's
// home directory.
func (h Handler) credential() (*syscall.Credential, string, error) {
	if h.User == "" {
		return nil, "", nil
	}
	u, err := user.Lookup(h.User)
	if err != nil {
		return nil, "", err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, "", fmt.Errorf("groups of %s: %w", h.User, err)
	}
	ids := make([]uint32, 0, len(groups)+2)
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, "", fmt.Errorf("user %s: %w", h.User, err)
		}
		ids = append(ids, uint32(id))
	}
	switch uid := os.Geteuid(); {
	case uid == int(ids[0]):
		return nil, u.HomeDir, nil
	case uid != 0:
		return nil, "", fmt.Errorf("user %s: only root can run a handler as another user", h.User)
	}
	return &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}, u.HomeDir, nil
}

// wait is cmd.Wait for the whole process group: after ctx has ended, nothing
// in the group is left running, nor what left it (killStrays). (os/exec sends SIGTERM through cmd.Cancel and
// after killDelay kills the leader, but knows nothing of the group.) Exit 0 is
// success even while a descendant keeps our pipes open.
func wait(ctx context.Context, cmd *exec.Cmd, env environment) error {
	overdue := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		time.Sleep(killDelay)
		close(overdue)
	})
	err := cmd.Wait()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		stop()
		return nil
	}
	if stop() {
		return err
	}
	defer killStrays(env)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for signalGroup(cmd, 0) == nil {
		select {
		case <-poll.C:
		case <-overdue:
			// The group was there a moment ago: its number is still its own.
			_ = signalGroup(cmd, syscall.SIGKILL)
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx)
}

// signalGroup signals the process group that cmd leads; os.ErrProcessDone
// says that nobody is left in it.
func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	err := syscall.Kill(-cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// ended adds the last thing the program said to the reason it failed.
func ended(err error, stderr []byte) error {
	text := strings.TrimSpace(string(stderr))
	last := text[strings.LastIndexByte(text, '\n')+1:]
	if last == "" {
		return err
	}
	last = last[max(0, len(last)-maxLastLine):]
	return fmt.Errorf("%w: %s", err, Printable(last))
}

// withTimeout ends ctx after d, with a cause that says so.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, timedOut(d))
}

// timedOut is context.DeadlineExceeded that knows which deadline it was.
type timedOut time.Duration

func (t timedOut) Error() string { return "timed out after " + time.Duration(t).String() }
func (t timedOut) Unwrap() error { return context.DeadlineExceeded }

// receiptIn finds {"resource":"…"} among the lines of a program's output. The
// last such line counts; one that is long or not printable is not one.
func receiptIn(stdout []byte) Receipt {
	var found Receipt
	for line := range bytes.Lines(stdout) {
		if len(line) > maxReceipt {
			continue
		}
		var fields map[string]json.RawMessage
		var resource string
		if json.Unmarshal(line, &fields) != nil || json.Unmarshal(fields["resource"], &resource) != nil {
			continue
		}
		if printable(resource) {
			found.Resource = resource
		}
	}
	return found
}

// head keeps the first max bytes written to it and drops the rest.
type head struct {
	max  int
	kept []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.max-len(h.kept))]...)
	return len(p), nil
}

// tail keeps the last max bytes written to it.
type tail struct {
	max  int
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-t.max):]...)
	t.kept = t.kept[max(0, len(t.kept)-t.max):]
	return len(p), nil
}
