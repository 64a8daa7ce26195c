package publisher

import (
	"context"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"vouch/imagelist"
	"vouch/imagelist/publisher/history"
	"vouch/imagelist/smime"
)

// Who answers for what is done: an individual, and a certificate if one is at
// hand (policy E6).
type Who struct {
	Responsible string            // "" is the workspace's
	Certificate *x509.Certificate // nil if none is
}

func (w *Workspace) entry(kind history.Kind, who Who, at time.Time) history.Entry {
	e := history.Entry{Kind: kind, Time: at.UTC().Truncate(time.Second), Responsible: who.Responsible}
	if e.Responsible == "" {
		e.Responsible = w.Settings.Responsible
	}
	if who.Certificate != nil {
		s := imagelist.SignerOf(who.Certificate)
		e.Signer = history.Signer{DN: s.DN, CA: s.CA, SHA256: s.SHA256}
	}
	return e
}

// Beginning is what a new workspace is told.
type Beginning struct {
	Identifier  imagelist.ListID // "" makes a random UUID
	URI, Title  string           // hv:uri, where subscribers fetch the list; dc:title
	Description string
	Source      string
	Who         Who
	Email       string // of the endorser, for hv:email; may be ""
	At          time.Time
}

// Init makes a workspace for a new list in dir, which is made if need be and
// must hold no workspace yet. Killed half-way it leaves a workspace that Open
// completes, or none.
func Init(ctx context.Context, dir string, b Beginning, o Options) (*Workspace, error) {
	if b.Identifier == "" {
		b.Identifier = imagelist.ListID(uuid.NewString())
	}
	l := &imagelist.List{
		Identifier: b.Identifier, URI: b.URI, Title: b.Title, Description: b.Description, Source: b.Source,
		Endorsers: []imagelist.Endorser{{Email: b.Email, Creator: b.Who.Responsible}},
	}
	if b.Who.Certificate != nil {
		s := imagelist.SignerOf(b.Who.Certificate)
		l.Endorsers[0].DN, l.Endorsers[0].CA = s.DN, s.CA
	}
	return create(ctx, dir, l, b.Who, o, func(w *Workspace) (change, error) {
		e := w.entry(history.Init, b.Who, b.At)
		e.List = history.List{Identifier: l.Identifier}
		return change{Entries: []history.Entry{e}}, nil
	})
}

// Continue makes a workspace that goes on where a list made elsewhere stands:
// its identifier, version and images. raw is a signed message, whose signature
// is checked and whose chain is not, or a list as JSON, such as vmcaster
// exports.
func Continue(ctx context.Context, dir string, raw []byte, who Who, at time.Time, o Options) (*Workspace, error) {
	l, signed, err := readForeign(raw)
	if err != nil {
		return nil, err
	}
	if len(l.Refused) > 0 {
		e := l.Refused[0]
		return nil, problem("correct it there, or write the list as JSON without it and import that", "%s: %s", e.Field, e.Detail)
	}
	draft := *l
	draft.Version, draft.Created, draft.Expires, draft.Checkpoint = "", time.Time{}, time.Time{}, ""
	if who.Responsible == "" && len(l.Endorsers) > 0 {
		who.Responsible = l.Endorsers[0].Creator
	}
	return create(ctx, dir, &draft, who, o, func(w *Workspace) (change, error) {
		first := w.entry(history.Import, who, at)
		first.List = history.List{Identifier: l.Identifier, Version: l.Version, Expires: l.Expires}
		c := change{}
		if signed {
			first.List.SHA512 = digest(raw)
			c.Files = []file{{Name: filepath.Join(signedDir, signedName(l.Version)), content: raw}}
		}
		c.Entries = []history.Entry{first}
		for i := range l.Images {
			e := w.entry(history.Import, who, at)
			e.Image = recorded(&l.Images[i])
			c.Entries = append(c.Entries, e)
		}
		return c, nil
	})
}

// readForeign reads a list of somebody's making, signed or not.
func readForeign(raw []byte) (l *imagelist.List, signed bool, err error) {
	if !looksLikeJSON(raw) {
		claim, err := imagelist.ReadClaim(raw, smime.Options{AllowSHA1: true, Binary: true})
		if err != nil {
			return nil, true, &Error{Err: err, Fix: "a signed list, or a list as JSON"}
		}
		return claim.List, true, nil
	}
	if l, err = imagelist.DecodeDraft(raw); err == nil {
		return l, false, nil
	}
	// vmcaster exports the content of hv:imagelist in some versions, and the
	// whole in others.
	wrapped, werr := imagelist.DecodeDraft(fmt.Appendf(nil, `{"hv:imagelist":%s}`, raw))
	if werr == nil {
		return wrapped, false, nil
	}
	return nil, false, &Error{Err: err, Fix: "a signed list, or a list as JSON"}
}

func looksLikeJSON(raw []byte) bool {
	for _, c := range raw {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c == '{'
		}
	}
	return false
}

// create makes the workspace around a draft. The first change brings draft,
// history and settings; before it is committed there is no workspace, after it
// Open completes one.
func create(ctx context.Context, dir string, l *imagelist.List, who Who, o Options, begin func(*Workspace) (change, error)) (*Workspace, error) {
	if err := vacant(dir); err != nil {
		return nil, err
	}
	if !imagelist.SafeIdentifier(string(l.Identifier)) {
		return nil, problem("letters, digits, '.', '_' and '-', beginning with a letter or digit; a UUID is customary", "identifier %q is not usable as a file name", l.Identifier)
	}
	text, err := drafted(l)
	if err != nil {
		return nil, &Error{Err: err, Fix: "correct it and try again"}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	w := &Workspace{dir: dir, Settings: Settings{Schema: settingsSchema, Identifier: l.Identifier, Responsible: who.Responsible}}
	if err := w.own(ctx, o.HistoryKey); err != nil {
		return nil, err
	}
	c, err := begin(w)
	if err == nil {
		err = w.forVersionControl()
	}
	if err == nil {
		c.Draft, c.Settings = text, &w.Settings
		err = w.commit(c)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// forVersionControl tells git what not to keep, to leave every byte as it is
// (other line ends would break signatures and history), and not to write the
// marks of a conflict into the record, which nobody can resolve in an editor.
// What a person has in these files stays.
func (w *Workspace) forVersionControl() error {
	return errors.Join(
		w.appendLines(ignoreFile, pendingDir, lockFile, localFile, ".new-*"),
		w.appendLines(attributesFile, "* -text", historyDir+"/** -merge", signedDir+"/** -merge"),
	)
}

// appendLines adds to a file the lines that it does not have.
func (w *Workspace) appendLines(name string, lines ...string) error {
	have, err := os.ReadFile(w.path(name))
	if err != nil && !missing(err) {
		return err
	}
	text := string(have)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for _, line := range lines {
		if !slices.Contains(strings.Split(text, "\n"), line) {
			text += line + "\n"
		}
	}
	return writeFile(w.path(name), []byte(text))
}

// vacant refuses a directory that holds a workspace or part of one.
func vacant(dir string) error {
	for _, name := range []string{settingsFile, draftFile, historyDir, signedDir, sbomDir} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return problem("choose an empty directory with -C, or work in the one that is there", "%s: there is a %s already", dir, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return &Error{Err: err, Fix: "-C names a directory that you can write to"}
		}
	}
	return nil
}

// signedName is the name of a signed version's file. A version is free text.
func signedName(version string) string {
	if imagelist.SafeIdentifier(version) {
		return version + ".smime"
	}
	sum := sha512.Sum512([]byte(version))
	return "version-" + hex.EncodeToString(sum[:8]) + ".smime"
}

func digest(raw []byte) string {
	sum := sha512.Sum512(raw)
	return hex.EncodeToString(sum[:])
}

// recorded is what the history says of an image.
func recorded(i *imagelist.Image) history.Image {
	return history.Image{
		Identifier: i.Identifier, Version: i.Version, Title: i.Title, URI: i.URI,
		SHA512: i.SHA512.String(), Size: i.Size, Format: i.Format, OS: i.OS, OSVersion: i.OSVersion,
	}
}

// Remember keeps what the next command need not be told again.
func (w *Workspace) Remember(settings Settings, local Local) error {
	if settings != w.Settings {
		if err := writeFile(w.path(settingsFile), asJSON(settings)); err != nil {
			return fmt.Errorf("workspace: %w", err)
		}
		w.Settings = settings
	}
	if have, want := asText(w.Local), asText(local); have != want {
		if err := writeFile(w.path(localFile), asJSON(local)); err != nil {
			return fmt.Errorf("workspace: %w", err)
		}
		w.Local = local
	}
	return nil
}

func asText(l Local) string {
	raw, _ := json.Marshal(l)
	return string(raw)
}
