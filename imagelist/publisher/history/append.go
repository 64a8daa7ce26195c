package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

// batch is an Append as history/next announces it: lines that follow the first
// Base ones, and the checkpoint after each.
type batch struct {
	Base        int64    `json:"base"`
	Lines       []string `json:"lines"`
	Checkpoints []string `json:"checkpoints"`
}

// announce writes history/next: the point from which a batch counts.
func (l *Log) announce(b *batch) error {
	raw, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.path(checkpointsDir), 0o755); err != nil {
		return err
	}
	if err := writeSync(l.path(nextName+".new"), raw); err != nil {
		return err
	}
	if err := os.Rename(l.path(nextName+".new"), l.path(nextName)); err != nil {
		return err
	}
	return errors.Join(syncDir(l.path(dirName)), syncDir(l.dir))
}

// apply does what history/next says; the chain has its entries already. It can be done again, and is, whenever it
// was not finished.
func (l *Log) apply(b *batch) error {
	if err := l.writeLines(b.Lines); err != nil {
		return err
	}
	for i, signed := range b.Checkpoints {
		if err := writeSync(l.path(checkpointName(b.Base+int64(i)+1)), []byte(signed)); err != nil {
			return err
		}
	}
	if err := errors.Join(syncDir(l.path(checkpointsDir)), syncDir(l.path(dirName))); err != nil {
		return err
	}
	l.latest = b.Checkpoints[len(b.Checkpoints)-1]
	return os.Remove(l.path(nextName))
}

// writeLines makes the text end with these lines, the chain's last ones,
// whatever stands there now.
func (l *Log) writeLines(lines []string) error {
	f, err := os.OpenFile(l.path(entriesName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	var text []byte
	for _, line := range lines {
		text = append(append(text, line...), '\n')
	}
	offset := l.chain.bytes - int64(len(text))
	err = f.Truncate(offset)
	if err == nil {
		_, err = f.WriteAt(text, offset)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// load reads the history, and finishes or forgets what was interrupted.
func (l *Log) load() error {
	l.broken = true
	l.chain, l.latest = &chain{origin: Origin(l.id)}, ""
	d, err := readDisk(os.DirFS(l.dir))
	if errors.Is(err, ErrNone) {
		l.broken = false
		return nil
	}
	if err != nil {
		return err
	}
	if p := l.resume(d); p != nil {
		return &BrokenError{*p}
	}
	if d.next != nil {
		err = l.apply(d.next)
	} else if len(d.torn) > 0 {
		err = l.writeLines(nil)
	}
	if slices.Contains(d.stray, nextName+".new") {
		err = errors.Join(err, os.Remove(l.path(nextName+".new")))
	}
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	l.broken = false
	return nil
}

// resume makes the chain of what is on disk. The newest checkpoint must be
// over all of it: what stands behind is not signed for, and does not become so
// by being there.
func (l *Log) resume(d *disk) *Problem {
	lines, signed := d.lines, d.newest
	if d.next != nil {
		if signed > d.next.Base+int64(len(d.next.Lines)) || int64(len(lines)) < d.next.Base {
			return &Problem{Where: nextName, Detail: "does not continue the entries that are there"}
		}
		lines, signed = lines[:d.next.Base], d.next.Base
	}
	for i, line := range lines {
		if err := l.chain.add(line); err != nil {
			return d.problem(int64(i), err.Error())
		}
	}
	switch n := l.chain.size(); {
	case l.chain.origin != Origin(l.id):
		return d.problem(0, "the history of another list")
	case signed > n:
		return d.problem(n, fmt.Sprintf("missing: there are checkpoints for %d entries", signed))
	case signed < n:
		return d.problem(signed, "no checkpoint, and no interrupted command that announced it")
	case n > 0:
		if p := l.latestHolds(d, n); p != nil {
			return p
		}
	}
	return l.resumeNext(d.next)
}

func (l *Log) latestHolds(d *disk, n int64) *Problem {
	raw, err := d.checkpoint(n)
	if err == nil {
		err = l.chain.holds(raw)
	}
	if err != nil {
		return &Problem{Where: checkpointName(n), Detail: err.Error()}
	}
	l.latest = raw
	return nil
}

// resumeNext adds what history/next says, if it was signed for.
func (l *Log) resumeNext(next *batch) *Problem {
	if next == nil {
		return nil
	}
	bad := func(detail string) *Problem { return &Problem{Where: nextName, Detail: detail} }
	if len(next.Lines) == 0 || len(next.Lines) != len(next.Checkpoints) {
		return bad("not a line for each checkpoint")
	}
	for i, line := range next.Lines {
		err := l.chain.add([]byte(line))
		if err == nil {
			err = l.chain.holds(next.Checkpoints[i])
		}
		if err != nil {
			return bad(fmt.Sprintf("entry %d: %v", next.Base+int64(i), err))
		}
	}
	return nil
}

func (l *Log) path(name string) string { return filepath.Join(l.dir, name) }

// writeSync writes a file and syncs it. Its name is not durable yet.
func writeSync(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
