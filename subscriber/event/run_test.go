package event

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// told counts events: tests run beside each other, and what is left of one is
// known by its event.
var told atomic.Uint64

// deliverTo runs script as an exec handler for one event.
func deliverTo(t *testing.T, timeout time.Duration, script string, args ...string) (Receipt, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "handler")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	h := Handler{Name: "test", Exec: append([]string{"/bin/sh", file}, args...), Timeout: timeout}
	return h.Deliver(context.Background(), mustNew(t, 1000+told.Add(1), ImageAvailable, testImage()), testPlace, false)
}

// running reports whether the process whose pid is in file is alive; a zombie
// that nobody has reaped is not.
func running(t *testing.T, file string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// kill ends the process whose pid is in file, if the test left it running.
func kill(file string) {
	text, _ := os.ReadFile(file)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// gone waits until the process whose pid is in file is not running: SIGKILL
// takes effect a moment after it is sent.
func gone(t *testing.T, file string) {
	t.Helper()
	for running(t, file) {
		time.Sleep(time.Millisecond)
	}
}

func TestF15_Hang(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	_, err := deliverTo(t, 5*time.Second, `echo $$ >"$1"; echo "waiting for glance" >&2; exec sleep 3600`, pid)
	const want = "handler test: image.available: timed out after 5s: waiting for glance"
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	gone(t, pid)
}

// stopWhenReady runs script as a handler and ends its context as soon as each
// of the files, which are the script's arguments, has a line.
func stopWhenReady(t *testing.T, script string, files ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		for _, name := range files {
			for text := []byte(nil); !bytes.HasSuffix(text, []byte("\n")); text, _ = os.ReadFile(name) {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	h := Handler{Name: "test", Exec: append([]string{"/bin/sh", "-c", script, "sh"}, files...), Timeout: time.Hour}
	e := mustNew(t, 1000+told.Add(1), SyncStarted, SyncData{})
	if _, err := h.Deliver(ctx, e, testPlace, false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
	if _, err := h.Deliver(ctx, e, testPlace, false); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestF15_IgnoresTERM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leader, child := filepath.Join(dir, "leader"), filepath.Join(dir, "child")
	stopWhenReady(t, `trap "" TERM
		echo $$ >"$1"
		sh -c 'echo $$ >"$1"; while :; do sleep 3600; done' sh "$2" &
		while :; do sleep 3600; done`, leader, child)
	gone(t, leader)
	gone(t, child)
}

// The program obeys SIGTERM; what it started, and what holds no pipe of ours,
// does not.
func TestF15_ChildIgnoresTERM(t *testing.T) {
	t.Parallel()
	child := filepath.Join(t.TempDir(), "child")
	stopWhenReady(t, `
		sh -c 'trap "" TERM; echo $$ >"$1"; while :; do sleep 3600; done' sh "$1" >/dev/null 2>&1 </dev/null &
		sleep 3600`, child)
	gone(t, child)
}

// A program that exits 0 because it was told to stop has delivered nothing.
func TestF15_TERMLeavesTimeToCleanUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ready, cleaned := filepath.Join(dir, "ready"), filepath.Join(dir, "cleaned")
	stopWhenReady(t, `trap ': >"${1%ready}cleaned"; exit 0' TERM; echo >"$1"; while :; do sleep 0.01; done`, ready)
	if _, err := os.Stat(cleaned); err != nil {
		t.Error(err)
	}
}

func TestF15_FailsAndCrashes(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`exit 3`:                                        `exit status 3`,
		`echo one >&2; echo two >&2; exit 1`:            `exit status 1: two`,
		`printf 'no end' >&2; exit 1`:                   `exit status 1: no end`,
		`printf 'a\033[31m\342\200\256b\n' >&2; exit 1`: `exit status 1: a\x1b[31m\u202eb`,
		`kill -KILL $$`:                                 `signal: killed`,
		`echo ouch >&2; kill -SEGV $$`:                  `signal: segmentation fault: ouch`,
		`echo '{"resource":"x"}'; exit 1`:               `exit status 1`,
		`head -c 100000 /dev/zero | tr '\0' x >&2; echo >&2; echo end >&2; exit 9`: `exit status 9: end`,
	} {
		receipt, err := deliverTo(t, time.Minute, script)
		var exit *exec.ExitError
		if want = "handler test: image.available: " + want; err == nil || err.Error() != want || !errors.As(err, &exit) {
			t.Errorf("%s\n got %v\nwant %s", script, err, want)
		}
		if receipt != (Receipt{}) {
			t.Errorf("%s: a failed delivery has the receipt %+v", script, receipt)
		}
	}
	_, err := deliverTo(t, time.Minute, `head -c 100000 /dev/zero | tr '\0' x >&2; exit 1`)
	if err == nil || len(err.Error()) > 600 {
		t.Errorf("a long line of standard error: %v", err)
	}
}

func TestF15_CannotStart(t *testing.T) {
	t.Parallel()
	e := mustNew(t, 1, SyncStarted, SyncData{})
	for name, h := range map[string]Handler{
		"no program":  {},
		"not there":   {Exec: []string{"/nonexistent/handler"}},
		"a directory": {Exec: []string{"/"}},
		"no user":     {Exec: []string{"/bin/true"}, User: "no-such-user"},
		"no env_file": {Exec: []string{"/bin/true"}, EnvFile: "/nonexistent"},
	} {
		_, err := h.Deliver(context.Background(), e, testPlace, false)
		if err == nil {
			t.Errorf("%s: delivered", name)
		}
		var advice interface{ Hint() string }
		if name == "not there" && !errors.As(err, &advice) {
			t.Errorf("%s: no hint: %v", name, err)
		}
	}
	e.Type, e.Data = ImageAvailable, []byte("{")
	if _, err := (Handler{Exec: []string{"/bin/true"}}).Deliver(context.Background(), e, testPlace, false); err == nil {
		t.Error("an event with broken data is delivered")
	}
}

// Exit 0 is delivered, whatever is left behind with our pipes in its hands.
func TestF15_ForksAChildThatHoldsThePipes(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"in the group":       `echo '{"resource":"made"}'; sh -c 'echo $$ >"$1"; exec sleep 3600' sh "$1" & while [ ! -s "$1" ]; do sleep 0.01; done`,
		"in its own session": `echo '{"resource":"made"}'; setsid sh -c 'echo $$ >"$1"; exec sleep 3600' sh "$1" & while [ ! -s "$1" ]; do sleep 0.01; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pid := filepath.Join(t.TempDir(), "pid")
			defer kill(pid)
			receipt, err := deliverTo(t, time.Hour, script, pid)
			if err != nil || receipt.Resource != "made" {
				t.Errorf("got %+v, %v", receipt, err)
			}
			if !running(t, pid) {
				t.Error("what a successful handler left running was killed")
			}
		})
	}
}

// What is stopped has nothing left of it, wherever it went: not a grandchild in
// a session of its own.
func TestF15_LeavesTheGroup(t *testing.T) {
	t.Parallel()
	daemon := filepath.Join(t.TempDir(), "daemon")
	defer kill(daemon)
	stopWhenReady(t, `( setsid sh -c 'trap "" TERM; echo $$ >"$1"; while :; do sleep 0.02; done' sh "$1" & )
		kill -STOP $$`, daemon)
	gone(t, daemon)
}

// Nor one that forks all the time.
func TestF15_Forks(t *testing.T) {
	t.Parallel()
	forks(t)
}

func forks(t *testing.T) {
	forker := filepath.Join(t.TempDir(), "forker")
	stopWhenReady(t, `setsid sh -c 'while :; do (echo $(exec sh -c "echo \$PPID") >"$1.new"; mv "$1.new" "$1"; sleep 0.1) & sleep 0.05; done' sh "$1" &
		kill -STOP $$`, forker)
	time.Sleep(200 * time.Millisecond) // whoever was killed is gone
	if err := os.Remove(forker); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if _, err := os.Stat(forker); err == nil {
		t.Error("still forking")
	}
}

// In a PID namespace that sees the /proc of another, the numbers there are not
// ours. Not beside other tests, whose events have the same ids.
func TestF15_AnothersProc(t *testing.T) {
	if os.Getpid() == 1 {
		forks(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestF15_AnothersProc$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("who may not make a PID namespace cannot be in one")
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestF15_FloodsStdout(t *testing.T) {
	t.Parallel()
	receipt, err := deliverTo(t, time.Hour, `echo '{"resource":"early"}'; head -c 50000000 /dev/zero; echo; echo '{"resource":"late"}'`)
	if err != nil || receipt.Resource != "early" {
		t.Errorf("got %+v, %v", receipt, err)
	}
	kept := &head{max: maxStdout}
	for range 10 {
		if n, err := kept.Write(make([]byte, 10_000)); n != 10_000 || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	if len(kept.kept) != maxStdout {
		t.Errorf("kept %d bytes", len(kept.kept))
	}
}

func TestF15_DoesNotReadItsInput(t *testing.T) {
	t.Parallel()
	image := testImage()
	image.Description = strings.Repeat("x", 1<<20)
	h := Handler{Name: "deaf", Exec: []string{"/bin/sh", "-c", "exit 0"}, Timeout: time.Hour}
	if _, err := h.Deliver(context.Background(), mustNew(t, 1, ImageAvailable, image), testPlace, false); err != nil {
		t.Error(err)
	}
}

func TestReceipt(t *testing.T) {
	for stdout, want := range map[string]string{
		``:                                  "",
		`{"resource":"glance:1"}`:           "glance:1",
		"{\"resource\":\"glance:1\"}\n":     "glance:1",
		"log\n{\"resource\":\"a\"}\nmore\n": "a",
		"{\"resource\":\"a\"}\n{\"resource\":\"b\"}\n":           "b",
		`{"resource":"a","extra":1}`:                             "a",
		`{"Resource":"a"}`:                                       "",
		`{"resource":7}`:                                         "",
		`{"resource":null}`:                                      "",
		`["resource"]`:                                           "",
		`{"resource":"a"} trailing`:                              "",
		`{"resource":"\u001b[31m"}`:                              "",
		`{"resource":"\u202e"}`:                                  "",
		`{"resource":"` + strings.Repeat("x", maxReceipt) + `"}`: "",
	} {
		if got := receiptIn([]byte(stdout)).Resource; got != want {
			t.Errorf("%.60q: got %q, want %q", stdout, got, want)
		}
	}
}

func TestHandler_SurroundingsOfTheProgram(t *testing.T) {
	receipt, err := deliverTo(t, time.Minute, `
		read -r _ _ _ _ group _ </proc/$$/stat
		[ "$group" = $$ ] || exit 7
		printf '{"resource":"%s %s"}\n' "$PWD" "$*"`, "a b", "$(c)")
	if err != nil || receipt.Resource != "/ a b $(c)" {
		t.Errorf("got %+v, %v", receipt, err)
	}
}

func TestHandler_User(t *testing.T) {
	e := mustNew(t, 1, SyncStarted, SyncData{})
	whoami := Handler{Name: "h", Exec: []string{"/bin/sh", "-c", `printf '{"resource":"%s %s %s"}' "$(id -un)" "$(id -G)" "$HOME"`}, Timeout: time.Minute}
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	whoami.User = self.Username
	receipt, err := whoami.Deliver(context.Background(), e, testPlace, false)
	if err != nil || !strings.HasPrefix(receipt.Resource, self.Username+" ") {
		t.Errorf("as ourselves: %+v, %v", receipt, err)
	}

	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	whoami.User = "nobody"
	receipt, err = whoami.Deliver(context.Background(), e, testPlace, false)
	if os.Geteuid() != 0 {
		if err == nil || !strings.Contains(err.Error(), "only root") {
			t.Errorf("not root, but the handler ran as another user: %+v, %v", receipt, err)
		}
		return
	}
	if want := "nobody " + nobody.Gid + " " + nobody.HomeDir; err != nil || receipt.Resource != want {
		t.Errorf("got %+v, %v; want %q", receipt, err, want)
	}
}
