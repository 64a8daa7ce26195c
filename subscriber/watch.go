package subscriber

import (
	"fmt"
	"hash"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"
)

// settleMost is how long a watch waits for files that keep changing: fetch-crl
// replaces one after the other.
const settleMost = 20 * time.Second

// watch notices that files changed by looking at them again and again, which
// works on every file system and costs a few hundred stats.
type watch struct {
	paths []string
	acted uint64    // what was there when somebody acted
	seen  uint64    // what was there at the last look
	since time.Time // of the first look that saw a difference; zero when there is none
}

// newWatch takes what is there now as known.
func newWatch(paths ...string) *watch {
	return &watch{paths: paths, acted: fingerprint(paths)}
}

// settle takes what is there now as acted on.
func (w *watch) settle() { w.acted, w.since = fingerprint(w.paths), time.Time{} }

// changed says that something is different and has come to rest, or has not
// for settleMost. It says so once for each change.
func (w *watch) changed(now time.Time) bool {
	f := fingerprint(w.paths)
	switch {
	case f == w.acted:
		w.since = time.Time{}
		return false
	case w.since.IsZero():
		w.since, w.seen = now, f
		return false
	case f != w.seen && now.Sub(w.since) < settleMost:
		w.seen = f
		return false
	}
	w.acted, w.since = f, time.Time{}
	return true
}

// fingerprint sums up files and the direct entries of directories: names,
// inodes, sizes, times and modes of what they lead to, not contents.
func fingerprint(paths []string) uint64 {
	h := fnv.New64a()
	for _, p := range paths {
		note(h, p)
		entries, err := os.ReadDir(p) // of a file: an error, always the same
		if err != nil {
			continue
		}
		for _, e := range entries {
			note(h, filepath.Join(p, e.Name()))
		}
	}
	return h.Sum64()
}

func note(h hash.Hash64, path string) {
	info, err := os.Stat(path)
	if err != nil {
		fmt.Fprintf(h, "%q -\n", path)
		return
	}
	fmt.Fprintf(h, "%q %v %o\n", path, MarkOfInfo(info), info.Mode())
}
