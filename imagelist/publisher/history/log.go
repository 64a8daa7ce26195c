package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"vouch/imagelist"
)

// Log is a history open for writing. It is not safe for concurrent use.
type Log struct {
	dir    string
	id     imagelist.ListID
	key    *Key
	chain  *chain
	latest string // the newest checkpoint; "" while there is no entry
	broken bool   // an Append failed half-way: read everything again
}

// Open opens the history in a workspace for writing, or begins one, and
// finishes what a killed Append left. It hashes every entry, but verifies only
// the signature of the newest checkpoint; Verify looks at them all.
//
// Errors are a *BrokenError when the history cannot be continued as it is, a
// *KeyError when the key lies within the workspace, and those of the file
// system.
func Open(dir string, id imagelist.ListID, key *Key) (*Log, error) {
	if !imagelist.SafeIdentifier(string(id)) {
		return nil, fmt.Errorf("history: list identifier %.200q: not usable as a file name", string(id))
	}
	if key.signer.Name() != Origin(id) {
		return nil, &KeyError{key.path, fmt.Errorf("a key of %q", key.signer.Name()), ""}
	}
	if within(dir, key.path) {
		return nil, &KeyError{key.path, errors.New("lies in the workspace"), "nothing secret belongs there: move it elsewhere"}
	}
	l := &Log{dir: dir, id: id, key: key}
	if err := l.load(); err != nil {
		return nil, err
	}
	return l, nil
}

// within says whether path is below dir, as far as both can be resolved.
func within(dir, path string) bool {
	real := func(p string) string {
		p, err := filepath.Abs(p)
		if err != nil {
			return ""
		}
		if q, err := filepath.EvalSymlinks(p); err == nil {
			return q
		}
		return p
	}
	rel, err := filepath.Rel(real(dir), real(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// Size is the number of entries.
func (l *Log) Size() int64 { return l.chain.size() }

// Entries are the entries, oldest first. The caller does not change them.
func (l *Log) Entries() Entries { return l.chain.entries }

// Checkpoint is the newest signed checkpoint, for vouch:checkpoint of the next
// list; "" before the first entry.
func (l *Log) Checkpoint() string { return l.latest }

// Append adds entries, all or none, and returns when they are on disk. It sets
// Index, Prev, and in entry 0 the list's identifier and the key. A key that the
// history does not know is introduced by an entry of its own, before the
// others and with the responsible of the first.
//
// The order on disk: history/next, which holds the new lines and a signed
// checkpoint for each, is written, synced and given its name. From here on the
// entries count. Then the lines are appended and synced, the checkpoints
// written and synced, and history/next is removed. If we die before next has
// its name, none of it happened; after it, Open does the rest by the same
// function. A size is never signed for twice, and no line that no Append wrote
// is ever signed.
//
// An entry that lacks what the policy asks of its kind is refused, and nothing
// happened. After any other error, entries may be there or not: AppendAt.
func (l *Log) Append(entries ...Entry) error {
	return l.AppendAt(-1, entries...)
}

// AppendAt is Append for who may have done it before: entries are those that
// follow the first size ones (any, when it is negative). Those that are there
// already are skipped, and must be equal but for what Append sets. An error wraps
// ErrDiffers when they are not, or when the history is shorter than size.
func (l *Log) AppendAt(size int64, entries ...Entry) error {
	if l.broken {
		if err := l.load(); err != nil {
			return err
		}
	}
	if size >= 0 {
		var err error
		if entries, err = l.skip(size, entries); err != nil {
			return err
		}
	}
	b, err := l.render(entries)
	if err != nil {
		l.chain.cut(b.Base)
		return err
	}
	if len(b.Lines) == 0 {
		return nil
	}
	l.broken = true // until all of it is done
	if err := l.announce(b); err != nil {
		return fmt.Errorf("history: append: %w", err)
	}
	if err := l.apply(b); err != nil {
		return fmt.Errorf("history: append: %w", err)
	}
	l.broken = false
	return nil
}

// ErrDiffers is the error for entries that are not the ones in the history.
var ErrDiffers = errors.New("other entries are there")

// skip takes those entries away that are there already, at size or, where
// Append put a key first, behind it.
func (l *Log) skip(size int64, entries []Entry) ([]Entry, error) {
	c := l.chain
	if size > c.size() {
		return nil, fmt.Errorf("history: append at %d: %w: %d entries", size, ErrDiffers, c.size())
	}
	for at := size; at < c.size() && len(entries) > 0; at++ {
		have := c.entries[at]
		if have.Kind == NewKey {
			continue
		}
		line, err := l.complete(entries[0], have.Index, have.Key, have.Prev).line()
		if err != nil {
			return nil, fmt.Errorf("history: entry %d: %w", at, err)
		}
		if string(line) != string(c.lines[at]) {
			return nil, fmt.Errorf("history: append at %d: %w: entry %d (%s)", size, ErrDiffers, at, have.Kind)
		}
		entries = entries[1:]
	}
	return entries, nil
}

// complete sets what a caller leaves to Append.
func (l *Log) complete(e Entry, index int64, key, prev string) Entry {
	e.Index, e.Key, e.Prev = index, key, prev
	e.Time, e.List.Expires, e.Image.BuiltAt = e.Time.UTC().Truncate(time.Second), e.List.Expires.UTC(), e.Image.BuiltAt.UTC()
	if index == 0 {
		e.List.Identifier = l.id
	}
	return e
}

// render adds entries to the chain and to the batch that it returns, with a
// key before them when this one is new.
func (l *Log) render(entries []Entry) (*batch, error) {
	b := &batch{Base: l.chain.size()}
	for _, e := range entries {
		if e.Kind == NewKey || e.Key != "" {
			return b, errors.New("history: a key is recorded by Append alone")
		}
		if err := e.complete(); err != nil {
			return b, fmt.Errorf("history: %s entry: %w", e.Kind, err)
		}
		key := l.newKey()
		if key != "" && l.chain.size() > 0 {
			if err := l.add(b, Entry{Time: e.Time, Kind: NewKey, Responsible: e.Responsible}, key); err != nil {
				return b, err
			}
			key = ""
		}
		if err := l.add(b, e, key); err != nil {
			return b, err
		}
	}
	return b, nil
}

// newKey is the key's verifier, if the history does not know it.
func (l *Log) newKey() string {
	if l.chain.keys.knows(l.key.verifier) {
		return ""
	}
	return l.key.verifier
}

// add adds one entry to the chain and the batch, and signs for it.
func (l *Log) add(b *batch, e Entry, key string) error {
	c := l.chain
	line, err := l.complete(e, c.size(), key, c.prev()).line()
	if err == nil {
		err = c.add(line)
	}
	if err != nil {
		return fmt.Errorf("history: %s entry: %w", e.Kind, err)
	}
	signed, err := l.key.sign(c.tree())
	if err != nil {
		return fmt.Errorf("history: checkpoint: %w", err)
	}
	b.Lines = append(b.Lines, string(line))
	b.Checkpoints = append(b.Checkpoints, signed)
	return nil
}
