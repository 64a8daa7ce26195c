package subscriber

import (
	"context"
	"maps"
	"math/rand/v2"
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
)

func (r *run) place() event.Place {
	return event.Place{CacheDir: r.cfg.Cache.Dir, StateDir: r.cfg.StateDir, Session: r.session}
}

// attempt is one delivery that was tried.
type attempt struct {
	number  uint64
	handler string
	receipt event.Receipt
	err     error
	done    chan struct{} // closed when the outcome is on disk
}

// deliver tries each pending event once, handlers side by side, in order
// within each handler; an event that fails holds back only later ones of its
// own image.
//
// D4. Died before the outcome is on disk: the event is told again under the
// same id. At least once, never never.
func (r *run) deliver(ctx context.Context) error {
	r.dropUnknownHandlers()
	outcomes := make(chan attempt)
	var wg sync.WaitGroup
	for _, h := range r.cfg.Handlers {
		queue := r.queueOf(h)
		if len(queue) == 0 {
			continue
		}
		wg.Go(func() { r.tell(ctx, h, queue, outcomes) })
	}
	go func() { wg.Wait(); close(outcomes) }()
	var failed error
	for a := range outcomes {
		if failed == nil {
			failed = r.settleAttempt(a)
		}
		close(a.done)
	}
	r.countPending()
	return failed
}

// queueOf copies what a handler has not had, oldest first.
func (r *run) queueOf(h event.Handler) []metadata.Event {
	var queue []metadata.Event
	for _, n := range sortedNumbers(r.st.Events) {
		e := r.st.Events[n]
		if d, ok := e.Pending[h.Name]; ok && !d.Dead {
			queue = append(queue, *e)
		}
	}
	return queue
}

// tell runs one handler through its queue. It waits for each outcome to be on
// disk before the next event, so that a crash repeats at most one.
func (r *run) tell(ctx context.Context, h event.Handler, queue []metadata.Event, out chan<- attempt) {
	stuck := map[string]bool{}
	superseded := map[string]bool{}
	for _, e := range queue {
		if ctx.Err() != nil {
			return
		}
		if stuck[e.Event.Subject] {
			continue
		}
		// An update tells its announcements after the switch, with the rest.
		update := e.Event.Type == event.ImageSuperseded || e.Event.Type == event.ImageAvailable && superseded[e.Event.Subject]
		superseded[e.Event.Subject] = e.Event.Type == event.ImageSuperseded
		a := attempt{number: e.Number, handler: h.Name, done: make(chan struct{})}
		a.receipt, a.err = h.Deliver(ctx, e.Event, r.place(), update && e.Pending[h.Name].Attempts == 0)
		if ctx.Err() != nil {
			return // stopped by us, not refused by the handler
		}
		stuck[e.Event.Subject] = a.err != nil
		out <- a
		<-a.done
	}
}

// settleAttempt writes down one outcome.
func (r *run) settleAttempt(a attempt) error {
	row := r.st.Events[a.number]
	d := row.Pending[a.handler]
	var image *metadata.Image
	if a.err == nil {
		delete(row.Pending, a.handler)
		r.report.Events.Delivered++
		image = r.rememberResource(row, a)
	} else {
		d.Attempts++
		d.Error = event.Printable(a.err.Error())
		d.Next = r.at.Add(backoff(d.Attempts))
		if h := r.handler(a.handler); d.Attempts >= vmcatcherTries && h.VMCatcher || r.at.Sub(row.Event.Time) >= h.MaxAge {
			d.Dead, d.Next = true, time.Time{}
			r.report.Events.Dead++
			r.problem("critical", "handler "+a.handler, "dead-letter", string(row.Event.Type)+" of "+row.Event.Subject+": "+d.Error, "mend the handler, then: vouch event retry "+row.Event.ID)
		} else {
			r.log.Warn("event not delivered", "handler", a.handler, "type", row.Event.Type, "event", row.Event.ID, "attempts", d.Attempts, "error", d.Error)
		}
		row.Pending[a.handler] = d
	}
	return r.commit(func(tx *metadata.Tx) {
		if image != nil {
			tx.PutImage(image)
		}
		if len(row.Pending) == 0 {
			delete(r.st.Events, a.number)
			tx.DeleteEvent(a.number)
			return
		}
		tx.PutEvent(row)
	})
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
	known := r.st.Meta.Handlers
	r.st.Meta.Handlers = maps.Clone(known)
	if r.st.Meta.Handlers == nil {
		r.st.Meta.Handlers = map[string]time.Time{}
	}
	for name := range known {
		if r.handler(name).Name == "" {
			delete(r.st.Meta.Handlers, name) // comes back as a new one
		}
	}
	var changed []*metadata.Event
	var images []*metadata.Image
	for _, h := range r.cfg.Handlers {
		if _, ok := known[h.Name]; ok {
			continue
		}
		r.st.Meta.Handlers[h.Name] = r.at
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
	return r.commitEach(len(changed), func(tx *metadata.Tx, i int) {
		tx.PutEvent(changed[i])
		tx.PutImage(images[i])
	})
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

// announce makes the best-effort call before a change. All announcements of a
// run together may take a handler half a minute.
func (r *run) announce(ctx context.Context, e event.Event) {
	for _, h := range r.cfg.Handlers {
		if !h.VMCatcher || !h.Wants(e.Type) {
			continue
		}
		left, ok := r.budget[h.Name]
		if !ok {
			left = announceBudget
		}
		if left <= 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, left)
		begun := time.Now() // how long a foreign program took, not what time it is
		if err := h.Announce(ctx, e, r.place()); err != nil {
			r.log.Info("announcement not taken", "handler", h.Name, "type", e.Type, "error", err)
		}
		cancel()
		r.budget[h.Name] = left - time.Since(begun)
	}
}

// announceAvailable shows handlers the verified bytes under partial/ before
// they have their name.
func (r *run) announceAvailable(ctx context.Context, w want) {
	listening := false
	for _, h := range r.cfg.Handlers {
		listening = listening || h.VMCatcher && h.Wants(event.ImageAvailable)
	}
	if !listening {
		return
	}
	if _, err := r.cache.Stage(w.key.ID, w.digest); err != nil {
		r.log.Info("not staged for announcement", "image", w.key.ID, "error", err)
		return
	}
	entry := r.imageEntry(w.list, w.image)
	r.announce(ctx, r.render(r.st.Meta.NextEvent+1, event.ImageAvailable, w.key.ID, r.at, r.imageData(entry, w.list)))
	if err := r.cache.Unstage(w.key.ID); err != nil {
		r.log.Warn("staged name left behind", "image", w.key.ID, "error", err)
	}
}

// tellOnce is for sync.started and sync.finished: logged, told, never retried.
func (r *run) tellOnce(ctx context.Context, t event.Type, data event.SyncData) error {
	if r.dry {
		return nil
	}
	n := r.nextNumber()
	e := r.render(n, t, "", r.at, data)
	if err := r.commit(func(*metadata.Tx) {}); err != nil { // the number is taken for good
		return err
	}
	if err := r.elog.Append(e); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, h := range r.cfg.Handlers {
		if !h.Wants(t) {
			continue
		}
		wg.Go(func() {
			if _, err := h.Deliver(ctx, e, r.place(), false); err != nil {
				r.log.Warn("event not delivered", "handler", h.Name, "type", t, "error", err)
			}
		})
	}
	wg.Wait()
	return nil
}
