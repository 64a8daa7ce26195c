package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

// life is the whole of a soak.
type life struct {
	t      *testing.T
	r      *rand.Rand
	world  *listtest.World
	origin *origin
	told   *told
	site   *site

	mu       sync.Mutex // of what follows: the watcher reads it
	lists    []*list
	blocked  map[string]time.Time // image to since when
	tampered map[string]bool      // SHA-512 of blobs somebody wrote to
	endorsed map[string]bool      // identifier and SHA-512, ever
	people   []*listtest.Identity
	size     int           // images in a list
	span     time.Duration // for which a list is good
	late     map[string]time.Duration
	actions  map[string]int
	lifts    []lift
}

// lift is a fault that ends.
type lift struct {
	path string
	at   time.Time
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestSoak: the state at the end, and at every rest before, is what the model
// says, whatever happened; so is what the events alone told; and the daemon
// holds no more of the machine at the end than before. VOUCH_SOAK is how long
// it goes on, LISTS and IMAGES how many of each; otherwise it is short.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	lasts, lists, images, span := 45*time.Second, number("LISTS", 6), number("IMAGES", 5), 75*time.Second
	if d, err := time.ParseDuration(os.Getenv("VOUCH_SOAK")); err == nil {
		lasts, lists, images, span = d, number("LISTS", 200), number("IMAGES", 50), 6*time.Minute
	}
	seed := uint64(number("SEED", int(time.Now().UnixNano()%1e6)))
	t.Logf("SEED=%d: %d lists of %d images, %v", seed, lists, images, lasts)
	l := &life{t: t, r: rand.New(rand.NewPCG(seed, 1)), world: listtest.New(t), origin: newOrigin(t), told: newTold(t), size: images, span: span,
		blocked: map[string]time.Time{}, tampered: map[string]bool{}, endorsed: map[string]bool{}, late: map[string]time.Duration{}, actions: map[string]int{}}
	l.site = newSite(t, l.world.Dir, l.told.URL+"/hook")
	for i := range 8 {
		l.people = append(l.people, l.world.CA.Issue(fmt.Sprintf("Endorser %d", i)))
	}
	for i := range lists {
		x := &list{name: fmt.Sprintf("list-%03d", i), id: fmt.Sprintf("10000000-0000-4000-8000-%012d", i), who: l.people[i%len(l.people)]}
		l.lists = append(l.lists, x)
		x.revise(l.world, l.r, images, l.origin.URL, l.lifetime(), time.Now())
		l.publish(x)
		l.subscribe(x)
	}
	l.site.start()
	defer func() {
		l.site.daemon.Process.Kill()
		if t.Failed() {
			l.site.mu.Lock()
			defer l.site.mu.Unlock()
			t.Logf("the end of the daemon's log:\n%s", l.site.log.Bytes()[max(0, l.site.log.Len()-20000):])
		}
	}()
	l.rest("the beginning")
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() { defer close(watched); l.watch(stop) }()

	wild, rests := lasts*3/5, 4
	for i := range rests {
		l.live(wild/time.Duration(rests), true)
		l.rest(fmt.Sprintf("rest %d", i+1))
	}
	l.live(lasts/5, false)
	before := l.site.holding(span / 8)
	l.live(lasts/5, false)
	after := l.site.holding(span / 8)
	l.rest("the end")
	close(stop)
	<-watched
	l.site.stop(syscall.SIGTERM)
	l.site.run([]int{0}, "cache", "check")
	t.Logf("%v; %d events in the log, %d told, %d of them again; %d times killed or stopped", l.actions, l.site.events(), l.told.count, l.told.again, l.site.kills)
	t.Logf("at the latest: %v", l.late)
	t.Logf("the daemon had %d MiB, %d goroutines, %d threads, %d files; at the end %d MiB, %d goroutines, %d threads, %d files",
		before.resident>>20, before.goroutines, before.threads, before.files, after.resident>>20, after.goroutines, after.threads, after.files)
	if after.resident > before.resident*3/2+8<<20 || after.goroutines > before.goroutines+8 || after.threads > before.threads+8 || after.files > before.files+8 {
		t.Error("it holds more and more")
	}
}

// lifetime is how long an edition is good for.
func (l *life) lifetime() time.Duration {
	return l.span/2 + rand.N(l.span/2) // not from the seed: what dates do depends on the clock anyway
}

func (l *life) publish(x *list) { l.origin.put("/"+x.name, x.newest().message); l.putImages(x) }

func (l *life) putImages(x *list) {
	for _, p := range x.newest().pictures {
		l.origin.put(p.path(), p.bytes())
		l.endorsed[p.id+" "+p.sha512] = true
	}
}

func (l *life) subscribe(x *list) {
	x.unsubscribed = false
	l.site.write("etc/subscriptions.d/"+x.name+".yaml", fmt.Sprintf("url: %s/%s\nendorsers: [{dn: %s, ca: %s}]\n", l.origin.URL, x.name, x.who.DN(), x.who.IssuerDN()))
}

// live lets things happen for a while.
func (l *life) live(d time.Duration, wild bool) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Duration(100+l.r.IntN(600)) * time.Millisecond) {
		l.endorsers(l.span / 4)
		l.happen(wild)
	}
}

// endorsers renew what expires within a time, and what was broken is mended.
func (l *life) endorsers(within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, x := range l.lists {
		if !x.forgotten && x.revoked.IsZero() && x.newest().expires.Before(now.Add(within)) {
			x.renew(l.world, l.origin.URL, l.lifetime(), now)
			l.publish(x)
		}
	}
	kept := l.lifts[:0]
	for _, f := range l.lifts {
		if now.After(f.at) {
			l.origin.fail(f.path, nil)
		} else {
			kept = append(kept, f)
		}
	}
	l.lifts = kept
}

// a chance is what may happen, so many times in a hundred.
type chance struct {
	name string
	in   int
	wild bool // not while memory is watched
	do   func(x *list)
}

func (l *life) happen(wild bool) {
	chances := []chance{
		{"new version", 30, false, l.newVersion}, {"list broken", 12, false, l.breakList}, {"image broken", 10, false, l.breakImage},
		{"block", 5, false, l.block}, {"unblock", 5, false, l.unblock}, {"unsubscribe", 2, false, l.unsubscribe}, {"subscribe", 4, false, l.resubscribe},
		{"sync", 4, false, l.sync}, {"reload", 3, false, func(*list) { l.site.daemon.Process.Signal(syscall.SIGHUP) }}, {"new CRL", 2, false, func(*list) { l.world.CA.WriteTo(l.world.Dir) }},
		{"handler broken", 2, false, func(*list) { l.told.breaks(true) }}, {"handler mended", 6, false, func(*list) { l.told.breaks(false) }},
		{"blob changed", 2, false, l.tamper}, {"forget", 1, true, l.forget}, {"dead server", 1, true, l.die}, {"revoke", 1, true, l.revoke},
		{"kill", 5, true, func(*list) { l.site.stop(syscall.SIGKILL); l.site.start() }}, {"stop", 5, true, func(*list) { l.site.stop(syscall.SIGTERM); l.site.start() }},
	}
	n := l.r.IntN(100)
	for _, c := range chances {
		if n -= c.in; n < 0 {
			if wild || !c.wild {
				l.actions[c.name]++
				c.do(l.lists[l.r.IntN(len(l.lists))])
			}
			return
		}
	}
}
