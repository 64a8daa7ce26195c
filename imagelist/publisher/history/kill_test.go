package history

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestMain(m *testing.M) {
	if args := os.Getenv("HISTORY_TEST_CHILD"); args != "" {
		os.Exit(child(strings.Fields(args)))
	}
	os.Exit(m.Run())
}

// pair is the batch that gets interrupted.
func pair() []Entry {
	at := time.Date(2026, 11, 25, 18, 0, 0, 0, time.UTC)
	a := Entry{Time: at, Kind: Remove, Image: Image{Identifier: "image-1"}, Reason: "CVE-2026-2"}
	return []Entry{a, {Time: at, Kind: Publish, Destination: "ssh://lists.example.org/list"}}
}

// child appends the pair to a history of one entry, once more if that fails.
func child(args []string) int {
	runtime.LockOSThread() // strace counts calls by thread
	key, err := LoadOrCreateKey(args[1], listID)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	log, err := Open(args[0], listID, key)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	if err := log.Append(pair()...); err == nil {
		return 0
	}
	if err := log.AppendAt(1, pair()...); err != nil {
		fmt.Println(err)
		return 1
	}
	return 3
}

// begun is a workspace of one entry. Nothing depends on a disk here, only on
// the order of what is done.
func begun(t *testing.T) *office {
	t.Helper()
	o := newOffice(t)
	if dir, err := os.MkdirTemp("/dev/shm", "history-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		o.dir = dir
	}
	o.open()
	o.append(o.entry(Init))
	return o
}

// layDown makes the workspace exactly these files.
func (o *office) layDown(files fstest.MapFS) {
	o.t.Helper()
	if err := os.RemoveAll(filepath.Join(o.dir, dirName)); err != nil {
		o.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(o.dir, checkpointsDir), 0o755); err != nil {
		o.t.Fatal(err)
	}
	for name, f := range files {
		o.write(name, f.Data)
	}
}

// mended opens what a kill left. All of the pair is there, or nothing; and
// appending it again gives the very bytes of a run without a kill.
func (o *office) mended(what string, announced bool, want fstest.MapFS) {
	o.t.Helper()
	log, err := Open(o.dir, listID, o.key)
	if err != nil {
		o.t.Fatalf("%s: %v", what, err)
	}
	size := int64(1)
	if announced {
		size = 3
	}
	if r := verify(o.t, os.DirFS(o.dir)); !r.OK || r.Size != size || log.Size() != size {
		o.t.Fatalf("%s: %d entries, %d verify, want %d; %v", what, log.Size(), r.Size, size, r.Problem)
	}
	if err := log.AppendAt(1, pair()...); err != nil {
		o.t.Fatalf("%s: %v", what, err)
	}
	same := func(a, b *fstest.MapFile) bool { return string(a.Data) == string(b.Data) }
	if have := o.files(); !maps.EqualFunc(have, want, same) {
		o.t.Fatalf("%s: other files than without a kill", what)
	}
}

// TestAppend_KilledAtEveryByte lays down what a killed Append can leave, cut
// at every byte of every file that it writes, in its order.
func TestAppend_KilledAtEveryByte(t *testing.T) {
	o := begun(t)
	before := o.files()
	b, err := o.log.render(pair())
	if err == nil {
		err = o.log.announce(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	next := o.files()[nextName]
	if err := o.log.apply(b); err != nil {
		t.Fatal(err)
	}
	after := o.files()

	left, states := maps.Clone(before), 0
	grow := func(name string, whole *fstest.MapFile, announced bool) {
		have := 0
		if old := left[name]; old != nil {
			have = len(old.Data)
		}
		for n := have; n <= len(whole.Data); n++ {
			left[name] = &fstest.MapFile{Data: whole.Data[:n]}
			o.layDown(left)
			o.mended(fmt.Sprintf("%d bytes of %s", n, name), announced, after)
			states++
		}
	}
	grow(nextName+".new", next, false)
	delete(left, nextName+".new")
	left[nextName] = next
	for _, name := range []string{entriesName, checkpointName(2), checkpointName(3)} {
		grow(name, after[name], true)
	}
	t.Logf("%d states", states)
}

// TestAppend_LostPages: after power loss the file may have the length of lines
// whose bytes were never written.
func TestAppend_LostPages(t *testing.T) {
	o := begun(t)
	b, err := o.log.render(pair())
	if err == nil {
		err = o.log.announce(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	left := o.files()
	if err := o.log.apply(b); err != nil {
		t.Fatal(err)
	}
	want := o.files()
	left[entriesName] = &fstest.MapFile{Data: append(left[entriesName].Data, make([]byte, 4096)...)}
	left[checkpointName(2)] = &fstest.MapFile{Data: make([]byte, 300)}
	o.layDown(left)
	o.mended("zeros", true, want)
}

// TestOpen_TornLine: a line without an end that nothing announced is cut.
func TestOpen_TornLine(t *testing.T) {
	o := begun(t)
	text := o.files()[entriesName].Data
	o.write(entriesName, append(text, `{"index":1,"ti`...))
	o.open()
	holds(t, o.files(), 1)
}

// TestOpen_RefusesWhatWasNotSigned: what the next command must not sign for,
// or continue, leaves the workspace as it was.
func TestOpen_RefusesWhatWasNotSigned(t *testing.T) {
	o := working(t)
	whole := o.files()
	o.append(pair()...)
	longer := o.files()
	line := strings.SplitAfter(string(longer[entriesName].Data), "\n")[5]
	foreign := `{"base":5,"lines":["` + strings.ReplaceAll(strings.TrimSuffix(line, "\n"), `"`, `\"`) + `"],"checkpoints":["x"]}`
	for name, spoil := range map[string]func(fstest.MapFS){
		"a line nobody signed": func(f fstest.MapFS) { f[entriesName] = longer[entriesName] },
		"a line missing":       func(f fstest.MapFS) { f[checkpointName(6)] = longer[checkpointName(6)] },
		"a line altered": func(f fstest.MapFS) {
			f[entriesName] = &fstest.MapFile{Data: []byte(strings.Replace(string(whole[entriesName].Data), "/srv", "/sry", 1))}
		},
		"an announcement nobody signed":   func(f fstest.MapFS) { f[nextName] = &fstest.MapFile{Data: []byte(foreign)} },
		"an announcement of nothing":      func(f fstest.MapFS) { f[nextName] = &fstest.MapFile{Data: []byte("{}")} },
		"an announcement that is no JSON": func(f fstest.MapFS) { f[nextName] = &fstest.MapFile{} },
		"an announcement from the past": func(f fstest.MapFS) {
			maps.Copy(f, longer)
			f[nextName] = &fstest.MapFile{Data: []byte(`{"base":4,"lines":["x"],"checkpoints":["x"]}`)}
		},
		"a checkpoint altered": func(f fstest.MapFS) { f[checkpointName(5)] = f[checkpointName(4)] },
	} {
		f := maps.Clone(whole)
		spoil(f)
		o.layDown(f)
		before := o.files()
		if _, err := Open(o.dir, listID, o.key); err == nil {
			t.Errorf("%s: no error", name)
		} else if broken, ok := err.(*BrokenError); !ok || broken.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
		same := func(a, b *fstest.MapFile) bool { return string(a.Data) == string(b.Data) }
		if !maps.EqualFunc(before, o.files(), same) {
			t.Errorf("%s: files changed", name)
		}
	}
	if _, err := Open(o.dir, "other", newKey(t)); err == nil {
		t.Error("another list's history was opened")
	}
}

// TestAppend_FaultAtEachCall kills a real process at each system call with
// which it writes, and lets each of them fail once.
func TestAppend_FaultAtEachCall(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs strace")
		}
		t.Skip("needs strace")
	}
	o := begun(t)
	before := o.files()
	o.append(pair()...)
	want := o.files()
	faults := 0
	for _, call := range []string{"openat", "ftruncate", "write", "pwrite64", "fsync", "renameat", "unlinkat"} {
		for n := 1; ; n++ {
			o.layDown(before)
			if o.fault(fmt.Sprintf("%s:signal=KILL:when=%d", call, n)) == 0 {
				break // fewer calls than that
			}
			o.mended(fmt.Sprintf("%s %d", call, n), o.announced(before), want)

			o.layDown(before)
			code := o.fault(fmt.Sprintf("%s:error=EIO:when=%d", call, n))
			if code != 3 && code != 2 || code == 3 && !o.announced(before) { // 2: could not be opened
				t.Errorf("%s %d fails: exit %d", call, n, code)
			}
			o.mended(fmt.Sprintf("%s %d fails", call, n), o.announced(before), want)
			faults++
		}
	}
	if faults < 15 {
		t.Errorf("only %d calls", faults)
	}
	t.Logf("%d calls", faults)
}

// announced says whether the pair counts by now.
func (o *office) announced(before fstest.MapFS) bool {
	files := o.files()
	return files[nextName] != nil || len(files[entriesName].Data) > len(before[entriesName].Data)
}

// fault runs the child under strace and returns its exit code, -1 when it was
// killed.
func (o *office) fault(inject string) int {
	args := []string{"-f", "-qqq", "-o", filepath.Join(o.t.TempDir(), "log"), "-e", "inject=" + inject}
	for _, name := range []string{"", entriesName, nextName, nextName + ".new", checkpointsDir, checkpointName(2), checkpointName(3), dirName} {
		args = append(args, "-P", filepath.Join(o.dir, name))
	}
	cmd := exec.Command("strace", append(args, os.Args[0])...)
	cmd.Env = append(os.Environ(), "HISTORY_TEST_CHILD="+o.dir+" "+o.key.path)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code > 3 {
		o.t.Fatalf("%s: exit %d: %s", inject, code, out)
	}
	return cmd.ProcessState.ExitCode()
}
