// Package metrics tells Prometheus how a site is. Counters are of the daemon
// that runs and begin at zero with it; everything else is what the snapshot
// status.json says when it is asked.
//
// A label is a subscription's or a handler's name, which the site chose, or a
// word of a closed set. No text of a list ever is one, and no image has a
// series of its own.
package metrics

import (
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vouch/subscriber"
)

// Metrics counts what a daemon does. Its methods may be called at any time from
// any goroutine; they are made to be functions of subscriber.DaemonOptions.
type Metrics struct {
	registry *prometheus.Registry

	passes, lists, images     *prometheus.CounterVec
	downloads, downloaded     *prometheus.CounterVec
	checks                    *prometheus.CounterVec
	errors, checked           prometheus.Counter
	emitted, delivered, given prometheus.Counter
}

// New makes a set of metrics. read is called for each scrape and gives the
// snapshot, such as subscriber.ReadStatus does; what it returns is not changed.
func New(read func() (*subscriber.Status, error)) *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		passes:     counters("vouch_passes_total", "Passes that ended, by what vouch sync would have exited with.", "exit"),
		errors:     counter("vouch_pass_errors_total", "Passes that failed, and are made again."),
		lists:      counters("vouch_lists_total", "Lists looked at, once in each pass, by outcome and verdict code.", "result", "reason"),
		images:     counters("vouch_image_changes_total", "Images that became available, were updated, withdrawn, held or failed, once in each pass, by verdict code.", "result", "reason"),
		downloads:  counters("vouch_downloads_total", "Downloads of images of passes that ended, whole (ok) or not (failed).", "subscription", "result"),
		downloaded: counters("vouch_downloaded_bytes_total", "Bytes of images that came over the network in passes that ended.", "subscription"),
		emitted:    counter("vouch_events_emitted_total", "Events that happened."),
		delivered:  counter("vouch_events_delivered_total", "Deliveries of an event to a handler."),
		given:      counter("vouch_events_dead_total", "Deliveries that were given up."),
		checks:     counters("vouch_cache_checks_total", "Blobs that were hashed again, by what they were found to be.", "result"),
		checked:    counter("vouch_cache_checked_bytes_total", "Bytes that were hashed again and found sound."),
	}
	for _, result := range []string{"sound", "corrupt", "missing"} {
		m.checks.WithLabelValues(result) // an increase from nothing is none
	}
	m.registry.MustRegister(m.passes, m.errors, m.lists, m.images, m.downloads, m.downloaded, m.emitted, m.delivered, m.given, m.checks, m.checked,
		buildInfo(), &snapshot{read}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// buildInfo is 1, with what the build recorded of itself.
func buildInfo() prometheus.Collector {
	labels := prometheus.Labels{"version": "devel", "revision": "", "goversion": ""}
	if info, ok := debug.ReadBuildInfo(); ok {
		labels["goversion"] = info.GoVersion
		if v := info.Main.Version; v != "" && v != "(devel)" {
			labels["version"] = v
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				labels["revision"] = s.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "vouch_build_info", Help: "The program that runs.", ConstLabels: labels})
	g.Set(1)
	return g
}

// Handler answers scrapes, in the text format or OpenMetrics. It answers 500
// and nothing else when a metric cannot be made.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// Passed counts what a pass did.
func (m *Metrics) Passed(rep *subscriber.Report) {
	m.passes.WithLabelValues(strconv.Itoa(rep.Exit)).Inc()
	for _, l := range rep.Lists {
		m.lists.WithLabelValues(l.Result, string(l.Reason)).Inc()
	}
	for _, i := range rep.Images {
		if i.Result != "unchanged" {
			m.images.WithLabelValues(i.Result, i.Reason).Inc()
		}
		m.transferred(i)
	}
	m.Told(rep.Events)
}

// transferred counts what came over the network for an image.
func (m *Metrics) transferred(i subscriber.ImageResult) {
	if i.Downloaded == 0 {
		return
	}
	result := "ok"
	if i.Result == "failed" {
		result = "failed"
	}
	m.downloads.WithLabelValues(i.Subscription, result).Inc()
	m.downloaded.WithLabelValues(i.Subscription).Add(float64(i.Downloaded))
}

// Failed counts a pass that came to nothing. Why is in the log.
func (m *Metrics) Failed(error) { m.errors.Inc() }

// Told counts events. What is pending is a gauge of the snapshot.
func (m *Metrics) Told(count subscriber.EventCount) {
	m.emitted.Add(float64(count.Emitted))
	m.delivered.Add(float64(count.Delivered))
	m.given.Add(float64(count.Dead))
}

// Scrubbed counts blobs that were hashed again.
func (m *Metrics) Scrubbed(rep *subscriber.CheckReport) {
	corrupt, missing := len(rep.Corrupt), len(rep.Missing)
	m.checks.WithLabelValues("corrupt").Add(float64(corrupt))
	m.checks.WithLabelValues("missing").Add(float64(missing))
	m.checks.WithLabelValues("sound").Add(float64(rep.Checked - corrupt - missing))
	m.checked.Add(float64(rep.Bytes))
}
