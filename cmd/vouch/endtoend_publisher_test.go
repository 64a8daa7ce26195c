package main_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vouch/imagelist/listtest"
)

// endorser is one at work with the real program, on files.
type endorser struct {
	*listtest.World
	dir string
}

func newEndorser(t *testing.T) *endorser {
	t.Helper()
	return endorserIn(t, listtest.New(t))
}

// endorserIn is the endorser of a world, Alice.
func endorserIn(t *testing.T, w *listtest.World) *endorser {
	t.Helper()
	e := &endorser{w, t.TempDir()}
	key, err := x509.MarshalPKCS8PrivateKey(e.Alice.Key)
	if err != nil {
		t.Fatal(err)
	}
	e.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	e.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Alice.Cert.Raw}))
	e.write("image", []byte("an image"))
	return e
}

func (e *endorser) path(name ...string) string {
	return filepath.Join(append([]string{e.dir}, name...)...)
}

func (e *endorser) write(name string, content []byte) {
	e.T.Helper()
	if err := os.WriteFile(e.path(name), content, 0o600); err != nil {
		e.T.Fatal(err)
	}
}

// command is vouch publisher in the workspace.
func (e *endorser) command(words ...string) []string {
	e.T.Helper()
	binary, err := builtBinary()
	if err != nil {
		e.T.Fatal(err)
	}
	return append([]string{binary, "publisher"}, append(words, "-C", e.path("ws"))...)
}

func (e *endorser) run(argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = e.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + e.dir, "X509_CERT_DIR=" + e.Dir}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (e *endorser) must(words ...string) string {
	e.T.Helper()
	out, err := e.run(e.command(words...)...)
	if err != nil {
		e.T.Fatalf("vouch publisher %s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

// holds checks what must be true of a workspace whatever was killed: history
// and draft agree, and what is published is a whole list.
func (e *endorser) holds(what string) {
	e.T.Helper()
	e.must("history", "--verify", "--quiet") // finishes what was begun, first
	e.must("sign", "--cert", e.path("cert.pem"), "--prepare", e.path("prepared"))
	if _, err := os.Stat(e.path("image.list")); err == nil {
		e.must("validate", e.path("image.list"))
	}
	for _, name := range []string{".pending", "history/next"} {
		if _, err := os.Stat(e.path("ws", name)); err == nil {
			e.T.Errorf("%s: %s is left", what, name)
		}
	}
}

// TestF01_PublisherKilled kills an endorser's commands at their n-th system call of
// each kind that changes a file. The next command finds a workspace in the state
// before or after, never between.
func TestF01_PublisherKilled(t *testing.T) {
	strace := requireTool(t, "strace")
	e := newEndorser(t)
	e.must("init", "--uri", "https://lists.example.org/l", "--title", "T", "--cert", e.path("cert.pem"))
	killed, done, id := 0, 0, 0
	for _, call := range []string{"renameat", "fsync", "unlinkat", "mkdirat"} {
		for n := 1; n <= 4; n++ {
			id++
			for _, words := range [][]string{
				{"add", e.path("image"), "--identifier", fmt.Sprint("image-", id), "--uri", "https://images.example.org/i", "--title", "T", "--no-sbom", "test"},
				{"publish", e.path("image.list"), "--no-fetch-back", "--cert", e.path("cert.pem"), "--key", e.path("key.pem")},
				{"remove", fmt.Sprint("image-", id), "--reason", "old"},
			} {
				inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n)
				out, err := e.run(append([]string{strace, "-f", "-qqq", "-o", "/dev/null", "-e", "trace=" + call, "-e", inject}, e.command(words...)...)...)
				if err == nil {
					done++
				} else if killed++; strings.Contains(out, "panic") {
					t.Fatalf("%s %s: %s", words[0], inject, out)
				}
				e.holds(words[0] + " " + inject)
			}
		}
	}
	if killed < 20 || done < 5 {
		t.Errorf("killed %d times, done %d times", killed, done)
	}
	t.Logf("killed %d times, done %d times", killed, done)
	if out := e.must("history", "--verify"); !strings.Contains(out, "holds") {
		t.Error(out)
	}
}
