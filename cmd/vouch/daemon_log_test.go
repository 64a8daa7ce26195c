package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"vouch/subscriber"
)

// TestDaemonLogSaysWhatIsWrongOnce: the journal names what is wrong and what
// to do, when it begins and when it is over, and not in every pass between.
func TestDaemonLogSaysWhatIsWrongOnce(t *testing.T) {
	var log bytes.Buffer
	st := &subscriber.Status{}
	said := &daemonLog{journal: newLogAt(&log, "text", slog.LevelInfo), status: func() (*subscriber.Status, error) { return st, nil }}
	pass := func(rep *subscriber.Report, want ...string) {
		t.Helper()
		log.Reset()
		passed(said, rep, time.Time{})
		lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
		if log.Len() == 0 {
			lines = nil
		}
		if len(lines) != len(want) {
			t.Fatalf("%d lines, not %d:\n%s", len(lines), len(want), log.String())
		}
		for i, w := range want {
			if !strings.Contains(lines[i], w) {
				t.Errorf("no %s in %s", w, lines[i])
			}
		}
	}
	refused := &subscriber.Report{Exit: exitRefused, Lists: []subscriber.ListResult{{Subscription: "a", Result: "rejected"}}}
	pass(&subscriber.Report{})
	st = &subscriber.Status{Problems: []subscriber.Problem{{Severity: "warning", Subject: "a", Code: "fetch", Detail: "refused", Hint: "wait"}}}
	away := &subscriber.Report{Lists: []subscriber.ListResult{{Subscription: "a", Result: "unreachable"}}}
	pass(away, `level=WARN msg=problem of=a code=fetch severity=warning detail=refused hint=wait`, "level=INFO")
	pass(away)
	st = &subscriber.Status{Problems: []subscriber.Problem{{Severity: "critical", Subject: "a", Code: "signature"}}}
	pass(refused, "code=signature severity=critical", `msg="no problem any more" of=a code=fetch`, "level=WARN")
	pass(refused)
	st = &subscriber.Status{Problems: []subscriber.Problem{{Severity: "critical", Subject: "a", Code: "signature"}, {Severity: "warning", Subject: "a", Code: "fetch", Detail: "the list"}, {Severity: "critical", Subject: "a", Code: "fetch", Detail: "an image"}, {Severity: "warning", Subject: "a", Code: "fetch", Detail: "the list"}}}
	pass(refused, `code=fetch severity=critical detail="an image"`, "level=WARN") // of two the worse
	pass(refused)
	st = &subscriber.Status{Problems: st.Problems[:1]}
	pass(refused, `msg="no problem any more" of=a code=fetch`, "level=WARN")
	st = &subscriber.Status{}
	pass(&subscriber.Report{Lists: []subscriber.ListResult{{Subscription: "a", Version: "7", Result: "accepted"}},
		Images: []subscriber.ImageResult{{Identifier: "i", Version: "2", Subscription: "a", Result: "withdrawn", Reason: "removed", Detail: "CVE"}, {Result: "unchanged"}}},
		`level=INFO msg="list accepted" subscription=a version=7`, `msg="image withdrawn" image=i version=2 subscription=a reason=removed detail=CVE`,
		`msg="no problem any more" of=a code=signature`, "level=INFO")
	pass(&subscriber.Report{Lists: []subscriber.ListResult{{Result: "unchanged"}}})
}

// TestDaemonLogIsShort: a list of ten thousand images is not ten thousand lines.
func TestDaemonLogIsShort(t *testing.T) {
	var log bytes.Buffer
	said := &daemonLog{journal: newLogAt(&log, "text", slog.LevelInfo), status: func() (*subscriber.Status, error) { return nil, subscriber.ErrNoStatus }}
	rep := &subscriber.Report{}
	for n := range loggedImages + 5 {
		rep.Images = append(rep.Images, subscriber.ImageResult{Identifier: fmt.Sprint(n), Result: "available"})
	}
	passed(said, rep, time.Time{})
	if n := strings.Count(log.String(), "\n"); n != loggedImages+2 || !strings.Contains(log.String(), "more=5") {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// TestDaemonLogSaysWhichHandlerFails: once when it begins and once when it is
// over, however many events and attempts there are between.
func TestDaemonLogSaysWhichHandlerFails(t *testing.T) {
	var log bytes.Buffer
	st := &subscriber.Status{}
	said := &daemonLog{journal: newLogAt(&log, "text", slog.LevelInfo), status: func() (*subscriber.Status, error) { return st, nil }}
	told := func(h subscriber.HandlerStatus, want string) {
		t.Helper()
		log.Reset()
		h.Name = "a"
		st.Handlers = []subscriber.HandlerStatus{h}
		if news := said.handlers(); news != (want != "") || !strings.Contains(log.String(), want) || strings.Count(log.String(), "\n") > 1 {
			t.Errorf("%+v: news %v, not %q:\n%s", h, news, want, log.String())
		}
	}
	told(subscriber.HandlerStatus{Pending: 2}, "")
	told(subscriber.HandlerStatus{Pending: 5, Error: "exit status 1"}, `level=WARN msg="handler fails" handler=a waiting=5 error="exit status 1"`)
	told(subscriber.HandlerStatus{Pending: 35, Error: "exit status 2"}, "")
	told(subscriber.HandlerStatus{Pending: 1, Error: "exit status 2"}, "")
	told(subscriber.HandlerStatus{}, `level=INFO msg="handler takes events again" handler=a waited=35`)
	told(subscriber.HandlerStatus{}, "")
	told(subscriber.HandlerStatus{Pending: 1, Error: "exit status 2"}, "handler fails")
	told(subscriber.HandlerStatus{Dead: 1}, "") // given up is not taken
}
