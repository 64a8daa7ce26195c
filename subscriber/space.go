package subscriber

import (
	"errors"
	"sort"
	"sync"

	"vouch/cache"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// gate lets downloads begin only when their bytes fit: within cache.max_size,
// partial and expired bytes included, and above cache.min_free (T-24). Space
// is made by pruning the oldest expired bytes, never blocked ones.
type gate struct {
	mu     sync.Mutex
	store  *cache.Store
	max    int64
	floor  func(total uint64) int64
	copies bool // names are copies: an image takes its size twice
	used   int64
	spare  []spare // prunable, oldest first
	pruned []metadata.WithdrawnKey
	freed  []cache.Digest
	err    error
}

// spare is one blob that only withdrawn images stand on.
type spare struct {
	digest cache.Digest
	size   int64
	keys   []metadata.WithdrawnKey
	kept   []string
	last   int64 // when the last of them left
}

// newGate takes stock once; from then on it counts.
func (r *run) newGate(ready []want) *gate {
	g := &gate{store: r.cache, max: r.cfg.Cache.MaxSize, floor: func(total uint64) int64 {
		if part := r.cfg.Cache.MinFreePart; part > 0 {
			return int64(part * float64(total))
		}
		return r.cfg.Cache.MinFree
	}}
	g.copies = r.cfg.Cache.Publish == cache.Copy
	if g.max > 0 {
		u, err := r.cache.Usage()
		g.used, g.err = u.Bytes(), err
	}
	g.spare = r.spares(ready)
	return g
}

// spares finds the blobs that may go early, those that left first at the
// front; not those about to be published.
func (r *run) spares(ready []want) []spare {
	needed := r.publishedDigests()
	for _, w := range ready {
		needed[w.digest] = true
	}
	byDigest := map[cache.Digest]*spare{}
	for k, w := range r.st.Withdrawn {
		d := digestFromHex(w.Entry.SHA512)
		if w.Type == event.ImageBlocked {
			needed[d] = true
		}
		s := byDigest[d]
		if s == nil {
			s = &spare{digest: d, size: w.Entry.Size}
			byDigest[d] = s
		}
		s.keys, s.last = append(s.keys, k), max(s.last, w.At.Unix())
		if w.Kept != "" {
			s.kept = append(s.kept, w.Kept)
		}
	}
	var out []spare
	for d, s := range byDigest {
		if !needed[d] && len(s.kept) > 0 {
			out = append(out, *s)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].last < out[j].last })
	return out
}

// begin opens the partial when what is missing of it fits. Its space is
// reserved by opening it, so that the next one sees what is left.
func (g *gate) begin(w want) (*cache.Partial, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return nil, g.err
	}
	free, total, err := g.store.Free()
	if err != nil {
		return nil, err
	}
	part, err := g.store.Begin(w.digest, w.image.Size)
	for errors.Is(err, cache.ErrNoSpace) && g.prune(w.digest) > 0 {
		part, err = g.store.Begin(w.digest, w.image.Size)
	}
	if err != nil {
		return nil, err
	}
	need := w.image.Size - part.Offset() // what is there is counted already
	if g.copies {
		need += w.image.Size
	}
	if err := g.fits(w.digest, need, int64(free)-g.floor(total)); err != nil {
		if part.Offset() > 0 {
			return nil, errors.Join(err, part.Close())
		}
		return nil, errors.Join(err, part.Discard())
	}
	g.used += need
	return part, nil
}

// admit counts bytes that come from elsewhere than a download.
func (g *gate) admit(w want) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	free, total, err := g.store.Free()
	if err != nil {
		return err
	}
	need := w.image.Size
	if g.copies {
		need += w.image.Size
	}
	if err := g.fits(w.digest, need, int64(free)-g.floor(total)); err != nil {
		return err
	}
	g.used += need
	return nil
}

// fits makes room for need bytes where spare are free above the floor.
func (g *gate) fits(wanted cache.Digest, need, spare int64) error {
	for g.max > 0 && g.used+need > g.max {
		freed := g.prune(wanted)
		if freed == 0 {
			return verdict.Reject(verdict.OverQuota, "needs %d bytes, cache.max_size leaves %d", need, max(0, g.max-g.used))
		}
		spare += freed
	}
	for need > spare {
		freed := g.prune(wanted)
		if freed == 0 {
			return verdict.Reject(verdict.NoSpace, "needs %d bytes, %d more than cache.min_free leaves", need, need-spare)
		}
		spare += freed
	}
	return nil
}

// end corrects the count when a download stopped with only kept bytes there.
func (g *gate) end(w want, kept int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= w.image.Size - kept
}

// prune removes the oldest spare bytes, but not those just asked for, and
// says how many; 0 when there are none.
func (g *gate) prune(wanted cache.Digest) int64 {
	for len(g.spare) > 0 {
		s := g.spare[0]
		g.spare = g.spare[1:]
		if s.digest == wanted {
			continue
		}
		for _, kept := range s.kept {
			if err := g.store.RemoveExpired(kept); err != nil && !notExist(err) {
				g.err = err
			}
		}
		if err := g.store.RemoveBlob(s.digest); err != nil && !notExist(err) {
			g.err = err
		}
		g.pruned, g.freed = append(g.pruned, s.keys...), append(g.freed, s.digest)
		g.used -= s.size
		return max(1, s.size)
	}
	return 0
}
