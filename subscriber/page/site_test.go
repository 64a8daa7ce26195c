package page

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// site is a view of so many lists with so many images each; every seventh list
// and every eleventh image has something.
func site(lists, images int) View {
	st := &subscriber.Status{Schema: "vouch/status/v1", State: "5e1d3a54-6a5e-4b61-8f7b-0b7c0f7d2a11", Generated: noon, Generation: 42, LastSync: noon.Add(-3 * time.Minute)}
	x := &subscriber.Index{Schema: "vouch/index/v1", State: st.State, Generated: noon, Generation: 42}
	states := []string{"ok", "ok", "ok", "ok", "ok", "ok", "unreachable", "ok", "stale", "rejected", "ok", "ok", "expired"}
	reasons := map[string]string{"unreachable": "fetch", "stale": "crl-stale", "rejected": "version-rollback", "expired": "list-expired", "failed": "checksum-mismatch", "held": "held"}
	imageStates := []string{"available", "available", "available", "available", "available", "held", "available", "available", "failed", "available", "available"}
	systems := []string{"AlmaLinux 9", "Debian 13", "Ubuntu 24.04", "CernVM 5", "Rocky 9"}
	n := 0
	for l := range lists {
		s := subscriber.SubscriptionStatus{Name: fmt.Sprintf("endorser-%03d", l), URL: fmt.Sprintf("https://lists.example.org/%03d/image.list", l), List: fmt.Sprintf("63175437-7d59-4851-b333-%012d", l),
			Title: fmt.Sprintf("Images of community %d", l), Version: fmt.Sprintf("1.0.%d", l), State: states[l%len(states)], Created: noon.Add(-9 * day), Expires: noon.Add(time.Duration(3+l%25) * day),
			Verified: noon.Add(-time.Duration(1+l%300) * time.Minute), Attempted: noon.Add(-time.Minute), EndorserDN: "/DC=org/DC=example/OU=people/CN=Alice Endorser", EndorserCA: "/DC=org/DC=example/CN=Example CA", CRLMade: noon.Add(-day), CRLDue: noon.Add(6 * day), Images: images, Available: images}
		if s.State != "ok" {
			s.Reason, s.FailingSince = reasons[s.State], noon.Add(-30*time.Hour)
			s.Detail = map[string]string{"unreachable": "Get: dial tcp 192.0.2.7:443: connection refused", "rejected": "version 1.0.3 is older than 1.0.9, which was accepted before", "stale": "the CRL of /DC=org/CN=Example CA was due 2 days ago"}[s.State]
			if s.State == "expired" {
				s.Expires = noon.Add(-2 * day)
			}
			hint := map[string]string{"unreachable": "check the server and the network; what is cached stays until it expires", "stale": "run fetch-crl; check that its cron job or timer runs",
				"rejected": "the server offers an older list, or somebody plays one back; if it is meant: vouch subscription reset-floor", "expired": "the endorser must sign a new list; its images are withdrawn until then"}[s.State]
			st.Problems = append(st.Problems, subscriber.Problem{Severity: map[bool]string{true: "warning", false: "critical"}[s.State == "unreachable"], Subject: s.Name, Code: s.Reason, Detail: s.Detail, Since: s.FailingSince, Hint: hint})
		}
		for range images {
			state := imageStates[n%len(imageStates)]
			m := subscriber.ImageStatus{Identifier: fmt.Sprintf("4c1f6e4e-55f5-4b2f-9d0c-%012d", n), List: s.List, Subscription: s.Name, Title: systems[n%len(systems)] + " cloud image", Version: fmt.Sprintf("2026.11.%d", n%28+1),
				State: state, Reason: reasons[state], SHA512: fmt.Sprintf("%0128x", n), Size: int64(n+1) << 22, OS: "Linux", Arch: "x86_64", Format: "qcow2", Expires: s.Expires, Since: noon.Add(-8 * day)}
			if state != "available" {
				m.SHA512, m.Wanted, m.Since = "", m.SHA512, time.Time{}
				s.Available, s.Pending = s.Available-1, s.Pending+1
			} else {
				m.Resources = map[string]string{"opennebula": "one:" + fmt.Sprint(n)}
				x.Images = append(x.Images, event.Image{Identifier: m.Identifier, List: m.List, Subscription: m.Subscription, Title: m.Title, Description: "For the grid", Version: m.Version, OS: "Linux", OSVersion: "9", Arch: "x86_64",
					Hypervisor: "kvm", Format: "qcow2", Size: m.Size, SHA512: m.SHA512, URI: "https://images.example.org/" + m.Identifier + ".qcow2", VO: "example.org", MPURI: "https://appdb.example.org/" + m.Identifier, Path: "endorsed/" + m.Identifier, Blob: "blobs/sha512/00/" + m.SHA512,
					AvailableSince: m.Since, Expires: m.Expires, Metadata: json.RawMessage(fmt.Sprintf(`{"dc:identifier":%q,"hv:ram_minimum":2048,"ad:traffic_in":["22"]}`, m.Identifier))})
			}
			st.Images = append(st.Images, m)
			n++
		}
		st.Subscriptions = append(st.Subscriptions, s)
		x.Lists = append(x.Lists, event.List{Identifier: s.List, Subscription: s.Name, Title: s.Title, Version: s.Version, VO: "example.org", URI: s.URL, Created: s.Created, Expires: s.Expires, Verified: s.Verified, Message: "lists/" + s.List + ".smime", Endorser: event.Endorser{DN: s.EndorserDN, CA: s.EndorserCA}})
	}
	st.Withdrawn = []subscriber.WithdrawnStatus{{Identifier: "4c1f6e4e-55f5-4b2f-9d0c-ffffffffffff", List: "63175437-7d59-4851-b333-000000000000", Subscription: "endorser-000", Title: "Shipped disk", Version: "1", SHA512: strings.Repeat("f", 128),
		Type: "image.revoked", Reason: "removed", Detail: "the image has a well-known password for root", At: noon.Add(-2 * time.Hour), Kept: "expired/4c1f6e4e.2026-11-25_10-00-00"}}
	st.Handlers = []subscriber.HandlerStatus{{Name: "opennebula", Pending: 1, Dead: 1, Oldest: noon.Add(-20 * time.Minute), Next: noon.Add(4 * time.Minute)}, {Name: "webhook"}}
	st.Deliveries = []subscriber.DeliveryStatus{
		{Event: st.State + "-7", Type: "image.revoked", Subject: st.Withdrawn[0].Identifier, Handler: "opennebula", Time: noon.Add(-20 * time.Minute), Attempts: 6, Next: noon.Add(4 * time.Minute), Error: "exit status 1: no route to host"},
		{Event: st.State + "-3", Type: "image.available", Subject: st.Withdrawn[0].Identifier, Handler: "opennebula", Time: noon.Add(-9 * day), Attempts: 60, Dead: true, Error: "timeout"}}
	st.Problems = append(st.Problems, subscriber.Problem{Severity: "critical", Subject: "handler opennebula", Code: "dead-letter", Detail: "1 events were given up", Hint: "vouch event ls --dead shows them; mend the handler, then: vouch event retry"})
	st.Trust = subscriber.TrustStatus{Path: "/etc/grid-security/certificates", Anchors: 91, CRLs: 90}
	st.Cache = subscriber.CacheStatus{Path: "/var/cache/vouch", MaxSize: 500 << 30, Free: 300 << 30, Total: 1 << 40, Foreign: []string{"templates"}, Checked: noon.Add(-5 * day),
		Usage: cache.Usage{Blobs: cache.Tally{Count: n, Bytes: 410 << 30}, Expired: cache.Tally{Count: 1, Bytes: 3 << 20}, Foreign: cache.Tally{Count: 1, Bytes: 4096}}}
	return View{At: noon, Version: "1.2.3", Alarm: noon.Add(day), Status: st, Index: x, Events: happened(st)}
}

// happened are events as a site like this would have had.
func happened(st *subscriber.Status) []event.Event {
	var out []event.Event
	add := func(t event.Type, subject, data string) {
		n := 200 - len(out)
		out = append(out, event.Event{SpecVersion: "1.0", ID: fmt.Sprintf("%s-%d", st.State, n), Source: "urn:uuid:" + st.State, Type: t, Subject: subject, Time: noon.Add(-time.Duration(len(out)+1) * 7 * time.Minute), ContentType: "application/json", Data: json.RawMessage(data)})
	}
	add(event.SyncFinished, "", `{"session":"x","exit":3}`)
	w := st.Withdrawn[0]
	add(event.ImageRevoked, w.Identifier, fmt.Sprintf(`{"identifier":%q,"list":%q,"subscription":"endorser-000","title":%q,"version":"1","reason":"removed","detail":%q}`, w.Identifier, w.List, w.Title, w.Detail))
	for i := range min(20, len(st.Images)) {
		m := st.Images[i]
		t := map[string]event.Type{"available": event.ImageAvailable, "failed": event.ImageFailed, "held": event.ImageAnnounced}[m.State]
		add(t, m.Identifier, fmt.Sprintf(`{"identifier":%q,"list":%q,"subscription":%q,"title":%q,"version":%q,"reason":%q}`, m.Identifier, m.List, m.Subscription, m.Title, m.Version, m.Reason))
	}
	for i := range min(3, len(st.Subscriptions)) {
		s := st.Subscriptions[i]
		add(event.ListAccepted, s.List, fmt.Sprintf(`{"subscription":%q,"url":%q,"list":{"title":%q,"version":%q}}`, s.Name, s.URL, s.Title, s.Version))
	}
	return out
}
