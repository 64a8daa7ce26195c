package cache_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vouch/cache"
	"vouch/cache/cachetest"
)

// TestF01_KilledAnywhere kills a working process again and again. Whatever it
// was doing, no name has wrong bytes, the next process goes on, and what it
// left can be cleaned up.
func TestF01_KilledAnywhere(t *testing.T) {
	dir := t.TempDir()
	var digests []cache.Digest
	for _, content := range works {
		digests = append(digests, cachetest.DigestOf(content))
	}
	seen := 0
	for range 15 {
		killAfter(t, dir, time.Duration(rand.IntN(60))*time.Millisecond)
		s := open(t, dir, cache.Options{GID: -1})
		blobs, names := cachetest.Verify(t, s, digests...)
		seen += blobs + names
		if index, err := s.ReadIndex(); err == nil && len(index) != 128 {
			t.Errorf("index of %d bytes", len(index))
		}
		for _, content := range works {
			cachetest.Ingest(t, s, content)
		}
		if err := s.RemovePartials(nil); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "partial")); err != nil || len(left) > 0 {
			t.Errorf("left %v (%v)", left, err)
		}
		if foreign, err := s.Foreign(); err != nil || len(foreign) > 0 {
			t.Errorf("not ours: %q (%v)", foreign, err)
		}
	}
	if seen == 0 {
		t.Error("never anything to verify")
	}
}

// killAfter lets a child work for some time.
func killAfter(t *testing.T, dir string, d time.Duration) {
	t.Helper()
	cmd, out := startChild(t, "work", dir)
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("child said %q", lines.Text())
	}
	time.Sleep(d)
	kill(cmd)
	if lines.Scan() {
		t.Errorf("child said %q", lines.Text())
	}
}

// TestF01_ResumeAfterKill kills a download. At most Checkpoint of what it held
// is gone, and what is resumed ends in the right bytes. After a crash of the
// machine, only what the checkpoint vouches for counts.
func TestF01_ResumeAfterKill(t *testing.T) {
	content := cachetest.Content(9, trickleSize)
	d := cachetest.DigestOf(content)
	for _, rebooted := range []bool{false, true} {
		dir := t.TempDir()
		taken := killAt(t, dir, 40<<20)
		saved, held := left(t, dir, d, rebooted)
		s := open(t, dir, cache.Options{GID: -1})
		p, err := s.Begin(d, trickleSize)
		if err != nil {
			t.Fatal(err)
		}
		want := held
		if rebooted {
			want = saved
		}
		if p.Offset() != want || p.Validator() != `"tag"` {
			t.Errorf("rebooted %v: resumes at %d with %q, want %d", rebooted, p.Offset(), p.Validator(), want)
		}
		if saved < taken-cache.Checkpoint {
			t.Errorf("took %d, of which %d are saved", taken, saved)
		}
		if _, err := p.Write(content[p.Offset():]); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		cachetest.Verify(t, s)
	}
}

// killAt kills a trickling child that has taken so much, and returns how much
// it said it had taken in the end.
func killAt(t *testing.T, dir string, offset int64) (taken int64) {
	t.Helper()
	cmd, out := startChild(t, "trickle", dir)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatal(lines.Text())
		}
		if taken = n; taken >= offset {
			cmd.Process.Signal(syscall.SIGKILL)
		}
	}
	kill(cmd)
	return taken
}

// left reads what a killed process left, and can make it look as if the
// machine had been restarted since.
func left(t *testing.T, dir string, d cache.Digest, rebooted bool) (saved, held int64) {
	t.Helper()
	base := filepath.Join(dir, "partial", d.String())
	data, err := os.ReadFile(base + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]json.RawMessage
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(c["offset"], &saved); err != nil {
		t.Fatal(err)
	}
	if rebooted {
		c["boot"] = json.RawMessage(`"another"`)
		data, _ = json.Marshal(c)
		if err := os.WriteFile(base+".json", data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fi, err := os.Stat(base + ".part")
	if err != nil {
		t.Fatal(err)
	}
	return saved, fi.Size()
}

// TestF04_WriteAndSyncErrors lets writes and syncs of a real process fail:
// nothing is named, and the file is given up. A second sync of it would tell
// that all is well.
func TestF04_WriteAndSyncErrors(t *testing.T) {
	cachetest.Need(t, "strace")
	d := cachetest.DigestOf(works[2])
	for _, call := range []string{"pwrite64", "fdatasync", "fsync"} {
		t.Run(call, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, cache.Options{GID: -1})
			log := filepath.Join(t.TempDir(), "log")
			cmd := childCommand(t, "complete", dir, "strace", "-f", "-qqq", "-o", log,
				"-P", filepath.Join(dir, "partial", d.String()+".part"), "-e", "inject="+call+":error=EIO")
			if out, err := cmd.Output(); err == nil {
				t.Errorf("no error: %s", out)
			}
			if _, err := s.Stat(d); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a blob (%v)", err)
			}
			if left, err := os.ReadDir(filepath.Join(dir, "partial")); err != nil || len(left) > 0 {
				t.Errorf("left %v (%v)", left, err)
			}
			calls, err := os.ReadFile(log)
			if n := strings.Count(string(calls), " "+call+"("); err != nil || n != 1 {
				t.Errorf("%s called %d times (%v)", call, n, err)
			}
		})
	}
}
