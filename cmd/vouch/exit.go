package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"vouch/imagelist/publisher"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

// The exit statuses of contract §1.
const (
	exitOK       = 0 // everything asked for is true now
	exitFailure  = 1 // unexpected
	exitUsage    = 2 // usage, configuration, or storage that cannot work; nothing was changed
	exitRefused  = 3 // finished, but something was refused or failed
	exitOwned    = 4 // another process or state owns it
	exitDistrust = 5 // trust unusable
)

// exitStatus ends the program with a status after the result, which says
// why, has been printed. It is an error only in order to travel.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// status turns an exit status into what a verb returns.
func status(code int) error {
	if code == exitOK {
		return nil
	}
	return exitStatus(code)
}

// usageError is a command line that cannot be meant.
type usageError struct {
	command string // as typed, without the program; "" for the program itself
	what    string
	hint    string
}

func (e *usageError) Error() string {
	if e.command == "" {
		return e.what
	}
	return e.command + ": " + e.what
}

// Hint names the page of the manual.
func (e *usageError) Hint() string {
	see := "see vouch --help"
	if e.command != "" {
		see = "see vouch " + e.command + " --help"
	}
	if e.hint != "" {
		return e.hint + " (" + see + ")"
	}
	return see
}

// refusal is an error of the person's making that only the verb could see: a
// name that does not exist, a file that is there already. Exit 2.
type refusal struct{ what, hint string }

func (e *refusal) Error() string { return e.what }

// Hint says what to do instead.
func (e *refusal) Hint() string { return e.hint }

// halfway is an error that came when a part of what was asked for was done and
// recorded: exit 3, since something was changed.
type halfway struct {
	done string // that part
	err  error
	next string // the command that does the rest
}

func (e *halfway) Error() string { return e.done + ", but: " + e.err.Error() }
func (e *halfway) Unwrap() error { return e.err }

// Hint says what to do.
func (e *halfway) Hint() string {
	if h := hint(e.err); h != "" {
		return h + "; then: " + e.next
	}
	return "then: " + e.next
}

// exitCode maps an error to its status.
func exitCode(err error) int {
	var (
		done   exitStatus
		usage  *usageError
		refuse *refusal
		config configErrors
		locked *subscriber.LockedError
		work   *publisher.LockedError
		place  *publisher.NotPublishedError
		half   *halfway
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &done):
		return int(done)
	case errors.As(err, &half):
		return exitRefused
	case errors.As(err, &usage), errors.As(err, &refuse), errors.As(err, &config),
		errors.Is(err, subscriber.ErrStorage), errors.Is(err, subscriber.ErrUsage):
		return exitUsage
	case errors.As(err, &locked), errors.As(err, &work):
		return exitOwned
	case errors.As(err, &place):
		return exitRefused
	}
	return exitFailure
}

// hint is what the error says can be done about it, "" if nothing.
func hint(err error) string { return subscriber.Hint(err) }

// errorDocument is vouch/error/v1: exits 1, 2 and 4 with --output json, and 3
// when a list could not be published.
type errorDocument struct {
	Schema string `json:"schema"`
	Error  string `json:"error"`
	Hint   string `json:"hint"`
	Exit   int    `json:"exit"`
}

// report tells of an error, once, and returns the exit status. An exitStatus
// has told its story already.
func report(err error, asJSON bool, stdout, stderr io.Writer) int {
	code := exitCode(err)
	var done exitStatus
	if err == nil || errors.As(err, &done) {
		return code
	}
	text := err.Error()
	if errors.Is(err, context.Canceled) && code == exitFailure {
		text = "interrupted; what was downloaded is kept"
	}
	if asJSON {
		if werr := writeJSON(stdout, errorDocument{"vouch/error/v1", text, hint(err), code}); werr != nil {
			fmt.Fprintln(stderr, "vouch:", event.Printable(werr.Error()))
		}
		return code
	}
	prefix := "vouch: "
	if _, ok := errors.AsType[configErrors](err); ok {
		prefix = "" // each line begins with its file, for editors to jump to
	}
	if isJournal(stderr) {
		prefix = priorities["ERROR"] + prefix
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(stderr, prefix+event.Printable(line))
	}
	if h := hint(err); h != "" {
		fmt.Fprintln(stderr, "hint:", event.Printable(h))
	}
	return code
}
