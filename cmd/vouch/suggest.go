package main

import (
	"strconv"

	"github.com/xrash/smetrics"

	"vouch/subscriber/event"
)

// nearest is the one of words that was probably meant, "" when none is close.
func nearest(word string, words []string) string {
	best, score := "", 0.8
	for _, w := range words {
		if s := smetrics.JaroWinkler(word, w, 0.7, 4); s > score {
			best, score = w, s
		}
	}
	return best
}

// quoted is text for a message to a person: in quotes, with nothing in it
// that a terminal would obey.
func quoted(s string) string { return event.Printable(strconv.Quote(s)) }
