package main

// The rules of output.
//
//   - Results go to standard output; logs, progress, warnings and errors to
//     standard error. With --output json standard output is one document
//     (event ls: one line per event) with a schema, and nothing else.
//   - No news, no text: a sync that changed nothing and found nothing wrong
//     prints nothing when its output is not a terminal, so that cron sends no
//     mail. --verbose prints it all the same, --quiet never.
//   - Text from a list, a certificate or a server is hostile. It passes
//     event.Printable before it reaches a terminal, and columns are bounded
//     (T-45). JSON escapes what a terminal might obey.
//   - Colour and progress bars only on a terminal; NO_COLOR is respected.
//   - Times in text are relative to now, in JSON UTC with Z.
//   - A table has one header line; its columns are separated by two spaces or
//     more. Scripts should read JSON, and --format vmcatcher.

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"golang.org/x/term"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// writeJSON writes one document, indented, for people and programs.
func writeJSON(w io.Writer, v any) error {
	return encodeJSON(w, v, jsontext.WithIndent("  "))
}

// writeJSONLine writes one document on one line.
func writeJSONLine(w io.Writer, v any) error { return encodeJSON(w, v) }

func encodeJSON(w io.Writer, v any, opts ...json.Options) error {
	raw, err := json.Marshal(v, append(opts, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsonv1.OmitEmptyWithLegacySemantics(true))...)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	_, err = w.Write(append(event.PrintableJSON(raw), '\n'))
	return err
}

// table collects rows and prints them in columns.
type table struct {
	header []string
	limits []int // widest of each column, 0 = not bounded
	rows   [][]string
}

// newTable takes the headers; "TITLE:40" bounds a column to 40 characters.
func newTable(headers ...string) *table {
	t := &table{}
	for _, h := range headers {
		name, limit, _ := strings.Cut(h, ":")
		n := 0
		fmt.Sscan(limit, &n)
		t.header, t.limits = append(t.header, name), append(t.limits, n)
	}
	return t
}

// add appends a row, made printable and cut to the columns' bounds.
func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch {
		case c == "":
			c = "-"
		case !plain(c):
			c = event.Printable(c)
		}
		row[i] = shortened(c, t.limits[i])
	}
	t.rows = append(t.rows, row)
}

// plain says quickly, of nearly every cell of ten thousand rows, that there is
// nothing in it to escape: printable ASCII only.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// shortened cuts a text to so many characters, the last of them "…".
func shortened(s string, limit int) string {
	if limit <= 0 || len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	r := []rune(s)
	return string(r[:limit-1]) + "…"
}

// write prints the table, each line after the indent. paint may colour a
// cell that is already padded; nil leaves it alone.
func (t *table) write(w io.Writer, indent string, paint func(column, cell string) string) {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	line := func(row []string, paint func(column, cell string) string) {
		io.WriteString(w, indent)
		for i, c := range row {
			padding := ""
			if i < len(row)-1 {
				padding = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2)
			}
			if paint != nil {
				c = paint(t.header[i], c)
			}
			io.WriteString(w, c)
			io.WriteString(w, padding)
		}
		io.WriteString(w, "\n")
	}
	line(t.header, nil)
	for _, row := range t.rows {
		line(row, paint)
	}
}

// relative is a time as a person at 3 a.m. wants it: "in 3 days", "2 h ago".
func relative(t, now time.Time) string { return subscriber.Relative(t, now) }

// span is a duration in its greatest unit.
func span(d time.Duration) string { return subscriber.Span(d) }

// instant is a time in full, for the places where a table would round it.
func instant(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339) + " (" + relative(t, now) + ")"
}

func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// plural is "1 image", "2 images".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// isTerminal says whether w is one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// The colours: of trouble, of what wants attention, of health.
const (
	red    = "31"
	yellow = "33"
	green  = "32"
	bold   = "1"
)

// painter wraps text in a colour when it may.
type painter bool

func (p painter) paint(colour, text string) string {
	if !p || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// newLog makes the log on standard error: warnings, with --verbose everything,
// with --quiet errors only.
func newLog(w io.Writer, format string, verbose, quiet bool) *slog.Logger {
	level := slog.LevelWarn
	switch {
	case verbose:
		level = slog.LevelDebug
	case quiet:
		level = slog.LevelError
	}
	return newLogAt(w, format, level)
}

func newLogAt(w io.Writer, format string, level slog.Level) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: printableAttr}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	if isJournal(w) {
		w, opts.ReplaceAttr = journalWriter{w}, journalAttr
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// printableAttr makes every text of a log record safe for a terminal, and its
// times UTC.
func printableAttr(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(event.Printable(v))
	case time.Time:
		a.Value = slog.TimeValue(v.UTC())
	case error:
		a.Value = slog.StringValue(event.Printable(v.Error()))
	case fmt.Stringer:
		a.Value = slog.StringValue(event.Printable(v.String()))
	}
	return a
}
