package fetch

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// meter counts what is read and shows whether a read is waiting. Time that a
// slow consumer, a busy disk say, spends between reads is not the server's.
type meter struct {
	body    io.Reader
	bytes   atomic.Int64
	waiting atomic.Bool
}

func (m *meter) Read(p []byte) (int, error) {
	m.waiting.Store(true)
	n, err := m.body.Read(p)
	m.waiting.Store(false)
	m.bytes.Add(int64(n))
	return n, err
}

// stallError is why the watchdog ended a transfer. It is the cancellation
// cause of the transfer's context.
type stallError string

func (e stallError) Error() string { return string(e) }

// watchdog is how long a server may keep a transfer waiting (T-06).
type watchdog struct {
	idle   time.Duration // without a byte
	rate   int64         // bytes per second ...
	window time.Duration // ... over this much waiting
}

// watch looks at m now and then until ctx ends, and cancels it with a
// stallError when the server is too slow. It counts ticks, not time, so that a
// process that was stopped does not blame the server.
func (w watchdog) watch(ctx context.Context, m *meter, cancel context.CancelCauseFunc) {
	step := min(time.Second, max(min(w.idle, w.window)/5, time.Millisecond))
	tick := time.NewTicker(step)
	defer tick.Stop()
	var idle, span time.Duration // waited since the last byte, since the window began
	var seen, base int64         // bytes at the last tick, when the window began
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n := m.bytes.Load()
		if n != seen || !m.waiting.Load() {
			idle = 0
		} else {
			idle += step
		}
		seen = n
		if m.waiting.Load() {
			span += step
		}
		if idle >= w.idle {
			cancel(stallError(fmt.Sprintf("no data for %v", w.idle)))
			return
		}
		if span >= w.window {
			if n-base < int64(float64(w.rate)*w.window.Seconds()) {
				cancel(stallError(fmt.Sprintf("slower than %d bytes per second", w.rate)))
				return
			}
			span, base = 0, n
		}
	}
}
