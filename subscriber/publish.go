package subscriber

import (
	"context"
	"errors"

	"vouch/cache"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// publish gives names to blobs that are in the cache and verified: names, one
// index.json, one transaction (or as many as fit) with states and events.
//
// D3. Died before the transaction: a name or an index entry may be there and
// the row still says wanted; publishing again is idempotent and the event is
// told then. Died after it: the events are in the outbox. At no moment does a
// name lead to bytes that were not verified, and during an update there is no
// moment without the image.
func (r *run) publish(ctx context.Context, batch []want) error {
	if len(batch) == 0 {
		return nil
	}
	done := batch[:0:0]
	var rows []*metadata.Image
	var replaced []*metadata.Withdrawn
	for i := range batch {
		batch[i].replaces = r.replacing(batch[i])
		w := batch[i]
		var old *metadata.Withdrawn
		var err error
		if w.replaces == "" {
			if err := r.announceAvailable(ctx, w); err != nil {
				return err
			}
		} else if old, err = r.retain(w); err != nil {
			return err
		}
		stamp, err := r.cache.Publish(w.key.ID, w.digest)
		if errors.Is(err, cache.ErrUnsafe) { // something that is not ours has its name
			r.result(w.key, w.image.Version, "failed", reasonCorrupt, err.Error())
			continue
		}
		if err != nil {
			return err
		}
		done, rows, replaced = append(done, w), append(rows, r.publishedRow(w, stamp)), append(replaced, old)
	}
	batch = done
	if err := r.cache.Sync(); err != nil {
		return err
	}
	r.restampBatch(batch, rows)
	if err := r.writeIndex(); err != nil {
		return err
	}
	untold := r.untold()
	if err := r.commitEach(len(batch), func(tx *metadata.Tx, i int) {
		r.commitPublished(tx, batch[i], rows[i], replaced[i], untold)
	}); err != nil {
		return err
	}
	return r.flushLog()
}

// replacing is what the image's name leads to now, if that is something else:
// the plan may be hours old, and a block may have come in between.
func (r *run) replacing(w want) string {
	if row := r.st.Images[w.key]; row != nil && row.Published {
		return row.Entry.SHA512
	}
	return ""
}

// retain keeps the old bytes of an update under expired/ before their name
// goes over to the new ones.
func (r *run) retain(w want) (*metadata.Withdrawn, error) {
	row := r.st.Images[w.key]
	kept, err := r.cache.Retain(w.key.ID, digestFromHex(w.replaces), r.at)
	if err != nil {
		return nil, err
	}
	return &metadata.Withdrawn{Entry: row.Entry, Type: event.ImageSuperseded, Reason: reasonSuperseded, Detail: "replaced by version " + w.image.Version, At: r.at, Kept: kept}, nil
}

// publishedRow makes the row of what is published now, and lets the picture
// in memory show it.
func (r *run) publishedRow(w want, stamp cache.Stamp) *metadata.Image {
	row := &metadata.Image{Entry: r.imageEntry(w.list, w.image), Published: true, Message: w.list.Message, Name: stamp, AvailableAt: r.at}
	row.Entry.AvailableSince = r.at
	r.st.Images[w.key] = row
	delete(r.awaited, w.key) // also if it is blocked before the run ends
	return row
}

// restampBatch notes every inode after all names of the batch were made: a
// second name changes the ctime that the first one saw.
func (r *run) restampBatch(batch []want, rows []*metadata.Image) {
	for i, w := range batch {
		r.restamp(w.digest)
		if w.replaces != "" {
			r.restamp(digestFromHex(w.replaces))
		}
		if s, err := r.cache.NameStamp(w.key.ID); err == nil {
			rows[i].Name = s
		}
	}
}

// commitPublished puts one image's facts and events into a transaction.
func (r *run) commitPublished(tx *metadata.Tx, w want, row *metadata.Image, old *metadata.Withdrawn, untold map[string][]*metadata.Event) {
	data := r.imageData(row.Entry, w.list)
	result := "available"
	if old != nil {
		result = "updated"
		for _, e := range untold[w.key.ID] {
			r.cancelDelivery(e)
			tx.PutEvent(e)
		}
		r.commitSuperseded(tx, w, old)
		data.Replaces = w.replaces
		tx.PutBlob(digestFromHex(w.replaces), r.st.Blobs[digestFromHex(w.replaces)])
	}
	e := r.newEvent(event.ImageAvailable, w.key.ID, data)
	row.Available = e.Number
	tx.PutEvent(e)
	tx.PutImage(row)
	tx.PutBlob(w.digest, r.st.Blobs[w.digest])
	if w.sub.HoldNew || w.sub.HoldUpdates {
		a := metadata.Approval{Image: w.key.ID, SHA512: row.Entry.SHA512, At: r.at} // from now on it is known
		r.st.Approvals[w.key.ID] = a
		tx.PutApproval(a)
	}
	was := r.results[w.key]
	res := r.result(w.key, row.Entry.Version, result, "", "")
	if was != nil {
		res.Downloaded, res.ResumedFrom = was.Downloaded, was.ResumedFrom
	}
}

func (r *run) commitSuperseded(tx *metadata.Tx, w want, old *metadata.Withdrawn) {
	data := r.imageData(old.Entry, w.list)
	data.Reason, data.Detail, data.Kept, data.SupersededBy = old.Reason, old.Detail, old.Kept, w.image.SHA512.String()
	e := r.newEvent(event.ImageSuperseded, w.key.ID, data)
	key := metadata.WithdrawnKey{List: w.key.List, ID: w.key.ID, N: e.Number}
	r.st.Withdrawn[key] = old
	tx.PutEvent(e)
	tx.PutWithdrawn(key, old)
}

// refresh brings what is said about published images up to date: a new list
// version, another expiry, other metadata. Only the last is news.
func (r *run) refreshEntries(batch []want) error {
	var changed []want
	var keys [][]string
	for _, w := range batch {
		row := r.st.Images[w.key]
		next := r.imageEntry(w.list, w.image)
		next.AvailableSince = row.Entry.AvailableSince
		diff := []string(nil)
		if string(row.Entry.Metadata) != string(next.Metadata) {
			diff = changedKeys(row.Entry.Metadata, next.Metadata)
		}
		if len(diff) == 0 && row.Message == w.list.Message && row.Wanted == "" && sameEntry(row.Entry, next) {
			continue
		}
		row.Entry, row.Message = next, w.list.Message
		row.Wanted, row.Version, row.Result, row.Reason, row.Detail, row.Told, row.Mismatch = "", "", "", "", "", "", 0
		changed, keys = append(changed, w), append(keys, diff)
		if len(diff) > 0 {
			r.result(w.key, next.Version, "updated", "", "")
		}
	}
	return r.commitEach(len(changed), func(tx *metadata.Tx, i int) {
		row := r.st.Images[changed[i].key]
		tx.PutImage(row)
		if len(keys[i]) > 0 {
			data := r.imageData(row.Entry, changed[i].list)
			data.Changed = keys[i]
			tx.PutEvent(r.newEvent(event.ImageUpdated, changed[i].key.ID, data))
		}
	})
}
