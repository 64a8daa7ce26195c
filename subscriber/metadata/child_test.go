package metadata

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The tests' other processes are this binary again, told by an environment
// variable which of these functions to run instead of the tests.
var children = map[string]func(dir string) error{
	"write": writeChild,
	"hold":  holdChild,
	"full":  fullChild,
	"probe": probeChild,
	"die":   dieChild,
}

const childVariable = "METADATA_TEST_CHILD"

func TestMain(m *testing.M) {
	role, dir, isChild := strings.Cut(os.Getenv(childVariable), ":")
	if !isChild {
		os.Exit(m.Run())
	}
	if err := children[role](dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is a running process and what it says, line by line.
type child struct {
	*exec.Cmd
	stdin io.Writer
	lines *bufio.Scanner
}

func start(t *testing.T, role, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+role+":"+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &child{cmd, in, bufio.NewScanner(out)}
}

// line is the child's next line; the child ending instead is a failure.
func (c *child) line(t *testing.T) string {
	t.Helper()
	if !c.lines.Scan() {
		t.Fatalf("child ended: %v", c.Wait())
	}
	return c.lines.Text()
}
