package subscriber

import "time"

// ShowEvery sets how soon answers of handlers show in the status, until undo.
func ShowEvery(d time.Duration) (undo func()) {
	was := showEvery
	showEvery = d
	return func() { showEvery = was }
}

// TellAtMost sets how long a paced run tells, until undo.
func TellAtMost(d time.Duration) (undo func()) {
	was := longestTelling
	longestTelling = d
	return func() { longestTelling = was }
}

// WaitAtMost sets how many events may wait for a handler, until undo.
func WaitAtMost(n int) (undo func()) {
	was := mostWaiting
	mostWaiting = n
	return func() { mostWaiting = was }
}

// Afresh is what the first pass of a daemon runs with.
func Afresh(o Options) Options {
	o.Paced, o.afresh = true, true
	return o
}
