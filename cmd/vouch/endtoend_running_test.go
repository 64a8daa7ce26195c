package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

// slow serves a file's first half, then nothing until the release is closed.
func slow(content string, release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write([]byte(content[:len(content)/2]))
		w.(http.Flusher).Flush()
		select {
		case <-release:
			w.Write([]byte(content[len(content)/2:]))
		case <-r.Context().Done():
		}
	}
}

// hanging starts a sync that downloads "slow" for as long as it is let, and
// has "quick" published already.
func hanging(t *testing.T) (s *site, running *exec.Cmd, release chan struct{}, done chan error) {
	t.Helper()
	s = newSite(t)
	s.section("fetch")["min_rate"] = "1KiB"
	s.publish(s.draft("1", picture{"quick", "quick bytes", nil}))
	s.sync(0)
	content := strings.Repeat("slow bytes ", 100000)
	release = make(chan struct{})
	b := s.draft("2", picture{"quick", "quick bytes", nil}, picture{"slow", content, nil}, picture{"third", "third bytes", nil})
	b2 := b.Image("hung", []byte(content+"!"), s.pub.URL+"/images/hung")
	s.pub.hook("/images/hung", slow(content+"!", release))
	s.publish(b2)
	running = s.command("sync")
	var stderr bytes.Buffer
	running.Stdout, running.Stderr = &stderr, &stderr
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	done = make(chan error, 1)
	go func() { done <- running.Wait() }()
	t.Cleanup(func() { running.Process.Kill() })
	waitUntil(t, "third, published while hung hangs", func() bool { return s.endorsed("third") != "" })
	return s, running, release, done
}

// TestF14_WhileASyncRuns: everything that only reads answers at once, a second
// sync is told who has the state.
func TestF14_WhileASyncRuns(t *testing.T) {
	s, running, release, done := hanging(t)
	for _, args := range [][]string{
		{"status"}, {"status", "--nagios"}, {"image", "ls"}, {"image", "ls", "--format", "vmcatcher"}, {"image", "show", "quick"}, {"image", "path", "quick"},
		{"image", "path", "third"}, {"event", "ls"}, {"event", "ls", "-o", "json"}, {"cache", "usage"}, {"subscription", "ls"}, {"block", "ls"}, {"trust", "ls"}, {"config", "check"},
	} {
		out := s.vouch(args...) // that it ends says that it does not wait: the sync has no end yet
		if out.code > 3 || out.code == 1 || out.code == 2 && args[0] != "status" {
			t.Errorf("vouch %s: exit %d\n%s%s", strings.Join(args, " "), out.code, out.stdout, out.stderr)
		}
	}
	s.expect(0, []string{"image", "path", "third"}, "/cache/endorsed/third\n")
	s.expect(3, []string{"image", "path", "hung"}, `"hung" is not available: pending \(not downloaded yet\)`)
	pid := fmt.Sprint(running.Process.Pid)
	s.expect(4, []string{"sync", "--no-wait"}, "pid "+pid+": .* sync\\)", "hint: ")
	out := s.expect(4, []string{"sync", "--no-wait", "-o", "json"})
	var doc struct {
		Schema, Error, Hint string
		Exit                int
	}
	if json.Unmarshal([]byte(out.stdout), &doc) != nil || doc.Schema != "vouch/error/v1" || doc.Exit != 4 || !strings.Contains(doc.Error, pid) || doc.Hint == "" {
		t.Errorf("sync --no-wait -o json: %s", out.stdout)
	}
	s.env = []string{"VOUCH_EVENT_ID=x-1"}
	s.expect(4, []string{"sync"}, "pid "+pid+"\\b")
	s.env = nil
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the first sync: %v", err)
	}
	if s.endorsed("hung") == "" {
		t.Error("the slow image did not come")
	}
}

// TestF14_BlockWhileASyncRuns: a block does not wait for a download.
func TestF14_BlockWhileASyncRuns(t *testing.T) {
	s, _, release, done := hanging(t)
	s.expect(0, []string{"block", "--image", "quick", "--reason", "CVE-2026-1"}, "in force")
	if s.endorsed("quick") != "" {
		t.Error("the blocked image is still there")
	}
	s.expect(0, []string{"block", "--image", "hung", "--reason", "CVE-2026-2"})
	s.expect(3, []string{"image", "path", "quick"}, "blocked")
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the running sync: %v", err)
	}
	if s.endorsed("hung") != "" {
		t.Error("an image was published that was blocked while it was downloaded")
	}
}

// TestF14_SyncFromHandler: a handler's own sync must not wait for the sync
// that waits for the handler.
func TestF14_SyncFromHandler(t *testing.T) {
	s := newSite(t)
	binary, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	s.handler("loop", fmt.Sprintf("%s --config %s sync >%s 2>&1; echo exit $? >>%[3]s\n", binary, s.configFile(), s.path("said")), object{"events": []string{"image.available"}})
	s.publish(s.draft("1", picture{"one", "first", nil}))
	s.sync(0)
	said, err := os.ReadFile(s.path("said"))
	if err != nil || !strings.Contains(string(said), "exit 4") || !strings.Contains(string(said), "pid ") {
		t.Errorf("the handler's sync: %v, %s", err, said)
	}
}

// TestF14_ManyAtOnce starts ten syncs at once; one does the work, all are
// content.
func TestF14_ManyAtOnce(t *testing.T) {
	s := newSite(t)
	s.publish(s.draft("1", picture{"one", "first", nil}))
	codes := make(chan string, 10)
	for n := range 10 {
		args := []string{"sync"}
		if n%2 == 1 {
			args = append(args, "--no-wait")
		}
		cmd := s.command(args...)
		go func() {
			out, _ := cmd.CombinedOutput()
			codes <- fmt.Sprint(cmd.ProcessState.ExitCode(), " ", string(out))
		}()
	}
	for range 10 {
		if c := <-codes; !strings.HasPrefix(c, "0 ") && !strings.HasPrefix(c, "4 ") {
			t.Errorf("exit %s", c)
		}
	}
	if s.endorsed("one") != "first" {
		t.Error("nobody did the work")
	}
}

// TestT04_WhileASyncRuns: a date that passes in the middle of a run without a
// daemon is acted on within the minute, and is not overtaken by a download that
// ends after it.
func TestT04_WhileASyncRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(s.draft("1", picture{"plain", "plain bytes", nil}))
	s.expect(0, []string{"version"}) // built
	begun := time.Now()
	s.sync(0)
	release := make(chan struct{})
	s.pub.hook("/images/late", slow("bytes that come too late", release))
	s.pub.hook("/images/hung", slow("never all of it", nil))
	ends := s.publishDated(time.Since(begun), func(date object) *listtest.Builder {
		b := s.draft("2", picture{"dated", "dated bytes", date}, picture{"plain", "plain bytes", nil})
		b.Image("late", []byte("bytes that come too late"), s.pub.URL+"/images/late").ImageSet("dc:date:expires", date["dc:date:expires"])
		return b.Image("hung", []byte("never all of it"), s.pub.URL+"/images/hung")
	})
	cmd := s.command("sync")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	s.here("dated", true)
	s.leavesInTime("dated", <-ends)
	close(release)
	for range 30 { // long enough for it to arrive
		time.Sleep(100 * time.Millisecond)
		if s.endorsed("late") != "" {
			t.Fatal("published after its date")
		}
	}
	if s.endorsed("plain") == "" {
		t.Error("what has no date of its own went as well")
	}
	if out := s.expect(0, []string{"event", "ls"}, `image\.expired +dated .*image-expired`); strings.Contains(out.stdout, "image.available  late") {
		t.Errorf("told of it:\n%s", out.stdout)
	}
}
