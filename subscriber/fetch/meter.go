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
	var p pulse
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := w.look(&p, m, step); err != nil {
			cancel(err)
			return
		}
	}
}

// pulse is what the last look at a meter saw.
type pulse struct {
	seen int64         // bytes
	idle time.Duration // waited since the last byte
	base int64         // bytes when the window began
	span time.Duration // waited since then
}

// look takes m's pulse, step after the last time.
func (w watchdog) look(p *pulse, m *meter, step time.Duration) error {
	n, waiting := m.bytes.Load(), m.waiting.Load()
	if waiting {
		p.span += step
		p.idle += step
	}
	if !waiting || n != p.seen {
		p.idle = 0
	}
	p.seen = n
	switch {
	case p.idle >= w.idle:
		return stallError(fmt.Sprintf("no data for %v", w.idle))
	case p.span < w.window:
		return nil
	case float64(n-p.base) < float64(w.rate)*w.window.Seconds():
		return stallError(fmt.Sprintf("slower than %d bytes per second", w.rate))
	}
	p.base, p.span = n, 0
	return nil
}
