package subscriber

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// rebuild makes a new state from the plain files: the ledger (floors, owners,
// approvals), the index, the signed messages and the blobs in the cache.
// Nothing is downloaded again; every blob is hashed again, since whoever lost
// the database may have lost more. What cannot be had back is said.
//
// The new state has a new identity: to every handler it is unknown, and tells
// it of everything that is published.
func (r *run) rebuild(ctx context.Context, dir string, known *ledger, why error) error {
	if r.db != nil {
		r.db.Close()
		r.db = nil
	}
	if why != nil {
		aside, err := metadata.Aside(dir, r.begun)
		if err != nil {
			return storage(err)
		}
		r.log.Error("metadata is lost; rebuilding it from the plain files", "why", why, "kept", aside)
	}
	db, err := metadata.Open(dir)
	if err != nil {
		return r.openError(err)
	}
	r.db = db
	if r.st, err = db.Load(); err != nil {
		return r.openError(err)
	}
	r.st.Meta.Schema, r.st.Meta.State = metadata.Schema, uuid.NewString()
	if err := r.openLog(); err != nil {
		return err
	}
	if err := r.restore(ctx, known); err != nil {
		return err
	}
	if why != nil {
		r.problem("warning", "state", "rebuilt", fmt.Sprintf("the metadata was lost (%v) and rebuilt: %d lists, %d images, %d floors, %d approvals", why, len(r.st.Lists), len(r.st.Images), len(r.st.Floors), len(r.st.Approvals)),
			"not recovered: undelivered withdrawals, failed deliveries, check times; handlers are told of every image again")
	}
	if err := r.checkDirs(); err != nil {
		return err
	}
	return r.commitAll()
}

// restore fills the picture in memory.
func (r *run) restore(ctx context.Context, known *ledger) error {
	if known != nil {
		r.st.Meta.Generation, r.st.Meta.Baseline, r.st.Meta.Dirs = known.Generation, known.Baseline, known.Dirs
		for _, f := range known.Floors {
			r.st.Floors[f.List] = f
		}
		for id, list := range known.Owners {
			r.st.Owners[id] = list
		}
		for _, a := range known.Approvals {
			r.st.Approvals[a.Image] = a
		}
	}
	index, err := ReadIndex(r.cfg.Cache.Dir)
	if err != nil && !notExist(err) {
		r.problem("warning", "cache", "index", err.Error(), "what it said of availability and withdrawals is not recovered")
	}
	if index == nil {
		index = &Index{}
	}
	r.index = index
	r.st.Meta.Generation = max(r.st.Meta.Generation, index.Generation)
	if err := r.restoreLists(index); err != nil {
		return err
	}
	return r.restoreImages(ctx, index)
}

// restoreLists takes the signed messages in the cache. What they say counts
// only as far as it verifies today; an index entry stands in while it cannot.
func (r *run) restoreLists(index *Index) error {
	ids, err := r.cache.Lists()
	if err != nil {
		return err
	}
	r.loadTrust()
	for _, id := range ids {
		raw, err := r.cache.ReadList(id)
		if err != nil {
			r.incomplete = true
			r.problem("warning", "list "+id, "rebuilt", err.Error(), "the list is fetched again")
			continue
		}
		row := &metadata.List{Message: digestOf(raw), Payload: r.st.Floors[id].Payload}
		for _, e := range index.Lists {
			if e.Identifier == id {
				row.Entry = e
			}
		}
		if v := r.reverify(id, raw, row); v != nil {
			row.Entry = r.listEntry(row.Entry.Subscription, v)
			row.Payload, row.NotAfter, row.Certificate = v.Payload().String(), v.Signer().NotAfter, v.Signer().SHA256
			l := v.List()
			r.raiseFloor(metadata.Floor{List: id, Subscription: row.Entry.Subscription, Version: l.Version, Created: l.Created, Payload: row.Payload})
		}
		if row.Entry.Identifier == "" {
			r.incomplete = true
			r.problem("warning", "list "+id, "rebuilt", "neither the message nor the index can be used", "the list is fetched again")
			continue
		}
		if err := replaceFile(r.messagePath(row.Message), raw, 0o600, -1); err != nil {
			return fmt.Errorf("evidence: %w", err)
		}
		r.st.Lists[id] = row
		if sub := r.subscription(row.Entry.Subscription); sub != nil {
			r.st.Subs[sub.Name] = &metadata.Subscription{Name: sub.Name, URL: sub.URL, List: id, Answered: row.Entry.Verified}
		}
	}
	return nil
}

// reverify finds the subscription a message belongs to: the one that is on
// record, or else the one that authorises its signer.
func (r *run) reverify(id string, raw []byte, row *metadata.List) *imagelist.Verified {
	if r.anchors == nil {
		return nil
	}
	if row.Entry.Subscription == "" {
		row.Entry.Subscription = r.st.Floors[id].Subscription
	}
	for i := range r.cfg.Subscriptions {
		sub := &r.cfg.Subscriptions[i]
		if row.Entry.Subscription != "" && row.Entry.Subscription != sub.Name {
			continue
		}
		v, err := imagelist.Verify(raw, r.anchors, r.at, r.question(sub))
		if err == nil && string(v.List().Identifier) == id && (sub.List == "" || string(sub.List) == id) {
			row.Entry.Subscription = sub.Name
			return v
		}
	}
	return nil
}

// raiseFloor makes sure that a floor is not below what is on record elsewhere:
// the ledger, or a message we hold.
func (r *run) raiseFloor(f metadata.Floor) {
	have := r.st.Floors[f.List]
	if have.List == "" || imagelist.CompareVersions(f.Version, have.Version) > 0 {
		r.st.Floors[f.List] = f
	}
}

// typeOf is the event that told of a withdrawal with this reason.
func typeOf(reason string) event.Type {
	switch verdict.Code(reason) {
	case reasonSuperseded:
		return event.ImageSuperseded
	case reasonDeselected:
		return event.ImageDeselected
	case reasonCorrupt:
		return event.ImageCorrupt
	case verdict.Blocked:
		return event.ImageBlocked
	case verdict.ListExpired, verdict.ImageExpired, verdict.CertExpired:
		return event.ImageExpired
	}
	return event.ImageRevoked
}

// restoreImages takes what the index shows as published, blob by blob.
func (r *run) restoreImages(ctx context.Context, index *Index) error {
	for _, e := range index.Images {
		d := digestFromHex(e.SHA512)
		list := r.st.Lists[e.List]
		if list == nil || d == (cache.Digest{}) || !cache.Name(e.Identifier) {
			r.incomplete = true
			continue
		}
		if r.st.Blobs[d] == nil {
			stamp, err := r.cache.Check(ctx, d, e.Size, 0)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				if errors.Is(err, cache.ErrCorrupt) || errors.Is(err, cache.ErrSize) {
					r.cache.Quarantine(d)
				}
				r.problem("warning", "image "+e.Identifier, "rebuilt", err.Error(), "it is downloaded again")
				continue
			}
			r.st.Blobs[d] = &metadata.Blob{Size: e.Size, Stamp: stamp, Checked: r.at}
		}
		row := &metadata.Image{Entry: e, Published: true, Message: list.Message}
		row.Entry.Stale = false
		if s, err := r.cache.NameStamp(e.Identifier); err == nil {
			row.Name = s
		}
		r.st.Images[metadata.ImageKey{List: e.List, ID: e.Identifier}] = row
		if r.st.Owners[e.Identifier] == "" {
			r.st.Owners[e.Identifier] = e.List
		}
	}
	for _, w := range index.Withdrawn {
		key := metadata.WithdrawnKey{List: w.List, ID: w.Identifier, N: r.nextNumber()}
		gone := &metadata.Withdrawn{Type: typeOf(w.Reason), Reason: w.Reason, At: w.At, Kept: w.Kept}
		gone.Entry.Identifier, gone.Entry.List, gone.Entry.SHA512 = w.Identifier, w.List, w.SHA512
		r.st.Withdrawn[key] = gone
	}
	return nil
}

// commitAll writes the whole picture into the fresh database.
func (r *run) commitAll() error {
	var puts []func(tx *metadata.Tx)
	add := func(f func(tx *metadata.Tx)) { puts = append(puts, f) }
	for _, s := range r.st.Subs {
		add(func(tx *metadata.Tx) { tx.PutSub(s) })
	}
	for _, l := range r.st.Lists {
		add(func(tx *metadata.Tx) { tx.PutList(l) })
	}
	for _, i := range r.st.Images {
		add(func(tx *metadata.Tx) { tx.PutImage(i) })
	}
	for d, b := range r.st.Blobs {
		add(func(tx *metadata.Tx) { tx.PutBlob(d, b) })
	}
	for k, w := range r.st.Withdrawn {
		add(func(tx *metadata.Tx) { tx.PutWithdrawn(k, w) })
	}
	for _, f := range r.st.Floors {
		add(func(tx *metadata.Tx) { tx.PutFloor(f) })
	}
	for id, list := range r.st.Owners {
		add(func(tx *metadata.Tx) { tx.PutOwner(id, list) })
	}
	for _, a := range r.st.Approvals {
		add(func(tx *metadata.Tx) { tx.PutApproval(a) })
	}
	// The database gets its identity last: died before, the next start finds
	// one without and begins again.
	state := r.st.Meta.State
	r.st.Meta.State = ""
	err := r.commitEach(len(puts), func(tx *metadata.Tx, i int) { puts[i](tx) })
	r.st.Meta.State = state
	if err != nil {
		return err
	}
	if err := r.commit(func(*metadata.Tx) {}); err != nil {
		return err
	}
	if err := r.writeSeal(); err != nil {
		return err
	}
	return r.writeLedger()
}
