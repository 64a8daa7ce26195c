package publisher

import (
	"slices"
	"strings"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/publisher/history"
)

// Remove takes images out of the draft: the policy's revocation (E7). It is
// recorded first. Subscribers hear of it, with reason and date, from the next
// list; of an image that no signed list ever named there is nothing to tell
// them. The error is an *Error, or the file system's.
func (w *Workspace) Remove(ids []imagelist.ImageID, reason string, who Who, at time.Time) ([]imagelist.Image, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, problem("say why: it stays in the history and goes to every subscriber", "the reason is empty")
	}
	l, err := w.sound()
	if err != nil {
		return nil, err
	}
	last, err := w.Last()
	if err != nil {
		return nil, err
	}
	next := *l
	next.Images, next.Revoked = slices.Clone(l.Images), slices.Clone(l.Revoked)
	var removed []imagelist.Image
	c := change{}
	for _, id := range ids {
		i := slices.IndexFunc(next.Images, func(i imagelist.Image) bool { return i.Identifier == id })
		if i < 0 {
			return nil, problem("vouch publisher status names the images", "no image %q in the draft", id)
		}
		image := next.Images[i]
		next.Images = slices.Delete(next.Images, i, i+1)
		removed = append(removed, image)
		e := w.entry(history.Remove, who, at)
		e.Image, e.Reason = recorded(&image), reason
		c.Entries = append(c.Entries, e)
		if published := last.image(id); published != nil {
			next.Revoked = append(next.Revoked, imagelist.Revocation{
				Identifier: id, Version: published.Version, SHA512: published.SHA512, Date: e.Time, Reason: reason,
			})
		}
	}
	if c.Draft, err = drafted(&next); err != nil {
		return nil, &Error{Err: err, Fix: "correct it and try again"}
	}
	return removed, w.commit(c)
}
