package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"vouch/cache"
)

// Sizes of a transaction and of a row, in the bytes Tx.Size counts. A caller
// with many rows adds to a transaction while Size is below MaxTx: one more
// row of up to MaxRow still fits.
const (
	MaxTx  = 1_500_000
	MaxRow = 900_000
)

// rowCost is what a row costs badger beside its key and value; with it MaxTx
// bounds the number of rows as well as their bytes.
const rowCost = 128

// Tx collects the rows of one transaction. Nothing is read or written before
// Update commits it, and a row put or deleted twice ends as it was left last.
// A row that cannot be stored (a key that is not an identifier, more than
// MaxRow bytes) fails the whole transaction. A Tx is of no use after the
// function it was given to.
type Tx struct {
	meta *Meta
	ops  []op
	size int
	err  error // the first
}

// op is a row to write, or to delete when value is nil.
type op struct {
	key   string
	value []byte
}

// Size is the number of bytes collected so far, overhead included.
func (tx *Tx) Size() int { return tx.size }

func (tx *Tx) put(row any, kind string, components ...string) {
	k, err := key(kind, components...)
	if err != nil {
		tx.fail(err)
		return
	}
	value, err := encode(k, row)
	if err != nil {
		tx.fail(err)
		return
	}
	if len(value) > MaxRow {
		tx.fail(fmt.Errorf("row %q: %d bytes: %w", k, len(value), ErrTooLarge))
		return
	}
	tx.add(op{k, value})
}

func (tx *Tx) delete(kind string, components ...string) {
	k, err := key(kind, components...)
	if err != nil {
		tx.fail(err)
		return
	}
	tx.add(op{k, nil})
}

func (tx *Tx) add(o op) {
	tx.ops = append(tx.ops, o)
	tx.size += len(o.key) + len(o.value) + rowCost
}

func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// PutMeta replaces the row about the store; its Schema and Seq are ignored,
// Update sets them.
func (tx *Tx) PutMeta(m Meta) {
	m.Handlers, m.Dirs, m.Down = maps.Clone(m.Handlers), slices.Clone(m.Dirs), maps.Clone(m.Down)
	m.Lost = maps.Clone(m.Lost)
	tx.meta = &m
}

// PutSub stores s under s.Name.
func (tx *Tx) PutSub(s *Subscription) { tx.put(s, keySub, s.Name) }

// DeleteSub removes a subscription's row, if there is one, as every Delete does.
func (tx *Tx) DeleteSub(name string) { tx.delete(keySub, name) }

// PutList stores l under l.Entry.Identifier.
func (tx *Tx) PutList(l *List) { tx.put(l, keyList, l.Entry.Identifier) }

// DeleteList removes a list's row, not its images' rows.
func (tx *Tx) DeleteList(id string) { tx.delete(keyList, id) }

// PutImage stores i under i.Entry.List and i.Entry.Identifier, which matter
// even while i is not published.
func (tx *Tx) PutImage(i *Image) { tx.put(i, keyImage, i.Entry.List, i.Entry.Identifier) }

// DeleteImage removes an image's row.
func (tx *Tx) DeleteImage(k ImageKey) { tx.delete(keyImage, k.List, k.ID) }

// PutBlob stores what is known of the blob d.
func (tx *Tx) PutBlob(d cache.Digest, b *Blob) { tx.put(b, keyBlob, d.String()) }

// DeleteBlob removes a blob's row.
func (tx *Tx) DeleteBlob(d cache.Digest) { tx.delete(keyBlob, d.String()) }

// PutWithdrawn stores an image that left.
func (tx *Tx) PutWithdrawn(k WithdrawnKey, w *Withdrawn) {
	tx.put(w, keyGone, k.List, k.ID, number(k.N))
}

// DeleteWithdrawn removes the row of an image that left.
func (tx *Tx) DeleteWithdrawn(k WithdrawnKey) { tx.delete(keyGone, k.List, k.ID, number(k.N)) }

// PutFloor stores f under f.List.
func (tx *Tx) PutFloor(f Floor) { tx.put(f, keyFloor, f.List) }

// DeleteFloor removes a list's floor: older versions of it become acceptable.
func (tx *Tx) DeleteFloor(list string) { tx.delete(keyFloor, list) }

// PutOwner records which list an image identifier belongs to.
func (tx *Tx) PutOwner(image, list string) { tx.put(list, keyOwner, image) }

// DeleteOwner frees an image identifier.
func (tx *Tx) DeleteOwner(image string) { tx.delete(keyOwner, image) }

// PutApproval stores a under a.Image.
func (tx *Tx) PutApproval(a Approval) { tx.put(a, keyApproval, a.Image) }

// DeleteApproval removes the approval of an image.
func (tx *Tx) DeleteApproval(image string) { tx.delete(keyApproval, image) }

// PutEvent stores e under e.Number.
func (tx *Tx) PutEvent(e *Event) { tx.put(e, keyEvent, number(e.Number)) }

// DeleteEvent removes an outbox row.
func (tx *Tx) DeleteEvent(n uint64) { tx.delete(keyEvent, number(n)) }

// Update makes what fn collects durable, as one: after a crash at any moment
// either all of it is there or none, and when Update has returned nil all of
// it. Each transaction that collects something counts Meta.Seq up by one. fn
// is called once, before anything is written.
//
// Errors: ErrNoSpace and ErrTooLarge, after which nothing has changed and the
// store is usable; ErrCorrupt; any other error of committing means that it is
// unknown whether the transaction is on disk, and is the answer to every
// later Update too: close the store and open it again.
func (db *DB) Update(fn func(*Tx)) error {
	tx := &Tx{}
	fn(tx)
	if tx.err != nil {
		return fmt.Errorf("metadata: update: %w", tx.err)
	}
	if len(tx.ops) == 0 && tx.meta == nil {
		return nil
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.broken != nil {
		return db.broken
	}
	if err := room(db.dir); err != nil {
		return fmt.Errorf("metadata: update: %w", err)
	}
	if err := contain(func() error { return db.commit(tx) }); err != nil {
		return fmt.Errorf("metadata: update: %w", err)
	}
	return nil
}

// commit writes tx and the meta row that goes with it.
func (db *DB) commit(tx *Tx) error {
	txn := db.badger.NewTransaction(true)
	defer txn.Discard()
	next := db.meta
	if tx.meta != nil {
		next.Meta = *tx.meta
	}
	next.Schema, next.Seq = Schema, db.meta.Seq+1
	for _, o := range tx.ops {
		if err := next.apply(txn, o); err != nil {
			return tooLarge(err)
		}
	}
	if err := next.write(txn); err != nil {
		return tooLarge(err)
	}
	if err := txn.Commit(); err != nil {
		db.broken = fmt.Errorf("metadata: an earlier commit: %w", err)
		return fmt.Errorf("commit: %w", err)
	}
	db.meta = next
	return nil
}

func tooLarge(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("transaction: %w", ErrTooLarge)
	}
	return err
}

// metaRow is the meta row: Meta, and what proves that the other rows are
// those of the same transaction.
type metaRow struct {
	Meta
	Rows int    `json:"rows"` // number of other rows
	Sum  uint64 `json:"sum"`  // of their checksums, modulo 2^64
}

// apply writes one row and keeps the sum. A row that already has this value
// is left alone, so that writing what has not changed costs no disk space.
func (m *metaRow) apply(txn *badger.Txn, o op) error {
	old, err := value(txn, o.key)
	if err != nil || bytes.Equal(old, o.value) {
		return err
	}
	if old != nil {
		sum, err := stated(old)
		if err != nil {
			return corrupt(fmt.Errorf("row %q: %w", o.key, err))
		}
		m.Rows, m.Sum = m.Rows-1, m.Sum-sum
	}
	if o.value == nil {
		return txn.Delete([]byte(o.key))
	}
	sum, err := stated(o.value)
	if err != nil {
		return err
	}
	m.Rows, m.Sum = m.Rows+1, m.Sum+sum
	return txn.Set([]byte(o.key), o.value)
}

func (m *metaRow) write(txn *badger.Txn) error {
	v, err := encode(keyMeta, m)
	if err != nil {
		return err
	}
	return txn.Set([]byte(keyMeta), v)
}

// value is the value under key, nil if there is none.
func value(txn *badger.Txn, key string) ([]byte, error) {
	item, err := txn.Get([]byte(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, corrupt(fmt.Errorf("row %q: %w", key, err))
	}
	v, err := item.ValueCopy(nil)
	if err != nil {
		return nil, corrupt(fmt.Errorf("row %q: %w", key, err))
	}
	return v, nil
}
