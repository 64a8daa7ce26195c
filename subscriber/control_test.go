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
	set(t, &knockEvery, 20*time.Millisecond)
	set(t, &knockMost, 1500*time.Millisecond)
	dir := t.TempDir()
	door, err := openDoor(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { door.serve(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	comes := func(what string, want int) {
		t.Helper()
		select {
		case change := <-door.came:
			if change != want {
				t.Fatalf("%s: %+d", what, change)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: nothing", what)
		}
	}
	stopped := func() {
		t.Helper()
		conn, err := net.Dial("unix", filepath.Join(dir, controlSocket))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		comes("it came", 1)
	}
	leave := askDaemon(dir)
	comes("a command came, and says that it waits", 1)
	for range 2 { // each of them lasts as long as one may say nothing
		stopped()
		comes("it says nothing, and it alone", -1)
	}
	leave()
	comes("the command left", -1)
}
