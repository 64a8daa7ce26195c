package cache_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vouch/cache"
	"vouch/cache/cachetest"
)

// TestT26_UnsafeDirectories opens caches that somebody else could change.
func TestT26_UnsafeDirectories(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, base string) (dir string)
		want error
	}{
		{"safe", func(t *testing.T, base string) string { return base + "/cache" }, nil},
		{"several levels missing", func(t *testing.T, base string) string { return base + "/a/b/cache" }, nil},
		{"sticky parent", inParent(os.ModeSticky | 0o777), nil},
		{"world-writable parent", inParent(0o777), cache.ErrUnsafe},
		{"group-writable parent", inParent(0o775), cache.ErrUnsafe},
		{"world-writable", ofMode(0o777), cache.ErrUnsafe},
		{"group-writable", ofMode(0o770), cache.ErrUnsafe},
		{"sticky itself", ofMode(os.ModeSticky | 0o777), cache.ErrUnsafe},
		{"link to a safe directory", linkTo("safe", 0o755), nil},
		{"link through an unsafe directory", linkTo("unsafe", 0o777), cache.ErrUnsafe},
		{"link in circles", func(t *testing.T, base string) string {
			must(t, os.Symlink("loop", base+"/loop"))
			return base + "/loop"
		}, syscall.ELOOP},
		{"a file", func(t *testing.T, base string) string {
			must(t, os.WriteFile(base+"/file", nil, 0o644))
			return base + "/file"
		}, syscall.ENOTDIR},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := cache.Open(c.make(t, t.TempDir()), cache.Options{GID: -1})
			if !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			if err == nil {
				s.Close()
			}
		})
	}
}

func inParent(mode os.FileMode) func(*testing.T, string) string {
	return func(t *testing.T, base string) string { return ofMode(mode)(t, base) + "/cache" }
}

func ofMode(mode os.FileMode) func(*testing.T, string) string {
	return func(t *testing.T, base string) string {
		must(t, os.Mkdir(base+"/dir", 0o700))
		must(t, os.Chmod(base+"/dir", mode))
		return base + "/dir"
	}
}

// linkTo makes a path that goes through a directory of this mode only by way
// of a symbolic link: link -> <dir>/hop -> cache.
func linkTo(dir string, mode os.FileMode) func(*testing.T, string) string {
	return func(t *testing.T, base string) string {
		must(t, os.Mkdir(base+"/cache", 0o755))
		must(t, os.Mkdir(base+"/"+dir, 0o700))
		must(t, os.Chmod(base+"/"+dir, mode))
		must(t, os.Symlink("../cache", base+"/"+dir+"/hop"))
		must(t, os.Symlink(dir+"/hop", base+"/link"))
		return base + "/link"
	}
}

// TestT26_ForeignOwner gives the cache or a directory above it to somebody
// else.
func TestT26_ForeignOwner(t *testing.T) {
	cachetest.NeedRoot(t)
	base := t.TempDir()
	dir := filepath.Join(base, "above", "cache")
	open(t, dir, cache.Options{GID: -1})
	for _, foreign := range []string{base + "/above", dir, dir + "/partial", dir + "/endorsed"} {
		must(t, os.Chown(foreign, 65534, 65534))
		if _, err := cache.Open(dir, cache.Options{GID: -1}); !errors.Is(err, cache.ErrUnsafe) {
			t.Errorf("%s: got error %v, want ErrUnsafe", foreign, err)
		}
		must(t, os.Chown(foreign, 0, 0))
	}
	open(t, dir, cache.Options{GID: -1})
}

// TestT26_PlantedSymlinks puts a symbolic link, and a directory, where we are
// going to put a file: it is refused, and what the link points to stays.
func TestT26_PlantedSymlinks(t *testing.T) {
	content := cachetest.Content(1, 1000)
	d := cachetest.DigestOf(content)
	other, _ := cachetest.Ingest(t, empty(t), content[:500])
	begin := func(s *cache.Store) error {
		p, err := s.Begin(d, 1000)
		if err == nil {
			p.Close()
		}
		return err
	}
	for path, use := range map[string]func(*cache.Store) error{
		"index.json":                             func(s *cache.Store) error { return s.WriteIndex(content) },
		".vouch":                                 func(s *cache.Store) error { return s.WriteOwner(content) },
		"lists/id.smime":                         func(s *cache.Store) error { return s.WriteList("id", content) },
		"endorsed/image":                         func(s *cache.Store) error { _, err := s.Publish("image", other); return err },
		"partial/image":                          func(s *cache.Store) error { _, err := s.Stage("image", other); return err },
		"partial/" + d.String() + ".part":        begin,
		"partial/" + d.String() + ".json":        begin,
		"partial/" + other.String() + ".corrupt": func(s *cache.Store) error { return s.Quarantine(other) },
		cache.BlobPath(d): func(s *cache.Store) error {
			p, err := s.Begin(d, 1000)
			must(t, err)
			defer p.Close()
			_, err = p.Write(content)
			must(t, err)
			_, err = p.Commit(t.Context())
			return err
		},
	} {
		for _, kind := range []string{"outside", "inside", "dangling", "directory"} {
			t.Run(kind+" "+path[:min(len(path), 24)], func(t *testing.T) {
				s := empty(t)
				cachetest.Ingest(t, s, content[:500])
				check := plant(t, s.Dir(), path, kind)
				if err := use(s); !errors.Is(err, cache.ErrUnsafe) {
					t.Errorf("got error %v, want ErrUnsafe", err)
				}
				check()
			})
		}
	}
}

// plant puts something at path and returns a check that it, and what it
// points to, are still what they were.
func plant(t *testing.T, dir, path, kind string) (check func()) {
	t.Helper()
	target := map[string]string{
		"outside":  filepath.Join(t.TempDir(), "target"),
		"inside":   filepath.Join(dir, "target"),
		"dangling": filepath.Join(dir, "missing"),
	}[kind]
	at := filepath.Join(dir, path)
	must(t, os.MkdirAll(filepath.Dir(at), 0o755))
	switch kind {
	case "directory":
		must(t, os.Mkdir(at, 0o755))
	case "inside":
		up := strings.Repeat("../", strings.Count(path, "/"))
		must(t, os.WriteFile(target, []byte("precious"), 0o644))
		must(t, os.Symlink(up+"target", at))
	default:
		if kind == "outside" {
			must(t, os.WriteFile(target, []byte("precious"), 0o644))
		}
		must(t, os.Symlink(target, at))
	}
	before, err := os.Lstat(at)
	must(t, err)
	return func() {
		t.Helper()
		if after, err := os.Lstat(at); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is another or gone (%v)", path, err)
		}
		if data, err := os.ReadFile(target); kind != "directory" && kind != "dangling" && string(data) != "precious" {
			t.Errorf("target: %q (%v)", data, err)
		}
		if _, err := os.Lstat(target); kind == "dangling" && !os.IsNotExist(err) {
			t.Errorf("target was made (%v)", err)
		}
	}
}

// TestT26_PlantedLayout has something else where a directory of ours, or a
// file that Open knows of, should be.
func TestT26_PlantedLayout(t *testing.T) {
	for _, path := range []string{
		"endorsed", "blobs", "blobs/sha512", "lists", "expired", "partial", "index.json", ".vouch",
	} {
		for _, plant := range []func(at, target string) error{
			func(at, target string) error { return os.Symlink(target, at) },
			func(at, target string) error { return os.Symlink("elsewhere", at) },
			func(at, target string) error {
				return errors.Join(os.Mkdir(at, 0o755), os.Chmod(at, 0o777))
			},
		} {
			dir, target := t.TempDir(), t.TempDir()
			must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755))
			must(t, plant(filepath.Join(dir, path), target))
			if _, err := cache.Open(dir, cache.Options{GID: -1}); !errors.Is(err, cache.ErrUnsafe) {
				t.Errorf("%s: got error %v, want ErrUnsafe", path, err)
			}
			if entries, err := os.ReadDir(target); err != nil || len(entries) > 0 {
				t.Errorf("%s: made %v elsewhere (%v)", path, entries, err)
			}
		}
	}
}

// TestT26_Modes is who may read what.
func TestT26_Modes(t *testing.T) {
	group := os.Getegid()
	for _, c := range []struct {
		o         cache.Options
		dir, file os.FileMode
	}{
		{cache.Options{GID: -1}, 0o755, 0o444},
		{cache.Options{GID: group, FileMode: 0o444}, 0o755, 0o444},
		{cache.Options{GID: group, FileMode: 0o440}, 0o750, 0o440},
		{cache.Options{GID: group, FileMode: 0o440, Publish: cache.Copy}, 0o750, 0o440},
	} {
		s := open(t, t.TempDir()+"/cache", c.o)
		d, _ := cachetest.Ingest(t, s, cachetest.Content(1, 1000))
		_, err := s.Publish("image", d)
		must(t, err)
		must(t, s.WriteIndex(nil))
		must(t, s.WriteOwner(nil))
		must(t, s.WriteList("id", nil))
		blob := cache.BlobPath(d)
		for path, want := range map[string]os.FileMode{
			"endorsed": c.dir, "blobs": c.dir, "blobs/sha512": c.dir, filepath.Dir(blob): c.dir, "lists": c.dir,
			"expired": c.dir, "partial": 0o700, blob: c.file, "endorsed/image": c.file, "index.json": c.file,
			"lists/id.smime": c.file, ".vouch": 0o600,
		} {
			fi, err := os.Lstat(filepath.Join(s.Dir(), path))
			must(t, err)
			if fi.Mode().Perm() != want {
				t.Errorf("%+v: %s has mode %v, want %v", c.o, path, fi.Mode().Perm(), want)
			}
		}
	}
	for _, o := range []cache.Options{{FileMode: 0o644}, {Publish: "symlink"}} {
		if _, err := cache.Open(t.TempDir(), o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// TestF05_CannotWork opens what no cache can be on: it says what does not
// work and what to do.
func TestF05_CannotWork(t *testing.T) {
	readOnly := cachetest.SmallFS(t, "size=1m")
	open(t, readOnly+"/cache", cache.Options{GID: -1})
	cachetest.Remount(t, readOnly, "ro")
	apart := t.TempDir()
	open(t, apart, cache.Options{GID: -1})
	cachetest.MountAt(t, apart+"/expired")
	for _, c := range []struct {
		name, dir string
		o         cache.Options
		says      string
	}{
		{"read-only", readOnly + "/cache", cache.Options{GID: -1}, "read-only"},
		{"read-only and missing", readOnly + "/other", cache.Options{GID: -1}, "read-only"},
		{"no reflinks", cachetest.SmallFS(t, "size=1m"), cache.Options{GID: -1, Publish: cache.Reflink}, "set cache.publish to hardlink or copy"},
		{"two file systems", apart, cache.Options{GID: -1}, "expired is a file system of its own"},
	} {
		_, err := cache.Open(c.dir, c.o)
		if !errors.Is(err, cache.ErrUnusable) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got error %v, want ErrUnusable that says %q", c.name, err, c.says)
		}
	}
}

// TestF01_KilledInsideCommit resumes, as an ordinary user, a partial that has
// its last, read-only mode already.
func TestF01_KilledInsideCommit(t *testing.T) {
	cachetest.NeedRoot(t)
	base, content := t.TempDir(), works[2]
	must(t, os.Chmod(filepath.Dir(base), 0o755))
	dir := base + "/cache"
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Chown(dir, 65534, 65534))
	part := filepath.Join(dir, "partial", cachetest.DigestOf(content).String()+".part")
	must(t, os.Mkdir(filepath.Dir(part), 0o700))
	must(t, os.WriteFile(part, content, 0o444))
	must(t, os.Chown(filepath.Dir(part), 65534, 65534))
	must(t, os.Chown(part, 65534, 65534))
	exe := base + "/test"
	must(t, exec.Command("cp", os.Args[0], exe).Run())
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "CACHE_TEST_CHILD=complete "+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, cache.BlobPath(cachetest.DigestOf(content)))); err != nil || string(got) != string(content) {
		t.Errorf("%d bytes (%v)", len(got), err)
	}
}
