package listtest

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"vouch/imagelist"
)

// Builder makes the text of a list, well-formed until told otherwise. It does not
// use the package's own encoder, so that it can write what that one would not.
type Builder struct {
	head   map[string]any
	images []any
	last   map[string]any // the image that ImageSet changes
	raw    []byte
}

// ListID is the identifier of every list that is not given another.
const ListID = "63175437-7d59-4851-b333-c96cb6545a86"

// NewList begins a list of version 1.0.0 without images, made an hour before at
// and good for 28 days from then.
func NewList(at time.Time) *Builder {
	b := &Builder{head: map[string]any{
		"dc:title": "Test list", "dc:description": "Images for tests", "dc:source": "Example",
		"hv:uri": "https://images.example.org/image.list", "ad:vo": "vo.example.org",
	}}
	return b.ID(ListID).Version("1.0.0").Created(at.Add(-time.Hour)).Expires(at.AddDate(0, 0, 28))
}

// Set gives a key of hv:imagelist any value.
func (b *Builder) Set(key string, value any) *Builder { b.head[key] = value; return b }

// Remove takes a key of hv:imagelist away.
func (b *Builder) Remove(key string) *Builder { delete(b.head, key); return b }

// ID sets dc:identifier.
func (b *Builder) ID(id string) *Builder { return b.Set("dc:identifier", id) }

// Version sets hv:version.
func (b *Builder) Version(v string) *Builder { return b.Set("hv:version", v) }

// Title sets dc:title.
func (b *Builder) Title(s string) *Builder { return b.Set("dc:title", s) }

// Created sets dc:date:created, to the second.
func (b *Builder) Created(t time.Time) *Builder { return b.Set("dc:date:created", date(t)) }

// Expires sets dc:date:expires, to the second.
func (b *Builder) Expires(t time.Time) *Builder { return b.Set("dc:date:expires", date(t)) }

// Endorsers sets hv:endorser: an object for one, an array for several.
func (b *Builder) Endorsers(endorsers ...imagelist.Endorser) *Builder {
	var all []any
	for _, e := range endorsers {
		all = append(all, map[string]any{"hv:x509": map[string]any{
			"hv:dn": e.DN, "hv:ca": e.CA, "hv:email": e.Email, "dc:creator": e.Creator,
		}})
	}
	if len(all) == 1 {
		return b.Set("hv:endorser", all[0])
	}
	return b.Set("hv:endorser", all)
}

// Image adds an image of these bytes at uri.
func (b *Builder) Image(id string, content []byte, uri string) *Builder {
	digest := sha512.Sum512(content)
	b.last = map[string]any{
		"dc:identifier": id, "hv:uri": uri, "hv:size": len(content), "hv:version": "1.0",
		"sl:checksum:sha512": hex.EncodeToString(digest[:]),
		"dc:title":           "Image " + id, "dc:description": "An image", "sl:comments": "none",
		"sl:os": "Linux", "sl:osversion": "12", "sl:arch": "x86_64", "hv:hypervisor": "QEMU,KVM", "hv:format": "qcow2",
		"ad:mpuri": "https://appdb.example.org/" + id,
	}
	return b.Entry(map[string]any{"hv:image": b.last})
}

// ImageSet gives a key of the image added last any value; nil takes it away.
func (b *Builder) ImageSet(key string, value any) *Builder {
	if value == nil {
		delete(b.last, key)
		return b
	}
	b.last[key] = value
	return b
}

// Entry adds any element to hv:images.
func (b *Builder) Entry(element any) *Builder { b.images = append(b.images, element); return b }

// NoImages takes all images away.
func (b *Builder) NoImages() *Builder { b.images, b.last = nil, nil; return b }

// Raw makes the text exactly this, whatever else was said.
func (b *Builder) Raw(text string) *Builder { b.raw = []byte(text); return b }

// Bytes is the text.
func (b *Builder) Bytes(t testing.TB) []byte {
	t.Helper()
	if b.raw != nil {
		return b.raw
	}
	head := map[string]any{"hv:images": []any{}}
	if b.images != nil {
		head["hv:images"] = b.images
	}
	for k, v := range b.head {
		head[k] = v
	}
	text, err := json.MarshalIndent(map[string]any{"hv:imagelist": head}, "", " ")
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return append(text, '\n')
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
