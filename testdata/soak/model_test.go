// Package soak lives with the real daemon for a while: many lists whose dates
// are minutes instead of weeks, endorsers who publish, renew, forget and are
// revoked, servers that fail in every way, a site that blocks and unsubscribes,
// and kills. A model that knows nothing of how vouch works says what must be
// true: `make soak`.
package soak

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"vouch/imagelist/listtest"
)

// picture is an image as its endorser knows it.
type picture struct {
	id      string
	edition int
	expires time.Time // zero: with its list
	sha512  string
}

func newPicture(id string, edition int, expires time.Time) picture {
	p := picture{id: id, edition: edition, expires: expires}
	sum := sha512.Sum512(p.bytes())
	p.sha512 = hex.EncodeToString(sum[:])
	return p
}

// bytes are the content of this edition.
func (p picture) bytes() []byte {
	seed := sha512.Sum512(fmt.Appendf(nil, "%s edition %d", p.id, p.edition))
	out := []byte{}
	for n := 1 + int(seed[0])%48; n > 0; n-- {
		out, seed = append(out, seed[:]...), sha512.Sum512(seed[:])
	}
	return out
}

func (p picture) path() string { return fmt.Sprintf("/images/%s.%d", p.id, p.edition) }

// edition is one signed list.
type edition struct {
	number   int
	pictures []picture
	expires  time.Time
	message  []byte
}

// list is one endorser's list and what a site that follows it must have.
type list struct {
	name     string // of the subscription
	id       string
	who      *listtest.Identity
	editions []edition
	made     int // images ever

	revoked      time.Time // when its endorser was
	forgotten    bool      // by its endorser: not renewed
	dead         bool      // its server, for good
	unsubscribed bool
	floor        int // the newest edition that was seen in the index
}

func (l *list) newest() *edition { return &l.editions[len(l.editions)-1] }

// revise makes the next edition: some images go, some come, some change.
func (l *list) revise(w *listtest.World, r *rand.Rand, size int, url string, life time.Duration, now time.Time) {
	var next []picture
	if len(l.editions) > 0 {
		for _, p := range l.newest().pictures {
			switch r.IntN(12) {
			case 0: // removed
			case 1:
				p = newPicture(p.id, p.edition+1, p.expires)
				fallthrough
			default:
				next = append(next, p)
			}
		}
	}
	for len(next) < size {
		var expires time.Time
		if r.IntN(20) == 0 {
			expires = now.Add(life / 3).Truncate(time.Second)
		}
		next = append(next, newPicture(fmt.Sprintf("%s-image-%d", l.name, l.made), 0, expires))
		l.made++
	}
	l.sign(w, next, url, life, now)
}

// renew signs the same images again.
func (l *list) renew(w *listtest.World, url string, life time.Duration, now time.Time) {
	pictures := slices.DeleteFunc(slices.Clone(l.newest().pictures), func(p picture) bool { return !p.expires.IsZero() && p.expires.Before(now) })
	l.sign(w, pictures, url, life, now)
}

func (l *list) sign(w *listtest.World, pictures []picture, url string, life time.Duration, now time.Time) {
	e := edition{number: len(l.editions) + 1, pictures: pictures, expires: now.Add(life).Truncate(time.Second)}
	b := listtest.NewList(now).ID(l.id).Title("List " + l.name).Version(fmt.Sprintf("1.%d", e.number)).Created(now).Expires(e.expires).NoImages()
	for _, p := range pictures {
		b.Image(p.id, p.bytes(), url+p.path()).ImageSet("hv:version", fmt.Sprint(p.edition+1))
		if !p.expires.IsZero() {
			b.ImageSet("dc:date:expires", p.expires.UTC().Format(time.RFC3339))
		}
	}
	e.message = w.Message(func(m *listtest.Message) { m.List, m.Signer, m.Sign.At = b, l.who, now })
	l.editions = append(l.editions, e)
	if old := len(l.editions) - 3; old >= 0 {
		l.editions[old].message = nil // only the last two are ever served
	}
}

// due says at an instant what must be published of an edition: identifier to
// SHA-512. What changes within a few seconds of the instant is left out of
// both answers: must, and may.
func (l *list) due(e *edition, at time.Time, blocked map[string]time.Time) (must, may map[string]string) {
	must, may = map[string]string{}, map[string]string{}
	const near = 10 * time.Second
	if l.unsubscribed || !l.revoked.IsZero() || e.expires.Before(at.Add(-near)) {
		return must, may
	}
	for _, p := range e.pictures {
		until := e.expires
		if !p.expires.IsZero() && p.expires.Before(until) {
			until = p.expires
		}
		if !blocked[p.id].IsZero() || until.Before(at.Add(-near)) {
			continue
		}
		may[p.id] = p.sha512
		if until.After(at.Add(near)) {
			must[p.id] = p.sha512
		}
	}
	return must, may
}
