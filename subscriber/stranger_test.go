package subscriber_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vouch/subscriber"
)

// TestReadStatus_Stranger: a user who may not read the status is told how,
// and has not found a bug.
func TestReadStatus_Stranger(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "status.json"), nil, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // this thread's files are somebody else's
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		unix.SetfsuidRetUid(65534)
		defer unix.SetfsuidRetUid(0)
	}
	_, err := subscriber.ReadStatus(dir)
	if !errors.Is(err, subscriber.ErrStorage) || !strings.Contains(subscriber.Hint(err), "sudo -u vouch") {
		t.Errorf("%v; hint %q", err, subscriber.Hint(err))
	}
}
