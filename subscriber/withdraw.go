package subscriber

import (
	"context"
	"errors"
	"time"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// departure is one withdrawal on its way.
type departure struct {
	leave
	row   *metadata.Image
	gone  *metadata.Withdrawn
	event *metadata.Event
	data  event.ImageData
}

// withdraw takes images out of the cache.
//
// Urgent ones (blocked, revoked, corrupt) lose their name first; the others
// keep it until the index has forgotten them, deselected ones also until
// handlers had their announcement. D3. Died anywhere before the transaction: the row still says
// published, the fact still holds, and the next run's plan withdraws again;
// every step tolerates that it was done already. Died after it: the events
// are in the outbox.
func (r *run) withdraw(ctx context.Context, leaves []leave) error {
	r.reportLeaves(leaves)
	if len(leaves) == 0 || r.dry {
		return nil
	}
	deps := make([]*departure, 0, len(leaves))
	for _, l := range leaves {
		deps = append(deps, r.depart(l))
	}
	for _, d := range deps {
		if d.urgent() {
			if err := r.unpublish(d); err != nil {
				return err
			}
		}
	}
	for _, d := range deps {
		if !d.urgent() {
			if err := r.announce(ctx, d.event.Event, d.typ != event.ImageExpired); err != nil {
				return err
			}
		}
		d.row.Published = false
	}
	if err := r.cache.Sync(); err != nil {
		return err
	}
	if err := r.writeIndex(); err != nil {
		return err
	}
	for _, d := range deps {
		if !d.urgent() {
			if err := r.unpublish(d); err != nil {
				return err
			}
		}
	}
	if err := r.cache.Sync(); err != nil {
		return err
	}
	if err := r.sealUnused(deps); err != nil {
		return err
	}
	if err := r.commitDepartures(deps); err != nil {
		return err
	}
	return r.flushLog()
}

// depart prepares one withdrawal: its event has its number before anybody is
// told.
func (r *run) depart(l leave) *departure {
	row := r.st.Images[l.key]
	data := r.imageData(row.Entry, r.st.Lists[l.key.List])
	data.Reason, data.Detail = l.reason, l.detail
	if rev := r.revocation(l.key, data.SHA512); rev != nil && l.reason == reasonRemoved {
		data.Revocation, data.RevokedAt = rev.Reason, &rev.Date
	}
	d := &departure{leave: l, row: row, data: data}
	d.gone = &metadata.Withdrawn{Entry: row.Entry, Type: l.typ, Reason: l.reason, Detail: l.detail, At: r.at}
	d.event = r.newEvent(l.typ, l.key.ID, data)
	return d
}

// revocation finds the endorser's own words for leaving an image out
// (vouch:revoked), nil when there are none.
func (r *run) revocation(key metadata.ImageKey, sha512 string) *imagelist.Revocation {
	list := r.st.Lists[key.List]
	if list == nil {
		return nil
	}
	content := r.content(list)
	if content == nil {
		return nil
	}
	for i, rev := range content.Revoked {
		if string(rev.Identifier) == key.ID && (rev.SHA512.String() == sha512 || rev.SHA512 == imagelist.Digest{}) {
			return &content.Revoked[i]
		}
	}
	return nil
}

// unpublish takes the name away and keeps the bytes under expired/, save
// corrupt ones, which are in quarantine already.
func (r *run) unpublish(d *departure) error {
	kept, err := r.cache.Unpublish(d.key.ID, r.at)
	if errors.Is(err, cache.ErrUnsafe) { // a directory, say: not ours to move
		r.problem("critical", "cache", "name", err.Error(), "remove it")
		return nil
	}
	if err != nil {
		return err
	}
	if d.typ == event.ImageCorrupt && kept != "" {
		if err := r.cache.RemoveExpired(kept); err != nil {
			return err
		}
		kept = ""
	}
	d.gone.Kept, d.data.Kept = kept, kept
	d.event.Event = r.render(d.event.Number, d.typ, d.key.ID, r.at, d.data)
	return nil
}

// sealUnused makes the bytes of blocked and revoked images unreadable for
// others unless another image still stands on them, and notes what our own
// operations did to the inodes.
func (r *run) sealUnused(deps []*departure) error {
	used := r.publishedDigests()
	for _, d := range deps {
		digest := digestFromHex(d.row.Entry.SHA512)
		blob := r.st.Blobs[digest]
		if blob == nil || d.typ == event.ImageCorrupt {
			continue
		}
		if (d.typ == event.ImageBlocked || d.typ == event.ImageRevoked) && !used[digest] {
			if _, err := r.cache.Seal(digest); err != nil && !notExist(err) {
				return err
			}
			blob.Sealed = true
			if d.gone.Kept != "" { // its own inode where names are copies
				if err := r.cache.SealExpired(d.gone.Kept); err != nil && !notExist(err) {
					return err
				}
			}
		}
		r.restamp(digest)
	}
	return nil
}

// publishedDigests is what some published image stands on.
func (r *run) publishedDigests() map[cache.Digest]bool {
	used := map[cache.Digest]bool{}
	for _, i := range r.st.Images {
		if i.Published {
			used[digestFromHex(i.Entry.SHA512)] = true
		}
	}
	return used
}

// restamp notes what an inode looks like after our own operations on it, which
// make and remove names and change its mode. If anything else is different,
// somebody wrote to it since inspect looked: the next look must find that.
func (r *run) restamp(d cache.Digest) {
	b := r.st.Blobs[d]
	if b == nil {
		return
	}
	s, err := r.cache.Stat(d)
	if err == nil && s.Ino == b.Stamp.Ino && s.Size == b.Stamp.Size && s.Mtime == b.Stamp.Mtime {
		b.Stamp = s
	}
}

func (r *run) commitDepartures(deps []*departure) error {
	untold := r.untold()
	return r.commitEach(len(deps), func(tx *metadata.Tx, i int) {
		d := deps[i]
		for _, e := range untold[d.key.ID] {
			r.cancelDelivery(e)
			tx.PutEvent(e)
		}
		key := metadata.WithdrawnKey{List: d.key.List, ID: d.key.ID, N: d.event.Number}
		r.st.Withdrawn[key] = d.gone
		delete(r.st.Images, d.key)
		tx.DeleteImage(d.key)
		tx.PutWithdrawn(key, d.gone)
		digest := digestFromHex(d.row.Entry.SHA512)
		if b := r.st.Blobs[digest]; b != nil && d.typ != event.ImageCorrupt {
			tx.PutBlob(digest, b)
		} else {
			delete(r.st.Blobs, digest)
			tx.DeleteBlob(digest)
		}
		tx.PutEvent(d.event)
	})
}

// reportLeaves puts withdrawals into the report.
func (r *run) reportLeaves(leaves []leave) {
	for _, l := range leaves {
		res := ImageResult{Identifier: l.key.ID, Result: "withdrawn", Reason: l.reason, Detail: l.detail}
		if row := r.st.Images[l.key]; row != nil {
			res.Subscription, res.Version = row.Entry.Subscription, row.Entry.Version
		}
		r.report.Images = append(r.report.Images, res)
	}
}

// expireLists tells once of each list that has expired or is about to.
func (r *run) expireLists() error {
	for id, row := range r.st.Lists {
		if r.subscription(row.Entry.Subscription) == nil {
			continue
		}
		t, reason := event.Type(""), ""
		ends := row.Entry.Expires
		if !row.NotAfter.IsZero() && row.NotAfter.Before(ends) {
			ends = row.NotAfter
		}
		switch s := r.standings[id]; {
		case s.event == event.ImageExpired && !row.ToldExpired:
			row.ToldExpired, t, reason = true, event.ListExpired, string(s.reason)
		case s.good && !row.ToldExpiring && ends.Sub(r.at) <= expiringWithin:
			row.ToldExpiring, t, reason = true, event.ListExpiring, string(verdict.ListExpired)
		default:
			continue
		}
		entry := row.Entry
		data := event.ListData{Subscription: row.Entry.Subscription, URL: r.redactedURL(row.Entry.Subscription), Reason: reason, Detail: "expires " + ends.UTC().Format(time.RFC3339), List: &entry}
		if err := r.commit(func(tx *metadata.Tx) {
			tx.PutList(row)
			tx.PutEvent(r.newEvent(t, id, data))
		}); err != nil {
			return err
		}
	}
	return nil
}

// expiringWithin is how long before its end a list is worth a word.
const expiringWithin = 7 * 24 * time.Hour
