package subscriber

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// judgement is what a stored message is worth today.
type judgement struct {
	verified *imagelist.Verified
	why      *imagelist.Explanation
	rej      *verdict.Rejection
}

// crlDates are the oldest thisUpdate and the first nextUpdate of the CRLs that
// it rests on; zero when it rests on none. Those of other CAs are nobody's
// concern here: in a trust directory some are always late.
func (j *judgement) crlDates() (made, due time.Time) {
	if j == nil || j.verified == nil || j.verified.Trust() == nil {
		return made, due
	}
	for _, c := range j.verified.Trust().CRLs {
		made, due = earlier(made, c.ThisUpdate), earlier(due, c.NextUpdate)
	}
	return made.UTC(), due.UTC()
}

// question is what a subscription asks of a message. A list whose
// subscription is gone is judged as leniently as any might have been: it
// leaves because it was deselected, not for want of trust.
func (r *run) question(sub *Subscription) imagelist.Question {
	q := imagelist.Question{Trust: trust.Policy{CRL: r.cfg.Trust.CRL, CRLGrace: r.cfg.Trust.CRLGrace, SigningPolicy: r.cfg.Trust.SigningPolicy}}
	if sub == nil {
		q.Trust.AnyPurpose, q.Envelope = true, smime.Options{AllowSHA1: true, Binary: true}
		return q
	}
	q.Trust.AnyPurpose = sub.AnyPurpose
	q.Envelope = smime.Options{AllowSHA1: sub.AllowSHA1, Binary: sub.Binary}
	q.Authorised = sub.Endorsers
	if q.Authorised == nil {
		q.Authorised = []imagelist.Authorised{} // nobody is authorised, which is not the same as not asking
	}
	return q
}

// loadTrust takes this run's snapshot of the anchors.
func (r *run) loadTrust() {
	store, err := trust.Load(r.cfg.Trust.Anchors)
	if err != nil {
		r.noTrust = &verdict.Rejection{Code: verdict.Untrusted, Detail: err.Error(), Missing: true}
		return
	}
	r.anchors = store
	if err := store.Usable(r.question(nil).Trust); err != nil {
		r.noTrust = verdict.As(err)
		if r.noTrust == nil {
			r.noTrust = &verdict.Rejection{Code: verdict.Untrusted, Detail: err.Error(), Missing: true}
		}
	}
}

// judgeStored judges every message that a list or a published image rests on:
// the stored bytes against today's anchors, CRLs and clock. No network.
func (r *run) judgeStored() {
	type job struct {
		digest string
		list   string
		sub    *Subscription
	}
	jobs := map[string]job{}
	for id, l := range r.st.Lists {
		jobs[l.Message] = job{l.Message, id, r.subscription(l.Entry.Subscription)}
	}
	for _, i := range r.st.Images {
		if i.Published {
			if _, ok := jobs[i.Message]; !ok {
				jobs[i.Message] = job{i.Message, i.Entry.List, r.subscription(i.Entry.Subscription)}
			}
		}
	}
	in := make(chan job)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range in {
				res := r.judgeMessage(j.digest, j.list, j.sub)
				mu.Lock()
				r.judged[j.digest] = res
				mu.Unlock()
			}
		})
	}
	for _, j := range jobs {
		in <- j
	}
	close(in)
	wg.Wait()
}

func (r *run) judgeMessage(digest, list string, sub *Subscription) *judgement {
	if r.anchors == nil {
		return &judgement{rej: r.noTrust}
	}
	raw := r.storedMessage(digest, list)
	if raw == nil {
		return &judgement{rej: &verdict.Rejection{Code: verdict.Fetch, Detail: "the stored message is missing or damaged", Missing: true}}
	}
	v, why := imagelist.Examine(raw, r.anchors, r.at, r.question(sub))
	return &judgement{verified: v, why: why, rej: why.Rejection}
}

// storedMessage reads the evidence, or the cache's copy when that is gone; nil
// when neither has the recorded digest.
func (r *run) storedMessage(digest, list string) []byte {
	if raw, err := os.ReadFile(r.messagePath(digest)); err == nil && digestOf(raw) == digest {
		return raw
	}
	if raw, err := r.cache.ReadList(list); err == nil && digestOf(raw) == digest {
		return raw
	}
	return nil
}

// standing is what a stored message's judgement means for what is published
// under it.
type standing struct {
	good   bool         // its content may be published and refreshed
	reason verdict.Code // why not
	detail string
	event  event.Type // "" while it only is in doubt: keep, accept nothing
	since  time.Time  // of a doubt
	config bool       // only a change of configuration can have caused it
}

func (s standing) withdraws() bool { return s.event != "" }

// graces are the times for which missing knowledge is borne, and whether the
// configuration has changed since it was applied last.
type graces struct {
	anchor, outage time.Duration
	changed        bool
}

// stand turns a judgement into a standing. Pure: row is what was known of the
// list, and the returned row differs only in what the doubt left behind.
func stand(row metadata.List, j *judgement, at, expires time.Time, g graces) (standing, metadata.List) {
	if j.rej == nil {
		row.Doubt, row.DoubtSince, row.GoneSince = "", time.Time{}, time.Time{}
		return expiredOr(standing{good: true}, at, expires, row.NotAfter), row
	}
	s := standing{reason: j.rej.Code, detail: j.rej.Detail}
	switch {
	case j.rej.Missing:
		if row.DoubtSince.IsZero() {
			row.DoubtSince = at
		}
		row.Doubt, s.since = string(j.rej.Code), row.DoubtSince
		if at.Sub(row.DoubtSince) >= g.outage {
			s.event, s.config = event.ImageRevoked, g.changed
			s.detail = fmt.Sprintf("%s; trust.outage_grace has passed", s.detail)
		}
	case j.rej.Code == verdict.Untrusted:
		if row.GoneSince.IsZero() {
			row.GoneSince = at
		}
		row.Doubt, s.since = string(j.rej.Code), row.GoneSince
		if at.Sub(row.GoneSince) >= g.anchor {
			s.event, s.config = event.ImageRevoked, g.changed
		}
	case j.rej.Code == verdict.CertNotYetValid:
		row.Doubt = string(j.rej.Code) // it was valid when it was accepted: our clock is wrong
	case j.rej.Code == verdict.CertExpired:
		s.event = event.ImageExpired
	case j.rej.Code == verdict.Revoked, j.rej.Code == verdict.NotAuthorised, j.rej.Code == verdict.SigningPolicy:
		s.event = event.ImageRevoked
	default: // what was accepted once is refused now: somebody asks for more
		s.event, s.config = event.ImageRevoked, true
	}
	if j.rej.Missing || j.rej.Code == verdict.Untrusted {
		s = expiredOr(s, at, expires, row.NotAfter)
	}
	return s, row
}

// expiredOr lets the calendar overrule: what is past its date is expired
// whatever else is unknown about it.
func expiredOr(s standing, at, expires, notAfter time.Time) standing {
	switch {
	case !at.Before(expires):
		return standing{reason: verdict.ListExpired, detail: "expired at " + expires.UTC().Format(time.RFC3339), event: event.ImageExpired}
	case !notAfter.IsZero() && !at.Before(notAfter):
		return standing{reason: verdict.CertExpired, detail: "the signer's certificate expired at " + notAfter.UTC().Format(time.RFC3339), event: event.ImageExpired}
	}
	return s
}

func (r *run) graces() graces {
	return graces{r.cfg.Trust.AnchorGrace, r.cfg.Trust.OutageGrace, r.changed()}
}

// changed says whether the configuration differs from the one last applied.
func (r *run) changed() bool {
	return r.st.Meta.Baseline != "" && r.st.Meta.Baseline != r.baseline()
}

// listExpiry is when a list stops counting: its own date, or max_list_age
// after its creation (T-04).
func (r *run) listExpiry(created, expires time.Time) time.Time {
	if age := r.cfg.Fetch.MaxListAge; age > 0 && created.Add(age).Before(expires) {
		return created.Add(age)
	}
	return expires
}

// judgeLists takes every list's standing and writes down doubts.
func (r *run) judgeLists() {
	for id, row := range r.st.Lists {
		s, next := stand(*row, r.judged[row.Message], r.at, r.listExpiry(row.Entry.Created, row.Entry.Expires), r.graces())
		if j := r.judged[row.Message]; s.reason == verdict.ListExpired && j.verified != nil && r.at.Before(j.verified.List().Expires) {
			s.config = r.changed() // by max_list_age, not by its own date
		}
		if was := verdict.Code(row.Standing); r.clockBehind() && s.good && (was == verdict.ListExpired || was == verdict.CertExpired) {
			s = standing{reason: was, detail: "the clock is behind the newest verified date; what has expired stays expired", event: event.ImageExpired}
		}
		if s.good {
			next.Entry.Verified = r.at
		}
		next.Standing, next.Detail = "", ""
		if !s.good {
			next.Standing, next.Detail = string(s.reason), s.detail
		}
		*row = next
		r.standings[id] = s
		r.trustTime(r.judged[row.Message])
	}
}

// messageStanding is the standing of a message that is no longer its list's
// current one: old bytes kept while their replacement could not be had.
func (r *run) messageStanding(message string, row metadata.List) standing {
	j := r.judged[message]
	if j == nil {
		return standing{good: true}
	}
	expires := row.Entry.Expires
	created := row.Entry.Created
	if j.verified != nil {
		expires, created = j.verified.List().Expires, j.verified.List().Created
	}
	s, _ := stand(row, j, r.at, r.listExpiry(created, expires), r.graces())
	return s
}

// trustTime raises the mark below which time cannot be: the newest verified
// CRL or list creation, never the local clock (F-12).
func (r *run) trustTime(j *judgement) {
	if j == nil || j.verified == nil {
		return
	}
	mark := r.st.Meta.Trusted
	if c := j.verified.List().Created; c.After(mark) && !c.After(r.at.Add(future)) {
		mark = c
	}
	if t := j.verified.Trust(); t != nil {
		for _, c := range t.CRLs {
			if c.ThisUpdate.After(mark) && !c.ThisUpdate.After(r.at.Add(future)) {
				mark = c.ThisUpdate
			}
		}
	}
	r.st.Meta.Trusted = mark
}

// future is how far ahead of us other people's clocks may be.
const future = 5 * time.Minute

// clockBehind says that the local clock is before a date that has certainly
// passed: nothing new is accepted and nothing expired revives.
func (r *run) clockBehind() bool {
	return r.at.Before(r.st.Meta.Trusted.Add(-future))
}
