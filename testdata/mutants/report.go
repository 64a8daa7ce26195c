package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// tally counts the mutants of one package.
type tally struct {
	tried, killed, late int
}

func (t tally) percent() float64 {
	if t.tried == 0 {
		return 100
	}
	return 100 * float64(t.killed) / float64(t.tried)
}

// report prints the shares and says whether they and the survivors are as they
// should be.
func report(outcomes []outcome) bool {
	var all tally
	packages := map[string]*tally{}
	ok := true
	for _, o := range outcomes {
		if packages[o.pkg] == nil {
			packages[o.pkg] = &tally{}
		}
		for _, t := range []*tally{&all, packages[o.pkg]} {
			t.add(o)
		}
		ok = ok && o.expected()
	}
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		packages[pkg].print(pkg)
	}
	all.print("all")
	return ok && all.percent() >= least
}

func (t *tally) add(o outcome) {
	t.tried++
	if o.by != "" {
		t.killed++
	}
	if o.late {
		t.late++
	}
}

func (t tally) print(name string) {
	fmt.Printf("%-24s %4d mutants, %4d killed (%d by time), %5.1f %%\n", name, t.tried, t.killed, t.late, t.percent())
}

// expected: it was killed, or it is one that cannot be.
func (o outcome) expected() bool {
	_, known := survivors[o.name]
	return known == (o.by == "")
}

// tell prints a line about one mutant if it is worth one.
func (o outcome) tell(verbose bool) {
	why, known := survivors[o.name]
	switch {
	case o.by != "" && known:
		fmt.Printf("KILLED, and in known.go: %s\n", o)
	case o.by != "" && verbose:
		fmt.Printf("killed by %s: %s\n", o.by, o)
	case o.by == "" && known:
		fmt.Printf("known: %s (%s)\n", o, why)
	case o.by == "" && !o.reached:
		fmt.Printf("NOT REACHED: %s\n", o)
	case o.by == "":
		fmt.Printf("SURVIVED: %s\n", o)
	}
}

// unknownNames are the names of known.go that no mutant of these packages has.
func unknownNames(all []mutant) []string {
	packages, names := map[string]bool{}, map[string]bool{}
	for _, m := range all {
		packages[path.Dir(strings.Fields(m.name)[0])] = true
		names[m.name] = true
	}
	var stale []string
	for _, name := range slices.Sorted(maps.Keys(survivors)) {
		if packages[path.Dir(strings.Fields(name)[0])] && !names[name] {
			stale = append(stale, name)
		}
	}
	return stale
}
