package subscriber

import (
	"cmp"
	"context"
	"slices"
	"time"

	"vouch/cache"
)

// Scrubbing: each blob is hashed again within cache.check_every, a share of
// them every scrubEvery, at no more than scrubRate.
const (
	scrubEvery = time.Hour
	scrubRate  = 64 << 20 // bytes per second
)

// suspect is a blob whose turn it is.
type suspect struct {
	digest  cache.Digest
	size    int64
	checked time.Time
}

// turn picks the blobs to hash now: those checked longest ago, as many bytes
// as cannot wait another scrubEvery if the even share of one is done in each
// from now on. Pure; it sorts all.
func turn(all []suspect, every time.Duration, at time.Time) []suspect {
	slices.SortFunc(all, func(a, b suspect) int {
		return cmp.Or(a.checked.Compare(b.checked), slices.Compare(a.digest[:], b.digest[:]))
	})
	var total, upTo, need, taken float64
	for _, s := range all {
		total += float64(s.size)
	}
	share := total * float64(scrubEvery) / float64(max(every, scrubEvery))
	for _, s := range all {
		upTo += float64(s.size)
		left := float64(every-at.Sub(s.checked))/float64(scrubEvery) - 1
		need = max(need, upTo-share*left)
	}
	for i, s := range all {
		if taken >= need {
			return all[:i]
		}
		taken += float64(s.size)
	}
	return all
}

// Scrub hashes the blobs again whose turn it is, when it is called every hour.
// The state is locked only to see which, and to write down what came of it;
// what is wrong is taken away as by CheckCache, and downloaded by the next sync.
func Scrub(ctx context.Context, c *Config, o Options) (*CheckReport, error) {
	if c.Cache.CheckEvery <= 0 {
		return examine(ctx, c, o, opening{}, nil, 0)
	}
	all, at, err := suspects(ctx, c, o, opening{})
	if err != nil {
		return nil, err
	}
	return examine(ctx, c, o, opening{}, turn(all, c.Cache.CheckEvery, at), scrubRate)
}

// Recheck hashes one blob now, whatever a daemon downloads meanwhile. One that
// the cache does not have is sound.
func Recheck(ctx context.Context, c *Config, o Options, d cache.Digest) (*CheckReport, error) {
	now := opening{urgent: true}
	all, _, err := suspects(ctx, c, o, now)
	if err != nil {
		return nil, err
	}
	return examine(ctx, c, o, now, slices.DeleteFunc(all, func(s suspect) bool { return s.digest != d }), 0)
}

// examine hashes blobs at no more than rate bytes per second, 0 for no limit.
func examine(ctx context.Context, c *Config, o Options, how opening, due []suspect, rate int64) (*CheckReport, error) {
	rep := &CheckReport{Schema: "vouch/check/v1", Corrupt: []string{}, Missing: []string{}}
	if len(due) == 0 {
		return rep, nil
	}
	found, err := hashAgain(ctx, c, due, rate)
	if err != nil {
		return nil, err
	}
	r, _, err := open(ctx, c, o, how)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for d, f := range found {
		if b := r.st.Blobs[d]; b == nil || f.err == nil && f.stamp != b.Stamp {
			continue // pruned or touched meanwhile: a pass looks at it
		}
		if err := r.checked(ctx, rep, d, f.stamp, f.err); err != nil {
			return nil, err
		}
	}
	if err := r.writeChecked(rep); err != nil {
		return nil, err
	}
	if rep.Exit == 0 {
		return rep, r.writeSeal()
	}
	_, err = r.pass(ctx, nil)
	return rep, err
}

// finding is what hashing one blob came to.
type finding struct {
	stamp cache.Stamp
	err   error
}

// hashAgain needs the cache only.
func hashAgain(ctx context.Context, c *Config, due []suspect, rate int64) (map[cache.Digest]finding, error) {
	store, err := cache.Open(c.Cache.Dir, cache.Options{Publish: c.Cache.Publish, FileMode: c.Cache.Mode, GID: c.Cache.GID})
	if err != nil {
		return nil, storage(err)
	}
	defer store.Close()
	found := map[cache.Digest]finding{}
	for _, s := range due {
		stamp, err := store.Check(ctx, s.digest, s.size, rate)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		found[s.digest] = finding{stamp, err}
	}
	return found, nil
}

// suspects asks the state for all blobs, and when that was.
func suspects(ctx context.Context, c *Config, o Options, how opening) ([]suspect, time.Time, error) {
	r, _, err := open(ctx, c, o, how)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer r.close()
	var all []suspect
	for d, b := range r.st.Blobs {
		all = append(all, suspect{d, b.Size, b.Checked})
	}
	return all, r.at, nil
}
