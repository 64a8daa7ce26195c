// Package subscriber is the site's side of the workflow: which lists to
// believe, which images to have, whom to tell.
//
// # The way of one list
//
// One UTC instant `at`, one snapshot of the anchors and one set of limits per
// run; nothing below Sync asks the clock. A run is one straight line (run.go):
//
//	open      lock, cache, metadata, event log; rebuild what is lost
//	judge     every stored message again, without the network    judge.go
//	inspect   every blob and name against what we left           inspect.go
//	plan      (pure) and withdraw what facts demand              plan.go, withdraw.go
//	fetch     lists, 16 at a time; verify; accept (pure)         update.go, accept.go
//	commit    evidence, then one small transaction         D1    update.go
//	plan      again, now with the new lists
//	ingest    downloads into the cache                     D2    ingest.go
//	publish   names, index.json, one transaction           D3    publish.go
//	deliver   events to handlers                           D4    deliver.go
//	prune     what nobody refers to any more                     prune.go
//
// A list's images are not copied into the metadata: the signed message is the
// record, kept as evidence, verified and decoded again in every run. So the
// transaction of D1 is small whatever the list, and an image that no message
// names today cannot linger in a table.
//
// Recovery is a run: each durable point below says what is true if we die
// there, and the next run's plan finds the rest to do.
//
// The daemon (daemon.go) makes such runs by schedule (schedule.go, pure), when a
// date comes (calendar.go), and when the trust directory or the configuration
// changes (watch.go). It decides when, never what.
//
// # Facts and missing knowledge
//
// Only facts withdraw: revoked, expired, no longer authorised, removed by the
// endorser, blocked or deselected by the site. Missing knowledge (no CRL, no
// answer, an unreadable file) keeps what is published for trust.outage_grace
// and accepts nothing new.
package subscriber

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"vouch/cache"
)

// ErrStorage marks storage that cannot work: unsafe permissions, no space, a
// state directory that is none. Nothing was changed. Exit 2.
var ErrStorage = errors.New("storage")

// ErrUsage marks a request that makes no sense for this site: an unknown
// subscription or image, say. Exit 2.
var ErrUsage = errors.New("usage")

// kindError marks an error without showing in its text.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

func usage(err error) error   { return &kindError{ErrUsage, err} }
func storage(err error) error { return &kindError{ErrStorage, err} }

// full marks what the cache's file system had no room for: no bug, and the next
// run does it.
func full(err error) error {
	if errors.Is(err, cache.ErrNoSpace) {
		return withHint(storage(err), "free space on the cache's file system; the next run does the rest")
	}
	return err
}

// LockedError says that another process, or another state, owns the metadata
// or the cache. Exit 4.
type LockedError struct {
	PID     int    // of the holder; 0 when it is another state
	Command string // its command line
	Detail  string
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return e.Detail
	}
	return fmt.Sprintf("%s (pid %d: %s)", e.Detail, e.PID, e.Command)
}

// hintError carries what to do about an error.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }
func (e *hintError) Hint() string  { return e.hint }

// withHint attaches what to do to an error; nil stays nil.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hintError{err, hint}
}

// Hint returns what to do about an error, or "".
func Hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// inFull is an error and what to do about it, for where only text is kept.
func inFull(err error) string {
	if hint := Hint(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}

// Options are what every operation on the state takes.
type Options struct {
	At       time.Time    // the instant of the run; zero = when it gets the lock
	Log      *slog.Logger // nil discards
	Progress Progress     // nil shows nothing
	NoWait   bool         // do not wait for another process
	Handler  bool         // started from a handler: never waits
	Paced    bool         // events wait for their next attempt; false: every run tries each once

	files  *Files // a daemon's; nil reads them
	afresh bool   // a paced run that waits for no next attempt: handlers may have been mended
}

// SyncOptions are the choices of one sync.
type SyncOptions struct {
	Options
	Names             []string // subscriptions to fetch; empty = all. Expiry and withdrawals are for all
	DryRun            bool
	AcceptWithdrawals bool
}

// Progress watches downloads. Its methods are called from several goroutines.
type Progress interface {
	Start(image, title string, offset, size int64) (id int)
	Advance(id int, done int64)
	Done(id int, err error)
}
