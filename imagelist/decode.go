package imagelist

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"vouch/imagelist/verdict"
)

// maxEndorsers bounds what every certificate is compared with.
const maxEndorsers = 64

// decoder fills a List while the scanner passes over the text.
type decoder struct {
	*scanner
	list   *List
	index  []int // position in hv:images of each of list.Images
	odd    oddities
	fields fields // of the object being read; one array reused for every entry
	draft  bool   // what signing sets may be absent
}

// fields are the values of an object's known keys.
type fields [keys]value

// Decode reads an image list from exactly the bytes that were signed (format.md;
// T-14, T-40 to T-43). It never reads a byte twice, keeps nothing of content,
// and needs about the length of content in memory beyond it.
//
// The error is a *verdict.Rejection with MalformedList: the text breaks a JSON
// rule anywhere, or a required key of the list itself is missing or unusable.
// An image entry that is wrong in itself is not an error: it is in
// List.Refused, and the others are unaffected. What is wrong but decides nothing
// is in List.Warnings.
//
// Decode says nothing about signatures, nor whether the list is current.
func Decode(content []byte) (*List, error) {
	d := &decoder{scanner: newScanner(content), list: &List{}}
	if err := d.document(); err != nil {
		return nil, verdict.Reject(verdict.MalformedList, "%s", told(err))
	}
	return d.finish(), nil
}

// told is an error as people read it.
func told(err error) string { return strings.TrimPrefix(err.Error(), "jsontext: ") }

func (d *decoder) finish() *List {
	d.refuseTwins()
	d.list.Warnings, d.list.odd = d.odd.lines(), d.odd.findings()
	return d.list
}

// document reads the one object that may be there: anything beside
// hv:imagelist would let a text signed for one purpose pass for another (T-14).
func (d *decoder) document() error {
	found := false
	err := d.object(func(k key) error {
		if k != keyList {
			return d.fault("a member other than hv:imagelist")
		}
		found = true
		return d.imagelist()
	})
	if err != nil {
		return err
	}
	if !found {
		return errors.New("hv:imagelist: missing")
	}
	return d.end()
}

func (d *decoder) imagelist() error {
	var head fields
	err := d.object(func(k key) (err error) {
		head[k].kind = d.dec.PeekKind()
		switch k {
		case keyEndorser:
			return d.endorsers()
		case keyImages:
			return d.images()
		case keyRevoked:
			return d.revocations()
		case unknown:
			return d.extra()
		}
		head[k], err = d.read(true)
		return err
	})
	if err != nil {
		return err
	}
	return d.head(&head)
}

// head fills the list's own keys and names the first required one that is
// not as it should be.
func (d *decoder) head(f *fields) error {
	l, r := d.list, reader{fields: f, path: listPath, odd: &d.odd}
	l.Identifier = ListID(r.identifier())
	r.draft = d.draft
	l.Version = r.version()
	l.Created = r.date(keyCreated)
	l.Expires = r.date(keyExpires)
	r.present(keyEndorser)
	r.present(keyImages)
	l.Title = r.recommended(keyTitle)
	l.Description = r.recommended(keyDescription)
	l.Source = r.recommended(keySource)
	l.URI = r.recommended(keyURI)
	l.VO = r.optional(keyVO)
	l.Checkpoint = r.optional(keyCheckpoint)
	if r.err != nil {
		return fmt.Errorf("%s.%w", listPath, r.err)
	}
	return nil
}

// extra keeps a member that has no field, for whoever writes the next version.
func (d *decoder) extra() error {
	name := d.dec.StackPointer().LastToken()
	d.keep()
	err := d.skip()
	raw, whole := d.keptCopy()
	if err != nil {
		return err
	}
	l := d.list
	if !whole || len(l.Extra)+len(name)+len(raw) > MaxEntry {
		d.odd.note(listPath, unknown, "unknown keys too long to keep")
		return nil
	}
	if l.Extra == nil {
		l.Extra = []byte{'{'}
	} else {
		l.Extra[len(l.Extra)-1] = ','
	}
	l.Extra, _ = jsontext.AppendQuote(l.Extra, name)
	l.Extra = append(append(append(l.Extra, ':'), raw...), '}')
	return nil
}

// endorsers reads one endorser or an array of them. All must be usable: the
// signer is compared with each.
func (d *decoder) endorsers() error {
	if d.dec.PeekKind() == '{' {
		return d.endorser(0)
	}
	err := d.array(func(i int) error {
		if i == maxEndorsers {
			return d.fault("more than %d endorsers", maxEndorsers)
		}
		return d.endorser(i)
	})
	if err == nil && len(d.list.Endorsers) == 0 {
		err = fmt.Errorf("%s%s: empty", listPath, keyEndorser.step())
	}
	return err
}

func (d *decoder) endorser(i int) error {
	path := endorserPath(i)
	found := false
	err := d.object(func(k key) error {
		if k != keyX509 {
			return d.skip()
		}
		found = true
		return d.x509(path + keyX509.step())
	})
	if err == nil && !found {
		err = fmt.Errorf("%s%s: missing", path, keyX509.step())
	}
	return err
}

func (d *decoder) x509(path string) error {
	if err := d.flat(); err != nil {
		return err
	}
	r := reader{fields: &d.fields, path: path, odd: &d.odd, draft: d.draft}
	e := Endorser{DN: r.required(keyDN), CA: r.required(keyCA), Email: r.recommended(keyEmail), Creator: r.recommended(keyCreator)}
	if r.err != nil {
		return fmt.Errorf("%s.%w", path, r.err)
	}
	for _, name := range []string{e.DN, e.CA} {
		if mixedScript(name) {
			d.odd.note(path, unknown, fmt.Sprintf("letters of several scripts in one name: %q", clip(name)))
		}
	}
	d.list.Endorsers = append(d.list.Endorsers, e)
	return nil
}

// flat reads one object's known scalars into d.fields.
func (d *decoder) flat() error {
	d.fields = fields{}
	return d.object(func(k key) (err error) {
		d.fields[k], err = d.read(k != unknown)
		return err
	})
}

func (d *decoder) images() error {
	return d.array(func(i int) error {
		if i == MaxImages {
			return d.fault("more than %d images", MaxImages)
		}
		return d.element(i)
	})
}

// element reads {"hv:image": {…}}.
func (d *decoder) element(i int) error {
	if d.dec.PeekKind() != '{' {
		d.refuse(EntryError{Index: i, Detail: "not an object"}, "")
		return d.skip()
	}
	found := false
	err := d.object(func(k key) error {
		if k != keyImage || d.dec.PeekKind() != '{' {
			return d.skip()
		}
		found = true
		return d.entry(i)
	})
	if err == nil && !found {
		d.refuse(EntryError{Index: i, Detail: "missing or not an object"}, keyImage.step())
	}
	return err
}

func (d *decoder) entry(i int) error {
	d.keep()
	err := d.flat()
	metadata, whole := d.keptCopy()
	if err != nil {
		return err
	}
	d.odd.entry = i
	image, problem := decodeImage(&d.fields, &d.odd)
	if problem == nil && !whole {
		problem = &fieldError{detail: fmt.Sprintf("longer than %d bytes", MaxEntry)}
	}
	if problem != nil {
		d.refuse(EntryError{Index: i, Identifier: image.Identifier, SHA512: image.SHA512, Detail: problem.detail},
			keyImage.step()+problem.key.step())
		return nil
	}
	image.Metadata = metadata
	d.list.Images = append(d.list.Images, image)
	d.index = append(d.index, i)
	return nil
}

func (d *decoder) refuse(e EntryError, path string) {
	e.Field = entryPath(e.Index) + path
	d.list.Refused = append(d.list.Refused, e)
}

// refuseTwins moves every entry whose identifier another entry also has to
// the refused ones: neither can be told to be the right one.
func (d *decoder) refuseTwins() {
	l := d.list
	claims := make(map[ImageID]int, len(l.Images))
	for i := range l.Images {
		claims[l.Images[i].Identifier]++
	}
	for _, e := range l.Refused {
		claims[e.Identifier]++
	}
	if len(claims) == len(l.Images) && len(l.Refused) == 0 {
		return
	}
	kept := l.Images[:0]
	for i, image := range l.Images {
		if claims[image.Identifier] == 1 {
			kept = append(kept, image)
			continue
		}
		d.refuse(EntryError{Index: d.index[i], Identifier: image.Identifier, SHA512: image.SHA512,
			Detail: "another entry has this identifier"}, keyImage.step()+keyIdentifier.step())
	}
	clear(l.Images[len(kept):])
	l.Images = kept
	slices.SortFunc(l.Refused, func(a, b EntryError) int { return a.Index - b.Index })
}

// revocations reads vouch:revoked. It explains what the list already says by
// leaving images out, so that whatever is unusable in it is passed over.
func (d *decoder) revocations() error {
	if d.dec.PeekKind() != '[' {
		d.odd.note(listPath, keyRevoked, "not an array: ignored")
		return d.skip()
	}
	return d.array(func(i int) error {
		if d.dec.PeekKind() != '{' || i >= MaxImages {
			d.odd.note(listPath, keyRevoked, "entries that are not objects, or too many: ignored")
			return d.skip()
		}
		return d.revocation()
	})
}

func (d *decoder) revocation() error {
	if err := d.flat(); err != nil {
		return err
	}
	r := reader{fields: &d.fields, path: listPath + keyRevoked.step(), odd: &d.odd}
	v := Revocation{
		Identifier: ImageID(r.identifier()),
		Version:    r.optional(keyVersion),
		SHA512:     r.digest(),
		Date:       r.date(keyDate),
		Reason:     r.optional(keyReason),
	}
	if r.err != nil {
		d.odd.note(r.path, r.err.key, "ignored: "+r.err.detail)
		return nil
	}
	d.list.Revoked = append(d.list.Revoked, v)
	return nil
}
