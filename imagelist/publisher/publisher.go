// Package publisher is the endorser's workspace (contract §7): the draft of a
// list, the signed versions made of it, and the history that the policy asks
// for (E4 to E7). Unlike imagelist it touches the disk; the network and keys
// are in the packages below it.
//
// A workspace is a directory of plain files, fit for version control, with
// nothing secret in it:
//
//	draft.json       the list in the making; people may edit it
//	workspace.json   what was asked once: who is responsible, the lifetime, the destination
//	history/         the record of every endorsement, removal, signature and publication
//	signed/          every signed list, byte for byte, by version
//	sbom/            the bills of materials that endorsements name, by digest
//	local.json       where certificate, key and image files lie on this machine; not for version control
//	.pending/        an operation that was begun
//	.lock            who is at work
//
// An operation is committed by one rename: everything it will change is
// written under .pending first, then change.json appears there. Killed before
// that, nothing has happened; killed after it, the next Open finishes the
// work. So draft, history and signed lists never disagree.
//
// The history comes first: a removal is recorded before the draft changes, and
// no list is signed that vouches for bytes whose endorsement is not recorded.
package publisher

import (
	"errors"
	"fmt"
	"io/fs"
)

// An Error is of the person's making, or of a state that a person must look at.
// Nothing was changed.
type Error struct {
	What string
	Fix  string // what to do about it
	Err  error  // the cause; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.What
	}
	if e.What == "" {
		return e.Err.Error()
	}
	return e.What + ": " + e.Err.Error()
}

// Hint says what to do.
func (e *Error) Hint() string { return e.Fix }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

func problem(fix, format string, args ...any) error {
	return &Error{What: fmt.Sprintf(format, args...), Fix: fix}
}

// A LockedError says that another process is at work in the workspace.
type LockedError struct {
	Dir     string
	PID     int
	Command string
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: another vouch is at work here: process %d (%s)", e.Dir, e.PID, e.Command)
}

// Hint says what to do.
func (e *LockedError) Hint() string { return "wait for it; a lock dies with its process" }

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
