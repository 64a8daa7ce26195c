package subscriber

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
)

// Names within state_dir. status.json and events.jsonl are for cache.group;
// everything else is the service's own.
const (
	lockFile   = "lock"
	queueFile  = "queue"
	statusFile = "status.json"
	eventsFile = "events.jsonl" // subscriber/event writes it
	reportFile = "report.json"
	ledgerFile = "ledger.json"
	sealFile   = "seal.json"
	evidence   = "evidence"
	database   = "metadata"
	removedDir = "removed"
)

// replaceFile writes a file by temp, fsync, rename and fsync of the
// directory: after it returns the new content survives a power cut, before
// that the old one does.
func replaceFile(path string, data []byte, mode fs.FileMode, gid int) error {
	return replaceFileFrom(path, mode, gid, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// replaceFileFrom is replaceFile for what is too large to hold: write produces it.
func replaceFileFrom(path string, mode fs.FileMode, gid int, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if gid >= 0 {
		if err = f.Chown(-1, gid); err != nil {
			return err
		}
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// sweepTemps removes what a killed replaceFile left. Only the holder of the
// lock may call it.
func sweepTemps(stateDir string) {
	for _, pattern := range []string{".tmp-*", evidence + "/.tmp-*", evidence + "/*/.tmp-*", removedDir + "/.tmp-*"} {
		left, _ := filepath.Glob(filepath.Join(stateDir, pattern))
		for _, path := range left {
			os.Remove(path)
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// prepareStateDir makes the state directory and refuses one that others could
// have planted something in (T-26).
func prepareStateDir(dir string, gid int) error {
	if !filepath.IsAbs(dir) {
		return storage(fmt.Errorf("state_dir %q: not an absolute path", dir))
	}
	mode := fs.FileMode(0o700)
	if gid >= 0 {
		mode = 0o750
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return withHint(storage(fmt.Errorf("state_dir: %w", err)), "create it and give it to the user that runs vouch")
	}
	if err := safeDir(dir); err != nil {
		return err
	}
	if gid >= 0 {
		if err := os.Chown(dir, -1, gid); err != nil {
			return storage(fmt.Errorf("state_dir: %w", err))
		}
		if err := os.Chmod(dir, mode); err != nil {
			return storage(fmt.Errorf("state_dir: %w", err))
		}
	}
	for _, sub := range []string{evidence, removedDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return storage(fmt.Errorf("state_dir: %w", err))
		}
	}
	return nil
}

// safeDir refuses a directory, or a parent of it, that others can write to.
// A sticky parent such as /tmp is fine.
func safeDir(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return storage(fmt.Errorf("state_dir: %w", err))
	}
	for p := real; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return storage(fmt.Errorf("state_dir: %w", err))
		}
		st := info.Sys().(*syscall.Stat_t)
		if uid := uint32(os.Geteuid()); st.Uid != uid && st.Uid != 0 {
			return withHint(storage(fmt.Errorf("state_dir: %s belongs to user %d", p, st.Uid)), "run vouch as the owner of its state (sudo -u vouch vouch …), or chown it")
		}
		if info.Mode().Perm()&0o022 != 0 && (p == real || info.Mode()&fs.ModeSticky == 0) {
			return withHint(storage(fmt.Errorf("state_dir: %s is writable by others (mode %04o)", p, info.Mode().Perm())), "chmod go-w "+p)
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

// holder is what the lock file says of the process that has it.
type holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Run     string    `json:"run"` // UUID of the run
	Since   time.Time `json:"since"`
}

// stateLock is the exclusive right to the metadata: a flock on
// <state_dir>/lock, released by the kernel when the process dies.
type stateLock struct {
	file *flock.Flock
	path string
	run  string
}

// errJoined says that a run which had read nothing yet took our request with
// it; its report is ours.
var errJoined = errors.New("joined")

// letIn is how long a run that waits for nobody else gives a daemon to stop its
// pass.
const letIn = 30 * time.Second

// lockState takes the lock. A run that may not wait gives up at once, or with
// how.ask only after letIn when it is a daemon that has it. A waiter holds the
// queue lock until it has the state lock and has read nothing before; a
// third process therefore need not make a pass of its own: how.join tells it to
// wait for the waiter's run and returns errJoined with that run's id.
//
// A running daemon is asked to let us in, unless it is the daemon that asks.
func lockState(ctx context.Context, dir string, o Options, how opening, at time.Time) (_ *stateLock, joined string, err error) {
	l := &stateLock{file: flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600)), path: filepath.Join(dir, lockFile), run: uuid.NewString()}
	ok, err := l.file.TryLock()
	if err != nil {
		return nil, "", storage(fmt.Errorf("lock: %w", err))
	}
	if ok {
		return l, "", l.sign(at)
	}
	if o.NoWait || o.Handler {
		if o.Handler || !how.ask || !daemonAtWork(dir) {
			return nil, "", l.locked()
		}
		within, stop := context.WithTimeout(ctx, letIn)
		defer stop()
		ctx = within
		defer func() {
			if errors.Is(err, context.DeadlineExceeded) {
				err = l.locked()
			}
		}()
	}
	if !o.Paced || how.urgent {
		defer askDaemon(dir)()
	}
	queue := flock.New(filepath.Join(dir, queueFile), flock.SetPermissions(0o600))
	first, err := queue.TryLock()
	if err != nil {
		return nil, "", storage(fmt.Errorf("queue: %w", err))
	}
	if !first && how.join {
		var waiting holder
		readJSON(queue.Path(), &waiting)
		if err := waitFor(ctx, queue); err != nil {
			return nil, "", err
		}
		queue.Unlock()
		if err := waitFor(ctx, l.file); err != nil {
			return nil, "", err
		}
		if waiting.Run != "" {
			l.file.Unlock()
			return nil, waiting.Run, errJoined
		}
		return l, "", l.sign(at)
	}
	if !first {
		if err := waitFor(ctx, queue); err != nil {
			return nil, "", err
		}
	}
	defer queue.Unlock()
	waiting := holder{PID: os.Getpid(), Command: command(), Since: at}
	if how.join {
		waiting.Run = l.run // a whole sync: others may join it
	}
	h, _ := json.Marshal(waiting)
	if err := os.WriteFile(queue.Path(), h, 0o600); err != nil {
		return nil, "", fmt.Errorf("queue: %w", err)
	}
	if err := waitFor(ctx, l.file); err != nil {
		return nil, "", err
	}
	os.Truncate(queue.Path(), 0) // nobody may join a run that has begun to read
	return l, "", l.sign(at)
}

func waitFor(ctx context.Context, f *flock.Flock) error {
	if _, err := f.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return fmt.Errorf("waiting for another vouch: %w", err)
	}
	return nil
}

func command() string { return strings.Join(os.Args, " ") }

func (l *stateLock) sign(at time.Time) error {
	h, _ := json.Marshal(holder{PID: os.Getpid(), Command: command(), Run: l.run, Since: at})
	if err := os.WriteFile(l.path, h, 0o600); err != nil {
		l.file.Unlock()
		return storage(fmt.Errorf("lock: %w", err))
	}
	return nil
}

// locked describes who has the lock. Whoever has only just got it has not
// signed yet: that takes no time, unless the machine is busy.
func (l *stateLock) locked() error {
	dir := filepath.Dir(l.path)
	h := holderOf(dir)
	for range 100 {
		if h.PID != 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
		h = holderOf(dir)
	}
	return withHint(&LockedError{PID: h.PID, Command: h.Command, Detail: "another vouch is at work on " + dir}, "wait for it, or leave out --no-wait to queue behind it")
}

// holderOf is who has the state, or had it last.
func holderOf(dir string) (h holder) {
	readJSON(filepath.Join(dir, lockFile), &h)
	return h
}

// daemonAtWork says whether it is the daemon that has the state.
func daemonAtWork(dir string) bool {
	var daemon holder
	readJSON(filepath.Join(dir, daemonLock), &daemon)
	return daemon.PID != 0 && daemon.PID == holderOf(dir).PID
}

func (l *stateLock) release() { l.file.Unlock() }

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
