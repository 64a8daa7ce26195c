package imagelist

import (
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Difference is one thing in which two lists differ.
type Difference struct {
	Image ImageID `json:"image"` // "" is the list itself
	Key   string  `json:"key"`   // "" is the image as a whole: it came or went
	Old   string  `json:"old"`   // as JSON; "" is absent
	New   string  `json:"new"`
}

// Diff says in what two lists differ: the list's own keys first, then the
// images in the order of the new list, then those that are gone. Refused
// entries are not looked at. The error is that of metadata that is not JSON.
func Diff(old, new *List) ([]Difference, error) {
	all, err := diffHeads(old, new)
	if err != nil {
		return nil, err
	}
	before := make(map[ImageID]*Image, len(old.Images))
	for i := range old.Images {
		before[old.Images[i].Identifier] = &old.Images[i]
	}
	for i := range new.Images {
		image := &new.Images[i]
		d, err := diffImages(before[image.Identifier], image)
		if err != nil {
			return nil, err
		}
		all = append(all, d...)
		delete(before, image.Identifier)
	}
	for i := range old.Images {
		if id := old.Images[i].Identifier; before[id] != nil {
			all = append(all, Difference{Image: id, Old: whole(before[id])})
		}
	}
	return all, nil
}

func diffHeads(old, new *List) ([]Difference, error) {
	a, err := old.members()
	if err != nil {
		return nil, err
	}
	b, err := new.members()
	if err != nil {
		return nil, err
	}
	for _, m := range []members{a, b} {
		delete(m, keyImages.String())
	}
	return diffMembers("", a, b), nil
}

func diffImages(old, new *Image) ([]Difference, error) {
	if old == nil {
		return []Difference{{Image: new.Identifier, New: whole(new)}}, nil
	}
	a, err := old.members()
	if err != nil {
		return nil, err
	}
	b, err := new.members()
	if err != nil {
		return nil, err
	}
	return diffMembers(new.Identifier, a, b), nil
}

// whole is what an image that came or went is called: version and digest.
func whole(i *Image) string {
	m := members{}
	m.text(keyVersion, i.Version)
	m.text(keySHA512, i.SHA512.String())
	return string(m.value())
}

func diffMembers(id ImageID, a, b members) []Difference {
	var all []Difference
	names := slices.Sorted(maps.Keys(a))
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if x, y := canonicalValue(a[name]), canonicalValue(b[name]); x != y {
			all = append(all, Difference{Image: id, Key: name, Old: x, New: y})
		}
	}
	return all
}

// canonicalValue is a value's text in which equal values are equal, save that 1.0 and 1
// stay different: a version keeps its text.
func canonicalValue(v jsontext.Value) string {
	if v == nil {
		return ""
	}
	v = v.Clone()
	v.Format(jsontext.PreserveRawStrings(false))
	return string(v)
}
