package cache

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"time"
)

// Stat is the Stamp of the blob d. It returns fs.ErrNotExist, or ErrUnsafe
// when something else than a regular file has its name.
func (s *Store) Stat(d Digest) (Stamp, error) {
	stamp, err := s.stamp(BlobPath(d))
	return stamp, wrap("blob "+d.String(), err)
}

// OpenBlob opens the blob d for reading. Compare FileStamp of the result with
// the recorded Stamp before serving it (T-27). Errors are those of Stat.
func (s *Store) OpenBlob(d Digest) (*os.File, error) {
	f, err := s.open(BlobPath(d), os.O_RDONLY)
	return f, wrap("blob "+d.String(), err)
}

// Blobs lists every blob, in order of digest.
func (s *Store) Blobs() ([]Digest, error) {
	buckets, err := s.list(sha512Dir)
	if err != nil {
		return nil, wrap("blobs", err)
	}
	var digests []Digest
	for _, b := range buckets {
		dir := sha512Dir + "/" + b.name
		if classify(dir, b.typ) != layout {
			continue
		}
		names, err := s.names(dir, blob)
		if err != nil {
			return nil, wrap("blobs", err)
		}
		for _, name := range names {
			d, _ := parseDigest(name)
			digests = append(digests, d)
		}
	}
	return digests, nil
}

// Check reads the blob d from disk and compares it with its digest and signed
// size, at no more than bytesPerSecond (0: as fast as it goes). It returns
// ErrSize, ErrCorrupt, the context's error or an error of Stat, and changes
// nothing.
//
// The Stamp is from before the first byte was read: a writer who comes later
// has moved it.
func (s *Store) Check(ctx context.Context, d Digest, size, bytesPerSecond int64) (Stamp, error) {
	stamp, err := s.check(ctx, d, size, bytesPerSecond)
	return stamp, wrap("check "+d.String(), err)
}

func (s *Store) check(ctx context.Context, d Digest, size, rate int64) (Stamp, error) {
	f, err := s.open(BlobPath(d), os.O_RDONLY)
	if err != nil {
		return Stamp{}, err
	}
	defer f.Close()
	stamp, err := FileStamp(f)
	if err != nil {
		return Stamp{}, err
	}
	// A page in memory can be right while the disk is not (T-28).
	fromDisk(f)
	return stamp, verify(ctx, f, d, size, rate)
}

// verify reads f from its beginning.
func verify(ctx context.Context, f *os.File, d Digest, size, rate int64) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != size {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrSize, fi.Size(), size)
	}
	sum := newHash()
	n, err := hashPaced(ctx, sum, io.NewSectionReader(f, 0, size), rate)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrSize, n, size)
	}
	if Digest(sum.Sum(nil)) != d {
		return ErrCorrupt
	}
	return nil
}

// hashPaced hashes r with a pause after each piece, so that the rate is never
// exceeded over more than one.
func hashPaced(ctx context.Context, sum hash.Hash, r io.Reader, rate int64) (n int64, err error) {
	piece := make([]byte, bufferSize)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := io.ReadFull(r, piece)
		sum.Write(piece[:m])
		n += int64(m)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if err := pause(ctx, int64(m), rate); err != nil {
			return n, err
		}
	}
}

// pause waits as long as n bytes may take.
func pause(ctx context.Context, n, rate int64) error {
	if rate <= 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// RemoveBlob removes the blob d. One that is gone already is fine. After
// power loss it may be there again.
func (s *Store) RemoveBlob(d Digest) error {
	err := s.replaceable(BlobPath(d))
	if err == nil {
		err = s.remove(BlobPath(d))
	}
	return wrap("remove "+d.String(), err)
}

// Seal makes the blob d, and with it every name that is a hard link of it,
// readable by our own user only (mode 0400): for what is blocked, revoked or
// corrupt and used by nothing else. Errors are those of Stat.
func (s *Store) Seal(d Digest) (Stamp, error) {
	stamp, err := s.setMode(BlobPath(d), 0o400)
	return stamp, wrap("seal "+d.String(), err)
}

// Unseal gives the blob d the mode and group of Options again.
func (s *Store) Unseal(d Digest) (Stamp, error) {
	stamp, err := s.setMode(BlobPath(d), s.opt.FileMode)
	return stamp, wrap("unseal "+d.String(), err)
}

// setMode sets a file's mode, durably.
func (s *Store) setMode(path string, mode fs.FileMode) (Stamp, error) {
	f, err := s.open(path, os.O_RDONLY)
	if err != nil {
		return Stamp{}, err
	}
	defer f.Close()
	if err := errors.Join(s.dress(f, mode), f.Sync()); err != nil {
		return Stamp{}, err
	}
	return FileStamp(f)
}

// Quarantine takes the corrupt blob d out of blobs/: it is kept under
// partial/, sealed, until PruneQuarantine. An earlier one of the same
// digest is replaced. Names that are links of it are the caller's to
// unpublish first. Errors are those of Stat.
func (s *Store) Quarantine(d Digest) error {
	return wrap("quarantine "+d.String(), s.quarantine(d))
}

func (s *Store) quarantine(d Digest) error {
	from, to := BlobPath(d), corruptPath(d)
	if _, err := s.regular(from); err != nil {
		return err
	}
	if err := s.replaceable(to); err != nil {
		return err
	}
	if err := s.root.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(s.chmod(to, 0o400), s.syncDir(path.Dir(from)), s.syncDir(partialDir))
}

// Quarantined lists what is in quarantine, in order of digest.
func (s *Store) Quarantined() ([]Digest, error) {
	digests, err := s.partials(corruptSuffix)
	return digests, wrap("quarantine", err)
}

// PruneQuarantine removes what was put into quarantine before t.
func (s *Store) PruneQuarantine(t time.Time) error {
	digests, err := s.Quarantined()
	for _, d := range digests {
		stamp, e := s.stamp(corruptPath(d))
		if e == nil && stamp.Ctime < t.UnixNano() { // entering it was the last change
			e = s.remove(corruptPath(d))
		}
		err = errors.Join(err, e)
	}
	return wrap("quarantine", err)
}

// admit gives the verified, synced file at tmp its digest name, durably.
func (s *Store) admit(tmp string, d Digest) (Stamp, error) {
	name := BlobPath(d)
	if err := s.makeDir(path.Dir(name), s.dirMode()); err != nil {
		return Stamp{}, err
	}
	if err := s.replaceable(name); err != nil {
		return Stamp{}, err
	}
	if err := s.root.Rename(tmp, name); err != nil {
		return Stamp{}, err
	}
	if err := s.syncDir(path.Dir(name)); err != nil {
		return Stamp{}, err
	}
	return s.stamp(name)
}
