package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"vouch/imagelist/smime"
)

var list = smime.Canonical([]byte("{\"hv:imagelist\": {\n\t\"dc:title\": \"x\"\n}}\n"))

// opens wants a message that subscribers open, with the list in it.
func opens(t *testing.T, message []byte, subject string) {
	t.Helper()
	signed, err := smime.Open(message, smime.Options{})
	must(t, err)
	if !bytes.Equal(signed.Content, list) || signed.Signer.Subject.CommonName != subject || len(signed.Warnings) > 0 {
		t.Errorf("signed by %v with warnings %q:\n%s", signed.Signer.Subject, signed.Warnings, signed.Content)
	}
}

// TestExec_OpenSSL signs by the commands an endorser would write.
func TestExec_OpenSSL(t *testing.T) {
	s := newShop(t)
	s.user("bob", "ec", "P-384")
	for _, command := range []string{
		"openssl smime -sign -signer %s.pem -inkey %[1]s.key",
		"openssl cms -sign -signer %s.pem -inkey %[1]s.key -certfile sub.pem",
		"openssl cms -sign -md sha512 -signer %s.pem -inkey %[1]s.key | cat",
		"tee list.json >/dev/null && openssl smime -sign -in list.json -signer %s.pem -inkey %[1]s.key",
	} {
		for _, who := range []string{"alice", "bob"} {
			command := "cd " + s.dir + " && " + fmt.Sprintf(command, who)
			message, err := Exec(t.Context(), command, list, nil)
			must(t, err)
			opens(t, message, who)
		}
	}
}

// TestExec_Fails: what went wrong is said, and never the command itself.
func TestExec_Fails(t *testing.T) {
	for _, c := range []struct{ command, want, hint, stderr string }{
		{"pin=" + secret + "; exit 3", "exit status 3", "", ""},
		{"echo one >&2; printf 'two\\033[0m\\n\\n' >&2; exit 1", `exit status 1: "two\x1b[0m"`, "", "one\ntwo\x1b[0m\n\n"},
		{"kill -9 $$", "signal: killed", "", ""},
		{"cat >/dev/null", "printed nothing", "standard output", ""},
		{"/nonexistent/signer", "/nonexistent/signer: not found", "", ": not found\n"},
		{"yes", "printed more than 25165824 bytes", "", ""},
		{"trap '' PIPE; yes; sleep 60", "printed more than 25165824 bytes", "", ""},
	} {
		var stderr bytes.Buffer
		started := time.Now()
		message, err := Exec(t.Context(), c.command, list, &stderr)
		if err == nil || message != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hintOf(err), c.hint) {
			t.Errorf("%s: %d bytes, %v, want %q", c.command, len(message), err, c.want)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the command shows: %v", err)
		}
		if !strings.HasSuffix(stderr.String(), c.stderr) {
			t.Errorf("%s: standard error %q", c.command, stderr.String())
		}
		if d := time.Since(started); d > 50*time.Second {
			t.Errorf("%s: took %v", c.command, d)
		}
	}
}

// TestExec_Largest: the bound is on what is printed, and content that is not
// read does no harm.
func TestExec_Largest(t *testing.T) {
	message, err := Exec(t.Context(), fmt.Sprintf("exec head -c %d /dev/zero", MaxMessage), make([]byte, 1<<20), nil)
	if err != nil || len(message) != MaxMessage {
		t.Errorf("%d bytes, %v", len(message), err)
	}
}

// TestExec_LeftBehind: a daemon that the command started keeps the pipes, and
// runs on, as an agent that holds a card does.
func TestExec_LeftBehind(t *testing.T) {
	started := time.Now()
	message, err := Exec(t.Context(), "sleep 60 & echo $!", list, nil)
	must(t, err)
	var pid int
	if _, err := fmt.Sscan(string(message), &pid); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(started); d > 50*time.Second {
		t.Errorf("took %v", d)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon: %v", err)
	}
}

// TestExec_Cancelled: nothing of the process group is left, also when it does
// not want to end.
func TestExec_Cancelled(t *testing.T) {
	reason := errors.New("the person pressed a key")
	for _, command := range []string{
		"sleep 60 | sleep 60",
		"trap '' TERM; sleep 60 & sleep 60; sleep 60",
		"kill -STOP $$; sleep 60",
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		file := t.TempDir() + "/pid"
		go func() {
			for range 6000 { // a minute
				if data, err := os.ReadFile(file); err == nil && bytes.HasSuffix(data, []byte("\n")) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			cancel(reason)
		}()
		started := time.Now()
		_, err := Exec(ctx, "echo $$ >"+file+"; "+command, list, nil)
		if !errors.Is(err, reason) {
			t.Errorf("%s: %v", command, err)
		}
		if d := time.Since(started); d > 50*time.Second {
			t.Errorf("%s: took %v", command, d)
		}
		data, err := os.ReadFile(file)
		must(t, err)
		var pgid int
		if _, err := fmt.Sscan(string(data), &pgid); err != nil {
			t.Fatal(err)
		}
		if !gone(pgid) {
			t.Errorf("%s: the group %d is still there", command, pgid)
		}
	}
}

// gone waits a moment for the last of a group to be reaped by whoever does.
func gone(pgid int) bool {
	for range 6000 { // a minute
		if syscall.Kill(-pgid, 0) != nil {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
