package subscriber

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"vouch/cache"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/fetch"
	"vouch/subscriber/metadata"
)

// maxMismatch is how often the same wanted bytes may arrive wrong before they
// are left alone until the list changes.
const maxMismatch = 5

// arrival is one digest's download, done or not.
type arrival struct {
	wants    []want // all images that want these bytes
	blob     *metadata.Blob
	transfer fetch.Transfer
	rej      *verdict.Rejection
	err      error // the store itself does not work: the run ends
	mismatch bool
}

// obtain downloads what is missing and publishes in batches as bytes arrive.
// Downloads run side by side; this goroutine alone changes the picture. Each
// second it looks at the site's blocks again, so that a block written during
// a long download takes effect now and not in the next run.
func (r *run) obtain(ctx context.Context, client *fetch.Client, wants []want) (err error) {
	ready, missing := r.atHand(ctx, wants)
	work := make(chan []want)
	done := make(chan arrival)
	ctx, cancel := context.WithCancel(ctx)
	gate := r.newGate(ready)
	defer func() { err = errors.Join(err, r.forgetWithdrawn(gate.pruned), r.forgetBlobs(gate.freed)) }()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range max(1, r.cfg.Fetch.Concurrency) {
		wg.Go(func() {
			for group := range work {
				select {
				case done <- r.download(ctx, client, gate, group):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	defer close(work)
	flight := 0
	for len(missing) > 0 || flight > 0 || len(ready) > 0 {
		if len(ready) > 0 && (flight == 0 && len(missing) == 0 || len(ready) >= publishBatch) {
			n := min(len(ready), publishBatch)
			slices.SortFunc(ready, func(a, b want) int { return strings.Compare(a.key.ID, b.key.ID) })
			if err := r.publishAllowed(ctx, ready[:n]); err != nil {
				return err
			}
			ready = ready[n:]
			continue
		}
		var next chan []want
		var head []want
		if len(missing) > 0 {
			next, head = work, missing[0]
		}
		select {
		case next <- head:
			missing, flight = missing[1:], flight+1
		case a := <-done:
			flight--
			if a.err != nil {
				return a.err
			}
			if err := r.land(&a); err != nil {
				return err
			}
			if a.rej == nil {
				ready = append(ready, a.wants...)
			}
		case a := <-r.outcomes():
			if err := r.hear(a); err != nil {
				return err
			}
		case <-r.tick.C:
			if err := r.publishAllowed(ctx, ready); err != nil {
				return err
			}
			ready = nil
		case <-ctx.Done():
			return fmt.Errorf("stopped; partial downloads are kept: %w", ctx.Err())
		}
	}
	return nil
}

// publishBatch bounds how many images share one index.json.
const publishBatch = 2000

// atHand separates the images whose bytes are in the cache already, whatever
// list or name brought them, from those to download, grouped by digest.
func (r *run) atHand(ctx context.Context, wants []want) (ready []want, missing [][]want) {
	group := map[cache.Digest]int{}
	for _, w := range wants {
		if r.haveBlob(ctx, w) {
			ready = append(ready, w)
			continue
		}
		if r.only != nil && !r.only[w.sub.Name] {
			continue // NAME limits fetching
		}
		if row := r.st.Images[w.key]; row != nil && row.Wanted == w.image.SHA512.String() && row.Tried == w.list.Payload && row.Mismatch >= maxMismatch {
			r.fail(w, verdict.ChecksumMismatch, fmt.Sprintf("other bytes arrived %d times; not tried again until the list changes", row.Mismatch))
			continue
		}
		i, ok := group[w.digest]
		if !ok {
			i = len(missing)
			group[w.digest] = i
			missing = append(missing, nil)
		}
		missing[i] = append(missing[i], w)
	}
	return ready, missing
}

// haveBlob says whether the bytes are here and verified. A blob without a row
// was committed just before somebody killed us: its bytes are hashed again,
// not downloaded.
func (r *run) haveBlob(ctx context.Context, w want) bool {
	if b := r.st.Blobs[w.digest]; b != nil {
		if b.Sealed {
			if _, err := r.cache.Unseal(w.digest); err != nil {
				return false
			}
			b.Sealed = false
			r.restamp(w.digest)
		}
		return b.Size == w.image.Size
	}
	if _, err := r.cache.Stat(w.digest); err != nil {
		return false
	}
	stamp, err := r.cache.Check(ctx, w.digest, w.image.Size, 0)
	if err == nil { // it may have been sealed by a state that is gone
		stamp, err = r.cache.Unseal(w.digest)
	}
	if err != nil {
		if errors.Is(err, cache.ErrCorrupt) || errors.Is(err, cache.ErrSize) {
			r.cache.Quarantine(w.digest)
		}
		return false
	}
	r.st.Blobs[w.digest] = &metadata.Blob{Size: w.image.Size, Stamp: stamp, Checked: r.at}
	return true
}

// land takes an arrival into the picture: a blob, or failures.
func (r *run) land(a *arrival) error {
	if a.rej == nil {
		r.st.Blobs[a.wants[0].digest] = a.blob
		for i, w := range a.wants {
			res := r.result(w.key, w.image.Version, "available", "", "")
			if i == 0 {
				res.Downloaded, res.ResumedFrom = a.transfer.Downloaded, a.transfer.ResumedFrom
			}
		}
		r.report.Download += a.transfer.Downloaded
		return r.dropOtherSizes(a)
	}
	for _, w := range a.wants {
		r.fail(w, a.rej.Code, a.rej.Detail)
		if a.mismatch {
			r.st.Images[w.key].Mismatch++
		}
	}
	return r.commitFailures(a.wants)
}

// dropOtherSizes fails the images whose entries name the same digest with
// another size: one of the two is not what was signed.
func (r *run) dropOtherSizes(a *arrival) error {
	var ok, bad []want
	for _, w := range a.wants {
		if w.image.Size == a.blob.Size {
			ok = append(ok, w)
			continue
		}
		bad = append(bad, w)
		r.fail(w, verdict.SizeMismatch, fmt.Sprintf("the bytes with this SHA-512 are %d, the entry says %d", a.blob.Size, w.image.Size))
	}
	a.wants = ok
	return r.commitFailures(bad)
}

// publishAllowed looks at the site's blocks and the clock once more and publishes
// what they leave: neither a block that was acknowledged nor a date is ever
// overtaken by a download.
func (r *run) publishAllowed(ctx context.Context, batch []want) error {
	if err := r.heed(ctx); err != nil {
		return err
	}
	return r.publish(ctx, r.stillAllowed(batch))
}

// stillAllowed drops images that were blocked or have expired while they were
// downloaded.
func (r *run) stillAllowed(wants []want) []want {
	var ok []want
	for _, w := range wants {
		if ends := r.imageEntry(w.list, w.image).Expires; r.over(ends) {
			l := r.ended(w.key)
			r.result(w.key, w.image.Version, "held", l.reason, l.detail)
			continue
		}
		x := wish{want: w}
		r.judgeWish(&x, blockedList(r.cfg.Blocks, w.key.List, r.speaker(w.list), r.at))
		if x.code == verdict.Blocked {
			r.result(w.key, w.image.Version, "held", string(x.code), x.detail)
			continue
		}
		ok = append(ok, w)
	}
	return ok
}

// fail notes that an image could not be had; what is published stays.
func (r *run) fail(w want, code verdict.Code, detail string) {
	r.result(w.key, w.image.Version, "failed", string(code), detail)
	r.wanting(w, "failed", string(code), detail)
}

// wanting notes in the row what is wanted and why it is not there.
func (r *run) wanting(w want, result, reason, detail string) *metadata.Image {
	row := r.st.Images[w.key]
	if row == nil {
		row = &metadata.Image{Entry: event.Image{Identifier: w.key.ID, List: w.key.List, Subscription: w.list.Entry.Subscription}}
		r.st.Images[w.key] = row
	}
	if digest := w.image.SHA512.String(); row.Wanted != digest || row.Tried != w.list.Payload {
		row.Wanted, row.Tried, row.Mismatch = digest, w.list.Payload, 0
	}
	row.Version, row.Result, row.Reason, row.Detail = w.image.Version, result, reason, detail
	return row
}

// commitFailures writes rows of images that could not be had and tells each
// (digest, reason) once.
func (r *run) commitFailures(wants []want) error {
	return r.commitEach(len(wants), func(tx *metadata.Tx, i int) {
		w := wants[i]
		row := r.st.Images[w.key]
		if key := row.Wanted + " " + row.Reason; row.Told != key {
			row.Told = key
			data := r.imageData(r.imageEntry(w.list, w.image), w.list)
			data.Reason, data.Detail = row.Reason, row.Detail
			tx.PutEvent(r.newEvent(event.ImageFailed, w.key.ID, data))
		}
		tx.PutImage(row)
	})
}

// download brings one digest into the cache, from the first of its URIs that
// has it.
//
// D2. Died before Commit returns: a partial, resumed by the next run. Died
// after it: a blob without a row, hashed again and published without a download.
func (r *run) download(ctx context.Context, client *fetch.Client, g *gate, group []want) arrival {
	a := arrival{wants: group}
	for _, w := range group {
		a.rej, a.mismatch = nil, false
		err := r.downloadOne(ctx, client, g, w, &a)
		if err == nil {
			return a
		}
		if ctx.Err() != nil {
			a.err = ctx.Err()
			return a
		}
		if a.rej = rejectionOf(err); a.rej == nil {
			a.err = err
			return a
		}
		a.mismatch = a.rej.Code == verdict.ChecksumMismatch
	}
	return a
}

func (r *run) downloadOne(ctx context.Context, client *fetch.Client, g *gate, w want, a *arrival) error {
	origin, err := originOf(w.sub)
	if err != nil {
		return err
	}
	id := -1
	defer func() {
		if id >= 0 {
			r.show.Done(id, err)
		}
	}()
	for again := range 2 {
		var part *cache.Partial
		if part, err = g.begin(w); err != nil {
			return err
		}
		if id < 0 {
			id = r.show.Start(w.key.ID, w.image.Title, part.Offset(), w.image.Size)
		}
		var t fetch.Transfer
		t, err = client.Image(ctx, origin, fetch.Source{URI: w.image.URI, Size: w.image.Size, Progress: func(offset int64) { r.show.Advance(id, offset) }}, part)
		a.transfer.Downloaded += t.Downloaded
		a.transfer.ResumedFrom = t.ResumedFrom
		if err != nil {
			g.end(w, part.Offset())
			part.Close()
			return err
		}
		var stamp cache.Stamp
		if stamp, err = part.Commit(ctx); err == nil {
			a.blob = &metadata.Blob{Size: w.image.Size, Stamp: stamp, Checked: r.at}
			return nil
		}
		part.Discard()
		g.end(w, 0)
		if again > 0 || t.ResumedFrom == 0 || !errors.Is(err, cache.ErrCorrupt) {
			return err
		}
		// A resumed file that does not match may have been glued together
		// from two versions: once more, from the start.
	}
	return err
}

// rejectionOf words why an image could not be had; nil means that the store
// itself failed.
func rejectionOf(err error) *verdict.Rejection {
	var fe *fetch.Error
	switch {
	case verdict.As(err) != nil:
		return verdict.As(err)
	case errors.As(err, &fe):
		if errors.Is(err, cache.ErrNoSpace) {
			return verdict.Reject(verdict.NoSpace, "%v", err)
		}
		return verdict.Reject(fe.Code, "%s (%s)", fe.Detail, fe.URL)
	case errors.Is(err, cache.ErrCorrupt):
		return verdict.Reject(verdict.ChecksumMismatch, "the bytes do not have the signed SHA-512")
	case errors.Is(err, cache.ErrSize):
		return verdict.Reject(verdict.SizeMismatch, "the bytes do not have the signed size")
	case errors.Is(err, cache.ErrNoSpace):
		return verdict.Reject(verdict.NoSpace, "%v", err)
	}
	return nil
}
