package destination

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
)

// block is what a transfer moves at a time, and what it repeats at most when
// it continues: within a block, a server may have written out of order. Tests
// make it smaller.
var block int64 = 4 << 20

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$`)

// checkImageName refuses what is no plain file name, or the list's own.
func checkImageName(name, list string) error {
	if !plainName.MatchString(name) {
		return hint("use letters, digits, and . _ + - after the first character, at most 200", fmt.Errorf("image name %q", name))
	}
	if name == list {
		return hint("give the image another name", fmt.Errorf("image name %q is the list's", name))
	}
	return nil
}

// A source is the file of an image, held open while it is sent.
type source struct {
	*os.File
	info fs.FileInfo
	sum  [sha512.Size]byte
}

// openSource opens and hashes the file at path, which must have the digest sum.
// That is part of the partial's name too, so that a transfer continues only
// with the same bytes.
func openSource(ctx context.Context, path string, sum [sha512.Size]byte) (*source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &source{File: f}
	if s.info, err = f.Stat(); err == nil && !s.info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no regular file", path)
	}
	if err == nil && s.info.Size() == 0 {
		err = fmt.Errorf("%q is empty", path)
	}
	if err == nil {
		s.sum, err = digest(ctx, io.NewSectionReader(f, 0, s.info.Size()))
	}
	if err == nil && s.sum != sum {
		err = fmt.Errorf("%q: %w", path, ErrOtherBytes)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// unchanged fails when the file was written to since it was opened.
func (s *source) unchanged() error {
	fi, err := os.Stat(s.Name())
	if err != nil {
		return err
	}
	if !os.SameFile(fi, s.info) || fi.Size() != s.info.Size() || !fi.ModTime().Equal(s.info.ModTime()) {
		return hint("upload again when nothing writes to it", fmt.Errorf("%q changed while it was read", s.Name()))
	}
	return nil
}

// digest hashes r until it ends or ctx is over.
func digest(ctx context.Context, r io.Reader) (sum [sha512.Size]byte, err error) {
	h := sha512.New()
	buf := make([]byte, 1<<20)
	for {
		if ctx.Err() != nil {
			return sum, context.Cause(ctx)
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return [sha512.Size]byte(h.Sum(nil)), nil
		}
		if err != nil {
			return sum, err
		}
	}
}

// An upload is one image on its way into a tree.
type upload struct {
	t         tree
	src       *source
	name      string
	overwrite bool
	hash      bool // the tree can be read cheaply: compare digests, not samples
	progress  Progress
	done      Uploaded
}

// run sends the image into a partial file beside and renames it at the end.
// Killed anywhere it leaves the partial, with which the next run continues.
func (u *upload) run(ctx context.Context) error {
	u.done.Size = u.src.info.Size()
	there, err := u.present(ctx)
	if err != nil || u.done.Skipped {
		return err
	}
	part := fmt.Sprintf(".%s.%s.part", u.name, hex.EncodeToString(u.src.sum[:8]))
	if err := u.fill(ctx, part); err != nil {
		return fmt.Errorf("%q: %w", part, err)
	}
	if err := u.src.unchanged(); err != nil {
		u.t.remove(part)
		return err
	}
	if there {
		err = u.t.rename(part, u.name)
	} else {
		err = u.t.renameNew(part, u.name)
	}
	if err != nil {
		return fmt.Errorf("rename to %q: %w", u.name, err)
	}
	removeLeftovers(u.t, u.name, ".part", "")
	return wrap("flush directory", u.t.sync())
}

// present judges what has the name already: nothing, the same bytes (then it
// sets Skipped), or others, which may be replaced only if the caller said so.
func (u *upload) present(ctx context.Context) (bool, error) {
	fi, err := u.t.lstat(u.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = regular(fi)
	}
	if err != nil {
		return false, fmt.Errorf("%q: %w", u.name, err)
	}
	if fi.Size() == u.done.Size {
		same, err := u.matches(ctx)
		if err != nil {
			return false, fmt.Errorf("%q: %w", u.name, err)
		}
		if same {
			u.done.Skipped, u.done.Verified = true, u.hash
			return true, nil
		}
	}
	if !u.overwrite {
		return false, occupied(u.name)
	}
	return true, nil
}

func occupied(name string) error {
	return hint("use a new file name for new bytes: sites that have the current list would fetch the new bytes under the old checksum, and refuse them",
		fmt.Errorf("%q is there with other bytes", name))
}

// matches compares what has the name, which has the right size: its digest,
// or over a network 16 samples, which tell other content apart but prove nothing.
func (u *upload) matches(ctx context.Context) (bool, error) {
	f, err := u.t.open(u.name, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if u.hash {
		sum, err := digest(ctx, f)
		return sum == u.src.sum, err
	}
	const samples, length = 16, 64 << 10
	step := max((u.done.Size-length)/(samples-1), 1)
	for at := int64(0); at < u.done.Size; at += step {
		same, err := equalAt(f, u.src, at, min(length, u.done.Size-at))
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// equalAt compares n bytes of both at off.
func equalAt(a, b io.ReaderAt, off, n int64) (bool, error) {
	x, y := make([]byte, n), make([]byte, n)
	if _, err := a.ReadAt(x, off); err != nil && err != io.EOF {
		return false, err
	}
	if _, err := b.ReadAt(y, off); err != nil && err != io.EOF {
		return false, err
	}
	return string(x) == string(y), nil
}

// fill makes the partial whole, durable and readable by the web server.
func (u *upload) fill(ctx context.Context, part string) (err error) {
	f, err := u.t.open(part, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	if u.done.Resumed, err = u.resume(f); err != nil {
		return err
	}
	if err := u.send(ctx, f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != u.done.Size {
		return fmt.Errorf("has %d bytes instead of %d", fi.Size(), u.done.Size)
	}
	return u.verify(ctx, f, part)
}

// resume is where to continue: the last block boundary below the partial's
// end, if the block before it is the image's. A server that crashed may have
// kept the size and lost the bytes.
func (u *upload) resume(f file) (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := regular(fi); err != nil {
		return 0, err
	}
	if n := (fi.Size() - 1) / block * block; n > 0 && fi.Size() <= u.done.Size {
		if same, err := equalAt(f, u.src, n-block, block); err != nil || same {
			return n, err
		}
	}
	if fi.Size() == 0 {
		return 0, nil
	}
	return 0, f.Truncate(0)
}

func (u *upload) send(ctx context.Context, f file) error {
	buf := make([]byte, block)
	for off := u.done.Resumed; ; {
		if u.progress != nil {
			u.progress(off, u.done.Size)
		}
		if off == u.done.Size {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := u.copyAt(f, buf[:min(block, u.done.Size-off)], off)
		if err != nil {
			return err
		}
		off += n
	}
}

// copyAt moves one block. Between files of this machine the kernel does it,
// sharing the bytes where the file system can.
func (u *upload) copyAt(f file, buf []byte, off int64) (int64, error) {
	if to, ok := f.(*os.File); ok {
		if _, err := to.Seek(off, io.SeekStart); err != nil {
			return 0, err
		}
		if _, err := u.src.Seek(off, io.SeekStart); err != nil {
			return 0, err
		}
		n, err := to.ReadFrom(io.LimitReader(u.src.File, int64(len(buf)))) // copy_file_range
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	if _, err := u.src.ReadAt(buf, off); err != nil {
		return 0, err
	}
	n, err := f.WriteAt(buf, off)
	return int64(n), err
}

// verify hashes what was written, if that is cheap.
func (u *upload) verify(ctx context.Context, f file, part string) error {
	if !u.hash {
		return nil
	}
	sum, err := digest(ctx, io.NewSectionReader(f, 0, u.done.Size))
	if err != nil {
		return err
	}
	if sum != u.src.sum {
		u.t.remove(part)
		return hint("did the file change meanwhile? upload again; if it happens again, test the disk", errors.New("what was written has another digest"))
	}
	u.done.Verified = true
	return nil
}

// uploadInto is Upload for both kinds of tree.
func uploadInto(ctx context.Context, t tree, list, name, file string, sum [sha512.Size]byte, hash bool, o Options, progress Progress) (Uploaded, error) {
	if err := checkImageName(name, path.Base(list)); err != nil {
		return Uploaded{}, err
	}
	src, err := openSource(ctx, file, sum)
	if err != nil {
		return Uploaded{}, err
	}
	defer src.Close()
	u := upload{t: t, src: src, name: name, overwrite: o.Overwrite, hash: hash, progress: progress}
	err = u.run(ctx)
	return u.done, err
}
