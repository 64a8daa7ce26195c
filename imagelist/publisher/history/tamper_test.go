package history

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"vouch/imagelist/listtest"
)

// TestE6_EveryByteCounts changes every byte of a small workspace in two ways.
// Each change is found, in the file where it was made and, in the entries, at
// the line where it was made.
func TestE6_EveryByteCounts(t *testing.T) {
	o := working(t)
	files := o.files()
	holds(t, files, 5)
	var changes atomic.Int64
	jobs := make(chan string)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			mine := maps.Clone(files)
			for name := range jobs {
				changes.Add(everyByte(t, mine, name))
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		jobs <- name
	}
	close(jobs)
	workers.Wait()
	t.Logf("%d changes in %d files", changes.Load(), len(files))
}

func everyByte(t *testing.T, files fstest.MapFS, name string) (n int64) {
	whole := files[name]
	defer func() { files[name] = whole }()
	for i := range whole.Data {
		for _, flip := range []byte{0x01, 0x20} {
			spoilt := bytes.Clone(whole.Data)
			spoilt[i] ^= flip
			files[name] = &fstest.MapFile{Data: spoilt, Mode: 0o644}
			if r, err := Verify(files); err != nil || !located(r.Problem, name, whole.Data[:i]) {
				t.Errorf("%s, byte %d (%q) xor %#x: %v, %v", name, i, whole.Data[i], flip, err, r.Problem)
			}
			n++
		}
	}
	return n
}

// located says whether a problem is where a change was made behind these bytes
// of a file.
func located(p *Problem, name string, before []byte) bool {
	if p == nil || p.Where != name || p.Detail == "" {
		return false
	}
	return name != entriesName || p.Entry != nil && *p.Entry == int64(bytes.Count(before, []byte{'\n'}))
}

// TestE6_KeyEntryByteCounts: the same for the line that brings a key, and the
// checkpoint that only this key signs.
func TestE6_KeyEntryByteCounts(t *testing.T) {
	o := newOffice(t)
	o.append(o.entry(Init))
	o.key = newKey(t)
	o.open()
	o.append(o.remove("image-1"))
	files := o.files()
	holds(t, files, 3)
	for name := range files {
		everyByte(t, files, name)
	}
}

// A tampering is done by somebody without the key.
type tampering struct {
	name  string
	do    func(f fstest.MapFS, lines []string) []string
	where string // entries.jsonl if ""
	entry int64  // -1: none
	kind  Kind
	says  string
}

func without(lines []string, i int) []string { return slices.Delete(slices.Clone(lines), i, i+1) }

func insert(lines []string, i int, line string) []string {
	return slices.Insert(slices.Clone(lines), i, line)
}

// renumbered makes index and prev of the lines right again.
func renumbered(t testing.TB, lines []string) []string {
	t.Helper()
	c := &chain{}
	var out []string
	for i, line := range lines {
		e, err := parseEntry([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		e.Index, e.Prev = int64(i), c.prev()
		raw, err := e.line()
		if err == nil {
			err = c.add(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	return out
}

// TestE6_TamperingIsNamed: what was done, and to which entry first.
func TestE6_TamperingIsNamed(t *testing.T) {
	o := working(t)
	forged := func(i int, lines []string) string { return strings.Replace(lines[i], "Alice", "Mallory", 1) }
	truncate := func(f fstest.MapFS, lines []string, n int) []string {
		for size := n + 1; size <= len(lines); size++ {
			delete(f, checkpointName(int64(size)))
		}
		return lines[:n]
	}
	signed := "signed/1.0.0.smime"
	for _, c := range []tampering{
		{"altered", func(_ fstest.MapFS, l []string) []string { l[2] = forged(2, l); return l }, "", 2, Remove, "altered"},
		{"altered, the rest renumbered", func(_ fstest.MapFS, l []string) []string { l[2] = forged(2, l); return renumbered(t, l) }, "", 2, Remove, "altered"},
		{"altered last", func(_ fstest.MapFS, l []string) []string { l[4] = forged(4, l); return l }, "", 4, Publish, "altered"},
		{"removed", func(_ fstest.MapFS, l []string) []string { return without(l, 2) }, "", 2, Sign, "removed: what stands here says that it is entry 3"},
		{"removed, the rest renumbered", func(_ fstest.MapFS, l []string) []string { return renumbered(t, without(l, 2)) }, "", 2, Sign, "removed or altered (4 entries, 5 checkpoints)"},
		{"first removed", func(_ fstest.MapFS, l []string) []string { return l[1:] }, "", 0, Endorse, "removed"},
		{"removed from the end", func(_ fstest.MapFS, l []string) []string { return l[:4] }, "", 4, "", "removed from the end"},
		{"inserted", func(_ fstest.MapFS, l []string) []string { return insert(l, 2, forged(2, l)) }, "", 2, Remove, "inserted: the entry that was signed for here stands in line 4"},
		{"inserted, renumbered", func(_ fstest.MapFS, l []string) []string { return renumbered(t, insert(l, 2, forged(2, l))) }, "", 2, Remove, "inserted or altered (6 entries, 5 checkpoints)"},
		{"repeated", func(_ fstest.MapFS, l []string) []string { return insert(l, 3, l[2]) }, "", 3, Remove, "inserted"},
		{"added to the end", func(_ fstest.MapFS, l []string) []string { return renumbered(t, append(l, l[4])) }, checkpointName(6), 5, Publish, "missing"},
		{"reordered", func(_ fstest.MapFS, l []string) []string { l[1], l[2] = l[2], l[1]; return l }, "", 1, Remove, "reordered: the entry that was signed for here stands in line 3"},
		{"checkpoint removed", func(f fstest.MapFS, l []string) []string { delete(f, checkpointName(3)); return l }, checkpointName(3), 2, Remove, "missing"},
		{"checkpoint of another size", func(f fstest.MapFS, l []string) []string { f[checkpointName(3)] = f[checkpointName(2)]; return l }, checkpointName(3), 2, Remove, "over 2 entries"},
		{"end and its checkpoints removed", func(f fstest.MapFS, l []string) []string { return truncate(f, l, 2) }, "", 2, "", "removed from the end: the signed list " + signed},
		{"sign entry and what follows removed", func(f fstest.MapFS, l []string) []string { return truncate(f, l, 3) }, signed, -1, "", "its sign entry removed"},
		{"all removed", func(f fstest.MapFS, l []string) []string { return truncate(f, l, 0) }, "", -1, "", "no entries"},
		{"list removed", func(f fstest.MapFS, l []string) []string { delete(f, signed); return l }, "signed", 3, Sign, "missing"},
		{"bill removed", func(f fstest.MapFS, l []string) []string {
			for name := range f {
				if strings.HasPrefix(name, sbomDir) {
					delete(f, name)
				}
			}
			return l
		}, "", 1, Endorse, "missing"},
		{"a file beside", func(f fstest.MapFS, l []string) []string { f["history/notes"] = &fstest.MapFile{}; return l }, "history/notes", -1, "", "nothing vouches"},
		{"a file beside the checkpoints", func(f fstest.MapFS, l []string) []string {
			f[checkpointsDir+"/1"] = &fstest.MapFile{}
			return l
		}, checkpointsDir + "/1", -1, "", "nothing vouches"},
		{"a file beside the bills", func(f fstest.MapFS, l []string) []string { f["sbom/x.json"] = &fstest.MapFile{}; return l }, "sbom/x.json", -1, "", "not named by"},
	} {
		f := o.files()
		lines := strings.Split(strings.TrimSuffix(string(f[entriesName].Data), "\n"), "\n")
		lines = c.do(f, lines)
		f[entriesName] = &fstest.MapFile{Data: []byte(strings.TrimPrefix(strings.Join(lines, "\n")+"\n", "\n")), Mode: 0o644}
		c.expect(t, verify(t, f).Problem)
	}
}

func (c tampering) expect(t *testing.T, p *Problem) {
	t.Helper()
	entry := int64(-1)
	if p != nil && p.Entry != nil {
		entry = *p.Entry
	}
	where := c.where
	switch {
	case p == nil:
		t.Errorf("%s: not found", c.name)
		return
	case where == "" && c.name == "bill removed":
		where = p.Where
	case where == "":
		where = entriesName
	}
	if p.Where != where || entry != c.entry || p.Kind != c.kind || !strings.Contains(p.Detail, c.says) || (p.Kind == "") != p.Time.IsZero() {
		t.Errorf("%s: %v", c.name, p)
	}
}

// TestE6_SitesAreWitnesses: who has the key can write the end anew, but not
// what a site has kept.
func TestE6_SitesAreWitnesses(t *testing.T) {
	o := working(t)
	o.append(o.remove("image-1"))
	kept := Witness{"site/list.smime", o.message("1.0.1")} // over six entries; the workspace does not keep it
	if r := verify(t, o.files(), kept); !r.OK || r.Witnessed != 6 || len(r.Signed) != 2 || r.Signed[1].Entry != nil {
		t.Errorf("honest: %+v", r)
	}
	f := o.files()
	text := string(f[entriesName].Data)
	lines := strings.SplitAfter(text, "\n")
	cut := maps.Clone(f)
	delete(cut, checkpointName(6))
	cut[entriesName] = &fstest.MapFile{Data: []byte(strings.Join(lines[:5], "")), Mode: 0o644}
	if r := verify(t, cut, kept); r.OK || *r.Problem.Entry != 5 || !strings.Contains(r.Problem.Detail, kept.Name) {
		t.Errorf("cut: %v", r.Problem)
	}
	anew := maps.Clone(cut)
	c := &chain{}
	for _, line := range lines[:5] {
		if err := c.add([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
			t.Fatal(err)
		}
	}
	e := Entry{Index: 5, Time: time.Now().UTC(), Kind: Publish, Prev: c.prev()}
	line, err := e.line()
	if err == nil {
		err = c.add(line)
	}
	if err != nil {
		t.Fatal(err)
	}
	signed, _ := o.key.sign(c.tree())
	anew[checkpointName(6)] = &fstest.MapFile{Data: []byte(signed), Mode: 0o644}
	anew[entriesName] = &fstest.MapFile{Data: fmt.Appendf(slices.Clone(cut[entriesName].Data), "%s\n", line), Mode: 0o644}
	holds(t, anew, 6)
	if r := verify(t, anew, kept); r.OK || r.Problem.Where != kept.Name || !strings.Contains(r.Problem.Detail, "the first 6 entries are not those") {
		t.Errorf("anew: %v", r.Problem)
	}
	other := Witness{"other", o.World.Message(listtest.List(func(b *listtest.Builder) { b.ID("other") }))}
	for _, w := range []Witness{{"nothing", []byte("nothing")}, other} {
		if r := verify(t, o.files(), w); r.OK || r.Problem.Where != w.Name {
			t.Errorf("%s: %v", w.Name, r.Problem)
		}
	}
}

// TestE6_EntriesAgreeWithLists: a sign entry that claims another version or
// signer than its message has is found, though it was signed for.
func TestE6_EntriesAgreeWithLists(t *testing.T) {
	for name, lie := range map[string]func(*office, *Entry){
		"version": func(_ *office, e *Entry) { e.List.Version = "9" },
		"name":    func(o *office, e *Entry) { e.Signer.DN = o.Alice.Endorser().DN },
		"signer":  func(_ *office, e *Entry) { e.Signer.SHA256 = strings.Repeat("0", 64) },
	} {
		o := working(t)
		e := o.sign("1.0.1")
		lie(o, &e)
		o.append(e)
		if r := verify(t, o.files()); r.OK || r.Problem.Where != "signed/1.0.1.smime" || *r.Problem.Entry != 5 {
			t.Errorf("%s: %v", name, r.Problem)
		}
	}
}

// TestE6_ImportedListMayBeAnybodys: it is held to its digest and no more.
func TestE6_ImportedListMayBeAnybodys(t *testing.T) {
	o := newOffice(t)
	raw := o.World.Message(listtest.List(func(b *listtest.Builder) { b.Set("vouch:checkpoint", "another history's") }))
	o.write("signed/import.smime", raw)
	e := o.entry(Import)
	e.List = List{Version: "1.0.0", SHA512: sum512(raw)}
	o.append(e)
	if r := holds(t, o.files(), 1); len(r.Signed) != 1 || r.Witnessed != 0 {
		t.Errorf("%+v", r.Signed)
	}
	o.write("signed/import.smime", append(raw, '\n'))
	if r := verify(t, o.files()); r.OK || r.Problem.Where != "signed/import.smime" {
		t.Errorf("%v", r.Problem)
	}
}
