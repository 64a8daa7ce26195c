package subscriber

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"vouch/subscriber/event"
)

// Mark is how a file that is replaced or appended to, never written over, is
// told from what it was before. It is comparable; that of no file is zero.
type Mark struct {
	ino   uint64
	size  int64
	mtime int64
}

// MarkOf is the Mark of what a path leads to now.
func MarkOf(path string) Mark {
	info, err := os.Stat(path)
	if err != nil {
		return Mark{}
	}
	return MarkOfInfo(info)
}

// MarkOfInfo is MarkOf for a file that was looked at already.
func MarkOfInfo(info os.FileInfo) Mark {
	return Mark{info.Sys().(*syscall.Stat_t).Ino, info.Size(), info.ModTime().UnixNano()}
}

// StatusMark changes when there is another status.
func StatusMark(stateDir string) Mark { return MarkOf(filepath.Join(stateDir, statusFile)) }

// IndexMark changes when there is another catalogue.
func IndexMark(cacheDir string) Mark { return MarkOf(filepath.Join(cacheDir, indexFile)) }

// EventsMark changes when something was written to the event log.
func EventsMark(stateDir string) Mark { return MarkOf(filepath.Join(stateDir, eventsFile)) }

const (
	newestEvents = 500
	keptFor      = time.Minute
)

// Files is what people and middleware read of a site, parsed once for all in
// one process that do: read again when its Mark is another one, and forgotten
// when nobody asks for a minute, since a big site's files need more memory than
// a daemon at rest. The zero value may be used from several goroutines. Nobody
// may change what it returns.
type Files struct {
	status kept[*Status]
	index  kept[*Index]
	events kept[[]event.Event]
}

// Status is ReadStatus.
func (f *Files) Status(stateDir string) (*Status, error) {
	return f.status.get(stateDir, StatusMark, ReadStatus)
}

// Index is ReadIndex.
func (f *Files) Index(cacheDir string) (*Index, error) {
	return f.index.get(cacheDir, IndexMark, ReadIndex)
}

// Events are the newest 500, newest first. Errors are those of event.Newest.
func (f *Files) Events(stateDir string) ([]event.Event, error) {
	return f.events.get(stateDir, EventsMark, func(dir string) ([]event.Event, error) { return event.Newest(dir, newestEvents) })
}

// kept is what was read of one file. Whoever comes while it is read waits.
type kept[T any] struct {
	mu     sync.Mutex
	dir    string // "" for nothing
	mark   Mark
	value  T
	forget *time.Timer
}

func (k *kept[T]) get(dir string, markOf func(string) Mark, read func(string) (T, error)) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	mark := markOf(dir) // first: what is replaced while it is read is read again
	if k.dir != dir || k.mark != mark {
		value, err := read(dir)
		if err != nil {
			return value, err
		}
		k.dir, k.mark, k.value = dir, mark, value
	}
	if k.forget == nil {
		k.forget = time.AfterFunc(keptFor, k.drop)
	}
	k.forget.Reset(keptFor)
	return k.value, nil
}

func (k *kept[T]) drop() {
	k.mu.Lock()
	var nothing T
	k.dir, k.value = "", nothing
	k.mu.Unlock()
	debug.FreeOSMemory() // nothing else happens in a daemon at rest
}
