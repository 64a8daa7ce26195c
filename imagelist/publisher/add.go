package publisher

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"vouch/imagelist"
	"vouch/imagelist/publisher/diskimage"
	"vouch/imagelist/publisher/history"
)

// Addition is an image to be endorsed: what was measured, and what the
// endorser says of it.
type Addition struct {
	File       string // that was measured; remembered for uploads
	Facts      *diskimage.Facts
	Identifier imagelist.ImageID // of a new image; "" makes a random UUID
	Replace    imagelist.ImageID // "" unless these are other bytes of a known image
	URI        string            // where subscribers download it
	Keys       []KeyValue        // of hv:image, in the order typed
	BuiltAt    time.Time         // zero when not said
	SBOM       *SBOM             // or
	NoSBOM     string            // why there is none
	Who        Who
	At         time.Time
}

// KeyValue is one key of hv:image and its value.
type KeyValue struct{ Key, Value string }

// SBOM is a software bill of materials that was found to be one.
type SBOM struct {
	Content   []byte
	Format    string // e.g. "CycloneDX 1.6 JSON"
	Extension string // of the file's name, without the dot
}

// Added is what Add did.
type Added struct {
	Image    imagelist.Image
	Replaced *imagelist.Image // nil for a new one
	Unknown  []string         // keys that neither the format nor a list in the wild has: kept
	Warnings []string
}

// Add endorses an image: records it in the history and puts it into the draft.
// A replacement keeps the identifier and whatever is not said anew, and raises
// the version. The error is an *Error, or the file system's.
func (w *Workspace) Add(a Addition) (*Added, error) {
	l, at, err := w.begin(a)
	if err != nil {
		return nil, err
	}
	next, done := *l, &Added{}
	next.Images = slices.Clone(l.Images)
	if at < len(l.Images) {
		done.Replaced = &l.Images[at]
		next.Images[at].Version = imagelist.NextVersion(done.Replaced.Version)
	} else {
		next.Images = append(next.Images, imagelist.Image{Identifier: a.identifier(), Version: "1"})
	}
	if err := a.describe(&next.Images[at], done); err != nil {
		return nil, err
	}
	if err := a.judge(&next, at, done); err != nil {
		return nil, err
	}
	done.Image = next.Images[at]
	return done, w.endorse(a, &next, done)
}

// Ready says before a file is measured, which may take minutes, whether its
// endorsement would be refused for what is known already. Add asks it again.
// The error is an *Error, or the file system's.
func (w *Workspace) Ready(a Addition) error {
	_, _, err := w.begin(a)
	return err
}

// begin is the draft, and the place of the image in it.
func (w *Workspace) begin(a Addition) (l *imagelist.List, at int, err error) {
	if l, err = w.sound(); err != nil {
		return nil, 0, err
	}
	if at, err = a.target(l); err != nil {
		return nil, 0, err
	}
	if w.entry(history.Endorse, a.Who, a.At).Responsible == "" {
		return nil, 0, problem("say who endorses: --responsible NAME, or the key responsible in "+settingsFile, "no responsible individual is named (policy E6)")
	}
	return l, at, nil
}

// target is the place of the image in the draft: its own, or the end.
func (a *Addition) target(l *imagelist.List) (int, error) {
	id := a.Replace
	if id == "" {
		id = a.Identifier
	}
	at := slices.IndexFunc(l.Images, func(i imagelist.Image) bool { return i.Identifier == id })
	switch {
	case a.Replace != "" && at < 0:
		return 0, problem("vouch publisher status names the images; without --replace a new one is added", "no image %q in the draft", a.Replace)
	case a.Replace != "":
		return at, nil
	case at >= 0:
		return 0, problem("--replace "+string(id)+" gives it other bytes; leave --identifier out for a new image", "image %q is in the draft already", id)
	case id != "" && !imagelist.SafeIdentifier(string(id)):
		return 0, problem("letters, digits, '.', '_' and '-', beginning with a letter or digit; without --identifier a UUID is made", "identifier %q is not usable as a file name", id)
	}
	return len(l.Images), nil
}

func (a *Addition) identifier() imagelist.ImageID {
	if a.Identifier != "" {
		return a.Identifier
	}
	return imagelist.ImageID(uuid.NewString())
}

// describe fills the image with what was measured and said.
func (a *Addition) describe(i *imagelist.Image, done *Added) error {
	i.Size, i.SHA512, i.URI = a.Facts.Size, a.Facts.SHA512, a.URI
	said := false
	for _, kv := range a.Keys {
		known, err := i.Set(kv.Key, kv.Value)
		if err != nil {
			return &Error{Err: err, Fix: "see vouch publisher add --help"}
		}
		if !known {
			done.Unknown = append(done.Unknown, kv.Key)
		}
		said = said || kv.Key == "hv:format"
	}
	switch agrees := a.Facts.Agrees(i.Format); {
	case said && !agrees:
		done.warn("hv:format says %q, but the file is %s", i.Format, a.Facts.Format)
	case !said && !agrees:
		if i.Format != "" {
			done.warn("hv:format was %q and is %s now: that is what the file is", i.Format, a.Facts.Format)
		}
		i.Format = a.Facts.Format
	}
	return nil
}

func (d *Added) warn(format string, args ...any) {
	d.Warnings = append(d.Warnings, fmt.Sprintf(format, args...))
}

// judge holds the entry against the format's rules: errors are refused,
// warnings told.
func (a *Addition) judge(l *imagelist.List, at int, done *Added) error {
	i := &l.Images[at]
	if i.ExpiredAt(a.At) {
		return problem("give a later date, or none", "dc:date:expires: %s is in the past", i.Expires.UTC().Format(time.RFC3339))
	}
	if r := done.Replaced; r != nil {
		if imagelist.CompareVersions(i.Version, r.Version) <= 0 {
			done.warn("version %q does not come after %q", i.Version, r.Version)
		}
		if i.SHA512 == r.SHA512 {
			done.warn("the bytes are those that were endorsed before")
		}
	}
	for _, r := range l.Revoked {
		if r.SHA512 == i.SHA512 {
			done.warn("these bytes were revoked at %s: %s", r.Date.UTC().Format(time.RFC3339), r.Reason)
		}
	}
	for _, f := range l.Validate() {
		if !strings.HasPrefix(f.Path, fmt.Sprintf("hv:images[%d].", at)) || strings.HasPrefix(f.Detail, "unknown key") {
			continue
		}
		if f.Severity == imagelist.Error {
			return problem("correct it and try again", "%s: %s", f.Path, f.Detail)
		}
		done.warn("%s: %s", f.Path[strings.LastIndexByte(f.Path, '.')+1:], f.Detail)
	}
	return nil
}

// endorse records the image and commits the draft.
func (w *Workspace) endorse(a Addition, next *imagelist.List, done *Added) error {
	kind := history.Endorse
	if done.Replaced != nil {
		kind = history.Replace
	}
	e := w.entry(kind, a.Who, a.At)
	e.Image, e.NoSBOM = recorded(&done.Image), a.NoSBOM
	e.Image.BuiltAt = a.BuiltAt.UTC()
	if a.BuiltAt.IsZero() {
		e.Image.BuiltAt = time.Time{}
	}
	if r := done.Replaced; r != nil {
		e.Replaces = history.Replaces{Version: r.Version, SHA512: r.SHA512.String()}
	}
	c := change{}
	if a.SBOM != nil {
		sum := digest(a.SBOM.Content)
		e.SBOM = history.SBOM{SHA512: sum, Format: a.SBOM.Format, Name: sum + "." + a.SBOM.Extension}
		c.Files = []file{{Name: filepath.Join(sbomDir, e.SBOM.Name), content: a.SBOM.Content}}
	}
	text, err := drafted(next)
	if err != nil {
		return &Error{Err: err, Fix: "correct it and try again"}
	}
	c.Entries, c.Draft = []history.Entry{e}, text
	if err := w.commit(c); err != nil {
		return err
	}
	return w.rememberFile(done.Image.SHA512, a.File)
}

// rememberFile notes where the bytes of an image lie, for uploads.
func (w *Workspace) rememberFile(sum imagelist.Digest, path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	local := w.Local
	local.Files = map[string]string{sum.String(): abs}
	for k, v := range w.Local.Files {
		if k != sum.String() {
			local.Files[k] = v
		}
	}
	return w.Remember(w.Settings, local)
}
