package subscriber

import (
	"fmt"
	"strings"
	"time"

	"vouch/cache"
	"vouch/subscriber/metadata"
)

// prune removes what nobody refers to any more: withdrawn images past
// keep_expired, blobs and partials without a purpose, old evidence and logs.
// It deletes only on a complete picture: everything still referred to was
// read from the metadata at the start of this run.
func (r *run) prune() (*PruneReport, error) {
	rep := &PruneReport{Schema: "vouch/prune/v1", Foreign: []string{}}
	var old []metadata.WithdrawnKey
	for k, w := range r.st.Withdrawn {
		if r.at.Sub(w.At) >= r.cfg.Cache.KeepExpired {
			old = append(old, k)
		}
	}
	for _, k := range old {
		if kept := r.st.Withdrawn[k].Kept; kept != "" {
			if err := r.cache.RemoveExpired(kept); err != nil && !notExist(err) {
				return rep, err
			}
			rep.Removed++
		}
	}
	if err := r.forgetWithdrawn(old); err != nil {
		return rep, err
	}
	if !r.incomplete && r.noTrust == nil && !r.inDoubt() { // never on an incomplete picture
		if err := r.pruneBlobs(rep); err != nil {
			return rep, err
		}
		if err := r.pruneLeftovers(rep); err != nil {
			return rep, err
		}
	}
	if err := r.pruneEvidence(); err != nil {
		return rep, fmt.Errorf("evidence: %w", err)
	}
	before := r.at.Add(-r.cfg.EvidenceKeep)
	for _, e := range r.st.Events { // the text of a dead letter is there
		before = earlier(before, e.Event.Time)
	}
	if err := r.elog.Prune(before); err != nil {
		return rep, fmt.Errorf("event log: %w", err)
	}
	foreign, err := r.cache.Foreign()
	if err != nil {
		return rep, err
	}
	rep.Foreign = append(rep.Foreign, foreign...)
	return rep, nil
}

// forgetWithdrawn deletes rows whose bytes are gone.
func (r *run) forgetWithdrawn(keys []metadata.WithdrawnKey) error {
	for _, k := range keys {
		delete(r.st.Withdrawn, k)
	}
	return r.commitEach(len(keys), func(tx *metadata.Tx, i int) { tx.DeleteWithdrawn(keys[i]) })
}

// forgetBlobs deletes rows of blobs that are gone.
func (r *run) forgetBlobs(gone []cache.Digest) error {
	for _, d := range gone {
		delete(r.st.Blobs, d)
	}
	return r.commitEach(len(gone), func(tx *metadata.Tx, i int) { tx.DeleteBlob(gone[i]) })
}

// pruneBlobs removes blobs that no published, wanted or recently withdrawn
// image stands on.
func (r *run) pruneBlobs(rep *PruneReport) error {
	used := r.publishedDigests()
	for _, w := range r.st.Withdrawn {
		used[digestFromHex(w.Entry.SHA512)] = true
	}
	for _, i := range r.st.Images {
		if i.Wanted != "" {
			used[digestFromHex(i.Wanted)] = true
		}
	}
	for _, w := range r.wishes() {
		used[w.digest] = true // perhaps half downloaded
	}
	blobs, err := r.cache.Blobs()
	if err != nil {
		return err
	}
	var gone []cache.Digest
	for _, d := range blobs {
		if used[d] {
			continue
		}
		if s, err := r.cache.Stat(d); err == nil {
			rep.Bytes += s.Size
		}
		if err := r.cache.RemoveBlob(d); err != nil && !notExist(err) {
			return err
		}
		rep.Removed++
		gone = append(gone, d)
	}
	if err := r.forgetBlobs(gone); err != nil {
		return err
	}
	if err := r.cache.PruneQuarantine(r.at.Add(-r.cfg.Cache.KeepExpired)); err != nil {
		return err
	}
	return r.cache.RemovePartials(func(d cache.Digest) bool { return used[d] })
}

// pruneLeftovers removes names that a crash left: endorsed names of ours that
// are not published, expired files no row knows.
func (r *run) pruneLeftovers(rep *PruneReport) error {
	published := map[string]bool{}
	for k, i := range r.st.Images {
		published[k.ID] = published[k.ID] || i.Published
	}
	names, err := r.cache.Endorsed()
	if err != nil {
		return err
	}
	for _, name := range names {
		if r.st.Owners[name] == "" || published[name] {
			continue
		}
		kept, err := r.cache.Unpublish(name, r.at)
		if err == nil && kept != "" {
			err = r.cache.RemoveExpired(kept)
		}
		if err != nil && !notExist(err) {
			return err
		}
		rep.Removed++
	}
	kept := map[string]bool{}
	for _, w := range r.st.Withdrawn {
		kept[w.Kept] = true
	}
	expired, err := r.cache.Expired()
	if err != nil {
		return err
	}
	for _, path := range expired {
		if kept[path] || !r.oldLeftover(path) {
			continue
		}
		if err := r.cache.RemoveExpired(path); err != nil && !notExist(err) {
			return err
		}
		rep.Removed++
	}
	return nil
}

// oldLeftover says whether an expired file is ours by its name,
// <identifier>.<YYYY-mm-dd_HH-MM-SS>[-n], and past keep_expired.
func (r *run) oldLeftover(path string) bool {
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 || len(path)-dot-1 < len(expiredStamp) {
		return false
	}
	id := strings.TrimPrefix(path[:dot], "expired/")
	at, err := time.Parse(expiredStamp, path[dot+1:dot+1+len(expiredStamp)])
	return err == nil && r.st.Owners[id] != "" && r.at.Sub(at) >= r.cfg.Cache.KeepExpired
}

const expiredStamp = "2006-01-02_15-04-05"

// dropUnsubscribed forgets lists that no subscription follows and under which
// nothing is published any more. Their floor and identifiers stay reserved.
func (r *run) dropUnsubscribed() error {
	inUse := map[string]bool{}
	for key, i := range r.st.Images {
		if i.Published {
			inUse[key.List] = true
		}
	}
	for id, l := range r.st.Lists {
		if inUse[id] || r.subscription(l.Entry.Subscription) != nil && !r.pinnedElsewhere(l) {
			continue
		}
		if err := r.dropList(id); err != nil {
			return err
		}
	}
	following := map[string]bool{}
	for _, l := range r.st.Lists {
		following[l.Entry.Subscription] = true // something of it is still published
	}
	for name := range r.st.Subs {
		if r.subscription(name) != nil || following[name] {
			continue
		}
		delete(r.st.Subs, name)
		if err := r.commit(func(tx *metadata.Tx) { tx.DeleteSub(name) }); err != nil {
			return err
		}
	}
	return r.forgetRemovals(inUse)
}

func (r *run) dropList(id string) error {
	delete(r.st.Lists, id)
	if r.dry {
		return nil
	}
	if err := r.commit(func(tx *metadata.Tx) {
		for key := range r.st.Images {
			if key.List == id {
				delete(r.st.Images, key)
				tx.DeleteImage(key)
			}
		}
		tx.DeleteList(id)
	}); err != nil {
		return err
	}
	if err := r.cache.RemoveList(id); err != nil && !notExist(err) {
		return err
	}
	return nil
}
