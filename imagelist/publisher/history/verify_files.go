package history

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"vouch/imagelist"
	"vouch/imagelist/smime"
)

// signed looks at every file in signed/, and at every entry that names one.
func (v *verification) signed() (*Problem, error) {
	names, err := list(v.fsys, signedDir)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, name := range names {
		name = signedDir + "/" + name
		raw, err := read(v.fsys, name, MaxMessage)
		if err != nil {
			return nil, err
		}
		digest := sum512(raw)
		there[digest] = true
		if problem := v.file(name, raw, digest); problem != nil {
			return problem, nil
		}
	}
	for i, e := range v.chain.entries {
		if e.Kind == Sign && !there[e.List.SHA512] {
			p := v.disk.problem(int64(i), fmt.Sprintf("missing: version %.80q with SHA-512 %s", e.List.Version, e.List.SHA512))
			p.Where = signedDir
			return p, nil
		}
	}
	return nil, nil
}

// recorded is the entry that names a message, or -1. The signature that made
// it is preferred to whatever else names it.
func (v *verification) recorded(digest string) int64 {
	found := int64(-1)
	for i, e := range v.chain.entries {
		switch {
		case e.List.SHA512 != digest:
		case e.Kind == Sign:
			return int64(i)
		case e.Kind == Import:
			found = int64(i)
		}
	}
	return found
}

// file judges one file of signed/. A message that was only imported may be
// anybody's, and is asked for nothing but its digest.
func (v *verification) file(name string, raw []byte, digest string) *Problem {
	at := v.recorded(digest)
	if at >= 0 && v.chain.entries[at].Kind == Import {
		e := v.chain.entries[at]
		v.report.Signed = append(v.report.Signed, SignedReport{File: name, Version: e.List.Version, Entry: &at})
		return nil
	}
	m, err := imagelist.ReadClaim(raw, smime.Options{})
	if err != nil {
		return &Problem{Where: name, Detail: fmt.Sprintf("SHA-512 %s is in no entry: altered, or put there; %v", digest, err)}
	}
	size, problem := v.covered(name, m)
	if problem != nil {
		return problem
	}
	if at < 0 {
		return &Problem{Where: name, Detail: fmt.Sprintf("SHA-512 %s is in no entry: altered or put there, or its sign entry removed", digest)}
	}
	if detail := v.agrees(at, size, m); detail != "" {
		p := v.disk.problem(at, detail)
		p.Where = name
		return p
	}
	v.report.Signed = append(v.report.Signed, SignedReport{name, m.List.Version, m.Signer.SHA256, &at, size})
	return nil
}

// agrees compares a message with the entry that records it.
func (v *verification) agrees(at, size int64, m *imagelist.Claim) string {
	e := v.chain.entries[at]
	switch {
	case e.List.Version != m.List.Version:
		return fmt.Sprintf("the list is version %.80q, the entry says %.80q", m.List.Version, e.List.Version)
	case e.Signer.SHA256 != m.Signer.SHA256:
		return fmt.Sprintf("signed by the certificate %s, the entry says %s", m.Signer.SHA256, e.Signer.SHA256)
	case !imagelist.Names(m.Certificate, imagelist.Endorser{DN: e.Signer.DN, CA: e.Signer.CA}):
		return fmt.Sprintf("signed by another than %.200q of %.200q, whom the entry names", e.Signer.DN, e.Signer.CA)
	case size > at:
		return fmt.Sprintf("its checkpoint counts %d entries, more than there were when it was signed", size)
	}
	return ""
}

// covered checks the checkpoint within a list and returns its size, 0 if there
// is none.
func (v *verification) covered(name string, m *imagelist.Claim) (int64, *Problem) {
	bad := func(format string, args ...any) *Problem {
		return &Problem{Where: name, Detail: fmt.Sprintf(format, args...)}
	}
	if m.List.Identifier != v.list() {
		return 0, bad("list %q, not %q", string(m.List.Identifier), string(v.list()))
	}
	if m.List.Checkpoint == "" {
		return 0, nil
	}
	cp, err := openCheckpoint(m.List.Checkpoint, v.chain.origin, v.chain.keys)
	switch {
	case err != nil:
		return 0, bad("vouch:checkpoint: %v; an entry that introduces its key may have been removed", err)
	case cp.N > v.chain.size():
		return 0, v.disk.problem(v.chain.size(), fmt.Sprintf(
			"removed from the end: the signed list %s carries a checkpoint over %d entries, signed by key %s", name, cp.N, cp.key))
	case cp.Tree != v.chain.treeAt(cp.N):
		return 0, bad("vouch:checkpoint: the first %d entries are not those that were there when this list was signed", cp.N)
	}
	v.report.Witnessed = max(v.report.Witnessed, cp.N)
	return cp.N, nil
}

// witness judges a list from elsewhere. It need not be recorded: the history
// may be older than it.
func (v *verification) witness(w Witness) *Problem {
	m, err := imagelist.ReadClaim(w.Message, smime.Options{})
	if err != nil {
		return &Problem{Where: w.Name, Detail: err.Error()}
	}
	size, problem := v.covered(w.Name, m)
	if problem != nil {
		return problem
	}
	report := SignedReport{File: w.Name, Version: m.List.Version, Signer: m.Signer.SHA256, Checkpoint: size}
	if at := v.recorded(sum512(w.Message)); at >= 0 {
		report.Entry = &at
	}
	v.report.Signed = append(v.report.Signed, report)
	return nil
}

// sboms looks at every file in sbom/, and at every entry that names one.
func (v *verification) sboms() (*Problem, error) {
	names, err := list(v.fsys, sbomDir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if problem, err := v.sbom(name); problem != nil || err != nil {
			return problem, err
		}
	}
	for i, e := range v.chain.entries {
		if _, found := slices.BinarySearch(names, e.SBOM.Name); e.SBOM.Name != "" && !found {
			p := v.disk.problem(int64(i), "missing")
			p.Where = sbomDir + "/" + e.SBOM.Name
			return p, nil
		}
	}
	return nil, nil
}

// sbom hashes a file, which must have the name of its content.
func (v *verification) sbom(name string) (*Problem, error) {
	h := sha512.New()
	if _, err := pour(h, v.fsys, sbomDir+"/"+name, MaxSBOM); err != nil {
		return nil, err
	}
	v.report.SBOMs++
	digest := hex.EncodeToString(h.Sum(nil))
	if (SBOM{SHA512: digest, Name: name}).check() == nil {
		return nil, nil
	}
	p := &Problem{}
	for i, e := range v.chain.entries {
		if e.SBOM.Name == name {
			p = v.disk.problem(int64(i), "")
			break
		}
	}
	p.Where, p.Detail = sbomDir+"/"+name, fmt.Sprintf("altered: its SHA-512 is %s", digest)
	if _, _, dotted := strings.Cut(name, "."); !dotted || len(name) < 129 {
		p.Detail = "not part of a history: not named by its SHA-512"
	}
	return p, nil
}

func sum512(raw []byte) string {
	sum := sha512.Sum512(raw)
	return hex.EncodeToString(sum[:])
}
