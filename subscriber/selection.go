package subscriber

import (
	"path"
	"strings"

	"vouch/imagelist"
)

// selected says whether a site wants an image of a list: included (or no
// include at all) and not excluded.
func (s *Subscription) selected(i *imagelist.Image) bool {
	in := len(s.Include) == 0
	for _, sel := range s.Include {
		in = in || sel.matches(i)
	}
	for _, sel := range s.Exclude {
		if sel.matches(i) {
			return false
		}
	}
	return in
}

// matches says whether every field that is set matches.
func (s Selector) matches(i *imagelist.Image) bool {
	fold := func(want, have string) bool { return want == "" || strings.EqualFold(want, have) }
	if s.Identifier != "" && s.Identifier != string(i.Identifier) {
		return false
	}
	if s.SHA512 != "" && !strings.EqualFold(s.SHA512, i.SHA512.String()) {
		return false
	}
	if s.Title != "" {
		if ok, err := path.Match(strings.ReplaceAll(s.Title, "/", "\x00"), strings.ReplaceAll(i.Title, "/", "\x00")); err != nil || !ok {
			return false
		}
	}
	return fold(s.OS, i.OS) && fold(s.Arch, i.Arch) && fold(s.Format, i.Format) && fold(s.Hypervisor, i.Hypervisor)
}
