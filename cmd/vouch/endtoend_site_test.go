package main_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

// The tests in endtoend_*_test.go meet the program from outside: the real
// binary, a configuration file, a web server, a cache that is looked at with
// nothing but the file system. They import nothing that decides anything.

// object is a mapping of the configuration file, which is JSON here.
type object = map[string]any

// builtBinary builds the program once, beside the commands that TestMain
// installs and removes.
var builtBinary = sync.OnceValues(func() (string, error) {
	beside, err := exec.LookPath("vouch")
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(beside), "vouch-as-shipped")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

// site is a configured site and the publisher of its one subscription, "main".
type site struct {
	*listtest.World
	dir  string
	conf object // written before every command
	pub  *publisher
	env  []string // of the commands, beside PATH, HOME and VOUCH_CONFIG

	revoked func(id string) bool // an image that the index may still name; nil: none
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{World: listtest.New(t), dir: t.TempDir(), pub: newPublisher(t)}
	s.conf = object{
		"state_dir": s.path("state"),
		"cache":     object{"dir": s.path("cache"), "min_free": 0},
		"trust":     object{"anchors": s.Dir},
		"fetch":     object{},
		"http":      object{"listen": "127.0.0.1:0"}, // tests run beside each other
	}
	s.subscribe("main", s.pub.URL+"/list", s.Alice)
	return s
}

func (s *site) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// section returns a mapping of the configuration to change.
func (s *site) section(name string) object { return s.conf[name].(object) }

// subscribe adds a subscription to the configuration file.
func (s *site) subscribe(name, url string, endorsers ...*listtest.Identity) object {
	var who []any
	for _, e := range endorsers {
		who = append(who, object{"dn": e.DN(), "ca": e.IssuerDN()})
	}
	sub := object{"name": name, "url": url, "endorsers": who}
	subs, _ := s.conf["subscriptions"].([]any)
	s.conf["subscriptions"] = append(subs, sub)
	return sub
}

// subscription is the configuration of one that subscribe made.
func (s *site) subscription(name string) object {
	for _, sub := range s.conf["subscriptions"].([]any) {
		if sub.(object)["name"] == name {
			return sub.(object)
		}
	}
	s.T.Fatalf("no subscription %q", name)
	return nil
}

// handler adds a handler that runs a shell script.
func (s *site) handler(name, script string, more object) {
	s.T.Helper()
	path := s.path(name + ".sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		s.T.Fatal(err)
	}
	h := object{"name": name, "exec": []string{path}}
	for k, v := range more {
		h[k] = v
	}
	all, _ := s.conf["handlers"].([]any)
	s.conf["handlers"] = append(all, h)
}

func (s *site) configFile() string { return s.path("etc", "vouch.yaml") }

func (s *site) writeConfig() {
	s.T.Helper()
	data, err := json.Marshal(s.conf)
	if old, rerr := os.ReadFile(s.configFile()); rerr == nil && bytes.Equal(old, data) {
		return // somebody may be reading it
	}
	if err == nil {
		err = os.MkdirAll(s.path("etc"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(s.configFile(), data, 0o644)
	}
	if err != nil {
		s.T.Fatal(err)
	}
}

// outcome is how a command ended and what it printed.
type outcome struct {
	args           []string
	code           int
	stdout, stderr string
}

// command prepares a run of the binary.
func (s *site) command(args ...string) *exec.Cmd {
	s.T.Helper()
	binary, err := builtBinary()
	if err != nil {
		s.T.Fatal(err)
	}
	s.writeConfig()
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.dir
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + s.dir, "VOUCH_CONFIG=" + s.configFile()}, s.env...)
	return cmd
}

// vouch runs a command to its end.
func (s *site) vouch(args ...string) outcome {
	s.T.Helper()
	var stdout, stderr bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.T.Fatal(err)
	}
	return outcome{args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// expect runs a command that must exit with code, and say each of the
// patterns on standard output or standard error.
func (s *site) expect(code int, args []string, patterns ...string) outcome {
	s.T.Helper()
	out := s.vouch(args...)
	if out.code != code {
		s.T.Errorf("vouch %s: exit %d, want %d\n%s%s", strings.Join(args, " "), out.code, code, out.stdout, out.stderr)
	}
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(out.stdout + out.stderr) {
			s.T.Errorf("vouch %s: says nothing like %q\n%s%s", strings.Join(args, " "), p, out.stdout, out.stderr)
		}
	}
	return out
}

// syncReport is what the tests read of vouch/report/v1.
type syncReport struct {
	Schema     string
	Generation int
	Lists      []struct{ Subscription, Identifier, Version, Result, Reason, Detail string }
	Images     []syncedImage
	Events     struct{ Emitted, Delivered, Pending int }
	Problems   []struct{ Severity, Subject, Code, Detail, Hint string }
	Download   int64
	Exit       int
}

type syncedImage struct {
	Subscription, Identifier, Version, Result, Reason, Detail string
	Downloaded                                                int64
	ResumedFrom                                               int64 `json:"resumed_from"`
}

// sync runs vouch sync, which must exit with code, and reads its report.
func (s *site) sync(code int, args ...string) syncReport {
	s.T.Helper()
	out := s.vouch(append([]string{"sync", "--output", "json"}, args...)...)
	var rep syncReport
	if err := json.Unmarshal([]byte(out.stdout), &rep); err != nil {
		s.T.Fatalf("vouch sync: exit %d, %v\n%s%s", out.code, err, out.stdout, out.stderr)
	}
	if out.code != code || rep.Exit != code && code != 2 && code != 4 {
		s.T.Fatalf("vouch sync: exit %d (report: %d), want %d\n%s%s", out.code, rep.Exit, code, out.stdout, out.stderr)
	}
	return rep
}

// image finds an image in a report.
func (r syncReport) image(id string) syncedImage {
	for _, i := range r.Images {
		if i.Identifier == id {
			return i
		}
	}
	return syncedImage{}
}

// catalogue is what middleware reads of index.json.
type catalogue struct {
	Schema     string
	State      string
	Generation int
	Lists      []struct{ Identifier, Subscription, Version, Message string }
	Images     []struct {
		Identifier, List, Subscription, Title, SHA512, Path, Blob string
		Size                                                      int64
		Stale                                                     bool
	}
	Withdrawn []struct{ Identifier, List, SHA512, Reason, Kept string }
}

// index reads the catalogue; one that is not there yet is empty.
func (s *site) index() catalogue {
	s.T.Helper()
	var c catalogue
	data, err := os.ReadFile(s.path("cache", "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c
	}
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		s.T.Fatalf("index.json: %v", err)
	}
	return c
}

// endorsed reads an image as middleware does; "" when it is not there.
func (s *site) endorsed(id string) string {
	data, _ := os.ReadFile(s.path("cache", "endorsed", id))
	return string(data)
}

// times are what a run that changes nothing may change of index.json.
var times = regexp.MustCompile(`"(generated|verified)": ?"[^"]*"`)

// cacheTree is the cache as a map from path to content, with the times that
// every run renews left out of the index, and the state's own file left out.
func (s *site) cacheTree() map[string]string {
	s.T.Helper()
	tree := map[string]string{}
	root := s.path("cache")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() || d.Name() == ".vouch" {
			return err
		}
		data, err := os.ReadFile(path)
		if d.Name() == "index.json" {
			data = times.ReplaceAll(data, nil)
		}
		rel, _ := filepath.Rel(root, path)
		tree[rel] = string(data)
		return err
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return tree
}

// sameTree compares two cacheTrees.
func sameTree(t testing.TB, before, after map[string]string) {
	t.Helper()
	for path, data := range before {
		if now, ok := after[path]; !ok {
			t.Errorf("cache: %s is gone", path)
		} else if now != data {
			t.Errorf("cache: %s is different:\n%.600s\nwas\n%.600s", path, now, data)
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			t.Errorf("cache: %s is new", path)
		}
	}
}

// checkBytes asserts I1 and what the index promises: every blob has the digest
// that it is named after, every image in the index has its name and its blob,
// and nothing under endorsed/ has bytes that nobody signed. While an update is
// being published, path and index need not agree (contract §3).
func (s *site) checkBytes(signed map[string]bool) {
	s.T.Helper()
	digests := map[string]string{} // by inode, so that each file is hashed once
	digest := func(path string) string {
		info, err := os.Stat(path)
		if err != nil {
			s.T.Errorf("%v", err)
			return ""
		}
		key := inodeOf(info)
		if digests[key] == "" {
			data, err := os.ReadFile(path)
			if err != nil {
				s.T.Errorf("%v", err)
				return ""
			}
			sum := sha512.Sum512(data)
			digests[key] = hex.EncodeToString(sum[:])
		}
		return digests[key]
	}
	blobs, _ := filepath.Glob(s.path("cache", "blobs", "sha512", "*", "*"))
	for _, b := range blobs {
		if digest(b) != filepath.Base(b) {
			s.T.Errorf("%s holds other bytes", b)
		}
	}
	names, _ := filepath.Glob(s.path("cache", "endorsed", "*"))
	for _, n := range names {
		if !signed[filepath.Base(n)+" "+digest(n)] {
			s.T.Errorf("%s holds bytes that nobody signed", n)
		}
	}
	for _, i := range s.index().Images {
		if d := digest(s.path("cache", i.Blob)); d != i.SHA512 {
			s.T.Errorf("index: %s has digest %.12s, the index says %.12s", i.Blob, d, i.SHA512)
		}
		if _, err := os.Lstat(s.path("cache", i.Path)); err != nil && s.revoked != nil && s.revoked(i.Identifier) {
			continue // killed between the name and the index: what is revoked leaves endorsed/ first (contract §3)
		}
		digest(s.path("cache", i.Path))
	}
}

// loggedEvent is a line of events.jsonl.
type loggedEvent struct {
	ID, Type, Subject string
	Data              struct {
		Subscription, Reason, Detail, SHA512 string
	}
}

// events reads the log, which must be whole lines of ascending, unique ids;
// a rebuilt state counts anew.
func (s *site) events() []loggedEvent {
	s.T.Helper()
	data, err := os.ReadFile(s.path("state", "events.jsonl"))
	if err != nil {
		s.T.Fatal(err)
	}
	var all []loggedEvent
	last := map[string]int{}
	for line := range strings.Lines(string(data)) {
		var e loggedEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			s.T.Fatalf("events.jsonl: %v in %q", err, line)
		}
		state, n := eventNumber(s.T, e.ID)
		if n <= last[state] {
			s.T.Errorf("events.jsonl: %s after number %d", e.ID, last[state])
		}
		last[state] = n
		all = append(all, e)
	}
	return all
}

// publisher is a web server with ranges, validators and conditional requests,
// and hooks for what can go wrong with one.
type publisher struct {
	*httptest.Server
	sent  atomic.Int64 // bytes of bodies below /images/
	mu    sync.Mutex
	files map[string][]byte
	hooks map[string]http.HandlerFunc
}

func newPublisher(t testing.TB) *publisher {
	p := &publisher{files: map[string][]byte{}, hooks: map[string]http.HandlerFunc{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// put serves bytes at a path, and takes a hook away.
func (p *publisher) put(path string, body []byte) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[path] = body
	delete(p.hooks, path)
	return p.URL + path
}

// hook answers a path in its own way; nil serves what was put there.
func (p *publisher) hook(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks[path] = h
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	body, ok := p.files[r.URL.Path]
	h := p.hooks[r.URL.Path]
	p.mu.Unlock()
	switch {
	case h != nil:
		h(w, r)
	case ok:
		p.serve(w, r, body)
	default:
		http.NotFound(w, r)
	}
}

func (p *publisher) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	sum := sha512.Sum512(body)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	if strings.HasPrefix(r.URL.Path, "/images/") {
		w = &countingWriter{w, &p.sent}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// picture is one image to publish.
type picture struct {
	id      string
	content string
	set     object // keys of its entry to change; nil takes one away
}

// draft is a list of these images, whose bytes are served.
func (s *site) draft(version string, images ...picture) *listtest.Builder {
	b := listtest.NewList(s.At).Version(version).NoImages()
	for _, i := range images {
		sum := sha512.Sum512([]byte(i.content))
		uri := s.pub.put("/images/"+hex.EncodeToString(sum[:6]), []byte(i.content))
		b.Image(i.id, []byte(i.content), uri)
		for k, v := range i.set {
			b.ImageSet(k, v)
		}
	}
	return b
}

// publish signs a draft, with changes, and serves it to the subscription.
func (s *site) publish(b *listtest.Builder, changes ...listtest.Change) {
	s.T.Helper()
	s.publishAt("/list", b, changes...)
}

func (s *site) publishAt(path string, b *listtest.Builder, changes ...listtest.Change) {
	s.T.Helper()
	all := append([]listtest.Change{func(m *listtest.Message) { m.List = b }}, changes...)
	s.pub.put(path, s.Message(all...))
}
