// Package brokertest runs the brokers of Debian's packages for tests: in a
// directory and on ports of their own, without privileges, and never longer
// than the test.
package brokertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vouch/imagelist/listtest"
)

// Server is a broker that runs, or has been killed.
type Server struct {
	T    testing.TB
	Dir  string // what it keeps; survives Kill
	Addr string // host:port without TLS

	argv, env []string
	cmd       *exec.Cmd
	ended     chan struct{} // closed when cmd has
	log       *os.File
}

// Start runs it again, over what is in its directory, and waits until it
// takes connections.
func (s *Server) Start() {
	s.T.Helper()
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Env = append(s.env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME="+s.Dir)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.T.Fatal(err)
	}
	ended := make(chan struct{})
	cmd := s.cmd
	s.ended = ended
	go func() { cmd.Wait(); close(ended) }()
	for range 6000 { // RabbitMQ needs a minute on a busy machine
		if c, err := net.Dial("tcp", s.Addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			s.T.Fatalf("%s ended: %v\n%s", s.argv[0], cmd.ProcessState, s.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.T.Fatalf("%s does not listen:\n%s", s.argv[0], s.Log())
}

// Kill ends it with SIGKILL, as a power switch would end the process.
func (s *Server) Kill() {
	if s.cmd != nil {
		s.signal(syscall.SIGKILL)
		<-s.ended
		s.cmd = nil
	}
}

// Stop lets it hang: its connections stay and nobody answers. It returns when
// every thread of the server has stopped, which the signal alone does not
// promise.
func (s *Server) Stop() {
	s.T.Helper()
	s.signal(syscall.SIGSTOP)
	var info unix.Siginfo
	for {
		// Not WEXITED: the end is for who waits in Start.
		err := unix.Waitid(unix.P_PID, s.cmd.Process.Pid, &info, unix.WSTOPPED|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			s.T.Fatalf("%s did not stop: %v", s.argv[0], err)
		}
	}
}

// Continue ends Stop.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) { syscall.Kill(-s.cmd.Process.Pid, sig) }

// Log is what the server has written so far.
func (s *Server) Log() string {
	s.T.Helper()
	raw, err := os.ReadFile(s.log.Name())
	if err != nil {
		s.T.Fatal(err)
	}
	return string(raw)
}

func newServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{T: t, Dir: t.TempDir(), Addr: listtest.FreeAddress(t)}
	var err error
	if s.log, err = os.Create(filepath.Join(s.Dir, "server.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Kill(); s.log.Close() })
	return s
}

// Certificate makes a key and a self-signed certificate for localhost: the
// server's, and who vouches for it.
func Certificate(t testing.TB) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	out, err := exec.Command(Tool(t, "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
		"-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return cert, key
}

// File writes a file that only its owner can read.
func File(t testing.TB, content string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, content); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// Tool finds a program; with CI=true the test fails without it.
func Tool(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", name)); err == nil {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}
