package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"vouch/subscriber"
	"vouch/subscriber/legacy"
)

// move carries lists over from other tools. Everything is decided before the
// first file is written.
type move struct {
	*session
	conf     *configuration
	people   []endorserFile // of lists that come without an endorser
	firstUse bool           // ask such lists themselves
	names    map[string]bool
	numbers  map[string]int    // how many have been given a name
	urls     map[string]string // subscribed to, and by which subscription
	lists    map[string]string // the same, by identifier
	files    []newFile
	doc      *importDocument
}

// newFile is a file to be written; a secret one only for its owner.
type newFile struct {
	path    string
	content []byte
	secret  bool
}

func newMove(s *session, conf *configuration, people []endorserFile, firstUse bool) *move {
	m := &move{session: s, conf: conf, people: people, firstUse: firstUse,
		names: map[string]bool{}, numbers: map[string]int{}, urls: map[string]string{}, lists: map[string]string{},
		doc: &importDocument{Schema: "vouch/import/v1", Subscriptions: []importedEntry{}, Left: []leftEntry{}}}
	for _, sub := range conf.Site.Subscriptions {
		m.names[sub.Name] = true
		m.note(sub.Name, sub.URL, string(sub.List))
	}
	return m
}

func (m *move) note(name, address, list string) {
	m.urls[sameURL(address)] = name
	if list != "" {
		m.lists[list] = name
	}
}

// sameURL is a URL such that two that differ only in the case of the host's
// name, or by the port that goes without saying, are one.
func sameURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.Host = strings.ToLower(u.Host)
	if standard := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; standard != "" {
		u.Host = strings.TrimSuffix(u.Host, standard)
	}
	return u.String()
}

// take plans the lists of one source.
func (m *move) take(ctx context.Context, res *legacy.Result) error {
	for _, l := range res.Left {
		m.leave(res.Kind, l)
	}
	for _, l := range res.Lists {
		if by := m.already(&l); by != "" {
			m.leave(res.Kind, legacy.Left{Source: l.Source, URL: l.URL, Why: "subscribed to already, as " + by})
			continue
		}
		if err := m.takeList(ctx, res.Kind, &l); err != nil {
			return err
		}
	}
	return nil
}

func (m *move) leave(kind legacy.Kind, l legacy.Left) {
	shown := ""
	if l.URL != "" {
		shown = redacted(l.URL)
	}
	m.doc.Left = append(m.doc.Left, leftEntry{From: string(kind), Source: l.Source, URL: shown, Why: l.Why, Fix: l.Fix, Lost: l.Lost})
	if l.Lost {
		m.doc.Exit = exitRefused
	}
}

// already names the subscription that follows a list; "" when none does.
func (m *move) already(l *legacy.List) string {
	if by := m.urls[sameURL(l.URL)]; by != "" {
		return by
	}
	return m.lists[l.Identifier]
}

// takeList plans the files of one list, or says why it is left. The error is
// about the site, not the list.
func (m *move) takeList(ctx context.Context, kind legacy.Kind, l *legacy.List) error {
	name := m.free(l.Name)
	f := &subscriptionFile{URL: l.URL, List: l.Identifier, Images: selectionFile(l.Images)}
	for _, p := range l.Endorsers {
		f.Endorsers = append(f.Endorsers, endorserFile{DN: p.DN, CA: p.CA})
	}
	secrets := m.credentials(name, l, f)
	asked, left, err := m.authorise(ctx, name, l, f)
	if err != nil {
		return err
	}
	var raw []byte
	if left == nil {
		raw, left = faithful(name, f)
	}
	if left != nil {
		left.Source, left.URL = l.Source, l.URL
		m.leave(kind, *left)
		return nil
	}
	file := filepath.Join(m.conf.subscriptionsDir(), name+".yaml")
	m.files = append(append(m.files, secrets...), newFile{path: file, content: raw})
	m.names[name] = true
	m.numbers[l.Name]++
	m.note(name, f.URL, f.List)
	e := importedEntry{
		Name: name, From: string(kind), Source: l.Source, URL: redacted(l.URL), File: file, List: f.List, Endorsers: f.Endorsers, FirstUse: asked,
		Include: l.Images.Include, Exclude: l.Images.Exclude, HoldNew: l.Images.None,
		UsernameFile: f.UsernameFile, PasswordFile: f.PasswordFile, Notes: l.Notes,
	}
	if l.Images.None {
		e.Notes = append(e.Notes, "none of its images was wanted: all wait for vouch image approve")
	}
	m.doc.Subscriptions = append(m.doc.Subscriptions, e)
	return nil
}

// selectionFile is which images are wanted, as a file says it. That none was
// wanted is not "all": they are held.
func selectionFile(sel legacy.Selection) *imagesFile {
	one := func(ids []string) (list []map[string]string) {
		for _, id := range ids {
			list = append(list, map[string]string{"identifier": id})
		}
		return list
	}
	f := &imagesFile{Include: one(sel.Include), Exclude: one(sel.Exclude)}
	switch {
	case sel.None:
		f.New = "hold"
	case f.Include == nil && f.Exclude == nil:
		return nil
	}
	return f
}

// free is a name that no subscription and no file has yet.
func (m *move) free(name string) string {
	for n := m.numbers[name] + 1; ; n++ {
		try := name
		if n > 1 {
			end := fmt.Sprintf("-%d", n)
			try = name[:min(len(name), 64-len(end))] + end
		}
		taken := m.names[try]
		for _, path := range append(m.secretFiles(try), filepath.Join(m.conf.subscriptionsDir(), try+".yaml")) {
			_, err := os.Lstat(path)
			taken = taken || err == nil
		}
		if !taken {
			return try
		}
	}
}

// secretFiles are where the user name and the password of a subscription go.
func (m *move) secretFiles(name string) []string {
	dir := m.conf.credentialsDir()
	return []string{filepath.Join(dir, name+".username"), filepath.Join(dir, name+".password")}
}

// credentials plans the files of a user name and a password.
func (m *move) credentials(name string, l *legacy.List, f *subscriptionFile) []newFile {
	var files []newFile
	paths := m.secretFiles(name)
	for i, secret := range []string{l.Username, l.Password} {
		if secret != "" {
			files = append(files, newFile{paths[i], []byte(secret + "\n"), true})
			*[]*string{&f.UsernameFile, &f.PasswordFile}[i] = paths[i]
		}
	}
	return files
}

// authorise fills in who may sign a list whose source does not say.
func (m *move) authorise(ctx context.Context, name string, l *legacy.List, f *subscriptionFile) (asked bool, left *legacy.Left, err error) {
	switch {
	case len(f.Endorsers) > 0:
		return false, nil, nil
	case !m.firstUse:
		f.Endorsers = m.people
		if len(m.people) == 0 {
			left = &legacy.Left{Lost: true, Why: "the source does not say who may sign it",
				Fix: "ask who endorses it, and import again with --endorser-dn and --endorser-ca; or with --trust-on-first-use"}
		}
		return false, left, nil
	}
	probe, done, err := probeFile(l, f)
	if err != nil {
		return false, nil, err
	}
	defer done()
	v, why, err := m.firstSigner(ctx, m.conf, name, probe)
	var refuse *refusal
	switch {
	case errors.As(err, &refuse):
		return false, &legacy.Left{Lost: true, Why: refuse.what, Fix: refuse.hint}, nil
	case err != nil:
		return false, nil, err
	case v == nil:
		return false, &legacy.Left{Lost: true, Why: "not accepted now: " + why.Rejection.Error(), Fix: subscriber.HintFor(why.Rejection.Code)}, nil
	}
	f.authorise(v)
	if by := m.lists[f.List]; by != "" {
		return false, &legacy.Left{Why: "it is the list that " + by + " follows already"}, nil
	}
	return true, nil, nil
}

// probeFile is a subscription whose credentials, which are in no file yet, are
// in files of a private directory; done removes them.
func probeFile(l *legacy.List, f *subscriptionFile) (probe *subscriptionFile, done func(), err error) {
	copied := *f
	if l.Username == "" {
		return &copied, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "vouch-import-") // 0700
	if err != nil {
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	done = func() { os.RemoveAll(dir) }
	copied.UsernameFile = filepath.Join(dir, "username")
	err = os.WriteFile(copied.UsernameFile, []byte(l.Username), 0o600)
	if l.Password != "" && err == nil {
		copied.PasswordFile = filepath.Join(dir, "password")
		err = os.WriteFile(copied.PasswordFile, []byte(l.Password), 0o600)
	}
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	return &copied, done, nil
}

// faithful is the subscription's file, if sync will read in it what the source
// said.
func faithful(name string, f *subscriptionFile) ([]byte, *legacy.Left) {
	raw, err := yaml.Marshal(f)
	if err != nil {
		return nil, &legacy.Left{Lost: true, Why: "it cannot be written as YAML"}
	}
	sub, err := parseSubscription(name, raw)
	var refuse *refusal
	switch {
	case errors.As(err, &refuse):
		return nil, &legacy.Left{Lost: true, Why: refuse.what, Fix: refuse.hint}
	case err != nil:
		return nil, &legacy.Left{Lost: true, Why: err.Error()}
	}
	same := sub.URL == f.URL && string(sub.List) == f.List && len(sub.Endorsers) == len(f.Endorsers) &&
		(f.Images == nil || len(sub.Include) == len(f.Images.Include) && len(sub.Exclude) == len(f.Images.Exclude))
	for i := range min(len(sub.Endorsers), len(f.Endorsers)) {
		same = same && sub.Endorsers[i].DN == f.Endorsers[i].DN && sub.Endorsers[i].CA == f.Endorsers[i].CA
	}
	if !same {
		return nil, &legacy.Left{Lost: true, Why: "its text does not survive being written as YAML"}
	}
	return raw, nil
}

// write writes everything, or takes back what it wrote.
func (m *move) write() error {
	for i, f := range m.files {
		err := m.writeOne(f)
		if err == nil {
			continue
		}
		for _, done := range m.files[:i] {
			os.Remove(done.path)
		}
		if errors.Is(err, fs.ErrPermission) {
			return &refusal{"import: " + err.Error(), "run it as the user that vouch runs as; " + filepath.Dir(f.path) + " must be that user's"}
		}
		return &refusal{"import: " + err.Error(), "nothing was written; mend that and import again"}
	}
	return nil
}

func (m *move) writeOne(f newFile) error {
	if !f.secret {
		return writeFileNew(f.path, f.content)
	}
	if uid := ownerOf(m.conf.Site.StateDir); uid >= 0 && uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who could not read %s: %w", m.conf.Site.StateDir, uid, f.path, fs.ErrPermission)
	}
	return writeSecretNew(f.path, f.content)
}
