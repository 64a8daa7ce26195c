package imagelist

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Severity says whether a finding keeps a list or image from being accepted.
type Severity string

// The severities of a Finding.
const (
	Error   Severity = "error"   // vouch refuses the list, or the entry
	Warning Severity = "warning" // the specification asks for it, readers live without it
)

// Finding is one thing that a list or draft has wrong.
type Finding struct {
	Severity Severity `json:"severity"`
	Path     string   `json:"path"`   // e.g. hv:images[3].hv:image.hv:size
	Clause   string   `json:"clause"` // the rule, as the format's table names it
	Detail   string   `json:"detail"`
}

// The clauses that findings refer to: the parts of the format's description.
const (
	clauseList     = "HEPiX image list: list metadata"
	clauseEndorser = "HEPiX image list: endorser"
	clauseImage    = "HEPiX image list: image metadata"
	clauseRevoked  = "vouch:revoked"
)

// report gathers the findings about one object.
type report struct {
	findings []Finding
	path     string
	clause   string
}

func (r *report) at(path, clause string) { r.path, r.clause = path, clause }

func (r *report) add(s Severity, k key, detail string) {
	r.findings = append(r.findings, Finding{Severity: s, Path: r.path + k.step(), Clause: r.clause, Detail: detail})
}

func (r *report) require(k key, holds bool, detail string) {
	if !holds {
		r.add(Error, k, detail)
	}
}

// recommend warns of empty text.
func (r *report) recommend(k key, text string) {
	if text == "" {
		r.add(Warning, k, "empty")
	}
}

// Validate holds a list, decoded or drafted, against every rule of the format
// and returns all findings: the list's, its endorsers', its images' in order.
// Entries that Decode refused are errors, what it passed over are warnings. It
// knows no instant: it does not say whether the list is expired.
func (l *List) Validate() []Finding {
	r := &report{}
	l.validateHead(r)
	for i, e := range l.Endorsers {
		r.at(endorserPath(i)+keyX509.step(), clauseEndorser)
		e.validate(r, l.draft)
	}
	uses := make(map[ImageID]int, len(l.Images))
	for i := range l.Images {
		uses[l.Images[i].Identifier]++
	}
	for i := range l.Images {
		r.at(entryPath(i)+keyImage.step(), clauseImage)
		l.Images[i].validate(r)
		r.require(keyIdentifier, uses[l.Images[i].Identifier] == 1, "another entry has this identifier")
	}
	for i, v := range l.Revoked {
		r.at(listPath+keyRevoked.step()+step(i), clauseRevoked)
		r.require(keyIdentifier, SafeIdentifier(string(v.Identifier)), "not usable as a file name")
		r.require(keyDate, !v.Date.IsZero(), missing)
		r.recommend(keyReason, v.Reason)
	}
	for _, e := range l.Refused {
		r.findings = append(r.findings, Finding{Severity: Error, Path: e.Field, Clause: clauseImage, Detail: e.Detail})
	}
	return append(r.findings, l.odd...)
}

func (l *List) validateHead(r *report) {
	r.at(listPath, clauseList)
	r.require(keyIdentifier, SafeIdentifier(string(l.Identifier)), "not usable as a file name")
	if !l.draft {
		r.require(keyVersion, l.Version != "", missing)
		r.require(keyCreated, !l.Created.IsZero(), missing)
		r.require(keyExpires, !l.Expires.IsZero(), missing)
		r.require(keyEndorser, len(l.Endorsers) > 0, missing)
	}
	if !l.Created.IsZero() && !l.Expires.IsZero() {
		r.require(keyExpires, l.Expires.After(l.Created), "not after dc:date:created")
	}
	r.require(keyEndorser, len(l.Endorsers) <= maxEndorsers, "too many")
	r.require(keyImages, len(l.Images)+len(l.Refused) <= MaxImages, "too many")
	r.recommend(keyTitle, l.Title)
	r.recommend(keyDescription, l.Description)
	r.recommend(keySource, l.Source)
	r.recommend(keyURI, l.URI)
	if l.URI != "" {
		if problem := uriProblem(l.URI); problem != "" {
			r.add(Warning, keyURI, problem)
		}
	}
	r.strangers(l.Extra)
}

func (e Endorser) validate(r *report, draft bool) {
	r.require(keyDN, draft || e.DN != "", missing)
	r.require(keyCA, draft || e.CA != "", missing)
	r.recommend(keyEmail, e.Email)
	r.recommend(keyCreator, e.Creator)
}

func (i *Image) validate(r *report) {
	r.require(keyIdentifier, SafeIdentifier(string(i.Identifier)), "not usable as a file name")
	r.require(keyVersion, i.Version != "", missing)
	r.require(keySHA512, i.SHA512 != Digest{}, missing)
	r.require(keySize, i.Size >= 0, "negative")
	problem := uriProblem(i.URI)
	r.require(keyURI, problem == "", problem)
	r.require(unknown, len(i.Metadata) <= MaxEntry, "too long")
	if i.Size == 0 {
		r.add(Warning, keySize, "an image of no bytes")
	}
	for _, f := range []struct {
		key  key
		text string
	}{
		{keyTitle, i.Title}, {keyDescription, i.Description}, {keyComments, i.Comments},
		{keyOS, i.OS}, {keyOSVersion, i.OSVersion}, {keyArch, i.Arch},
		{keyHypervisor, i.Hypervisor}, {keyFormat, i.Format},
	} {
		r.recommend(f.key, f.text)
	}
	r.strangers(i.Metadata)
}

// strangers warns of members that neither the specification nor any list in the
// wild has: they are kept and passed on, and may be a slip of the pen.
func (r *report) strangers(object []byte) {
	m, err := parseMembers(object)
	if err != nil {
		return // Encode says what
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if keyOf[name] == unknown && !inTheWild(name) {
			r.findings = append(r.findings, Finding{Severity: Warning, Path: r.path, Clause: r.clause, Detail: fmt.Sprintf("unknown key %q: kept", clip(name))})
		}
	}
}

// inTheWild knows the keys that decide nothing here and that other tools write
// (format.md).
func inTheWild(name string) bool {
	return slices.Contains(wild, name) || strings.HasPrefix(name, "ad:user:") || strings.HasPrefix(name, "vouch:")
}

var wild = []string{
	"ad:swid", "ad:base_mpuri", "ad:appid", "ad:group", "ad:ram_recommended", "ad:core_recommended",
	"sl:osname", coreMinimum, ramMinimum,
}

// The specification's optional numbers.
const (
	coreMinimum = "hv:core_minimum"
	ramMinimum  = "hv:ram_minimum"
)
