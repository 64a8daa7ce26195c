package metadata

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Schema is the version of the key tree and the row types that this program
// writes.
const Schema = 3

// MinFree is the free space, in bytes, below which the store is not opened
// and nothing is written: badger maps its files, so that a full file system
// is no error to it but a SIGBUS.
const MinFree = 64 << 20

// closeTimeout bounds Close: badger retries a flush that fails for ever.
const closeTimeout = 30 * time.Second

// Errors of this package; test with errors.Is.
var (
	ErrLocked   = errors.New("another process has the metadata open")
	ErrCorrupt  = errors.New("metadata is damaged")                    // see Aside
	ErrSchema   = errors.New("metadata is of a schema not known here") // a newer program's
	ErrNoSpace  = errors.New("less than 64 MiB free")                  // nothing was changed
	ErrTooLarge = errors.New("too large to store")                     // nothing was changed
)

// DB is an open store. One process has it; its methods may be used by
// several goroutines.
type DB struct {
	dir     string
	lock    *os.File
	badger  *badger.DB
	log     *lastError
	attempt *attempt // until the end of Load

	mu     sync.Mutex // of what follows
	meta   metaRow
	broken error // a commit of unknown outcome
	closed bool
}

// Open opens the store in dir, creating an empty one where there is none.
//
// Errors: ErrLocked; ErrNoSpace; ErrSchema; ErrCorrupt, for every failure of
// badger that is not plainly the operating system's, and for the third
// attempt after the process crashed twice between Open and the end of Load. It
// may return a store that is damaged: Load finds that out.
func Open(dir string) (*DB, error) {
	db, err := open(dir)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if err != nil {
		return nil, fmt.Errorf("metadata: open %s: %w", dir, err)
	}
	return db, nil
}

func open(dir string) (*DB, error) {
	if err := os.MkdirAll(filepath.Join(dir, tree), 0o700); err != nil {
		return nil, err
	}
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, err
	}
	if err := room(dir); err != nil {
		return nil, err
	}
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	db := &DB{dir: dir, lock: held, log: &lastError{}}
	if err := db.start(); err != nil {
		return nil, errors.Join(err, unlock(held))
	}
	return db, nil
}

// start does what needs the lock. Its order matters: nothing may reach
// badger that badger would answer by deleting, or by dying.
func (db *DB) start() error {
	if err := inspect(filepath.Join(db.dir, tree)); err != nil {
		return err
	}
	if err := checkFiles(db.dir); err != nil {
		return err
	}
	if err := dropUnborn(filepath.Join(db.dir, tree)); err != nil {
		return err
	}
	var err error
	if db.attempt, err = beginAttempt(db.dir); err != nil {
		return err
	}
	if err := breakSeal(db.dir); err != nil {
		return errors.Join(err, db.endAttempt())
	}
	if err := contain(db.openBadger); err != nil {
		return errors.Join(err, db.endAttempt()) // it failed, but nothing died
	}
	if err := contain(db.readMeta); err != nil {
		return errors.Join(err, contain(db.badger.Close), db.endAttempt())
	}
	return nil
}

// endAttempt may be called more than once.
func (db *DB) endAttempt() error {
	err := db.attempt.end(db.dir)
	db.attempt = nil
	return err
}

func (db *DB) openBadger() error {
	store, err := badger.Open(badgerOptions(filepath.Join(db.dir, tree), db.log))
	if err != nil {
		return classify(err) // store may be there and half open: not to be touched
	}
	db.badger = store
	return nil
}

// tree is the directory under the store's that is badger's own.
const tree = "badger"

// badgerOptions are for a store of some 30 MB that is read once, at start, and
// written little by little ever after: durable commits, no caches, every
// checksum, and tables merged early, so that what is on disk stays within a
// few times what is alive. Nothing is ever large enough for the value log.
func badgerOptions(dir string, log badger.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(log).
		WithSyncWrites(true).
		WithBypassLockGuard(true).  // we hold that lock
		WithDetectConflicts(false). // Update is the only writer, one at a time
		WithMetricsEnabled(false).
		WithMemTableSize(16 << 20).
		WithValueLogFileSize(16 << 20).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithNumLevelZeroTables(2).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithCompression(options.None).
		WithChecksumVerificationMode(options.OnTableRead).
		WithVerifyValueChecksum(true).
		WithCompactL0OnClose(true)
}

// readMeta reads the meta row, refuses or migrates another schema, and
// accepts its absence only in an empty store.
func (db *DB) readMeta() error {
	txn := db.badger.NewTransaction(false)
	defer txn.Discard()
	v, err := value(txn, keyMeta)
	if err != nil {
		return err
	}
	if v == nil {
		if !empty(txn) {
			return corrupt(errors.New("rows but no meta row"))
		}
		db.meta.Schema = Schema
		return nil
	}
	t, err := unwrap(keyMeta, v)
	if err != nil {
		return corrupt(fmt.Errorf("meta row: %w", err))
	}
	if t, err = db.migrate(t); err != nil {
		return err
	}
	if err := decode(t, &db.meta); err != nil {
		return corrupt(fmt.Errorf("meta row: %w", err))
	}
	return nil
}

func empty(txn *badger.Txn) bool {
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	it.Rewind()
	return !it.Valid()
}

// Seq is the number of transactions ever committed to this store.
func (db *DB) Seq() uint64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.meta.Seq
}

// Close flushes, compacts, seals the files with their checksums and gives the
// store up; later calls do nothing. What Update has made durable stays so
// whatever Close returns. With less than MinFree free (ErrNoSpace) it leaves
// the files as a killed process would, and the store locked until the process
// ends; so it does after half a minute without an end of flushing.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed, db.broken = true, errClosed
	if err := room(db.dir); err != nil {
		return fmt.Errorf("metadata: close: %w", err)
	}
	if err := db.shut(); err != nil {
		return fmt.Errorf("metadata: close: %w", err)
	}
	return nil
}

var errClosed = errors.New("metadata: the store is closed")

func (db *DB) shut() error {
	done := make(chan error, 1)
	go func() { done <- contain(db.badger.Close) }()
	select {
	case err := <-done:
		if err == nil {
			err = seal(db.dir)
		}
		return errors.Join(err, db.endAttempt(), unlock(db.lock))
	case <-time.After(closeTimeout):
		return fmt.Errorf("still flushing after %v: %s", closeTimeout, db.log)
	}
}

// contain turns a panic of badger's, in this goroutine, into ErrCorrupt.
func contain(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = corrupt(fmt.Errorf("badger panicked: %.200v", r))
		}
	}()
	return fn()
}

func corrupt(err error) error { return fmt.Errorf("%w: %w", ErrCorrupt, err) }

// classify says what an error of badger.Open means. Badger formats causes
// instead of wrapping them, hence the text.
func classify(err error) error {
	if err == nil {
		return nil
	}
	is := func(s string) bool { return strings.Contains(err.Error(), s) }
	if is(syscall.ENOSPC.Error()) || is(syscall.EDQUOT.Error()) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	for _, system := range []error{syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EMFILE,
		syscall.ENFILE, syscall.ENOMEM, syscall.EIO} {
		if is(system.Error()) {
			return err
		}
	}
	return corrupt(err)
}

// lastError is badger's logger. Badger reports nothing there that a caller
// does not also get as an error, but for the reason of a flush that fails.
type lastError struct{ text atomic.Value }

func (l *lastError) Errorf(format string, args ...any) { l.text.Store(fmt.Sprintf(format, args...)) }
func (l *lastError) Warningf(string, ...any)           {}
func (l *lastError) Infof(string, ...any)              {}
func (l *lastError) Debugf(string, ...any)             {}

func (l *lastError) String() string {
	s, _ := l.text.Load().(string)
	return fmt.Sprintf("%.500q", s)
}
