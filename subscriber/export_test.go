package subscriber

import "time"

// TellAtMost sets how long a paced run tells, until undo.
func TellAtMost(d time.Duration) (undo func()) {
	was := longestTelling
	longestTelling = d
	return func() { longestTelling = was }
}
