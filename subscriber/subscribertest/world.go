// Package subscribertest is a simulated publisher and the site that follows
// it: a trust directory, a web server, a configuration, and one line for each
// thing that can happen to them.
package subscribertest

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vouch/cache"
	"vouch/imagelist/listtest"
	"vouch/imagelist/trust"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

// World is one site and one publisher.
type World struct {
	*listtest.World
	Config *subscriber.Config
	Server *httptest.Server
	Bytes  atomic.Int64 // sent by the publisher, images only
	mu     sync.Mutex
	files  map[string][]byte
	status map[string]int // answer this instead
	tags   map[string]string
}

// ListID is the identifier of the list that New's subscription follows.
const ListID = "63175437-7d59-4851-b333-c96cb6545a86"

// New makes a site with one subscription, "main", to /list on its publisher.
func New(t testing.TB) *World {
	w := &World{World: listtest.New(t), files: map[string][]byte{}, status: map[string]int{}, tags: map[string]string{}}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Server.Close)
	dir := t.TempDir()
	w.Config = &subscriber.Config{
		StateDir: filepath.Join(dir, "state"), EvidenceKeep: 730 * 24 * time.Hour,
		Cache: subscriber.CacheConfig{Dir: filepath.Join(dir, "cache"), KeepExpired: 30 * 24 * time.Hour, CheckEvery: 7 * 24 * time.Hour, Publish: cache.Hardlink, GID: -1, Mode: 0o444},
		Trust: subscriber.TrustConfig{Anchors: w.Dir, CRL: trust.Require, SigningPolicy: trust.Require, AnchorGrace: 6 * time.Hour, OutageGrace: 7 * 24 * time.Hour},
		Fetch: subscriber.FetchConfig{Concurrency: 4, PerHost: 4, IdleTimeout: time.Minute, MinRate: 10 << 10, AlarmAfter: 24 * time.Hour, MaxListSize: 16 << 20, TLS: "system"},
	}
	w.Subscribe("main", "/list", w.Alice)
	return w
}

// Subscribe adds a subscription to a path of the publisher.
func (w *World) Subscribe(name, path string, endorsers ...*listtest.Identity) *subscriber.Subscription {
	s := subscriber.Subscription{Name: name, URL: w.Server.URL + path}
	for _, e := range endorsers {
		s.Endorsers = append(s.Endorsers, e.Authorised())
	}
	w.Config.Subscriptions = append(w.Config.Subscriptions, s)
	return &w.Config.Subscriptions[len(w.Config.Subscriptions)-1]
}

// ServeHTTP is the publisher: Range, ETag and conditional requests included.
func (w *World) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	body, ok := w.files[req.URL.Path]
	code := w.status[req.URL.Path]
	tag := w.tags[req.URL.Path]
	w.mu.Unlock()
	if code != 0 {
		http.Error(rw, "no", code)
		return
	}
	if !ok {
		http.NotFound(rw, req)
		return
	}
	rw.Header().Set("ETag", tag)
	if strings.HasPrefix(req.URL.Path, "/images/") {
		rw = &counter{rw, &w.Bytes}
	}
	http.ServeContent(rw, req, "", time.Time{}, bytes.NewReader(body))
}

type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

// Put makes the publisher serve these bytes.
func (w *World) Put(path string, body []byte) {
	sum := sha512.Sum512(body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[path], w.tags[path] = body, `"`+hex.EncodeToString(sum[:8])+`"`
	delete(w.status, path)
}

// Fail makes the publisher answer a path with an HTTP status.
func (w *World) Fail(path string, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status[path] = status
}

// Image describes one image to publish.
type Image struct {
	ID      string
	Content string
	Set     map[string]any // keys of its entry to change; nil takes one away
}

// Path is where the publisher serves the image; it changes only with the bytes.
func (i Image) Path() string {
	sum := sha512.Sum512([]byte(i.Content))
	return "/images/" + i.ID + "-" + hex.EncodeToString(sum[:4])
}

// Draft is a list of the given version with these images, served with their
// bytes; it is not served itself.
func (w *World) Draft(version string, images ...Image) *listtest.Builder {
	b := listtest.NewList(w.At).ID(ListID).Version(version).NoImages()
	for _, i := range images {
		path := i.Path()
		w.Put(path, []byte(i.Content))
		b.Image(i.ID, []byte(i.Content), w.Server.URL+path)
		for k, v := range i.Set {
			b.ImageSet(k, v)
		}
	}
	return b
}

// Publish serves a signed list at /list.
func (w *World) Publish(version string, images ...Image) {
	w.T.Helper()
	w.PublishAt("/list", w.Draft(version, images...))
}

// PublishAt signs a draft, with changes, and serves it at a path.
func (w *World) PublishAt(path string, b *listtest.Builder, changes ...listtest.Change) {
	w.T.Helper()
	all := append([]listtest.Change{func(m *listtest.Message) { m.List = b }}, changes...)
	w.Put(path, w.Message(all...))
}

// SyncAt runs one sync at an instant and fails the test on an error.
func (w *World) SyncAt(at time.Time, options ...func(*subscriber.SyncOptions)) *subscriber.Report {
	w.T.Helper()
	o := subscriber.SyncOptions{Options: subscriber.Options{At: at}}
	for _, f := range options {
		f(&o)
	}
	rep, err := subscriber.Sync(context.Background(), w.Config, o)
	if err != nil {
		w.T.Fatalf("sync: %v", err)
	}
	return rep
}

// Sync runs one sync at the world's instant.
func (w *World) Sync(options ...func(*subscriber.SyncOptions)) *subscriber.Report {
	w.T.Helper()
	return w.SyncAt(w.At, options...)
}

// Index reads the catalogue.
func (w *World) Index() *subscriber.Index {
	w.T.Helper()
	x, err := subscriber.ReadIndex(w.Config.Cache.Dir)
	if err != nil {
		w.T.Fatal(err)
	}
	return x
}

// Read returns what a name under endorsed/ leads to, "" when it is not there.
func (w *World) Read(id string) string {
	data, err := os.ReadFile(filepath.Join(w.Config.Cache.Dir, "endorsed", id))
	if err != nil {
		return ""
	}
	return string(data)
}

// Events lists the types and subjects in the event log, sync.* left out.
func (w *World) Events() []string {
	w.T.Helper()
	out := []string{}
	err := event.ReadLog(w.Config.StateDir, time.Time{}, func(_ []byte, e event.Event) bool {
		if !strings.HasPrefix(string(e.Type), "sync.") {
			out = append(out, string(e.Type)+" "+e.Subject)
		}
		return true
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return out
}

// Tree is the cache as a map from path to content, without what changes in
// every run: for "the cache is byte for byte as before".
func (w *World) Tree() map[string]string {
	w.T.Helper()
	out := map[string]string{}
	root := w.Config.Cache.Dir
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == "index.json" || rel == ".vouch" {
			return nil
		}
		data, err := os.ReadFile(path)
		out[rel] = string(data)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return out
}

// Check asserts the invariants of every moment (threats §2.1): names lead to
// the signed bytes, and the index says nothing that is not there.
func (w *World) Check() {
	w.T.Helper()
	root := w.Config.Cache.Dir
	for _, i := range w.Index().Images {
		for _, path := range []string{i.Path, i.Blob} {
			data, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				w.T.Errorf("index names %s: %v", path, err)
				continue
			}
			sum := sha512.Sum512(data)
			if hex.EncodeToString(sum[:]) != i.SHA512 || int64(len(data)) != i.Size {
				w.T.Errorf("%s does not hold the signed bytes", path)
			}
		}
	}
	blobs, _ := filepath.Glob(filepath.Join(root, "blobs/sha512/*/*"))
	for _, path := range blobs {
		data, err := os.ReadFile(path)
		sum := sha512.Sum512(data)
		if err == nil && hex.EncodeToString(sum[:]) != filepath.Base(path) {
			w.T.Errorf("%s holds other bytes", path)
		}
	}
}
