package subscriber

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/subscriber/event"
)

const (
	indexSchema = "vouch/index/v1"
	indexFile   = "index.json" // in cache.dir
)

// Index is the catalogue that middleware reads: <cache.dir>/index.json (contract §3).
type Index struct {
	Schema     string           `json:"schema"`
	State      string           `json:"state"`
	Generated  time.Time        `json:"generated"`
	Generation uint64           `json:"generation"`
	Lists      []event.List     `json:"lists"`
	Images     []event.Image    `json:"images"`
	Withdrawn  []WithdrawnEntry `json:"withdrawn"`
}

// WithdrawnEntry is one image that left within keep_expired.
type WithdrawnEntry struct {
	Identifier string    `json:"identifier"`
	List       string    `json:"list"`
	SHA512     string    `json:"sha512"`
	Reason     string    `json:"reason"`
	At         time.Time `json:"at"`
	Kept       string    `json:"kept"`
}

// ReadIndex reads a cache's catalogue. The error matches fs.ErrNotExist when
// there is none yet.
func ReadIndex(cacheDir string) (*Index, error) {
	data, err := os.ReadFile(filepath.Join(cacheDir, indexFile))
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	var x Index
	if err := json.Unmarshal(data, &x); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if x.Schema != indexSchema {
		return nil, fmt.Errorf("index: schema %q is not known to this version", x.Schema)
	}
	return &x, nil
}

// buildIndex renders what is true in memory now.
func (r *run) buildIndex() *Index {
	x := &Index{Schema: indexSchema, State: r.st.Meta.State, Generated: r.at, Generation: r.st.Meta.Generation,
		Lists: make([]event.List, 0, len(r.st.Lists)), Images: make([]event.Image, 0, len(r.st.Images)), Withdrawn: []WithdrawnEntry{}}
	for _, l := range r.st.Lists {
		x.Lists = append(x.Lists, l.Entry)
	}
	for _, i := range r.st.Images {
		if i.Published {
			e := i.Entry
			e.Stale = i.Wanted != ""
			x.Images = append(x.Images, e)
		}
	}
	for k, w := range r.st.Withdrawn {
		x.Withdrawn = append(x.Withdrawn, WithdrawnEntry{Identifier: k.ID, List: k.List, SHA512: w.Entry.SHA512, Reason: w.Reason, At: w.At, Kept: w.Kept})
	}
	slices.SortFunc(x.Lists, func(a, b event.List) int { return cmp.Compare(a.Identifier, b.Identifier) })
	slices.SortFunc(x.Images, func(a, b event.Image) int {
		return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Identifier, b.Identifier))
	})
	slices.SortFunc(x.Withdrawn, func(a, b WithdrawnEntry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.List, b.List), cmp.Compare(a.Identifier, b.Identifier), cmp.Compare(a.Kept, b.Kept))
	})
	return x
}

// sameButTime says whether two indexes differ in nothing but when they were
// made and when lists were last verified: those do not move the generation.
func sameButTime(a, b *Index) bool {
	if a == nil || a.State != b.State || len(a.Lists) != len(b.Lists) || len(a.Images) != len(b.Images) || len(a.Withdrawn) != len(b.Withdrawn) {
		return false
	}
	for i := range a.Lists {
		x, y := a.Lists[i], b.Lists[i]
		x.Verified, y.Verified = time.Time{}, time.Time{}
		if !equalTimes(&x.Created, &y.Created) || !equalTimes(&x.Expires, &y.Expires) || x != y {
			return false
		}
	}
	for i := range a.Images {
		if !sameEntry(a.Images[i], b.Images[i]) {
			return false
		}
	}
	for i := range a.Withdrawn {
		x, y := a.Withdrawn[i], b.Withdrawn[i]
		if !equalTimes(&x.At, &y.At) || x != y {
			return false
		}
	}
	return true
}

// equalTimes compares two instants and makes them comparable with ==.
func equalTimes(a, b *time.Time) bool {
	ok := a.Equal(*b)
	*a = *b
	return ok
}

func sameEntry(x, y event.Image) bool {
	meta := string(x.Metadata) == string(y.Metadata)
	x.Metadata, y.Metadata = nil, nil
	if !equalTimes(&x.AvailableSince, &y.AvailableSince) || !equalTimes(&x.Expires, &y.Expires) {
		return false
	}
	a, b := x, y
	return meta && a.Identifier == b.Identifier && a.List == b.List && a.Subscription == b.Subscription && a.Title == b.Title &&
		a.Version == b.Version && a.SHA512 == b.SHA512 && a.Size == b.Size && a.Stale == b.Stale && a.VO == b.VO && a.Path == b.Path && a.Blob == b.Blob
}

// writeIndex replaces index.json. The generation moves when anything but a
// verification time changed.
func (r *run) writeIndex() error { return r.replaceIndex(r.buildIndex()) }

// showIndex replaces index.json only when more than a verification time changed.
func (r *run) showIndex() error {
	x := r.buildIndex()
	if sameButTime(r.index, x) {
		return nil
	}
	return r.replaceIndex(x)
}

func (r *run) replaceIndex(x *Index) error {
	if r.dry {
		return nil
	}
	if !sameButTime(r.index, x) {
		r.st.Meta.Generation++
		x.Generation = r.st.Meta.Generation
	}
	if err := r.cache.WriteIndexFrom(inJSON(x)); err != nil {
		return full(fmt.Errorf("index: %w", err))
	}
	r.index = x
	return nil
}

func endorsedPath(id string) string      { return cache.EndorsedPath(id) }
func blobPath(d imagelist.Digest) string { return cache.BlobPath(cache.Digest(d)) }
func notExist(err error) bool            { return errors.Is(err, fs.ErrNotExist) }

// inJSON writes a large document, the same one always in the same bytes.
func inJSON(document any) func(io.Writer) error {
	return func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 256<<10)
		if err := json.MarshalWrite(b, document, json.Deterministic(true)); err != nil {
			return err
		}
		b.WriteByte('\n')
		return b.Flush()
	}
}
