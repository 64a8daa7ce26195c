package soak

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"time"

	"vouch/subscriber/event"
)

// leaves is how long after a fact an image may still be there.
const leaves = time.Minute

// rest lets everything settle, then compares.
func (l *life) rest(when string) {
	l.t.Helper()
	begun := time.Now()
	l.told.breaks(false)
	l.mu.Lock()
	for _, f := range l.lifts {
		l.origin.fail(f.path, nil)
	}
	l.lifts = nil
	for _, x := range l.lists {
		l.publish(x) // an old one may be there
	}
	l.mu.Unlock()
	l.endorsers(l.span / 2) // nothing expires while we look, unless it is to
	var wrong []string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		l.site.run([]int{0, 3}, "sync")
		if wrong = l.compare(time.Now()); len(wrong) == 0 {
			break
		}
		l.t.Logf("%s: %d differences after %v, such as %s", when, len(wrong), time.Since(begun).Round(time.Second), wrong[0])
	}
	for _, w := range wrong[:min(len(wrong), 20)] {
		l.t.Errorf("%s: %s", when, w)
	}
	if len(wrong) > 0 {
		l.t.Fatalf("%s: %d differences", when, len(wrong))
	}
	l.t.Logf("%s: as it must be, after %v", when, time.Since(begun).Round(time.Second))
}

// compare says what is not as the model has it.
func (l *life) compare(at time.Time) (wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.site.index()
	byList := map[string]map[string]string{}
	now := map[string]string{}
	for _, i := range x.Images {
		if byList[i.List] == nil {
			byList[i.List] = map[string]string{}
		}
		byList[i.List][i.Identifier], now[i.Identifier] = i.SHA512, i.SHA512
		if i.Stale {
			wrong = append(wrong, "stale: "+i.Identifier)
		}
		if have := hashOf(l.site.path("cache", i.Path)); have != i.SHA512 {
			wrong = append(wrong, fmt.Sprintf("%s has the bytes %.12s, not %.12s", i.Path, have, i.SHA512))
		}
	}
	versions := map[string]int{}
	for _, entry := range x.Lists {
		versions[entry.Identifier] = editionOf(entry)
	}
	for _, y := range l.lists {
		wrong = append(wrong, l.compareList(y, versions[y.id], byList[y.id], at)...)
	}
	names, _ := os.ReadDir(l.site.path("cache", "endorsed"))
	if len(names) != len(x.Images) {
		wrong = append(wrong, fmt.Sprintf("%d names for %d images", len(names), len(x.Images)))
	}
	l.told.mu.Lock()
	defer l.told.mu.Unlock()
	wrong = append(wrong, l.told.wrong...)
	if !maps.Equal(l.told.now, now) {
		wrong = append(wrong, fmt.Sprintf("events told of %d images, %d are published", len(l.told.now), len(now)))
	}
	return wrong
}

func (l *life) compareList(y *list, version int, have map[string]string, at time.Time) (wrong []string) {
	alive := y.revoked.IsZero() && !y.unsubscribed && !y.newest().expires.Before(at)
	if alive && !y.dead && version != len(y.editions) {
		wrong = append(wrong, fmt.Sprintf("%s: version %d, the newest is %d", y.name, version, len(y.editions)))
	}
	must, may := map[string]string{}, map[string]string{}
	if version > 0 {
		must, may = y.due(&y.editions[version-1], at, l.blocked)
	}
	for id, sum := range must {
		if have[id] != sum {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %.12q, must be %.12q", y.name, id, have[id], sum))
		}
	}
	for id, sum := range have {
		if may[id] != sum {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %.12q, may be %.12q", y.name, id, sum, may[id]))
		}
	}
	return wrong
}

func editionOf(entry event.List) (n int) {
	fmt.Sscanf(entry.Version, "1.%d", &n)
	return n
}

func hashOf(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	sum := sha512.Sum512(raw)
	return hex.EncodeToString(sum[:])
}

// watch looks at what a reader sees, each second, whatever happens.
func (l *life) watch(stop <-chan struct{}) {
	generation, r := uint64(0), rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		x := l.site.index()
		if x.Generation < generation {
			l.t.Errorf("generation %d after %d", x.Generation, generation)
		}
		generation = x.Generation
		l.mu.Lock()
		lists := map[string]*list{}
		for _, y := range l.lists {
			lists[y.id] = y
		}
		for _, entry := range x.Lists {
			if y, n := lists[entry.Identifier], editionOf(entry); n < y.floor || n > len(y.editions) {
				l.t.Errorf("%s: version %d after %d, of %d", y.name, n, y.floor, len(y.editions))
			} else {
				y.floor = n
			}
		}
		for _, i := range x.Images {
			l.watchImage(lists[i.List], i)
		}
		if len(x.Images) > 0 {
			for range 5 {
				l.watchBytes(x.Images[r.IntN(len(x.Images))])
			}
		}
		l.mu.Unlock()
	}
}

// watchImage: nothing stays for longer than it may.
func (l *life) watchImage(y *list, i event.Image) {
	if !l.endorsed[i.Identifier+" "+i.SHA512] {
		l.t.Errorf("nobody ever endorsed %s with these bytes", i.Identifier)
	}
	for what, since := range map[string]time.Time{"expired": i.Expires, "revoked": y.revoked, "blocked": l.blocked[i.Identifier]} {
		if since.IsZero() || since.After(time.Now()) {
			continue
		}
		late := time.Since(since).Round(time.Second)
		l.late[what] = max(l.late[what], late)
		if late > leaves {
			l.t.Errorf("%s is there %v after it was %s", i.Identifier, late, what)
		}
	}
}

// watchBytes: what a name leads to was endorsed, save what somebody wrote to.
func (l *life) watchBytes(i event.Image) {
	raw, err := os.ReadFile(l.site.path("cache", i.Path))
	if err != nil {
		return // gone since
	}
	sum := sha512.Sum512(raw)
	if !l.endorsed[i.Identifier+" "+hex.EncodeToString(sum[:])] && !l.tampered[i.SHA512] {
		l.t.Errorf("%s leads to bytes that nobody endorsed", i.Path)
	}
}
