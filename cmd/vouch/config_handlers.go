package main

import (
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"

	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/event/webhook"
)

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
		return webhook.New(c)
	}
}

// checkHook accepts where events may be sent.
func checkHook(s string) (what, fix string) {
	what, fix = checkURL(s)
	if strings.HasPrefix(what, "user information") {
		fix = "the signature by secret_file says who sends"
	}
	return what, fix
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
