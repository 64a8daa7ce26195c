package metrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vouch/subscriber"
)

// snapshot makes gauges of the status whenever it is asked. Moments are
// timestamps, not ages: time() - x is right at any time, an age only when it
// is taken.
type snapshot struct {
	read func() (*subscriber.Status, error)
}

// The states and kinds of the status: every one has a series, so that one that
// is left goes to 0 instead of away.
var (
	subscriptionStates = []string{"ok", "stale", "rejected", "unreachable", "expired", "withdrawn", "new", "removed"}
	imageStates        = []string{"available", "stale", "pending", "failed", "held", "refused", "blocked", "expired"}
)

var (
	up        = gauge("vouch_status_up", "1 when the status could be read, 0 when not; then all that is not a counter is missing.")
	written   = gauge("vouch_status_timestamp_seconds", "When the status was written.")
	lastSync  = gauge("vouch_last_sync_timestamp_seconds", "When vouch last looked at the network.")
	lastExit  = gauge("vouch_last_sync_exit_status", "What vouch sync would have exited with then.")
	state     = gauge("vouch_subscription_state", "1 for the state that the subscription is in, 0 for the others.", "subscription", "state")
	verified  = gauge("vouch_list_last_verified_timestamp_seconds", "When the server last gave a list that was accepted, or said that nothing changed; 0 for never.", "subscription")
	expires   = gauge("vouch_list_expires_timestamp_seconds", "When the accepted list or its signer's certificate expires.", "subscription")
	crlMade   = gauge("vouch_list_crl_this_update_timestamp_seconds", "When the oldest CRL was made that the list's signature rests on.", "subscription")
	crlDue    = gauge("vouch_list_crl_next_update_timestamp_seconds", "When the first of these CRLs is to be replaced.", "subscription")
	named     = gauge("vouch_list_images", "Images that the accepted list names.", "subscription")
	published = gauge("vouch_list_images_available", "Images of the list that are available here.", "subscription")
	pending   = gauge("vouch_list_images_pending", "Images of the list that are wanted and not here: to be downloaded, failed or held.", "subscription")

	images    = gauge("vouch_images", "Images by state.", "state")
	withdrawn = gauge("vouch_images_withdrawn", "Images that left and are remembered, by the event that told it.", "type")
	problems  = gauge("vouch_problems", "What vouch status says is wrong.", "severity", "code")

	outbox = gauge("vouch_outbox_events", "Events that a handler has not had: to be told (pending), or given up (dead).", "handler", "state")
	filled = gauge("vouch_outbox_filled_ratio", "How much of what may wait for a handler does; at 1 events are given up.", "handler")
	oldest = gauge("vouch_outbox_oldest_timestamp_seconds", "When the oldest event happened that is to be told.", "handler")

	usable  = gauge("vouch_trust_usable", "1 when new lists can be believed, 0 when there is no anchor or no CRL.")
	anchors = gauge("vouch_trust_anchors", "Trust anchors that were loaded.")
	crls    = gauge("vouch_trust_crls", "Files of revocation lists that were loaded.")

	size     = gauge("vouch_cache_bytes", "Bytes in the cache; names of the same bytes count once.", "kind")
	used     = gauge("vouch_cache_used_bytes", "What the quota limits: everything but foreign files.")
	quota    = gauge("vouch_cache_quota_bytes", "cache.max_size, when there is one.")
	free     = gauge("vouch_cache_filesystem_free_bytes", "Free space for vouch on the cache's file system, as of the status.")
	total    = gauge("vouch_cache_filesystem_size_bytes", "Size of the cache's file system.")
	foreign  = gauge("vouch_cache_foreign_files", "Files in the cache that are not vouch's.")
	hashedAt = gauge("vouch_cache_oldest_check_timestamp_seconds", "When the blob was hashed that was not hashed for longest.")
)

// gauges are all of them, for Describe.
var gauges []*prometheus.Desc

func gauge(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	gauges = append(gauges, d)
	return d
}

// Describe is prometheus.Collector's.
func (s *snapshot) Describe(to chan<- *prometheus.Desc) {
	for _, d := range gauges {
		to <- d
	}
}

// Collect is prometheus.Collector's. Before the first pass there is nothing to
// tell, which is no failure.
func (s *snapshot) Collect(to chan<- prometheus.Metric) {
	out := output{to}
	st, err := s.read()
	out.flag(up, err == nil || errors.Is(err, subscriber.ErrNoStatus))
	if err != nil {
		return
	}
	out.moment(written, st.Generated)
	out.moment(lastSync, st.LastSync)
	out.number(lastExit, float64(st.LastExit))
	for i := range st.Subscriptions {
		out.subscription(&st.Subscriptions[i])
	}
	out.images(st)
	out.problems(st.Problems)
	out.outbox(st.Handlers)
	out.flag(usable, st.Trust.Error == "")
	out.number(anchors, float64(st.Trust.Anchors))
	out.number(crls, float64(st.Trust.CRLs))
	out.cache(&st.Cache)
}

type output struct{ to chan<- prometheus.Metric }

func (o output) number(d *prometheus.Desc, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	o.to <- m
}

func (o output) flag(d *prometheus.Desc, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	o.number(d, v, labels...)
}

// moment leaves out what has not happened.
func (o output) moment(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		o.number(d, seconds(t), labels...)
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (o output) subscription(s *subscriber.SubscriptionStatus) {
	for _, name := range subscriptionStates {
		o.flag(state, s.State == name, s.Name, name)
	}
	answered := 0.0 // an alert on what is missing would have to name each subscription
	if !s.Verified.IsZero() {
		answered = seconds(s.Verified)
	}
	o.number(verified, answered, s.Name)
	o.moment(expires, s.Expires, s.Name)
	o.moment(crlMade, s.CRLMade, s.Name)
	o.moment(crlDue, s.CRLDue, s.Name)
	o.number(named, float64(s.Images), s.Name)
	o.number(published, float64(s.Available), s.Name)
	o.number(pending, float64(s.Pending), s.Name)
}

func (o output) images(st *subscriber.Status) {
	count := map[string]int{}
	for i := range st.Images {
		count[st.Images[i].State]++
	}
	for _, name := range imageStates {
		o.number(images, float64(count[name]), name)
	}
	left := map[string]int{}
	for i := range st.Withdrawn {
		left[st.Withdrawn[i].Type]++
	}
	for kind, n := range left {
		o.number(withdrawn, float64(n), kind)
	}
}

func (o output) problems(all []subscriber.Problem) {
	type kind struct{ severity, code string }
	count := map[kind]int{}
	for _, p := range all {
		count[kind{p.Severity, p.Code}]++
	}
	for k, n := range count {
		o.number(problems, float64(n), k.severity, k.code)
	}
}

func (o output) outbox(handlers []subscriber.HandlerStatus) {
	for _, h := range handlers {
		o.number(outbox, float64(h.Pending), h.Name, "pending")
		o.number(outbox, float64(h.Dead), h.Name, "dead")
		o.number(filled, h.Full, h.Name)
		o.moment(oldest, h.Oldest, h.Name)
	}
}

func (o output) cache(c *subscriber.CacheStatus) {
	u := c.Usage
	for kind, bytes := range map[string]int64{
		"blobs": u.Blobs.Bytes, "endorsed": u.Endorsed.Bytes, "expired": u.Expired.Bytes,
		"partial": u.Partial.Bytes, "foreign": u.Foreign.Bytes,
	} {
		o.number(size, float64(bytes), kind)
	}
	o.number(used, float64(u.Bytes()))
	if c.MaxSize > 0 {
		o.number(quota, float64(c.MaxSize))
	}
	o.number(free, float64(c.Free))
	o.number(total, float64(c.Total))
	o.number(foreign, float64(len(c.Foreign)))
	o.moment(hashedAt, c.Checked)
}
