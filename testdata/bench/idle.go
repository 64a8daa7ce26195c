package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// idleFor is how long a daemon that has nothing to do is watched.
const idleFor = time.Minute

// idle is a daemon with a thousand subscriptions of which none is due.
func (b *bench) idle() error {
	s, err := b.populated(lists)
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
	cmd, err := s.daemon()
	if err != nil {
		return err
	}
	defer func() { cmd.Cancel(); cmd.Wait() }()
	pid := cmd.Process.Pid
	for last := time.Duration(-1); ; { // its first pass is over when it rests
		if err := b.sleep(15 * time.Second); err != nil {
			return err
		}
		used, err := usedBy(pid)
		if err != nil {
			return err
		}
		if used-last < 200*time.Millisecond {
			break
		}
		last = used
	}
	before, err := usedBy(pid)
	if err != nil {
		return err
	}
	if err := b.sleep(idleFor); err != nil {
		return err
	}
	after, err := usedBy(pid)
	if err != nil {
		return err
	}
	resident, peak, err := memory(pid)
	if err != nil {
		return err
	}
	part := 100 * float64(after-before) / float64(idleFor)
	b.add(resident <= 96<<20, "daemon with 1000 subscriptions and nothing to do: memory", "<= 96 MiB", "%d MiB (%d MiB in a pass)", resident>>20, peak>>20)
	b.add(part <= 0.5, "daemon with 1000 subscriptions and nothing to do: of one core", "<= 0.5 %", "%.2f %%", part)
	return nil
}

func (b *bench) sleep(d time.Duration) error {
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// usedBy is what a running process has used, user and system, by the
// kernel's ticks of 10 ms.
func usedBy(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, raw)
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

// memory is what is resident of a running process, now and at most, in bytes.
func memory(pid int) (now, peak int64, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(raw)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &now)
		fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	return now << 10, peak << 10, nil
}
