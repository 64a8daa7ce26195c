package subscriber

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/fetch"
	"vouch/subscriber/metadata"
)

const statusSchema = "vouch/status/v1"

// ErrNoStatus says that nothing has run on this state directory yet.
var ErrNoStatus = errors.New("no status yet")

// ReadStatus reads the snapshot; it needs no lock. ErrStorage with a hint says
// that it is not for this user.
func ReadStatus(stateDir string) (*Status, error) {
	data, err := os.ReadFile(filepath.Join(stateDir, statusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoStatus
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, withHint(storage(fmt.Errorf("status: %w", err)), "run vouch as the owner of its state (sudo -u vouch vouch …), or be a member of cache.group")
	}
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	var s Status
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if s.Schema != statusSchema {
		return nil, fmt.Errorf("status: schema %q is not known to this version", s.Schema)
	}
	return &s, nil
}

// writeStatus replaces the snapshot with what is true in memory now.
func (r *run) writeStatus() error {
	if r.dry {
		return nil
	}
	path := filepath.Join(r.cfg.StateDir, statusFile)
	if err := replaceFileFrom(path, 0o640, r.cfg.Cache.GID, inJSON(r.status())); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	r.heard, r.written = false, r.now()
	return nil
}

func (r *run) status() *Status {
	s := &Status{
		Schema: statusSchema, State: r.st.Meta.State, Generated: r.at, Generation: r.st.Meta.Generation,
		LastSync: r.st.Meta.LastSync, LastExit: r.st.Meta.LastExit, Inspected: r.st.Meta.Inspected,
		Subscriptions: []SubscriptionStatus{}, Images: r.imageStatus(), Withdrawn: []WithdrawnStatus{},
		Handlers: []HandlerStatus{}, Deliveries: []DeliveryStatus{}, Problems: []Problem{},
		Trust: TrustStatus{Path: r.cfg.Trust.Anchors}, Cache: r.cacheStatus(), Blocks: BlocksDigest(r.cfg.Blocks),
	}
	if r.anchors != nil {
		s.Trust.Anchors, s.Trust.CRLs = r.anchors.Count()
	}
	if r.noTrust != nil {
		s.Trust.Error = r.noTrust.Detail
	}
	counts := r.countImages(s.Images)
	for i := range r.cfg.Subscriptions {
		sub := r.subscriptionStatus(&r.cfg.Subscriptions[i], counts[r.cfg.Subscriptions[i].Name])
		s.Subscriptions = append(s.Subscriptions, sub)
		s.Problems = append(s.Problems, r.problemsOf(sub)...)
	}
	s.Problems = append(s.Problems, imageProblems(s.Images)...)
	for _, p := range append(r.report.Problems, r.nameless...) {
		if p.Code != deadLetter { // summed up below, with those of earlier runs
			s.Problems = append(s.Problems, p)
		}
	}
	r.withdrawnStatus(s)
	r.deliveryStatus(s)
	s.Next = r.nextChange()
	return s
}

// tally counts a subscription's images.
type tally struct{ images, available, pending int }

func (r *run) countImages(images []ImageStatus) map[string]*tally {
	counts := map[string]*tally{}
	for _, sub := range r.cfg.Subscriptions {
		counts[sub.Name] = &tally{}
		if row := r.st.Subs[sub.Name]; row != nil {
			if l := r.st.Lists[row.List]; l != nil {
				if c := r.content(l); c != nil {
					counts[sub.Name].images = len(c.Images) + len(c.Refused)
				} else {
					counts[sub.Name].images = r.publishedOf(row.List) // what it says cannot be read today
				}
			}
		}
	}
	for _, i := range images {
		t := counts[i.Subscription]
		if t == nil {
			continue
		}
		switch i.State {
		case "available":
			t.available++
		case "stale":
			t.available++
			t.pending++
		case "failed", "held", "refused", "pending":
			t.pending++
		}
	}
	return counts
}

// publishedOf counts what is published of a list.
func (r *run) publishedOf(list string) int {
	n := 0
	for key, i := range r.st.Images {
		if key.List == list && i.Published {
			n++
		}
	}
	return n
}

// subscriptionStatus sums up one subscription.
func (r *run) subscriptionStatus(sub *Subscription, t *tally) SubscriptionStatus {
	s := SubscriptionStatus{Name: sub.Name, URL: fetch.Redact(sub.URL), List: string(sub.List), State: "new", Images: t.images, Available: t.available, Pending: t.pending, Weaker: r.weaker(sub)}
	row := r.st.Subs[sub.Name]
	if row == nil {
		return s
	}
	s.Attempted, s.FailingSince, s.Verified = row.Attempted, row.FailingSince, row.Answered
	s.Reason, s.Detail = row.Reason, row.Detail
	switch row.Result {
	case "accepted", "unchanged":
		s.State = "ok"
	case "":
	default:
		s.State = row.Result
	}
	l := r.st.Lists[row.List]
	if l == nil {
		return s
	}
	s.List, s.Title, s.Version, s.Created, s.Expires = row.List, l.Entry.Title, l.Entry.Version, l.Entry.Created, l.Entry.Expires
	if !l.NotAfter.IsZero() && l.NotAfter.Before(s.Expires) {
		s.Expires = l.NotAfter
	}
	s.EndorserDN, s.EndorserCA = l.Entry.Endorser.DN, l.Entry.Endorser.CA
	s.CRLMade, s.CRLDue = r.judged[l.Message].crlDates()
	if s.State == "new" && s.Attempted.IsZero() {
		s.State = "ok"
	}
	if s.State == "ok" && r.alarming(row) && !r.at.Before(r.cfg.alarmAt(sub.Schedule, row.Answered)) {
		s.State, s.Reason = "stale", string(verdict.Fetch)
	}
	if st := r.standings[row.List]; !st.good && st.reason != "" {
		s.Reason, s.Detail, s.State = string(st.reason), st.detail, "stale"
		if st.reason == verdict.ListExpired || st.reason == verdict.CertExpired {
			s.State = "expired"
		} else if st.withdraws() {
			s.State = "withdrawn"
		}
	}
	return s
}

// weaker names the settings that are weaker than the default (T-15).
func (r *run) weaker(sub *Subscription) []string {
	var w []string
	add := func(on bool, what string) {
		if on {
			w = append(w, what)
		}
	}
	add(sub.AllowSHA1, "allow_sha1")
	add(sub.AnyPurpose, "purpose: any")
	add(sub.Binary, "binary")
	add(r.cfg.Trust.CRL != "require", "trust.crl: "+string(r.cfg.Trust.CRL))
	add(r.cfg.Trust.SigningPolicy != "require", "trust.signing_policy: "+string(r.cfg.Trust.SigningPolicy))
	return w
}

// problemsOf turns a subscription's state into what is wrong and what to do.
func (r *run) problemsOf(s SubscriptionStatus) []Problem {
	p := Problem{Severity: "critical", Subject: s.Name, Code: s.Reason, Detail: s.Detail, Since: s.FailingSince, Hint: HintFor(verdict.Code(s.Reason))}
	switch s.State {
	case "ok", "new":
		return nil
	case "unreachable":
		if !r.alarming(r.st.Subs[s.Name]) {
			p.Severity = "warning"
		}
	}
	return []Problem{p}
}

// imageProblems sums up failed images by subscription and reason: ten thousand
// images with one cause are one problem.
func imageProblems(images []ImageStatus) []Problem {
	type cause struct{ sub, reason string }
	first := map[cause]ImageStatus{}
	count := map[cause]int{}
	for _, i := range images {
		if i.State != "failed" && i.State != "refused" && !(i.State == "stale" && i.Reason != "" && i.Reason != string(verdict.Held)) {
			continue
		}
		c := cause{i.Subscription, i.Reason}
		if count[c]++; count[c] == 1 {
			first[c] = i
		}
	}
	var out []Problem
	for c, i := range first {
		detail := fmt.Sprintf("image %s: %s", i.Identifier, i.Detail)
		if n := count[c]; n > 1 {
			detail = fmt.Sprintf("%d images, the first %s: %s", n, i.Identifier, i.Detail)
		}
		out = append(out, Problem{Severity: "critical", Subject: c.sub, Code: c.reason, Detail: detail, Hint: HintFor(verdict.Code(c.reason))})
	}
	slices.SortFunc(out, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.Code, b.Code))
	})
	return out
}

// imageStatus lists every image that is published, wanted or refused.
func (r *run) imageStatus() []ImageStatus {
	out := make([]ImageStatus, 0, len(r.st.Images))
	seen := make(map[metadata.ImageKey]bool, len(r.st.Images))
	for key, row := range r.st.Images {
		if !row.Published {
			continue
		}
		seen[key] = true
		e := row.Entry
		s := ImageStatus{Identifier: e.Identifier, List: e.List, Subscription: e.Subscription, Title: e.Title, Version: e.Version, State: "available",
			SHA512: e.SHA512, Size: e.Size, OS: e.OS, Arch: e.Arch, Format: e.Format, Expires: e.Expires, Since: e.AvailableSince, Resources: row.Resources}
		if row.Wanted != "" {
			s.State, s.Reason, s.Detail, s.Wanted = "stale", row.Reason, row.Detail, row.Wanted
		}
		out = append(out, s)
	}
	for key, row := range r.st.Images { // failed in an earlier run, and not tried in this one
		if res := r.results[key]; !row.Published && row.Result == "failed" && (res == nil || res.Result == "unchanged") {
			seen[key] = true
			out = append(out, r.absentStatus(key, &ImageResult{Subscription: row.Entry.Subscription, Identifier: key.ID, Version: row.Version, Result: row.Result, Reason: row.Reason, Detail: row.Detail}))
		}
	}
	for key, res := range r.results { // what came and left again in this run is among the withdrawn
		if !seen[key] && res.Result != "unchanged" && res.Result != "available" && res.Result != "updated" {
			seen[key] = true
			out = append(out, r.absentStatus(key, res))
		}
	}
	for _, w := range r.awaited {
		if !seen[w.key] {
			out = append(out, pendingStatus(r.imageEntry(w.list, w.image)))
		}
	}
	slices.SortFunc(out, func(a, b ImageStatus) int {
		return cmp.Or(strings.Compare(a.Subscription, b.Subscription), strings.Compare(a.List, b.List), strings.Compare(a.Identifier, b.Identifier))
	})
	return out
}

// pendingStatus describes an image that nothing speaks against and that nobody
// has downloaded yet.
func pendingStatus(e event.Image) ImageStatus {
	return ImageStatus{Identifier: e.Identifier, List: e.List, Subscription: e.Subscription, Title: e.Title, Version: e.Version, State: "pending", Detail: "not downloaded yet",
		Wanted: e.SHA512, Size: e.Size, OS: e.OS, Arch: e.Arch, Format: e.Format, Expires: e.Expires}
}

// absentStatus describes an image that a list names and the cache does not have.
func (r *run) absentStatus(key metadata.ImageKey, res *ImageResult) ImageStatus {
	s := ImageStatus{Identifier: key.ID, List: key.List, Subscription: res.Subscription, Version: res.Version, State: res.Result, Reason: res.Reason, Detail: res.Detail}
	switch verdict.Code(res.Reason) {
	case verdict.Blocked:
		s.State = "blocked"
	case verdict.MalformedEntry, verdict.IdentifierClash:
		s.State = "refused"
	case verdict.ImageExpired:
		s.State = "expired"
	}
	l := r.st.Lists[key.List]
	if l == nil {
		return s
	}
	if img := r.imageOf(l, key.ID); img != nil {
		e := r.imageEntry(l, img)
		s.Title, s.Wanted, s.Size, s.OS, s.Arch, s.Format, s.Expires = e.Title, e.SHA512, e.Size, e.OS, e.Arch, e.Format, e.Expires
	}
	return s
}

// cacheStatus walks the cache once, and again when something has changed.
func (r *run) cacheStatus() CacheStatus {
	if r.stock == nil {
		r.stock = &CacheStatus{Path: r.cfg.Cache.Dir, MaxSize: r.cfg.Cache.MaxSize}
		if u, err := r.cache.Usage(); err == nil {
			r.stock.Usage = u
		}
		r.stock.Foreign, _ = r.cache.Foreign()
	}
	r.stock.Free, r.stock.Total, _ = r.cache.Free()
	r.stock.Checked = time.Time{}
	for _, b := range r.st.Blobs {
		r.stock.Checked = earlier(r.stock.Checked, b.Checked)
	}
	return *r.stock
}

func (r *run) withdrawnStatus(s *Status) {
	for _, w := range r.st.Withdrawn {
		e := w.Entry
		s.Withdrawn = append(s.Withdrawn, WithdrawnStatus{Identifier: e.Identifier, List: e.List, Subscription: e.Subscription, Title: e.Title, Version: e.Version,
			SHA512: e.SHA512, Type: string(w.Type), Reason: w.Reason, Detail: w.Detail, At: w.At, Kept: w.Kept})
	}
	slices.SortFunc(s.Withdrawn, func(a, b WithdrawnStatus) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Identifier, b.Identifier), strings.Compare(a.Kept, b.Kept))
	})
}

// mostShown is of the events that wait, and of the dead ones.
const mostShown = 1000

// deliveryStatus shows what handlers have not had.
func (r *run) deliveryStatus(s *Status) {
	sums, first := map[string]*HandlerStatus{}, map[[2]string]bool{}
	bytes, shown := map[string]int{}, map[bool]int{}
	failing := map[string]metadata.Delivery{} // the oldest that fails again and again
	for _, h := range r.cfg.Handlers {
		sums[h.Name] = &HandlerStatus{Name: h.Name}
	}
	for _, n := range sortedNumbers(r.st.Events) {
		e := r.st.Events[n]
		for name, d := range e.Pending {
			if sum := sums[name]; sum != nil {
				d = r.behind(name, d)
				sum.add(d, e.Event.Time)
				if !d.Dead {
					bytes[name] += weight(e)
					sum.Error = cmp.Or(sum.Error, d.Error)
				}
				if _, ok := failing[name]; !ok && !d.Dead && d.Attempts >= failingAfter {
					failing[name] = d
				}
				if heard := [2]string{name, e.Event.Subject}; !d.Dead && (e.Event.Subject == "" || !first[heard]) {
					first[heard] = true // later ones of the same image wait for it
					next := earlier(e.Event.Time, r.at)
					if r.ahead(d.Next) {
						next = d.Next
					}
					sum.Next = earlier(sum.Next, next)
				}
			}
			if shown[d.Dead]++; shown[d.Dead] <= mostShown {
				s.Deliveries = append(s.Deliveries, DeliveryStatus{Event: e.Event.ID, Type: string(e.Event.Type), Subject: e.Event.Subject, Handler: name, Time: e.Event.Time, Attempts: d.Attempts, Next: d.Next, Dead: d.Dead, Error: d.Error})
			}
		}
	}
	for _, h := range r.cfg.Handlers {
		sum, down := sums[h.Name], r.st.Meta.Down[h.Name]
		sum.Down, sum.Error = down.Since, cmp.Or(down.Error, sum.Error)
		sum.Full, sum.Lost = math.Round(1000*r.fullness(sum.Pending, bytes[h.Name]))/1000, r.st.Meta.Lost[h.Name]
		s.Handlers = append(s.Handlers, *sum)
		d, fails := failing[h.Name]
		switch {
		case !down.Since.IsZero() && r.at.Sub(down.Since) >= backoffLast && sum.Pending > 0:
			s.Problems = append(s.Problems, Problem{Severity: "warning", Subject: "handler " + h.Name, Code: handlerDown, Detail: fmt.Sprintf("%d events wait: %s", sum.Pending, down.Error), Since: down.Since, Hint: "mend it; the events arrive then, in order, or at once with: vouch event retry"})
		case fails:
			s.Problems = append(s.Problems, Problem{Severity: "warning", Subject: "handler " + h.Name, Code: handlerFailing, Detail: fmt.Sprintf("an event was not taken in %d attempts: %s", d.Attempts, d.Error), Hint: "mend it; vouch event ls --pending shows what waits, vouch event retry tells it at once"})
		}
		s.Problems = append(s.Problems, r.boundProblems(*sum)...)
	}
}

// behind is a delivery as it is while its handler takes nothing: it waits for
// the handler, for the reason that the handler has.
func (r *run) behind(handler string, d metadata.Delivery) metadata.Delivery {
	if down, ok := r.st.Meta.Down[handler]; ok && !d.Dead {
		d.Next, d.Error = latest(d.Next, down.Next), cmp.Or(d.Error, down.Error)
	}
	return d
}

func (h *HandlerStatus) add(d metadata.Delivery, at time.Time) {
	if d.Dead {
		h.Dead++
		return
	}
	h.Pending++
	if h.Oldest.IsZero() || at.Before(h.Oldest) {
		h.Oldest = at
	}
}

func (r *run) redactedURL(sub string) string {
	if s := r.subscription(sub); s != nil {
		return fetch.Redact(s.URL)
	}
	return ""
}
