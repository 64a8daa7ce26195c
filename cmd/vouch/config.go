package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vouch/cache"
	"vouch/imagelist/trust"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/serve"
)

// configuration is what the files say (contract §2).
type configuration struct {
	File     string // where it was read from
	Site     *subscriber.Config
	Schedule string // default of the subscriptions
	HTTP     serve.Config

	origins map[string]string     // the file of each subscription
	senders map[string]makeSender // of the handlers that are no programs, by name
	paths   []namedPath           // every path in it
}

const systemConfig = "/etc/vouch/vouch.yaml"

// findConfig says which file is the configuration: the one asked for, else
// the first of the usual places that exists.
func findConfig(asked string) (string, error) {
	if asked != "" {
		return filepath.Abs(asked)
	}
	places := []string{systemConfig}
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		places = append(places, filepath.Join(dir, "vouch", "vouch.yaml"))
	} else if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		places = append(places, filepath.Join(home, ".config", "vouch", "vouch.yaml"))
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return p, nil
		}
	}
	return "", &refusal{"no configuration file", "looked for " + strings.Join(places, " and ") + "; name another with --config or VOUCH_CONFIG"}
}

// loadConfig reads the configuration file and the .d directories beside it.
// What is wrong with them is a configErrors that names everything at once.
func loadConfig(file string) (*configuration, error) {
	c := &configuration{
		File: file, Site: defaults(), Schedule: "50 */6 * * *", HTTP: serve.Config{Listen: "127.0.0.1:8780"},
		origins: map[string]string{}, senders: map[string]makeSender{},
	}
	doc, err := readYAML(file, func(n node) { n.object(c.fields()) })
	if err != nil {
		return nil, &refusal{"configuration: " + err.Error(), ""}
	}
	c.paths = append(c.paths, doc.paths...)
	errs := append(doc.errs, c.readSubscriptions()...)
	blocks, err := readBlocks(c.blocksDir())
	if err != nil {
		var wrong configErrors
		if !errors.As(err, &wrong) {
			return nil, err
		}
		errs = append(errs, wrong...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	c.finish(blocks)
	return c, nil
}

// finish fills in what depends on the whole.
func (c *configuration) finish(blocks []subscriber.Block) {
	for i := range c.Site.Subscriptions {
		if s := &c.Site.Subscriptions[i]; s.Schedule == "" {
			s.Schedule = c.Schedule
		}
	}
	for i := range c.Site.Handlers {
		if h := &c.Site.Handlers[i]; c.senders[h.Name] != nil {
			h.Sender = c.senders[h.Name](c.Site)
		}
	}
	for _, dir := range []string{c.subscriptionsDir(), c.blocksDir()} {
		if _, err := os.Stat(dir); err == nil {
			c.Site.Dirs = append(c.Site.Dirs, dir)
		}
	}
	h := &c.HTTP
	h.StateDir, h.CacheDir, h.Trust = c.Site.StateDir, c.Site.Cache.Dir, c.Site.Trust
	for _, s := range c.Site.Subscriptions {
		h.Subscriptions = append(h.Subscriptions, s.Name)
	}
	c.Site.Blocks = blocks
	c.Site.Reload = c.reloadBlocks
}

// reloadBlocks reads blocks.d again. A directory that has gone meanwhile is no
// wish to lift every block.
func (c *configuration) reloadBlocks() ([]subscriber.Block, error) {
	if slices.Contains(c.Site.Dirs, c.blocksDir()) {
		if _, err := os.Stat(c.blocksDir()); err != nil {
			return nil, configErrors{{File: c.blocksDir(), What: errText(err)}}
		}
	}
	return readBlocks(c.blocksDir())
}

func (c *configuration) subscriptionsDir() string {
	return filepath.Join(filepath.Dir(c.File), "subscriptions.d")
}

// credentialsDir is where subscription import puts user names and passwords.
func (c *configuration) credentialsDir() string {
	return filepath.Join(filepath.Dir(c.File), "credentials")
}

func (c *configuration) blocksDir() string { return filepath.Join(filepath.Dir(c.File), "blocks.d") }

// subscription finds one by name.
func (c *configuration) subscription(name string) (*subscriber.Subscription, error) {
	var names []string
	for i := range c.Site.Subscriptions {
		if s := &c.Site.Subscriptions[i]; s.Name == name {
			return s, nil
		}
		names = append(names, c.Site.Subscriptions[i].Name)
	}
	e := &refusal{"no subscription " + quoted(name), "vouch subscription ls shows them"}
	if near := nearest(name, names); near != "" {
		e.hint = "did you mean " + near + "?"
	}
	return nil, e
}

const day = 24 * time.Hour

// defaults is the configuration of an empty file, as contract §2 shows it.
func defaults() *subscriber.Config {
	return &subscriber.Config{
		StateDir:     "/var/lib/vouch",
		EvidenceKeep: 730 * day,
		Cache: subscriber.CacheConfig{
			Dir: "/var/cache/vouch", MinFreePart: 0.05, KeepExpired: 30 * day, CheckEvery: 7 * day,
			Publish: cache.Hardlink, GID: -1, Mode: 0o444,
		},
		Trust: subscriber.TrustConfig{
			Anchors: "/etc/grid-security/certificates", CRL: trust.Require, SigningPolicy: trust.Require,
			AnchorGrace: 6 * time.Hour, OutageGrace: 7 * day,
		},
		Fetch: subscriber.FetchConfig{
			Concurrency: 4, PerHost: 2, IdleTimeout: 30 * time.Second, MinRate: 10 << 10,
			AlarmAfter: 24 * time.Hour, MaxListSize: 16 << 20, TLS: "system",
		},
	}
}

// fields is the top level of the file.
func (c *configuration) fields() fields {
	s := c.Site
	names, handlers := map[string]bool{}, map[string]bool{}
	return fields{
		"state_dir":     pathTo(&s.StateDir),
		"evidence_keep": durationTo(&s.EvidenceKeep),
		"cache":         orNothing(func(n node) { n.object(cacheFields(&s.Cache)) }),
		"trust":         orNothing(func(n node) { n.object(trustFields(&s.Trust)) }),
		"fetch":         orNothing(func(n node) { n.object(fetchFields(&s.Fetch)) }),
		"schedule":      checked(&c.Schedule, checkSchedule),
		"subscriptions": orNothing(func(n node) {
			n.list(func(n node) { c.addSubscription(n, readSubscription(n, ""), names) })
		}),
		"handlers": orNothing(func(n node) {
			n.list(func(n node) { c.addHandler(readHandler(n, handlers)) })
		}),
		"http": orNothing(func(n node) { readHTTP(n, &c.HTTP) }),
	}
}

func (c *configuration) addHandler(h event.Handler, sender makeSender) {
	if sender != nil {
		c.senders[h.Name] = sender
	}
	c.Site.Handlers = append(c.Site.Handlers, h)
}

func (c *configuration) addSubscription(n node, s subscriber.Subscription, names map[string]bool) {
	if s.Name != "" && names[s.Name] {
		n.fail("a second subscription "+quoted(s.Name), "")
		return
	}
	names[s.Name] = true
	c.origins[s.Name] = n.doc.file
	c.Site.Subscriptions = append(c.Site.Subscriptions, s)
}

// readSubscriptions reads subscriptions.d, in the order of the names.
func (c *configuration) readSubscriptions() configErrors {
	names := map[string]bool{}
	for _, s := range c.Site.Subscriptions {
		names[s.Name] = true
	}
	var errs configErrors
	files, err := configFiles(c.subscriptionsDir())
	if err != nil {
		return configErrors{{File: c.subscriptionsDir(), What: errText(err)}}
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if what, fix := checkName(name); what != "" {
			errs = append(errs, &configError{File: file, What: "file name: " + what, Fix: fix})
			continue
		}
		empty := true
		doc, err := readYAML(file, func(n node) {
			empty = false
			c.addSubscription(n, readSubscription(n, name), names)
			c.paths = append(c.paths, n.doc.paths...)
		})
		errs = append(errs, fileErrors(file, doc, err, empty)...)
	}
	return errs
}

// fileErrors are what is wrong with one file of a .d directory, which is never empty.
func fileErrors(file string, doc *document, err error, empty bool) configErrors {
	switch {
	case err != nil:
		return configErrors{{File: file, What: errText(err)}}
	case empty && len(doc.errs) == 0:
		return configErrors{{File: file, What: "empty", Fix: "remove it, or write into it what it is for"}}
	}
	return doc.errs
}

// configFiles lists the *.yaml of a .d directory by name; none when it does
// not exist. Other names are editors' and package managers', save one that was
// surely meant.
func configFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, ".yml"):
			return nil, errors.New(quoted(name) + " is not read: rename it to .yaml")
		case strings.HasSuffix(name, ".yaml"):
			files = append(files, filepath.Join(dir, name))
		}
	}
	slices.Sort(files)
	return files, nil
}

// readBlocks reads a blocks.d directory; what is wrong is a configErrors.
func readBlocks(dir string) ([]subscriber.Block, error) {
	files, err := configFiles(dir)
	if err != nil {
		return nil, configErrors{{File: dir, What: errText(err)}}
	}
	var (
		blocks []subscriber.Block
		errs   configErrors
	)
	for _, file := range files {
		empty := true
		doc, err := readYAML(file, func(n node) {
			empty = false
			blocks = append(blocks, readBlock(n))
		})
		errs = append(errs, fileErrors(file, doc, err, empty)...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return blocks, nil
}

// errText is an error without the path that is printed before it.
func errText(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// known are the event types that a handler may ask for.
var known = []event.Type{
	event.SyncStarted, event.SyncFinished, event.ListAccepted, event.ListRejected, event.ListUnreachable,
	event.ListExpiring, event.ListExpired, event.ImageAnnounced, event.ImageAvailable, event.ImageUpdated,
	event.ImageSuperseded, event.ImageExpired, event.ImageRevoked, event.ImageBlocked, event.ImageDeselected,
	event.ImageCorrupt, event.ImageFailed,
}
