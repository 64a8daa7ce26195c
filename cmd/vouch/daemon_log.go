package main

import (
	"log/slog"

	"vouch/subscriber"
)

// Of one pass so many images stand in the log; all are in the event log.
const loggedImages = 20

// daemonLog writes what passes did: each image that came or went, and each
// problem of "vouch status" twice, when it is there and when it is over. A
// problem that stays is no news, or a bad list among a thousand would be told
// of in every pass. So it is with a handler that fails, whatever waits for it
// and however often it is tried.
type daemonLog struct {
	journal *slog.Logger
	status  func() (*subscriber.Status, error)
	wrong   map[problemKey]subscriber.Problem // as it was said last
	failing map[string]failure                // handlers that were said to fail
}

// failure is what a handler that fails is owed, and what it had given up when
// that began.
type failure struct{ waited, dead int }

// problemKey tells problems apart; the detail of one changes while it lasts.
type problemKey struct{ subject, code string }

// pass writes what is news, and returns whether anything was.
func (l *daemonLog) pass(rep *subscriber.Report) bool {
	changed := false
	for _, r := range rep.Lists {
		if r.Result == "accepted" {
			l.journal.Info("list accepted", "subscription", r.Subscription, "version", r.Version)
			changed = true
		}
	}
	images, problems, handlers := l.images(rep.Images), l.problems(), l.handlers()
	return changed || images || problems || handlers
}

// handlers writes which handler begins to fail and which one takes events
// again, and returns whether any does. Events that it does not take for good
// are said as they are given up.
func (l *daemonLog) handlers() bool {
	st, err := l.status()
	if err != nil {
		return false
	}
	now, changed := map[string]failure{}, false
	for _, h := range st.Handlers {
		f, said := l.failing[h.Name]
		if h.Error != "" {
			if !said {
				f.dead, changed = h.Dead, true
				l.journal.Warn("handler fails", "handler", h.Name, "waiting", h.Pending, "error", h.Error, "hint", "it is tried again; vouch event ls --pending shows what waits")
			}
			f.waited = max(f.waited, h.Pending)
			now[h.Name] = f
		} else if said && h.Dead <= f.dead {
			l.journal.Info("handler takes events again", "handler", h.Name, "waited", f.waited)
			changed = true
		}
	}
	l.failing = now
	return changed
}

func (l *daemonLog) images(images []subscriber.ImageResult) bool {
	n := 0
	for _, i := range images {
		switch i.Result {
		case "available", "updated", "withdrawn":
		default:
			continue // failed ones are a problem
		}
		if n++; n > loggedImages {
			continue
		}
		args := []any{"image", i.Identifier, "version", i.Version, "subscription", i.Subscription}
		if i.Reason != "" {
			args = append(args, "reason", i.Reason, "detail", i.Detail)
		}
		l.journal.Info("image "+i.Result, args...)
	}
	if n > loggedImages {
		l.journal.Info("more images changed: see vouch event ls", "more", n-loggedImages)
	}
	return n > 0
}

// problems compares what is wrong with what was said to be.
func (l *daemonLog) problems() bool {
	st, err := l.status()
	if err != nil {
		return true // the summary must do
	}
	now, changed := map[problemKey]subscriber.Problem{}, false
	for _, p := range st.Problems { // a server that is away: its list is a warning, its images are critical
		if key := (problemKey{p.Subject, p.Code}); now[key].Severity != "critical" {
			now[key] = p
		}
	}
	for _, p := range st.Problems {
		key := problemKey{p.Subject, p.Code}
		if old, said := l.wrong[key]; now[key] != p || said && old.Severity == p.Severity {
			continue
		}
		l.journal.Warn("problem", "of", p.Subject, "code", p.Code, "severity", p.Severity, "detail", p.Detail, "hint", p.Hint)
		changed = true
	}
	for key := range l.wrong {
		if _, still := now[key]; !still {
			l.journal.Info("no problem any more", "of", key.subject, "code", key.code)
			changed = true
		}
	}
	l.wrong = now
	return changed
}
