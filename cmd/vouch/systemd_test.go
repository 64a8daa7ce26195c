package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// requireSystemd is for tests that ask systemd's own tools.
func requireSystemd(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("systemd-analyze is not installed")
	}
	t.Skip("systemd-analyze is not installed")
}

// units copies the samples to where they run a program that is there.
func units(t *testing.T) (dir string, files []string) {
	t.Helper()
	dir = t.TempDir()
	program, err := exec.LookPath("vouch") // TestMain's
	if err != nil {
		t.Fatal(err)
	}
	samples, _ := filepath.Glob("../../etc/systemd/*.*")
	for _, sample := range samples {
		raw, err := os.ReadFile(sample)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), "/usr/bin/vouch", program)
		file := filepath.Join(dir, filepath.Base(sample))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if ext := filepath.Ext(file); ext == ".service" || ext == ".timer" {
			files = append(files, file)
		}
	}
	if len(files) != 3 {
		t.Fatalf("units: %q", files)
	}
	return dir, files
}

// systemd has nothing to say about the units, and rates the services as well
// protected: below 5 of 10.
func TestSystemd_Units(t *testing.T) {
	requireSystemd(t)
	_, files := units(t)
	if out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, files...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("verify: %v\n%s", err, out)
	}
	for _, file := range files {
		if filepath.Ext(file) != ".service" {
			continue
		}
		if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=50", "--no-pager", file).CombinedOutput(); err != nil {
			t.Errorf("security: %v\n%s", err, out)
		}
		raw, _ := os.ReadFile(file)
		m := regexp.MustCompile(`(?m)^ExecStart=\S+ (.+)$`).FindSubmatch(raw)
		if m == nil {
			t.Fatalf("%s starts nothing", file)
		}
		parses(t, strings.Fields(string(m[1])))
	}
}

// The user and the directories, as systemd makes them below another root.
func TestSystemd_UserAndDirectories(t *testing.T) {
	requireSystemd(t)
	if os.Getuid() != 0 {
		t.Skip("systemd-sysusers and systemd-tmpfiles need root")
	}
	dir, _ := units(t)
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"systemd-sysusers", "--root=" + root, filepath.Join(dir, "vouch.sysusers")},
		{"systemd-tmpfiles", "--root=" + root, "--create", filepath.Join(dir, "vouch.tmpfiles")},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	for path, mode := range map[string]os.FileMode{"var/lib/vouch": 0o700, "var/cache/vouch": 0o755, "etc/vouch/blocks.d": 0o755} {
		if info, err := os.Stat(filepath.Join(root, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}
