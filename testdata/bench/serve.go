package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"vouch/subscriber"
)

// readers is how many clients read one image at once.
const readers = 200

// served is one large image from the daemon, beside nginx with the same file
// in the same page cache.
func (b *bench) served() error {
	size, err := b.large(1, b.size)
	if err != nil {
		return err
	}
	s, err := b.newSite("serving", "large-1.list")
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	if err := appendTo(s.config, "http: {listen: \""+address+"\"}\n"); err != nil {
		return err
	}
	if _, err := s.run("sync"); err != nil {
		return err
	}
	index, err := subscriber.ReadIndex(filepath.Join(s.dir, "cache"))
	if err != nil || len(index.Images) != 1 {
		return errors.Join(err, errors.New("nothing was published"))
	}
	blob := filepath.Join(s.dir, "cache", index.Images[0].Blob)
	if err := os.Link(blob, filepath.Join(b.world.www, "served")); err != nil {
		return err
	}
	cmd, err := s.daemon()
	if err != nil {
		return err
	}
	defer func() { cmd.Cancel(); cmd.Wait() }()
	ours, theirs := "http://"+address+"/v1/images/"+index.Images[0].Identifier+"/data", b.world.url+"/served"
	if err := b.answers("http://" + address + "/readyz"); err != nil {
		return err
	}
	read := func(url string) func() (cost, error) {
		return func() (cost, error) { return b.shell("curl -sf -o /dev/null " + url) }
	}
	first, err := read(ours)() // it is hashed once
	if err != nil {
		return err
	}
	medians, err := b.inTurn(read(theirs), read(ours))
	if err != nil {
		return err
	}
	nginx, vouch := medians[0], medians[1]
	what := fmt.Sprintf("serving one image of %d MiB: ", size>>20)
	b.add(ratio(nginx.wall, vouch.wall) >= 0.9, what+"throughput to nginx", ">= 0.9", "%.2f (%.2f s to %.2f s; %.2f s when it is hashed)", ratio(nginx.wall, vouch.wall), vouch.wall.Seconds(), nginx.wall.Seconds(), first.wall.Seconds())
	return b.crowd(cmd.Process.Pid, ours)
}

// crowd is many readers of the same image at once, each for a part of it that
// is larger than any buffer between.
func (b *bench) crowd(pid int, url string) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return err
	}
	var all sync.WaitGroup
	failed := make(chan error, readers)
	begun := time.Now()
	for range readers {
		all.Go(func() {
			n, err := b.part(url)
			if err == nil && n != crowdPart {
				err = fmt.Errorf("a reader has %d bytes", n)
			}
			failed <- err
		})
	}
	all.Wait()
	wall := time.Since(begun)
	for range readers {
		if err := <-failed; err != nil {
			return err
		}
	}
	_, peak, err := memory(pid)
	if err != nil {
		return err
	}
	b.add(peak <= 192<<20, fmt.Sprintf("serving %d readers at once: memory", readers), "<= 192 MiB", "%d MiB (%d MiB/s)", peak>>20, int64(float64(readers*crowdPart>>20)/wall.Seconds()))
	return nil
}

const crowdPart = 64 << 20

func (b *bench) part(url string) (int64, error) {
	r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=0-%d", crowdPart-1))
	answer, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return io.Copy(io.Discard, answer.Body)
}

// answers waits until a daemon does.
func (b *bench) answers(url string) error {
	for range 200 {
		if r, err := http.Get(url); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := b.sleep(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not answer", url)
}

// daemon starts one.
func (s *site) daemon() (*exec.Cmd, error) {
	cmd := exec.CommandContext(s.b.ctx, s.b.vouch, "daemon")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "VOUCH_CONFIG=" + s.config}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	forget()
	return cmd, cmd.Start()
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
