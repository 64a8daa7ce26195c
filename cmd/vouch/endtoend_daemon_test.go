package main_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

// running is a daemon as a service manager has it.
type running struct {
	*exec.Cmd
	site *site
	log  journal
	done chan struct{}
}

// journal is what a daemon wrote, readable while it writes.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// daemon starts one; the test's end kills it.
func (s *site) daemon(args ...string) *running {
	s.T.Helper()
	d := &running{Cmd: s.command(append([]string{"daemon"}, args...)...), site: s, done: make(chan struct{})}
	d.Stdout, d.Stderr = &d.log, &d.log
	if err := d.Start(); err != nil {
		s.T.Fatal(err)
	}
	go func() { d.Wait(); close(d.done) }()
	s.T.Cleanup(func() {
		d.Process.Kill()
		<-d.done
		if s.T.Failed() {
			s.T.Logf("the daemon's log:\n%s", d.log.String())
		}
	})
	return d
}

// stop ends a daemon by a signal; it must exit with code, and gives itself 9 s.
func (d *running) stop(sig os.Signal, code int) {
	d.site.T.Helper()
	begun := time.Now()
	d.Process.Signal(sig)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.site.T.Fatalf("the daemon runs 20 s after %v", sig)
	}
	if have := d.ProcessState.ExitCode(); have != code {
		d.site.T.Errorf("after %v: exit %d, want %d", sig, have, code)
	}
	d.site.T.Logf("stopped by %v in %v", sig, time.Since(begun).Round(time.Millisecond))
}

// says waits for a line of the log.
func (d *running) says(text string) {
	d.site.T.Helper()
	waitUntil(d.site.T, "log: "+text, func() bool { return strings.Contains(d.log.String(), text) })
}

// here waits until an image is or is not published.
func (s *site) here(id string, want bool) time.Duration {
	s.T.Helper()
	begun := time.Now()
	waitUntil(s.T, fmt.Sprintf("%s: published %v", id, want), func() bool { return (s.endorsed(id) != "") == want })
	return time.Since(begun)
}

// arrives waits until a part of an image has arrived.
func (s *site) arrives() {
	s.T.Helper()
	waitUntil(s.T, "bytes of an image", func() bool {
		parts, _ := filepath.Glob(s.path("cache", "partial", "*.part"))
		for _, part := range parts {
			if info, err := os.Stat(part); err == nil && info.Size() > 0 {
				return true
			}
		}
		return false
	})
}

// publishDated publishes a list with a date that is decided when the list is
// asked for: seconds, and five times as long as a pass was seen to take, from
// then. However slow the machine is, or becomes, what has this date is published before.
func (s *site) publishDated(pass time.Duration, draft func(date object) *listtest.Builder) (ends <-chan time.Time) {
	decided := make(chan time.Time, 1)
	message := sync.OnceValue(func() []byte {
		at := time.Now().Add(20*time.Second + 5*pass).UTC().Truncate(time.Second)
		decided <- at
		b := draft(object{"dc:date:expires": at.Format(time.RFC3339)})
		return s.Message(func(m *listtest.Message) { m.List = b })
	})
	s.pub.hook("/list", func(w http.ResponseWriter, r *http.Request) { s.pub.serve(w, r, message()) })
	return decided
}

// leavesInTime waits until an image has left: not before its date, and within
// a minute of it.
func (s *site) leavesInTime(id string, ends time.Time) {
	s.T.Helper()
	s.here(id, false)
	late := time.Since(ends)
	if late < 0 || late > time.Minute {
		s.T.Errorf("%s left %v after its date", id, late)
	}
	s.T.Logf("%s left %v after its date", id, late.Round(time.Millisecond))
}

// TestDaemon_Facts: what the clock and this machine decide does not wait for a
// server that hangs, in the middle of a download. Every image leaves within a
// minute, by its date, a file, a CRL.
func TestDaemon_Facts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	never := slow("never all of it", nil)
	s.pub.hook("/images/hung", never)
	draft := func(version string, more ...picture) *listtest.Builder {
		b := s.draft(version, append(more, picture{"blocked", "blocked bytes", nil}, picture{"last", "last bytes", nil})...)
		return b.Image("hung", []byte("never all of it"), s.pub.URL+"/images/hung")
	}
	s.publish(draft("1"))
	second := newPublisher(t)
	s.expect(0, []string{"version"}) // built
	begun := time.Now()
	d := s.daemon()
	s.here("blocked", true)
	s.here("last", true)
	ends := s.publishDated(time.Since(begun), func(date object) *listtest.Builder { return draft("2", picture{"dated", "dated bytes", date}) })
	d.Process.Signal(syscall.SIGHUP) // its pass begins again, with the list
	s.here("dated", true)
	s.pub.hook("/list", never)
	s.leavesInTime("dated", <-ends)
	file := s.path("etc", "blocks.d", "csirt.yaml")
	os.MkdirAll(filepath.Dir(file), 0o755)
	if err := os.WriteFile(file, []byte("image: blocked\nreason: by the configuration manager\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("a file in blocks.d: %v", s.here("blocked", false))
	s.CA.Revoke(s.Alice)
	s.CA.WriteTo(s.Dir)
	t.Logf("a new CRL: %v", s.here("last", false))
	b := listtest.NewList(s.At).ID("another-list").NoImages().Image("new", []byte("new bytes"), second.put("/images/new", []byte("new bytes")))
	second.put("/list", s.Message(func(m *listtest.Message) { m.List, m.Signer = b, s.Bob }))
	if err := os.MkdirAll(s.path("etc", "subscriptions.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.expect(0, []string{"subscription", "add", second.URL + "/list", "--name", "other", "--endorser-dn", s.Bob.DN(), "--endorser-ca", s.Bob.IssuerDN()})
	t.Logf("a subscription: %v", s.here("new", true))
	d.stop(syscall.SIGTERM, 0)
}

// TestDaemon_Schedule: a new version is found by the schedule; beside the
// daemon everything works; a bad configuration changes nothing.
func TestDaemon_Schedule(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.subscription("main")["schedule"] = "* * * * *"
	s.publish(s.draft("1", picture{"one", "first", nil}))
	d := s.daemon()
	s.here("one", true)
	s.expect(4, []string{"daemon"}, fmt.Sprintf("another vouch daemon runs on .*pid %d: .* daemon\\)", d.Process.Pid), "hint: ")
	s.expect(0, []string{"status"}, `(?m)^main +ok`)
	s.expect(0, []string{"sync"})
	s.expect(0, []string{"block", "--image", "one", "--reason", "CVE-2026-1"}, "in force|1 image withdrawn")
	s.expect(0, []string{"unblock", "--image", "one"})
	if s.endorsed("one") == "" {
		t.Error("unblocked, and not published again when the command was over")
	}
	s.expect(0, []string{"cache", "check"}, "0 corrupt")

	s.publish(s.draft("2", picture{"one", "first", nil}, picture{"two", "second", nil}))
	t.Logf("a new version, by the minute: %v", s.here("two", true))

	good, err := os.ReadFile(s.configFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.configFile(), append(good, "\nschedul: never"...), 0o644); err != nil {
		t.Fatal(err)
	}
	d.Process.Signal(syscall.SIGHUP)
	d.says("configuration not reloaded, the old one stays")
	s.subscription("main")["images"] = object{"exclude": []object{{"identifier": "one"}}}
	s.writeConfig()
	d.Process.Signal(syscall.SIGHUP)
	s.here("one", false)
	if s.endorsed("two") == "" {
		t.Error("the other image went as well")
	}
	d.stop(syscall.SIGINT, 0)
}

// TestF20_DaemonStopped: killed or stopped in the middle of a download, begun
// again, it fetches the image without waiting for the schedule; what was
// stopped in an orderly way goes on where it was.
func TestF20_DaemonStopped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := strings.Repeat("slow bytes ", 800000)
	release := make(chan struct{})
	b := s.draft("1", picture{"quick", "quick bytes", nil}).Image("hung", []byte(content), s.pub.URL+"/images/hung")
	requests := make(chan string, 100) // their Range
	s.pub.hook("/images/hung", func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Header.Get("Range")
		slow(content, release)(w, r)
	})
	s.publish(b)
	asked := func(n int) {
		waitUntil(t, "a request for the image", func() bool { return len(requests) >= n })
		s.arrives()
	}
	for _, sig := range []os.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		d := s.daemon()
		s.here("quick", true)
		asked(1)
		d.Process.Signal(syscall.SIGHUP) // stops it for a moment, and it begins again
		d.says("begun again")
		asked(2)
		for range 2 {
			<-requests
		}
		d.stop(sig, map[os.Signal]int{syscall.SIGTERM: 0, syscall.SIGKILL: -1}[sig])
	}
	s.pub.hook("/images/hung", func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Header.Get("Range")
		s.pub.serve(w, r, []byte(content))
	})
	d := s.daemon()
	s.here("hung", true)
	if have := <-requests; !strings.HasPrefix(have, "bytes=") {
		t.Errorf("the download was not resumed: %q", have)
	}
	d.stop(syscall.SIGTERM, 0)
}

// TestDaemon_Command: a command does not wait for a download of the daemon,
// which goes on after it, and says and does what it would without one. Another
// user cannot even ask.
func TestDaemon_Command(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := strings.Repeat("slow bytes ", 800000)
	requests := make(chan string, 100)
	s.pub.hook("/images/hung", func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Header.Get("Range")
		slow(content, nil)(w, r)
	})
	s.publish(s.draft("1", picture{"quick", "quick bytes", nil}).Image("hung", []byte(content), s.pub.URL+"/images/hung"))
	socket := filepath.Join(s.path("state"), "control.sock")
	for _, what := range []string{"at first", "with a socket left by a killed one"} {
		for len(requests) > 0 {
			<-requests // of the one before
		}
		d := s.daemon()
		s.here("quick", true)
		<-requests
		s.arrives()
		waitUntil(t, "the daemon at work", func() bool {
			lock, _ := os.ReadFile(s.path("state", "lock"))
			return strings.Contains(string(lock), fmt.Sprintf(`"pid":%d,`, d.Process.Pid))
		})
		if info, err := os.Stat(socket); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Fatalf("%s: control socket: %v, %v", what, info, err)
		}
		s.expect(4, []string{"sync", "--no-wait"}, "daemon")
		begun := time.Now()
		s.expect(0, []string{"cache", "check"}, "0 corrupt")
		t.Logf("%s: cache check beside a hung download: %v", what, time.Since(begun))
		if had := <-requests; had == "" {
			t.Errorf("%s: begun anew", what)
		}
		s.expect(0, []string{"block", "--image", "quick", "--reason", "CVE-2026-1"}, "1 image withdrawn")
		s.expect(0, []string{"unblock", "--image", "quick"}, "no longer blocked; what lists still vouch for .* is back")
		s.here("quick", true)
		d.stop(syscall.SIGKILL, -1)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(2, []string{"daemon"}, "control.sock is something else", "hint: ")
}

// TestDaemon_EventsRetried: a handler that fails is told again soon, in order,
// and delays nobody.
func TestDaemon_EventsRetried(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	log, broken := s.path("told"), s.path("broken")
	if err := os.WriteFile(broken, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.handler("moody", "[ ! -e "+broken+" ] || { printf x >>"+log+".tried; exit 1; }\necho \"$VOUCH_EVENT_TYPE\" >>"+log+"\n", object{"events": []string{"image.a*"}})
	s.publish(s.draft("1", picture{"one", "first", nil}))
	d := s.daemon()
	s.here("one", true)
	waitUntil(t, "three attempts", func() bool {
		tried, _ := os.ReadFile(log + ".tried")
		return len(tried) >= 3
	})
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "both events", func() bool {
		told, _ := os.ReadFile(log)
		return string(told) == "image.announced\nimage.available\n"
	})
	waitUntil(t, "the end of it in the log", func() bool { return strings.Contains(d.log.String(), "handler takes events again") })
	d.stop(syscall.SIGTERM, 0)
	if n := strings.Count(d.log.String(), "exit status 1"); n != 1 {
		t.Errorf("the failure is told %d times:\n%s", n, d.log.String())
	}
	s.expect(0, []string{"event", "ls", "--pending"})
}

// TestDaemon_Starts: what keeps it from starting, and what systemd hears.
func TestDaemon_Starts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.conf["schedule"] = "CRON_TZ=Europe/Nowhere 5 * * * *"
	s.expect(2, []string{"daemon"}, "no such time zone")
	s.conf["schedule"] = "@every 6h"
	s.conf["handlers"] = []any{object{"name": "gone", "exec": []string{s.path("none")}}, object{"name": "closed", "exec": []string{s.configFile()}}}
	s.expect(2, []string{"config", "check"}, "handler gone: exec: \"[^ ]*none\": no such file or directory; a program", "handler closed: exec: \"[^ ]*\": permission denied; ")
	delete(s.conf, "handlers")
	s.section("trust")["anchors"] = s.path("mount", "certificates") // not yet: no reason not to start
	s.publish(s.draft("1", picture{"one", "first", nil}))
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s.env = []string{"NOTIFY_SOCKET=" + s.path("notify")}
	d := s.daemon()
	hears(t, socket, "READY=1")
	hears(t, socket, "WATCHDOG=1")
	hears(t, socket, "STATUS=1 list: ")
	d.Process.Signal(syscall.SIGHUP)
	hears(t, socket, "RELOADING=1\nMONOTONIC_USEC=")
	hears(t, socket, "READY=1")
	if err := os.Mkdir(s.path("mount"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.Dir, s.path("mount", "certificates")); err != nil {
		t.Fatal(err)
	}
	t.Logf("anchors that come later: %v", s.here("one", true))
	if err := os.Rename(s.path("etc"), s.path("etc.away")); err != nil {
		t.Fatal(err)
	}
	d.Process.Signal(syscall.SIGHUP)
	d.says("configuration not reloaded")
	if s.endorsed("one") == "" {
		t.Error("without a configuration everything went")
	}
	d.stop(syscall.SIGTERM, 0)
	hears(t, socket, "STOPPING=1")
}

// hears reads what systemd would until it begins with the text.
func hears(t *testing.T, socket *net.UnixConn, text string) {
	t.Helper()
	socket.SetReadDeadline(time.Now().Add(2 * time.Minute))
	buf := make([]byte, 4096)
	for {
		n, err := socket.Read(buf)
		if err != nil {
			t.Fatalf("systemd never heard %q: %v", text, err)
		}
		if strings.HasPrefix(string(buf[:n]), text) {
			return
		}
	}
}

// TestT28_DaemonRefetches: bytes that somebody changed in the cache leave, and
// the right ones come back without waiting for the schedule.
func TestT28_DaemonRefetches(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(s.draft("1", picture{"one", "the right bytes", nil}))
	d := s.daemon()
	s.here("one", true)
	for _, how := range []string{"cache check", "a pass"} {
		path := s.path("cache", "endorsed", "one")
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("the wrong bytes"), 0o644); err != nil {
			t.Fatal(err)
		}
		if how == "cache check" {
			s.expect(3, []string{"cache", "check"}, "1 corrupt")
		} else {
			d.Process.Signal(syscall.SIGHUP)
		}
		waitUntil(t, how+": the right bytes", func() bool { return s.endorsed("one") == "the right bytes" })
	}
	d.stop(syscall.SIGTERM, 0)
}

// TestDaemon_Selection: who selects more images does not wait for the schedule.
func TestDaemon_Selection(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.subscription("main")["images"] = object{"include": []object{{"identifier": "one"}}}
	s.publish(s.draft("1", picture{"one", "first", nil}, picture{"two", "second", nil}))
	d := s.daemon()
	s.here("one", true)
	delete(s.subscription("main"), "images")
	s.writeConfig()
	d.Process.Signal(syscall.SIGHUP)
	s.here("two", true)
	d.stop(syscall.SIGTERM, 0)
}

// TestDaemon_Mended: a list that the configuration kept out is looked at as
// soon as that is mended, not when the schedule says.
func TestDaemon_Mended(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.section("fetch")["max_list_size"] = "1KiB"
	s.publish(s.draft("1", picture{"one", "first", nil}))
	d := s.daemon()
	d.says("msg=problem of=main code=")
	delete(s.section("fetch"), "max_list_size")
	s.writeConfig()
	d.Process.Signal(syscall.SIGHUP)
	s.here("one", true)
	d.says(`msg="no problem any more" of=main code=`)
	d.stop(syscall.SIGTERM, 0)
}

// TestDaemon_Crash: what systemd's watchdog sends ends the daemon by that
// signal, after it wrote where it hung. An exit status of 2 would be that of a
// wrong configuration, with which the unit is not started again.
func TestDaemon_Crash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.daemon()
	waitUntil(t, "a first pass", func() bool { _, err := os.Stat(s.path("state", "status.json")); return err == nil })
	d.stop(syscall.SIGABRT, -1)
	if ws := d.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGABRT {
		t.Errorf("ended by %v", ws.Signal())
	}
	d.says("goroutine 1")
}
