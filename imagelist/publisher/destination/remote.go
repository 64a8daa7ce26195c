package destination

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

// remote is a file on a server that ssh reaches. It promises: readers find the
// old list or the new one, whole (posix-rename@openssh.com; a server without
// it is refused once there is a list to replace); durable before Replace
// returns if the server offers fsync@openssh.com, else a note says that it
// does not. SFTP has no locks: publishers keep each other out with a lock
// file, which the next one removes when its owner was killed.
type remote struct {
	place
	o         Options
	dir, name string
	s         *session      // nil before the first and after a lost connection
	stale     time.Duration // a lock beside which nothing moves for so long has no owner
}

func openRemote(ctx context.Context, p place, o Options) (Destination, error) {
	r := &remote{place: p, o: o, dir: path.Dir(p.path), name: path.Base(p.path), stale: 15 * time.Second}
	err := r.do(ctx, func(t remoteDir) error {
		fi, err := t.c.Stat(r.dir)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.IsDir() {
			return noDirectory(fmt.Errorf("%q: no such directory", r.dir))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *remote) String() string { return r.text }

func (r *remote) Close() error {
	if r.s != nil {
		r.s.close()
		r.s = nil
	}
	return nil
}

// do calls fn with a connection. One that was lost is made again by the next
// call, so that a failed Replace can look what is live.
func (r *remote) do(ctx context.Context, fn func(remoteDir) error) error {
	if r.s == nil {
		s, err := dial(ctx, r.o.SSH, r.place)
		if err != nil {
			return fmt.Errorf("%s: connect: %w", r, err)
		}
		r.s = s
	}
	s := r.s
	stop := context.AfterFunc(ctx, s.kill)
	err := fn(remoteDir{s.Client, r.dir, r.o.note, r.stale})
	alive := err == nil || answers(s)
	if !stop() || !alive {
		s.close()
		r.s = nil
	}
	if !alive {
		err = s.explain(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r, advise(err))
	}
	return nil
}

// answers tells a server that said no from a connection that is gone.
func answers(s *session) bool {
	_, err := s.Getwd()
	return err == nil
}

func (r *remote) Read(ctx context.Context) (live *Live, err error) {
	err = r.do(ctx, func(t remoteDir) error {
		live, _, err = readList(t, r.name)
		return err
	})
	return live, err
}

func (r *remote) Replace(ctx context.Context, content []byte, old *Live) error {
	err := r.do(ctx, func(t remoteDir) error {
		if _, ok := t.c.HasExtension(posixRename); !ok && old != nil {
			return noRename()
		}
		return replaceList(ctx, t, r.text, r.name, content, old)
	})
	if err == nil {
		err = served(ctx, r, content)
	}
	if err != nil {
		return failed(ctx, r, content, old, err)
	}
	return nil
}

// Upload sends the file in blocks. What arrived is not hashed, since SFTP
// cannot; its size is compared.
func (r *remote) Upload(ctx context.Context, name, file string, sum [sha512.Size]byte, progress Progress) (done Uploaded, err error) {
	err = r.do(ctx, func(t remoteDir) error {
		done, err = uploadInto(ctx, t, r.name, name, file, sum, false, r.o, progress)
		return wrap("upload", err)
	})
	return done, err
}

const (
	posixRename = "posix-rename@openssh.com"
	fsyncFile   = "fsync@openssh.com"
)

func noRename() error {
	return hint("removing the list before its successor is there would leave sites without one; use an OpenSSH server, or another way to publish",
		errors.New("the server cannot replace a file atomically ("+posixRename+")"))
}

// remoteDir is a directory behind SFTP.
type remoteDir struct {
	c     *sftp.Client
	dir   string
	note  func(string)
	stale time.Duration
}

func (d remoteDir) at(name string) string                  { return path.Join(d.dir, name) }
func (d remoteDir) lstat(name string) (fs.FileInfo, error) { return d.c.Lstat(d.at(name)) }
func (d remoteDir) remove(name string) error               { return d.c.Remove(d.at(name)) }
func (d remoteDir) can(extension string) bool              { _, ok := d.c.HasExtension(extension); return ok }

func (d remoteDir) open(name string, flag int) (file, error) {
	f, err := d.c.OpenFile(d.at(name), flag)
	if err != nil {
		return nil, err
	}
	return remoteFile{f, d.can(fsyncFile)}, nil
}

func (d remoteDir) rename(from, to string) error {
	if !d.can(posixRename) {
		return noRename()
	}
	return d.c.PosixRename(d.at(from), d.at(to))
}

// renameNew is SFTP's own rename, which does not replace.
func (d remoteDir) renameNew(from, to string) error { return d.c.Rename(d.at(from), d.at(to)) }

func (d remoteDir) names() ([]string, error) {
	infos, err := d.c.ReadDir(d.dir)
	var names []string
	for _, fi := range infos {
		names = append(names, fi.Name())
	}
	return names, err
}

// sync flushes the directory by opening it as a file, which OpenSSH on Linux
// allows. Where that is not so, the server's file system decides when.
func (d remoteDir) sync() error {
	if !d.can(fsyncFile) {
		d.note("the server cannot be asked to flush to disk (" + fsyncFile + "): a power failure there within the next minute could bring the old state back")
		return nil
	}
	if f, err := d.c.Open(d.dir); err == nil {
		f.Sync()
		f.Close()
	}
	return nil
}

// remoteFile is a file whose Sync does nothing where the server cannot.
type remoteFile struct {
	*sftp.File
	fsync bool
}

func (f remoteFile) Sync() error {
	if !f.fsync {
		return nil
	}
	return f.File.Sync()
}

// lock makes the lock file, exclusively. One beside which nothing changed for
// the stale time was left by a killed publisher and is removed. Two that find
// the same leftover at the same instant may both go on: the look before the
// rename stands between them.
func (d remoteDir) lock(ctx context.Context, list string) (func(), error) {
	name, mine := "."+list+".lock", rand.Text()
	var seen string
	since, failures, told := time.Now(), 0, false
	for {
		err := d.create(name, mine)
		if err == nil {
			return func() { d.unlock(name, mine) }, nil
		}
		if _, gone := d.lstat(name); gone != nil { // released just now, or it cannot be made at all
			if failures++; failures > 3 {
				return nil, fmt.Errorf("create lock: %w", err)
			}
		} else if !told {
			told = true
			d.note("another publisher is at work there, or was killed: waiting")
		}
		if now := d.traces(list); now != seen {
			seen, since = now, time.Now()
		} else if time.Since(since) > d.stale {
			d.remove(name)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(min(200*time.Millisecond, d.stale/4)):
		}
	}
}

func (d remoteDir) create(name, content string) error {
	f, err := d.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	if err = errors.Join(err, f.Close()); err != nil {
		d.remove(name)
	}
	return err
}

// unlock removes the lock if nobody has taken it over.
func (d remoteDir) unlock(name, mine string) {
	f, err := d.open(name, os.O_RDONLY)
	if err != nil {
		return
	}
	defer f.Close()
	text := make([]byte, len(mine))
	if n, _ := f.ReadAt(text, 0); string(text[:n]) == mine {
		d.remove(name)
	}
}

// traces changes while another publisher of list makes headway.
func (d remoteDir) traces(list string) string {
	infos, err := d.c.ReadDir(d.dir)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, fi := range infos {
		if strings.HasPrefix(fi.Name(), "."+list+".") {
			fmt.Fprintln(&b, fi.Name(), fi.Size(), fi.ModTime())
		}
	}
	return b.String()
}
