package subscriber

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"
	"sync/atomic"

	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// window is how many events a sender may have been told before the outcomes
// are on disk. For a program it is one.
const window = 64

// attempt is what became of one posted event.
type attempt struct {
	posted  posted
	handler string
	skipped bool // not tried: cancelled, stopped, or behind a failed one of its image
	receipt event.Receipt
	err     error
	queue   *queue // where it holds a place until the outcome is on disk
}

// posted is one event on its way to one handler.
type posted struct {
	event metadata.Event
	tries int  // before this run
	early bool // its next attempt is later: it holds back what follows of its image
	once  bool // sync.*: told once, never retried

	announce context.Context // the call before the change, while this lasts; nil for deliveries
	told     chan struct{}   // closed when the announcement is over
}

// courier tells handlers while the run goes on: each handler has a queue and
// a goroutine of its own, so that one that hangs delays no other, no download
// and no withdrawal. Outcomes come back to the run's goroutine, which writes
// all that are there in one transaction (D4).
//
// A program gets its next event after that; a sender goes on, up to window
// events ahead. A crash repeats what was told and not written down: at most
// one event of a program, window of a sender, in order, under the same ids. At
// least once, never never.
type courier struct {
	stop   context.CancelFunc
	queues map[string]*queue
	out    chan attempt
	gone   chan struct{} // closed when every handler's goroutine has ended
	open   int           // posted and not settled
	enough atomic.Bool   // nothing more is told in this run
}

// queue is what one handler has yet to hear in this run.
type queue struct {
	mu        sync.Mutex
	wake      chan struct{} // holds one token when there may be something new
	room      chan struct{} // holds a token for each event told and not written down
	events    []posted
	cancelled map[uint64]bool
	closed    bool
}

// startCourier opens a queue for every handler.
func (r *run) startCourier(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	c := &courier{stop: stop, queues: map[string]*queue{}, out: make(chan attempt, window), gone: make(chan struct{})}
	r.courier = c
	var wg sync.WaitGroup
	for _, h := range r.cfg.Handlers {
		ahead := 1
		if h.Sender != nil {
			ahead = window
		}
		if s, ok := h.Sender.(interface{ Trust([]*x509.Certificate) }); ok {
			s.Trust(r.roots())
		}
		q := &queue{wake: make(chan struct{}, 1), room: make(chan struct{}, ahead), cancelled: map[uint64]bool{}}
		c.queues[h.Name] = q
		wg.Go(func() {
			c.serve(ctx, q, h, r.place())
			if h.Sender != nil {
				h.Sender.Close() // a connection that does not close well is of no use anyway
			}
		})
	}
	go func() { wg.Wait(); close(c.gone) }()
}

// patientWith is how often somebody who answers may refuse an event before
// those of other images go first.
const patientWith = 3

// postPending queues what earlier runs left, oldest first; last the images
// whose event alone may be what a handler does not get over.
func (r *run) postPending() error {
	if err := r.revive(); err != nil {
		return err
	}
	type image struct{ handler, subject string }
	numbers, last := sortedNumbers(r.st.Events), map[image]bool{}
	for _, n := range numbers {
		e := r.st.Events[n]
		for name, d := range e.Pending {
			if d.Refused >= patientWith && !d.Dead {
				last[image{name, e.Event.Subject}] = true
			}
		}
	}
	for _, now := range []bool{false, true} {
		for _, n := range numbers {
			e := r.st.Events[n]
			r.postTo(e, func(name string) bool { return last[image{name, e.Event.Subject}] == now })
		}
	}
	return nil
}

// post queues a committed event for the handlers that have not had it, once
// per run.
func (r *run) post(e *metadata.Event) { r.postTo(e, func(string) bool { return true }) }

func (r *run) postTo(e *metadata.Event, handler func(name string) bool) {
	if r.courier == nil {
		return
	}
	for name, d := range e.Pending {
		if d.Dead || !handler(name) || r.leftAlone(name) {
			continue
		}
		if q := r.courier.queues[name]; q != nil {
			r.courier.open++
			q.push(posted{event: metadata.Event{Number: e.Number, Event: e.Event}, tries: d.Attempts, early: r.early(d.Next)})
		}
	}
}

func (q *queue) push(p posted) {
	q.mu.Lock()
	q.events = append(q.events, p)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pushFront queues an announcement before everything but sync.started.
func (q *queue) pushFront(p posted) {
	q.mu.Lock()
	at := 0
	for at < len(q.events) && q.events[at].once {
		at++
	}
	q.events = slices.Insert(q.events, at, p)
	q.mu.Unlock()
	q.signal()
}

// next waits for something to tell; false when the queue is closed and empty.
func (q *queue) next() (p posted, cancelled, ok bool) {
	for {
		q.mu.Lock()
		if len(q.events) > 0 {
			p, q.events = q.events[0], q.events[1:]
			cancelled = q.cancelled[p.event.Number]
			q.mu.Unlock()
			return p, cancelled, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return posted{}, false, false
		}
		<-q.wake
	}
}

// serve tells one handler its events in order. An event that fails holds back
// only later ones of its own image; a handler that takes nothing, or hangs,
// holds back everything.
func (c *courier) serve(ctx context.Context, q *queue, h event.Handler, place event.Place) {
	stuck, superseded, held := map[string]bool{}, map[string]bool{}, false
	for {
		q.room <- struct{}{}
		p, cancelled, ok := q.next()
		if !ok {
			return
		}
		e := p.event.Event
		if p.announce != nil {
			h.Announce(p.announce, e, place) // best effort: the change does not depend on it
			close(p.told)
			<-q.room
			continue
		}
		a := attempt{posted: p, handler: h.Name, queue: q}
		if p.early && !cancelled {
			stuck[e.Subject] = true
		}
		if a.skipped = cancelled || held || p.early || ctx.Err() != nil || c.enough.Load() || e.Subject != "" && stuck[e.Subject]; !a.skipped {
			late := announcedLate(e.Type) || e.Type == event.ImageAvailable && superseded[e.Subject]
			superseded[e.Subject] = e.Type == event.ImageSuperseded
			a.receipt, a.err = h.Deliver(ctx, e, place, late && p.tries == 0)
			stuck[e.Subject] = a.err != nil
			held = holdsBack(a.err)
			a.skipped = a.err != nil && ctx.Err() != nil // stopped by us, not refused by the handler
		}
		c.out <- a
	}
}

// announcedLate says which events tell their announcement together with the
// fact: those of an update, after the switch, and those that wait for nobody.
func announcedLate(t event.Type) bool {
	switch t {
	case event.ImageSuperseded, event.ImageRevoked, event.ImageBlocked, event.ImageCorrupt:
		return true
	}
	return false
}

// outcomes is where the run hears of deliveries; nil while there is no courier.
func (r *run) outcomes() <-chan attempt {
	if r.courier == nil {
		return nil
	}
	return r.courier.out
}

// gather is an outcome and all others that are there.
func (c *courier) gather(first attempt) []attempt {
	batch := []attempt{first}
	for range len(c.out) {
		batch = append(batch, <-c.out)
	}
	return batch
}

// dismissCourier ends the run's deliveries: what is not told yet stays pending.
func (r *run) dismissCourier() {
	c := r.courier
	if c == nil {
		return
	}
	c.stop()
	for _, q := range c.queues {
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
		q.signal()
	}
	var told []attempt
	take := func(a attempt) {
		<-a.queue.room
		if a.receipt == (event.Receipt{}) { // else it is told again: what it is about may not be on disk
			told = append(told, a)
		}
	}
	for gone := false; !gone; {
		select {
		case a := <-c.out:
			take(a)
		case <-c.gone:
			gone = true
		}
	}
	for range len(c.out) {
		take(<-c.out)
	}
	if err := r.record(told); err != nil {
		r.log.Warn("events are told again", "error", err)
	}
	r.courier = nil
}

// cancelDelivery keeps a queued event from being told.
func (r *run) cancelDelivery(e *metadata.Event) {
	e.Pending = map[string]metadata.Delivery{}
	if r.courier == nil {
		return
	}
	for _, q := range r.courier.queues {
		q.mu.Lock()
		q.cancelled[e.Number] = true
		q.mu.Unlock()
	}
}
