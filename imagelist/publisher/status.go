package publisher

import (
	"fmt"
	"slices"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/publisher/history"
)

// Status is how a workspace stands.
type Status struct {
	Identifier  imagelist.ListID `json:"identifier"`
	Title       string           `json:"title"`
	URI         string           `json:"uri"`
	Responsible string           `json:"responsible"`
	Changed     bool             `json:"changed"`   // the draft says what is not signed yet
	Signed      *SignedStatus    `json:"signed"`    // null before the first signature
	Published   *PublishedStatus `json:"published"` // null before the first publication
	Images      []ImageStatus    `json:"images"`
	Due         []Due            `json:"due"` // what must be done, the most urgent first
	Entries     int              `json:"entries"`
}

// SignedStatus is the newest signed version.
type SignedStatus struct {
	Version     string            `json:"version"`
	Created     time.Time         `json:"created"`
	Expires     time.Time         `json:"expires"`
	Signer      *imagelist.Signer `json:"signer"` // null for a list that was imported as JSON
	Certificate time.Time         `json:"certificate_expires,omitzero"`
}

// PublishedStatus is the newest publication.
type PublishedStatus struct {
	Version     string    `json:"version"`
	Destination string    `json:"destination"`
	At          time.Time `json:"at"`
}

// ImageStatus is one image of the draft or of the newest signed version.
type ImageStatus struct {
	Identifier imagelist.ImageID `json:"identifier"`
	Title      string            `json:"title"`
	Version    string            `json:"version"`
	Size       int64             `json:"size"`
	SHA512     string            `json:"sha512"`
	State      string            `json:"state"` // signed | new | changed | removed
	Expires    time.Time         `json:"expires,omitzero"`
}

// Due is one thing to do.
type Due struct {
	What string    `json:"what"`
	At   time.Time `json:"at,omitzero"` // when it is too late; zero is now
	Fix  string    `json:"fix"`
}

// Status says how the workspace stands at an instant, and what is due within
// a time from it: a list, an image or the signer's certificate that expires, a
// removal that subscribers have not been told of.
func (w *Workspace) Status(within time.Duration, at time.Time) (*Status, error) {
	draft, err := w.Draft()
	if err != nil {
		return nil, err
	}
	s := &Status{Identifier: draft.Identifier, Title: draft.Title, URI: draft.URI, Responsible: w.Settings.Responsible}
	last, err := w.Last()
	if err != nil {
		return nil, err
	}
	entries, err := w.entries()
	if err != nil {
		return nil, err
	}
	s.Entries = len(entries)
	published, err := w.Published()
	if err != nil {
		return nil, err
	}
	if s.Changed, err = w.Changed(); err != nil {
		return nil, err
	}
	s.signed(last)
	s.images(draft, last)
	if published != nil {
		s.Published = &PublishedStatus{published.List.Version, published.Destination, published.Time}
	}
	s.due(last, published, at.Add(within), at)
	return s, nil
}

func (s *Status) signed(last *Signed) {
	if last == nil {
		return
	}
	s.Signed = &SignedStatus{Version: last.List.Version, Created: last.List.Created, Expires: last.List.Expires}
	if last.Claim != nil {
		s.Signed.Signer, s.Signed.Certificate = &last.Claim.Signer, last.Claim.Signer.NotAfter
	}
}

func (s *Status) images(draft *imagelist.List, last *Signed) {
	known := map[imagelist.ImageID]bool{}
	for i := range draft.Images {
		image := &draft.Images[i]
		known[image.Identifier] = true
		s.Images = append(s.Images, imageStatus(image, stateOf(image, last.image(image.Identifier))))
	}
	if last == nil {
		return
	}
	for i := range last.List.Images {
		if image := &last.List.Images[i]; !known[image.Identifier] {
			s.Images = append(s.Images, imageStatus(image, "removed"))
		}
	}
}

func stateOf(image, signed *imagelist.Image) string {
	if signed == nil {
		return "new"
	}
	one := func(i *imagelist.Image) *imagelist.List { return &imagelist.List{Images: []imagelist.Image{*i}} }
	if d, err := imagelist.Diff(one(signed), one(image)); err != nil || len(d) > 0 {
		return "changed"
	}
	return "signed"
}

func imageStatus(i *imagelist.Image, state string) ImageStatus {
	return ImageStatus{i.Identifier, i.Title, i.Version, i.Size, i.SHA512.String(), state, i.Expires}
}

// due collects what must be done before until.
func (s *Status) due(last *Signed, published *history.Entry, until, at time.Time) {
	add := func(what, fix string, when time.Time) {
		if when.IsZero() || when.Before(until) {
			s.Due = append(s.Due, Due{what, when, fix})
		}
	}
	for _, i := range s.Images {
		if i.State == "removed" {
			add(fmt.Sprintf("the removal of image %s is not signed", i.Identifier), "vouch publisher publish", time.Time{})
		}
	}
	if last == nil {
		return
	}
	if last.Message != nil && published != nil && published.List.SHA512 != last.Entry.List.SHA512 {
		add(fmt.Sprintf("version %s is signed and not published", last.List.Version), "vouch publisher publish", time.Time{})
	}
	add(expiry("the list", last.List.Expires, at), "vouch publisher renew", last.List.Expires)
	if c := last.Claim; c != nil {
		add(expiry("the signer's certificate", c.Signer.NotAfter, at), "have it renewed by your CA, then vouch publisher renew", c.Signer.NotAfter)
	}
	for _, i := range s.Images {
		if !i.Expires.IsZero() && i.State != "removed" {
			add(expiry("image "+string(i.Identifier), i.Expires, at), "vouch publisher add --replace, or remove", i.Expires)
		}
	}
	slices.SortStableFunc(s.Due, func(a, b Due) int { return a.At.Compare(b.At) })
}

func expiry(what string, when, at time.Time) string {
	if when.After(at) {
		return what + " expires"
	}
	return what + " has expired"
}
