package legacy

import (
	"errors"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// readAtrope reads hepix.yaml: a mapping of names to sources.
func readAtrope(text []byte) (*Result, error) {
	var sources yaml.MapSlice
	if err := parseYAML(text, &sources); err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, errors.New("it names no list")
	}
	res := &Result{Kind: Atrope}
	for _, s := range sources {
		name, ok := s.Key.(string)
		if !ok {
			return nil, errors.New("the name of a source is not text")
		}
		entry, err := entryOf(s.Value)
		if err != nil {
			return nil, err
		}
		res.addSource(name, entry)
	}
	return res, nil
}

// entryOf is a mapping by its keys; nothing is an empty one.
func entryOf(v any) (map[string]any, error) {
	pairs, ok := v.(yaml.MapSlice)
	if m, isMap := v.(map[string]any); isMap {
		return m, nil
	}
	if !ok && v != nil {
		return nil, errors.New("a source is not a mapping")
	}
	m := map[string]any{}
	for _, p := range pairs {
		key, ok := p.Key.(string)
		if !ok {
			return nil, errors.New("a key is not text")
		}
		m[key] = p.Value
	}
	return m, nil
}

// naming are the keys that say where a cloud puts images and what it calls
// them, which is a handler's business here.
var naming = []string{"prefix", "project"}

// known are the other keys of a source.
var known = []string{"url", "enabled", "endorser", "token", "images", "subscribed_images"}

func (res *Result) addSource(name string, entry map[string]any) {
	url, _ := entry["url"].(string)
	leave := func(why, fix string, lost bool) {
		res.Left = append(res.Left, Left{Source: name, URL: shown(url), Why: why, Fix: fix, Lost: lost})
	}
	if enabled, ok := entry["enabled"]; ok && off(enabled) {
		leave("it is not enabled", "", false)
		return
	}
	l := List{Source: name}
	if why, fix := l.setAddress(url); why != "" {
		leave(why, fix, true)
		return
	}
	l.Name = slug(name, l.Name)
	if token, ok := entry["token"]; ok && token != nil && token != "" {
		text, _ := token.(string)
		if why, fix := l.setCredentials(text, tokenPassword); why != "" || text == "" {
			leave("its token is not usable text", fix, true)
			return
		}
	}
	if !l.setEndorser(entry["endorser"]) {
		leave("its endorser is not a dn and a ca", "subscribe by hand, with --endorser-dn and --endorser-ca", true)
		return
	}
	if !l.setImages(entry["images"]) || !l.setImages(entry["subscribed_images"]) {
		leave("its images are not a list of identifiers", "subscribe by hand, with --image", true)
		return
	}
	l.noteKeys(entry)
	res.Lists = append(res.Lists, l)
}

// off says what atrope, which reads YAML 1.1 and asks as Python does, takes for
// false.
func off(v any) bool {
	switch v := v.(type) {
	case string:
		return slices.Contains([]string{"", "no", "off", "false", "n"}, strings.ToLower(v))
	case bool:
		return !v
	case uint64:
		return v == 0
	}
	return v == nil
}

// setEndorser takes the one endorser of a source, if it has any.
func (l *List) setEndorser(v any) bool {
	who, err := entryOf(v)
	if err != nil {
		return false
	}
	dn, okDN := who["dn"].(string)
	ca, okCA := who["ca"].(string)
	if len(who) == 0 {
		return true
	}
	l.Endorsers = []Person{{DN: dn, CA: ca}}
	return okDN && okCA
}

// setImages takes the identifiers of the images that are wanted; none are all.
func (l *List) setImages(v any) bool {
	items, ok := v.([]any)
	if !ok {
		return v == nil
	}
	var ids []string
	for _, item := range items {
		id, ok := item.(string)
		if !ok {
			return false
		}
		ids = append(ids, id)
	}
	good, bad := usable(append(l.Images.Include, ids...))
	l.sayUnusable(bad)
	l.Images = Selection{Include: good, None: len(ids) > 0 && len(good) == 0}
	return true
}

// noteKeys says which keys have no counterpart.
func (l *List) noteKeys(entry map[string]any) {
	for _, key := range naming {
		if v, ok := entry[key]; ok && v != nil && v != "" {
			l.Notes = append(l.Notes, key+" is not carried: a handler names images and puts them into projects")
		}
	}
	unknown := 0
	for key := range entry {
		if !slices.Contains(naming, key) && !slices.Contains(known, key) {
			unknown++
		}
	}
	if unknown > 0 {
		l.Notes = append(l.Notes, "it has keys that are not known here, and not carried")
	}
}
