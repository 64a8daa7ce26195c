package metadata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The files of ours in the store's directory, beside badger's tree.
const (
	openingName = "opening" // attempts to open that have not ended
	sealName    = "sealed"  // the tree's files at the last Close
)

// maxAttempts is how often in a row the process may die while opening. Damage
// that kills badger is nearly always found before badger sees it (checkFiles);
// an operator's kill -9 or a machine that runs out of memory is not damage, and
// must not cost a rebuild when it strikes twice.
const maxAttempts = 8

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

// beginAttempt counts an attempt to open, durably. Damage that badger meets
// in a goroutine of its own, or answers with log.Fatal, ends the process;
// after maxAttempts of that the store is called corrupt, so that a
// supervisor's restarts do not go on for ever.
func beginAttempt(dir string) error {
	name := filepath.Join(dir, openingName)
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// What is not a number was torn: that attempt died, too.
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil && len(text) > 0 {
		n = maxAttempts
	}
	if n >= maxAttempts {
		return corrupt(fmt.Errorf("the process died %d times while opening it", n))
	}
	return replace(name, []byte(strconv.Itoa(n+1)+"\n"))
}

// endAttempt says that the attempt did not kill the process.
func endAttempt(dir string) error {
	err := os.Remove(filepath.Join(dir, openingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
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
