package subscriber

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"vouch/cache"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// run is one pass over everything: the open stores, the in-memory picture of
// them, and what has been found out so far. It is used by one goroutine; only
// fetching, judging and ingesting fan out, and they hand their results back.
type run struct {
	cfg    *Config
	log    *slog.Logger
	show   Progress
	at     time.Time
	begun  time.Time // for the report's duration only
	dry    bool
	paced  bool // see Options
	afresh bool

	missed time.Time // when the calendar changed something that no pass has acted on yet

	takeOver   bool            // the cache may belong to another state
	only       map[string]bool // subscriptions to fetch and download for; nil = all
	subs       map[string]*Subscription
	base       string          // digest of the configuration, see baseline
	incomplete bool            // a rebuild could not place everything: nothing is pruned
	removals   map[string]bool // subscriptions removed by command
	lock       *stateLock
	db         *metadata.DB
	st         *metadata.Snapshot
	cache      *cache.Store
	elog       *event.Log

	session string // UUID of the run, for handlers
	index   *Index // as last written
	anchors *trust.Store
	noTrust *verdict.Rejection // why nothing new can be believed in this run

	nameless  []Problem                      // refused entries that have no usable identifier
	withdrawn map[metadata.ImageKey][]string // bytes that were once published
	wishing   map[string]bool                // lists whose wishes are known
	judged    map[string]*judgement          // by message digest
	standings map[string]standing            // by list identifier
	foreign   map[metadata.ImageKey]string   // names that lead to something not ours, and what
	corrupt   map[cache.Digest]string        // what inspect found broken, and how
	results   map[metadata.ImageKey]*ImageResult
	awaited   map[metadata.ImageKey]want // what the last plan was to obtain, and has not
	budget    map[string]time.Duration   // what each handler has left for announcements
	synced    bool                       // this is a sync, not a smaller operation
	accept    bool                       // withdrawals of a changed configuration are accepted
	held      bool                       // and some are held back

	tick    *time.Ticker // when to look at the site's blocks and the clock again
	courier *courier
	fresh   []uint64 // events not handed to the courier yet
	shown   int      // events emitted when the status was written last

	heard   bool      // what handlers answered since then
	written time.Time // when that was

	stock       *CacheStatus // nil: to be counted again
	ledgerBytes []byte
	report      *Report
}

// minSpace is what the state's file system must have free before badger is
// opened: a full disk kills it by SIGBUS instead of an error.
const minSpace = 64 << 20

// opening says how a run takes possession.
type opening struct {
	join     bool // a waiting run may do our work
	ask      bool // a daemon is asked to make way although the run waits for nobody else
	urgent   bool // the daemon's pass makes way, although it is the daemon that asks
	takeOver bool // the cache may belong to a state that is gone (cache adopt --take-over)
}

// open takes the lock and opens everything. On error nothing was changed and
// everything is closed again.
func open(ctx context.Context, c *Config, o Options, how opening) (_ *run, joined string, err error) {
	r := &run{
		takeOver: how.takeOver,
		cfg:      c, paced: o.Paced, afresh: o.afresh, log: o.Log, show: o.Progress, at: o.At.UTC(), session: uuid.NewString(),
		judged: map[string]*judgement{}, standings: map[string]standing{}, corrupt: map[cache.Digest]string{}, foreign: map[metadata.ImageKey]string{},
		results: map[metadata.ImageKey]*ImageResult{}, budget: map[string]time.Duration{},
	}
	r.tick = time.NewTicker(time.Second)
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.show == nil {
		r.show = silent{}
	}
	r.report = &Report{Schema: "vouch/report/v1", Started: r.at, Lists: []ListResult{}, Images: []ImageResult{}}
	if err := prepareStateDir(c.StateDir, c.Cache.GID); err != nil {
		return nil, "", err
	}
	long := time.AfterFunc(longWait, func() { r.sayWaiting(o.Paced) })
	r.lock, joined, err = lockState(ctx, c.StateDir, o, how, time.Now())
	long.Stop()
	if err != nil {
		return nil, joined, err
	}
	r.begun = time.Now()
	if o.At.IsZero() { // the instant of the run: the wait for the lock is not part of it
		r.at = r.begun.UTC().Truncate(time.Second)
		r.report.Started = r.at
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	sweepTemps(c.StateDir)
	if err := enoughSpace(c.StateDir); err != nil {
		return nil, "", err
	}
	if err := r.openCache(); err != nil {
		return nil, "", err
	}
	if err := r.openState(ctx); err != nil {
		return nil, "", err
	}
	return r, "", nil
}

// longWait is after how long a run says whom it waits for.
const longWait = time.Minute

// sayWaiting is a warning of the daemon, which acts on nothing meanwhile. A sync
// of cron's may wait for another one's downloads each hour, and nothing is wrong.
func (r *run) sayWaiting(daemon bool) {
	level := slog.LevelInfo
	if daemon {
		level = slog.LevelWarn
	}
	h := holderOf(r.cfg.StateDir)
	r.log.Log(context.Background(), level, "waiting for another vouch", "pid", h.PID, "command", h.Command, "since", h.Since)
}

func enoughSpace(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return storage(fmt.Errorf("state_dir: %w", err))
	}
	if free := s.Bavail * uint64(s.Bsize); free < minSpace {
		return withHint(storage(fmt.Errorf("state_dir: %s has %d MiB free, %d MiB are needed", dir, free>>20, minSpace>>20)), "free some space; nothing was changed or lost")
	}
	return nil
}

func (r *run) openCache() error {
	store, err := cache.Open(r.cfg.Cache.Dir, cache.Options{Publish: r.cfg.Cache.Publish, FileMode: r.cfg.Cache.Mode, GID: r.cfg.Cache.GID})
	if err != nil {
		return storage(err)
	}
	r.cache = store
	return nil
}

// close ends the run. Errors of closing badger are not lost: a transaction
// that returned was already on disk.
func (r *run) close() {
	r.tick.Stop()
	r.dismissCourier()
	if r.elog != nil {
		r.elog.Close()
	}
	if r.db != nil {
		if err := r.db.Close(); err != nil {
			r.log.Warn("close metadata", "error", err)
		}
	}
	if r.cache != nil {
		r.cache.Close()
	}
	r.lock.release()
}

// openState opens the metadata, or rebuilds it when it is lost, damaged or
// behind its seal. The cache must belong to this state on this machine.
func (r *run) openState(ctx context.Context) error {
	mine, err := parseLedger(os.ReadFile(filepath.Join(r.cfg.StateDir, ledgerFile)))
	if err != nil {
		r.problem("warning", "state", "ledger", err.Error(), "the copy in the cache is used instead")
	}
	theirs, err := parseLedger(r.cache.ReadOwner())
	if err != nil {
		r.problem("warning", "cache", "ledger", err.Error(), "the copy in state_dir is used instead")
	}
	if theirs != nil && !r.takeOver && (theirs.Machine != machineID() || theirs.StateDir != r.cfg.StateDir) {
		return withHint(&LockedError{Detail: fmt.Sprintf("cache %s belongs to state %s of %s", r.cfg.Cache.Dir, theirs.State, theirs.StateDir)},
			"if that state is gone for good: vouch cache adopt --take-over")
	}
	known := newer(mine, theirs)
	dir := filepath.Join(r.cfg.StateDir, database)
	why := r.load(dir)
	if why == nil && r.st.Meta.State == "" && known != nil {
		why = errors.New("it is empty")
	}
	if why == nil && r.st.Meta.State != "" {
		if theirs == nil && !r.takeOver && len(r.st.Blobs) > 0 {
			return withHint(storage(fmt.Errorf("cache: %s is empty, but this state keeps %d images there", r.cfg.Cache.Dir, len(r.st.Blobs))),
				"mount it; if it is really lost: vouch cache adopt --take-over")
		}
		return r.settle(known)
	}
	if why != nil && !errors.Is(why, metadata.ErrCorrupt) && r.st == nil {
		return r.openError(why)
	}
	return r.rebuild(ctx, dir, known, why)
}

// openError words what metadata could not do.
func (r *run) openError(err error) error {
	switch {
	case errors.Is(err, metadata.ErrLocked):
		return &LockedError{Detail: "metadata: " + err.Error()}
	case errors.Is(err, metadata.ErrNoSpace):
		return withHint(storage(err), "free some space; nothing was changed or lost")
	default:
		return storage(err)
	}
}

// load opens the database and reads all of it; an error means it cannot be used.
func (r *run) load(dir string) error {
	db, err := metadata.Open(dir)
	if err != nil {
		return err
	}
	st, err := db.Load()
	if err == nil {
		var s seal
		if readJSON(filepath.Join(r.cfg.StateDir, sealFile), &s) == nil && s.State == st.Meta.State && s.Seq > db.Seq() {
			err = fmt.Errorf("%w: %d transactions were written, %d are left", metadata.ErrCorrupt, s.Seq, db.Seq())
		}
	}
	if err != nil {
		db.Close()
		return err
	}
	r.db, r.st = db, st
	return nil
}

// newer picks the ledger that has come further.
func newer(a, b *ledger) *ledger {
	if a == nil || b != nil && b.Generation > a.Generation {
		return b
	}
	return a
}

// settle finishes opening a sound state: the event log catches up with what
// was committed, and the generation with what was shown.
func (r *run) settle(known *ledger) error {
	if err := r.openLog(); err != nil {
		return err
	}
	if err := r.catchUpLog(); err != nil {
		return err
	}
	index, err := ReadIndex(r.cfg.Cache.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.problem("warning", "cache", "index", err.Error(), "it is written anew")
	}
	if index != nil {
		r.index = index
		r.st.Meta.Generation = max(r.st.Meta.Generation, index.Generation)
	}
	if known != nil {
		r.st.Meta.Generation = max(r.st.Meta.Generation, known.Generation)
		for _, f := range known.Floors {
			r.raiseFloor(f)
		}
	}
	return r.checkDirs()
}

func (r *run) openLog() error {
	elog, err := event.OpenLog(r.cfg.StateDir, r.st.Meta.State, r.cfg.Cache.GID)
	if err != nil {
		return storage(fmt.Errorf("event log: %w", err))
	}
	r.elog = elog
	return nil
}

// checkDirs refuses to run when a configuration directory is gone that was
// there before: an unmounted /etc must not look like "unsubscribe everything".
func (r *run) checkDirs() error {
	for _, d := range r.st.Meta.Dirs {
		if !slices.Contains(r.cfg.Dirs, d) {
			return withHint(usage(fmt.Errorf("configuration: %s was there and is gone", d)), "restore it; if it is really no longer wanted, leave it there empty")
		}
	}
	r.st.Meta.Dirs = r.cfg.Dirs
	return nil
}

// problem adds something that is wrong to the report and the status.
func (r *run) problem(severity, subject, code, detail, hint string) {
	r.report.Problems = append(r.report.Problems, Problem{Severity: severity, Subject: subject, Code: code, Detail: detail, Hint: hint})
}

// subscription returns the configured subscription of that name, or nil.
func (r *run) subscription(name string) *Subscription {
	if r.subs == nil {
		r.subs = map[string]*Subscription{}
		for i := range r.cfg.Subscriptions {
			r.subs[r.cfg.Subscriptions[i].Name] = &r.cfg.Subscriptions[i]
		}
	}
	return r.subs[name]
}

// commit makes one transaction; in a dry run only the picture in memory changes.
func (r *run) commit(fn func(*metadata.Tx)) error {
	if r.dry {
		return nil
	}
	if err := r.db.Update(func(tx *metadata.Tx) {
		fn(tx)
		tx.PutMeta(r.st.Meta) // after fn, which may have numbered events
	}); err != nil {
		if errors.Is(err, metadata.ErrNoSpace) {
			return r.openError(err)
		}
		return err
	}
	return nil
}

// commitEach makes n independent changes in as few transactions as fit: a
// fact and its events are always in one.
func (r *run) commitEach(n int, put func(tx *metadata.Tx, i int)) error {
	if r.dry {
		return nil
	}
	for i := 0; i < n; {
		if err := r.commit(func(tx *metadata.Tx) {
			for ; i < n && tx.Size() < metadata.MaxTx; i++ {
				put(tx, i)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

type silent struct{}

func (silent) Start(string, string, int64, int64) int { return 0 }
func (silent) Advance(int, int64)                     {}
func (silent) Done(int, error)                        {}
