package publisher

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/publisher/history"
	"vouch/imagelist/smime"
)

// Signed is a signed version of the list.
type Signed struct {
	Message []byte // the S/MIME message; nil when a list was imported as JSON
	Claim   *imagelist.Claim
	Entry   history.Entry // that records it
	List    *imagelist.List
}

// Last is the newest signed version, of a workspace that was imported at first
// the list that it continues; nil when there is none. Its bytes are held
// against the history's digest.
func (w *Workspace) Last() (*Signed, error) {
	entries, err := w.entries()
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(entries) {
		if e.List.Version == "" || e.Kind != history.Sign && e.Kind != history.Import {
			continue
		}
		if e.List.SHA512 == "" {
			return &Signed{Entry: e, List: &imagelist.List{Identifier: e.List.Identifier, Version: e.List.Version, Expires: e.List.Expires}}, nil
		}
		return w.version(e)
	}
	return nil, nil
}

// version reads the signed message that an entry names.
func (w *Workspace) version(e history.Entry) (*Signed, error) {
	name := w.path(signedDir, signedName(e.List.Version))
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, &Error{Err: err, Fix: "take the file from version control: it is part of the history"}
	}
	if digest(raw) != e.List.SHA512 {
		return nil, problem("take the file from version control; vouch publisher history --verify says what else is wrong", "%s is not what was signed", name)
	}
	claim, err := imagelist.ReadClaim(raw, smime.Options{AllowSHA1: true, Binary: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Signed{Message: raw, Claim: claim, Entry: e, List: claim.List}, nil
}

func (s *Signed) image(id imagelist.ImageID) *imagelist.Image {
	if s == nil {
		return nil
	}
	for i := range s.List.Images {
		if s.List.Images[i].Identifier == id {
			return &s.List.Images[i]
		}
	}
	return nil
}

// Published is the newest entry about a publication, nil when there is none.
func (w *Workspace) Published() (*history.Entry, error) {
	entries, err := w.entries()
	for i := range slices.Backward(entries) {
		if entries[i].Kind == history.Publish {
			return &entries[i], nil
		}
	}
	return nil, err
}

// Changed says whether the draft says anything that the last signed version
// does not, whoever signed that, and when. What signing fills in of an
// endorser's names is no change; mail and name that a person wrote are.
func (w *Workspace) Changed() (bool, error) {
	l, err := w.sound()
	if err != nil {
		return false, err
	}
	last, err := w.Last()
	if err != nil || last == nil || last.Message == nil {
		return err == nil, err
	}
	draft, err := substance(l)
	if err != nil {
		return false, &Error{What: w.path(draftFile), Err: err, Fix: "correct the file"}
	}
	signed, err := substance(last.List)
	return !bytes.Equal(draft, signed) || l.Version != "" || !says(last.List.Endorsers, l.Endorsers), err
}

// says whether the signed list has what the draft says of its one endorser
// beside the names, which are the signer's.
func says(signed, drafted []imagelist.Endorser) bool {
	if len(drafted) != 1 || len(signed) != 1 {
		return true
	}
	has := func(have, want string) bool { return want == "" || have == want }
	return has(signed[0].Email, drafted[0].Email) && has(signed[0].Creator, drafted[0].Creator)
}

// substance is the text of a list without what signing sets.
func substance(l *imagelist.List) ([]byte, error) {
	bare := *l
	bare.Version, bare.Created, bare.Expires, bare.Checkpoint, bare.Endorsers = "", time.Time{}, time.Time{}, "", nil
	return bare.EncodeDraft()
}

// endorsed is what the history says is endorsed now: identifier → SHA-512.
func (w *Workspace) endorsed() (map[imagelist.ImageID]string, error) {
	entries, err := w.entries()
	if err != nil {
		return nil, err
	}
	now := map[imagelist.ImageID]string{}
	for _, e := range entries {
		switch {
		case e.Image.Identifier == "":
		case e.Kind == history.Remove:
			delete(now, e.Image.Identifier)
		case e.Kind == history.Endorse || e.Kind == history.Replace || e.Kind == history.Import:
			now[e.Image.Identifier] = e.Image.SHA512
		}
	}
	return now, nil
}

// entries is the whole history.
func (w *Workspace) entries() (history.Entries, error) {
	if w.log != nil {
		return w.log.Entries(), nil
	}
	return history.Read(os.DirFS(w.dir))
}

// File is where the bytes of an image lie on this machine, "" when nobody
// said or it is gone.
func (w *Workspace) File(sum imagelist.Digest) string {
	path := w.Local.Files[sum.String()]
	if _, err := os.Stat(path); path == "" || err != nil {
		return ""
	}
	return filepath.Clean(path)
}

// SignedFile is where a signed version lies.
func (w *Workspace) SignedFile(version string) string {
	return w.path(signedDir, signedName(version))
}

// Renewal is what there is to do for a list of which nothing is new.
type Renewal struct {
	Last *imagelist.List // the newest signed one
	Due  bool            // it is to be signed again: it expires soon
	Owed bool            // it is not what was published last: that failed, or was not tried yet
}

// Renewal decides whether the newest signed list, when it expires within a
// time, is to be signed again. The draft must say the same: what else it says
// is a release, not a renewal. The error is an *Error.
func (w *Workspace) Renewal(within time.Duration, at time.Time) (*Renewal, error) {
	last, err := w.Last()
	if err != nil {
		return nil, err
	}
	if last == nil || last.Message == nil {
		return nil, problem("vouch publisher publish signs the first one", "no signed list here yet")
	}
	changed, err := w.Changed()
	if err != nil {
		return nil, err
	}
	if changed {
		return nil, problem("vouch publisher diff shows them, vouch publisher publish signs them", "the draft has changes that nobody signed; version %s expires at %s", last.List.Version, last.List.Expires.UTC().Format(time.RFC3339))
	}
	published, err := w.Published()
	if err != nil {
		return nil, err
	}
	return &Renewal{
		Last: last.List,
		Due:  last.List.Expires.Before(at.Add(within)),
		Owed: published == nil || published.List.SHA512 != last.Entry.List.SHA512,
	}, nil
}

// LastList is the list that was signed last. The error is an *Error when there
// is none.
func (w *Workspace) LastList() (*imagelist.List, error) {
	last, err := w.Last()
	if err != nil {
		return nil, err
	}
	if last == nil || last.Message == nil {
		return nil, problem("name the lists to compare", "no signed list here yet")
	}
	return last.List, nil
}

// Read reads a list, signed or as JSON; a signature is checked, and not judged.
func Read(raw []byte) (*imagelist.List, error) {
	l, _, err := readForeign(raw)
	return l, err
}

// SetBySigning says whether a difference is one that every signature makes.
func SetBySigning(d imagelist.Difference) bool {
	return d.Image == "" && d.Key != "vouch:revoked" && slices.Contains(setBySigning, d.Key)
}
