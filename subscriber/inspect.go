package subscriber

import (
	"context"
	"errors"

	"vouch/cache"
	"vouch/subscriber/metadata"
)

// inspect compares every blob and every name with what we left. The cache may
// be writable by somebody else with the owner's or root's rights: any
// difference has the bytes hashed again before the next index names them.
func (r *run) inspect(ctx context.Context) error {
	var touched, pruned []cache.Digest
	used := r.publishedDigests()
	for d, b := range r.st.Blobs {
		stamp, err := r.cache.Stat(d)
		if err == nil && stamp == b.Stamp {
			continue
		}
		if err == nil && !r.dry {
			stamp, err = r.cache.Check(ctx, d, b.Size, 0)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if used[d] && !b.Sealed && stamp.Mode != b.Stamp.Mode { // sealed by a withdrawal that was not committed
				if stamp, err = r.cache.Unseal(d); err != nil {
					return err
				}
			}
			b.Stamp, b.Checked = stamp, r.at
			touched = append(touched, d)
		case notExist(err) && !used[d]:
			pruned = append(pruned, d) // and we died before the row went
		case notExist(err):
			r.lost(d, "its bytes are gone from the cache")
		case errors.Is(err, cache.ErrCorrupt), errors.Is(err, cache.ErrSize):
			if err := r.cache.Quarantine(d); err != nil && !notExist(err) {
				return err
			}
			r.lost(d, "its bytes were changed in the cache")
		case errors.Is(err, cache.ErrUnsafe):
			r.lost(d, err.Error())
		default:
			return err
		}
	}
	if err := r.inspectNames(&touched); err != nil {
		return err
	}
	if err := r.forgetBlobs(pruned); err != nil {
		return err
	}
	if !r.dry {
		r.st.Meta.Inspected = r.at
	}
	return r.commitEach(len(touched), func(tx *metadata.Tx, i int) { tx.PutBlob(touched[i], r.st.Blobs[touched[i]]) })
}

// lost forgets a blob; images that stand on it leave as corrupt and are
// fetched again by the same run.
func (r *run) lost(d cache.Digest, why string) {
	r.corrupt[d] = why
	delete(r.st.Blobs, d)
	r.problem("warning", "cache", reasonCorrupt, cache.BlobPath(d)+": "+why, "it is downloaded again; find out who writes to the cache")
}

// inspectNames restores names under endorsed/ that are gone or lead elsewhere.
func (r *run) inspectNames(touched *[]cache.Digest) error {
	var leaving map[metadata.ImageKey]bool // planned when the first name is not as we left it
	for key, i := range r.st.Images {
		d := digestFromHex(i.Entry.SHA512)
		b := r.st.Blobs[d]
		if !i.Published || b == nil {
			continue
		}
		stamp, err := r.cache.NameStamp(key.ID)
		if err == nil && (stamp == b.Stamp || stamp == i.Name) {
			continue
		}
		if leaving == nil {
			leaving = map[metadata.ImageKey]bool{}
			for _, l := range r.makePlan().leave {
				leaving[l.key] = true // perhaps half way already
			}
		}
		if leaving[key] {
			continue
		}
		if errors.Is(err, cache.ErrUnsafe) {
			r.foreign[key] = err.Error() // it leaves; withdrawing moves what is there aside
			continue
		}
		if err != nil && !notExist(err) {
			return err
		}
		if r.dry {
			continue
		}
		interrupted := err == nil && r.isBlob(stamp.Ino)
		if i.Name, err = r.cache.Publish(key.ID, d); err != nil {
			return err
		}
		r.restamp(d)
		*touched = append(*touched, d)
		if interrupted {
			continue // our own update, killed before its transaction
		}
		r.problem("warning", "cache", "name", cache.EndorsedPath(key.ID)+" was changed or removed; restored", "find out who writes to the cache")
	}
	return nil
}

// isBlob says whether an inode is one of the cache's own blobs.
func (r *run) isBlob(ino uint64) bool {
	blobs, _ := r.cache.Blobs()
	for _, d := range blobs {
		if s, err := r.cache.Stat(d); err == nil && s.Ino == ino {
			return true
		}
	}
	return false
}
