package soak

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

func (l *life) newVersion(x *list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.forgotten || !x.revoked.IsZero() {
		return
	}
	x.revise(l.world, l.r, l.size, l.origin.URL, l.lifetime(), time.Now())
	l.publish(x)
}

// breaks makes a path fail for a while.
func (l *life) breaks(path string, fault string) {
	l.origin.fail(path, faults[fault])
	l.lifts = append(l.lifts, lift{path, time.Now().Add(time.Duration(5+l.r.IntN(30)) * time.Second)})
}

func (l *life) anyFault() string {
	return slices.Sorted(maps.Keys(faults))[l.r.IntN(len(faults))]
}

func (l *life) breakList(x *list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.dead {
		return
	}
	if old := len(x.editions) - 2; old >= 0 && l.r.IntN(3) == 0 { // an old list is served again
		l.origin.put("/"+x.name, x.editions[old].message)
		return
	}
	l.breaks("/"+x.name, l.anyFault())
}

func (l *life) breakImage(x *list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := x.newest().pictures; len(p) > 0 {
		l.breaks(p[l.r.IntN(len(p))].path(), l.anyFault())
	}
}

// block writes a file as a CSIRT would, or asks the command.
func (l *life) block(x *list) {
	l.mu.Lock()
	pictures := x.newest().pictures
	if len(pictures) == 0 {
		l.mu.Unlock()
		return
	}
	id := pictures[l.r.IntN(len(pictures))].id
	known := !l.blocked[id].IsZero()
	if !known {
		l.blocked[id] = time.Now()
	}
	l.mu.Unlock()
	switch {
	case known:
	case l.r.IntN(2) == 0:
		l.site.run([]int{0, 3}, "block", "--image", id, "--reason", "soak")
	default:
		l.site.write("etc/blocks.d/soak-"+id+".yaml", "image: "+id+"\nreason: soak\n")
	}
}

func (l *life) unblock(*list) {
	l.mu.Lock()
	ids := slices.Sorted(maps.Keys(l.blocked))
	l.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	id := ids[l.r.IntN(len(ids))]
	l.mu.Lock()
	delete(l.blocked, id) // first: it comes back before the command is over
	l.mu.Unlock()
	if os.Remove(l.site.path("etc", "blocks.d", "soak-"+id+".yaml")) != nil {
		l.site.run([]int{0, 3}, "unblock", "--image", id)
	}
}

func (l *life) unsubscribe(x *list) {
	if x.unsubscribed {
		return
	}
	l.site.run([]int{0, 3}, "subscription", "rm", x.name)
	l.mu.Lock()
	x.unsubscribed = true
	l.mu.Unlock()
}

func (l *life) resubscribe(*list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.lists {
		if x.unsubscribed {
			l.subscribe(x)
			return
		}
	}
}

func (l *life) sync(x *list) {
	if x.unsubscribed {
		return
	}
	l.site.run([]int{0, 3}, "sync", x.name)
}

// few says whether little enough has gone for good that more may.
func (l *life) few(gone func(*list) bool) bool {
	n := 0
	for _, x := range l.lists {
		if gone(x) {
			n++
		}
	}
	return n*8 < len(l.lists)
}

func (l *life) forget(x *list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.forgotten = x.forgotten || l.few(func(x *list) bool { return x.forgotten })
}

// die takes a server away; its list can still expire.
func (l *life) die(x *list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.few(func(x *list) bool { return x.dead }) {
		x.dead = true
		l.origin.fail("/"+x.name, faults["404"])
		l.lifts = slices.DeleteFunc(l.lifts, func(f lift) bool { return f.path == "/"+x.name })
	}
}

func (l *life) revoke(x *list) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.few(func(x *list) bool { return !x.revoked.IsZero() }) {
		return
	}
	l.world.CA.Revoke(x.who)
	l.world.CA.WriteTo(l.world.Dir)
	for _, y := range l.lists {
		if y.who == x.who {
			y.revoked = time.Now()
		}
	}
}

// tamper changes bytes in the cache, as somebody with our rights can.
func (l *life) tamper(*list) {
	images := l.site.index().Images
	if len(images) == 0 {
		return
	}
	i := images[l.r.IntN(len(images))]
	l.mu.Lock()
	l.tampered[i.SHA512] = true
	l.mu.Unlock()
	path := l.site.path("cache", i.Blob)
	os.Chmod(path, 0o644)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return // gone meanwhile
	}
	defer f.Close()
	fmt.Fprint(f, "changed")
	f.Chmod(0o444)
}
