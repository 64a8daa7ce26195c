package imagelist_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vouch/imagelist"
)

func TestDiff(t *testing.T) {
	old, new := draft(), draft()
	if d, err := imagelist.Diff(old, new); err != nil || len(d) != 0 {
		t.Fatalf("a list differs from itself: %v, %v", d, err)
	}
	gone := old.Images[0]
	gone.Identifier = "gone"
	came := old.Images[0]
	came.Identifier, came.Version = "came", "7"
	old.Images = append(old.Images, gone)
	new.Images = append(new.Images, came)
	new.Images[0].Title = "t2"
	new.Images[0].Size = 5
	new.Images[0].Metadata = []byte(`{"vouch:x":{"b":1, "a":[null]},"hv:ram_minimum":512,"ad:new":[1, 2]}`)
	new.Version, new.VO = "1.1", ""
	d, err := imagelist.Diff(old, new)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, x := range d {
		have = append(have, fmt.Sprintf("%s|%s|%.20s|%.20s", x.Image, x.Key, x.Old, x.New))
	}
	want := []string{
		`|ad:vo|"vo"|`, `|hv:version|"1.0"|"1.1"`,
		`image-1|ad:new||[1,2]`, `image-1|ad:user:name|"é"|`, `image-1|dc:title|"t"|"t2"`, `image-1|hv:size|9223372036854775807|5`,
		`came|||{"hv:version":"7","s`, `gone||{"hv:version":"1","s|`,
	}
	for i, w := range want {
		if j := slices.Index(have, w); j != i {
			t.Errorf("%q is at %d, want %d", w, j, i)
		}
	}
	if len(have) != len(want) {
		t.Errorf("differences:\n%s", strings.Join(have, "\n"))
	}
	new.Images[0].Metadata = []byte(`{"x"`)
	if _, err := imagelist.Diff(old, new); err == nil {
		t.Error("metadata that is no JSON compares")
	}
}
