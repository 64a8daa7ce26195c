package subscriber

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	longestWish    = time.Hour // to be left alone

	deadLetter     = "dead-letter" // codes of problems
	handlerDown    = "handler-down"
	handlerFailing = "handler-failing"

	// failingAfter is how many attempts at one event are worth a person's look:
	// nine minutes of the daemon, ten runs of cron.
	failingAfter = 10
)

// longestTelling is how long a paced run tells after everything else is done.
// A variable for tests.
var longestTelling = 30 * time.Second

func (r *run) place() event.Place {
	return event.Place{CacheDir: r.cfg.Cache.Dir, StateDir: r.cfg.StateDir, Session: r.session}
}

// hear writes down what handlers have answered, this outcome and all others
// that are there, and lets them go on.
func (r *run) hear(first attempt) error {
	batch := r.courier.gather(first)
	defer func() {
		for _, a := range batch {
			<-a.queue.room
		}
	}()
	r.heard = true
	return r.record(batch)
}

// record makes outcomes durable, in as few transactions as fit.
func (r *run) record(batch []attempt) error {
	var rows []*metadata.Event
	images := map[int]*metadata.Image{} // by the place of their event in rows
	silent := false                     // something changed that no row tells
	down := map[string]bool{}
	for _, a := range batch {
		r.courier.open--
		if a.skipped {
			continue
		}
		silent = r.noteAnswer(a) || silent
		down[a.handler] = holdsBack(a.err)
		if row := r.owing(a); row != nil {
			images[len(rows)] = r.note(row, a)
			rows = append(rows, row)
		}
	}
	for name, held := range down {
		if held {
			rows = append(rows, r.bury(r.handler(name))...)
		}
	}
	if len(rows) == 0 && silent {
		return r.commit(func(*metadata.Tx) {})
	}
	return r.commitEach(len(rows), func(tx *metadata.Tx, i int) {
		if images[i] != nil {
			tx.PutImage(images[i])
		}
		r.putOwed(tx, rows[i])
	})
}

// noteAnswer learns whether the handler is there; true when that is news.
func (r *run) noteAnswer(a attempt) bool {
	if holdsBack(a.err) {
		r.noteDown(r.handler(a.handler), a.err)
		return true
	}
	return r.noteUp(a.handler)
}

// owing is the row of an outcome that counts, else nil.
func (r *run) owing(a attempt) *metadata.Event {
	if a.posted.once {
		if a.err != nil {
			r.log.Log(context.Background(), r.missLevel(a), "event not delivered", "handler", a.handler, "type", a.posted.event.Event.Type, "error", inFull(a.err))
		}
		return nil
	}
	row := r.st.Events[a.posted.event.Number]
	if row == nil {
		return nil
	}
	if _, owed := row.Pending[a.handler]; !owed {
		return nil // cancelled while it was told
	}
	return row
}

// note takes an outcome into an event's row, and into the image's that it says
// something about.
func (r *run) note(row *metadata.Event, a attempt) *metadata.Image {
	if a.err != nil {
		row.Pending[a.handler] = r.failed(row, row.Pending[a.handler], a)
		return nil
	}
	delete(row.Pending, a.handler)
	r.report.Events.Delivered++
	return r.rememberResource(row, a)
}

// failed counts a failed attempt; after its time or tries are over the event
// is a dead letter.
func (r *run) failed(row *metadata.Event, d metadata.Delivery, a attempt) metadata.Delivery {
	h := r.handler(a.handler)
	if !r.afresh || !r.ahead(d.Next) { // one before its time must not use up vmcatcher's three
		d.Attempts++
	}
	d.Error = event.Printable(inFull(a.err))
	d.Next = r.now().Add(pause(h, d.Attempts, a.err))
	if holdsBack(a.err) {
		d.Next = r.st.Meta.Down[h.Name].Next
	}
	var u *event.Unavailable
	if errors.As(a.err, &u) || errors.Is(a.err, context.DeadlineExceeded) {
		d.Refused++
	}
	if d.Attempts >= vmcatcherTries && h.VMCatcher {
		d.Dead = true
	} else if r.overdue(row, h) {
		d.Dead, d.Judged = true, r.at
	}
	if !d.Dead {
		r.log.Log(context.Background(), r.missLevel(a), "event not delivered", "handler", a.handler, "type", row.Event.Type, "event", row.Event.ID, "attempts", d.Attempts, "error", d.Error)
		return d
	}
	d.Next = time.Time{}
	r.gaveUp(h.Name, 1, string(row.Event.Type)+" of "+row.Event.Subject+": "+d.Error, row.Event.ID)
	return d
}

// missLevel is the level at which a miss is logged. A run that is not paced says
// each: it is the only one that somebody sees. The daemon makes one for each
// step of the back-off, and its status says which handlers fail; only of a
// handler to whom nothing is owed that knows nothing.
func (r *run) missLevel(a attempt) slog.Level {
	if !r.paced {
		return slog.LevelWarn
	}
	if !a.posted.once || holdsBack(a.err) || r.owes(a.handler) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// owes says whether a handler is yet to be told of something.
func (r *run) owes(handler string) bool {
	for _, e := range r.st.Events {
		if d, owed := e.Pending[handler]; owed && !d.Dead {
			return true
		}
	}
	return false
}

// deliver waits until everything posted so far was tried. A paced run tells no
// more after a while: somebody else's list is due, and this handler is slow.
func (r *run) deliver(ctx context.Context) error {
	var enough <-chan time.Time
	if r.paced {
		timer := time.NewTimer(longestTelling)
		defer timer.Stop()
		enough = timer.C
	}
	for r.courier.open > 0 {
		select {
		case a := <-r.courier.out:
			if err := r.hear(a); err != nil {
				return err
			}
		case <-enough:
			r.courier.enough.Store(true)
		case <-r.tick.C:
			if err := r.heed(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.shed(); err != nil {
		return err
	}
	r.countPending()
	return nil
}

// rememberResource keeps what a handler made of an image.
func (r *run) rememberResource(row *metadata.Event, a attempt) *metadata.Image {
	if a.receipt.Resource == "" {
		return nil
	}
	_, i := r.publishedAs(row.Event.Subject)
	if i == nil {
		return nil
	}
	if i.Resources == nil {
		i.Resources = map[string]string{}
	}
	i.Resources[a.handler] = a.receipt.Resource
	return i
}

// publishedAs is the image that has an identifier's name; nil when none has.
func (r *run) publishedAs(id string) (metadata.ImageKey, *metadata.Image) {
	key := metadata.ImageKey{List: r.st.Owners[id], ID: id}
	if i := r.st.Images[key]; i != nil && i.Published {
		return key, i
	}
	return key, nil
}

func (r *run) handler(name string) event.Handler {
	for _, h := range r.cfg.Handlers {
		if h.Name == name {
			return h
		}
	}
	return event.Handler{}
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
	if i.Available == 0 { // nobody was told under an id that counts
		i.Available, i.AvailableAt = r.nextNumber(), r.at
		r.report.Events.Emitted++
	}
	row := r.st.Events[i.Available]
	if row == nil {
		row = &metadata.Event{Number: i.Available}
		r.st.Events[i.Available] = row
	}
	if row.Event.Bare() {
		row.Event = r.render(i.Available, event.ImageAvailable, key.ID, i.AvailableAt, r.imageData(i.Entry, r.st.Lists[key.List]))
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
		if !h.VMCatcher || !h.Wants(e.Type) || left <= 0 || r.leftAlone(h.Name) {
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
			if err := r.hear(a); err != nil {
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
		if h.Wants(t) && !r.leftAlone(h.Name) {
			r.courier.open++
			r.courier.queues[h.Name].push(posted{event: metadata.Event{Number: n, Event: e}, once: true})
		}
	}
	return nil
}
