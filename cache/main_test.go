package cache_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"vouch/cache"
	"vouch/cache/cachetest"
)

// children are what this test binary does as a process of its own, to be
// killed. They say on standard output how far they are.
var children = map[string]func(s *cache.Store) error{
	"work":     work,
	"trickle":  trickle,
	"complete": complete,
}

func TestMain(m *testing.M) {
	do, dir, _ := strings.Cut(os.Getenv("CACHE_TEST_CHILD"), " ")
	if children[do] == nil {
		os.Exit(m.Run())
	}
	if err := child(dir, children[do]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func child(dir string, do func(*cache.Store) error) error {
	s, err := cache.Open(dir, cache.Options{GID: -1})
	if err != nil {
		return err
	}
	return do(s)
}

// childCommand is this binary doing one of children.
func childCommand(t *testing.T, do, dir string, wrapper ...string) *exec.Cmd {
	args := append(wrapper, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CACHE_TEST_CHILD="+do+" "+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// startChild starts it; the kill at the end of the test is for one that is
// still there.
func startChild(t *testing.T, do, dir string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := childCommand(t, do, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd, out
}

func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
	}
}

// works are the images that work goes round.
var works = [][]byte{
	cachetest.Content(1, 1000),
	cachetest.Content(2, 1<<20),
	cachetest.Content(3, 3<<20+1),
}

var workAt = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// work ingests, publishes, updates and withdraws for ever.
func work(s *cache.Store) error {
	fmt.Println("ready")
	var old cache.Digest
	for i := 0; ; i++ {
		content := works[i%len(works)]
		d, err := workIngest(s, content)
		if err != nil {
			return err
		}
		if _, err := s.Retain("image", old, workAt); err != nil {
			return err
		}
		if _, err := s.Publish("image", d); err != nil {
			return err
		}
		if err := s.WriteIndex([]byte(d.String())); err != nil {
			return err
		}
		if i%4 == 3 {
			if _, err := s.Unpublish("image", workAt); err != nil {
				return err
			}
		}
		if err := workTidy(s, d); err != nil {
			return err
		}
		old = d
	}
}

func workIngest(s *cache.Store, content []byte) (cache.Digest, error) {
	d := cachetest.DigestOf(content)
	p, err := s.Begin(d, int64(len(content)))
	if err != nil {
		return d, err
	}
	defer p.Close()
	// In two halves, so that there is something to resume.
	half := max(p.Offset(), int64(len(content)/2))
	if _, err := p.Write(content[p.Offset():half]); err != nil {
		return d, err
	}
	if err := p.Close(); err != nil {
		return d, err
	}
	if p, err = s.Begin(d, int64(len(content))); err != nil {
		return d, err
	}
	defer p.Close()
	if _, err := p.Write(content[p.Offset():]); err != nil {
		return d, err
	}
	_, err = p.Commit(context.Background())
	return d, err
}

func workTidy(s *cache.Store, d cache.Digest) error {
	if err := s.RemoveBlob(d); err != nil {
		return err
	}
	kept, err := s.Expired()
	if err != nil {
		return err
	}
	for _, path := range kept {
		if err := s.RemoveExpired(path); err != nil {
			return err
		}
	}
	return s.Sync()
}

const trickleSize = 48 << 20

// trickle ingests and says after each piece how much was taken, for ever
// short of the last byte.
func trickle(s *cache.Store) error {
	content := cachetest.Content(9, trickleSize)
	p, err := s.Begin(cachetest.DigestOf(content), trickleSize)
	if err != nil {
		return err
	}
	if err := p.Restart(`"tag"`); err != nil {
		return err
	}
	for rest := content[:trickleSize-1]; len(rest) > 0; {
		n, err := p.Write(rest[:min(len(rest), 1<<20)])
		if err != nil {
			return err
		}
		rest = rest[n:]
		fmt.Println(p.Offset())
	}
	select {}
}

// complete resumes and commits the largest of works, once.
func complete(s *cache.Store) error {
	_, err := workIngest(s, works[2])
	return err
}
