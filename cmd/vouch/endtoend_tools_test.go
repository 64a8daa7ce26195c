package main_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// requireTool skips a test where a program is not installed; never in CI.
func requireTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// inodeOf identifies a file whatever its name.
func inodeOf(info fs.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(st.Dev, " ", st.Ino)
}

// eventNumber takes an event's id apart: "<state id>-<number>".
func eventNumber(t testing.TB, id string) (state string, n int) {
	t.Helper()
	dash := strings.LastIndexByte(id, '-')
	n, err := strconv.Atoi(id[dash+1:])
	if err != nil || dash != 36 {
		t.Fatalf("event id %q", id)
	}
	return id[:dash], n
}

func emptyDir(t testing.TB) string { return t.TempDir() }

// block writes a file into blocks.d, as a configuration manager does.
func (s *site) block(text string) {
	s.T.Helper()
	dir := s.path("etc", "blocks.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.T.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "from-outside.yaml"), []byte(text), 0o644); err != nil {
		s.T.Fatal(err)
	}
}

// count says how many events of a type were logged.
func (s *site) count(kind string) int {
	s.T.Helper()
	n := 0
	for _, e := range s.events() {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// waitUntil polls for something another process does. It is patient: how soon
// a thing must be is what its test says, not how busy the machine is.
func waitUntil(t testing.TB, what string, ok func() bool) {
	t.Helper()
	const patience = 2 * time.Minute
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no sign of %s within %v", what, patience)
		}
	}
}
