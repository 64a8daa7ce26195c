package serve

import (
	"crypto/sha512"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"vouch/cache"
)

// verdict is whether a file, as it looked at some moment, has the bytes that
// its name says. It is known when done is closed.
type verdict struct {
	stamp cache.Stamp
	done  chan struct{}
	err   error
}

// wrong says that it is known and bad.
func (v *verdict) wrong() bool {
	select {
	case <-v.done:
		return v.err != nil
	default:
		return false
	}
}

// right says that it is known and good.
func (v *verdict) right() bool {
	select {
	case <-v.done:
		return v.err == nil
	default:
		return false
	}
}

// judge hashes blobs that nobody else has judged, each once.
type judge struct {
	server *Server
	slots  chan struct{} // hashing takes a core
	wait   sync.WaitGroup

	mu    sync.Mutex
	known map[cache.Digest]*verdict // of the last stamp
	told  map[cache.Digest]time.Time
}

func (j *judge) init(s *Server) {
	j.server, j.known, j.told = s, map[cache.Digest]*verdict{}, map[cache.Digest]time.Time{}
	j.slots = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
}

// tick is more than the clock of a file system may stand still: two changes
// within it look the same. Who hashes after it, and finds the file as it was
// before, knows that whatever comes later shows.
const tick = 50 * time.Millisecond

// granule is by how much the clock that makes a file's ctime may be behind.
const granule = time.Minute

var sound = func() *verdict {
	v := &verdict{done: make(chan struct{})}
	close(v.done)
	return v
}()

// of is the verdict on an image's blob that looks like this.
func (j *judge) of(i *pictured, stamp cache.Stamp) *verdict {
	if inspected := j.server.look().inspected; stamp.Ctime < inspected.Add(-granule).UnixNano() && !inspected.After(time.Now()) {
		return sound
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if v := j.known[i.digest]; v != nil && v.stamp == stamp {
		return v
	}
	v := &verdict{stamp: stamp, done: make(chan struct{})}
	j.known[i.digest] = v
	j.wait.Go(func() {
		v.err = j.hash(i, stamp)
		close(v.done)
		if v.err == nil {
			return
		}
		if errors.Is(v.err, cache.ErrCorrupt) {
			j.server.doubt(i.digest, v.err)
			return
		}
		j.mu.Lock() // it could not be read: the next request tries again
		defer j.mu.Unlock()
		if j.known[i.digest] == v {
			delete(j.known, i.digest)
		}
	})
	return v
}

// tell says whether the daemon is to be told of a blob, again perhaps.
func (j *judge) tell(d cache.Digest, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now.Sub(j.told[d]) < time.Minute {
		return false
	}
	j.told[d] = now
	return true
}

// hash reads the whole file, which must look like stamp before and after.
func (j *judge) hash(i *pictured, stamp cache.Stamp) error {
	time.Sleep(tick)
	select {
	case j.slots <- struct{}{}:
	case <-j.server.ctx.Done():
		return j.server.ctx.Err()
	}
	defer func() { <-j.slots }()
	f, have, err := j.server.openBlob(i)
	if err != nil {
		return err
	}
	defer f.Close()
	sum, buf := sha512.New(), make([]byte, bufferLen)
	for have == stamp {
		if err := j.server.ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if have, err = cache.FileStamp(f); err != nil {
		return err
	}
	switch {
	case have != stamp:
		return errors.New("touched while it was hashed")
	case cache.Digest(sum.Sum(nil)) != i.digest:
		return cache.ErrCorrupt
	}
	return nil
}
