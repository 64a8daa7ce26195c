package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vouch/subscriber"
)

// site is a vouch with its daemon.
type site struct {
	t        *testing.T
	dir, bin string
	trust    string
	hook     string
	daemon   *exec.Cmd
	ended    chan struct{}
	log      *bytes.Buffer
	mu       sync.Mutex
	kills    int
	started  time.Time
	url      string
}

func (s *site) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func newSite(t *testing.T, trust, hook string) *site {
	s := &site{t: t, dir: t.TempDir(), trust: trust, hook: hook, log: &bytes.Buffer{}}
	s.bin = s.path("vouch")
	if out, err := exec.Command("go", "build", "-o", s.bin, "vouch/cmd/vouch").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	s.write("etc/hook.secret", "whsec_bm90IGEgc2VjcmV0IHRoYXQgbWF0dGVycw==\n")
	s.write("etc/vouch.yaml", fmt.Sprintf(`state_dir: %[1]s/state
cache: {dir: %[1]s/cache, min_free: 0, keep_expired: 2m}
trust: {anchors: %[2]s}
fetch: {idle_timeout: 5s, concurrency: 8, per_host: 8}
evidence_keep: 5m
schedule: "@every 1m"
http: {listen: "127.0.0.1:0"}
handlers:
  - name: hook
    webhook: {url: %[3]s, secret_file: %[1]s/etc/hook.secret}
`, s.dir, trust, hook))
	for _, dir := range []string{"etc/subscriptions.d", "etc/blocks.d"} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) remove(name string) {
	s.t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) command(words ...string) *exec.Cmd {
	cmd := exec.Command(s.bin, words...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "VOUCH_CONFIG=" + s.path("etc", "vouch.yaml")}
	return cmd
}

// run runs a command beside the daemon; its exit status must be one of these.
func (s *site) run(exits []int, words ...string) string {
	s.t.Helper()
	cmd := s.command(words...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	for _, exit := range exits {
		if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == exit {
			return out.String()
		}
	}
	s.t.Fatalf("vouch %s: %v, want %v\n%s", strings.Join(words, " "), err, exits, out.String())
	return ""
}

func (s *site) start() {
	s.t.Helper()
	cmd, ended := s.command("daemon", "--verbose"), make(chan struct{})
	pipe := &lines{site: s}
	cmd.Stdout, cmd.Stderr = pipe, pipe
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.daemon, s.ended, s.started = cmd, ended, time.Now()
	go func() { cmd.Wait(); close(ended) }()
}

// lines keeps the end of the daemon's log.
type lines struct{ *site }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log.Len() > 1<<20 {
		l.log.Next(l.log.Len() - 1<<19)
	}
	return l.log.Write(b)
}

// stop ends the daemon; by SIGTERM it must go within 10 s.
func (s *site) stop(sig syscall.Signal) {
	s.t.Helper()
	select {
	case <-s.ended:
		s.t.Fatalf("the daemon ended by itself: %v", s.daemon.ProcessState)
	default:
	}
	s.kills++
	s.daemon.Process.Signal(sig)
	select {
	case <-s.ended:
	case <-time.After(15 * time.Second):
		s.daemon.Process.Signal(syscall.SIGQUIT)
		<-s.ended
		s.t.Fatalf("the daemon runs 15 s after %v", sig)
	}
	young := time.Since(s.started) < 5*time.Second // perhaps not yet one that heeds signals
	if code := s.daemon.ProcessState.ExitCode(); sig == syscall.SIGTERM && code != 0 && !young {
		s.t.Fatalf("after SIGTERM: exit %d", code)
	}
}

func (s *site) index() *subscriber.Index {
	s.t.Helper()
	x, err := subscriber.ReadIndex(s.path("cache"))
	if os.IsNotExist(err) || err != nil && strings.Contains(err.Error(), "no such file") {
		return &subscriber.Index{}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return x
}

func (s *site) status() *subscriber.Status {
	s.t.Helper()
	st, err := subscriber.ReadStatus(s.path("state"))
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// holding is what the daemon has of the machine: the least of some time, since a
// pass takes more.
type holding struct {
	resident                   int64
	goroutines, threads, files int
}

func (s *site) holding(window time.Duration) holding {
	least := s.holdingNow()
	for end := time.Now().Add(window); time.Now().Before(end); time.Sleep(time.Second) {
		h := s.holdingNow()
		least = holding{min(least.resident, h.resident), min(least.goroutines, h.goroutines), min(least.threads, h.threads), min(least.files, h.files)}
	}
	return least
}

func (s *site) holdingNow() (h holding) {
	pid := s.daemon.Process.Pid
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(raw)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &h.resident)
		fmt.Sscanf(line, "Threads: %d", &h.threads)
	}
	h.resident <<= 10
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	h.files = len(open)
	for line := range strings.Lines(s.metrics()) {
		fmt.Sscanf(line, "go_goroutines %d", &h.goroutines)
	}
	return h
}

var address = regexp.MustCompile(`HTTP interface" address=(\S+)`)

// metrics asks the daemon that was started last.
func (s *site) metrics() string {
	s.t.Helper()
	s.mu.Lock()
	all := address.FindAllSubmatch(s.log.Bytes(), -1)
	s.mu.Unlock()
	if len(all) > 0 {
		s.url = string(all[len(all)-1][1]) // the log is cut from time to time
	}
	answer, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// events reads the whole log: ids ascend and none comes twice.
func (s *site) events() (n int) {
	s.t.Helper()
	files, _ := filepath.Glob(s.path("state", "events*.jsonl"))
	seen := map[string]bool{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range bytes.Lines(raw) {
			var e struct{ ID string }
			if err := json.Unmarshal(line, &e); err != nil {
				s.t.Errorf("%s: %v", f, err)
			}
			if seen[e.ID] {
				s.t.Errorf("event %s is in the log twice", e.ID)
			}
			seen[e.ID] = true
			n++
		}
	}
	return n
}
