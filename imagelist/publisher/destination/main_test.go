package destination

import (
	"bytes"
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// TestMain runs one operation instead of the tests when a test starts this
// binary to kill it.
func TestMain(m *testing.M) {
	block = 256 << 10
	if os.Getenv("DESTINATION_SFTP_SERVER") != "" {
		oldServer()
	}
	if dest := os.Getenv("DESTINATION_VICTIM"); dest != "" {
		victim(dest)
	}
	os.Exit(m.Run())
}

// oldServer speaks SFTP on standard input and output, without any extension.
func oldServer() {
	sftp.SetSFTPExtensions()
	s, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{os.Stdin, os.Stdout})
	if err == nil {
		err = s.Serve()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(0)
}

// victim publishes for ever, one list after the other.
func victim(dest string) {
	ctx := context.Background()
	d, err := Open(ctx, dest, Options{SSH: strings.Fields(os.Getenv("DESTINATION_SSH"))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if d, ok := d.(*remote); ok {
		d.stale, _ = time.ParseDuration(os.Getenv("DESTINATION_STALE"))
	}
	for n := byte(0); err == nil; n++ {
		var old *Live
		if old, err = d.Read(ctx); err == nil {
			err = d.Replace(ctx, filled(n), old)
			fmt.Println(n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// filled is a list whose wholeness can be seen: one byte, 1 MiB of it.
func filled(n byte) []byte { return bytes.Repeat([]byte{n}, 1<<20) }

func whole(b []byte) bool { return len(b) == 1<<20 && bytes.Equal(b, filled(b[0])) }

func requireProgram(t *testing.T, program string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if p := filepath.Join(dir, program); isFile(p) {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

func isFile(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.Mode().IsRegular()
}

// daemon starts a server that stays in the foreground and waits until addr
// takes connections.
func daemon(t *testing.T, addr string, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // its children may hold the pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // SIGINT may be ignored
		select {
		case <-exited:
		case <-time.After(3 * time.Second):
			cmd.Process.Kill()
		}
		<-exited
	})
	for range 2400 { // a minute
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-exited:
			t.Fatalf("%s: %s", argv[0], out.String())
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen: %s", argv[0], out.String())
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// image makes a file of size random bytes.
func image(t *testing.T, size int64) string {
	t.Helper()
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return write(t, filepath.Join(t.TempDir(), "image.raw"), string(b))
}

// sumOf is what a file has; nothing of what cannot be read.
func sumOf(t *testing.T, path string) [sha512.Size]byte {
	t.Helper()
	b, _ := os.ReadFile(path)
	return sha512.Sum512(b)
}

func open(t *testing.T, dest string, o Options) Destination {
	t.Helper()
	d, err := Open(context.Background(), dest, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func mustRead(t *testing.T, d Destination) *Live {
	t.Helper()
	live, err := d.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func mustReplace(t *testing.T, d Destination, content string, old *Live) *Live {
	t.Helper()
	if err := d.Replace(context.Background(), []byte(content), old); err != nil {
		t.Fatal(err)
	}
	live := mustRead(t, d)
	if live == nil || string(live.Content) != content {
		t.Fatalf("live is %v, want %q", live, content)
	}
	return live
}
