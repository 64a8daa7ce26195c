package subscriber

import (
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
func (r *run) newGate() *gate {
	g := &gate{store: r.cache, max: r.cfg.Cache.MaxSize, floor: func(total uint64) int64 {
		if part := r.cfg.Cache.MinFreePart; part > 0 {
			return int64(part * float64(total))
		}
		return r.cfg.Cache.MinFree
	}}
	if g.max > 0 {
		u, err := r.cache.Usage()
		g.used, g.err = u.Bytes(), err
	}
	g.spare = r.spares()
	return g
}

// spares finds the blobs that may go early, those that left first at the front.
func (r *run) spares() []spare {
	needed := r.publishedDigests()
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

// begin opens the partial when it fits. Allocation happens inside, so that
// the next one sees what is left.
func (g *gate) begin(w want) (*cache.Partial, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return nil, g.err
	}
	for g.max > 0 && g.used+w.image.Size > g.max {
		if !g.prune(w.digest) {
			return nil, verdict.Reject(verdict.OverQuota, "needs %d bytes, cache.max_size leaves %d", w.image.Size, max(0, g.max-g.used))
		}
	}
	for {
		free, total, err := g.store.Free()
		if err != nil {
			return nil, err
		}
		left := int64(free) - w.image.Size - g.floor(total)
		if left >= 0 {
			break
		}
		if !g.prune(w.digest) {
			return nil, verdict.Reject(verdict.NoSpace, "needs %d bytes, %d more than cache.min_free leaves", w.image.Size, -left)
		}
	}
	part, err := g.store.Begin(w.digest, w.image.Size)
	if err == nil {
		g.used += w.image.Size - part.Offset() // what was there is counted already
	}
	return part, err
}

// end corrects the count when a download stopped with only kept bytes there.
func (g *gate) end(w want, kept int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used -= w.image.Size - kept
}

// prune removes the oldest spare bytes, but not those just asked for; false
// when there are none.
func (g *gate) prune(wanted cache.Digest) bool {
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
		return true
	}
	return false
}
