package history

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"vouch/imagelist"
)

// Kind says what an entry records.
type Kind string

// What is recorded. Verify passes over a kind that it does not know: a later
// version may have more.
const (
	Init    Kind = "init"    // a new workspace
	Import  Kind = "import"  // a workspace that continues a list made elsewhere
	Endorse Kind = "endorse" // an image endorsed for the first time
	Replace Kind = "replace" // other bytes under an identifier
	Remove  Kind = "remove"  // the policy's revocation (E7)
	Edit    Kind = "edit"    // metadata of the list or an image changed by hand, noticed at signing
	Sign    Kind = "sign"    // a list signed
	Publish Kind = "publish" // a signed list published
	NewKey  Kind = "key"     // another checkpoint key begins to sign
)

// Entry is one line. Times are UTC, digests lower-case hexadecimal digits.
type Entry struct {
	Index       int64     `json:"index"` // position from 0; set by Append
	Time        time.Time `json:"time"`
	Kind        Kind      `json:"kind"`
	Responsible string    `json:"responsible,omitzero"` // the individual's name
	Signer      Signer    `json:"signer,omitzero"`
	List        List      `json:"list,omitzero"`
	Image       Image     `json:"image,omitzero"`
	Replaces    Replaces  `json:"replaces,omitzero"`
	SBOM        SBOM      `json:"sbom,omitzero"`
	NoSBOM      string    `json:"no_sbom,omitzero"` // why there is none
	Reason      string    `json:"reason,omitzero"`
	Destination string    `json:"destination,omitzero"`
	Key         string    `json:"key,omitzero"`  // verifier of a checkpoint key that signs from this entry on; set by Append
	Prev        string    `json:"prev,omitzero"` // RFC 6962 leaf hash of the entry before; set by Append
}

// Signer is the certificate that signed a list.
type Signer struct {
	DN     string `json:"dn"`
	CA     string `json:"ca"`
	SHA256 string `json:"sha256"` // of the DER
}

// List is a list, or a signed version of it.
type List struct {
	Identifier imagelist.ListID `json:"identifier"`
	Version    string           `json:"version,omitzero"`
	SHA512     string           `json:"sha512,omitzero"` // of the signed message, as it lies in signed/
	Expires    time.Time        `json:"expires,omitzero"`
}

// Image is an image as endorsed.
type Image struct {
	Identifier imagelist.ImageID `json:"identifier"`
	Version    string            `json:"version,omitzero"`
	Title      string            `json:"title,omitzero"`
	URI        string            `json:"uri,omitzero"`
	SHA512     string            `json:"sha512,omitzero"`
	Size       int64             `json:"size,omitzero"` // bytes
	Format     string            `json:"format,omitzero"`
	BuiltAt    time.Time         `json:"built_at,omitzero"`
	OS         string            `json:"os,omitzero"`
	OSVersion  string            `json:"os_version,omitzero"` // as policy E6 asks
}

// Replaces is what an image stood in for.
type Replaces struct {
	Version string `json:"version"`
	SHA512  string `json:"sha512"`
}

// SBOM is a software bill of materials kept in sbom/.
type SBOM struct {
	SHA512 string `json:"sha512"`
	Format string `json:"format,omitzero"`
	Name   string `json:"name"` // in sbom/: the SHA-512 and an extension
}

// parseEntry reads a line. Members that it does not know are tolerated;
// duplicate names, other cases and invalid UTF-8 are not.
func parseEntry(line []byte) (Entry, error) {
	var e Entry
	if len(line) > MaxLine {
		return e, fmt.Errorf("longer than %d bytes", MaxLine)
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("not an entry: %.200s", strings.ToValidUTF8(err.Error(), "?"))
	}
	return e, e.check()
}

// line is the entry as it is kept and hashed.
func (e Entry) line() ([]byte, error) {
	out, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if _, err := parseEntry(out); err != nil {
		return nil, err
	}
	return out, nil
}

// check finds what no reader should have to expect.
func (e Entry) check() error {
	if e.Kind == "" {
		return errors.New("kind: missing")
	}
	if _, offset := e.Time.Zone(); e.Time.IsZero() || offset != 0 {
		return errors.New("time: missing, or not UTC")
	}
	for _, d := range []struct {
		field, text string
		size        int
	}{
		{"signer.sha256", e.Signer.SHA256, 32}, {"list.sha512", e.List.SHA512, 64}, {"image.sha512", e.Image.SHA512, 64},
		{"replaces.sha512", e.Replaces.SHA512, 64}, {"sbom.sha512", e.SBOM.SHA512, 64}, {"prev", e.Prev, 32},
	} {
		if raw, err := hex.DecodeString(d.text); d.text != "" && (err != nil || len(raw) != d.size || strings.ToLower(d.text) != d.text) {
			return fmt.Errorf("%s: want %d lower-case hexadecimal digits", d.field, 2*d.size)
		}
	}
	return e.SBOM.check()
}

func (s SBOM) check() error {
	if s == (SBOM{}) {
		return nil
	}
	ext, found := strings.CutPrefix(s.Name, s.SHA512+".")
	if s.SHA512 == "" || !found || ext == "" || len(ext) > 16 || strings.Trim(ext, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return errors.New("sbom.name: want the SHA-512, a dot and an extension")
	}
	return nil
}

// complete says what the policy asks for and the entry lacks.
func (e Entry) complete() error {
	switch e.Kind {
	case Init, Import, Edit, Publish, NewKey:
	case Endorse, Replace:
		switch {
		case e.Responsible == "":
			return errors.New("responsible: missing (policy E6)")
		case e.Image.Identifier == "" || e.Image.SHA512 == "":
			return errors.New("image: identifier or sha512 missing")
		case (e.SBOM.SHA512 == "") == (e.NoSBOM == ""):
			return errors.New("want one of sbom and no_sbom")
		}
	case Remove:
		if e.Image.Identifier == "" || e.Reason == "" {
			return errors.New("image.identifier or reason: missing (policy E7)")
		}
	case Sign:
		if e.List.SHA512 == "" || e.List.Version == "" || e.Signer.SHA256 == "" {
			return errors.New("list.sha512, list.version or signer.sha256: missing")
		}
	default:
		return fmt.Errorf("kind %q: unknown", e.Kind)
	}
	return nil
}
