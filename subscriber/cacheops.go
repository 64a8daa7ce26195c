package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/subscriber/metadata"
)

// CheckReport is what re-hashing everything found (vouch/check/v1).
type CheckReport struct {
	Schema  string   `json:"schema"`
	Checked int      `json:"checked"`
	Bytes   int64    `json:"bytes"`
	Corrupt []string `json:"corrupt"` // SHA-512 of blobs whose bytes were wrong; they are in quarantine
	Missing []string `json:"missing"` // SHA-512 of blobs that were gone
	Exit    int      `json:"exit"`    // 3 when anything was corrupt or missing
}

// CheckCache hashes every blob again. What is corrupt is quarantined and its
// images leave at once; the next sync downloads them again.
func CheckCache(ctx context.Context, c *Config, o Options) (*CheckReport, error) {
	r, _, err := open(ctx, c, o, opening{})
	if err != nil {
		return nil, err
	}
	defer r.close()
	rep := &CheckReport{Schema: "vouch/check/v1", Corrupt: []string{}, Missing: []string{}}
	for d, b := range r.st.Blobs {
		stamp, err := r.cache.Check(ctx, d, b.Size, 0)
		if err := r.checked(ctx, rep, d, stamp, err); err != nil {
			return nil, err
		}
	}
	if err := r.writeChecked(rep); err != nil {
		return nil, err
	}
	_, err = r.pass(ctx, nil)
	return rep, err
}

// checked notes what hashing a blob again came to.
func (r *run) checked(ctx context.Context, rep *CheckReport, d cache.Digest, stamp cache.Stamp, err error) error {
	b := r.st.Blobs[d]
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		b.Stamp, b.Checked = stamp, r.at
		rep.Bytes += b.Size
	case notExist(err):
		rep.Missing = append(rep.Missing, d.String())
	case errors.Is(err, cache.ErrCorrupt), errors.Is(err, cache.ErrSize):
		rep.Corrupt = append(rep.Corrupt, d.String())
		b.Stamp = cache.Stamp{} // the pass finds it changed and quarantines it
	default:
		return err
	}
	rep.Checked++
	return nil
}

// writeChecked writes down when each blob was checked, and finishes the report.
func (r *run) writeChecked(rep *CheckReport) error {
	slices.Sort(rep.Corrupt)
	slices.Sort(rep.Missing)
	if len(rep.Corrupt)+len(rep.Missing) > 0 {
		rep.Exit = 3
	}
	var sound []cache.Digest
	for d, b := range r.st.Blobs {
		if b.Checked.Equal(r.at) {
			sound = append(sound, d)
		}
	}
	return r.commitEach(len(sound), func(tx *metadata.Tx, i int) { tx.PutBlob(sound[i], r.st.Blobs[sound[i]]) })
}

// PruneReport is what pruning removed (vouch/prune/v1).
type PruneReport struct {
	Schema  string   `json:"schema"`
	Removed int      `json:"removed"`
	Bytes   int64    `json:"bytes"`
	Foreign []string `json:"foreign"` // files that are not ours: reported, never deleted
}

// PruneCache deletes what nobody refers to any more.
func PruneCache(ctx context.Context, c *Config, o Options) (*PruneReport, error) {
	var rep *PruneReport
	err := within(ctx, c, o, func(r *run) (err error) {
		rep, err = r.prune()
		return err
	})
	return rep, err
}

// AdoptReport is what a migration took over (vouch/adopt/v1).
type AdoptReport struct {
	Schema  string      `json:"schema"`
	Adopted []string    `json:"adopted"` // image identifiers that need no download any more
	Skipped []AdoptSkip `json:"skipped"` // files that were not taken
	Bytes   int64       `json:"bytes"`
	Exit    int         `json:"exit"`
}

// AdoptSkip is one file that could not be taken, and why.
type AdoptSkip struct {
	Path   string `json:"path"`
	Detail string `json:"detail"`
}

// Adopt takes files whose size and SHA-512 an accepted list names into the
// cache without downloading them, and publishes them. Lists are refreshed
// first, so that it can be the first thing a migrating site runs. The sources
// are untouched. With takeOver the cache may have belonged to a state that is
// gone; dirs may then be empty.
func Adopt(ctx context.Context, c *Config, o Options, dirs []string, how cache.AdoptMode, takeOver bool) (*AdoptReport, error) {
	r, _, err := open(ctx, c, o, opening{takeOver: takeOver})
	if err != nil {
		return nil, err
	}
	defer r.close()
	rep := &AdoptReport{Schema: "vouch/adopt/v1", Adopted: []string{}, Skipped: []AdoptSkip{}}
	if err := r.local(ctx); err != nil {
		return nil, err
	}
	if r.noTrust == nil && len(dirs) > 0 {
		client, err := r.client()
		if err != nil {
			return nil, err
		}
		defer client.Close()
		if err := r.refresh(ctx, client, r.chosen(nil)); err != nil {
			return nil, err
		}
		if err := r.claimIdentifiers(); err != nil {
			return nil, err
		}
	}
	if err := r.adoptFrom(ctx, dirs, how, rep); err != nil {
		return nil, err
	}
	if err := r.carryOut(ctx, nil); err != nil {
		return nil, err
	}
	done, err := r.conclude(ctx)
	if err != nil {
		return nil, err
	}
	rep.Exit = done.Exit
	return rep, nil
}

// adoptFrom walks the directories; only files of a wanted size are read.
func (r *run) adoptFrom(ctx context.Context, dirs []string, how cache.AdoptMode, rep *AdoptReport) (err error) {
	bySize := map[int64][]want{}
	gate := r.newGate(nil)
	defer func() { err = errors.Join(err, r.forgetWithdrawn(gate.pruned), r.forgetBlobs(gate.freed)) }()
	for _, w := range r.makePlan().want {
		if r.st.Blobs[w.digest] == nil {
			bySize[w.image.Size] = append(bySize[w.image.Size], w)
		}
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if len(bySize[info.Size()]) == 0 {
				rep.Skipped = append(rep.Skipped, AdoptSkip{path, "no image of its size is wanted that is not here already"})
				return nil
			}
			return r.adoptFile(ctx, gate, path, bySize[info.Size()], how, rep)
		})
		if err != nil {
			return withHint(usage(fmt.Errorf("adopt: %w", err)), "name directories that hold image files")
		}
	}
	return nil
}

// adoptFile tries one file against the digests of its size.
func (r *run) adoptFile(ctx context.Context, gate *gate, path string, wants []want, how cache.AdoptMode, rep *AdoptReport) error {
	skip := "no accepted list names its SHA-512"
	for _, w := range wants {
		if r.st.Blobs[w.digest] != nil {
			continue
		}
		if err := gate.admit(w); err != nil {
			skip = err.Error()
			continue
		}
		stamp, err := r.cache.Adopt(ctx, path, w.digest, w.image.Size, how)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, cache.ErrCorrupt):
			gate.end(w, 0)
			continue
		case errors.Is(err, cache.ErrNoSpace):
			return storage(fmt.Errorf("adopt %s: %w", path, err))
		case err != nil:
			gate.end(w, 0)
			skip = err.Error()
			continue
		}
		blob := &metadata.Blob{Size: w.image.Size, Stamp: stamp, Checked: r.at}
		r.st.Blobs[w.digest] = blob
		if err := r.commit(func(tx *metadata.Tx) { tx.PutBlob(w.digest, blob) }); err != nil {
			return err
		}
		rep.Adopted, rep.Bytes = append(rep.Adopted, w.key.ID), rep.Bytes+w.image.Size
		return nil
	}
	rep.Skipped = append(rep.Skipped, AdoptSkip{path, skip})
	return nil
}

// imageOf finds an image of a list by identifier.
func (r *run) imageOf(l *metadata.List, id string) *imagelist.Image {
	content := r.content(l)
	if content == nil {
		return nil
	}
	for i := range content.Images {
		if string(content.Images[i].Identifier) == id {
			return &content.Images[i]
		}
	}
	return nil
}
