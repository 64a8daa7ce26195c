package history

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"vouch/imagelist"
)

// Verify checks the history of a workspace or a bundle (OpenBundle) offline:
// that every line is the entry that was signed for at its place, every
// checkpoint, the signed lists and the checkpoints within them, and the
// software bills of materials. Report.Problem is the first thing found wrong.
//
// Witnesses are signed lists from elsewhere. What they say of the history must
// be true of this one; that is how a history that was cut, or written anew by
// somebody with the key, is found out.
//
// Verify asks whether each message was signed by the certificate that its entry
// names; it does not ask whether anybody trusts that certificate.
//
// The error is ErrNone, or one of reading; a history that does not hold is no
// error.
func Verify(fsys fs.FS, witnesses ...Witness) (*Report, error) {
	v := &verification{fsys: fsys, chain: &chain{}, report: &Report{
		Keys: []KeyReport{}, Signed: []SignedReport{}, Notes: []string{},
	}}
	problem, err := v.run(witnesses)
	var f *fault
	if errors.As(err, &f) {
		problem, err = &Problem{Where: f.name, Detail: f.detail}, nil
	}
	if err != nil {
		return nil, err
	}
	v.conclude(problem)
	return v.report, nil
}

// verification is one Verify under way.
type verification struct {
	fsys   fs.FS
	disk   *disk
	chain  *chain // the entries that hold
	report *Report
}

func (v *verification) run(witnesses []Witness) (*Problem, error) {
	var err error
	if v.disk, err = readDisk(v.fsys); err != nil {
		return nil, err
	}
	for _, step := range []func() (*Problem, error){v.entries, v.strays, v.signed, v.sboms} {
		if problem, err := step(); problem != nil || err != nil {
			return problem, err
		}
	}
	for _, w := range witnesses {
		if problem := v.witness(w); problem != nil {
			return problem, nil
		}
	}
	return nil, nil
}

func (v *verification) conclude(problem *Problem) {
	r, c := v.report, v.chain
	r.OK, r.Problem, r.Size = problem == nil, problem, c.size()
	r.Root = c.tree().Hash.String()
	if c.size() > 0 {
		r.List = c.entries[0].List.Identifier
	}
	for _, k := range c.keys {
		r.Keys = append(r.Keys, KeyReport{k.text, k.since, k.at, k.responsible})
	}
	for _, k := range r.Keys {
		if k.Since >= r.Witnessed {
			r.Notes = append(r.Notes, fmt.Sprintf("no signed list covers entry %d, which introduces the key %s", k.Since, k.Verifier))
		}
	}
	r.Notes = append(r.Notes, "the certificates of the signed lists were not verified: vouch publisher verify does that")
	if n := r.Size - r.Witnessed; n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("no signed list covers the last %d entries yet: the checkpoint key alone protects them", n))
	}
}

// entries follows the lines and the checkpoint behind each.
func (v *verification) entries() (*Problem, error) {
	d := v.disk
	for i := range d.lines {
		if p, err := v.entry(int64(i)); p != nil || err != nil {
			return d.interrupted(p), err
		}
	}
	n := v.chain.size()
	switch {
	case len(d.torn) > 0:
		return d.interrupted(d.problem(n, "the line has no end")), nil
	case d.newest > n:
		p, err := v.removedFromEnd(n)
		return d.interrupted(p), err
	case n == 0:
		return &Problem{Where: entriesName, Detail: "no entries"}, nil
	}
	return nil, nil
}

// removedFromEnd is about checkpoints over more entries than there are.
func (v *verification) removedFromEnd(n int64) (*Problem, error) {
	raw, err := v.disk.checkpoint(v.disk.newest)
	if err != nil {
		return nil, err
	}
	name := checkpointName(v.disk.newest)
	cp, err := openCheckpoint(raw, v.chain.origin, v.chain.keys)
	switch {
	case err != nil:
		return &Problem{Where: name, Detail: fmt.Sprintf("there are %d entries, and of this checkpoint over more: %v", n, err)}, nil
	case cp.N <= n:
		return &Problem{Where: name, Detail: fmt.Sprintf("a checkpoint over %d entries under the name of another", cp.N)}, nil
	}
	return v.disk.problem(n, fmt.Sprintf("removed from the end: %s, signed by key %s, counts %d entries", name, cp.key, cp.N)), nil
}

// entry takes line i and compares what it makes of the tree with the
// checkpoint.
func (v *verification) entry(i int64) (*Problem, error) {
	d, c := v.disk, v.chain
	added := c.add(d.lines[i])
	raw, err := d.checkpoint(i + 1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var cp checkpoint
	if err == nil {
		cp, err = openCheckpoint(raw, Origin(v.list()), c.keys)
	} else {
		err = errors.New("missing")
	}
	if err == nil && cp.N != i+1 {
		err = fmt.Errorf("a checkpoint over %d entries under the name of another", cp.N)
	}
	switch {
	case added != nil:
		return d.problem(i, v.diagnose(i, cp, err, added)), nil
	case err == nil && cp.Tree == c.tree():
		return nil, nil
	case err == nil:
		c.cut(i)
		return d.problem(i, v.diagnose(i, cp, nil, nil)), nil
	}
	// The entry after knows what stood here, if it is what it was.
	if next := v.prevOf(i + 1); next != "" && next != c.prev() {
		c.cut(i)
		return d.problem(i, fmt.Sprintf("altered: prev of entry %d is the hash of another entry; and %s: %v", i+1, checkpointName(i+1), err)), nil
	}
	c.cut(i)
	p := d.problem(i, err.Error())
	p.Where = checkpointName(i + 1)
	return p, nil
}

// list is the identifier of the list whose history this is.
func (v *verification) list() imagelist.ListID {
	return imagelist.ListID(strings.TrimPrefix(v.chain.origin, Origin("")))
}

// prevOf is what a line says of the one before it, "" if it is none that says
// anything.
func (v *verification) prevOf(i int64) string {
	if i >= int64(len(v.disk.lines)) {
		return ""
	}
	if e, err := parseEntry(v.disk.lines[i]); err == nil && e.Index == i {
		return e.Prev
	}
	return ""
}

// diagnose says what became of entry i, and how that is known. The chain ends
// before it. cp is the checkpoint over it, if unsound is nil; wrong is why the
// line cannot stand there, if it cannot.
func (v *verification) diagnose(i int64, cp checkpoint, unsound, wrong error) string {
	known := fmt.Sprintf("%s: %v", checkpointName(i+1), unsound)
	if unsound == nil {
		known = fmt.Sprintf("%s, signed by key %s, has another root", checkpointName(i+1), cp.key)
		if j := v.find(i, cp); j > i {
			verb := "reordered"
			if int64(len(v.disk.lines)) > v.disk.newest {
				verb = "inserted"
			}
			return fmt.Sprintf("%s: the entry that was signed for here stands in line %d; %s", verb, j+1, known)
		}
	}
	var misplaced *misplacedError
	if errors.As(wrong, &misplaced) && misplaced.index > i {
		return fmt.Sprintf("removed: what stands here %v; %s", wrong, known)
	}
	if errors.As(wrong, &misplaced) {
		return fmt.Sprintf("inserted: what stands here %v; %s", wrong, known)
	}
	what := "altered"
	switch lines := int64(len(v.disk.lines)); {
	case lines < v.disk.newest:
		what = fmt.Sprintf("removed or altered (%d entries, %d checkpoints)", lines, v.disk.newest)
	case lines > v.disk.newest:
		what = fmt.Sprintf("inserted or altered (%d entries, %d checkpoints)", lines, v.disk.newest)
	}
	if wrong != nil {
		known = wrong.Error() + "; " + known
	}
	return what + ": " + known
}

// find looks for the line behind line i that makes the tree of cp.
func (v *verification) find(i int64, cp checkpoint) int64 {
	for j := i + 1; j < int64(len(v.disk.lines)); j++ {
		if v.chain.rootWith(v.disk.lines[j]) == cp.Hash {
			return j
		}
	}
	return -1
}

// interrupted adds to a problem that a killed command may be its cause.
func (d *disk) interrupted(p *Problem) *Problem {
	if p != nil && d.next != nil {
		p.Detail += "; " + nextName + " is there: if a command was interrupted, the next one that writes mends it"
	}
	return p
}

// strays are files that belong to no history.
func (v *verification) strays() (*Problem, error) {
	d := v.disk
	switch {
	case d.next != nil:
		return &Problem{Where: nextName, Detail: "a command was interrupted: the next one that writes finishes it"}, nil
	case len(d.stray) > 0 && d.stray[0] == nextName+".new":
		return &Problem{Where: d.stray[0], Detail: "a command was interrupted: the next one that writes cleans up"}, nil
	case len(d.stray) > 0:
		return &Problem{Where: d.stray[0], Detail: "not part of a history: nothing vouches for it"}, nil
	}
	return nil, nil
}
