package subscriber

import (
	"encoding/hex"
	"slices"
	"sort"
	"time"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/imagelist/verdict"
	"vouch/subscriber/event"
	"vouch/subscriber/metadata"
)

// Reasons beside the verdict codes, for facts that are not refusals.
const (
	reasonRemoved    = "removed"    // the endorser's newest list leaves the image out
	reasonDeselected = "deselected" // the site no longer wants it
	reasonSuperseded = "superseded" // other bytes took its name
	reasonCorrupt    = "corrupt"    // its bytes were damaged here
)

// plan is what a run is going to do. It is data: making it changes nothing,
// --dry-run prints it, and the rest of the run does what it says.
type plan struct {
	leave   []leave // published images that must go, and why
	held    []leave // those that wait for --accept-withdrawals
	want    []want  // bytes to obtain or just to name
	refresh []want  // published already; what is said about them changed
}

// leave is one published image and the fact that withdraws it.
type leave struct {
	key    metadata.ImageKey
	typ    event.Type
	reason string
	detail string
	config bool // caused by a change of this site's configuration
}

// urgent withdrawals take the name away before anybody is told.
func (l leave) urgent() bool {
	return l.typ == event.ImageBlocked || l.typ == event.ImageRevoked || l.typ == event.ImageCorrupt
}

// want is one image as its list wants it to be published.
type want struct {
	key      metadata.ImageKey
	sub      *Subscription
	list     *metadata.List
	image    *imagelist.Image
	digest   cache.Digest
	replaces string // SHA-512 of the published bytes it replaces, "" for none
}

// wish is what one entry of a good list comes to here.
type wish struct {
	want
	code   verdict.Code // why not; "" = wanted
	reason string       // "" or deselected
	detail string
	failed bool // a refusal: the run ends with exit 3
}

// makePlan compares what good lists wish with what is published. Pure: it
// reads the run's picture and fills in results and what is awaited, nothing else.
func (r *run) makePlan() plan {
	var p plan
	r.results = map[metadata.ImageKey]*ImageResult{}
	wishes := r.wishes()
	for key, row := range r.st.Images {
		if !row.Published {
			continue
		}
		w, wished := wishes[key]
		if l := r.leaving(key, row, w, wished); l != nil {
			p.leave = append(p.leave, *l)
		}
	}
	for key, w := range wishes {
		r.planWish(&p, key, w)
	}
	r.holdBack(&p)
	p.sort()
	r.awaited = map[metadata.ImageKey]want{}
	for _, w := range p.want {
		r.awaited[w.key] = w
	}
	return p
}

// planWish decides about one wished image that does not have to leave.
func (r *run) planWish(p *plan, key metadata.ImageKey, w wish) {
	row := r.st.Images[key]
	published := row != nil && row.Published
	switch {
	case w.code != "":
		result := "held"
		if w.failed {
			result = "failed"
		}
		r.result(key, w.version(), result, string(w.code), w.detail)
	case w.reason != "":
	case !published:
		p.want = append(p.want, w.want)
	case row.Entry.SHA512 != w.image.SHA512.String():
		w.replaces = row.Entry.SHA512
		p.want = append(p.want, w.want)
	default:
		r.result(key, w.version(), "unchanged", "", "")
		p.refresh = append(p.refresh, w.want)
	}
}

func (w wish) version() string {
	if w.image == nil {
		return ""
	}
	return w.image.Version
}

// result notes the outcome for an image; the last one counts.
func (r *run) result(key metadata.ImageKey, version, result, reason, detail string) *ImageResult {
	sub := ""
	if l := r.st.Lists[key.List]; l != nil {
		sub = l.Entry.Subscription
	}
	res := &ImageResult{Subscription: sub, Identifier: key.ID, Version: version, Result: result, Reason: reason, Detail: detail}
	r.results[key] = res
	return res
}

// wishes goes through every list in good standing that is followed. It also
// notes for which lists the answer is known, and the entries nobody can name.
func (r *run) wishes() map[metadata.ImageKey]wish {
	out := map[metadata.ImageKey]wish{}
	r.nameless, r.wishing, r.withdrawn = nil, map[string]bool{}, map[metadata.ImageKey][]string{}
	for k, w := range r.st.Withdrawn {
		key := metadata.ImageKey{List: k.List, ID: k.ID}
		r.withdrawn[key] = append(r.withdrawn[key], w.Entry.SHA512)
	}
	for id, list := range r.st.Lists {
		sub := r.subscription(list.Entry.Subscription)
		if sub == nil || !r.standings[id].good || r.pinnedElsewhere(list) {
			continue
		}
		if content := r.content(list); content != nil {
			r.wishing[id] = true
			r.wishesOf(out, sub, list, content)
		}
	}
	return out
}

func (r *run) wishesOf(out map[metadata.ImageKey]wish, sub *Subscription, list *metadata.List, content *imagelist.List) {
	id := list.Entry.Identifier
	all := blockedList(r.cfg.Blocks, id, r.speaker(list), r.at)
	for i := range content.Images {
		img := &content.Images[i]
		key := metadata.ImageKey{List: id, ID: string(img.Identifier)}
		w := wish{want: want{key: key, sub: sub, list: list, image: img, digest: cache.Digest(img.SHA512)}}
		r.judgeWish(&w, all)
		out[key] = w
	}
	for _, e := range content.Refused {
		if e.Identifier == "" {
			r.nameless = append(r.nameless, Problem{Severity: "warning", Subject: sub.Name, Code: string(verdict.MalformedEntry), Detail: e.Field + ": " + e.Detail, Hint: HintFor(verdict.MalformedEntry)})
			continue
		}
		key := metadata.ImageKey{List: id, ID: string(e.Identifier)}
		out[key] = wish{want: want{key: key, sub: sub, list: list, digest: cache.Digest(e.SHA512)}, code: verdict.MalformedEntry, detail: e.Field + ": " + e.Detail, failed: true}
	}
}

// speaker is who signed a list's current message.
func (r *run) speaker(list *metadata.List) speaker {
	if j := r.judged[list.Message]; j != nil && j.verified != nil {
		return speakerOf(j.verified)
	}
	return speaker{dn: list.Entry.Endorser.DN, ca: list.Entry.Endorser.CA, sha256: list.Certificate}
}

// judgeWish asks of one well-formed entry whether this site may and wants to
// have it.
func (r *run) judgeWish(w *wish, listBlock *Block) {
	id, img := w.key.ID, w.image
	block := blockedImage(r.cfg.Blocks, id, img.SHA512.String(), r.at)
	if block == nil {
		block = listBlock
	}
	owner := r.st.Owners[id]
	switch {
	case owner != "" && owner != w.key.List:
		w.code, w.failed, w.detail = verdict.IdentifierClash, true, "identifier belongs to list "+owner
	case img.ExpiredAt(r.at):
		w.code, w.detail = verdict.ImageExpired, "expired at "+img.Expires.UTC().Format(time.RFC3339)
	case block != nil:
		w.code, w.detail = verdict.Blocked, "blocked by this site: "+block.Reason
	case !w.sub.selected(img):
		w.reason = reasonDeselected
	case r.waits(w):
		w.code, w.detail = verdict.Held, "waits for vouch image approve "+id
	}
}

// waits says whether the site wants to look first: at identifiers it does not
// know (images.new: hold), at other bytes for one it does (images.updates:
// hold). What was once published or approved is known.
func (r *run) waits(w *wish) bool {
	digest := w.image.SHA512.String()
	a, known := r.st.Approvals[w.key.ID]
	if known && a.SHA512 == digest || slices.Contains(r.withdrawn[w.key], digest) {
		return false
	}
	known = known || len(r.withdrawn[w.key]) > 0
	if row := r.st.Images[w.key]; row != nil && row.Published {
		if row.Entry.SHA512 == digest {
			return false
		}
		known = true
	}
	if known {
		return w.sub.HoldUpdates
	}
	return w.sub.HoldNew
}

// leaving finds the first fact that withdraws a published image.
func (r *run) leaving(key metadata.ImageKey, row *metadata.Image, w wish, wished bool) *leave {
	l := &leave{key: key}
	list := r.st.Lists[key.List]
	digest := digestFromHex(row.Entry.SHA512)
	switch {
	case r.corrupt[digest] != "":
		l.typ, l.reason, l.detail = event.ImageCorrupt, reasonCorrupt, r.corrupt[digest]
	case r.foreign[key] != "":
		l.typ, l.reason, l.detail = event.ImageCorrupt, reasonCorrupt, r.foreign[key]
	case r.blocking(key, row, list) != nil:
		l.typ, l.reason, l.detail = event.ImageBlocked, string(verdict.Blocked), r.blocking(key, row, list).Reason
	case r.unfounded(l, row, list):
	case r.st.Owners[key.ID] != "" && r.st.Owners[key.ID] != key.List:
		l.typ, l.reason, l.detail = event.ImageRevoked, string(verdict.IdentifierClash), "identifier belongs to list "+r.st.Owners[key.ID]
	case list == nil || r.subscription(list.Entry.Subscription) == nil || r.pinnedElsewhere(list):
		l.typ, l.reason, l.detail, l.config = event.ImageDeselected, reasonDeselected, "no subscription follows its list", !r.removalAccepted(row.Entry.Subscription)
	case r.outdated(row, w, wished):
		l.typ, l.reason, l.detail = event.ImageExpired, string(verdict.ImageExpired), "the image's own date has passed"
	case !r.wishing[key.List]:
		return nil // in doubt: kept as it is
	case !wished:
		l.typ, l.reason, l.detail = event.ImageRevoked, reasonRemoved, "the endorser's list no longer names it"
		if rev := r.revocation(key, row.Entry.SHA512); rev != nil {
			l.detail += ": " + rev.Reason
		}
	case w.reason == reasonDeselected:
		l.typ, l.reason, l.detail, l.config = event.ImageDeselected, reasonDeselected, "the selection no longer includes it", true
	case w.code == verdict.MalformedEntry && w.digest != digest:
		l.typ, l.reason, l.detail = event.ImageRevoked, string(w.code), w.detail
	default:
		return nil
	}
	return l
}

// blocking finds the block that a published image has run into.
func (r *run) blocking(key metadata.ImageKey, row *metadata.Image, list *metadata.List) *Block {
	if len(r.cfg.Blocks) == 0 {
		return nil
	}
	if b := blockedImage(r.cfg.Blocks, key.ID, row.Entry.SHA512, r.at); b != nil {
		return b
	}
	if list == nil {
		return nil
	}
	if j := r.judged[row.Message]; j != nil && j.verified != nil { // who named these very bytes
		if b := blockedList(r.cfg.Blocks, key.List, speakerOf(j.verified), r.at); b != nil {
			return b
		}
	}
	return blockedList(r.cfg.Blocks, key.List, r.speaker(list), r.at)
}

// unfounded fills l when the message that names the published bytes, or the
// list's current one, no longer holds. Old bytes kept for want of their
// replacement leave at the earlier of both expiries.
func (r *run) unfounded(l *leave, row *metadata.Image, list *metadata.List) bool {
	if list == nil {
		return false
	}
	s := r.standings[l.key.List]
	if !s.withdraws() && row.Message != list.Message {
		s = r.messageStanding(row.Message, *list)
	}
	if !s.withdraws() {
		return false
	}
	l.typ, l.reason, l.detail, l.config = s.event, string(s.reason), s.detail, s.config
	return true
}

// outdated says whether the published bytes' own date has passed. The entry
// that names them counts; when it cannot be read, what was published says so.
func (r *run) outdated(row *metadata.Image, w wish, wished bool) bool {
	if wished && w.image != nil && w.image.SHA512.String() == row.Entry.SHA512 {
		return w.image.ExpiredAt(r.at)
	}
	return !row.Entry.Expires.IsZero() && !r.at.Before(row.Entry.Expires)
}

// pinnedElsewhere says that the list's subscription follows another list now.
func (r *run) pinnedElsewhere(list *metadata.List) bool {
	sub := r.subscription(list.Entry.Subscription)
	row := r.st.Subs[sub.Name]
	return sub.List != "" && string(sub.List) != list.Entry.Identifier || row != nil && row.List != "" && row.List != list.Entry.Identifier
}

// holdBack keeps a change of configuration from emptying a site by accident:
// more than a fifth of what is published, and at least five images.
func (r *run) holdBack(p *plan) {
	if r.accept || !r.changed() {
		return
	}
	published, guarded := 0, 0
	for _, row := range r.st.Images {
		if row.Published {
			published++
		}
	}
	for _, l := range p.leave {
		if l.config {
			guarded++
		}
	}
	if guarded < 5 || guarded*5 <= published {
		return
	}
	keep := p.leave[:0]
	for _, l := range p.leave {
		if l.config {
			p.held = append(p.held, l)
		} else {
			keep = append(keep, l)
		}
	}
	p.leave = keep
}

// sort gives the plan an order that does not depend on maps.
func (p *plan) sort() {
	less := func(a, b metadata.ImageKey) bool { return a.List < b.List || a.List == b.List && a.ID < b.ID }
	sort.Slice(p.leave, func(i, j int) bool { return less(p.leave[i].key, p.leave[j].key) })
	sort.Slice(p.held, func(i, j int) bool { return less(p.held[i].key, p.held[j].key) })
	sort.Slice(p.want, func(i, j int) bool { return less(p.want[i].key, p.want[j].key) })
	sort.Slice(p.refresh, func(i, j int) bool { return less(p.refresh[i].key, p.refresh[j].key) })
}

// digestFromHex reads a digest that we wrote ourselves; a damaged one becomes
// the zero digest, which names nothing.
func digestFromHex(s string) (d cache.Digest) {
	if len(s) != hex.EncodedLen(len(d)) {
		return d
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return cache.Digest{}
	}
	return d
}
