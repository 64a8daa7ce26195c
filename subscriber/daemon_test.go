package subscriber

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

// atWork is a daemon between two passes, without a state: the test makes the
// passes.
func atWork(t *testing.T, names ...string) (*daemon, chan string) {
	t.Helper()
	refresh := make(chan string)
	d := &daemon{DaemonOptions: DaemonOptions{Files: new(Files)}, slots: map[string]time.Time{}, attempted: map[string]time.Time{}, owed: map[string]bool{}, asked: map[string]bool{}, doubted: map[string]bool{}}
	d.Journal, d.Refresh = slog.New(slog.DiscardHandler), refresh
	for _, name := range names {
		d.table = append(d.table, timetableEntry{name: name, schedule: cron.Every(time.Hour)})
		d.slots[name] = time.Now()
	}
	d.configure(&Config{StateDir: t.TempDir()}, d.table)
	d.trust, d.conf, d.door = newWatch(), newWatch(), &door{came: make(chan int)}
	return d, refresh
}

// lasting is a pass that takes so long, or is stopped.
func lasting(long time.Duration) func(context.Context, *Config) (*Report, error) {
	return func(ctx context.Context, _ *Config) (*Report, error) {
		select {
		case <-time.After(long):
			return &Report{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d *daemon) fetches(run func(context.Context, *Config) (*Report, error)) *job {
	return &job{names: d.due(time.Now()), facts: true, run: run}
}

// Somebody who asks for a refresh all the time cannot keep passes from their end.
func TestDaemon_RefreshesAllTheTime(t *testing.T) {
	set(t, &patience, 20*time.Millisecond)
	d, refresh := atWork(t, "a")
	d.owed["a"] = true
	go func() {
		for {
			select {
			case refresh <- "a":
				time.Sleep(5 * time.Millisecond)
			case <-t.Context().Done():
				return
			}
		}
	}()
	for range 10 {
		d.perform(t.Context(), d.fetches(lasting(200*time.Millisecond)))
		if !d.owed["a"] {
			return
		}
	}
	t.Error("ten passes, and none came to its end")
}

// A list that is due does not wait for a download of hours: the pass is
// stopped, and both go on.
func TestT06_DueDuringDownload(t *testing.T) {
	set(t, &longPatience, 10*time.Millisecond)
	d, refresh := atWork(t, "big", "due")
	d.owed["big"] = true
	j := d.fetches(lasting(time.Minute))
	d.slots["due"] = time.Now().Add(-2 * time.Hour)
	time.AfterFunc(50*time.Millisecond, func() { refresh <- "nobody" }) // instead of the next look
	d.perform(t.Context(), j)
	if next := d.due(time.Now()); len(next) != 2 { // big is due again only if its pass was stopped
		t.Errorf("the next pass is for %v", next)
	}
}

// What a failed pass was to fetch, the next one fetches.
func TestDaemon_FailedPassIsMadeAgain(t *testing.T) {
	d, _ := atWork(t, "a", "b")
	d.asked["a"] = true
	j := d.fetches(func(context.Context, *Config) (*Report, error) { return nil, errors.New("no space") })
	d.perform(t.Context(), j)
	if next := d.due(time.Now()); len(next) != 1 || next["a"].IsZero() || d.facts == "" {
		t.Errorf("the next pass is for %v", next)
	}
}

// What could not be believed is fetched when trust changes, also when that was
// during the pass, or is in the configuration.
func TestDaemon_DoubtEnds(t *testing.T) {
	d, _ := atWork(t, "a", "b")
	d.asked["a"] = true
	unbelievable := &Report{Exit: 5}
	d.perform(t.Context(), d.fetches(func(context.Context, *Config) (*Report, error) {
		d.trust.acted++
		return unbelievable, nil
	}))
	if !d.owed["a"] {
		t.Error("trust changed during the pass: not due")
	}
	d.perform(t.Context(), d.fetches(func(context.Context, *Config) (*Report, error) { return unbelievable, nil }))
	if d.owed["a"] {
		t.Error("due for ever")
	}
	d.Load = func() (*Config, error) { c := *d.cfg; return &c, nil }
	d.reload()
	if !d.owed["a"] || d.owed["b"] {
		t.Errorf("another configuration: due is %v", d.owed)
	}
}

// A file that changed before somebody asked for a reload is read once.
func TestDaemon_ReloadedOnce(t *testing.T) {
	d, _ := atWork(t, "a")
	dir := t.TempDir()
	d.conf = newWatch(dir)
	d.Load = func() (*Config, error) { c := *d.cfg; return &c, nil }
	if err := os.WriteFile(filepath.Join(dir, "new.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.reload()
	if now := time.Now(); d.conf.changed(now) || d.conf.changed(now.Add(time.Minute)) {
		t.Error("read again")
	}
}

// Handlers are tried at once after a start and when somebody asks for a reload
// that succeeds, not when a file changed; until a pass has done it.
func TestDaemon_TriesHandlersAfresh(t *testing.T) {
	d, _ := atWork(t, "a")
	good := d.cfg
	d.Load = func() (*Config, error) { return nil, errors.New("bad") }
	d.begin()
	pass := func(long time.Duration, want bool) {
		t.Helper()
		j := d.next(time.Now())
		if j == nil || j.afresh != want {
			t.Fatalf("%+v, not afresh %v", j, want)
		}
		j.run = lasting(long)
		d.perform(t.Context(), j)
	}
	time.AfterFunc(50*time.Millisecond, func() { d.door.came <- 1 })
	pass(time.Minute, true) // stopped for a command
	d.guests = 0
	pass(0, true)
	d.facts = "trust"
	pass(0, false)
	d.reloadAsked()
	d.facts = "trust"
	pass(0, false)
	d.Load = func() (*Config, error) { c := *good; return &c, nil }
	d.reload()
	pass(0, false)
	d.reloadAsked()
	pass(0, true)
}

// Instants are whole seconds: what is found corrupt in the second in which its
// list was fetched is fetched again, and that once.
func TestT28_CorruptInTheSameSecond(t *testing.T) {
	d, _ := atWork(t, "a")
	status := `{"schema": "vouch/status/v1", "subscriptions": [{"name": "a", "attempted": "2026-11-25T22:12:03Z"}],
		"withdrawn": [{"subscription": "a", "type": "image.corrupt", "at": "2026-11-25T22:12:03Z"}]}`
	if err := os.WriteFile(filepath.Join(d.cfg.StateDir, statusFile), []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	d.readStatus()
	if !d.owed["a"] {
		t.Error("not due")
	}
	d.perform(t.Context(), d.fetches(lasting(0)))
	if d.owed["a"] {
		t.Error("due for ever")
	}
}
