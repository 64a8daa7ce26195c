package metadata

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"vouch/cache"
	"vouch/subscriber/event"
)

// everything is a snapshot with a row of each type.
func everything() *Snapshot {
	s := newLoader().Snapshot
	s.Meta = Meta{
		Schema: Schema, State: "7f0c", Generation: 1 << 63, Seq: 1, NextEvent: 9, Baseline: "b", Trusted: instant,
		Handlers: map[string]time.Time{"cloud": instant}, Dirs: []string{"blocks.d"}, LastSync: instant,
	}
	s.Subs["vo"] = &Subscription{
		Name: "vo", URL: "https://example.org/list", List: "l", ETag: `"x"`, Attempted: instant,
		Unreachable: true, Result: "accepted",
	}
	s.Lists["l"] = &List{
		Entry:   event.List{Identifier: "l", Title: "ein Titel – <&>\u2028", Endorser: event.Endorser{DN: "/CN=a", CA: "/CN=b"}},
		Message: "m", NotAfter: instant, ToldExpired: true,
	}
	i := image("l", "i", 500)
	i.Resources, i.Mismatch = map[string]string{"cloud": "uuid"}, 3
	s.Images[ImageKey{"l", "i"}] = i
	s.Blobs[digest("i")] = &Blob{Size: 1<<63 - 1, Stamp: cache.Stamp{Ino: 1<<64 - 1}, Checked: instant, Sealed: true}
	s.Withdrawn[WithdrawnKey{"l", "i", 1<<64 - 1}] = &Withdrawn{Entry: i.Entry, Type: event.ImageRevoked, Reason: "r", At: instant}
	s.Floors["l"] = Floor{List: "l", Subscription: "vo", Version: "1", Created: instant, Payload: "p"}
	s.Owners["i"] = "l"
	s.Approvals["i"] = Approval{Image: "i", SHA512: "s", At: instant}
	s.Events[8] = &Event{
		Number:  8,
		Event:   event.Event{ID: "7f0c-8", Type: event.ImageAvailable, Time: instant, Data: json.RawMessage(`{"a":"\u00e9 é","b":[1e400]}`)},
		Pending: map[string]Delivery{"cloud": {Attempts: 2, Next: instant, Dead: true, Error: "e"}},
	}
	return s
}

// put collects all rows of s.
func put(tx *Tx, s *Snapshot) {
	tx.PutMeta(s.Meta)
	for _, r := range s.Subs {
		tx.PutSub(r)
	}
	for _, r := range s.Lists {
		tx.PutList(r)
	}
	for _, r := range s.Images {
		tx.PutImage(r)
	}
	for d, r := range s.Blobs {
		tx.PutBlob(d, r)
	}
	for k, r := range s.Withdrawn {
		tx.PutWithdrawn(k, r)
	}
	for _, r := range s.Floors {
		tx.PutFloor(r)
	}
	for image, list := range s.Owners {
		tx.PutOwner(image, list)
	}
	for _, r := range s.Approvals {
		tx.PutApproval(r)
	}
	for _, r := range s.Events {
		tx.PutEvent(r)
	}
}

func newStore(t *testing.T) *DB {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "state", "metadata"))
}

func TestRoundTrip(t *testing.T) {
	db := newStore(t)
	want := everything()
	update(t, db, func(tx *Tx) { put(tx, want) })
	for _, when := range []string{"written", "reopened"} {
		if got := loaded(t, db); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", when, got, want)
		}
		closed(t, db)
		db = reopen(t, db.dir)
	}
}

func TestDeletes(t *testing.T) {
	db := newStore(t)
	update(t, db, func(tx *Tx) { put(tx, everything()) })
	update(t, db, func(tx *Tx) {
		tx.DeleteSub("vo")
		tx.DeleteList("l")
		tx.DeleteImage(ImageKey{"l", "i"})
		tx.DeleteBlob(digest("i"))
		tx.DeleteWithdrawn(WithdrawnKey{"l", "i", 1<<64 - 1})
		tx.DeleteFloor("l")
		tx.DeleteOwner("i")
		tx.DeleteApproval("i")
		tx.DeleteEvent(8)
		tx.DeleteEvent(7) // never was
	})
	want := newLoader().Snapshot
	want.Meta = everything().Meta
	want.Meta.Seq = 2
	if got := loaded(t, db); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEmptyStore(t *testing.T) {
	db := newStore(t)
	s := loaded(t, db)
	want := newLoader().Snapshot
	want.Meta.Schema = Schema
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v", s)
	}
	update(t, db, func(*Tx) {})
	if db.Seq() != 0 {
		t.Errorf("collecting nothing counted as transaction %d", db.Seq())
	}
	st, err := os.Stat(db.dir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// One row, in one transaction, is what it was left last; a row that is as it
// was is not written again, and each transaction counts.
func TestUpdateTwice(t *testing.T) {
	db := newStore(t)
	for n := range uint64(2) {
		update(t, db, func(tx *Tx) {
			tx.PutOwner("a", "x")
			tx.PutOwner("a", "y")
			tx.PutOwner("b", "x")
			tx.DeleteOwner("b")
			tx.PutOwner("c", "x")
			tx.DeleteOwner("c")
			tx.PutOwner("c", "z")
		})
		s := loaded(t, db)
		if want := map[string]string{"a": "y", "c": "z"}; !reflect.DeepEqual(s.Owners, want) {
			t.Errorf("owners %v", s.Owners)
		}
		if s.Meta.Seq != n+1 || db.Seq() != n+1 {
			t.Errorf("transaction %d: Meta.Seq %d, Seq %d", n+1, s.Meta.Seq, db.Seq())
		}
	}
}

// Text that is not UTF-8 must not be able to fail a transaction.
func TestHostileText(t *testing.T) {
	db := newStore(t)
	update(t, db, func(tx *Tx) {
		tx.PutSub(&Subscription{Name: "vo", ETag: "\xff\x00<"})
		i := image("l", "i", 10)
		i.Entry.Metadata = json.RawMessage("{\"a\":\"\xff\",\"a\":2}")
		tx.PutImage(i)
	})
	if got := loaded(t, db).Subs["vo"].ETag; got != "\ufffd\x00<" {
		t.Errorf("ETag %q", got)
	}
}

func TestRefusedRows(t *testing.T) {
	long := strings.Repeat("x", maxComponent)
	for _, c := range []struct {
		name string
		fn   func(tx *Tx)
		want error // nil for any
	}{
		{"empty identifier", func(tx *Tx) { tx.PutOwner("", "l") }, nil},
		{"slash", func(tx *Tx) { tx.DeleteOwner("a/b") }, nil},
		{"dots", func(tx *Tx) { tx.PutImage(image("..", "i", 1)) }, nil},
		{"no list", func(tx *Tx) { tx.PutImage(image("", "i", 1)) }, nil},
		{"control character", func(tx *Tx) { tx.DeleteList("a\x00") }, nil},
		{"long", func(tx *Tx) { tx.PutSub(&Subscription{Name: long + "x"}) }, nil},
		{"not JSON", func(tx *Tx) {
			tx.PutEvent(&Event{Event: event.Event{Data: json.RawMessage("{")}})
		}, nil},
		{"large row", func(tx *Tx) { tx.PutImage(image("l", "i", 2*MaxRow)) }, ErrTooLarge},
		{"large transaction", func(tx *Tx) {
			for n := range 60 {
				tx.PutImage(image("l", identifier("i", n), 100_000))
			}
		}, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := newStore(t)
			err := db.Update(func(tx *Tx) {
				tx.PutOwner("first", "l")
				c.fn(tx)
				tx.PutOwner("last", "l")
			})
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			update(t, db, func(tx *Tx) { tx.PutOwner(long, "l") })
			if s := loaded(t, db); len(s.Owners) != 1 || s.Meta.Seq != 1 {
				t.Errorf("owners %v at %d", s.Owners, s.Meta.Seq)
			}
		})
	}
}

// A transaction of MaxTx takes one more row, of MaxRow, whatever its rows' size.
func TestMaxTx(t *testing.T) {
	for _, size := range []int{0, 2000, 50_000} {
		db := newStore(t)
		rows := 0
		update(t, db, func(tx *Tx) {
			for ; tx.Size() < MaxTx-1; rows++ {
				if size == 0 {
					tx.PutOwner(identifier("i", rows), "l")
				} else {
					tx.PutImage(image("l", identifier("i", rows), size))
				}
			}
			rows++
			big := image("l", "big", 10)
			big.Entry.Description = strings.Repeat("x", MaxRow-3000)
			tx.PutImage(big)
		})
		s := loaded(t, db)
		if n := len(s.Images) + len(s.Owners); n != rows {
			t.Errorf("%d of %d rows", n, rows)
		}
	}
}

func TestClosedStore(t *testing.T) {
	db := newStore(t)
	closed(t, db)
	closed(t, db)
	if err := db.Update(func(tx *Tx) { tx.PutOwner("i", "l") }); err == nil {
		t.Error("update of a closed store")
	}
}

// raw writes a value as it is, and closes the store.
func raw(t *testing.T, db *DB, key string, value []byte) {
	t.Helper()
	err := db.badger.Update(func(txn *badger.Txn) error { return txn.Set([]byte(key), value) })
	if err != nil {
		t.Fatal(err)
	}
	closed(t, db)
}

func row(t *testing.T, key string, v any) []byte {
	t.Helper()
	value, err := encode(key, v)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Rows that badger finds in order and we do not.
func TestF13_WrongRows(t *testing.T) {
	owner, err := key(keyOwner, "i")
	if err != nil {
		t.Fatal(err)
	}
	flipped := row(t, owner, "l")
	flipped[0] ^= 1
	for _, c := range []struct {
		name, key string
		value     []byte
		want      string // in the error
	}{
		{"wrong checksum", owner, flipped, errChecksum.Error()},
		{"of another key", owner, row(t, "owner/j", "l"), errChecksum.Error()},
		{"too short", owner, []byte("x"), errShort.Error()},
		{"never committed", "owner/stray", row(t, "owner/stray", "l"), "2 rows are not the 1 of"},
		{"older content", owner, row(t, owner, "older"), "1 rows are not the 1 of"},
		{"unknown type", "what/i", row(t, "what/i", "l"), errKey.Error()},
		{"unknown member", "sub/vo", row(t, "sub/vo", map[string]int{"new": 1}), "unknown object member"},
		{"one component too many", "sub/vo/x", row(t, "sub/vo/x", Subscription{}), errKey.Error()},
		{"meta row", keyMeta, binary.BigEndian.AppendUint64(nil, 1), errChecksum.Error()},
		{"event number", "event/1", row(t, "event/1", Event{}), errKey.Error()},
		{"digest", "blob/00", row(t, "blob/00", Blob{}), errKey.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := newStore(t)
			update(t, db, func(tx *Tx) { tx.PutOwner("i", "l") })
			raw(t, db, c.key, c.value)
			db, err := Open(db.dir)
			if err == nil {
				defer db.Close()
				_, err = db.Load()
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestF13_ManifestRemoved(t *testing.T) {
	db := newStore(t)
	fillStore(t, db, 50, 5)
	closed(t, db)
	if err := os.Remove(filepath.Join(db.dir, tree, "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	before := files(t, db.dir)
	for _, sealed := range []bool{true, false} {
		if _, err := Open(db.dir); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("sealed %v: %v", sealed, err)
		}
		if after := files(t, db.dir); !reflect.DeepEqual(before, after) {
			t.Fatalf("sealed %v: %v became %v", sealed, before, after)
		}
		os.Remove(filepath.Join(db.dir, sealName))
		before = files(t, db.dir)
	}
}

func TestF19_NewerSchema(t *testing.T) {
	db := newStore(t)
	update(t, db, func(tx *Tx) { tx.PutOwner("i", "l") })
	raw(t, db, keyMeta, row(t, keyMeta, map[string]any{"schema": Schema + 1, "new": true}))
	if _, err := Open(db.dir); !errors.Is(err, ErrSchema) || errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if _, err := Open(db.dir); !errors.Is(err, ErrSchema) {
		t.Fatalf("second time: %v", err)
	}
}

func TestF19_Migration(t *testing.T) {
	const older = 0 // that there never was
	migrations[older] = func(store *badger.DB) error {
		return store.Update(func(txn *badger.Txn) error {
			return (&metaRow{Meta: Meta{Schema: Schema, State: "migrated"}}).write(txn)
		})
	}
	defer delete(migrations, older)
	db := newStore(t)
	raw(t, db, keyMeta, row(t, keyMeta, map[string]any{"schema": older, "old": true}))
	db = reopen(t, db.dir)
	if s := loaded(t, db); s.Meta.State != "migrated" {
		t.Errorf("%+v", s.Meta)
	}
}

// What a program of an older schema left is there after the migration, all of
// it, and stays when it is opened again. That program refuses what it would have
// to take for damage.
func TestF19_FromOlder(t *testing.T) {
	for older := 1; older < Schema; older++ {
		fromOlder(t, older)
	}
}

func fromOlder(t *testing.T, schema int) {
	db := newStore(t)
	update(t, db, func(tx *Tx) {
		tx.PutOwner("i", "l")
		tx.PutMeta(Meta{State: "s", Generation: 7, Handlers: map[string]time.Time{"h": instant}, Dirs: []string{"/etc/vouch/blocks.d"}})
	})
	want := loaded(t, db)
	text := metaText(t, db)
	old := bytes.Replace(text, fmt.Appendf(nil, `"schema":%d`, Schema), fmt.Appendf(nil, `"schema":%d`, schema), 1)
	if bytes.Equal(old, text) {
		t.Fatalf("meta row: %s", text)
	}
	raw(t, db, keyMeta, row(t, keyMeta, json.RawMessage(old)))
	for range 2 {
		db = reopen(t, db.dir)
		if have := loaded(t, db); !reflect.DeepEqual(have, want) {
			t.Errorf("%+v\nwant %+v", have, want)
		}
		if text := metaText(t, db); !bytes.Contains(text, fmt.Appendf(nil, `"schema":%d`, Schema)) {
			t.Errorf("an older program would read %s", text)
		}
		closed(t, db)
	}
}

func metaText(t *testing.T, db *DB) (text []byte) {
	t.Helper()
	if err := db.badger.View(func(txn *badger.Txn) error {
		v, err := value(txn, keyMeta)
		if err == nil {
			text, err = unwrap(keyMeta, v)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestF13_Aside(t *testing.T) {
	db := newStore(t)
	var moved []string
	for n := range keepAside + 2 {
		closed(t, db)
		to, err := Aside(db.dir, instant.Add(time.Duration(n)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		moved = append(moved, to)
		db = reopen(t, db.dir)
	}
	left, err := filepath.Glob(db.dir + ".corrupt-*")
	if err != nil || !reflect.DeepEqual(left, moved[2:]) {
		t.Errorf("left %v of %v, %v", left, moved, err)
	}
	closed(t, db)
	to, err := Aside(db.dir, instant.AddDate(-1, 0, 0)) // the clock jumped back
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(to); err != nil {
		t.Error(err)
	}
}

// Rewriting the same rows again and again must not grow the store for ever.
func TestBoundedSize(t *testing.T) {
	t.Parallel()
	db := newStore(t)
	const rows, runs = 200, 100 // 0.5 MB of rows, 46 MB written
	for run := range runs {
		update(t, db, func(tx *Tx) {
			for r := range rows {
				i := image("l", identifier("i", r), 2000)
				i.Mismatch = run
				tx.PutImage(i)
			}
		})
	}
	if n := diskUse(t, db.dir); n > 80<<20 {
		t.Errorf("%d MiB while open", n>>20)
	}
	closed(t, db)
	if n := diskUse(t, db.dir); n > 20<<20 {
		t.Errorf("%d MiB when closed", n>>20)
	}
}

// diskUse is the space that the files below dir take, in bytes.
func diskUse(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	for _, name := range files(t, dir) {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n += st.Sys().(*syscall.Stat_t).Blocks * 512
	}
	return n
}
