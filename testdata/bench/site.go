package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// site is one vouch with its own configuration, state and cache.
type site struct {
	b      *bench
	dir    string
	config string
}

// newSite subscribes to lists, by the names under which they are served, one
// file each under subscriptions.d as vouch itself writes them.
func (b *bench) newSite(name string, lists ...string) (*site, error) {
	s := &site{b: b, dir: filepath.Join(b.dir, name)}
	s.config = filepath.Join(s.dir, "etc", "vouch.yaml")
	subscriptions := filepath.Join(s.dir, "etc", "subscriptions.d")
	if err := os.MkdirAll(subscriptions, 0o755); err != nil {
		return nil, err
	}
	// Four images at a time is the default, but not from one host.
	config := fmt.Sprintf("state_dir: %[1]s/state\ncache: {dir: %[1]s/cache}\ntrust: {anchors: %[2]s}\nfetch: {per_host: 4}\n", s.dir, b.world.anchors)
	if err := os.WriteFile(s.config, []byte(config), 0o644); err != nil {
		return nil, err
	}
	for i, list := range lists {
		text := fmt.Sprintf("url: %s/%s\nendorsers:\n  - dn: %s\n    ca: %s\n", b.world.url, list, b.world.DN(), b.world.CA())
		if err := os.WriteFile(filepath.Join(subscriptions, fmt.Sprintf("list-%d.yaml", i)), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// run measures one vouch, which must exit 0. What it prints is thrown away.
func (s *site) run(words ...string) (cost, error) {
	cmd := exec.CommandContext(s.b.ctx, s.b.vouch, words...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "VOUCH_CONFIG=" + s.config}
	return s.b.measure(cmd)
}

func (s *site) remove() error { return os.RemoveAll(s.dir) }
