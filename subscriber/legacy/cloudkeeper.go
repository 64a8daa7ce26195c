package legacy

import (
	"errors"
	"fmt"
	"strings"
)

// readCloudkeeper reads an image-lists.conf, a URL on each line, or the
// cloudkeeper.yml that names the lists itself. cloudkeeper believes any
// certificate of any CA: its lists come without endorsers.
func readCloudkeeper(text []byte) (*Result, error) {
	if keeperKey.Match(text) {
		return readCloudkeeperYAML(text)
	}
	res := &Result{Kind: Cloudkeeper}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		res.addURL(fmt.Sprintf("line %d", n), line)
	}
	if n == 0 || len(res.Lists)+len(res.Left) == 0 {
		return nil, errors.New("it names no list")
	}
	return res, nil
}

func (res *Result) addURL(source, raw string) {
	l := List{Source: source}
	if why, fix := l.setAddress(raw); why != "" {
		res.Left = append(res.Left, Left{Source: source, URL: shown(raw), Why: why, Fix: fix, Lost: true})
		return
	}
	res.Lists = append(res.Lists, l)
}

// readCloudkeeperYAML reads image-list (since 2.0), or image-lists and
// image-lists-file (before).
func readCloudkeeperYAML(text []byte) (*Result, error) {
	var doc struct {
		Cloudkeeper struct {
			List  any `yaml:"image-list"`
			Lists any `yaml:"image-lists"`
			File  any `yaml:"image-lists-file"`
		} `yaml:"cloudkeeper"`
	}
	if err := parseYAML(text, &doc); err != nil {
		return nil, err
	}
	res := &Result{Kind: Cloudkeeper}
	urls, _ := doc.Cloudkeeper.Lists.([]any)
	for _, u := range append(urls, doc.Cloudkeeper.List) {
		if s, ok := u.(string); ok {
			res.addURL(fmt.Sprintf("list %d", len(res.Lists)+len(res.Left)+1), s)
		}
	}
	switch {
	case doc.Cloudkeeper.File != nil:
		res.Left = append(res.Left, Left{Source: "image-lists-file", Why: "it names another file with lists", Fix: "import that file too", Lost: true})
	case len(res.Lists)+len(res.Left) == 0:
		return nil, errors.New("it names no list")
	}
	return res, nil
}
