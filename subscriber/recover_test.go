package subscriber_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"vouch/cache"
	"vouch/imagelist/listtest"
	"vouch/imagelist/verdict"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// A lost or damaged database is rebuilt from the plain files: nothing is
// downloaded again, floors, blocks and approvals are kept (F-13).
func TestF13_DatabaseLost(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"gone": func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
		"manifest": func(t *testing.T, dir string) {
			found, err := filepath.Glob(filepath.Join(dir, "*", "MANIFEST"))
			if here, _ := filepath.Glob(filepath.Join(dir, "MANIFEST")); err == nil {
				found = append(found, here...)
			}
			if len(found) != 1 {
				t.Fatalf("manifests: %v", found)
			}
			must(t, os.Remove(found[0]))
		},
		"garbage": func(t *testing.T, dir string) {
			must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				return os.WriteFile(path, []byte(strings.Repeat("garbage ", 100)), 0o600)
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := published(t)
			before, sent, gen := w.Tree(), w.Bytes.Load(), w.Index().Generation
			damage(t, databaseDir(t, w))
			rep := w.SyncAt(w.At.Add(time.Minute))
			expectExit(t, rep, 0)
			if !maps.Equal(before, w.Tree()) {
				t.Error("the cache changed")
			}
			if w.Bytes.Load() != sent {
				t.Error("downloaded again")
			}
			if g := w.Index().Generation; g <= gen {
				t.Errorf("generation %d after %d", g, gen)
			}
			w.Check()
			w.Publish("0.5", image{ID: "a", Content: "older"})
			rejected(t, w, w.SyncAt(w.At.Add(2*time.Minute)), verdict.VersionRollback)
		})
	}
}

func databaseDir(t *testing.T, w *subscribertest.World) string {
	t.Helper()
	dir := filepath.Join(w.Config.StateDir, "metadata")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A database that was restored from an old copy is behind its seal.
func TestF13_OldCopyRestored(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	w.Sync()
	dir := databaseDir(t, w)
	old := filepath.Join(t.TempDir(), "old")
	must(t, os.CopyFS(old, os.DirFS(dir)))
	w.Publish("2.0", image{ID: "a", Content: "alpha two"})
	w.SyncAt(w.At.Add(time.Minute))
	must(t, os.RemoveAll(dir))
	must(t, os.CopyFS(dir, os.DirFS(old)))
	rep := w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 0)
	if w.Read("a") != "alpha two" {
		t.Errorf("a=%q", w.Read("a"))
	}
	if !hasProblem(rep, "rebuilt") {
		t.Errorf("nothing said of the rebuild: %+v", rep.Problems)
	}
	w.Publish("1.5", image{ID: "a", Content: "older"})
	rejected(t, w, w.SyncAt(w.At.Add(3*time.Minute)), verdict.VersionRollback)
}

func hasProblem(rep *subscriber.Report, code string) bool {
	for _, p := range rep.Problems {
		if p.Code == code {
			return true
		}
	}
	return false
}

// A lost state_dir is rebuilt from the cache alone, loudly.
func TestF13_StateDirLost(t *testing.T) {
	t.Parallel()
	w := published(t)
	before, sent := w.Tree(), w.Bytes.Load()
	must(t, os.RemoveAll(w.Config.StateDir))
	rep := w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 0)
	if !hasProblem(rep, "rebuilt") {
		t.Errorf("nothing said of the rebuild: %+v", rep.Problems)
	}
	if !maps.Equal(before, w.Tree()) || w.Bytes.Load() != sent {
		t.Error("the cache changed, or something was downloaded")
	}
	w.Publish("0.5", image{ID: "a", Content: "older"})
	rejected(t, w, w.SyncAt(w.At.Add(2*time.Minute)), verdict.VersionRollback)
}

// A cache that belongs to another state is left alone until it is taken over.
func TestTakeOver(t *testing.T) {
	w := published(t)
	before, sent := w.Tree(), w.Bytes.Load()
	w.Config.StateDir = filepath.Join(t.TempDir(), "elsewhere")
	_, err := subscriber.Sync(context.Background(), w.Config, subscriber.SyncOptions{Options: subscriber.Options{At: w.At}})
	var locked *subscriber.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("error %v, want LockedError", err)
	}
	if !maps.Equal(before, w.Tree()) {
		t.Error("the cache changed")
	}
	if _, err := subscriber.Adopt(context.Background(), w.Config, subscriber.Options{At: w.At.Add(time.Minute)}, nil, cache.AdoptCopy, true); err != nil {
		t.Fatal(err)
	}
	expectExit(t, w.SyncAt(w.At.Add(2*time.Minute)), 0)
	if w.Bytes.Load() != sent || w.Read("a") != "alpha" {
		t.Error("not taken over as it was")
	}
}

// T-28: bytes changed or gone in the cache are found before the next index,
// leave as corrupt, and are fetched again in the same run.
func TestT28_Corrupt(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"flipped": func(t *testing.T, path string) {
			must(t, os.Chmod(path, 0o600))
			must(t, os.WriteFile(path, []byte("alphA"), 0o600))
		},
		"removed": func(t *testing.T, path string) { must(t, os.Remove(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := published(t)
			damage(t, filepath.Join(w.Config.Cache.Dir, w.Index().Images[0].Blob))
			rep := w.SyncAt(w.At.Add(time.Minute))
			expectExit(t, rep, 3)
			expect(t, rep, "a", "withdrawn corrupt")
			expect(t, rep, "a", "available")
			w.Check()
			expectExit(t, w.SyncAt(w.At.Add(2*time.Minute)), 0)
		})
	}
}

// A name that somebody removed or replaced is restored.
func TestNameRestored(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("evil!"), 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := published(t)
			must(t, damage(filepath.Join(w.Config.Cache.Dir, "endorsed", "a")))
			expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
			if w.Read("a") != "alpha" {
				t.Errorf("a=%q", w.Read("a"))
			}
			w.Check()
		})
	}
}

// Withdrawn bytes stay for keep_expired, then go.
func TestPrune(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Config.Cache.KeepExpired = 10 * time.Hour
	w.Publish("1.1", image{ID: "b", Content: "beta"})
	w.SyncAt(w.At.Add(hour))
	if x := w.Index(); len(x.Withdrawn) != 1 || x.Withdrawn[0].Kept == "" {
		t.Fatalf("withdrawn %+v", x.Withdrawn)
	}
	kept := filepath.Join(w.Config.Cache.Dir, w.Index().Withdrawn[0].Kept)
	w.SyncAt(w.At.Add(10 * hour))
	if _, err := os.Stat(kept); err != nil {
		t.Error("pruned too early:", err)
	}
	w.SyncAt(w.At.Add(11 * hour))
	if _, err := os.Stat(kept); !os.IsNotExist(err) {
		t.Error("not pruned")
	}
	if n := len(blobs(t, w)); n != 1 || len(w.Index().Withdrawn) != 0 {
		t.Errorf("%d blobs, withdrawn %v", n, w.Index().Withdrawn)
	}
}

// Foreign files are reported, never deleted or followed.
func TestForeign(t *testing.T) {
	w := published(t)
	foreign := filepath.Join(w.Config.Cache.Dir, "endorsed", "templates")
	must(t, os.MkdirAll(foreign, 0o755))
	must(t, os.WriteFile(filepath.Join(foreign, "x"), []byte("theirs"), 0o644))
	must(t, os.WriteFile(filepath.Join(w.Config.Cache.Dir, "expired", "mine.2020-01-01_00-00-00"), []byte("theirs"), 0o644))
	w.SyncAt(w.At.Add(time.Minute))
	for _, path := range []string{"endorsed/templates/x", "expired/mine.2020-01-01_00-00-00"} {
		if _, err := os.Stat(filepath.Join(w.Config.Cache.Dir, path)); err != nil {
			t.Error(err)
		}
	}
	s, err := subscriber.ReadStatus(w.Config.StateDir)
	must(t, err)
	if len(s.Cache.Foreign) == 0 {
		t.Error("not reported")
	}
}

// Adopt takes files a list names without a download.
func TestAdopt(t *testing.T) {
	w := subscribertest.New(t)
	w.Publish("1.0", image{ID: "a", Content: "alpha"}, image{ID: "b", Content: "beta"})
	old := t.TempDir()
	must(t, os.WriteFile(filepath.Join(old, "whatever.img"), []byte("alpha"), 0o644))
	must(t, os.WriteFile(filepath.Join(old, "decoy.img"), []byte("alphX"), 0o644))
	must(t, os.WriteFile(filepath.Join(old, "other.img"), []byte("of a size that nobody names"), 0o644))
	rep, err := subscriber.Adopt(context.Background(), w.Config, subscriber.Options{At: w.At}, []string{old}, cache.AdoptCopy, false)
	must(t, err)
	if len(rep.Adopted) != 1 || rep.Adopted[0] != "a" || len(rep.Skipped) != 2 {
		t.Errorf("%+v", rep)
	}
	if w.Bytes.Load() != 0 || w.Read("a") != "alpha" || w.Read("b") != "" {
		t.Errorf("%d bytes, a=%q b=%q", w.Bytes.Load(), w.Read("a"), w.Read("b"))
	}
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
	if w.Bytes.Load() != int64(len("beta")) {
		t.Errorf("%d bytes downloaded", w.Bytes.Load())
	}
}

// A configuration directory that was there and is gone stops everything.
func TestConfigurationDirectoryGone(t *testing.T) {
	w := published(t)
	w.Config.Dirs = []string{"/etc/vouch/subscriptions.d"}
	w.SyncAt(w.At.Add(time.Minute))
	w.Config.Dirs = nil
	before := w.Tree()
	_, err := subscriber.Sync(context.Background(), w.Config, subscriber.SyncOptions{Options: subscriber.Options{At: w.At.Add(2 * time.Minute)}})
	if !errors.Is(err, subscriber.ErrUsage) {
		t.Errorf("error %v", err)
	}
	if !maps.Equal(before, w.Tree()) {
		t.Error("the cache changed")
	}
}

// A state or cache directory that others may write to is refused (T-26).
func TestT26_UnsafeDirectories(t *testing.T) {
	w := published(t)
	for _, dir := range []string{w.Config.StateDir, w.Config.Cache.Dir} {
		must(t, os.Chmod(dir, 0o777))
		_, err := subscriber.Sync(context.Background(), w.Config, subscriber.SyncOptions{Options: subscriber.Options{At: w.At}})
		if !errors.Is(err, subscriber.ErrStorage) {
			t.Errorf("%s: error %v", dir, err)
		}
		must(t, os.Chmod(dir, 0o755))
	}
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
}

// F-14: the second process waits, refuses, or joins.
func TestF14_TwoAtOnce(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Publish("1.1", image{ID: "a", Content: "alpha two"}, image{ID: "b", Content: "beta"})
	var reports [4]*subscriber.Report
	var errs [4]error
	done := make(chan int)
	for i := range reports {
		go func() {
			reports[i], errs[i] = subscriber.Sync(context.Background(), w.Config, subscriber.SyncOptions{Options: subscriber.Options{At: w.At.Add(time.Minute)}})
			done <- i
		}()
	}
	for range reports {
		<-done
	}
	for i := range reports {
		must(t, errs[i])
		expectExit(t, reports[i], 0)
	}
	w.Check()
}

// T-28: withdrawn bytes that somebody removed are missed by nobody.
func TestT28_WithdrawnBytesRemoved(t *testing.T) {
	w := published(t)
	w.Publish("1.1")
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
	for _, path := range blobs(t, w) {
		must(t, os.Remove(path))
	}
	for i := range 3 {
		expectExit(t, w.SyncAt(w.At.Add(time.Duration(i+2)*time.Minute)), 0)
	}
}

// F-13: a rebuild that cannot tell what the cache holds deletes none of it.
func TestF13_NothingToRebuildFrom(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, *subscribertest.World){
		"no index and no CRL": func(t *testing.T, w *subscribertest.World) {
			must(t, os.Remove(filepath.Join(w.Config.Cache.Dir, "index.json")))
			w.CA.WriteTo(w.Dir, listtest.NoCRL())
		},
		"no message": func(t *testing.T, w *subscribertest.World) {
			must(t, os.Remove(filepath.Join(w.Config.Cache.Dir, "lists", subscribertest.ListID+".smime")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := published(t)
			w.Fail("/list", 404)
			must(t, os.RemoveAll(databaseDir(t, w)))
			damage(t, w)
			rep := w.SyncAt(w.At.Add(time.Minute))
			expectExit(t, rep, 3)
			if !hasProblem(rep, "rebuilt") {
				t.Errorf("nothing said of the rebuild: %+v", rep.Problems)
			}
			if n := len(blobs(t, w)); n != 2 || w.Read("a") != "alpha" {
				t.Errorf("%d blobs, a=%q", n, w.Read("a"))
			}
		})
	}
}

// F-01: a run killed inside a withdrawal, its name moved and its bytes sealed,
// is finished by the next while the reason holds, and undone when it does not.
func TestF01_KilledInWithdrawal(t *testing.T) {
	killed := func(t *testing.T) *subscribertest.World {
		w := published(t)
		kept := filepath.Join(w.Config.Cache.Dir, "expired", "b."+w.At.UTC().Format("2006-01-02_15-04-05"))
		must(t, os.Rename(filepath.Join(w.Config.Cache.Dir, "endorsed", "b"), kept))
		must(t, os.Chmod(kept, 0o400))
		return w
	}
	t.Run("finished", func(t *testing.T) {
		w := killed(t)
		w.Config.Blocks = []subscriber.Block{{Image: "b", Reason: "CVE-2026-1"}}
		rep := w.SyncAt(w.At.Add(time.Minute))
		expectExit(t, rep, 0)
		expect(t, rep, "b", "withdrawn blocked")
		if hasProblem(rep, "name") || w.Read("b") != "" {
			t.Errorf("b=%q, problems %+v", w.Read("b"), rep.Problems)
		}
	})
	t.Run("undone", func(t *testing.T) {
		w := killed(t)
		w.SyncAt(w.At.Add(time.Minute))
		expectMode(t, filepath.Join(w.Config.Cache.Dir, "endorsed", "b"), 0o444)
		w.Check()
	})
}

// Pruning is no sync: what the last sync failed at stays in the status.
func TestPrune_KeepsStatus(t *testing.T) {
	w := subscribertest.New(t)
	a := image{ID: "a", Content: "alpha"}
	w.Publish("1.0", a)
	w.Fail(a.Path(), 404)
	expectExit(t, w.Sync(), 3)
	_, err := subscriber.PruneCache(context.Background(), w.Config, subscriber.Options{At: w.At.Add(time.Minute)})
	must(t, err)
	s, err := subscriber.ReadStatus(w.Config.StateDir)
	must(t, err)
	if s.LastExit != 3 || len(s.Problems) != 1 || len(s.Images) != 1 || s.Images[0].State != "failed" {
		t.Errorf("exit %d, problems %+v, images %+v", s.LastExit, s.Problems, s.Images)
	}
}

// F-14: a sync that waits behind a pass does its own work: a pass fetches
// nothing that could be shared.
func TestF14_PassIsNotJoined(t *testing.T) {
	t.Parallel()
	w := published(t)
	w.Publish("2.0", image{ID: "a", Content: "alpha"}, image{ID: "c", Content: "gamma"})
	other := flock.New(filepath.Join(w.Config.StateDir, "lock"))
	if ok, err := other.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	at := subscriber.Options{At: w.At.Add(time.Minute)}
	done := make(chan error, 2)
	go func() {
		_, err := subscriber.Pass(context.Background(), w.Config, at)
		done <- err
	}()
	for queued := false; !queued; time.Sleep(time.Millisecond) {
		waiting, _ := os.ReadFile(filepath.Join(w.Config.StateDir, "queue"))
		queued = len(waiting) > 0
	}
	go func() {
		_, err := subscriber.Sync(context.Background(), w.Config, subscriber.SyncOptions{Options: at})
		done <- err
	}()
	time.Sleep(100 * time.Millisecond) // for the sync to queue up; should it be late, the test says less, never wrong
	must(t, other.Unlock())
	must(t, <-done)
	must(t, <-done)
	if w.Read("c") != "gamma" {
		t.Errorf("c=%q", w.Read("c"))
	}
}
