package credential

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onTerminal is what a test runs on a terminal of its own, in a process of its
// own: see newTerminal. Its results are on standard output, a pipe.
func onTerminal(job string) {
	switch job {
	case "prompt":
		passphrase, err := PassphraseTerminal(`key "k"`)
		fmt.Printf("%s, %v\n", passphrase, err)
	case "exec":
		content, err := os.ReadFile(os.Args[2])
		if err == nil {
			content, err = Exec(context.Background(), os.Args[1], content, os.Stderr)
		}
		if err != nil {
			content = []byte(err.Error() + "\n")
		}
		os.Stdout.Write(content)
		// Whether the terminal is ours again.
		fmt.Fprint(os.Stderr, "and then?")
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Print(line)
		if err != nil {
			fmt.Println(err)
		}
	}
}

// terminal is a process that leads a session on a pseudo-terminal.
type terminal struct {
	t      testing.TB
	master *os.File
	cmd    *exec.Cmd
	result strings.Builder

	mu   sync.Mutex
	said strings.Builder
	seen int // of said
}

func newTerminal(t testing.TB, job string, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { master.Close() })
	tty := &terminal{t: t, master: master}
	number := 0
	tty.control(func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer slave.Close()
	self, err := os.Executable()
	must(t, err)
	tty.cmd = &exec.Cmd{Path: self, Args: append([]string{self}, args...), Env: append(os.Environ(), "CREDENTIAL_TEST_JOB="+job),
		Stdin: slave, Stdout: &tty.result, Stderr: slave, SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true}}
	// Tests that run in the background of a shell have SIGINT ignored, which is
	// inherited. What is caught is not.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt)
	defer signal.Stop(caught)
	must(t, tty.cmd.Start())
	go func() { _, _ = io.Copy(tty, master) }()
	return tty
}

func (tty *terminal) control(do func(fd int) error) {
	tty.t.Helper()
	raw, err := tty.master.SyscallConn()
	must(tty.t, err)
	var inner error
	must(tty.t, raw.Control(func(fd uintptr) { inner = do(int(fd)) }))
	must(tty.t, inner)
}

// Write takes in what shows on the terminal.
func (tty *terminal) Write(p []byte) (int, error) {
	tty.mu.Lock()
	defer tty.mu.Unlock()
	return tty.said.Write(p)
}

// await waits for words on the terminal, after those awaited before.
func (tty *terminal) await(words string) {
	tty.t.Helper()
	tty.until(words, func() bool {
		tty.mu.Lock()
		defer tty.mu.Unlock()
		i := strings.Index(tty.said.String()[tty.seen:], words)
		if i >= 0 {
			tty.seen += i + len(words)
		}
		return i >= 0
	})
}

// awaitEcho waits until what is typed shows, or does not.
func (tty *terminal) awaitEcho(on bool) {
	tty.t.Helper()
	tty.until(fmt.Sprintf("echo %v", on), func() bool {
		echo := false
		tty.control(func(fd int) error {
			state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			echo = err == nil && state.Lflag&unix.ECHO != 0
			return err
		})
		return echo == on
	})
}

func (tty *terminal) until(what string, done func() bool) {
	tty.t.Helper()
	for range 3000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = tty.cmd.Process.Kill()
	tty.t.Fatalf("no %q on the terminal: %q", what, tty.said.String())
}

func (tty *terminal) write(keys string) {
	tty.t.Helper()
	_, err := tty.master.WriteString(keys)
	must(tty.t, err)
}

// end is the process's result, and what was on the terminal.
func (tty *terminal) end() (result, said string) {
	tty.t.Helper()
	timer := time.AfterFunc(30*time.Second, func() { _ = tty.cmd.Process.Kill() })
	defer timer.Stop()
	if err := tty.cmd.Wait(); err != nil {
		tty.t.Fatalf("%v\nresult %q, on the terminal: %q", err, tty.result.String(), tty.said.String())
	}
	tty.mu.Lock()
	defer tty.mu.Unlock()
	return tty.result.String(), tty.said.String()
}

func TestPassphraseTerminal(t *testing.T) {
	tty := newTerminal(t, "prompt")
	tty.await(`Passphrase for key "k": `)
	tty.awaitEcho(false)
	tty.write(secret + "\n")
	result, said := tty.end()
	if result != secret+", <nil>\n" || strings.Contains(said, secret) {
		t.Errorf("%q, on the terminal %q", result, said)
	}
	tty.awaitEcho(true)
}

func TestPassphraseTerminal_Interrupted(t *testing.T) {
	tty := newTerminal(t, "prompt")
	tty.awaitEcho(false)
	tty.write("half\x03")
	result, said := tty.end()
	if result != ", interrupted\n" || strings.Contains(said, "half") {
		t.Errorf("%q, on the terminal %q", result, said)
	}
	tty.awaitEcho(true)
}

// TestPassphraseTerminal_None: a session without a terminal, as under cron.
func TestPassphraseTerminal_None(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "CREDENTIAL_TEST_JOB=prompt")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	must(t, err)
	if !strings.Contains(string(out), "no terminal to ask on") {
		t.Errorf("%q", out)
	}
}

// TestExec_Terminal: the command may read from the terminal, and leaves it as
// it was however it ends.
func TestExec_Terminal(t *testing.T) {
	const ask = "stty -echo </dev/tty; printf PIN: >/dev/tty; read pin </dev/tty; "
	content := t.TempDir() + "/content"
	must(t, os.WriteFile(content, []byte("{}\n"), 0o600))
	for _, c := range []struct{ command, keys, want string }{
		{ask + "[ $pin = 1234 ] && cat", "1234\n", "{}\n"},
		{ask + "cat | cat", "\x03", "signing command: signal: interrupt\n"},
		{ask + "echo no >&2; exit 9", "12\n", "signing command: exit status 9: \"no\"\n"},
	} {
		tty := newTerminal(t, "exec", c.command, content)
		tty.await("PIN:")
		tty.awaitEcho(false)
		tty.write(c.keys)
		tty.await("and then?")
		tty.awaitEcho(true)
		tty.write("over\n")
		if result, said := tty.end(); result != c.want+"over\n" {
			t.Errorf("%s: %q, on the terminal %q", c.command, result, said)
		}
	}
}
