package page

import (
	"maps"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// How much of what belongs to one list or image is shown beside it.
const (
	detailRows     = 20
	detailMetadata = 200
)

// listData is everything about one subscription.
type listData struct {
	subscriber.SubscriptionStatus
	Entry    *event.List // as index.json has it; nil when nothing was accepted
	Causes   []cause
	Images   []imageRow // worst first, at most detailRows
	Total    int
	Events   []eventRow
	Withdrew int // images that left
}

func listPage(f *frame, q url.Values) any {
	s := f.Subscription(q.Get("name"))
	if s == nil {
		return nil
	}
	f.Title, _ = begin(s.Name, lineLength)
	d := listData{SubscriptionStatus: *s}
	if f.Index != nil {
		for i := range f.Index.Lists {
			if l := &f.Index.Lists[i]; l.Subscription == s.Name && l.Identifier == s.List {
				d.Entry = l
			}
		}
	}
	d.Causes = causes(slices.DeleteFunc(slices.Clone(f.Problems), func(p subscriber.Problem) bool { return p.Subject != s.Name }))
	for _, r := range imageRows(f.Status) {
		switch {
		case r.Subscription != s.Name:
		case !r.Left.IsZero():
			d.Withdrew++
		default:
			d.Images = append(d.Images, r)
		}
	}
	sortImages(d.Images)
	d.Total = len(d.Images)
	d.Images = d.Images[:min(d.Total, detailRows)]
	d.Events = eventsAbout(f, func(e *eventRow) bool { return e.Subscription == s.Name })
	return d
}

// eventsAbout are the newest events that a condition holds for.
func eventsAbout(f *frame, about func(*eventRow) bool) (out []eventRow) {
	for _, e := range eventRows(f.Events) {
		if about(&e) && len(out) < detailRows {
			out = append(out, e)
		}
	}
	return out
}

// imageData is everything about one identifier: it may be in several lists,
// and have left some.
type imageData struct {
	Identifier, Name string
	Images           []imageEntry
	Withdrawn        []subscriber.WithdrawnStatus // the last first
	Deliveries       []subscriber.DeliveryStatus
	Events           []eventRow
}

// imageEntry is an image as one list has it.
type imageEntry struct {
	subscriber.ImageStatus
	List      *subscriber.SubscriptionStatus
	Entry     *event.Image // as index.json has it; nil when it is not published
	Metadata  []pair       // every key of the signed entry
	Unshown   int          // keys beyond detailMetadata
	Resources []pair       // what handlers made of it
}

type pair struct{ Key, Value string }

func imagePage(f *frame, q url.Values) any {
	id := q.Get("id")
	d := imageData{Identifier: id}
	for i := range f.Status.Images {
		if m := &f.Status.Images[i]; m.Identifier == id {
			d.Images = append(d.Images, entryOf(f, m))
			d.Name = m.Title
		}
	}
	for _, w := range slices.Backward(f.Status.Withdrawn) {
		if w.Identifier == id {
			d.Withdrawn = append(d.Withdrawn, w)
			if d.Name == "" {
				d.Name = w.Title
			}
		}
	}
	if len(d.Images)+len(d.Withdrawn) == 0 {
		return nil
	}
	if d.Name == "" {
		d.Name = id
	}
	f.Title, _ = begin(d.Name, lineLength)
	for _, v := range f.Status.Deliveries {
		if v.Subject == id && len(d.Deliveries) < detailRows {
			d.Deliveries = append(d.Deliveries, v)
		}
	}
	d.Events = eventsAbout(f, func(e *eventRow) bool { return e.Subject == id })
	return d
}

func entryOf(f *frame, m *subscriber.ImageStatus) imageEntry {
	e := imageEntry{ImageStatus: *m, List: f.Subscription(m.Subscription)}
	for _, h := range slices.Sorted(maps.Keys(m.Resources)) {
		e.Resources = append(e.Resources, pair{h, m.Resources[h]})
	}
	if f.Index == nil {
		return e
	}
	for i := range f.Index.Images {
		if x := &f.Index.Images[i]; x.Identifier == m.Identifier && x.List == m.List {
			e.Entry = x
			e.Metadata, e.Unshown = metadataOf(x.Metadata)
		}
	}
	return e
}

// metadataOf are the keys of a signed entry and their values, texts as they
// are and all else as JSON.
func metadataOf(raw []byte) (out []pair, unshown int) {
	var values map[string]jsontext.Value
	_ = json.Unmarshal(raw, &values) // what is not there is not shown
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if len(out) == detailMetadata {
			return out, len(values) - detailMetadata
		}
		v := string(values[k])
		if values[k].Kind() == '"' {
			_ = json.Unmarshal(values[k], &v)
		}
		out = append(out, pair{k, v})
	}
	return out, 0
}
