package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vouch/subscriber"
)

// testSession is a session that prints into memory.
func testSession(t *testing.T) (*session, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return &session{out: bufio.NewWriter(&out), err: &out, now: noon, log: newLog(&out, "text", false, false)}, &out
}

func TestTable_ColumnsAreBounded(t *testing.T) {
	tab := newTable("A", "TITLE:6", "C")
	tab.add("1", "äöüäöüäöü", "")
	tab.add("two", "x", "z")
	var b bytes.Buffer
	tab.write(&b, "", nil)
	want := "A    TITLE   C\n1    äöüäö…  -\ntwo  x       z\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{context.Canceled, 1},
		{&usageError{what: "x"}, 2},
		{&refusal{"x", ""}, 2},
		{configErrors{{What: "x"}}, 2},
		{fmt.Errorf("a: %w", subscriber.ErrStorage), 2},
		{fmt.Errorf("a: %w", subscriber.ErrUsage), 2},
		{fmt.Errorf("a: %w", &subscriber.LockedError{PID: 5, Command: "vouch sync"}), 4},
		{status(3), 3},
		{status(5), 5},
		{status(0), 0},
	} {
		if have := exitCode(c.err); have != c.want {
			t.Errorf("%v: %d, want %d", c.err, have, c.want)
		}
	}
}

// Exits 1, 2 and 4 are told in JSON when JSON was asked for; 3 and 5 have
// printed their result already.
func TestReport(t *testing.T) {
	for _, c := range []struct {
		err       error
		json      bool
		out, err2 string
	}{
		{&refusal{"no\x1bthing", "look"}, false, "", "vouch: no\\x1bthing\nhint: look\n"},
		{&refusal{"nothing", "look"}, true, `"error": "nothing"`, ""},
		{&subscriber.LockedError{PID: 5, Command: "vouch sync", Detail: "state"}, true, `"exit": 4`, ""},
		{configErrors{{File: "f", Line: 1, Column: 2, What: "w", Fix: "x"}}, false, "", "f:1:2: w; x\n"},
		{status(3), true, "", ""},
		{status(5), false, "", ""},
	} {
		var out, err2 bytes.Buffer
		report(c.err, c.json, &out, &err2)
		if !strings.Contains(out.String(), c.out) || (c.out == "") != (out.Len() == 0) || err2.String() != c.err2 {
			t.Errorf("%v: stdout %q, stderr %q", c.err, out.String(), err2.String())
		}
	}
}

// Quiet in cron: no news, no text.
func TestNews(t *testing.T) {
	quiet := subscriber.Report{Lists: []subscriber.ListResult{{Result: "unchanged"}}, Images: []subscriber.ImageResult{{Result: "unchanged"}, {Result: "held"}}}
	if news(&quiet) {
		t.Error("nothing happened, and it is news")
	}
	for _, change := range []func(*subscriber.Report){
		func(r *subscriber.Report) { r.Exit = 3 },
		func(r *subscriber.Report) { r.DryRun = true },
		func(r *subscriber.Report) { r.Lists[0].Result = "accepted" },
		func(r *subscriber.Report) { r.Images[0].Result = "withdrawn" },
		func(r *subscriber.Report) { r.Problems = []subscriber.Problem{{}} },
		func(r *subscriber.Report) { r.HeldBack = []subscriber.ImageResult{{}} },
	} {
		r := quiet
		r.Lists, r.Images = append([]subscriber.ListResult{}, r.Lists...), append([]subscriber.ImageResult{}, r.Images...)
		if change(&r); !news(&r) {
			t.Errorf("not news: %+v", r)
		}
	}
}

func TestT45_LogIsPrintable(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var b bytes.Buffer
		log := newLog(&b, format, false, false)
		log.Warn("m\u202e", "text", "\u009b", "error", errors.New("\u202e\x1b"))
		if strings.ContainsAny(b.String(), "\u202e\u009b\x1b") {
			t.Errorf("%s: %q", format, b.String())
		}
	}
}

// What the program knows of durations and sizes, as flags and configuration have them.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{"1h30m": "1h30m0s", "7d": "168h0m0s", "0s": "0s", "1.5h": "", "": "", "5": "", "h": ""} {
		d, ok := subscriber.ParseSpan(text)
		if ok != (want != "") || ok && d.String() != want {
			t.Errorf("%q: %s %t", text, d, ok)
		}
	}
	for text, want := range map[string]int64{"10KiB": 10 << 10, "1.5 GiB": 3 << 29, "2TiB": 2 << 40, "1KB": -1, "-1KiB": -1, "1": -1} {
		n, ok := parseSize(text)
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d %t", text, n, ok)
		}
	}
}

// Bars that are finished, given up or still going all let the program end.
func TestBars(t *testing.T) {
	b := newBars(&bytes.Buffer{})
	done, failed, left := b.Start("a", "", 0, 10), b.Start("b", "t\x1b", 5, 10), b.Start("c", "t", 0, 10)
	b.Advance(done, 10)
	b.Done(done, nil)
	b.Advance(failed, 7)
	b.Done(failed, errors.New("x"))
	b.Advance(left, 3)
	b.Advance(99, 1) // unknown: ignored
	b.finish()
}
