package destination

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// suite is what every kind of destination must do. dest is the list, dir the
// same directory as this machine sees it.
func suite(t *testing.T, dest, dir string, o Options) {
	t.Run("Replace", func(t *testing.T) { testReplace(t, dest, dir, o) })
	t.Run("Conflict", func(t *testing.T) { testConflict(t, dest, o) })
	t.Run("Upload", func(t *testing.T) { testUpload(t, dest, dir, o) })
}

func testReplace(t *testing.T, dest, dir string, o Options) {
	d := open(t, dest, o)
	if live := mustRead(t, d); live != nil {
		t.Fatalf("live before the first: %v", live)
	}
	live := mustReplace(t, d, "first", nil)
	live = mustReplace(t, d, "second", live)
	mustReplace(t, d, strings.Repeat("third", 100_000), live)
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

func testConflict(t *testing.T, dest string, o Options) {
	d := open(t, dest, o)
	ctx := context.Background()
	live := mustRead(t, d)
	for name, old := range map[string]*Live{"nothing": nil, "other": {Content: []byte("other")}} {
		var conflict *Conflict
		if err := d.Replace(ctx, []byte("mine"), old); !errors.As(err, &conflict) || !conflict.Live.same(live) {
			t.Errorf("%s: %v, want a conflict", name, err)
		}
	}
	if !mustRead(t, d).same(live) {
		t.Error("a conflict changed the list")
	}
}

// racing lets publishers replace the same version at once; exactly one wins.
func racing(t *testing.T, dest string, o Options) {
	const publishers, rounds = 3, 3
	var ds []Destination
	for range publishers {
		ds = append(ds, open(t, dest, o))
	}
	for round := range rounds {
		old := mustRead(t, ds[0])
		errs := make([]error, publishers)
		var wg sync.WaitGroup
		for i, d := range ds {
			wg.Go(func() { errs[i] = d.Replace(context.Background(), []byte{'A' + byte(round), '0' + byte(i)}, old) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			var conflict *Conflict
			switch {
			case err == nil && won < 0:
				won = i
			case err == nil:
				t.Fatalf("round %d: %d and %d won", round, won, i)
			case !errors.As(err, &conflict):
				t.Errorf("round %d: %v, want a conflict", round, err)
			}
		}
		if won < 0 || mustRead(t, ds[0]).Content[1] != '0'+byte(won) {
			t.Fatalf("round %d: %d won, live %q", round, won, mustRead(t, ds[0]).Content)
		}
	}
}

func testUpload(t *testing.T, dest, dir string, o Options) {
	ctx := context.Background()
	d := open(t, dest, o)
	file := image(t, 3*block+5)
	var last int64
	done, err := d.Upload(ctx, "a.qcow2", file, sumOf(t, file), func(n, total int64) { last = n })
	if err != nil || done.Skipped || last != 3*block+5 || done.Size != last {
		t.Fatalf("%+v, %v, progress to %d", done, err, last)
	}
	if read(t, filepath.Join(dir, "a.qcow2")) != read(t, file) {
		t.Fatal("other bytes arrived")
	}
	if done, err = d.Upload(ctx, "a.qcow2", file, sumOf(t, file), nil); err != nil || !done.Skipped {
		t.Errorf("again: %+v, %v", done, err)
	}
	other := write(t, filepath.Join(t.TempDir(), "other"), "other bytes")
	var h interface{ Hint() string }
	if _, err := d.Upload(ctx, "a.qcow2", other, sumOf(t, other), nil); !errors.As(err, &h) || !strings.Contains(h.Hint(), "new file name") {
		t.Errorf("over other bytes: %v", err)
	}
	if _, err := d.Upload(ctx, "b.qcow2", other, sumOf(t, file), nil); !errors.Is(err, ErrOtherBytes) || strings.Contains(fmt.Sprint(names(t, dir)), "b.qcow2") {
		t.Errorf("a file that changed: %v, %q", err, names(t, dir))
	}
	for _, name := range []string{"", "..", "a/b", ".hidden", "-x", filepath.Base(dest), "a\n", strings.Repeat("x", 201)} {
		if _, err := d.Upload(ctx, name, file, sumOf(t, file), nil); !errors.As(err, &h) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	o.Overwrite = true
	d = open(t, dest, o)
	if _, err := d.Upload(ctx, "a.qcow2", other, sumOf(t, other), nil); err != nil || read(t, filepath.Join(dir, "a.qcow2")) != "other bytes" {
		t.Errorf("overwrite: %v", err)
	}
	for _, n := range names(t, dir) {
		if strings.HasPrefix(n, ".") {
			t.Errorf("left behind: %q", n)
		}
	}
}

// killed kills a process that publishes without pause. What is live is whole,
// the old or the new; the next run publishes and removes the remains.
func killed(t *testing.T, dest, list, ssh string) {
	mine, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		cmd := exec.Command(mine)
		cmd.Env = append(os.Environ(), "DESTINATION_VICTIM="+dest, "DESTINATION_SSH="+ssh)
		var said tail
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !bufio.NewScanner(out).Scan() {
			t.Errorf("round %d: %s", round, said.String())
		}
		time.Sleep(time.Duration(round*11) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if b := read(t, list); !whole([]byte(b)) {
			t.Fatalf("round %d: live is not whole: %d bytes", round, len(b))
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
