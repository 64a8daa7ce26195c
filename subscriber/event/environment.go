package event

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vouch/subscriber/secret"
)

const (
	// maxValue bounds one variable, in bytes. Linux refuses to start a
	// program with a string of 128 KiB, and the event would be lost (T-44).
	maxValue = 32 << 10
	// maxEnvFile bounds a handler's env_file, in bytes.
	maxEnvFile = 64 << 10
)

// environment is the whole environment of a handler, by variable name.
type environment map[string]string

// list is the environment as os/exec takes it, sorted.
func (env environment) list() []string {
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// setText sets a variable to text that others wrote: control characters
// become spaces, invalid UTF-8 becomes U+FFFD, and what is too long is cut.
// An empty value is not set, not even when the handler's own env has it.
func (env environment) setText(name, value string) {
	delete(env, name)
	if value = safeText(value); value != "" {
		env[name] = value
	}
}

func safeText(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= maxValue {
		return s
	}
	end := maxValue
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// environment is everything the program of one call will see: PATH, HOME and
// LANG, the handler's env, its env_file (which wins over env), and the event's
// variables, which win over both.
func (h Handler) environment(c call, home string) (environment, error) {
	env := environment{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME": "/",
		"LANG": "C.UTF-8",
	}
	for name := range env {
		if value := os.Getenv(name); value != "" {
			env[name] = value
		}
	}
	if home != "" {
		env["HOME"] = home
	}
	maps.Copy(env, h.Env)
	if h.EnvFile != "" {
		extra, err := readEnvFile(h.EnvFile)
		if err != nil {
			return nil, err
		}
		maps.Copy(env, extra)
	}
	env.setText("VOUCH_HANDLER", h.Name)
	c.setOwn(env)
	if h.VMCatcher {
		if err := c.setLegacy(env); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// setOwn adds the variables that every handler gets.
func (c call) setOwn(env environment) {
	env.setText("VOUCH_EVENT_ID", c.event.ID)
	env.setText("VOUCH_EVENT_TYPE", string(c.event.Type))
	env.setText("VOUCH_EVENT_REASON", c.reason)
	env.setText("VOUCH_ENDORSER_DN", c.endorser)
	env.setText("VOUCH_LIST_VERSION", c.listVersion)
	expires, blob := "", ""
	if !c.listExpires.IsZero() {
		expires = c.listExpires.UTC().Format(time.RFC3339)
	}
	if c.image.Blob != "" {
		blob = filepath.Join(c.place.CacheDir, c.image.Blob)
	}
	env.setText("VOUCH_LIST_EXPIRES", expires)
	env.setText("VOUCH_BLOB", blob)
}

var variableName = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]*\z`)

// readEnvFile reads KEY=VALUE lines: the value is what follows the first "=",
// verbatim and without quoting; empty lines and those beginning with # are
// skipped. The file is one of package secret, and errors never quote it.
func readEnvFile(name string) (environment, error) {
	text, err := secret.Read(name, maxEnvFile)
	if err != nil {
		return nil, fmt.Errorf("env_file: %w", err)
	}
	env := environment{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !variableName.MatchString(key) {
			return nil, fmt.Errorf("env_file %s: line %d: not KEY=VALUE", name, n)
		}
		env[key] = value
	}
	return env, nil
}
