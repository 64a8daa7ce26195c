package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// checkName returns ErrName for what Name does not accept.
func checkName(name string) error {
	if !Name(name) {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

// Publish makes endorsed/<name> name the bytes of the blob d, atomically: a
// reader finds the old bytes or the new. It is idempotent; Sync makes it
// durable. The Stamp is that of endorsed/<name>.
//
// As a hard link it is the blob's inode, trusted to be what the caller's Stamp
// of it says. As a reflink or a copy it is an inode of its own, and its bytes
// are hashed on the way: ErrCorrupt or ErrSize if the blob is not what its
// name says. It returns ErrName, fs.ErrNotExist without that blob, ErrNoSpace,
// or ErrUnsafe when something else than a file has the name.
func (s *Store) Publish(name string, d Digest) (Stamp, error) {
	stamp, err := s.publish(name, d)
	return stamp, wrap(fmt.Sprintf("publish %q", name), err)
}

func (s *Store) publish(name string, d Digest) (Stamp, error) {
	if err := checkName(name); err != nil {
		return Stamp{}, err
	}
	done, err := s.published(name, d)
	if err != nil {
		return Stamp{}, err
	}
	if !done {
		if err := s.install(EndorsedPath(name), d, s.opt.Publish); err != nil {
			return Stamp{}, err
		}
	}
	return s.stamp(EndorsedPath(name))
}

// published tells whether endorsed/<name> has the bytes of d already.
func (s *Store) published(name string, d Digest) (bool, error) {
	bytes, err := s.regular(BlobPath(d))
	if err != nil {
		return false, err
	}
	fi, err := s.regular(EndorsedPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	linked := os.SameFile(bytes, fi)
	switch {
	case s.opt.Publish == Hardlink:
		return linked, nil
	case linked: // from when the mode was another
		return false, nil
	}
	return s.sameBytes(EndorsedPath(name), d, bytes.Size())
}

// install makes a file of the blob d and renames it to path. Two names of one
// inode cannot be renamed over each other; there is nothing to do then.
func (s *Store) install(path string, d Digest, how Mode) error {
	tmp, err := s.materialise(d, how)
	if err != nil {
		return err
	}
	defer s.drop(tmp)
	return s.root.Rename(tmp, path)
}

// materialise makes another file with the bytes of the blob d under a
// temporary name, which the caller hands to drop.
func (s *Store) materialise(d Digest, how Mode) (tmp string, err error) {
	if how == Hardlink {
		tmp = s.tempName()
		if err := s.root.Link(BlobPath(d), tmp); err != nil {
			s.drop(tmp)
			return "", err
		}
		return tmp, nil
	}
	src, err := s.open(BlobPath(d), os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer src.Close()
	return s.duplicate(context.Background(), src, d, how)
}

// duplicate makes a verified, synced, readable copy of src under a temporary
// name, which the caller hands to drop.
func (s *Store) duplicate(ctx context.Context, src *os.File, d Digest, how Mode) (tmp string, err error) {
	fi, err := src.Stat()
	if err != nil {
		return "", err
	}
	dst, tmp, err := s.temp()
	if err != nil {
		return "", err
	}
	err = s.dress(dst, s.opt.FileMode)
	if err == nil {
		err = copyAs(ctx, how, dst, src, d, fi.Size())
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		s.drop(tmp)
		return "", err
	}
	return tmp, nil
}

// NameStamp is the Stamp of endorsed/<name>. It returns ErrName,
// fs.ErrNotExist, or ErrUnsafe for what is not a regular file.
func (s *Store) NameStamp(name string) (Stamp, error) {
	if err := checkName(name); err != nil {
		return Stamp{}, wrap("name", err)
	}
	stamp, err := s.stamp(EndorsedPath(name))
	return stamp, wrap(fmt.Sprintf("name %q", name), err)
}

// Endorsed lists the published names, sorted.
func (s *Store) Endorsed() ([]string, error) {
	names, err := s.names(endorsedDir, endorsed)
	return names, wrap("endorsed", err)
}

// Unpublish takes the name away and keeps what it named as
// expired/<name>.<YYYY-mm-dd_HH-MM-SS> (UTC; "-2" is added when that is taken).
// It returns that path relative to the cache directory, and "" if there is no
// such name. Sync makes it durable.
//
// The name goes whatever it is by now, a symbolic link too, since a withdrawn
// image must not stay; only a directory is refused (ErrUnsafe).
func (s *Store) Unpublish(name string, at time.Time) (kept string, err error) {
	kept, err = s.unpublish(name, at)
	return kept, wrap(fmt.Sprintf("unpublish %q", name), err)
}

func (s *Store) unpublish(name string, at time.Time) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	fi, err := s.root.Lstat(EndorsedPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if fi.IsDir() {
		return "", fmt.Errorf("a directory: %w", ErrUnsafe)
	}
	return s.keep(name, at, func(kept string) error {
		return s.root.Rename(EndorsedPath(name), kept)
	})
}

// Retain keeps the bytes that endorsed/<name> has now, those of d, in expired/
// as Unpublish would, and leaves the name in place: for Publish to replace it
// without a moment between. It returns the path relative to the cache
// directory, "" if there is nothing to keep.
//
// As a hard link it is the blob that is linked. A name that is a file of its
// own (reflink, copy) is linked as it is, and copied from the blob where links
// do not work.
func (s *Store) Retain(name string, d Digest, at time.Time) (kept string, err error) {
	kept, err = s.retain(name, d, at)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return kept, wrap(fmt.Sprintf("retain %q", name), err)
}

func (s *Store) retain(name string, d Digest, at time.Time) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if _, err := s.regular(EndorsedPath(name)); err == nil && s.opt.Publish != Hardlink {
		kept, err := s.keep(name, at, func(kept string) error {
			return s.root.Link(EndorsedPath(name), kept)
		})
		if !cannotLink(err) {
			return kept, err
		}
	}
	tmp, err := s.materialise(d, s.opt.Publish)
	if err != nil {
		return "", err
	}
	defer s.drop(tmp)
	return s.keep(name, at, func(kept string) error { return s.root.Rename(tmp, kept) })
}

// cannotLink tells a file system without hard links from other failures.
func cannotLink(err error) bool {
	for _, e := range []error{syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EMLINK} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// keep chooses a free name in expired/ and lets move take it.
func (s *Store) keep(name string, at time.Time, move func(kept string) error) (string, error) {
	s.naming.Lock()
	defer s.naming.Unlock()
	first := expiredDir + "/" + name + "." + at.UTC().Format(timeFormat)
	kept := first
	for n := 2; ; n++ {
		_, err := s.root.Lstat(kept)
		if errors.Is(err, fs.ErrNotExist) {
			return kept, move(kept)
		}
		if err != nil {
			return "", err
		}
		kept = first + "-" + strconv.Itoa(n)
	}
}

// Expired lists what Unpublish and Retain have kept, as paths relative to the
// cache directory, sorted.
func (s *Store) Expired() ([]string, error) {
	names, err := s.names(expiredDir, expired)
	for i, name := range names {
		names[i] = expiredDir + "/" + name
	}
	return names, wrap("expired", err)
}

// checkKept returns ErrName for what is not directly under expired/ with a
// name of ours.
func checkKept(kept string) error {
	base, ok := strings.CutPrefix(kept, expiredDir+"/")
	if !ok || !expiredRE.MatchString(base) {
		return fmt.Errorf("%q: %w", kept, ErrName)
	}
	return nil
}

// RemoveExpired removes what Unpublish or Retain returned. What is gone
// already is fine. It returns ErrName for any other path.
func (s *Store) RemoveExpired(kept string) error {
	if err := checkKept(kept); err != nil {
		return wrap("remove", err)
	}
	return wrap("remove "+kept, s.remove(kept))
}

// SealExpired is Seal for what Unpublish or Retain returned: of use where
// names are not links of their blobs.
func (s *Store) SealExpired(kept string) error {
	if err := checkKept(kept); err != nil {
		return wrap("seal", err)
	}
	_, err := s.setMode(kept, 0o400)
	return wrap("seal "+kept, err)
}

// Sync makes every name under endorsed/ and expired/ durable. Whoever has
// published or unpublished a batch calls it once, before it commits what it
// knows about them.
func (s *Store) Sync() error {
	return wrap("sync", errors.Join(s.syncDir(endorsedDir), s.syncDir(expiredDir)))
}

// Stage puts the bytes of the blob d at partial/<name>, before they are
// published, as a hard link where there are any. It returns that path relative
// to the cache directory. Errors are those of Publish.
func (s *Store) Stage(name string, d Digest) (string, error) {
	staged, err := s.stage(name, d)
	return staged, wrap(fmt.Sprintf("stage %q", name), err)
}

func (s *Store) stage(name string, d Digest) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	staged := stagedPath(name)
	if err := s.replaceable(staged); err != nil {
		return "", err
	}
	s.claim(staged)
	err := s.install(staged, d, Hardlink)
	if cannotLink(err) {
		err = s.install(staged, d, Copy)
	}
	if err != nil {
		s.release(staged)
		return "", err
	}
	return staged, nil
}

// Unstage removes partial/<name>, if it is there. It returns ErrName.
func (s *Store) Unstage(name string) error {
	if err := checkName(name); err != nil {
		return wrap("unstage", err)
	}
	defer s.release(stagedPath(name))
	return wrap(fmt.Sprintf("unstage %q", name), s.remove(stagedPath(name)))
}
