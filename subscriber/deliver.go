package subscriber

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// Delivery limits (contract §6).
const (
	vmcatcherTries = 3
	backoffFirst   = time.Second
	backoffLast    = 15 * time.Minute
	announceBudget = 30 * time.Second

	deadLetter = "dead-letter" // code of the problem
)

func (r *run) place() event.Place {
	return event.Place{CacheDir: r.cfg.Cache.Dir, StateDir: r.cfg.StateDir, Session: r.session}
}

// attempt is what became of one posted event.
type attempt struct {
	posted  posted
	handler string
	skipped bool // not tried: cancelled, stopped, or behind a failed one of its image
	receipt event.Receipt
	err     error
	done    chan struct{} // closed when the outcome is on disk
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
// them down (D4) before the handler gets its next event: a crash repeats at
// most one event per handler, under the same id. At least once, never never.
type courier struct {
	stop   context.CancelFunc
	queues map[string]*queue
	out    chan attempt
	gone   chan struct{} // closed when every handler's goroutine has ended
	open   int           // posted and not settled
}

// queue is what one handler has yet to hear in this run.
type queue struct {
	mu        sync.Mutex
	wake      chan struct{} // holds one token when there may be something new
	events    []posted
	cancelled map[uint64]bool
	closed    bool
}

// startCourier opens a queue for every handler.
func (r *run) startCourier(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	c := &courier{stop: stop, queues: map[string]*queue{}, out: make(chan attempt), gone: make(chan struct{})}
	r.courier = c
	var wg sync.WaitGroup
	for _, h := range r.cfg.Handlers {
		q := &queue{wake: make(chan struct{}, 1), cancelled: map[uint64]bool{}}
		c.queues[h.Name] = q
		wg.Go(func() { q.serve(ctx, h, r.place(), c.out) })
	}
	go func() { wg.Wait(); close(c.gone) }()
}

// postPending queues what earlier runs left, oldest first.
func (r *run) postPending() {
	for _, n := range sortedNumbers(r.st.Events) {
		r.post(r.st.Events[n])
	}
}

// post queues a committed event for the handlers that have not had it, once
// per run.
func (r *run) post(e *metadata.Event) {
	if r.courier == nil {
		return
	}
	for name, d := range e.Pending {
		if q := r.courier.queues[name]; q != nil && !d.Dead {
			r.courier.open++
			q.push(posted{event: metadata.Event{Number: e.Number, Event: e.Event}, tries: d.Attempts, early: r.paced && d.Next.After(r.at)})
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
// only later ones of its own image.
func (q *queue) serve(ctx context.Context, h event.Handler, place event.Place, out chan<- attempt) {
	stuck, superseded, hung := map[string]bool{}, map[string]bool{}, false
	for {
		p, cancelled, ok := q.next()
		if !ok {
			return
		}
		e := p.event.Event
		if p.announce != nil {
			h.Announce(p.announce, e, place) // best effort: the change does not depend on it
			close(p.told)
			continue
		}
		a := attempt{posted: p, handler: h.Name, done: make(chan struct{})}
		if p.early && !cancelled {
			stuck[e.Subject] = true
		}
		if a.skipped = cancelled || hung || p.early || ctx.Err() != nil || e.Subject != "" && stuck[e.Subject]; !a.skipped {
			late := announcedLate(e.Type) || e.Type == event.ImageAvailable && superseded[e.Subject]
			superseded[e.Subject] = e.Type == event.ImageSuperseded
			a.receipt, a.err = h.Deliver(ctx, e, place, late && p.tries == 0)
			stuck[e.Subject] = a.err != nil
			hung = errors.Is(a.err, context.DeadlineExceeded) // a hundred events would be a hundred timeouts
			a.skipped = a.err != nil && ctx.Err() != nil      // stopped by us, not refused by the handler
		}
		out <- a
		<-a.done
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

// settle writes one outcome down and lets the handler go on.
func (r *run) settleAttempt(a attempt) error {
	defer close(a.done)
	r.courier.open--
	row := r.st.Events[a.posted.event.Number]
	if a.posted.once {
		if a.err != nil {
			r.log.Warn("event not delivered", "handler", a.handler, "type", a.posted.event.Event.Type, "error", a.err)
		}
		return nil
	}
	if a.skipped || row == nil {
		return nil
	}
	d, owed := row.Pending[a.handler]
	if !owed {
		return nil // cancelled while it was told
	}
	var image *metadata.Image
	if a.err == nil {
		delete(row.Pending, a.handler)
		r.report.Events.Delivered++
		image = r.rememberResource(row, a)
	} else {
		row.Pending[a.handler] = r.failed(row, d, a)
	}
	return r.commit(func(tx *metadata.Tx) {
		if image != nil {
			tx.PutImage(image)
		}
		if len(row.Pending) == 0 {
			delete(r.st.Events, row.Number)
			tx.DeleteEvent(row.Number)
			return
		}
		tx.PutEvent(row)
	})
}

// failed counts a failed attempt; after its time or tries are over the event
// is a dead letter.
func (r *run) failed(row *metadata.Event, d metadata.Delivery, a attempt) metadata.Delivery {
	d.Attempts++
	d.Error = event.Printable(a.err.Error())
	h, pause := r.handler(a.handler), backoff(d.Attempts)
	if h.VMCatcher {
		pause = backoffLast // three attempts within seconds would not outlast a cloud's restart
	}
	d.Next = r.at.Add(time.Since(r.begun)).Add(pause) // a handler may take its time to fail
	if d.Attempts < vmcatcherTries || !h.VMCatcher {
		since := row.Event.Time
		if met := r.st.Meta.Handlers[a.handler]; met.After(since) {
			since = met // a new handler is told of old facts
		}
		if r.at.Sub(since) < h.MaxAge {
			r.log.Warn("event not delivered", "handler", a.handler, "type", row.Event.Type, "event", row.Event.ID, "attempts", d.Attempts, "error", d.Error)
			return d
		}
	}
	d.Dead, d.Next = true, time.Time{}
	r.report.Events.Dead++
	r.problem("critical", "handler "+a.handler, deadLetter, string(row.Event.Type)+" of "+row.Event.Subject+": "+d.Error, "mend the handler, then: vouch event retry "+row.Event.ID)
	return d
}

// deliver waits until everything posted so far was tried.
func (r *run) deliver(ctx context.Context) error {
	for r.courier.open > 0 {
		select {
		case a := <-r.courier.out:
			if err := r.settleAttempt(a); err != nil {
				return err
			}
		case <-r.tick.C:
			if err := r.heedBlocks(ctx); err != nil {
				return err
			}
		}
	}
	r.countPending()
	return nil
}

// dismissCourier ends the run's deliveries: what is not told yet stays pending.
func (r *run) dismissCourier() {
	if r.courier == nil {
		return
	}
	r.courier.stop()
	for _, q := range r.courier.queues {
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
		q.signal()
	}
	for {
		select {
		case a := <-r.courier.out:
			close(a.done)
		case <-r.courier.gone:
			r.courier = nil
			return
		}
	}
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

// rememberResource keeps what a handler made of an image.
func (r *run) rememberResource(row *metadata.Event, a attempt) *metadata.Image {
	if a.receipt.Resource == "" {
		return nil
	}
	for key, i := range r.st.Images {
		if key.ID == row.Event.Subject && i.Published {
			if i.Resources == nil {
				i.Resources = map[string]string{}
			}
			i.Resources[a.handler] = a.receipt.Resource
			return i
		}
	}
	return nil
}

// backoff doubles from a second to a quarter of an hour, with jitter.
func backoff(attempts int) time.Duration {
	d := min(backoffLast, backoffFirst<<min(attempts-1, 20))
	return d/2 + rand.N(d/2+1)
}

func (r *run) handler(name string) event.Handler {
	for _, h := range r.cfg.Handlers {
		if h.Name == name {
			return h
		}
	}
	return event.Handler{}
}

// dropUnknownHandlers forgets deliveries to handlers that are configured no more.
func (r *run) dropUnknownHandlers() {
	for _, e := range r.st.Events {
		for name := range e.Pending {
			if r.handler(name).Name == "" {
				delete(e.Pending, name)
			}
		}
	}
}

func (r *run) countPending() {
	r.report.Events.Pending = 0
	for _, e := range r.st.Events {
		for _, d := range e.Pending {
			if !d.Dead {
				r.report.Events.Pending++
			}
		}
	}
}

// meetHandlers tells handlers seen for the first time of everything that is
// published (start: current), under the id each image.available had: what is
// new is the handler, not the fact.
func (r *run) meetHandlers() error {
	known, met := r.st.Meta.Handlers, map[string]time.Time{}
	for name, since := range known {
		if r.handler(name).Name != "" { // one that is gone comes back as a new one
			met[name] = since
		}
	}
	var changed []*metadata.Event
	var images []*metadata.Image
	for _, h := range r.cfg.Handlers {
		if _, ok := known[h.Name]; ok {
			continue
		}
		met[h.Name] = r.at
		if h.FromNow || !h.Wants(event.ImageAvailable) {
			continue
		}
		for key, i := range r.st.Images {
			if !i.Published {
				continue
			}
			changed, images = append(changed, r.tellAgain(key, i, h.Name)), append(images, i)
		}
	}
	if err := r.commitEach(len(changed), func(tx *metadata.Tx, i int) {
		tx.PutEvent(changed[i])
		tx.PutImage(images[i])
	}); err != nil {
		return err
	}
	r.st.Meta.Handlers = met // last: a handler is known when all it is owed is on disk
	return r.commit(func(*metadata.Tx) {})
}

// tellAgain queues an image's image.available for one handler.
func (r *run) tellAgain(key metadata.ImageKey, i *metadata.Image, handler string) *metadata.Event {
	if i.Available == 0 { // rebuilt: this state has not told it to anybody yet
		i.Available, i.AvailableAt = r.nextNumber(), r.at
		r.report.Events.Emitted++
	}
	row := r.st.Events[i.Available]
	if row == nil {
		row = &metadata.Event{Number: i.Available, Event: r.render(i.Available, event.ImageAvailable, key.ID, i.AvailableAt, r.imageData(i.Entry, r.st.Lists[key.List]))}
		r.st.Events[i.Available] = row
	}
	if row.Pending == nil {
		row.Pending = map[string]metadata.Delivery{}
	}
	row.Pending[handler] = metadata.Delivery{}
	return row
}

// announce makes the best-effort call before a change, in each handler's own
// turn. All announcements of a run together may take a handler half a minute;
// without wait they are only begun.
func (r *run) announce(ctx context.Context, e event.Event, wait bool) error {
	for _, h := range r.cfg.Handlers {
		left, begun := r.budget[h.Name]
		if !begun {
			left = announceBudget
		}
		if !h.VMCatcher || !h.Wants(e.Type) || left <= 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, left)
		p := posted{event: metadata.Event{Event: e}, announce: ctx, told: make(chan struct{})}
		since := time.Now() // how long a foreign program takes, not what time it is
		r.courier.queues[h.Name].pushFront(p)
		if !wait {
			go func() { <-p.told; cancel() }()
			continue
		}
		err := r.awaitTold(ctx, p.told)
		cancel()
		if err != nil {
			return err
		}
		r.budget[h.Name] = left - time.Since(since)
	}
	return nil
}

// awaitTold settles what handlers report meanwhile: the one we wait for may be
// waiting for us.
func (r *run) awaitTold(ctx context.Context, told <-chan struct{}) error {
	for {
		select {
		case <-told:
			return nil
		case <-ctx.Done():
			return nil
		case a := <-r.courier.out:
			if err := r.settleAttempt(a); err != nil {
				return err
			}
		}
	}
}

// announceAvailable shows handlers the verified bytes under partial/ before
// they have their name.
func (r *run) announceAvailable(ctx context.Context, w want) error {
	listening := false
	for _, h := range r.cfg.Handlers {
		listening = listening || h.VMCatcher && h.Wants(event.ImageAvailable)
	}
	if !listening {
		return nil
	}
	if _, err := r.cache.Stage(w.key.ID, w.digest); err != nil {
		r.log.Info("not staged for announcement", "image", w.key.ID, "error", err)
		return nil
	}
	entry := r.imageEntry(w.list, w.image)
	err := r.announce(ctx, r.render(r.st.Meta.NextEvent+1, event.ImageAvailable, w.key.ID, r.at, r.imageData(entry, w.list)), true)
	if err := r.cache.Unstage(w.key.ID); err != nil {
		r.log.Warn("staged name left behind", "image", w.key.ID, "error", err)
	}
	return err
}

// tellOnce is for sync.started and sync.finished: logged, told, never retried.
func (r *run) tellOnce(t event.Type, data event.SyncData) error {
	if r.dry {
		return nil
	}
	n := r.nextNumber()
	e := r.render(n, t, "", r.at, data)
	if err := r.commit(func(*metadata.Tx) {}); err != nil { // the number is taken for good
		return err
	}
	if err := r.elog.Append(e); err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	for _, h := range r.cfg.Handlers {
		if h.Wants(t) {
			r.courier.open++
			r.courier.queues[h.Name].push(posted{event: metadata.Event{Number: n, Event: e}, once: true})
		}
	}
	return nil
}
