package subscriber

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// Whoever is told that another process has the state is told which, also when
// that one has only just got it.
func TestF14_NotSignedYet(t *testing.T) {
	dir := t.TempDir()
	other := flock.New(filepath.Join(dir, lockFile))
	if ok, err := other.TryLock(); !ok {
		t.Fatal(err)
	}
	defer other.Unlock()
	time.AfterFunc(200*time.Millisecond, func() {
		(&stateLock{file: other, path: other.Path()}).sign(time.Now())
	})
	_, _, err := lockState(t.Context(), dir, Options{NoWait: true}, opening{}, time.Now())
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("%+v", err)
	}
}
