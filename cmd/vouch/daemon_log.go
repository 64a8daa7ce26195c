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
// of in every pass.
type daemonLog struct {
	journal *slog.Logger
	status  func() (*subscriber.Status, error)
	wrong   map[problemKey]subscriber.Problem // as it was said last
}

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
	images, problems := l.images(rep.Images), l.problems()
	return changed || images || problems
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
