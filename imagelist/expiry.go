package imagelist

import (
	"time"

	"vouch/imagelist/verdict"
)

// clockSkew is how far ahead of the run's instant a list may say it was made.
const clockSkew = 5 * time.Minute

// ExpiredAt says whether the list's dc:date:expires has come.
func (l *List) ExpiredAt(at time.Time) bool { return !at.Before(l.Expires) }

// CreatedInFuture says whether dc:date:created is more than 5 minutes after at.
func (l *List) CreatedInFuture(at time.Time) bool { return l.Created.After(at.Add(clockSkew)) }

// Current is the part of the fourth gate that the list alone answers: whether
// it is neither from the future nor expired at the instant (contract §4). The
// error is a *verdict.Rejection with CreatedInFuture or ListExpired. What was
// accepted before, and so identifier and version, is the caller's to compare.
func (l *List) Current(at time.Time) error {
	switch {
	case l.CreatedInFuture(at):
		return verdict.Reject(verdict.CreatedInFuture, "created %s", stamp(l.Created))
	case l.ExpiredAt(at):
		return verdict.Reject(verdict.ListExpired, "expired %s", stamp(l.Expires))
	}
	return nil
}

// ExpiredAt says whether the image's own dc:date:expires has come; never for
// an image that has none.
func (i *Image) ExpiredAt(at time.Time) bool { return !i.Expires.IsZero() && !at.Before(i.Expires) }

// Until is when the list stops being good by itself: the earlier of its
// dc:date:expires and the notAfter of the signer's certificate.
func (v *Verified) Until() time.Time {
	if v.signer.NotAfter.Before(v.list.Expires) {
		return v.signer.NotAfter
	}
	return v.list.Expires
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
