package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// requirePackaging is for tests that build packages and look into them.
func requirePackaging(t *testing.T) {
	t.Helper()
	missing := ""
	for _, program := range []string{"git", "dpkg-deb", "lintian", "rpm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing += " " + program
		}
	}
	if os.Getuid() != 0 {
		missing += " root"
	}
	switch {
	case missing == "":
	case os.Getenv("CI") != "":
		t.Fatal("missing:" + missing)
	default:
		t.Skip("missing:" + missing)
	}
}

// output is what a command printed; the test ends when it failed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.Bytes())
	}
	return string(out)
}

// only is the one file that matches.
func only(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %q, %v", pattern, files, err)
	}
	return files[0]
}

// TestPackage builds both packages and looks at them as those do who install
// them. testdata/machine is the same on a machine that boots.
func TestPackage(t *testing.T) {
	requirePackaging(t)
	dist := t.TempDir()
	output(t, "../../etc/package/build", dist)
	deb, rpm := only(t, dist+"/vouch_*.deb"), only(t, dist+"/vouch-*.rpm")
	t.Run("lintian", func(t *testing.T) { lint(t, deb) })
	t.Run("content", func(t *testing.T) { packaged(t, deb, rpm) })
	t.Run("install", func(t *testing.T) { lifeOfPackage(t, deb) })
	t.Run("reproducible", func(t *testing.T) { reproduced(t, deb, rpm) })
}

// lint leaves the manual to TestMan_Lint: lintian calls man some fifty times.
func lint(t *testing.T, deb string) {
	cmd := exec.Command("lintian", "--allow-root", "--fail-on=error,warning", "-X", "documentation/manual", deb)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// packaged holds both packages against one another and against what must be in
// them: nothing that only root could read, nothing that others could write.
func packaged(t *testing.T, deb, rpm string) {
	root := t.TempDir()
	output(t, "dpkg-deb", "-x", deb, root)
	for _, path := range []string{
		"etc/vouch/vouch.yaml", "usr/lib/systemd/system/vouch.service", "usr/lib/systemd/system/vouch-sync.timer",
		"usr/lib/sysusers.d/vouch.conf", "usr/lib/tmpfiles.d/vouch.conf", "usr/share/man/man1/vouch-publisher-add.1.gz",
		"usr/share/man/man5/vouch.yaml.5.gz", "usr/share/bash-completion/completions/vouch", "usr/share/zsh/vendor-completions/_vouch",
		"usr/share/fish/vendor_completions.d/vouch.fish", "usr/share/vouch/vmcatcher_image", "usr/share/vouch/handlers/log-events", "usr/share/vouch/prometheus/vouch.rules.yml", "usr/share/vouch/grafana/vouch.json",
		"usr/share/doc/vouch/copyright", "usr/share/doc/vouch/changelog.Debian.gz", "usr/share/doc/vouch/third-party-notices.gz",
		"usr/share/doc/vouch/examples/cron/vouch", "usr/share/doc/vouch/README.md",
	} {
		if info, err := os.Stat(filepath.Join(root, path)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
	var files []string
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", deb)) {
		field := strings.Fields(line)
		mode, owner, path := field[0], field[1], strings.TrimPrefix(field[5], ".")
		want := []string{"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}
		if !slices.Contains(want, mode) || owner != "root/root" {
			t.Errorf("%s is %s of %s", path, mode, owner)
		}
		if mode[0] == '-' && !strings.Contains(path, "/doc/") && !strings.Contains(path, "/lintian/") {
			files = append(files, strings.Replace(path, "vendor-completions", "site-functions", 1))
		}
	}
	listed := strings.Fields(output(t, "rpm", "-qlp", rpm))
	for _, path := range files {
		if !slices.Contains(listed, path) {
			t.Errorf("not in the rpm: %s", path)
		}
	}
	if conf := output(t, "rpm", "-qcp", rpm); conf != "/etc/vouch/vouch.yaml\n" {
		t.Errorf("configuration files of the rpm: %q", conf)
	}
	version := output(t, "dpkg-deb", "-f", deb, "Version")
	if have := output(t, filepath.Join(root, "usr/bin/vouch"), "--version"); !strings.Contains(have, strings.TrimSuffix(strings.TrimSpace(version), "-1")) {
		t.Errorf("the package is %s, the program says %s", version, have)
	}
}

// The configuration of the packages changes nothing, its examples are good, and
// it is short: what it says dpkg asks about when a new version says it
// differently.
func TestPackage_Configuration(t *testing.T) {
	raw, err := os.ReadFile("../../etc/package/vouch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := load(t, map[string]string{"vouch.yaml": string(raw)})
	empty := load(t, map[string]string{"vouch.yaml": ""})
	c.Site.Reload, c.Site.Dirs, empty.Site.Reload, empty.Site.Dirs = nil, nil, nil, nil
	if !reflect.DeepEqual(c.Site, empty.Site) || c.HTTP.Listen != empty.HTTP.Listen {
		t.Errorf("it is not the defaults: %+v", c)
	}
	if n := strings.Count(string(raw), "\n"); n > 30 {
		t.Errorf("%d lines", n)
	}
	_, examples, _ := strings.Cut(string(raw), "\n\n")
	c = load(t, map[string]string{"vouch.yaml": strings.ReplaceAll(strings.ReplaceAll("\n"+examples, "\n# ", "\n"), "\n#\n", "\n")})
	if len(c.Site.Handlers) != 1 || c.Site.Cache.MaxSize == 0 || len(c.Site.Fetch.AllowNetworks) != 1 {
		t.Errorf("examples: %+v", c.Site)
	}
}

// debian is an empty root that dpkg keeps its books in. Maintainer scripts run
// outside of it, with DPKG_ROOT, as when an image of a machine is made.
type debian struct{ root string }

func (d debian) dpkg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dpkg", append([]string{"--root=" + d.root, "--force-script-chrootless", "--force-depends", "--force-confold"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dpkg %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (d debian) path(p string) string { return filepath.Join(d.root, p) }

// there says which of the paths are not as told.
func (d debian) there(t *testing.T, want bool, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if _, err := os.Lstat(d.path(p)); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", p, err == nil, want)
		}
	}
}

func lifeOfPackage(t *testing.T, deb string) {
	d := debian{t.TempDir()}
	for _, dir := range []string{"etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		if err := os.MkdirAll(d.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(d.path("var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	enabled := "etc/systemd/system/multi-user.target.wants/vouch.service"
	d.dpkg(t, "-i", deb)
	d.there(t, true, enabled, "etc/vouch/subscriptions.d", "etc/vouch/blocks.d", "var/lib/vouch", "var/cache/vouch")
	users, _ := os.ReadFile(d.path("etc/passwd"))
	if !strings.Contains(string(users), "vouch:/var/lib/vouch:/usr/sbin/nologin") {
		t.Errorf("users:\n%s", users)
	}
	if out := output(t, d.path("usr/bin/vouch"), "config", "check", "--config", d.path("etc/vouch/vouch.yaml")); !strings.Contains(out, "good") {
		t.Error(out)
	}

	// The site's own: a changed configuration, a subscription, state; and no daemon.
	const own = "schedule: '@every 2h'\n"
	for _, path := range []string{"etc/vouch/vouch.yaml", "etc/vouch/subscriptions.d/a.yaml", "var/lib/vouch/ledger.json"} {
		if err := os.WriteFile(d.path(path), []byte(own), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	output(t, "systemctl", "--root="+d.root, "disable", "vouch.service")
	d.dpkg(t, "-i", deb)
	if have, _ := os.ReadFile(d.path("etc/vouch/vouch.yaml")); string(have) != own {
		t.Errorf("an upgrade changed the configuration:\n%s", have)
	}
	d.there(t, false, enabled)

	d.dpkg(t, "-r", "vouch")
	d.there(t, false, "usr/bin/vouch", "usr/lib/systemd/system/vouch.service")
	d.there(t, true, "etc/vouch/vouch.yaml", "etc/vouch/subscriptions.d/a.yaml", "var/lib/vouch/ledger.json")
	out := d.dpkg(t, "-P", "vouch")
	d.there(t, false, "etc/vouch/vouch.yaml", "etc/vouch/blocks.d", "var/cache/vouch")
	d.there(t, true, "etc/vouch/subscriptions.d/a.yaml", "var/lib/vouch/ledger.json")
	for _, left := range []string{"/etc/vouch/subscriptions.d", "/etc/vouch", "/var/lib/vouch"} {
		if !strings.Contains(out, "vouch: "+left+" is left") {
			t.Errorf("purge does not say that %s is left:\n%s", left, out)
		}
	}
}

// reproduced builds the commit again from a clone elsewhere, as somebody with
// another umask, and compares. It needs a tree without changes.
func reproduced(t *testing.T, packages ...string) {
	if output(t, "git", "-C", "../..", "status", "--porcelain") != "" {
		if os.Getenv("CI") != "" {
			t.Fatal("the tree has changes that are not committed")
		}
		t.Skip("the tree has changes that are not committed")
	}
	clone, dist := filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()
	output(t, "git", "clone", "-q", "../..", clone)
	output(t, "sh", "-c", `umask 077; exec "$1/etc/package/build" "$2"`, "sh", clone, dist)
	for _, first := range packages {
		second := filepath.Join(dist, filepath.Base(first))
		if err := sameBytes(first, second); err != nil {
			t.Error(err)
		}
	}
}

func sameBytes(a, b string) error {
	first, err := os.ReadFile(a)
	if err != nil {
		return err
	}
	second, err := os.ReadFile(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, second) {
		return fmt.Errorf("%s is not the same twice", filepath.Base(a))
	}
	return nil
}
