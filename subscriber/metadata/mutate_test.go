package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// contents are what a store held after each transaction, by Seq.
type contents map[uint64]uint64

// sumOf is a checksum of all rows of s, from the rows as decoded.
func sumOf(s *Snapshot) uint64 {
	tx := &Tx{}
	for _, r := range s.Images {
		tx.PutImage(r)
	}
	for d, r := range s.Blobs {
		tx.PutBlob(d, r)
	}
	for _, r := range s.Events {
		tx.PutEvent(r)
	}
	for _, r := range s.Floors {
		tx.PutFloor(r)
	}
	var sum uint64
	for _, o := range tx.ops {
		n, _ := stated(o.value)
		sum += n
	}
	return sum + s.Meta.NextEvent
}

// victim makes a store with tables, from two runs, and a log that is still in
// use, and returns copies of it: one as Close leaves it and one as a killed
// process does, and what they held after each transaction.
func victim(t *testing.T) (sealed, killed string, held contents) {
	t.Helper()
	base := t.TempDir()
	dir := filepath.Join(base, "metadata")
	held = contents{0: 0}
	write := func(n uint64) {
		db := reopen(t, dir)
		for range n {
			victimTx(t, db)
			s := loaded(t, db)
			held[s.Meta.Seq] = sumOf(s)
		}
		killed = filepath.Join(base, "killed")
		if err := os.RemoveAll(killed); err != nil {
			t.Fatal(err)
		}
		copyTree(t, dir, killed)
		closed(t, db)
	}
	write(8)
	write(8)
	write(8)
	sealed = filepath.Join(base, "sealed")
	copyTree(t, dir, sealed)
	return sealed, killed, held
}

func victimTx(t *testing.T, db *DB) {
	t.Helper()
	n := db.Seq() + 1
	update(t, db, func(tx *Tx) {
		for r := range 12 {
			id := identifier("i", int(n)*7+r) // replaces 5 of the transaction before
			i := image("list", id, 1500)
			i.Available = n
			tx.PutImage(i)
			tx.PutBlob(digest(id), &Blob{Size: int64(n)})
		}
		tx.PutFloor(Floor{List: "list", Created: instant, Version: fmt.Sprint(n)})
		tx.PutEvent(&Event{Number: n})
		tx.DeleteEvent(n - 3)
		tx.PutMeta(Meta{NextEvent: n})
	})
}

// copyTree copies a store. Badger preallocates logs; of the zeros at their
// ends one page is enough.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range files(t, from) {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(name) == ".mem" || filepath.Ext(name) == ".vlog" {
			if used := strings.TrimRight(string(data), "\x00"); len(used)+4096 < len(data) {
				data = data[:len(used)+4096]
			}
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// files are the paths of all files below dir, sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*", "*/*"} {
		matches, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range matches {
			if st, err := os.Stat(m); err == nil && st.Mode().IsRegular() {
				rel, _ := filepath.Rel(dir, m)
				names = append(names, rel)
			}
		}
	}
	slices.Sort(names)
	return names
}

// mutations damage a file's content.
var mutations = map[string]func(r *rand.Rand, data []byte) []byte{
	"flip a bit": func(r *rand.Rand, d []byte) []byte {
		d[r.IntN(len(d))] ^= 1 << r.IntN(8)
		return d
	},
	"flip a bit near the end": func(r *rand.Rand, d []byte) []byte {
		d[max(0, len(d)-1-r.IntN(200))] ^= 1 << r.IntN(8)
		return d
	},
	"truncate": func(r *rand.Rand, d []byte) []byte { return d[:r.IntN(len(d))] },
	"zero": func(r *rand.Rand, d []byte) []byte {
		from := r.IntN(len(d))
		clear(d[from:min(len(d), from+4096)])
		return d
	},
	"noise": func(r *rand.Rand, d []byte) []byte {
		from := r.IntN(len(d))
		for i := from; i < min(len(d), from+64); i++ {
			d[i] = byte(r.Uint32())
		}
		return d
	},
	"delete": func(*rand.Rand, []byte) []byte { return nil },
}

// mutate damages one file of the store and says what it did.
func mutate(t *testing.T, r *rand.Rand, dir, kind string) string {
	t.Helper()
	names := slices.DeleteFunc(files(t, dir), func(n string) bool {
		st, err := os.Stat(filepath.Join(dir, n))
		return err != nil || st.Size() == 0
	})
	name := names[r.IntN(len(names))]
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if data = mutations[kind](r, data); data == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return kind + " in " + name
}

// probe opens and loads a store that may be damaged. It is nil if the store
// then is what it was after some transaction, or is called corrupt.
func probe(dir string, held contents) error {
	db, err := Open(dir)
	if errors.Is(err, ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	defer db.Close()
	s, err := db.Load()
	if errors.Is(err, ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	if sum, ok := held[s.Meta.Seq]; !ok || sum != sumOf(s) {
		return fmt.Errorf("loaded what was never transaction %d", s.Meta.Seq)
	}
	return nil
}

// The seal keeps damage away from badger, so these run in this process.
func TestF13_DamageToAClosedStore(t *testing.T) {
	t.Parallel()
	sealed, _, held := victim(t)
	if err := probe(copied(t, sealed), held); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, kind := range slices.Sorted(maps.Keys(mutations)) {
		for range 30 {
			dir := copied(t, sealed)
			what := mutate(t, r, dir, kind)
			if err := probe(dir, held); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func copied(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "metadata")
	copyTree(t, from, dir)
	return dir
}

// Without a seal badger itself meets the damage, and may die of it: each store
// may kill two processes, not a third.
func TestF13_DamageToAKilledStore(t *testing.T) {
	t.Parallel()
	_, killed, held := victim(t)
	dir := t.TempDir()
	text, err := json.Marshal(held)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "held.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 2))
	did := map[string]string{}
	for _, kind := range slices.Sorted(maps.Keys(mutations)) {
		for range 14 {
			name := fmt.Sprintf("store-%03d", len(did))
			copyTree(t, killed, filepath.Join(dir, name))
			did[name] = mutate(t, r, filepath.Join(dir, name), kind)
		}
	}
	deaths := map[string]int{}
	for {
		name := probeAll(t, dir, did)
		if name == "" {
			break
		}
		if deaths[name]++; deaths[name] > maxCrashes {
			t.Fatalf("%s: killed %d processes", did[name], deaths[name])
		}
	}
	if len(did) > 0 {
		t.Errorf("%d stores were not probed", len(did))
	}
	if n := len(deaths); n > 0 {
		t.Logf("%d of the stores killed a process", n)
	}
}

// probeAll runs a probing process until it ends, and returns the store that
// it died of, or "".
func probeAll(t *testing.T, dir string, did map[string]string) string {
	t.Helper()
	c := start(t, "probe", dir)
	current := ""
	for c.lines.Scan() {
		name, verdict, ended := strings.Cut(c.lines.Text(), " ")
		if !ended {
			current = name
			continue
		}
		if verdict != "ok" {
			t.Errorf("%s: %s", did[name], verdict)
		}
		delete(did, name)
		current = ""
	}
	if err := c.Wait(); err != nil && current == "" {
		t.Fatalf("probing process: %v", err)
	}
	return current
}

// probeChild probes every store of a directory in turn.
func probeChild(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "held.json"))
	if err != nil {
		return err
	}
	var held contents
	if err := json.Unmarshal(text, &held); err != nil {
		return err
	}
	stores, err := filepath.Glob(filepath.Join(dir, "store-*"))
	if err != nil {
		return err
	}
	for _, s := range stores {
		name, verdict := filepath.Base(s), "ok"
		fmt.Println(name)
		if err := probe(s, held); err != nil {
			verdict = err.Error()
		}
		fmt.Println(name, verdict)
		if err := os.RemoveAll(s); err != nil {
			return err
		}
	}
	return nil
}
