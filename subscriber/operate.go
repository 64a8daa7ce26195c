package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/verdict"
	"vouch/subscriber/fetch"
	"vouch/subscriber/metadata"
)

// Approve lets a held image through: its identifier is known from now on, and
// exactly the bytes the list names today (or sha512, when given) may come.
// The next sync fetches them. An image that does not wait is ErrUsage.
func Approve(ctx context.Context, c *Config, o Options, image, sha512 string) error {
	return within(ctx, c, o, func(r *run) error {
		for key, w := range r.wishes() {
			if key.ID != image || w.image == nil || w.code != verdict.Held {
				continue
			}
			digest := w.image.SHA512.String()
			if sha512 != "" && sha512 != digest {
				return withHint(usage(fmt.Errorf("image %s: the list names SHA-512 %s", image, digest)), "approve what the list names, or leave --sha512 out")
			}
			a := metadata.Approval{Image: image, SHA512: digest, At: r.at}
			r.st.Approvals[image] = a
			if err := r.writeLedger(); err != nil {
				return err
			}
			return r.commit(func(tx *metadata.Tx) { tx.PutApproval(a) })
		}
		return withHint(usage(fmt.Errorf("image %q does not wait for approval", image)), "vouch image ls shows what is held")
	})
}

// Release gives an identifier to the list of another subscription: the remedy
// for identifier-clash when the first owner is gone or wrong. The image of
// the former owner leaves in the next run.
func Release(ctx context.Context, c *Config, o Options, image, to, reason string) error {
	return within(ctx, c, o, func(r *run) error {
		row := r.st.Subs[to]
		if row == nil || row.List == "" {
			return usage(fmt.Errorf("subscription %q has no accepted list", to))
		}
		was := r.st.Owners[image]
		if was == "" {
			return usage(fmt.Errorf("nobody owns image %q", image))
		}
		r.log.Info("identifier released", "image", image, "from", was, "to", row.List, "reason", reason)
		r.st.Owners[image] = row.List
		if err := r.writeLedger(); err != nil {
			return err
		}
		if err := r.audit("release", image, was+" -> "+row.List, reason); err != nil {
			return err
		}
		return r.commit(func(tx *metadata.Tx) { tx.PutOwner(image, row.List) })
	})
}

// ResetFloor forgets how far a subscription's list has come: after a
// fast-forward (T-03) the endorser's honest versions would stay below it.
func ResetFloor(ctx context.Context, c *Config, o Options, subscription, reason string) error {
	return within(ctx, c, o, func(r *run) error {
		row := r.st.Subs[subscription]
		if row == nil || row.List == "" {
			return usage(fmt.Errorf("subscription %q has no accepted list", subscription))
		}
		floor := r.st.Floors[row.List]
		delete(r.st.Floors, row.List)
		row.ETag, row.LastModified = "", ""
		if err := r.audit("reset-floor", row.List, fmt.Sprintf("version %s created %s", floor.Version, floor.Created.Format(time.RFC3339)), reason); err != nil {
			return err
		}
		if err := r.commit(func(tx *metadata.Tx) { tx.DeleteFloor(row.List); tx.PutSub(row) }); err != nil {
			return err
		}
		return r.writeLedger()
	})
}

// audit appends what an administrator overrode, and why, to audit.jsonl.
func (r *run) audit(what, subject, detail, reason string) error {
	f, err := os.OpenFile(filepath.Join(r.cfg.StateDir, "audit.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "{\"time\":%q,\"what\":%q,\"subject\":%q,\"detail\":%q,\"reason\":%q}\n", r.at.Format(time.RFC3339), what, subject, detail, reason); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return f.Sync()
}

// Retry delivers what failed again, dead letters included. No ids means all.
func Retry(ctx context.Context, c *Config, o Options, ids []string) (EventCount, error) {
	var count EventCount
	err := within(ctx, c, o, func(r *run) error {
		if err := r.forgive(ids); err != nil {
			return err
		}
		r.startCourier(ctx)
		if err := r.postPending(); err != nil {
			return err
		}
		err := r.deliver(ctx)
		count = r.report.Events
		return err
	})
	return count, err
}

// forgive makes events due now, those of all handlers without ids, and
// forgets that their handlers took nothing.
func (r *run) forgive(ids []string) error {
	want := map[string]bool{}
	for _, id := range ids {
		want[id] = true
	}
	var letters []letter
	for _, n := range sortedNumbers(r.st.Events) {
		e := r.st.Events[n]
		if len(ids) > 0 && !want[e.Event.ID] {
			continue
		}
		delete(want, e.Event.ID)
		for name := range e.Pending {
			letters = append(letters, letter{e, name})
			r.noteUp(name)
		}
	}
	for id := range want {
		return withHint(usage(fmt.Errorf("event %q is not waiting for anybody", id)), "vouch event ls --pending shows what does")
	}
	if err := r.resend(letters); err != nil || len(ids) > 0 {
		return err
	}
	r.st.Meta.Lost = nil // whoever asks has heard of it
	return r.commit(func(*metadata.Tx) {})
}

// Deliver tells handlers what they have not had, and does nothing else. With
// o.Paced only what is due.
func Deliver(ctx context.Context, c *Config, o Options) (EventCount, error) {
	var count EventCount
	err := within(ctx, c, o, func(r *run) error {
		r.startCourier(ctx)
		if err := r.postPending(); err != nil {
			return err
		}
		err := r.deliver(ctx)
		count = r.report.Events
		return err
	})
	return count, err
}

// within runs a small operation on the judged state and brings the files that
// people read up to date.
func within(ctx context.Context, c *Config, o Options, fn func(*run) error) error {
	r, _, err := open(ctx, c, o, opening{})
	if err != nil {
		return err
	}
	defer r.close()
	read := ReadStatus
	if o.files != nil {
		read = o.files.Status
	}
	if st, err := read(c.StateDir); err == nil && !st.Next.After(r.at) {
		r.missed = st.Next // a pass acts on it, this does not
	}
	r.loadTrust()
	r.loadRemovals()
	r.judgeStored()
	r.judgeLists()
	r.makePlan()
	if err := fn(r); err != nil {
		return err
	}
	r.makePlan()
	return errors.Join(r.writeStatus(), r.writeSeal())
}

// AcceptRemoval notes that a subscription is removed on purpose, before its
// file goes: withdrawing its images is then not held back.
func AcceptRemoval(c *Config, subscription string) error {
	if err := prepareStateDir(c.StateDir, c.Cache.GID); err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(c.StateDir, removedDir, subscription), nil, 0o600, -1); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	return nil
}

func (r *run) loadRemovals() {
	r.removals = map[string]bool{}
	entries, _ := os.ReadDir(filepath.Join(r.cfg.StateDir, removedDir))
	for _, e := range entries {
		r.removals[e.Name()] = true
	}
}

func (r *run) removalAccepted(subscription string) bool { return r.removals[subscription] }

// forgetRemovals drops notes that have done their work: the subscription is
// configured again, or nothing of it is left.
func (r *run) forgetRemovals(inUse map[string]bool) error {
	if r.dry {
		return nil
	}
	left := map[string]bool{}
	for id, l := range r.st.Lists {
		if inUse[id] {
			left[l.Entry.Subscription] = true
		}
	}
	for name := range r.removals {
		if left[name] && r.subscription(name) == nil {
			continue
		}
		if err := os.Remove(filepath.Join(r.cfg.StateDir, removedDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("state_dir: %w", err)
		}
	}
	return nil
}

// FirstUse fetches a list and judges it without asking who may speak for it:
// the signer is shown to a person, who decides (trust on first use). Nothing
// is stored.
func FirstUse(ctx context.Context, c *Config, o Options, s Subscription) (*imagelist.Verified, *imagelist.Explanation, error) {
	r := &run{cfg: c, at: o.At.UTC()}
	if o.At.IsZero() {
		r.at = time.Now().UTC()
	}
	r.loadTrust()
	if r.noTrust != nil {
		return nil, nil, r.noTrust
	}
	client, err := r.client()
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	origin, err := originOf(&s)
	if err != nil {
		return nil, nil, err
	}
	doc, err := client.Document(ctx, origin, fetch.Doc{MaxSize: c.Fetch.MaxListSize, Tries: listTries, Within: listWithin})
	if err != nil {
		return nil, nil, err
	}
	q := r.question(&s)
	q.Authorised = nil
	v, why := imagelist.Examine(doc.Body, r.anchors, r.at, q)
	return v, why, nil
}
