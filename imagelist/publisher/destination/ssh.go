package destination

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
)

// A session is one ssh process with SFTP on its pipes. The system's ssh
// connects, so that ~/.ssh/config, agents, known hosts and jump hosts work as
// the endorser is used to; nothing of that is done here again.
type session struct {
	*sftp.Client
	cmd    *exec.Cmd
	stderr tail
	exited chan struct{}
	exit   error
}

// sshArgs are the arguments after the operator's own. Everything that comes
// from the destination is an argument of its own, and the host stands behind
// the end of options.
func sshArgs(p place, batch bool) []string {
	args := []string{"-oPermitLocalCommand=no", "-oClearAllForwardings=yes", "-oForwardX11=no", "-oForwardAgent=no",
		"-oConnectTimeout=30", "-oServerAliveInterval=15", "-oServerAliveCountMax=4"}
	if batch {
		args = append(args, "-oBatchMode=yes")
	}
	if p.port != "" {
		args = append(args, "-p", p.port)
	}
	if p.user != "" {
		args = append(args, "-l", p.user)
	}
	return append(args, "-s", "--", p.host, "sftp")
}

// terminal holds when ssh could ask a person.
func terminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// dial starts ssh and waits for the server's SFTP version.
func dial(ctx context.Context, command []string, p place) (*session, error) {
	if len(command) == 0 {
		command = []string{"ssh"}
	}
	args := append(command[1:len(command):len(command)], sshArgs(p, !terminal())...)
	s := &session{cmd: exec.Command(command[0], args...), exited: make(chan struct{})}
	s.cmd.Stderr = &s.stderr
	s.cmd.WaitDelay = time.Second // for a child of ssh that keeps its standard error
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, hint("install the OpenSSH client", fmt.Errorf("start ssh: %w", err))
	}
	stop := context.AfterFunc(ctx, s.kill)
	defer stop()
	if s.Client, err = sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true)); err != nil {
		timer := time.AfterFunc(2*time.Second, s.kill) // usually it has ended by itself, and its status says why
		defer timer.Stop()
		s.wait()
		return nil, s.explain(ctx, err)
	}
	go s.wait()
	return s, nil
}

func (s *session) kill() { s.cmd.Process.Kill() }

// wait collects the process. Its pipe is read to the end by then: os/exec
// closes the pipe, and the client must not lose an answer to that.
func (s *session) wait() {
	if s.Client != nil {
		s.Client.Wait()
	}
	s.exit = s.cmd.Wait()
	close(s.exited)
}

// close ends the process; a server that does not let go is not waited for.
func (s *session) close() {
	timer := time.AfterFunc(2*time.Second, s.kill)
	defer timer.Stop()
	s.Client.Close()
	<-s.exited
}

// explain is err with what ssh said about it. Its words may be the server's.
func (s *session) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := s.stderr.String()
	if s.exit != nil {
		err = fmt.Errorf("ssh: %w", s.exit)
	}
	if text != "" {
		err = fmt.Errorf("%w: %q", err, text)
	}
	for _, h := range sshHints {
		if strings.Contains(text, h.said) {
			return hint(h.text, err)
		}
	}
	return hint("try the same by hand with sftp", err)
}

var sshHints = []struct{ said, text string }{
	{"Permission denied", "does the server know your key? load it into the agent (ssh-add), or name it in ~/.ssh/config"},
	{"Host key verification failed", "connect once by hand and compare the host key; vouch accepts no unknown one"},
	{"REMOTE HOST IDENTIFICATION HAS CHANGED", "ask the server's administrator; somebody may be in between"},
	{"Could not resolve hostname", "is the host name right?"},
	{"Connection refused", "is an SSH server listening there, on this port?"},
	{"Connection timed out", "does a firewall drop SSH on the way?"},
	{"subsystem request failed", "the server offers no SFTP: enable the subsystem (Subsystem sftp internal-sftp)"},
}

// tail keeps the end of what a program says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if n := len(t.text) - 1024; n > 0 {
		t.text = append(t.text[:0], t.text[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
