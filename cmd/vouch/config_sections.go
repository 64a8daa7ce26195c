package main

import (
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"net/url"
	"os/user"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/imagelist/trust"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/event/webhook"
	"vouch/subscriber/serve"
)

func cacheFields(c *subscriber.CacheConfig) fields {
	return fields{
		"dir":          pathTo(&c.Dir),
		"max_size":     sizeTo(&c.MaxSize),
		"min_free":     spaceTo(&c.MinFree, &c.MinFreePart),
		"keep_expired": durationTo(&c.KeepExpired),
		"check_every":  durationTo(&c.CheckEvery),
		"publish":      choice(&c.Publish, cache.Hardlink, cache.Reflink, cache.Copy),
		"group":        groupTo(&c.GID),
		"mode": func(n node) {
			mode := "0444"
			choice(&mode, "0444", "0440")(n)
			c.Mode = 0o444
			if mode == "0440" {
				c.Mode = 0o440
			}
		},
	}
}

// groupTo reads the name or number of a group of this machine.
func groupTo(gid *int) func(node) {
	return func(n node) {
		name, ok := n.text()
		if !ok || name == "" {
			return
		}
		if v, err := strconv.ParseUint(name, 10, 31); err == nil {
			*gid = int(v)
			return
		}
		g, err := user.LookupGroup(name)
		if err != nil {
			n.fail("no group "+quoted(name)+" on this machine", "create it first")
			return
		}
		*gid, _ = strconv.Atoi(g.Gid)
	}
}

func trustFields(t *subscriber.TrustConfig) fields {
	return fields{
		"anchors":        pathTo(&t.Anchors),
		"crl":            choice(&t.CRL, trust.Require, trust.IfPresent, trust.Ignore),
		"crl_grace":      durationTo(&t.CRLGrace),
		"signing_policy": choice(&t.SigningPolicy, trust.Require, trust.IfPresent, trust.Ignore),
		"anchor_grace":   durationTo(&t.AnchorGrace),
		"outage_grace":   durationTo(&t.OutageGrace),
	}
}

func fetchFields(f *subscriber.FetchConfig) fields {
	return fields{
		"concurrency":    intTo(&f.Concurrency, 1, 64),
		"per_host":       intTo(&f.PerHost, 1, 64),
		"idle_timeout":   atLeast(&f.IdleTimeout, time.Second),
		"min_rate":       sizeTo(&f.MinRate),
		"alarm_after":    durationTo(&f.AlarmAfter),
		"max_list_size":  sizeFrom(&f.MaxListSize, 1<<10, 64<<20),
		"max_list_age":   durationTo(&f.MaxListAge),
		"allow_networks": func(n node) { n.list(networkTo(&f.AllowNetworks)) },
		"tls":            choice(&f.TLS, "system", "anchors", "both"),
		"proxy":          checked(&f.Proxy, checkProxy),
	}
}

func atLeast(dst *time.Duration, least time.Duration) func(node) {
	return func(n node) {
		d := least
		durationTo(&d)(n)
		if d < least {
			n.fail("too short", "at least "+least.String())
			return
		}
		*dst = d
	}
}

func sizeFrom(dst *int64, least, most int64) func(node) {
	return func(n node) {
		v := least
		sizeTo(&v)(n)
		if v < least || v > most {
			n.fail("out of range", "from "+bytesText(least)+" to "+bytesText(most))
			return
		}
		*dst = v
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func checkName(s string) (string, string) {
	if !nameForm.MatchString(s) {
		return "not a name: " + quoted(s), "lower-case letters, digits and -, at most 64, beginning with a letter or digit"
	}
	return "", ""
}

// checkURL accepts where a list may be fetched from. It never quotes the URL,
// which may hold a secret (T-29).
func checkURL(s string) (string, string) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "not a URL", ""
	case u.User != nil:
		return "user information in a URL", "put the user name into a file named by username_file, the password into one named by password_file"
	case u.Scheme != "https" && u.Scheme != "http":
		return "not an https or http URL", ""
	case u.Hostname() == "":
		return "a URL without a host", ""
	case u.Fragment != "":
		return "a URL with a fragment", "take # and what follows away"
	}
	return "", ""
}

// checkHook accepts where events may be sent.
func checkHook(s string) (what, fix string) {
	what, fix = checkURL(s)
	if strings.HasPrefix(what, "user information") {
		fix = "the signature by secret_file says who sends"
	}
	return what, fix
}

func checkProxy(s string) (string, string) {
	if s == "" {
		return "", ""
	}
	return checkURL(s)
}

// readHTTP reads how the daemon answers over HTTP.
func readHTTP(n node, h *serve.Config) {
	h.Clients = "none"
	n.object(fields{
		"listen":           checked(&h.Listen, checkListen),
		"certificate_file": pathTo(&h.CertificateFile),
		"key_file":         pathTo(&h.KeyFile),
		"token_file":       pathTo(&h.TokenFile),
		"clients":          choice(&h.Clients, "none", "require"),
		"client_dns": func(n node) {
			n.list(func(n node) {
				dn := ""
				checked(&dn, checkDN)(n)
				h.ClientDNs = append(h.ClientDNs, dn)
			})
		},
	})
	switch {
	case n.has("certificate_file") != n.has("key_file"):
		n.fail("only one of certificate_file and key_file", "TLS needs both")
	case h.Clients == "require" && !n.has("certificate_file"):
		n.fail("clients: require without TLS", "name a certificate_file and a key_file")
	case n.has("client_dns") && h.Clients != "require":
		n.fail("client_dns: nobody is asked for a certificate", "clients: require")
	}
}

func checkListen(s string) (string, string) {
	if s == "" || s == "off" {
		return "", ""
	}
	_, port, err := net.SplitHostPort(s)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		return "not an address: " + quoted(s), "such as 127.0.0.1:8780, or off"
	}
	return "", ""
}

// checkSchedule accepts what subscriber.ParseSchedule does.
func checkSchedule(s string) (what, fix string) {
	_, err := subscriber.ParseSchedule(s)
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, subscriber.ErrTooOften):
		fix = "at least @every " + subscriber.ShortestEvery.String()
	case errors.Is(err, subscriber.ErrZone):
		fix = `such as "CRON_TZ=Europe/Paris 50 */6 * * *"`
	default:
		fix = `a cron expression such as "50 */6 * * *", or @every 6h`
	}
	return err.Error() + ": " + quoted(s), fix
}

// readSubscription reads one; name is that of its file, "" in the main file.
func readSubscription(n node, name string) subscriber.Subscription {
	s := subscriber.Subscription{Name: name}
	purpose := "smime"
	n.object(fields{
		"name": func(n node) {
			checked(&s.Name, checkName)(n)
			if name != "" && s.Name != name {
				n.fail("the file says "+quoted(name), "take the name away, or rename the file")
			}
		},
		"url":           checked(&s.URL, checkURL),
		"list":          func(n node) { identifierTo((*string)(&s.List))(n) },
		"endorsers":     func(n node) { n.list(func(n node) { s.Endorsers = append(s.Endorsers, readEndorser(n)) }) },
		"schedule":      checked(&s.Schedule, checkSchedule),
		"username_file": pathTo(&s.UsernameFile),
		"password_file": pathTo(&s.PasswordFile),
		"images":        func(n node) { readSelection(n, &s) },
		"purpose":       choice(&purpose, "smime", "any"),
		"allow_sha1":    boolTo(&s.AllowSHA1),
		"binary":        boolTo(&s.Binary),
	})
	s.AnyPurpose = purpose == "any"
	if name == "" {
		n.need("name")
	}
	n.need("url", "endorsers")
	if n.has("endorsers") && len(s.Endorsers) == 0 {
		n.fail("nobody may speak for this subscription", "endorsers: [{dn: /..., ca: /...}]")
	}
	if s.PasswordFile != "" && s.UsernameFile == "" {
		n.fail("password_file without username_file", "")
	}
	return s
}

func readEndorser(n node) imagelist.Authorised {
	var (
		e    imagelist.Authorised
		seen string
	)
	n.object(fields{
		"dn":   checked(&e.DN, checkDN),
		"ca":   checked(&e.CA, checkDN),
		"seen": hexTo(&seen, 256),
		"pin":  hexTo(&e.Pin, 256),
	})
	n.need("dn", "ca")
	return e
}

func checkDN(s string) (string, string) {
	if !strings.HasPrefix(s, "/") || len(s) < 4 || !strings.Contains(s, "=") {
		return "not a distinguished name: " + quoted(s), "such as /DC=org/DC=example/CN=Alice"
	}
	return "", ""
}

var identifierForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func identifierTo(dst *string) func(node) {
	return checked(dst, func(s string) (string, string) {
		if !identifierForm.MatchString(s) {
			return "not an identifier: " + quoted(s), "the dc:identifier of a list or image, such as a UUID"
		}
		return "", ""
	})
}

func readSelection(n node, s *subscriber.Subscription) {
	hold := func(dst *bool) func(node) {
		return func(n node) {
			word := "accept"
			choice(&word, "accept", "hold")(n)
			*dst = word == "hold"
		}
	}
	n.object(fields{
		"include": selectorsTo(&s.Include),
		"exclude": selectorsTo(&s.Exclude),
		"new":     hold(&s.HoldNew),
		"updates": hold(&s.HoldUpdates),
	})
}

func selectorsTo(dst *[]subscriber.Selector) func(node) {
	return func(n node) {
		n.list(func(n node) { *dst = append(*dst, readSelector(n)) })
		if len(*dst) == 0 {
			n.fail("an empty selection", "take the key away to select everything")
		}
	}
}

func readSelector(n node) subscriber.Selector {
	var s subscriber.Selector
	n.object(fields{
		"identifier": identifierTo(&s.Identifier),
		"sha512":     hexTo(&s.SHA512, 512),
		"title":      checked(&s.Title, checkGlob),
		"os":         textTo(&s.OS),
		"arch":       textTo(&s.Arch),
		"format":     textTo(&s.Format),
		"hypervisor": textTo(&s.Hypervisor),
	})
	if s == (subscriber.Selector{}) {
		n.fail("a selector that selects nothing in particular", "one of identifier, sha512, title, os, arch, format, hypervisor")
	}
	return s
}

func checkGlob(s string) (string, string) {
	if _, err := path.Match(s, ""); err != nil {
		return "not a pattern: " + quoted(s), "* any text, ? one character, [ab] one of these"
	}
	return "", ""
}

// makeSender makes a handler's sender when the whole configuration is known.
type makeSender func(*subscriber.Config) event.Sender

// senderKinds are the kinds of handler that are no programs, by their keys.
var senderKinds = map[string]func(node) makeSender{
	"amqp":    readAMQP,
	"nats":    readNATS,
	"webhook": readWebhook,
}

// senderTimeout is for one event, unless the handler has a timeout.
const senderTimeout = 10 * time.Second

// readHandler reads one; the second result is nil for a program.
func readHandler(n node, names map[string]bool) (event.Handler, makeSender) {
	h := event.Handler{MaxAge: 7 * day, Timeout: 15 * time.Minute}
	start, kinds := "current", []string{"exec", "shell"}
	var sender makeSender
	f := fields{
		"name":      checked(&h.Name, checkName),
		"exec":      func(n node) { h.Exec = readCommand(n) },
		"shell":     textTo(&h.Shell),
		"vmcatcher": boolTo(&h.VMCatcher),
		"events":    func(n node) { n.list(func(n node) { h.Events = append(h.Events, readEventGlob(n)) }) },
		"max_age":   durationTo(&h.MaxAge),
		"start":     choice(&start, "current", "now"),
		"timeout":   atLeast(&h.Timeout, time.Second),
		"env":       func(n node) { h.Env = readEnv(n) },
		"env_file":  pathTo(&h.EnvFile),
		"user":      textTo(&h.User),
	}
	for _, kind := range slices.Sorted(maps.Keys(senderKinds)) {
		f[kind] = func(n node) { sender = senderKinds[kind](n) }
		kinds = append(kinds, kind)
	}
	n.object(f)
	h.FromNow = start == "now"
	n.need("name")
	if h.Name != "" && names[h.Name] {
		n.fail("a second handler "+quoted(h.Name), "")
	}
	names[h.Name] = true
	checkKind(n, kinds)
	if n.has("shell") && strings.TrimSpace(h.Shell) == "" {
		n.fail("shell is empty", "")
	}
	if sender != nil && !n.has("timeout") {
		h.Timeout = senderTimeout
	}
	return h, sender
}

// checkKind sees that a handler is of one kind and has no keys of another.
func checkKind(n node, kinds []string) {
	have := slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return !n.has(k) })
	switch {
	case len(have) == 0:
		n.fail("none of "+strings.Join(kinds, ", "), "exec: [/path/to/program, argument]")
	case len(have) > 1:
		n.fail("both "+strings.Join(have, " and "), "a handler is of one kind: make two of it")
	case senderKinds[have[0]] != nil:
		for _, key := range []string{"vmcatcher", "env", "env_file", "user"} {
			if n.has(key) {
				n.fail(key+" with "+have[0], "it is for programs, exec or shell: take it away")
			}
		}
	}
}

// readWebhook reads what an endpoint is told with (package webhook).
func readWebhook(n node) makeSender {
	var c webhook.Config
	unsigned := false
	n.object(fields{
		"url":         checked(&c.URL, checkHook),
		"secret_file": pathTo(&c.SecretFile),
		"unsigned":    boolTo(&unsigned),
		"ca_file":     orEmpty(pathTo(&c.CAFile)),
	})
	n.need("url")
	switch {
	case unsigned && n.has("secret_file"):
		n.fail("both secret_file and unsigned", "one of them")
	case !unsigned && !n.has("secret_file"):
		n.fail("missing key secret_file", "who receives events must be able to tell that they are yours; or, on a path that nobody else can use, unsigned: true")
	}
	return func(site *subscriber.Config) event.Sender {
		c.TLS, c.AllowNetworks = site.Fetch.TLS, site.Fetch.AllowNetworks
		c.Anchors = func() ([]*x509.Certificate, error) {
			store, err := trust.Load(site.Trust.Anchors)
			if err != nil {
				return nil, err
			}
			return store.Roots(), nil
		}
		return webhook.New(c)
	}
}

func readCommand(n node) []string {
	var argv []string
	n.list(func(n node) {
		s, ok := n.text()
		if ok && strings.ContainsRune(s, 0) {
			n.fail("a NUL in an argument", "")
		}
		if ok && len(argv) == 0 && !filepath.IsAbs(s) {
			n.fail("not an absolute path: "+quoted(s), "no shell looks for it")
		}
		argv = append(argv, s)
	})
	if len(argv) == 0 {
		n.fail("no command", "exec: [/path/to/program, argument]")
	}
	return argv
}

func readEventGlob(n node) string {
	s, ok := n.text()
	if !ok {
		return ""
	}
	for _, t := range known {
		if ok, err := path.Match(s, string(t)); ok && err == nil {
			return s
		}
	}
	n.fail("no event type is like "+quoted(s), `such as image.available, or "image.*"`)
	return s
}

var envForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func readEnv(n node) map[string]string {
	env := map[string]string{}
	n.entries(func(key string, at *token.Token, value node) {
		s, ok := value.text()
		switch {
		case !envForm.MatchString(key):
			n.doc.failAt(at, "not a variable: "+quoted(key), "letters, digits and _")
		case ok && strings.ContainsRune(s, 0):
			value.fail("a NUL in a value", "")
		case ok:
			env[key] = s
		}
	})
	return env
}

// blockKinds are the keys of which a block has exactly one.
var blockKinds = []string{"image", "sha512", "endorser", "cert", "list"}

func checkReason(s string) (string, string) {
	if strings.TrimSpace(s) == "" {
		return "no reason given", "the next person will want to know"
	}
	return "", ""
}

func readBlock(n node) subscriber.Block {
	b := subscriber.Block{File: n.doc.file}
	n.object(fields{
		"image":    identifierTo(&b.Image),
		"sha512":   hexTo(&b.SHA512, 512),
		"endorser": checked(&b.Endorser, checkDN),
		"ca":       checked(&b.CA, checkDN),
		"cert":     hexTo(&b.Cert, 256),
		"list":     identifierTo(&b.List),
		"reason":   checked(&b.Reason, checkReason),
		"until":    instantTo(&b.Until),
	})
	if have := slices.DeleteFunc(slices.Clone(blockKinds), func(k string) bool { return !n.has(k) }); len(have) != 1 {
		n.fail("a block is of exactly one thing", "one of "+strings.Join(blockKinds, ", "))
	}
	if n.has("ca") && !n.has("endorser") {
		n.fail("ca without endorser", "")
	}
	n.need("reason")
	return b
}
