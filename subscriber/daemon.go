package subscriber

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"vouch/cache"
	"vouch/subscriber/event"
)

// Timing of the daemon.
const (
	lookEvery   = 5 * time.Second // at directories, the calendar and the wall clock
	stopWithin  = 9 * time.Second // then it leaves as if killed, which loses nothing
	pauseMost   = time.Minute     // after a pass that failed
	eventsApart = time.Second     // between two deliveries that nothing else asks for
)

// patience is how long a pass may take before it is stopped for a refresh;
// longPatience, more than a handler has, before it is for a list that is due.
// Both double while no pass comes to its end (see hurry). Variables for tests.
var (
	patience     = 2 * time.Second
	longPatience = 20 * time.Minute
)

// DaemonState is what a service manager is told.
type DaemonState int

// Ready also ends Reloading. Alive comes at least every few seconds.
const (
	Ready DaemonState = iota
	Reloading
	Stopping
	Alive
)

// DaemonOptions are what Daemon takes. At, NoWait and Progress of the Options
// have no effect. Told and Scrubbed are called beside the other functions.
type DaemonOptions struct {
	Options
	Files    *Files                            // shared with others that read what passes leave; nil for its own
	Journal  *slog.Logger                      // of the daemon's own doings; nil discards
	Load     func() (*Config, error)           // reads the configuration, at start and again
	Apply    func(*Config) error               // takes a configuration that was read, or refuses it and changes nothing; nil takes all
	Watch    []string                          // directories whose change has it read again
	Reload   <-chan os.Signal                  // so does anything that comes here
	Refresh  <-chan string                     // subscriptions to fetch now, by name; others are ignored
	Doubt    <-chan cache.Digest               // blobs that were found to be wrong: hashed again now
	Passed   func(rep *Report, next time.Time) // after each pass; next is the next fetch, zero for never
	Failed   func(err error)                   // after each pass that failed instead
	Told     func(count EventCount)            // after events were delivered between two passes
	Scrubbed func(rep *CheckReport)            // after blobs were hashed again
	Notify   func(state DaemonState)           // may be called from two goroutines; nil tells nobody
}

// Daemon makes passes for ever: Sync for the subscriptions that are due, and
// Pass, without the network, when the calendar, the trust directory or the
// configuration changes what is true. Each takes the state's lock and gives it
// back, so every other operation works beside it. It has no state of its own:
// what it must know is in the snapshot that ReadStatus reads.
//
// A change that only facts can make does not wait for a download or a handler:
// the pass that runs is stopped, which keeps what it has, and begun again. The
// same goes for a refresh, after a moment, for a list that is due, after some
// minutes, and for another operation that wants the state.
//
// It returns nil after ctx has ended, within 10 s. Errors, at start only: those
// of Load and Apply, ErrUsage, ErrStorage, LockedError when another daemon runs. A pass
// that fails is written to the journal and made again.
func Daemon(ctx context.Context, o DaemonOptions) error {
	d := &daemon{DaemonOptions: o, slots: map[string]time.Time{}, attempted: map[string]time.Time{}, owed: map[string]bool{}, asked: map[string]bool{}, doubted: map[string]bool{}}
	if d.Files == nil {
		d.Files = new(Files)
	}
	d.Options = Options{Log: o.Log, Handler: o.Handler, Paced: true, files: d.Files}
	if d.Journal == nil {
		d.Journal = slog.New(slog.DiscardHandler)
	}
	d.conf = newWatch(o.Watch...) // before it is read
	c, err := o.Load()
	if err != nil {
		return err
	}
	table, err := newTimetable(c)
	if err != nil {
		return err
	}
	d.configure(c, table)
	if err := prepareStateDir(c.StateDir, c.Cache.GID); err != nil {
		return err
	}
	lock, err := lockDaemon(c.StateDir)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if d.door, err = openDoor(c.StateDir); err != nil {
		return err
	}
	if err := d.apply(c); err != nil {
		d.door.close()
		return err
	}
	d.trust = newWatch(c.Trust.Anchors)
	d.begin()
	d.notify(Ready)
	defer context.AfterFunc(ctx, func() { d.notify(Stopping) })()
	d.loop(ctx)
	return nil
}

func (d *daemon) loop(ctx context.Context) {
	late := make(chan struct{})
	d.late = late
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWithin, func() { close(late) }) })()
	var beside sync.WaitGroup
	defer func() {
		ended := make(chan struct{})
		go func() { beside.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-late:
		}
	}()
	beside.Go(func() { d.door.serve(ctx) })
	beside.Go(func() { d.scrub(ctx) })
	beside.Go(func() { d.recheck(ctx) })
	for ctx.Err() == nil {
		now := time.Now()
		d.look(now)
		if j := d.next(now); j != nil {
			d.perform(ctx, j)
			continue
		}
		d.wait(ctx, now)
	}
}

const daemonLock = "daemon.lock"

// lockDaemon is for the life of the daemon; the state's own lock is for one pass.
func lockDaemon(dir string) (*flock.Flock, error) {
	path := filepath.Join(dir, daemonLock)
	lock := flock.New(path, flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, storage(fmt.Errorf("daemon lock: %w", err))
	}
	if !ok {
		var h holder
		readJSON(path, &h)
		return nil, withHint(&LockedError{PID: h.PID, Command: h.Command, Detail: "another vouch daemon runs on " + dir}, "one is enough; every other command works beside it")
	}
	l := &stateLock{file: lock, path: path}
	return lock, l.sign(time.Now())
}

// daemon is what a running daemon knows. One goroutine uses it; the pass that
// runs has a copy of the configuration.
type daemon struct {
	DaemonOptions
	cfg    *Config
	shared atomic.Pointer[Config] // cfg, for scrubbing
	table  timetable

	conf, trust *watch
	door        *door
	guests      int  // commands that wait for the state
	status      Mark // of the status that was acted on last

	attempted map[string]time.Time // by the status
	slots     map[string]time.Time // as the timetable said
	owed      map[string]bool      // due now: stopped before they were done, or bytes are gone
	asked     map[string]bool      // somebody said "look now"
	doubted   map[string]bool      // could not be believed: due when trust changes

	afresh bool      // handlers may have been mended: none is waited for in the next pass
	facts  string    // why a pass must be made now; "" when none must
	change time.Time // when the calendar makes one necessary
	acted  time.Time // the change that was acted on
	events time.Time // when an event is to be told again

	hurried  int // passes stopped for what could have waited, one after the other
	failures int
	failed   string          // how it failed last
	pause    time.Time       // nothing is done before
	late     <-chan struct{} // closed when what has not stopped is left behind
	fetch    time.Time       // the next fetch
}

// job is one pass.
type job struct {
	names map[string]time.Time // to fetch, and what to remember as their time
	begun time.Time
	trust uint64 // what of the trust directory had been acted on by then
	run   func(context.Context, *Config) (*Report, error)
	facts bool // it acts on facts

	afresh bool // it waits for no handler's next attempt
}

// begin learns how things were left. What a stopped or killed pass was to
// fetch is due at once; facts may have changed while nobody looked.
func (d *daemon) begin() {
	d.facts, d.afresh = "start", true
	st, err := d.Files.Status(d.cfg.StateDir)
	if err != nil {
		return // the first pass writes it
	}
	for _, s := range st.Subscriptions {
		if s.Attempted.After(st.LastSync) {
			d.owed[s.Name] = true
		}
	}
}

// look notices what changed: the status, which other commands replace too,
// the trust directory, the configuration.
func (d *daemon) look(now time.Time) {
	d.notify(Alive)
	d.readStatus()
	if d.trust.changed(now) {
		d.facts = "trust"
		d.believe()
	}
	if d.conf.changed(now) {
		d.reload()
	}
}

// believe makes due what could not be believed: it may be different now.
func (d *daemon) believe() {
	maps.Copy(d.owed, d.doubted)
	clear(d.doubted)
}

func (d *daemon) readStatus() {
	mark := StatusMark(d.cfg.StateDir)
	if mark == d.status {
		return
	}
	st, err := d.Files.Status(d.cfg.StateDir)
	if err != nil {
		return // the next pass writes a new one
	}
	d.status, d.change, d.events = mark, st.Next, time.Time{}
	for _, s := range st.Subscriptions {
		d.attempted[s.Name] = s.Attempted
	}
	for _, w := range st.Withdrawn { // corrupt, found by whoever does not download, perhaps in the second of a fetch
		if w.Type == string(event.ImageCorrupt) && !w.At.Before(d.attempted[w.Subscription]) {
			d.owed[w.Subscription] = true
		}
	}
	for _, h := range st.Handlers {
		d.events = earlier(d.events, h.Next)
	}
}

// reloadAsked is for a person: whoever asks has perhaps mended a handler.
func (d *daemon) reloadAsked() {
	if d.reload() {
		d.afresh = true
	}
}

// reload takes the configuration as it is now, or keeps the old one whole,
// which is false. The site's veto does not wait for somebody to mend an
// unrelated file.
func (d *daemon) reload() bool {
	d.notify(Reloading)
	defer d.notify(Ready)
	d.conf.settle() // before it is read
	c, err := d.Load()
	var t timetable
	if err == nil {
		t, err = newTimetable(c)
	}
	if err == nil {
		err = d.acceptable(c)
	}
	if err == nil {
		err = d.apply(c)
	}
	if err != nil {
		var advice slog.Attr // an empty one is not shown
		if hint := Hint(err); hint != "" {
			advice = slog.String("hint", hint)
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			d.Journal.Error("configuration not reloaded, the old one stays", "error", line, advice)
		}
		d.reloadBlocks()
		return false
	}
	if c.Trust.Anchors != d.cfg.Trust.Anchors {
		d.trust = newWatch(c.Trust.Anchors)
	}
	for _, sub := range c.Subscriptions { // another selection wants other images
		i := slices.IndexFunc(d.cfg.Subscriptions, func(old Subscription) bool { return old.Name == sub.Name })
		if i >= 0 && !reflect.DeepEqual(d.cfg.Subscriptions[i], sub) {
			d.owed[sub.Name] = true
		}
	}
	if !reflect.DeepEqual(c.Fetch, d.cfg.Fetch) || !reflect.DeepEqual(c.Trust, d.cfg.Trust) || !reflect.DeepEqual(c.Cache, d.cfg.Cache) {
		d.oweTroubled()
	}
	d.configure(c, t)
	d.facts = "configuration"
	d.believe()
	d.Journal.Info("configuration reloaded", "subscriptions", len(c.Subscriptions), "blocks", len(c.Blocks))
	return true
}

// oweTroubled makes lists due that are not well or lack images: what was
// configured anew may be what they were refused for.
func (d *daemon) oweTroubled() {
	st, err := d.Files.Status(d.cfg.StateDir)
	if err != nil {
		return // a pass writes it
	}
	for _, s := range st.Subscriptions {
		if s.State != "ok" || s.Pending > 0 {
			d.owed[s.Name] = true
		}
	}
}

// acceptable refuses what no pass would run with: under the old configuration
// images still expire.
func (d *daemon) acceptable(c *Config) error {
	if c.StateDir != d.cfg.StateDir {
		return usage(fmt.Errorf("state_dir: %s is another state: restart the daemon", c.StateDir))
	}
	for _, dir := range d.cfg.Dirs {
		if !slices.Contains(c.Dirs, dir) {
			return usage(fmt.Errorf("configuration: %s was there and is gone", dir))
		}
	}
	return nil
}

func (d *daemon) apply(c *Config) error {
	if d.Apply == nil {
		return nil
	}
	return d.Apply(c)
}

func (d *daemon) reloadBlocks() {
	if d.cfg.Reload == nil {
		return
	}
	if blocks, err := d.cfg.Reload(); err == nil && !slices.Equal(blocks, d.cfg.Blocks) {
		c := *d.cfg
		c.Blocks = blocks
		d.configure(&c, d.table)
		d.facts = "blocks"
	}
}

func (d *daemon) configure(c *Config, t timetable) {
	d.cfg, d.table = c, t
	d.shared.Store(c)
}

// next is the pass to make now, nil when there is none.
func (d *daemon) next(now time.Time) *job {
	if d.guests > 0 || now.Before(d.pause) {
		return nil
	}
	names, o := d.due(now), d.Options
	o.afresh = d.afresh
	switch {
	case len(names) > 0:
		o := SyncOptions{Options: o, Names: slices.Sorted(maps.Keys(names))}
		return &job{names: names, facts: true, afresh: d.afresh, run: func(ctx context.Context, c *Config) (*Report, error) { return Sync(ctx, c, o) }}
	case d.pressing(now):
		return &job{facts: true, afresh: d.afresh, run: func(ctx context.Context, c *Config) (*Report, error) { return Pass(ctx, c, o) }}
	case reached(d.events, now):
		return &job{afresh: d.afresh, run: func(ctx context.Context, c *Config) (*Report, error) {
			count, err := Deliver(ctx, c, o)
			if d.Told != nil {
				d.Told(count)
			}
			return nil, err
		}}
	}
	return nil
}

// due names what to fetch now.
func (d *daemon) due(now time.Time) map[string]time.Time {
	last := map[string]time.Time{}
	for _, e := range d.table {
		last[e.name] = latest(d.attempted[e.name], d.slots[e.name])
	}
	names, wake := d.table.due(last, now)
	d.fetch = wake
	for _, e := range d.table {
		if (d.owed[e.name] || d.asked[e.name]) && names[e.name].IsZero() {
			names[e.name] = now
		}
	}
	return names
}

// pressing says whether facts wait to be acted on.
func (d *daemon) pressing(now time.Time) bool {
	return d.facts != "" || reached(d.change, now) && !d.change.Equal(d.acted)
}

// reached says that a time has come, and with it the second it is in: a run's
// instant is in whole seconds.
func reached(t, now time.Time) bool {
	return !t.IsZero() && !now.Before(ceil(t))
}

func ceil(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}

// wait sleeps until there may be something to do. The wall clock is looked at
// again every few seconds: it may be set, and the machine may sleep.
func (d *daemon) wait(ctx context.Context, now time.Time) {
	until := now.Add(lookEvery)
	for _, t := range []time.Time{d.fetch, d.change, d.events} {
		if t = latest(t, d.pause); t.After(now) && t.Before(until) {
			until = ceil(t)
		}
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-d.Reload:
		d.reloadAsked()
	case name := <-d.Refresh:
		d.refresh(name)
	case change := <-d.door.came:
		d.guests += change
	}
}

// refresh makes a subscription due now, also when the pass that runs has
// fetched it: what there is to see may be newer.
func (d *daemon) refresh(name string) {
	if slices.ContainsFunc(d.table, func(e timetableEntry) bool { return e.name == name }) {
		d.asked[name] = true
	}
}

func (d *daemon) notify(s DaemonState) {
	if d.Notify != nil {
		d.Notify(s)
	}
}
