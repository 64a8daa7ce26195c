package subscriber

import (
	"time"
)

// nextChange is when the calendar alone will change something of what is
// published or told: a list, a signer's certificate or an image expires, a
// list is a week from its end, a block ends, a grace is over. Zero is never.
//
// Whoever keeps a state must make a pass then. What lies in the past was acted
// on by this run, or waits for something else than time; or it was missed, by a
// run that does not act on the calendar.
func (r *run) nextChange() time.Time {
	next := r.missed
	note := func(t time.Time) {
		if t.After(r.at) {
			next = earlier(next, t)
		}
	}
	for id, l := range r.st.Lists {
		ends := earlier(r.listExpiry(l.Entry.Created, l.Entry.Expires), l.NotAfter)
		note(ends)
		if !l.ToldExpiring {
			note(ends.Add(-expiringWithin))
		}
		if s := r.standings[id]; !s.good && !s.withdraws() {
			note(l.DoubtSince.Add(r.cfg.Trust.OutageGrace))
			note(l.GoneSince.Add(r.cfg.Trust.AnchorGrace))
		}
	}
	for _, i := range r.st.Images {
		if i.Published {
			note(i.Entry.Expires)
		}
	}
	for _, b := range r.cfg.Blocks {
		note(b.Until)
	}
	return next
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
