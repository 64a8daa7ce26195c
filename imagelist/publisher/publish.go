package publisher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/publisher/destination"
	"vouch/imagelist/publisher/history"
	"vouch/imagelist/smime"
)

// Publishing says how to publish.
type Publishing struct {
	Images bool // upload the image files first
	// FetchBack reads what is served: uploaded images before the list is
	// replaced, and the list's hv:uri afterwards.
	FetchBack bool
	Access    destination.Options
	Progress  func(name string) destination.Progress // asked for each transfer
	Who       Who
	At        time.Time
}

// Publication is what Publish did.
type Publication struct {
	Version     string           `json:"version"`
	Destination string           `json:"destination"`
	Replaced    string           `json:"replaced"`  // the version that was live before; "" when there was none
	Unchanged   bool             `json:"unchanged"` // it was live already
	Images      []UploadedImage  `json:"images"`
	Served      string           `json:"served"` // what hv:uri shows: "" not asked, "yes", or what is wrong
	Expires     time.Time        `json:"expires"`
	Identifier  imagelist.ListID `json:"identifier"`
}

// UploadedImage is one image file at the destination.
type UploadedImage struct {
	Identifier imagelist.ImageID `json:"identifier"`
	Name       string            `json:"name"`
	Size       int64             `json:"size"`
	Resumed    int64             `json:"resumed"` // bytes that were there of an earlier try
	Skipped    bool              `json:"skipped"` // was there already
}

// A NotPublishedError says that the place did not take the list, or an image;
// the cause says what is live now.
type NotPublishedError struct{ Err error }

func (e *NotPublishedError) Error() string { return "not published: " + e.Err.Error() }

// Unwrap is the cause.
func (e *NotPublishedError) Unwrap() error { return e.Err }

// Hint is the cause's, if it knows one.
func (e *NotPublishedError) Hint() string {
	var cause interface{ Hint() string }
	if errors.As(e.Err, &cause) && cause.Hint() != "" {
		return cause.Hint()
	}
	if errors.Is(e.Err, context.Canceled) {
		return "publish again: it goes on from here"
	}
	return "mend that, then publish again; nothing needs to be undone"
}

// Publish puts the newest signed list in the place of what is live at d: image
// files first if asked for, then the list, atomically, then the record. It
// never puts an older version in the place of a newer one, another list's, or
// of what is no list, and never a list that vouches for a removed image.
//
// The error is an *Error when nothing was changed, a *NotPublishedError when the
// place failed. That hv:uri does not show the list is in Served, no error: the
// list is published all the same.
func (w *Workspace) Publish(ctx context.Context, d destination.Destination, o Publishing) (*Publication, error) {
	last, err := w.publishable(o.At)
	if err != nil {
		return nil, err
	}
	live, err := d.Read(ctx)
	if err != nil {
		return nil, &NotPublishedError{err}
	}
	p := &Publication{Version: last.List.Version, Destination: d.String(), Expires: last.List.Expires, Identifier: last.List.Identifier}
	if live != nil {
		if p.Replaced, err = succeeds(last.List, live.Content, p.Destination); err != nil {
			return nil, err
		}
		p.Unchanged = bytes.Equal(live.Content, last.Message)
	}
	if o.Images {
		if err := w.upload(ctx, d, last.List, o, p); err != nil {
			return p, err
		}
	}
	if !p.Unchanged {
		if err := d.Replace(ctx, last.Message, live); err != nil {
			return p, &NotPublishedError{err}
		}
	}
	if err := w.recordPublication(last, p, o); err != nil {
		return p, err
	}
	if o.FetchBack {
		p.Served = served(ctx, last, o.Access)
	}
	return p, nil
}

// publishable is the newest signed list, if it may be shown to anybody.
func (w *Workspace) publishable(at time.Time) (*Signed, error) {
	last, err := w.Last()
	switch {
	case err != nil:
		return nil, err
	case last == nil || last.Message == nil:
		return nil, problem("vouch publisher sign, or publish with --cert and --key", "no signed list here yet")
	case last.List.ExpiredAt(at):
		return nil, problem("vouch publisher renew signs it anew", "version %s expired at %s", last.List.Version, last.List.Expires.UTC().Format(time.RFC3339))
	}
	if err := w.covers(last.List, false); err != nil {
		return nil, problem("vouch publisher sign makes the next version", "version %s vouches for an image that was removed or replaced since", last.List.Version)
	}
	return last, nil
}

// succeeds says which version is live, if l may take its place.
func succeeds(l *imagelist.List, live []byte, where string) (string, error) {
	claim, err := imagelist.ReadClaim(live, smime.Options{AllowSHA1: true, Binary: true})
	if err != nil {
		return "", &Error{What: where + ": what is there is not a signed list", Err: err, Fix: "is it the right place? If so, remove that file first"}
	}
	have := claim.List
	switch {
	case have.Identifier != l.Identifier:
		return "", problem("is it the right place?", "%s: another list is there: %q", where, have.Identifier)
	case imagelist.CompareVersions(have.Version, l.Version) > 0:
		return "", problem("somebody published from another copy of the workspace: bring the two together first", "%s: a newer version is live: %q, this is %q", where, have.Version, l.Version)
	case have.Version == l.Version && !bytes.Equal(smime.Canonical(mustEncode(have)), smime.Canonical(mustEncode(l))):
		return "", problem("somebody published from another copy of the workspace: bring the two together first", "%s: another list of version %q is live", where, l.Version)
	}
	return have.Version, nil
}

// mustEncode is a list's canonical text; of a list that was read it cannot fail.
func mustEncode(l *imagelist.List) []byte {
	text, err := l.Encode()
	if err != nil {
		return nil
	}
	return text
}

// upload puts the image files beside the list, so that no list names what is
// not there yet.
func (w *Workspace) upload(ctx context.Context, d destination.Destination, l *imagelist.List, o Publishing, p *Publication) error {
	for i := range l.Images {
		image := &l.Images[i]
		name, err := fileName(image)
		if err != nil {
			return err
		}
		from := w.File(image.SHA512)
		if from == "" {
			return problem("upload it by hand and publish without --images", "image %q: its file is not known on this machine", image.Identifier)
		}
		up, err := d.Upload(ctx, name, from, image.SHA512, o.Progress(name))
		if errors.Is(err, destination.ErrOtherBytes) {
			return problem("endorse it anew: vouch publisher add "+from+" --replace "+string(image.Identifier), "image %q: %s is not what was endorsed", image.Identifier, from)
		}
		if err == nil && !up.Verified && o.FetchBack { // the server was told, and what it serves is another matter
			err = destination.Check(ctx, image.URI, image.Size, image.SHA512, o.Progress(name), o.Access)
		}
		if err != nil {
			return &NotPublishedError{err}
		}
		p.Images = append(p.Images, UploadedImage{image.Identifier, name, up.Size, up.Resumed, up.Skipped})
	}
	return nil
}

// fileName is the last element of the image's address.
func fileName(i *imagelist.Image) (string, error) {
	u, err := url.Parse(i.URI)
	if err == nil {
		if name := path.Base(u.Path); name != "." && name != "/" {
			return name, nil
		}
	}
	return "", problem("its hv:uri must end in a file name", "image %q: no file name to upload it under", i.Identifier)
}

func (w *Workspace) recordPublication(last *Signed, p *Publication, o Publishing) error {
	before, err := w.Published()
	if err != nil {
		return err
	}
	if p.Unchanged && before != nil && before.List.SHA512 == last.Entry.List.SHA512 && before.Destination == p.Destination {
		return nil
	}
	e := w.entry(history.Publish, o.Who, o.At)
	e.List, e.Destination = last.Entry.List, p.Destination
	return w.commit(change{Entries: []history.Entry{e}})
}

// served compares what the list's own address shows.
func served(ctx context.Context, last *Signed, o destination.Options) string {
	back, err := destination.Fetch(ctx, last.List.URI, destination.MaxList, o)
	if err != nil {
		return err.Error()
	}
	if bytes.Equal(back, last.Message) {
		return "yes"
	}
	claim, err := imagelist.ReadClaim(back, smime.Options{AllowSHA1: true, Binary: true})
	if err != nil {
		return fmt.Sprintf("%s shows something else: %s", last.List.URI, err)
	}
	return fmt.Sprintf("%s shows version %q", last.List.URI, claim.List.Version)
}
