package subscriber

import (
	"context"
	"slices"
	"time"

	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// showEvery is how often a run that lasts shows in the status what handlers have
// answered. A variable for tests.
var showEvery = 10 * time.Second

// heed acts on what a run must not sit through while it downloads or waits for
// a handler: the site's own blocks, which it reads again and acknowledges in the
// status, and dates that pass. It is called each second then, and before
// anything is published. All else is the next run's.
func (r *run) heed(ctx context.Context) error {
	if r.dry {
		return nil
	}
	reread := r.rereadBlocks()
	gone := r.goneMeanwhile(reread)
	news := r.heard && r.now().Sub(r.written) >= showEvery
	if len(gone) == 0 && !reread && !news {
		return nil
	}
	if err := r.withdraw(ctx, gone); err != nil {
		return err
	}
	return r.writeStatus()
}

// goneMeanwhile are the published images that are blocked now, or whose date
// has passed since the run's instant, by which all were judged.
func (r *run) goneMeanwhile(blocks bool) []leave {
	var gone []leave
	for key, row := range r.st.Images {
		if !row.Published {
			continue
		}
		var b *Block
		if blocks {
			b = r.blocking(key, row, r.st.Lists[key.List])
		}
		switch {
		case b != nil:
			gone = append(gone, leave{key: key, typ: event.ImageBlocked, reason: string(verdict.Blocked), detail: b.Reason})
		case r.over(row.Entry.Expires):
			gone = append(gone, r.ended(key))
		}
	}
	return gone
}

// rereadBlocks says whether the blocks are others than before.
func (r *run) rereadBlocks() bool {
	if r.cfg.Reload == nil {
		return false
	}
	blocks, err := r.cfg.Reload()
	if err != nil {
		r.log.Warn("blocks: not read again", "error", err)
		return false
	}
	if slices.Equal(blocks, r.cfg.Blocks) {
		return false
	}
	r.cfg.Blocks = blocks
	return true
}

// over says that a date has passed since the run's instant.
func (r *run) over(date time.Time) bool { return date.After(r.at) && !date.After(r.now()) }

// ended says which date of an image it was: its list's, the certificate's, or
// its own.
func (r *run) ended(key metadata.ImageKey) leave {
	l := leave{key: key, typ: event.ImageExpired, reason: string(verdict.ImageExpired), detail: "the image's own date has passed"}
	list := r.st.Lists[key.List]
	if list == nil {
		return l
	}
	s := expiredOr(standing{good: true}, r.now(), r.listExpiry(list.Entry.Created, list.Entry.Expires), list.NotAfter)
	if !s.good {
		l.reason, l.detail = string(s.reason), s.detail
	}
	return l
}
