package subscriber

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/fetch"
	"vouch/subscriber/metadata"
)

// Sync does one complete pass: refresh lists, plan, download, publish,
// withdraw, deliver events. Report.Exit is 0, 3 or 5. An error is one of
// storage, usage, a lock (LockedError) or unexpected; the report is then nil.
//
// A sync that finds another at work waits and makes its own pass, or joins a
// waiting one that has read nothing yet and returns its report.
func Sync(ctx context.Context, c *Config, o SyncOptions) (*Report, error) {
	for _, name := range o.Names {
		if (&run{cfg: c}).subscription(name) == nil {
			return nil, withHint(usage(fmt.Errorf("no subscription is called %q", name)), "vouch subscription ls shows them")
		}
	}
	plain := len(o.Names) == 0 && !o.DryRun && !o.AcceptWithdrawals
	r, joined, err := open(ctx, c, o.Options, opening{join: plain})
	if errors.Is(err, errJoined) {
		var rep Report
		var id struct {
			Run string `json:"run"`
		}
		path := filepath.Join(c.StateDir, reportFile)
		if readJSON(path, &rep) == nil && readJSON(path, &id) == nil && id.Run == joined {
			return &rep, nil
		}
		r, _, err = open(ctx, c, o.Options, opening{}) // the one we joined died: our own pass, then
	}
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.dry, r.accept, r.synced = o.DryRun, o.AcceptWithdrawals, true
	if len(o.Names) > 0 {
		r.only = map[string]bool{}
		for _, name := range o.Names {
			r.only[name] = true
		}
	}
	return r.pass(ctx, r.chosen(o.Names))
}

// Pass does what needs no network: expiry, blocks, selection, and publishing
// what is at hand. It makes a change of intent effective at once: with
// o.NoWait it waits for nobody but a daemon, which stops its own pass for it.
func Pass(ctx context.Context, c *Config, o Options) (*Report, error) {
	r, _, err := open(ctx, c, o, opening{ask: true})
	if err != nil {
		return nil, err
	}
	defer r.close()
	return r.pass(ctx, nil)
}

// chosen are the subscriptions to fetch.
func (r *run) chosen(names []string) []*Subscription {
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	var subs []*Subscription
	for i := range r.cfg.Subscriptions {
		if s := &r.cfg.Subscriptions[i]; len(names) == 0 || want[s.Name] {
			subs = append(subs, s)
		}
	}
	return subs
}

// pass is the one straight line of a run; nil subs stay off the network.
func (r *run) pass(ctx context.Context, subs []*Subscription) (*Report, error) {
	if err := r.local(ctx); err != nil {
		return nil, err
	}
	fetched := map[string]bool{}
	if len(subs) > 0 && r.noTrust == nil {
		client, err := r.client()
		if err != nil {
			return nil, err
		}
		defer client.Close()
		if err := r.refresh(ctx, client, subs); err != nil {
			return nil, err
		}
		for _, s := range subs {
			fetched[s.Name] = true
		}
		if err := r.claimIdentifiers(); err != nil {
			return nil, err
		}
		if err := r.flushLog(); err != nil {
			return nil, err
		}
		if err := r.carryOut(ctx, client); err != nil {
			return nil, err
		}
	} else if err := r.carryOut(ctx, nil); err != nil {
		return nil, err
	}
	r.reportOthers(subs, fetched)
	if r.dry {
		return r.finish(), nil
	}
	return r.conclude(ctx)
}

// local is the part of a run that facts here decide: it comes before the
// network, so that a slow or dead server delays no withdrawal.
func (r *run) local(ctx context.Context) error {
	r.loadTrust()
	r.loadRemovals()
	if r.noTrust != nil {
		r.problem("critical", "trust", string(r.noTrust.Code), r.noTrust.Detail, "nothing new is accepted; vouch trust check says more")
	}
	if r.clockBehind() {
		r.problem("critical", "clock", string(verdict.CreatedInFuture), "the clock is behind "+r.st.Meta.Trusted.Format(time.RFC3339)+", the newest date that was verified", "set the clock; nothing new is accepted until then")
	}
	if !r.dry {
		if err := r.beginTelling(ctx); err != nil {
			return err
		}
	}
	r.judgeStored()
	r.judgeLists()
	if err := r.inspect(ctx); err != nil {
		return err
	}
	if err := r.expireLists(); err != nil {
		return err
	}
	if r.dry {
		return nil // the whole plan is shown later, once
	}
	if err := r.withdraw(ctx, r.makePlan().leave); err != nil {
		return err
	}
	return r.flushLog()
}

// beginTelling lets handlers hear what earlier runs left while this one works.
func (r *run) beginTelling(ctx context.Context) error {
	r.dropUnknownHandlers()
	if err := r.meetHandlers(); err != nil {
		return err
	}
	if err := r.catchUpLog(); err != nil {
		return err
	}
	r.startCourier(ctx)
	if err := r.tellOnce(event.SyncStarted, event.SyncData{Session: r.session}); err != nil {
		return err
	}
	return r.postPending()
}

// carryOut does what the plan says. Without a client only what is at hand is
// published.
func (r *run) carryOut(ctx context.Context, client *fetch.Client) error {
	p := r.makePlan()
	r.held = len(p.held) > 0
	for _, l := range p.held {
		row := r.st.Images[l.key]
		r.report.HeldBack = append(r.report.HeldBack, ImageResult{Subscription: row.Entry.Subscription, Identifier: l.key.ID, Version: row.Entry.Version, Result: "withdrawn", Reason: l.reason, Detail: l.detail})
	}
	if r.held {
		r.problem("critical", "configuration", "held-back", fmt.Sprintf("a change of configuration would withdraw %d images; none of them was", len(p.held)), "look at vouch sync --dry-run; if it is meant: vouch sync --accept-withdrawals")
	}
	if err := r.withdraw(ctx, p.leave); err != nil {
		return err
	}
	if r.dry {
		r.forecast(p)
		return nil
	}
	if err := r.refreshEntries(p.refresh); err != nil {
		return err
	}
	if err := r.noteUnmet(p); err != nil {
		return err
	}
	if client == nil {
		ready, _ := r.atHand(ctx, p.want)
		return r.publish(ctx, ready)
	}
	return r.obtain(ctx, client, p.want)
}

// forecast fills the report of a dry run.
func (r *run) forecast(p plan) {
	counted := map[string]bool{}
	for _, w := range p.want {
		result := "available"
		if w.replaces != "" {
			result = "updated"
		}
		res := r.result(w.key, w.image.Version, result, "", "")
		if r.st.Blobs[w.digest] == nil && !counted[w.image.SHA512.String()] {
			counted[w.image.SHA512.String()] = true
			res.Downloaded = w.image.Size
			r.report.Download += w.image.Size
		}
	}
}

// noteUnmet brings the rows of images that are wished but neither published
// nor about to be up to date, and drops rows that have no purpose any more.
func (r *run) noteUnmet(p plan) error {
	wished := map[metadata.ImageKey]bool{}
	for _, w := range p.want {
		wished[w.key] = true
		if row := r.st.Images[w.key]; row != nil && row.Published && row.Wanted != w.image.SHA512.String() {
			row.Wanted, row.Mismatch = w.image.SHA512.String(), 0 // stale until the new bytes are here
		}
	}
	var changed []metadata.ImageKey
	for key, row := range r.st.Images {
		res := r.results[key]
		switch {
		case row.Published && res != nil && (res.Result == "held" || res.Result == "failed"):
			row.Result, row.Reason, row.Detail = res.Result, res.Reason, res.Detail
			if w := r.wishedDigest(key); w != "" && w != row.Entry.SHA512 {
				row.Wanted = w
			}
			changed = append(changed, key)
		case !row.Published && r.wishing[key.List] && !wished[key] && (res == nil || res.Result != "failed"):
			changed = append(changed, key)
			delete(r.st.Images, key)
		}
	}
	return r.commitEach(len(changed), func(tx *metadata.Tx, i int) {
		if row := r.st.Images[changed[i]]; row != nil {
			tx.PutImage(row)
			return
		}
		tx.DeleteImage(changed[i])
	})
}

// wishedDigest is what the current list names under an identifier, "" for nothing.
func (r *run) wishedDigest(key metadata.ImageKey) string {
	list := r.st.Lists[key.List]
	if list == nil {
		return ""
	}
	content := r.content(list)
	if content == nil {
		return ""
	}
	for i := range content.Images {
		if string(content.Images[i].Identifier) == key.ID {
			return content.Images[i].SHA512.String()
		}
	}
	return ""
}

// conclude makes what is true visible, then tells, prunes and seals.
func (r *run) conclude(ctx context.Context) (*Report, error) {
	if err := r.dropUnsubscribed(); err != nil {
		return nil, err
	}
	if !r.held && r.noTrust == nil && !r.inDoubt() {
		r.st.Meta.Baseline = r.baseline() // applied: every list was judged under it
	}
	if err := r.commitRows(); err != nil {
		return nil, err
	}
	if err := r.flushLog(); err != nil {
		return nil, err
	}
	if err := r.writeIndex(); err != nil {
		return nil, err
	}
	if err := r.writeStatus(); err != nil {
		return nil, err
	}
	if err := r.deliver(ctx); err != nil {
		return nil, err
	}
	pruned, err := r.prune()
	if err != nil {
		return nil, err
	}
	if pruned.Removed > 0 || r.report.Events.Emitted > 0 {
		r.stock = nil
	}
	rep := r.finish()
	if r.synced {
		r.st.Meta.LastSync, r.st.Meta.LastExit = r.at, rep.Exit
	}
	if err := r.tellOnce(event.SyncFinished, event.SyncData{Session: r.session, Exit: &rep.Exit}); err != nil {
		return nil, err
	}
	if err := r.deliver(ctx); err != nil {
		return nil, err
	}
	rep.Events = r.report.Events
	return rep, errors.Join(r.writeIndex(), r.writeLedger(), r.writeStatus(), r.writeReport(rep), r.writeSeal(), ctx.Err())
}

// inDoubt says whether some followed list could not be judged today: neither
// good nor withdrawn.
func (r *run) inDoubt() bool {
	for id, s := range r.standings {
		if l := r.st.Lists[id]; l != nil && !s.good && !s.withdraws() && r.subscription(l.Entry.Subscription) != nil {
			return true
		}
	}
	return false
}

// commitRows writes the rows that judging touched.
func (r *run) commitRows() error {
	lists := make([]*metadata.List, 0, len(r.st.Lists))
	for _, l := range r.st.Lists {
		lists = append(lists, l)
	}
	return r.commitEach(len(lists), func(tx *metadata.Tx, i int) { tx.PutList(lists[i]) })
}

// client is this run's way to the network.
func (r *run) client() (*fetch.Client, error) {
	f := r.cfg.Fetch
	client, err := fetch.New(fetch.Config{
		IdleTimeout: f.IdleTimeout, MinRate: f.MinRate, AllowNetworks: f.AllowNetworks, TLS: f.TLS,
		Anchors: r.roots(), Proxy: f.Proxy, PerHost: f.PerHost, UserAgent: "vouch",
	})
	if err != nil {
		return nil, usage(fmt.Errorf("fetch: %w", err))
	}
	return client, nil
}

// roots are this run's anchors; none when they could not be loaded.
func (r *run) roots() []*x509.Certificate {
	if r.anchors == nil {
		return nil
	}
	return r.anchors.Roots()
}

// reportOthers reports the subscriptions that were not fetched: all of them
// when trust is unusable, otherwise those whose list is in bad standing.
func (r *run) reportOthers(subs []*Subscription, fetched map[string]bool) {
	asked := map[string]bool{}
	for _, s := range subs {
		asked[s.Name] = true
	}
	for i := range r.cfg.Subscriptions {
		name := r.cfg.Subscriptions[i].Name
		if fetched[name] {
			continue
		}
		res := ListResult{Subscription: name}
		if row := r.st.Subs[name]; row != nil {
			res.Identifier = row.List
		}
		if l := r.st.Lists[res.Identifier]; l != nil {
			res.Version = l.Entry.Version
		}
		switch bad := r.standingResult(res.Identifier); {
		case bad != "":
			st := r.standings[res.Identifier]
			res.Result, res.Reason, res.Detail = bad, st.reason, st.detail
		case asked[name] && r.noTrust != nil:
			res.Result, res.Reason, res.Detail = "rejected", r.noTrust.Code, r.noTrust.Detail
		default:
			continue
		}
		r.report.Lists = append(r.report.Lists, res)
	}
}

// finish makes the report of what is known now.
func (r *run) finish() *Report {
	rep := *r.report
	seen := map[string]bool{}
	for _, i := range rep.Images {
		seen[i.Subscription+"/"+i.Identifier] = i.Result == "withdrawn"
	}
	keys := make([]metadata.ImageKey, 0, len(r.results))
	for k := range r.results {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].List < keys[j].List || keys[i].List == keys[j].List && keys[i].ID < keys[j].ID
	})
	for _, k := range keys {
		res := r.results[k]
		if seen[res.Subscription+"/"+res.Identifier] && res.Result == "held" {
			continue // reported as withdrawn already
		}
		rep.Images = append(rep.Images, *res)
	}
	rep.Problems = slices.Concat(rep.Problems, r.nameless)
	rep.Generation = r.st.Meta.Generation
	rep.DryRun = r.dry
	rep.Finished = r.at.Add(time.Since(r.begun)).UTC()
	rep.Exit = r.exit()
	return &rep
}

// exit is the honest status of contract §1.
func (r *run) exit() int {
	if r.noTrust != nil {
		return 5
	}
	for _, l := range r.report.Lists {
		row := r.st.Subs[l.Subscription]
		if l.Reason == verdict.Blocked {
			continue // this site's own decision
		}
		if l.Result == "rejected" || l.Result == "expired" || l.Result == "unreachable" && row != nil && r.alarming(row) {
			return 3
		}
	}
	for _, i := range r.results {
		if i.Result == "failed" {
			return 3
		}
	}
	if r.held || r.incomplete || len(r.nameless) > 0 || r.report.Events.Dead > 0 || len(r.corrupt) > 0 || r.clockBehind() {
		return 3
	}
	return 0
}

// writeReport leaves the report for those who joined this run.
func (r *run) writeReport(rep *Report) error {
	data, err := json.Marshal(struct {
		*Report
		Run string `json:"run"`
	}{rep, r.lock.run})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return replaceFile(filepath.Join(r.cfg.StateDir, reportFile), data, 0o600, -1)
}

// baseline is the digest of everything in the configuration that can withdraw
// an image. Endorsers are not in it: removing one is a decision already.
func (r *run) baseline() string {
	if r.base != "" {
		return r.base
	}
	type sub struct {
		Name, List                    string
		Include, Exclude              []Selector
		AnyPurpose, AllowSHA1, Binary bool
	}
	var subs []sub
	for _, s := range r.cfg.Subscriptions {
		subs = append(subs, sub{s.Name, string(s.List), s.Include, s.Exclude, s.AnyPurpose, s.AllowSHA1, s.Binary})
	}
	data, _ := json.Marshal(struct {
		Subs       []sub
		Trust      TrustConfig
		MaxListAge time.Duration
	}{subs, r.cfg.Trust, r.cfg.Fetch.MaxListAge})
	sum := sha256.Sum256(data)
	r.base = hex.EncodeToString(sum[:])
	return r.base
}
