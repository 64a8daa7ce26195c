package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// cost is what one run of a process took, with the processes it waited for.
type cost struct {
	wall, cpu time.Duration // cpu is user and system
	peak      int64         // resident, in bytes, of the largest process
}

func (c cost) String() string {
	return fmt.Sprintf("%.2f s, cpu %.2f s, %d MiB", c.wall.Seconds(), c.cpu.Seconds(), c.peak>>20)
}

// shell measures a line of shell, such as a person would type.
func (b *bench) shell(line string) (cost, error) {
	return b.measure(exec.CommandContext(b.ctx, "/bin/sh", "-c", line))
}

// measure runs a command that must exit 0, in a process group of its own, so
// that an interrupt ends all of it in order.
func (b *bench) measure(cmd *exec.Cmd) (cost, error) {
	var out bytes.Buffer
	cmd.Stderr = &out // what it prints otherwise is thrown away
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	forget()
	begun := time.Now()
	err := cmd.Run()
	wall := time.Since(begun)
	if b.ctx.Err() != nil {
		return cost{}, b.ctx.Err()
	}
	if err != nil {
		return cost{}, fmt.Errorf("%v: %w: %s", cmd.Args, err, tail(out.Bytes()))
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, errors.New("no rusage on this system")
	}
	return cost{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss << 10}, nil
}

// forget makes this process small, and lets the kernel forget that it was ever
// larger: what starts a process passes its own peak on as the least the new one
// can have.
func forget() {
	debug.FreeOSMemory()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // where this does not work, memory is shown too large
}

func tail(text []byte) []byte { return text[max(0, len(text)-1000):] }

// inTurn measures every case once a round, and returns the median of each:
// every quantity's own.
func (b *bench) inTurn(cases ...func() (cost, error)) ([]cost, error) {
	all := make([][]cost, len(cases))
	for round := range b.rounds {
		for i, c := range cases {
			have, err := c()
			if err != nil {
				return nil, err
			}
			progress("round %d of %d, case %d: %v", round+1, b.rounds, i+1, have)
			all[i] = append(all[i], have)
		}
	}
	medians := make([]cost, len(cases))
	for i, costs := range all {
		medians[i] = cost{
			wall: median(costs, func(c cost) time.Duration { return c.wall }),
			cpu:  median(costs, func(c cost) time.Duration { return c.cpu }),
			peak: slices.MaxFunc(costs, func(a, b cost) int { return cmp.Compare(a.peak, b.peak) }).peak,
		}
	}
	return medians, nil
}

// median is the lower one of an even number.
func median(costs []cost, of func(cost) time.Duration) time.Duration {
	var all []time.Duration
	for _, c := range costs {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
