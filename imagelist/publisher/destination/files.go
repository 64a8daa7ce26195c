package destination

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/pkg/sftp"
)

// A tree is the directory of a list: on this machine, or behind SFTP. Names
// are those of its own files, never paths. A local test fakes neither: both
// are met as they are.
type tree interface {
	lstat(name string) (fs.FileInfo, error)
	open(name string, flag int) (file, error)
	rename(from, to string) error    // replaces atomically, or fails
	renameNew(from, to string) error // fails when there is a file of that name
	remove(name string) error
	names() ([]string, error)
	sync() error // makes names durable, where that can be asked for
	// lock keeps other publishers of the same list out until unlock.
	lock(ctx context.Context, list string) (unlock func(), err error)
}

// file is what *os.File and *sftp.File have in common.
type file interface {
	io.ReadWriteCloser
	io.ReaderAt
	io.WriterAt
	Stat() (fs.FileInfo, error)
	Chmod(fs.FileMode) error
	Truncate(size int64) error
	Sync() error
}

// noDirectory is a destination whose directory is not there.
func noDirectory(err error) error {
	return hint("create the directory first; nothing was created", err)
}

// advise adds what a person can do, to errors that have no hint yet.
func advise(err error) error {
	var has interface{ Hint() string }
	var status *sftp.StatusError
	switch {
	case err == nil || errors.As(err, &has):
		return err
	case errors.Is(err, fs.ErrPermission):
		return hint("the account that publishes needs write permission on the directory", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return hint("make room there, then do it again; nothing that was there is harmed", err)
	case errors.As(err, &status) && status.FxCode() == sftp.ErrSSHFxFailure:
		return hint("SFTP says no more than failure: is the disk full, or the quota used up?", err)
	}
	return err
}

// readList returns the list name in t, or nil.
func readList(t tree, name string) (*Live, fs.FileInfo, error) {
	fi, err := t.lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := regular(fi); err != nil {
		return nil, nil, err
	}
	f, err := t.open(name, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxList+1))
	if err != nil {
		return nil, nil, err
	}
	if len(content) > MaxList {
		return nil, nil, tooLarge()
	}
	return &Live{Content: content}, fi, nil
}

func tooLarge() error {
	return hint("this is not an image list; is the destination right?", fmt.Errorf("what is there is larger than %d bytes", MaxList))
}

func regular(fi fs.FileInfo) error {
	switch {
	case fi.IsDir():
		return hint("name the list's own file in it", errors.New("is a directory"))
	case fi.Mode()&fs.ModeSymlink != 0:
		return hint("name the file it points to, which then can be replaced atomically", errors.New("is a symbolic link"))
	case !fi.Mode().IsRegular():
		return hint("name a regular file", errors.New("is no regular file"))
	}
	return nil
}

// replaceList puts content in the place of old. Killed before the rename it
// leaves the old list and a temporary file, which the next call removes;
// killed after it, the new list.
func replaceList(ctx context.Context, t tree, dest, name string, content []byte, old *Live) error {
	if len(content) > MaxList {
		return fmt.Errorf("list of %d bytes: at most %d", len(content), MaxList)
	}
	unlock, err := t.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	removeLeftovers(t, name, ".tmp", "")
	live, fi, err := readList(t, name)
	if err != nil {
		return err
	}
	if !live.same(old) {
		return &Conflict{dest, live}
	}
	mode := fs.FileMode(0o644)
	if fi != nil {
		mode = fi.Mode().Perm()
	}
	tmp, err := writeBeside(t, name, content, mode)
	if err != nil {
		return err
	}
	if err := exchange(ctx, t, dest, name, tmp, old); err != nil {
		t.remove(tmp)
		return err
	}
	return wrap("flush directory", t.sync())
}

// exchange renames tmp to name if old is still there. The lock excludes other
// publishers that take it; the second look those that do not, up to the
// instant between look and rename.
func exchange(ctx context.Context, t tree, dest, name, tmp string, old *Live) error {
	live, _, err := readList(t, name)
	if err != nil {
		return err
	}
	if !live.same(old) {
		return &Conflict{dest, live}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if old != nil {
		return wrap("rename", t.rename(tmp, name))
	}
	err = t.renameNew(tmp, name)
	if live, _, _ := readList(t, name); err != nil && live != nil {
		return &Conflict{dest, live}
	}
	return wrap("rename", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// writeBeside makes a durable file of content beside name.
func writeBeside(t tree, name string, content []byte, mode fs.FileMode) (_ string, err error) {
	var random [8]byte
	rand.Read(random[:])
	tmp := "." + name + "." + hex.EncodeToString(random[:]) + ".tmp"
	f, err := t.open(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return "", fmt.Errorf("create beside: %w", err)
	}
	defer func() {
		if err != nil {
			t.remove(tmp)
		}
	}()
	if _, err = f.WriteAt(content, 0); err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", fmt.Errorf("write beside: %w", err)
	}
	return tmp, nil
}

// removeLeftovers removes what killed runs left beside name, except keep.
// Leftovers do no harm; one that stays is found again.
func removeLeftovers(t tree, name, suffix, keep string) {
	names, err := t.names()
	if err != nil {
		return
	}
	for _, n := range names {
		middle, ok := strings.CutPrefix(n, "."+name+".")
		if !ok || n == keep {
			continue
		}
		middle, ok = strings.CutSuffix(middle, suffix)
		if _, err := hex.DecodeString(middle); ok && err == nil && len(middle) == 16 {
			t.remove(n)
		}
	}
}

// failed completes the error of a Replace: it looks what is live now, also
// when ctx is over.
func failed(ctx context.Context, d Destination, content []byte, old *Live, err error) error {
	var conflict *Conflict
	if errors.As(err, &conflict) {
		return conflict
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	live, readErr := d.Read(ctx)
	return &ReplaceError{Dest: d.String(), Live: liveness(live, readErr, content, old), Err: err}
}

const theNew = "the new list"

// liveness says what live is to somebody who wanted content in the place of old.
func liveness(live *Live, err error, content []byte, old *Live) string {
	switch {
	case err != nil:
		return fmt.Sprintf("unknown: %v", err)
	case live.same(&Live{Content: content}):
		return theNew
	case live == nil:
		return "no list"
	case live.same(old):
		return "the old list (" + live.describe() + ")"
	}
	return "another list (" + live.describe() + ")"
}

// served verifies after a replacement what is there.
func served(ctx context.Context, d Destination, content []byte) error {
	live, err := d.Read(ctx)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !live.same(&Live{Content: content}) {
		return hint("does something else write there, or a cache stand in front of it?", errors.New("accepted, but other bytes are there"))
	}
	return nil
}
