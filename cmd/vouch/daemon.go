package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/urfave/cli/v2"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/metrics"
	"vouch/subscriber/page"
	"vouch/subscriber/serve"
)

func (s *session) daemonCommand() *cli.Command {
	return &cli.Command{
		Name: "daemon", Usage: "vouch sync on schedules, for ever",
		Description: `Fetches each subscription by its schedule (cron expression or @every), and acts
within a minute on what only the clock or this machine decides: an image, a list
or a certificate expires, fetch-crl brings a revocation, a file of blocks.d/ or
subscriptions.d/ changes. That does not wait for downloads: they are stopped, and
resumed. Events that a handler did not take are told again after a second, then
two, and so on up to 15 minutes.

It makes the same passes as "vouch sync" and has no state of its own. Every other
command works beside it, "vouch sync" too: for one that changes something it
stops its pass, and goes on afterwards. At start it catches up on what was
missed, once.

SIGHUP reads the configuration again; if that is wrong the old one stays and the
log says why. SIGTERM and SIGINT stop it within 10 seconds; downloads keep what
they have. It stays in the foreground and writes its log to standard error: what
each pass changed, each problem of "vouch status" and each handler that fails,
when that begins and when it is over; with --verbose every step, with --quiet
errors only. Under systemd it tells when it is ready and alive.

Middleware, monitoring and people read at http.listen (http://127.0.0.1:8780;
"off" for none): the catalogue, the images' bytes, the lists, the status and the
events; /openapi.json describes it. Whoever has a token of http.token_file may
ask for a list to be looked at now, as "vouch publisher publish --notify" does.

Exits 0 when stopped, 2 when the configuration is wrong at start or the address
is in use, 4 when another daemon runs on the same state_dir. A pass that fails
does not end it.

Examples:
  vouch daemon
  systemctl enable --now vouch        (the unit comes with the package)
  systemctl reload vouch`,
		Action: takes(0, 0, s.daemon),
	}
}

func (s *session) daemon(c *cli.Context) error {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	file, err := findConfig(s.config)
	if err != nil {
		return err
	}
	beside := configuration{File: file}
	journal := s.log
	if !s.quiet && !s.verbose {
		journal = newLogAt(s.err, s.format, slog.LevelInfo)
	}
	refresh, doubt := make(chan string, 64), make(chan cache.Digest, 64)
	server := serve.New()
	var shown atomic.Pointer[page.Site]
	status := func() (*subscriber.Status, error) { return server.Files.Status(shown.Load().StateDir) }
	count, said := metrics.New(status), &daemonLog{journal: journal, status: status}
	server.Log, server.Refresh, server.Doubt, server.Metrics = journal, refresh, doubt, count.Handler()
	server.Page = page.Handler(func() (page.View, error) { return shown.Load().Read() })
	closed := make(chan struct{})
	stop := context.AfterFunc(c.Context, func() { server.Close(); close(closed) })
	defer func() {
		if stop() { // it never started
			server.Close()
			return
		}
		<-closed
	}()
	var conf *configuration // as it was read last; Load and Apply are called by one goroutine
	return subscriber.Daemon(c.Context, subscriber.DaemonOptions{
		Options: s.options(),
		Files:   server.Files,
		Journal: journal,
		Watch:   []string{beside.subscriptionsDir(), beside.blocksDir()},
		Reload:  reload,
		Refresh: refresh,
		Doubt:   doubt,
		Load: func() (*subscriber.Config, error) {
			read, err := loadConfig(file)
			if err != nil {
				return nil, err
			}
			conf = read
			return conf.Site, nil
		},
		Apply: func(site *subscriber.Config) error {
			before := shown.Swap(&page.Site{Files: server.Files, StateDir: site.StateDir, CacheDir: site.Cache.Dir, Version: version().Version, Alarm: site.AlarmAt})
			if err := server.Configure(conf.HTTP); err != nil {
				shown.Store(before)
				return &refusal{err.Error(), hint(err)}
			}
			return nil
		},
		Passed: func(rep *subscriber.Report, next time.Time) {
			server.Passed(next)
			count.Passed(rep)
			passed(said, rep, next)
		},
		Failed: count.Failed,
		Told: func(n subscriber.EventCount) {
			count.Told(n)
			said.handlers()
		},
		Scrubbed: count.Scrubbed,
		Notify:   notifySystemd,
	})
}

// passed writes what a pass brought, and systemd's status.
func passed(said *daemonLog, rep *subscriber.Report, next time.Time) {
	line, at := summary(rep), "never"
	if !next.IsZero() {
		at = next.UTC().Format(time.RFC3339)
	}
	daemon.SdNotify(false, "STATUS="+line+"; next fetch "+at)
	level := slog.LevelDebug
	if said.pass(rep) {
		level = slog.LevelInfo
		if rep.Exit != exitOK {
			level = slog.LevelWarn
		}
	}
	said.journal.Log(context.Background(), level, line, "exit", rep.Exit)
}

// notifySystemd speaks sd_notify when systemd listens. What it does with the
// words is not ours to wait for, so errors are of no interest.
func notifySystemd(state subscriber.DaemonState) {
	switch state {
	case subscriber.Ready:
		daemon.SdNotify(false, daemon.SdNotifyReady)
	case subscriber.Reloading:
		daemon.SdNotify(false, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
	case subscriber.Stopping:
		daemon.SdNotify(false, daemon.SdNotifyStopping)
	case subscriber.Alive:
		daemon.SdNotify(false, daemon.SdNotifyWatchdog)
	}
}
