package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
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

	"vouch/imagelist/listtest"
)

// hook is a receiver of events: it believes nothing that is not signed, and
// answers as the test says.
type hook struct {
	site    *site
	address string
	server  *http.Server
	secret  string // of the receiver
	file    string // the sender's

	mu     sync.Mutex
	asked  int
	told   []string // "type subject" of what it took
	ids    []string
	last   string // the last request, as JSON
	answer func(kind, subject string) int
}

// webhook adds a handler to the configuration whose receiver is not there yet.
// Its address has a secret in it, as many have.
func (s *site) webhook(more object) *hook {
	s.T.Helper()
	h := &hook{site: s, address: listtest.FreeAddress(s.T), secret: newSecret("one"), file: s.path("hook.secret")}
	h.keep(0o600, h.secret)
	conf := object{"name": "hook", "events": []string{"image.*"}, "webhook": object{"url": "http://" + h.address + "/canary-path?token=canary", "secret_file": h.file}}
	for k, v := range more {
		conf[k] = v
	}
	all, _ := s.conf["handlers"].([]any)
	s.conf["handlers"] = append(all, conf)
	s.T.Cleanup(h.leave)
	return h
}

func newSecret(name string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte("canary secret of the name "+name))
}

// keep writes the sender's secrets.
func (h *hook) keep(mode fs.FileMode, secrets ...string) {
	h.site.T.Helper()
	if err := os.WriteFile(h.file, []byte(strings.Join(secrets, "\n")+"\n"), mode); err != nil {
		h.site.T.Fatal(err)
	}
	if err := os.Chmod(h.file, mode); err != nil {
		h.site.T.Fatal(err)
	}
}

func (h *hook) come() {
	l, err := net.Listen("tcp", h.address)
	if err != nil {
		h.site.T.Fatal(err)
	}
	h.server = &http.Server{Handler: h}
	go h.server.Serve(l)
}

func (h *hook) leave() {
	if h.server != nil {
		h.server.Close()
	}
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var e struct{ ID, Type, Subject string }
	json.Unmarshal(body, &e)
	h.mu.Lock()
	h.asked++
	code, answer := http.StatusUnauthorized, h.answer
	if h.genuine(r.Header, body) && r.Header.Get("Webhook-Id") == e.ID {
		code = http.StatusNoContent
	}
	saved, _ := json.Marshal(object{"headers": object{"Webhook-Id": e.ID, "Webhook-Timestamp": r.Header.Get("Webhook-Timestamp"), "Webhook-Signature": r.Header.Get("Webhook-Signature")}, "body": string(body)})
	h.last = string(saved)
	h.mu.Unlock()
	if answer != nil && code == http.StatusNoContent {
		code = answer(e.Type, e.Subject)
	}
	if code == 0 { // hangs
		<-r.Context().Done()
		return
	}
	h.mu.Lock()
	if code == http.StatusNoContent {
		h.told, h.ids = append(h.told, e.Type+" "+e.Subject), append(h.ids, e.ID)
	}
	h.mu.Unlock()
	w.Header().Set("Location", "/canary-elsewhere")
	w.WriteHeader(code)
	if code != http.StatusNoContent {
		io.WriteString(w, "canary-answer")
	}
}

// genuine is the receiver's own idea of the signature.
func (h *hook) genuine(header http.Header, body []byte) bool {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(h.secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("Webhook-Id"), header.Get("Webhook-Timestamp"), body)
	for _, s := range strings.Fields(header.Get("Webhook-Signature")) {
		if s == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// set changes how it answers.
func (h *hook) set(answer func(kind, subject string) int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer, h.asked = answer, 0
}

func always(code int) func(string, string) int { return func(string, string) int { return code } }

// expect asserts what it took, and how often it was asked since set.
func (h *hook) expect(asked int, told ...string) {
	h.site.T.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if fmt.Sprint(h.told) != fmt.Sprint(told) || asked != h.asked {
		h.site.T.Errorf("asked %d times, told %q\nwant %d, %q", h.asked, h.told, asked, told)
	}
}

// TestT30_Webhook: down, moved, broken, slow, refusing one event, refusing the
// secret; each is told once it can be, in order, and neither the secrets nor
// what the server says are anywhere.
func TestT30_Webhook(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := s.webhook(nil)
	var printed strings.Builder
	run := func(code int, args string, patterns ...string) {
		t.Helper()
		out := s.expect(code, strings.Fields(args), patterns...)
		printed.WriteString(out.stdout + out.stderr)
	}
	run(0, "config check", "1 handler")
	s.publish(s.draft("1", picture{"one", "first", nil}))
	run(0, "sync")
	run(0, "event ls --pending", "image.announced.*connection refused", "image.available.*connection refused")
	h.come()
	h.set(always(302))
	run(0, "sync", "302 Found: redirects are not followed")
	h.expect(1)
	h.set(always(500))
	run(3, "event retry", "0 delivered, 2 pending", "500 Internal Server Error")
	h.expect(1)
	h.set(always(0))
	begun := time.Now()
	run(0, "sync", "no answer: timed out after 10s")
	h.expect(1)
	if took := time.Since(begun); took < 10*time.Second || took > time.Minute {
		t.Errorf("waited %v", took)
	}
	h.set(nil)
	run(0, "event retry", "2 delivered")
	h.expect(2, "image.announced one", "image.available one")

	h.set(func(_, subject string) int { return map[string]int{"two": 400, "three": 204}[subject] })
	s.publish(s.draft("2", picture{"one", "first", nil}, picture{"two", "second", nil}, picture{"three", "third", nil}))
	run(0, "sync", "400 Bad Request")
	told := []string{"image.announced one", "image.available one", "image.announced three", "image.available three"}
	h.expect(3, told...)
	h.set(nil)

	h.mu.Lock()
	h.secret = newSecret("two")
	h.mu.Unlock()
	run(0, "sync", "401 Unauthorized")
	h.expect(1, told...)
	h.keep(0o644, newSecret("one"), newSecret("two"))
	run(2, "config check", "handler hook: secret_file: .*hook.secret: others can read or change it .mode 0644.; chmod 600")
	run(0, "sync", "others can read or change it .mode 0644.; chmod 600")
	h.keep(0o640, newSecret("one"), newSecret("two"))
	run(0, "event retry", "2 delivered")
	h.expect(3, append(told, "image.announced two", "image.available two")...)
	run(0, "status --verbose")
	run(0, "event ls --pending -o json")

	for what, text := range s.everything(printed.String()) {
		for _, secret := range []string{"canary", strings.TrimPrefix(newSecret("one"), "whsec_"), strings.TrimPrefix(newSecret("two"), "whsec_")} {
			if strings.Contains(text, secret) {
				t.Errorf("T-29: %q in %s", secret, what)
			}
		}
	}
}

// everything is what was printed, and every file that vouch wrote.
func (s *site) everything(printed string) map[string]string {
	s.T.Helper()
	all := map[string]string{"output": printed}
	for _, dir := range []string{"state", "cache"} {
		err := filepath.WalkDir(s.path(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		})
		if err != nil {
			s.T.Fatal(err)
		}
	}
	return all
}

// TestF01_WebhookKilled: a kill in the middle repeats at most what was told
// and not yet written down, and loses nothing.
func TestF01_WebhookKilled(t *testing.T) {
	t.Parallel()
	const images, window = 300, 64
	s := newSite(t)
	var all []picture
	for i := range images {
		all = append(all, picture{fmt.Sprintf("i%03d", i), "the same bytes", nil})
	}
	s.publish(s.draft("1", all...))
	s.sync(0)
	h := s.webhook(object{"events": []string{"image.available"}})
	cmd := s.command("sync")
	h.set(func(string, string) int {
		if h.mu.Lock(); len(h.told) == images/2 {
			cmd.Process.Kill()
		}
		h.mu.Unlock()
		return 204
	})
	h.come()
	if err := cmd.Run(); err == nil {
		t.Fatal("not killed")
	}
	before := 0
	waitUntil(t, "the receiver's answer to the last request", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		before = len(h.ids)
		return before == h.asked
	})
	h.set(nil)
	s.sync(0)
	again := len(h.ids) - images
	if again < 0 || again > window {
		t.Fatalf("%d before the kill, %d in all", before, len(h.ids))
	}
	t.Logf("%d of %d came again", again, images)
	if resumed := fmt.Sprint(h.ids[before-again : before]); resumed != fmt.Sprint(h.ids[before:before+again]) {
		t.Errorf("the same events do not come again: %s", resumed)
	}
	seen := map[string]bool{}
	for _, id := range h.ids {
		seen[id] = true
	}
	if len(seen) != images {
		t.Errorf("%d ids", len(seen))
	}
}

// TestF15_Daemon: handlers that hang, ignore TERM, fork, flood or fail cost
// the daemon its patience with them and nothing else.
func TestF15_Daemon(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good, pids := s.path("good"), s.path("pids")
	soon := object{"timeout": "1s", "events": []string{"image.a*"}}
	s.handler("deaf", "trap '' TERM; echo $$ >>"+pids+"; while :; do sleep 3600; done\n", soon)
	s.handler("forks", "sleep 3600 </dev/null >/dev/null 2>&1 & echo $! >>"+pids+"; exit 1\n", soon)
	s.handler("floods", "head -c 300000000 /dev/zero; exit 1\n", object{"timeout": "20s", "events": []string{"image.a*"}})
	s.handler("missing", "", soon)
	s.handler("good", "echo \"$VOUCH_EVENT_TYPE\" >>"+good+"\n", object{"events": []string{"image.*"}})
	if err := os.Remove(s.path("missing.sh")); err != nil {
		t.Fatal(err)
	}
	h := s.webhook(soon)
	h.set(always(0))
	h.come()
	defer endAll(pids)
	s.publish(s.draft("1", picture{"one", "first", nil}))
	d := s.daemon("--verbose") // without it a handler that fails is told once
	s.here("one", true)
	waitUntil(t, "each handler has failed twice", func() bool {
		for _, name := range []string{"deaf", "forks", "floods", "missing", "hook"} {
			if strings.Count(d.log.String(), `msg="event not delivered" handler=`+name) < 2 {
				return false
			}
		}
		return true
	})
	begun := time.Now()
	s.expect(0, []string{"block", "--image", "one", "--reason", "CVE"})
	s.here("one", false)
	waitUntil(t, "the good handler", func() bool {
		told, _ := os.ReadFile(good)
		return string(told) == "image.announced\nimage.available\nimage.blocked\n"
	})
	t.Logf("blocked and told after %v", time.Since(begun).Round(time.Millisecond))
	if peak := peakMemory(t, d.Process.Pid); peak > 192<<20 {
		t.Errorf("peak memory %d MiB", peak>>20)
	}
	d.stop(syscall.SIGTERM, 0)
}

// peakMemory is the most that was resident of a process, in bytes.
func peakMemory(t *testing.T, pid int) (peak int64) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	return peak << 10
}

// endAll kills what handlers left behind on purpose.
func endAll(file string) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		var pid int
		if n, _ := fmt.Sscan(line, &pid); n == 1 && pid > 1 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// The README's receiver code accepts what vouch sends, and nothing else.
func TestReadme_Verifier(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skip("python3 is not installed")
	}
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)\n```python\n(.*?)\n```\n").FindSubmatch(raw)
	if m == nil {
		t.Fatal("no Python in the README")
	}
	s := newSite(t)
	h := s.webhook(nil)
	h.come()
	s.publish(s.draft("1", picture{"one", "first", nil}))
	s.sync(0)
	for name, c := range map[string]struct {
		change  func(request string) string
		secrets []string
		want    string
	}{
		"as sent":       {func(r string) string { return r }, []string{newSecret("old"), h.secret}, "True"},
		"other secret":  {func(r string) string { return r }, []string{newSecret("other")}, "False"},
		"other body":    {func(r string) string { return strings.Replace(r, "image.a", "image.b", 1) }, []string{h.secret}, "False"},
		"other id":      {func(r string) string { return strings.Replace(r, `Webhook-Id":"`, `Webhook-Id":"1`, 1) }, []string{h.secret}, "False"},
		"old timestamp": {func(r string) string { return strings.Replace(r, `Webhook-Timestamp":"1`, `Webhook-Timestamp":"0`, 1) }, []string{h.secret}, "False"},
	} {
		harness := "\nimport json, sys\nr = json.load(sys.stdin)\nprint(genuine(r['headers'], r['body'].encode(), sys.argv[1:]))\n"
		cmd := exec.Command("python3", append([]string{"-c", string(m[1]) + harness}, c.secrets...)...)
		cmd.Stdin = strings.NewReader(c.change(h.last))
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("%s: %v %s, want %s", name, err, out, c.want)
		}
	}
}
