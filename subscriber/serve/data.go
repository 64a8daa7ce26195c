package serve

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vouch/cache"
)

// Sending bytes.
const (
	piece     = 1 << 20                // what must go within writeTime: 17 KiB/s at least
	heldBack  = 64 << 10               // of every answer, until it is known to be right
	soon      = 200 * time.Millisecond // for this long a verdict is waited for before anything is sent
	tellTime  = 10 * time.Second       // for the daemon to take a doubt
	bufferLen = 256 << 10
)

// data sends an image's bytes: whole or one range, with sendfile where the
// connection is plain. See the package's comment for what an answer promises.
func (s *Server) data(w http.ResponseWriter, r *http.Request) *problem {
	_, i, p := s.named(r)
	if p != nil {
		return p
	}
	f, stamp, err := s.openBlob(i)
	if err != nil {
		s.doubt(i.digest, err)
		return broken(i)
	}
	defer f.Close()
	v := s.judge.of(i, stamp)
	for range 3 {
		select {
		case <-v.done:
		case <-time.After(soon):
		case <-r.Context().Done():
			return nil
		}
		if !v.wrong() || errors.Is(v.err, cache.ErrCorrupt) {
			break
		}
		// It was touched before it was hashed: the same bytes got another name, say.
		if stamp, err = cache.FileStamp(f); err == nil {
			v = s.judge.of(i, stamp)
		}
	}
	switch corrupt := v.wrong() && errors.Is(v.err, cache.ErrCorrupt); {
	case !corrupt && !v.right() && s.ctx.Err() != nil:
		return stopping()
	case v.wrong():
		return broken(i)
	}
	h := w.Header()
	attachment(w, i.id+".img")
	h.Set("ETag", `"`+i.sha512+`"`)
	h.Set("Repr-Digest", "sha-512=:"+base64.StdEncoding.EncodeToString(i.digest[:])+":") // RFC 9530
	h.Set("Cache-Control", "no-cache")                                                   // it may be withdrawn
	if ranges := r.Header["Range"]; len(ranges) > 1 || !strings.HasPrefix(r.Header.Get("Range"), "bytes=") || strings.Contains(ranges[0], ",") {
		r.Header.Del("Range") // of a unit that nobody knows, or several parts of one file, which are nobody's need: all of it, then (RFC 9110 §14.2)
	}
	send := &sender{ResponseWriter: w, server: s, request: r.Context(), image: i, file: f, stamp: stamp, verdict: v}
	http.ServeContent(send, r, "", time.Time{}, f)
	if send.bad {
		panic(http.ErrAbortHandler) // the only way to end an answer so that nobody takes it for whole
	}
	return nil
}

// broken is the answer while the daemon looks at a blob that is not what it
// should be.
func broken(i *pictured) *problem {
	p := refuse(503, "corrupt", "The image cannot be served now", "it is checked, and downloaded again if its bytes were changed", "")
	p.Image, p.List, p.retry = i.id, i.list, time.Minute
	return p
}

// openBlob opens an image's bytes, which must look as the catalogue says.
func (s *Server) openBlob(i *pictured) (*os.File, cache.Stamp, error) {
	f, info, err := open(s.conf.Load().CacheDir, cache.BlobPath(i.digest))
	if err != nil {
		return nil, cache.Stamp{}, err
	}
	stamp, err := cache.FileStamp(f)
	if err == nil && info.Size() != i.size {
		err = fmt.Errorf("%w: %d bytes instead of %d", cache.ErrSize, info.Size(), i.size)
	}
	if err != nil {
		f.Close()
		return nil, cache.Stamp{}, err
	}
	return f, stamp, nil
}

// open opens a regular file of the cache, and nothing outside it. Neither the
// cache's own names nor anything that a list can say makes it follow a link.
func open(dir, path string) (*os.File, os.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = cache.ErrUnsafe
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// sender is where http.ServeContent writes to. It sends in pieces, each of
// which must go in time, and holds the last part back.
type sender struct {
	http.ResponseWriter
	server  *Server
	request context.Context
	image   *pictured
	file    *os.File
	stamp   cache.Stamp
	verdict *verdict
	bad     bool
	refused bool // an answer of our own was sent
}

// WriteHeader answers a range that there is not in our own words.
func (t *sender) WriteHeader(code int) {
	if code != http.StatusRequestedRangeNotSatisfiable {
		t.ResponseWriter.WriteHeader(code)
		return
	}
	t.refused = true
	refuse(code, "range", "There is no such range", "", "the image has %d bytes", t.image.size).write(t.ResponseWriter)
}

func (t *sender) Write(b []byte) (int, error) {
	if t.refused {
		return len(b), nil
	}
	return t.ResponseWriter.Write(b)
}

var errNotThese = errors.New("not the bytes that were asked for")

// ReadFrom is what io.CopyN calls. The file itself is handed on, so that the
// kernel copies.
func (t *sender) ReadFrom(src io.Reader) (sent int64, err error) {
	all, ok := src.(*io.LimitedReader)
	if !ok {
		return 0, errors.New("sender: not a part of a file") // never
	}
	control := http.NewResponseController(t.ResponseWriter)
	for all.N > 0 && err == nil {
		if all.N <= heldBack {
			control.SetWriteDeadline(time.Time{})
			err = t.settle()
		} else if !t.current() {
			err = errNotThese
		}
		if err != nil {
			t.bad = true
			return sent, err
		}
		n := min(all.N, piece)
		if all.N > heldBack {
			n = min(n, all.N-heldBack)
		}
		control.SetWriteDeadline(time.Now().Add(t.server.pace))
		var moved int64
		moved, err = io.Copy(t.ResponseWriter, &io.LimitedReader{R: all.R, N: n})
		sent, all.N = sent+moved, all.N-moved
		if err == nil && moved < n {
			err = io.ErrUnexpectedEOF
		}
	}
	t.bad = t.bad || err != nil
	return sent, err
}

// settle waits until it is known that what was sent is right.
func (t *sender) settle() error {
	for range 5 {
		select {
		case <-t.verdict.done:
		case <-t.request.Done():
			return t.request.Err()
		case <-t.server.ctx.Done():
			return t.server.ctx.Err()
		}
		now, err := cache.FileStamp(t.file)
		switch {
		case err != nil:
			return err
		case !t.current():
			return errNotThese
		case now == t.stamp:
			return t.verdict.err
		case now.Size != t.stamp.Size || now.Mtime != t.stamp.Mtime:
			t.server.doubt(t.image.digest, cache.ErrCorrupt)
			return errNotThese
		}
		// Only its ctime moved: a name was made or removed, or somebody hides a
		// change. It is hashed.
		t.stamp, t.verdict = now, t.server.judge.of(t.image, now)
	}
	return errNotThese
}

// current says whether the catalogue still names these bytes. While it cannot
// be read nothing is known to have changed.
func (t *sender) current() bool {
	v := t.server.look()
	if v.indexErr != nil {
		return true
	}
	i, _ := v.find(t.image.id, t.image.list)
	return i != nil && i.digest == t.image.digest
}

// doubt tells the daemon of a blob that is not what it should be, not for each
// request anew.
func (s *Server) doubt(d cache.Digest, why error) {
	if !s.judge.tell(d, time.Now()) {
		return
	}
	s.Log.Error("HTTP interface: blob not served", "sha512", d.String(), "error", why)
	if s.Doubt == nil {
		return
	}
	s.judge.wait.Go(func() {
		select {
		case s.Doubt <- d:
		case <-s.ctx.Done():
		case <-time.After(tellTime):
		}
	})
}
