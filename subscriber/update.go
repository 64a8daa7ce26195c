package subscriber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/fetch"
	"vouch/subscriber/metadata"
	"vouch/subscriber/secret"
)

// How lists are fetched (contract §5, design step 2).
const (
	listsAtATime = 16
	listTries    = 3
	listWithin   = 20 * time.Second
)

// answer is what one subscription's server said, judged.
type answer struct {
	sub      *Subscription
	row      metadata.Subscription // what was known before
	doc      *fetch.Document       // nil when err is set
	verified *imagelist.Verified
	why      *imagelist.Explanation
	err      error // a transfer that did not work
}

// refresh fetches and judges the lists of subs, and accepts what may be
// accepted, in configuration order: who comes first owns a contested identifier.
func (r *run) refresh(ctx context.Context, client *fetch.Client, subs []*Subscription) error {
	answers := make([]chan answer, len(subs))
	slots := make(chan struct{}, listsAtATime)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range subs {
		answers[i] = make(chan answer, 1)
	}
	rows := make([]metadata.Subscription, len(subs))
	prior := make([]*judgement, len(subs)) // taken here: r.judged grows while others ask
	held := make([]string, len(subs))
	for i, sub := range subs {
		rows[i] = r.subRow(sub)
		if l := r.st.Lists[rows[i].List]; l != nil {
			held[i], prior[i] = l.Message, r.judged[l.Message]
		}
	}
	wg.Go(func() {
		for i, sub := range subs {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer func() { <-slots }()
				answers[i] <- r.ask(ctx, client, sub, rows[i], held[i], prior[i])
			})
		}
	})
	changed := make([]*metadata.Subscription, 0, len(subs))
	for i := 0; i < len(subs); {
		select {
		case a := <-answers[i]:
			row, err := r.take(a)
			if err != nil {
				return err
			}
			changed, i = append(changed, row), i+1
		case a := <-r.outcomes():
			if err := r.hear(a); err != nil {
				return err
			}
		case <-r.tick.C:
			if err := r.heed(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return r.commitEach(len(changed), func(tx *metadata.Tx, i int) { tx.PutSub(changed[i]) })
}

// subRow is what is known of a subscription; validators belong to its URL.
func (r *run) subRow(sub *Subscription) metadata.Subscription {
	row := metadata.Subscription{Name: sub.Name}
	if known := r.st.Subs[sub.Name]; known != nil {
		row = *known
	}
	if sub.List != "" && string(sub.List) != row.List {
		row.ETag, row.LastModified = "", "" // what was accepted is not what is wanted
	}
	if row.URL != sub.URL {
		row.URL, row.ETag, row.LastModified = sub.URL, "", ""
	}
	return row
}

// ask makes one conditional request and judges what comes back. A list that
// is not in good standing is asked for whole: there must be bytes to judge.
func (r *run) ask(ctx context.Context, client *fetch.Client, sub *Subscription, row metadata.Subscription, held string, j *judgement) answer {
	a := answer{sub: sub, row: row}
	origin, err := originOf(sub)
	if err != nil {
		a.err = err
		return a
	}
	ask := fetch.Doc{MaxSize: r.cfg.Fetch.MaxListSize, Tries: listTries, Within: listWithin}
	if j != nil && j.verified != nil {
		ask.ETag, ask.LastModified = row.ETag, row.LastModified
	}
	if a.doc, a.err = client.Document(ctx, origin, ask); a.err != nil || a.doc.NotModified {
		return a
	}
	if j != nil && digestOf(a.doc.Body) == held {
		a.verified, a.why = j.verified, j.why // the same bytes under the same trust: judged already
		if a.verified != nil {
			a.doc.Body = nil
			return a
		}
	}
	a.verified, a.why = imagelist.Examine(a.doc.Body, r.anchors, r.at, r.question(sub))
	return a
}

// originOf reads a subscription's credentials. A user name without a password
// is AppDB's token, whose password is fixed.
func originOf(sub *Subscription) (fetch.Origin, error) {
	o := fetch.Origin{URL: sub.URL}
	if sub.UsernameFile == "" {
		return o, nil
	}
	o.Password = "x-oauth-basic"
	var err error
	if o.Username, err = secret.Text(sub.UsernameFile); err == nil && sub.PasswordFile != "" {
		o.Password, err = secret.Text(sub.PasswordFile)
	}
	if err != nil {
		return o, &fetch.Error{Code: verdict.Fetch, URL: fetch.Redact(sub.URL), Detail: "credentials: " + inFull(err), Err: err}
	}
	return o, nil
}

// take turns an answer into what is known from now on.
func (r *run) take(a answer) (*metadata.Subscription, error) {
	row := a.row
	row.Attempted = r.at
	var err error
	switch {
	case a.err != nil:
		err = r.takeFailure(&row, a)
	case a.doc.NotModified:
		r.takeUnchanged(&row)
	case a.verified == nil:
		row.ETag, row.LastModified = "", ""
		err = r.takeRejection(&row, a, a.why.Rejection)
	default:
		err = r.takeVerified(&row, a)
	}
	r.st.Subs[row.Name] = &row
	res := ListResult{Subscription: row.Name, Identifier: row.List, Result: row.Result, Reason: verdict.Code(row.Reason), Detail: row.Detail}
	if l := r.st.Lists[row.List]; l != nil {
		res.Version = l.Entry.Version
	}
	r.report.Lists = append(r.report.Lists, res)
	return &row, err
}

// takeFailure notes that no answer came. It is news after alarm_after.
func (r *run) takeFailure(row *metadata.Subscription, a answer) error {
	var fe *fetch.Error
	why := a.err.Error()
	if errors.As(a.err, &fe) {
		why = fmt.Sprintf("%s (%s)", fe.Detail, fe.URL)
		if fe.Code != verdict.Fetch {
			return r.takeRejection(row, a, verdict.Reject(fe.Code, "%s", why))
		}
	}
	if row.Result = r.standingResult(row.List); row.Result != "" {
		s := r.standings[row.List]
		row.Reason, row.Detail = string(s.reason), s.detail+"; and the server gives no answer: "+why
	} else {
		row.Result, row.Reason, row.Detail = "unreachable", string(verdict.Fetch), why
	}
	if row.FailingSince.IsZero() {
		row.FailingSince = r.at
	}
	if row.Unreachable || !r.alarming(row) {
		return nil
	}
	row.Unreachable = true
	return r.tellList(event.ListUnreachable, row)
}

// alarming says that a subscription has been without a verified answer for
// too long.
func (r *run) alarming(row *metadata.Subscription) bool {
	last := row.Answered
	if last.IsZero() {
		last = row.FailingSince
	}
	return r.at.Sub(last) >= r.cfg.Fetch.AlarmAfter
}

// takeUnchanged: the server still has what we have, and we have judged that.
func (r *run) takeUnchanged(row *metadata.Subscription) {
	row.Answered, row.FailingSince, row.Unreachable, row.Told = r.at, time.Time{}, false, ""
	row.Result, row.Reason, row.Detail = "unchanged", "", ""
	if bad := r.standingResult(row.List); bad != "" {
		s := r.standings[row.List]
		row.Result, row.Reason, row.Detail = bad, string(s.reason), s.detail
	}
}

// standingResult is how a list that is not in good standing is reported when
// nothing better came: expired, rejected, or "" when it is good or not there.
func (r *run) standingResult(list string) string {
	switch r.standings[list].reason {
	case "":
		return ""
	case verdict.ListExpired:
		return "expired"
	}
	return "rejected"
}

// takeRejection records a refusal beside the last good list and tells it once.
func (r *run) takeRejection(row *metadata.Subscription, a answer, rej *verdict.Rejection) error {
	row.Result, row.Reason, row.Detail = "rejected", string(rej.Code), rej.Detail
	if rej.Code == verdict.ListExpired {
		row.Result = "expired"
	}
	if row.FailingSince.IsZero() {
		row.FailingSince = r.at
	}
	key := string(rej.Code)
	if a.doc != nil {
		key = digestOf(a.doc.Body) + " " + key
	}
	if row.Told == key {
		return nil
	}
	row.Told = key
	if a.doc != nil && !r.dry {
		if err := r.keepRejected(row.Name, a.doc.Body, a.why, rej); err != nil {
			return err
		}
	}
	return r.tellList(event.ListRejected, row)
}

// takeVerified lets the fourth gate decide.
func (r *run) takeVerified(row *metadata.Subscription, a answer) error {
	l := a.verified.List()
	id := string(l.Identifier)
	c := claim{sub: a.sub, pinned: a.sub.List, list: a.verified, expires: r.listExpiry(l.Created, l.Expires)}
	if c.pinned == "" {
		c.pinned = imagelist.ListID(row.List)
	}
	known := r.st.Lists[id]
	if rej := accept(r.st, c, r.followedBy(id), r.cfg.Blocks, r.at, r.clockBehind()); rej != nil {
		row.ETag, row.LastModified = "", ""
		if known != nil && known.Payload == a.verified.Payload().String() && rej.Code == verdict.ListExpired {
			row.FailingSince = time.Time{} // it answers; what it has is simply old
		}
		return r.takeRejection(row, a, rej)
	}
	row.ETag, row.LastModified = a.doc.ETag, a.doc.LastModified
	row.List = id
	row.Answered, row.FailingSince, row.Unreachable, row.Told = r.at, time.Time{}, false, ""
	row.Reason, row.Detail = "", ""
	r.judged[a.verified.Message().String()] = &judgement{verified: a.verified, why: a.why}
	r.standings[id] = standing{good: true}
	r.trustTime(r.judged[a.verified.Message().String()])
	if known != nil && known.Entry.Subscription == row.Name && known.Payload == a.verified.Payload().String() {
		row.Result = "unchanged"
		if known.Message == a.verified.Message().String() && known.Standing == "" {
			return nil
		}
		return r.acceptList(row, a, false)
	}
	row.Result = "accepted"
	return r.acceptList(row, a, true)
}

// followedBy names the configured subscription that has the list, "" if none:
// a list whose subscription was removed may be followed under another name.
func (r *run) followedBy(list string) string {
	l := r.st.Lists[list]
	if l == nil || r.subscription(l.Entry.Subscription) == nil {
		return ""
	}
	return l.Entry.Subscription
}

// acceptList makes a list the current one.
//
// D1. Died before the transaction: the message is evidence nobody refers to,
// perhaps the ledger's floor already names it; the next run fetches and
// accepts the same message again. Died after it: the list is accepted and its
// images are wanted; the next run's plan finds them.
func (r *run) acceptList(row *metadata.Subscription, a answer, news bool) error {
	v, l := a.verified, a.verified.List()
	entry := r.listEntry(row.Name, v)
	r.st.Lists[row.List] = &metadata.List{
		Entry: entry, Message: v.Message().String(), Payload: v.Payload().String(),
		NotAfter: v.Signer().NotAfter, Certificate: v.Signer().SHA256,
	}
	r.st.Floors[row.List] = metadata.Floor{List: row.List, Subscription: row.Name, Version: l.Version, Created: l.Created, Payload: v.Payload().String()}
	if r.dry {
		return nil
	}
	raw := a.doc.Body
	if raw == nil {
		if raw = r.storedMessage(v.Message().String(), row.List); raw == nil {
			return fmt.Errorf("evidence: message %s is gone", v.Message())
		}
	}
	if err := r.keepAccepted(row.Name, raw, v, a.why); err != nil {
		return err
	}
	if err := r.writeLedger(); err != nil {
		return err
	}
	// Before the transaction, so that the cache's copy is never older than the
	// list whose images it stands for.
	if err := r.cache.WriteList(row.List, raw); err != nil {
		return full(err)
	}
	return r.commit(func(tx *metadata.Tx) {
		tx.PutFloor(r.st.Floors[row.List])
		tx.PutList(r.st.Lists[row.List])
		tx.PutSub(row)
		if news {
			tx.PutEvent(r.newEvent(event.ListAccepted, row.List, event.ListData{Subscription: row.Name, URL: fetch.Redact(row.URL), List: &entry}))
		}
	})
}

// listEntry renders a list for the index and events.
func (r *run) listEntry(sub string, v *imagelist.Verified) event.List {
	l, s := v.List(), v.Signer()
	expires := r.listExpiry(l.Created, l.Expires)
	return event.List{
		Identifier: string(l.Identifier), Subscription: sub, Title: l.Title, Version: l.Version, VO: l.VO, URI: l.URI,
		Created: l.Created.UTC(), Expires: expires.UTC(), Verified: r.at, Message: "lists/" + string(l.Identifier) + ".smime",
		Endorser: event.Endorser{DN: s.DN, CA: s.CA},
	}
}

// tellList commits a list event with its subscription row.
func (r *run) tellList(t event.Type, row *metadata.Subscription) error {
	data := event.ListData{Subscription: row.Name, URL: fetch.Redact(row.URL), Reason: row.Reason, Detail: row.Detail}
	if l := r.st.Lists[row.List]; l != nil {
		entry := l.Entry
		data.List = &entry
	}
	return r.commit(func(tx *metadata.Tx) {
		tx.PutSub(row)
		tx.PutEvent(r.newEvent(t, row.List, data))
	})
}

// claimIdentifiers gives every identifier nobody owns to the list that names
// it, in configuration order, and announces it. An identifier that another
// list owns stays there (T-12).
func (r *run) claimIdentifiers() error {
	type fresh struct {
		list  *metadata.List
		image *imagelist.Image
	}
	var all []fresh
	for i := range r.cfg.Subscriptions {
		row := r.st.Subs[r.cfg.Subscriptions[i].Name]
		if row == nil || r.st.Lists[row.List] == nil || !r.standings[row.List].good {
			continue
		}
		list := r.st.Lists[row.List]
		content := r.content(list)
		if content == nil || list.Entry.Subscription != row.Name {
			continue
		}
		for k := range content.Images {
			id := string(content.Images[k].Identifier)
			if r.st.Owners[id] == "" {
				r.st.Owners[id] = row.List
				all = append(all, fresh{list, &content.Images[k]})
			}
		}
	}
	if len(all) == 0 || r.dry {
		return nil
	}
	if err := r.writeLedger(); err != nil {
		return err
	}
	return r.commitEach(len(all), func(tx *metadata.Tx, i int) {
		f := all[i]
		tx.PutOwner(string(f.image.Identifier), f.list.Entry.Identifier)
		data := r.imageData(r.imageEntry(f.list, f.image), f.list)
		tx.PutEvent(r.newEvent(event.ImageAnnounced, string(f.image.Identifier), data))
	})
}

// content is a list's verified content, nil while it cannot be verified.
func (r *run) content(l *metadata.List) *imagelist.List {
	if j := r.judged[l.Message]; j != nil && j.verified != nil {
		return j.verified.List()
	}
	return nil
}
