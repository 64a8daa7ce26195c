package metadata

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
)

// The files of ours in the store's directory, beside badger's tree.
const (
	openingName = "opening" // why the process crashed while opening; empty while it opens
	crashedName = "crashed" // the same of the attempt before
	sealName    = "sealed"  // the tree's files at the last Close
)

// maxCrashes is how often in a row opening may crash the process.
const maxCrashes = 2

// room is ErrNoSpace when too little is free in dir's file system.
func room(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := st.Bavail * uint64(st.Bsize); free < MinFree {
		return fmt.Errorf("%s: %w", dir, ErrNoSpace)
	}
	return nil
}

// lock locks the store in dir for this process, until unlock or the process's
// end. It is the lock that badger would take, but taken before we look at
// anything, and given back reliably.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, tree))
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func flock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	if err != nil {
		return err
	}
	held, err := f.Stat()
	if err != nil {
		return err
	}
	// Another process may have put the directory aside before we had the lock.
	named, err := os.Stat(f.Name())
	if err != nil || !os.SameFile(held, named) {
		return ErrLocked
	}
	return nil
}

// unlock does not leave it to closing the file: a child that another
// goroutine is just about to exec has a copy of the descriptor.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// dropUnborn removes logs of no length. Badger creates a log and then gives it
// its size; killed in between it leaves one that it refuses to open. Nothing
// was ever written to it: a log that lost its content to damage is noticed by
// the transactions that are missing.
func dropUnborn(tree string) error {
	entries, err := os.ReadDir(tree)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		if info, err := e.Info(); err != nil || info.Size() > 0 {
			continue
		}
		if err := os.Remove(filepath.Join(tree, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// inspect refuses a tree without a MANIFEST: badger would take the store for
// a new one and delete its tables. Badger creates the MANIFEST before and
// atomically, so a crash cannot leave such a tree.
func inspect(tree string) error {
	if _, err := os.Lstat(filepath.Join(tree, "MANIFEST")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(tree)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".sst", ".vlog", ".mem":
			return corrupt(fmt.Errorf("no MANIFEST, but %q", e.Name()))
		}
	}
	return nil
}

// An attempt to open has the process write down why it crashed: damage that
// badger meets in a goroutine of its own, or answers with log.Fatal, ends the
// process. After maxCrashes of that the store is called corrupt, so that a
// supervisor's restarts do not go on for ever. An operator's kill -9, or a
// machine that runs out of memory, writes nothing and is no damage.
type attempt struct {
	trace *os.File
	log   io.Writer // of package log before
}

// beginAttempt keeps the trace of the last attempt, if it crashed.
func beginAttempt(dir string) (*attempt, error) {
	last, kept := filepath.Join(dir, openingName), filepath.Join(dir, crashedName)
	if info, err := os.Stat(last); err == nil && info.Size() > 0 {
		if _, err := os.Stat(kept); err == nil {
			return nil, corrupt(fmt.Errorf("opening it crashed %d times; %s has the trace", maxCrashes, last))
		}
		if err := os.Rename(last, kept); err != nil {
			return nil, err
		}
	}
	f, err := os.Create(last)
	if err != nil {
		return nil, err
	}
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	a := &attempt{f, log.Writer()}
	log.SetOutput(io.MultiWriter(a.log, f)) // badger's assertions end in log.Fatal
	return a, nil
}

// end says that the attempt did not crash.
func (a *attempt) end(dir string) error {
	if a == nil {
		return nil
	}
	log.SetOutput(a.log)
	errs := []error{debug.SetCrashOutput(nil, debug.CrashOptions{}), a.trace.Close()}
	for _, name := range []string{openingName, crashedName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// replace makes data the content of the file name, durably: whoever opens
// the name, after a crash too, finds the old content or the new.
func replace(name string, data []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
