package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

// writeConfig writes files into a directory and returns the path of vouch.yaml.
func writeConfig(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "vouch.yaml")
}

func load(t *testing.T, files map[string]string) *configuration {
	t.Helper()
	c, err := loadConfig(writeConfig(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The sample is the manual: it must say the defaults, and nothing else.
func TestConfig_SampleIsTheDefaults(t *testing.T) {
	sample, err := loadConfig("../../etc/vouch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	empty := load(t, map[string]string{"vouch.yaml": ""})
	for _, c := range []*configuration{sample, empty} {
		c.Site.Reload, c.Site.Dirs, c.Site.Subscriptions, c.Site.Handlers, c.Site.Fetch.AllowNetworks = nil, nil, nil, nil, nil
	}
	if !reflect.DeepEqual(sample.Site, empty.Site) {
		t.Errorf("sample says\n%+v\ndefaults are\n%+v", sample.Site, empty.Site)
	}
	if sample.Schedule != empty.Schedule || sample.HTTP.Listen != empty.HTTP.Listen {
		t.Errorf("schedule %q %q, listen %q %q", sample.Schedule, empty.Schedule, sample.HTTP.Listen, empty.HTTP.Listen)
	}
}

// Its examples, once they are no comments, must be read as well.
func TestConfig_SampleExamplesAreValid(t *testing.T) {
	raw, err := os.ReadFile("../../etc/vouch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("ab", 32)
	var text []string
	for line := range strings.Lines(string(raw)) {
		for _, section := range []string{"subscriptions", "handlers"} {
			if strings.HasPrefix(line, section+": []") {
				line = ""
			}
		}
		if strings.HasPrefix(line, "# subscriptions:") || strings.HasPrefix(line, "# handlers:") || strings.HasPrefix(line, "#   ") && !strings.HasPrefix(line, "#     vouch") &&
			!strings.HasPrefix(line, "#     subs") && !strings.HasPrefix(line, "#     add") && !strings.HasPrefix(line, "#     blocks") && !strings.Contains(line, `add" writes`) {
			line = line[2:]
		}
		text = append(text, line)
	}
	yaml := strings.NewReplacer("5f3dc9…", digest, "8a77f2…", digest).Replace(strings.Join(text, ""))
	c := load(t, map[string]string{"vouch.yaml": yaml})
	if len(c.Site.Subscriptions) != 1 || len(c.Site.Handlers) != 4 || slices.ContainsFunc(c.Site.Handlers[1:], func(h event.Handler) bool { return h.Sender == nil }) {
		t.Fatalf("have %d subscriptions and %d handlers", len(c.Site.Subscriptions), len(c.Site.Handlers))
	}
	if s := c.Site.Subscriptions[0]; s.Endorsers[0].Pin != digest || len(s.Include) != 2 || s.Schedule != "@every 1h" {
		t.Errorf("subscription %+v", s)
	}
}

func TestConfig_Everything(t *testing.T) {
	sha := strings.Repeat("0a", 64)
	c := load(t, map[string]string{
		"vouch.yaml": `
evidence_keep: 1d12h
cache: {max_size: 1.5TiB, min_free: 10GiB, publish: copy, mode: "0440", group: "123"}
trust: {crl: if-present, crl_grace: 90s}
fetch: {allow_networks: ["10.0.0.0/8"], min_rate: 0}
subscriptions:
  - {name: z, url: "https://z.example.org/l?t=1", endorsers: [{dn: /CN=a, ca: /CN=b}], purpose: any, allow_sha1: true, images: {updates: hold}}
`,
		"subscriptions.d/a.yaml":  "url: http://a.example.org/l\nendorsers: [{dn: /CN=a, ca: /CN=b}]\nschedule: '@every 2h'\n",
		"subscriptions.d/.x.yaml": "not: read",
		"subscriptions.d/x.yaml~": "not: read",
		"blocks.d/b.yaml":         "sha512: " + strings.ToUpper(sha) + "\nreason: bad\nuntil: 2026-01-01T01:00:00+01:00\n",
	})
	s := c.Site
	want := []subscriber.Subscription{
		{Name: "z", URL: "https://z.example.org/l?t=1", Endorsers: []imagelist.Authorised{{DN: "/CN=a", CA: "/CN=b"}}, Schedule: "50 */6 * * *", AnyPurpose: true, AllowSHA1: true, HoldUpdates: true},
		{Name: "a", URL: "http://a.example.org/l", Endorsers: []imagelist.Authorised{{DN: "/CN=a", CA: "/CN=b"}}, Schedule: "@every 2h"},
	}
	if !reflect.DeepEqual(s.Subscriptions, want) {
		t.Errorf("subscriptions\n%+v, want\n%+v", s.Subscriptions, want)
	}
	if s.EvidenceKeep != 36*time.Hour || s.Cache.MaxSize != 3<<39 || s.Cache.MinFree != 10<<30 || s.Cache.MinFreePart != 0 ||
		s.Cache.Publish != cache.Copy || s.Cache.Mode != 0o440 || s.Cache.GID != 123 || s.Trust.CRLGrace != 90*time.Second || s.Fetch.MinRate != 0 {
		t.Errorf("values %+v", s)
	}
	if len(s.Blocks) != 1 || s.Blocks[0].SHA512 != sha || !s.Blocks[0].Until.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("blocks %+v", s.Blocks)
	}
	if len(s.Dirs) != 2 {
		t.Errorf("dirs %q", s.Dirs)
	}
}

// Every mistake is named with its place (T-15): nothing is ignored silently.
func TestT15_ConfigMistakes(t *testing.T) {
	sub := func(more string) string {
		return "subscriptions:\n- name: a\n  url: https://h/l\n  endorsers: [{dn: /CN=a, ca: /CN=b}]\n" + more
	}
	handler := func(more string) string { return "handlers:\n- name: a\n" + more }
	for _, c := range []struct{ name, yaml, want string }{
		{"syntax", "a: [1", ":1:4: "},
		{"tab", "cache:\n\tdir: /x\n", ":2:1: "},
		{"not a mapping", "- a\n", ":1:1: want a mapping, have a list"},
		{"text alone", "hello", ":1:1: want a mapping, have text"},
		{"second document", "state_dir: /a\n---\nstate_dir: /b\n", ":3:1: a second YAML document"},
		{"not UTF-8", "state_dir: /\xff\n", ": not UTF-8 text"},
		{"unknown key", "cache:\n  dirs: /x\n", ":2:3: unknown key \"dirs\"; did you mean dir?"},
		{"unknown top key", "insecure: true\n", ":1:1: unknown key \"insecure\"; known here: cache, "},
		{"duplicate key", "state_dir: /a\nstate_dir: /b\n", ":2:1: key \"state_dir\" comes twice"},
		{"duplicate in flow", "cache: {dir: /a, dir: /b}\n", ":1:18: key \"dir\" comes twice"},
		{"number for text", "state_dir: 5\n", ":1:12: want text, have a number; put it in quotes"},
		{"octal for text", "cache:\n  mode: 0444\n", ":2:9: want text, have a number; put it in quotes"},
		{"boolean for text", "cache: {group: true}\n", ":1:16: want text, have true or false; put it in quotes"},
		{"nothing for text", "state_dir:\n", ":1:12: want text, have nothing"},
		{"text for boolean", sub("  binary: yes\n"), ":5:11: want true or false, have text"},
		{"text for number", "fetch: {concurrency: '4'}\n", ":1:22: want a whole number, have text"},
		{"list for mapping", "cache: []\n", ":1:8: want a mapping, have a list"},
		{"mapping for list", "handlers: {a: b}\n", ":1:12: want a list, have a mapping"},
		{"alias", "state_dir: &a /x\n", ":1:12: want text, have an anchor, alias or tag; write the value itself"},
		{"relative path", "state_dir: var/lib\n", ":1:12: not an absolute path: \"var/lib\"; begin it with /"},
		{"duration without unit", "evidence_keep: 730\n", ":1:16: a number without a unit; units are s m h d"},
		{"duration in weeks", "evidence_keep: 2w\n", ":1:16: not a duration: \"2w\"; such as"},
		{"negative duration", "evidence_keep: -2d\n", ":1:16: not a duration"},
		{"endless duration", "evidence_keep: 999999999d\n", ":1:16: not a duration"},
		{"size without unit", "cache: {max_size: 5}\n", ":1:19: a number without a unit; units are KiB"},
		{"size in MB", "cache: {max_size: 5MB}\n", ":1:19: not a size: \"5MB\"; such as"},
		{"endless size", "cache: {max_size: 999999999TiB}\n", ":1:19: not a size"},
		{"percentage", "cache: {min_free: 100%}\n", ":1:19: not a percentage: \"100%\"; such as 5%"},
		{"choice", "trust: {crl: required}\n", ":1:14: unknown value \"required\"; one of require, if-present, ignore"},
		{"out of range", "fetch: {concurrency: 0}\n", ":1:22: out of range; from 1 to 64"},
		{"list size", "fetch: {max_list_size: 1GiB}\n", ":1:24: out of range; from 1.0 KiB to 64 MiB"},
		{"network", "fetch: {allow_networks: [10.0.0.1/8]}\n", ":1:26: not a network: \"10.0.0.1/8\""},
		{"group", "cache: {group: no-such-group-here}\n", ":1:16: no group \"no-such-group-here\" on this machine"},
		{"listen", "http: {listen: here}\n", ":1:16: not an address: \"here\""},
		{"certificate alone", "http: {certificate_file: /a}\n", ":1:8: only one of certificate_file and key_file; TLS needs both"},
		{"clients without TLS", "http: {clients: require}\n", ":1:8: clients: require without TLS; name a certificate_file"},
		{"clients", "http: {clients: optional}\n", ":1:17: unknown value \"optional\"; one of none, require"},
		{"names of nobody", "http: {client_dns: [/CN=a]}\n", ":1:8: client_dns: nobody is asked for a certificate; clients: require"},
		{"name in RFC 2253", "http: {certificate_file: /a, key_file: /b, clients: require, client_dns: ['CN=a']}\n", ":1:75: not a distinguished name: \"CN=a\""},
		{"token in the file", "http: {token: secret}\n", ":1:8: unknown key \"token\"; did you mean token_file?"},
		{"proxy with secret", "fetch: {proxy: 'http://u:p@h/'}\n", ":1:16: user information in a URL; "},

		{"schedule", "schedule: whenever\n", ":1:11: not a schedule: \"whenever\""},
		{"schedule panics", "schedule: TZ=UTC\n", ":1:11: not a schedule: \"TZ=UTC\""},
		{"schedule never", "schedule: 0 0 31 2 *\n", ":1:11: a date that never comes: \"0 0 31 2 *\""},
		{"schedule too often", "schedule: '@every 0s'\n", ":1:11: too often: \"@every 0s\"; at least @every 1m0s"},
		{"schedule negative", "schedule: '@every -5m'\n", ":1:11: too often"},
		{"schedule reboot", "schedule: '@reboot'\n", ":1:11: not a schedule"},

		{"subscription without name", "subscriptions:\n- url: https://h/l\n  endorsers: [{dn: /CN=a, ca: /CN=b}]\n", ":2:3: missing key name"},
		{"subscription without url", "subscriptions:\n- name: a\n  endorsers: [{dn: /CN=a, ca: /CN=b}]\n", ":2:3: missing key url"},
		{"nobody authorised", "subscriptions:\n- {name: a, url: 'https://h/l', endorsers: []}\n", ":2:4: nobody may speak for this subscription"},
		{"endorser without ca", "subscriptions:\n- {name: a, url: 'https://h/l', endorsers: [{dn: /CN=a}]}\n", ":2:46: missing key ca"},
		{"endorser in RFC 2253", "subscriptions:\n- {name: a, url: 'https://h/l', endorsers: [{dn: 'CN=a', ca: /CN=b}]}\n", ":2:50: not a distinguished name: \"CN=a\""},
		{"pin", "subscriptions:\n- {name: a, url: 'https://h/l', endorsers: [{dn: /CN=a, ca: /CN=b, pin: abc}]}\n", ":2:73: not a digest; want 64 hexadecimal digits"},
		{"bad name", "subscriptions:\n- {name: A_b, url: 'https://h/l', endorsers: [{dn: /CN=a, ca: /CN=b}]}\n", ":2:10: not a name: \"A_b\""},
		{"second of a name", sub("") + "- name: a\n  url: https://h/l\n  endorsers: [{dn: /CN=a, ca: /CN=b}]\n", ":5:3: a second subscription \"a\""},
		{"file URL", "subscriptions:\n- {name: a, url: 'file:///l', endorsers: [{dn: /CN=a, ca: /CN=b}]}\n", ":2:18: not an https or http URL"},
		{"secret in URL", "subscriptions:\n- {name: a, url: 'https://u:p@h/l', endorsers: [{dn: /CN=a, ca: /CN=b}]}\n", ":2:18: user information in a URL; put the user name into a file"},
		{"password alone", sub("  password_file: /x\n"), ":2:3: password_file without username_file"},
		{"empty include", sub("  images: {include: []}\n"), ":5:21: an empty selection"},
		{"empty selector", sub("  images: {include: [{}]}\n"), ":5:22: a selector that selects nothing"},
		{"selector glob", sub("  images: {include: [{title: '[a'}]}\n"), ":5:30: not a pattern: \"[a\""},
		{"selector digest", sub("  images: {include: [{sha512: abc}]}\n"), ":5:31: not a digest; want 128"},
		{"number identifier", sub("  images: {include: [{identifier: 12345}]}\n"), ":5:35: want text, have a number; put it in quotes"},
		{"purpose", sub("  purpose: none\n"), ":5:12: unknown value \"none\"; one of smime, any"},

		{"handler twice", handler("  exec: [/x]\n") + "- name: a\n  exec: [/x]\n", ":4:3: a second handler \"a\""},
		{"exec and shell", handler("  exec: [/x]\n  shell: x\n"), ":2:3: both exec and shell; a handler is of one kind"},
		{"no kind", handler("  timeout: 1m\n"), ":2:3: none of exec, shell"},
		{"exec and webhook", handler("  exec: [/x]\n  webhook: {url: 'https://h/', unsigned: true}\n"), ":2:3: both exec and webhook"},
		{"webhook for vmcatcher", handler("  webhook: {url: 'https://h/', unsigned: true}\n  vmcatcher: true\n"), ":2:3: vmcatcher with webhook; it is for programs"},
		{"webhook with user", handler("  webhook: {url: 'https://h/', unsigned: true}\n  user: root\n"), ":2:3: user with webhook; it is for programs"},
		{"webhook without url", handler("  webhook: {unsigned: true}\n"), ":3:13: missing key url"},
		{"webhook that nobody signs", handler("  webhook: {url: 'https://h/'}\n"), ":3:13: missing key secret_file; "},
		{"webhook in two minds", handler("  webhook: {url: 'https://h/', secret_file: /x, unsigned: true}\n"), ":3:13: both secret_file and unsigned"},
		{"secret in webhook URL", handler("  webhook: {url: 'https://u:p@h/', unsigned: true}\n"), ":3:18: user information in a URL"},
		{"nats and amqp", handler("  nats: {url: 'tls://h'}\n  amqp: {url: 'amqps://h'}\n"), ":2:3: both amqp and nats; a handler is of one kind"},
		{"nats with env", handler("  nats: {url: 'tls://h'}\n  env: {A: b}\n"), ":2:3: env with nats; it is for programs"},
		{"nats without url", handler("  nats: {subject: a}\n"), ":3:10: missing key url"},
		{"secret in nats URL", handler("  nats: {url: 'tls://u:p@h'}\n"), ":3:10: user information in a URL; put the user name into a file"},
		{"nats in clear", handler("  nats: {url: 'nats://h.example.org', token_file: /x}\n"), ":3:10: credentials over an unencrypted connection; use TLS"},
		{"nats subject", handler("  nats: {url: 'tls://h', subject: 'a.>'}\n"), ":3:10: not a subject: \"a.>\""},
		{"half a nats login", handler("  nats: {url: 'tls://h', username_file: /x}\n"), ":3:10: only one of username_file and password_file; give both"},
		{"secret in amqp URL", handler("  amqp: {url: 'amqps://u:p@h/v'}\n"), ":3:10: user information in a URL"},
		{"amqp by another name", handler("  amqp: {url: 'https://h/'}\n"), ":3:10: url is neither amqps:// nor amqp://"},
		{"amqp with a token", handler("  amqp: {url: 'amqps://h/', token_file: /x}\n"), ":3:29: unknown key"},
		{"relative exec", handler("  exec: [x, y]\n"), ":3:10: not an absolute path: \"x\"; no shell looks for it"},
		{"number argument", handler("  exec: [/x, 5]\n"), ":3:14: want text, have a number"},
		{"event type", handler("  exec: [/x]\n  events: [image.avialable]\n"), ":4:12: no event type is like \"image.avialable\""},
		{"variable", handler("  exec: [/x]\n  env: {A-B: x}\n"), ":4:9: not a variable: \"A-B\""},
		{"number variable", handler("  exec: [/x]\n  env: {A: 1}\n"), ":4:12: want text, have a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := writeConfig(t, map[string]string{"vouch.yaml": c.yaml})
			_, err := loadConfig(file)
			var wrong configErrors
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(err.Error(), file+c.want) {
				t.Errorf("have %s\nwant %s", strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", ""), c.want)
			}
			if strings.Contains(err.Error(), "u:p") {
				t.Errorf("T-29: %s", err)
			}
			if exitCode(err) != exitUsage {
				t.Errorf("exit %d", exitCode(err))
			}
		})
	}
}

func TestT15_ConfigDirectories(t *testing.T) {
	good := "url: https://h/l\nendorsers: [{dn: /CN=a, ca: /CN=b}]\n"
	for _, c := range []struct{ name, file, text, want string }{
		{"yml", "subscriptions.d/a.yml", good, `subscriptions.d: "a.yml" is not read: rename it to .yaml`},
		{"file name", "subscriptions.d/A.yaml", good, "A.yaml: file name: not a name"},
		{"other name", "subscriptions.d/a.yaml", good + "name: b\n", `a.yaml:3:7: the file says "a"`},
		{"empty", "subscriptions.d/a.yaml", "# later\n", "a.yaml: empty"},
		{"empty block", "blocks.d/a.yaml", "", "a.yaml: empty"},
		{"two things", "blocks.d/a.yaml", "image: x\nlist: y\nreason: z\n", "a.yaml:1:1: a block is of exactly one thing"},
		{"nothing", "blocks.d/a.yaml", "reason: z\n", "a.yaml:1:1: a block is of exactly one thing"},
		{"no reason", "blocks.d/a.yaml", "image: x\n", "a.yaml:1:1: missing key reason"},
		{"blank reason", "blocks.d/a.yaml", "image: x\nreason: ' '\n", "a.yaml:2:9: no reason given"},
		{"ca alone", "blocks.d/a.yaml", "image: x\nca: /CN=a\nreason: z\n", "a.yaml:1:1: ca without endorser"},
		{"path", "blocks.d/a.yaml", "image: ../x\nreason: z\n", `a.yaml:1:8: not an identifier: "../x"`},
		{"until", "blocks.d/a.yaml", "image: x\nreason: z\nuntil: tomorrow\n", "a.yaml:3:8: not a time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadConfig(writeConfig(t, map[string]string{"vouch.yaml": "", c.file: c.text}))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("have %v\nwant %s", err, c.want)
			}
		})
	}
}

// A block written while a run is going on is seen; a directory that went
// meanwhile lifts nothing.
func TestConfig_ReloadBlocks(t *testing.T) {
	c := load(t, map[string]string{"vouch.yaml": "", "blocks.d/a.yaml": "image: x\nreason: y\n"})
	if err := os.WriteFile(filepath.Join(c.blocksDir(), "b.yaml"), []byte("list: x\nreason: y\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	blocks, err := c.Site.Reload()
	if err != nil || len(blocks) != 2 {
		t.Errorf("%d blocks, %v", len(blocks), err)
	}
	if err := os.RemoveAll(c.blocksDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Site.Reload(); err == nil {
		t.Error("a vanished directory lifted every block")
	}
}

// Blocks and subscriptions are written as they are read.
func TestBlockName(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range []subscriber.Block{
		{Image: "63175437-7d59-4851-b333-c96cb6545a86"}, {Image: "A.b_C"}, {Image: "a.b_c"}, {List: "a"}, {SHA512: strings.Repeat("a", 128)},
		{Cert: strings.Repeat("a", 64)}, {Endorser: "/CN=../../x"}, {Endorser: "/CN=../../x", CA: "/CN=b"},
	} {
		name := blockName(b)
		if !nameForm.MatchString(strings.TrimSuffix(name, ".yaml")) && len(name) > 90 || strings.ContainsAny(name, "/ ") || seen[name] {
			t.Errorf("%+v is called %q", b, name)
		}
		seen[name] = true
	}
}
