package subscriber

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// set sets a duration until the test's end.
func set(t *testing.T, of *time.Duration, to time.Duration) {
	was := *of
	*of = to
	t.Cleanup(func() { *of = was })
}

// A command that is stopped (SIGSTOP) while it waits does not stop the daemon.
func TestF14_StoppedCommand(t *testing.T) {
	set(t, &knockEvery, 50*time.Millisecond)
	set(t, &knockMost, 500*time.Millisecond)
	dir := t.TempDir()
	door, err := openDoor(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { door.serve(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	comes := func(what string, want int, within time.Duration) {
		t.Helper()
		select {
		case change := <-door.came:
			if change != want {
				t.Fatalf("%s: %+d", what, change)
			}
		case <-time.After(within):
			if want != 0 {
				t.Fatalf("%s: nothing", what)
			}
		}
	}
	stopped, err := net.Dial("unix", filepath.Join(dir, controlSocket))
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	comes("it came", 1, 5*time.Second)
	comes("it says nothing", -1, 5*time.Second)
	leave := askDaemon(dir)
	comes("a command came", 1, 5*time.Second)
	comes("it waits", 0, 1500*time.Millisecond)
	leave()
	comes("it left", -1, 5*time.Second)
}
