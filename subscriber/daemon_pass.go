package subscriber

import (
	"cmp"
	"context"
	"runtime/debug"
	"time"

	"vouch/cache"
)

// perform makes one pass, and stops it when there is something more urgent.
func (d *daemon) perform(ctx context.Context, j *job) {
	if j.facts {
		d.facts = ""
		if reached(d.change, time.Now()) {
			d.acted = d.change
		}
	}
	clear(d.asked) // the job has them
	d.afresh = false
	for name, slot := range j.names {
		d.slots[name] = slot
		delete(d.owed, name)
	}
	j.begun, j.trust = time.Now(), d.trust.acted
	passing, stop := context.WithCancel(ctx)
	defer stop()
	patient := time.After(d.hurry(patience, 10))
	urgent := ""
	type result struct {
		rep *Report
		err error
	}
	done, c := make(chan result, 1), *d.cfg
	go func() {
		rep, err := j.run(passing, &c)
		done <- result{rep, err}
	}()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case res := <-done:
			d.conclude(ctx, urgent, j, res.rep, res.err)
			return
		case <-ticker.C:
			d.look(time.Now())
		case <-d.Reload:
			d.reloadAsked()
		case name := <-d.Refresh:
			d.refresh(name)
		case change := <-d.door.came:
			d.guests += change
		case <-patient: // it is looked at again
		case <-ctx.Done():
			select {
			case <-done:
			case <-d.late:
			}
			return
		}
		if urgent == "" {
			urgent = d.urgent(time.Since(j.begun))
		}
		if urgent != "" {
			stop()
		}
	}
}

// urgent is what a pass that has lasted so long is stopped for, "" for nothing.
func (d *daemon) urgent(lasted time.Duration) string {
	now := time.Now()
	switch {
	case d.pressing(now):
		return "a change"
	case d.guests > 0:
		return "a command"
	case len(d.asked) > 0 && lasted >= d.hurry(patience, 10):
		return "a refresh"
	case lasted >= d.hurry(longPatience, 3) && len(d.due(now)) > 0:
		return "a list that is due"
	}
	return ""
}

// hurry is a patience, doubled for each pass that was stopped for want of it
// since one came to its end: whoever asks for refreshes all the time stops no
// download, which takes its time to go on where it was, and no handler for ever.
func (d *daemon) hurry(patience time.Duration, most int) time.Duration {
	return patience << min(d.hurried, most)
}

// conclude notes how a pass ended.
func (d *daemon) conclude(ctx context.Context, urgent string, j *job, rep *Report, err error) {
	defer debug.FreeOSMemory() // what a pass needs is no measure of what waiting needs
	d.readStatus()
	if !d.events.IsZero() {
		d.events = latest(d.events, time.Now().Add(eventsApart))
	}
	if err != nil {
		d.afresh = d.afresh || j.afresh
	}
	if err != nil && j.facts {
		d.facts = cmp.Or(d.facts, "again")
	}
	switch {
	case err != nil && (urgent != "" || ctx.Err() != nil):
		for name := range j.names {
			d.owed[name] = true
		}
		if urgent == "a refresh" || urgent == "a list that is due" {
			d.hurried++
		}
		if ctx.Err() == nil {
			d.Journal.Info("pass stopped, and begun again later", "for", urgent)
		}
		return
	case err != nil:
		d.fail(err)
	default:
		d.hurried, d.failures, d.failed = 0, 0, ""
	}
	for name := range j.names {
		delete(d.owed, name)
		switch {
		case err != nil && d.attempted[name].Before(j.begun.Truncate(time.Second)): // not fetched yet
			d.owed[name] = true
		case rep != nil && rep.Exit == 5 && d.trust.acted != j.trust: // which changed meanwhile
			d.owed[name] = true
		case rep != nil && rep.Exit == 5:
			d.doubted[name] = true
		}
	}
	if rep != nil && d.Passed != nil {
		d.due(time.Now())
		d.Passed(rep, d.fetch)
	}
}

// fail writes a failure down, the same one not every minute.
func (d *daemon) fail(err error) {
	if d.Failed != nil {
		d.Failed(err)
	}
	d.pause = time.Now().Add(min(pauseMost, time.Second<<min(d.failures, 10)))
	if d.failures++; err.Error() == d.failed && d.failures%60 != 0 {
		return
	}
	d.failed = err.Error()
	d.Journal.Error("pass failed, it is made again", "error", err, "hint", Hint(err))
}

// scrub is the daemon's: beside the passes, since hashing may take long.
func (d *daemon) scrub(ctx context.Context) {
	ticker := time.NewTicker(scrubEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		c := *d.shared.Load()
		rep, err := Scrub(ctx, &c, d.Options)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.Journal.Error("cache not checked", "error", err)
		case rep.Exit != 0:
			d.Journal.Warn("cache checked", "corrupt", len(rep.Corrupt), "missing", len(rep.Missing), "hint", "they are downloaded again; look at the disk")
		}
		d.tellScrubbed(rep)
		debug.FreeOSMemory()
	}
}

// recheck hashes what somebody found wrong, such as a server of images: beside
// the passes, for the same reason.
func (d *daemon) recheck(ctx context.Context) {
	for {
		var digest cache.Digest
		select {
		case <-ctx.Done():
			return
		case digest = <-d.Doubt:
		}
		c := *d.shared.Load()
		rep, err := Recheck(ctx, &c, d.Options, digest)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.Journal.Error("image not checked", "sha512", digest.String(), "error", err)
		case rep.Exit != 0:
			d.Journal.Warn("an image was found corrupt", "sha512", digest.String(), "hint", "it is downloaded again; look at the disk")
		}
		d.tellScrubbed(rep)
	}
}

func (d *daemon) tellScrubbed(rep *CheckReport) {
	if rep != nil && d.Scrubbed != nil {
		d.Scrubbed(rep)
	}
}
