package metadata

import (
	"fmt"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"vouch/cache"
)

// Load reads everything into memory, as of one transaction. No map of the
// answer is nil, nothing in it is shared with another call, and a field of raw
// JSON that was nil when stored may come back as null.
//
// Errors: ErrCorrupt, when a row is not what was stored, or the rows are not
// all those, and only those, of one transaction. A log that lost its end is
// no error: the answer is then an older transaction's, and its Meta.Seq says
// so. After ErrCorrupt, Close the store and put it Aside.
func (db *DB) Load() (*Snapshot, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, errClosed
	}
	var s *Snapshot
	err := contain(func() (err error) {
		s, err = load(db.badger)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("metadata: load: %w", err)
	}
	if err := db.endAttempt(); err != nil {
		return nil, fmt.Errorf("metadata: load: %w", err)
	}
	return s, nil
}

func load(store *badger.DB) (*Snapshot, error) {
	txn := store.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{}) // values lie beside their keys: nothing to prefetch
	defer it.Close()

	l := newLoader()
	for it.Rewind(); it.Valid(); it.Next() {
		k := string(it.Item().Key())
		err := it.Item().Value(func(v []byte) error { return l.row(k, v) })
		if err != nil {
			return nil, corrupt(fmt.Errorf("row %q: %w", k, err))
		}
	}
	if l.rows != l.meta.Rows || l.sum != l.meta.Sum {
		return nil, corrupt(fmt.Errorf("%d rows are not the %d of transaction %d", l.rows, l.meta.Rows, l.meta.Seq))
	}
	l.Meta = l.meta.Meta
	l.Meta.Schema = Schema // an empty store has no row to say so
	return l.Snapshot, nil
}

// loader fills a snapshot row by row and sums the rows up.
type loader struct {
	*Snapshot
	meta metaRow
	rows int
	sum  uint64
}

func newLoader() *loader {
	return &loader{Snapshot: &Snapshot{
		Subs:      make(map[string]*Subscription),
		Lists:     make(map[string]*List),
		Images:    make(map[ImageKey]*Image),
		Blobs:     make(map[cache.Digest]*Blob),
		Withdrawn: make(map[WithdrawnKey]*Withdrawn),
		Floors:    make(map[string]Floor),
		Owners:    make(map[string]string),
		Approvals: make(map[string]Approval),
		Events:    make(map[uint64]*Event),
	}}
}

// row checks one row and stores it under what its key says.
func (l *loader) row(k string, value []byte) error {
	t, err := unwrap(k, value)
	if err != nil {
		return err
	}
	if k == keyMeta {
		return decode(t, &l.meta)
	}
	sum, err := stated(value)
	if err != nil {
		return err
	}
	l.rows, l.sum = l.rows+1, l.sum+sum

	kind, rest, _ := strings.Cut(k, "/")
	parts := strings.Split(rest, "/")
	fill, ok := fillers[kind]
	if !ok || len(parts) != fill.components {
		return errKey
	}
	return fill.fn(l.Snapshot, parts, t)
}

// fillers, by row type, take a key's components and a row's text.
var fillers = map[string]struct {
	components int
	fn         func(s *Snapshot, parts []string, text []byte) error
}{
	keySub: {1, func(s *Snapshot, p []string, t []byte) error {
		return fill(s.Subs, p[0], t)
	}},
	keyList: {1, func(s *Snapshot, p []string, t []byte) error {
		return fill(s.Lists, p[0], t)
	}},
	keyImage: {2, func(s *Snapshot, p []string, t []byte) error {
		return fill(s.Images, ImageKey{p[0], p[1]}, t)
	}},
	keyBlob: {1, func(s *Snapshot, p []string, t []byte) error {
		d, err := parseDigest(p[0])
		if err != nil {
			return err
		}
		return fill(s.Blobs, d, t)
	}},
	keyGone: {3, func(s *Snapshot, p []string, t []byte) error {
		n, err := parseNumber(p[2])
		if err != nil {
			return err
		}
		return fill(s.Withdrawn, WithdrawnKey{p[0], p[1], n}, t)
	}},
	keyFloor: {1, func(s *Snapshot, p []string, t []byte) error {
		return fillValue(s.Floors, p[0], t)
	}},
	keyOwner: {1, func(s *Snapshot, p []string, t []byte) error {
		return fillValue(s.Owners, p[0], t)
	}},
	keyApproval: {1, func(s *Snapshot, p []string, t []byte) error {
		return fillValue(s.Approvals, p[0], t)
	}},
	keyEvent: {1, func(s *Snapshot, p []string, t []byte) error {
		n, err := parseNumber(p[0])
		if err != nil {
			return err
		}
		return fill(s.Events, n, t)
	}},
}

func fill[K comparable, V any](m map[K]*V, k K, text []byte) error {
	v := new(V)
	m[k] = v
	return decode(text, v)
}

func fillValue[K comparable, V any](m map[K]V, k K, text []byte) error {
	var v V
	err := decode(text, &v)
	m[k] = v
	return err
}
