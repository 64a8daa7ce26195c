package subscriber

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/verdict"
)

// Evidence is why a message was believed or refused (policy E5, C): beside
// each message under <state_dir>/evidence stands what it was judged against.
type Evidence struct {
	Schema       string       `json:"schema"`
	Subscription string       `json:"subscription"`
	Message      string       `json:"message"` // SHA-512 of the whole message
	Size         int64        `json:"size"`    // of the whole message; a rejected one is kept up to 64 KiB
	At           time.Time    `json:"at"`
	Verdict      string       `json:"verdict"`
	Reason       verdict.Code `json:"reason,omitempty"`
	Detail       string       `json:"detail,omitempty"`
	Signer       any          `json:"signer,omitempty"`
	Chain        []string     `json:"chain,omitempty"` // SHA-512/256 of each certificate, signer first
	CRLs         any          `json:"crls,omitempty"`
	Policies     []string     `json:"policies,omitempty"`
}

// Limits of what hostile publishers can make us keep (contract §3).
const (
	rejectedKept = 64 << 10
	rejectedMax  = 8 << 20 // per subscription
)

func digestOf(raw []byte) string {
	d := sha512.Sum512(raw)
	return hex.EncodeToString(d[:])
}

func (r *run) messagePath(digest string) string {
	return filepath.Join(r.cfg.StateDir, evidence, digest+".smime")
}

// keepAccepted stores an accepted message durably: after it the transaction
// that names it may follow.
func (r *run) keepAccepted(sub string, raw []byte, v *imagelist.Verified, e *imagelist.Explanation) error {
	digest := v.Message().String()
	path := r.messagePath(digest)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := replaceFile(path, raw, 0o600, -1); err != nil {
			return fmt.Errorf("evidence: %w", err)
		}
	}
	return r.keepVerdict(filepath.Dir(path), sub, digest, int64(len(raw)), e, nil)
}

// keepRejected stores the first 64 KiB of a refused message, once, within the
// subscription's share.
func (r *run) keepRejected(sub string, raw []byte, e *imagelist.Explanation, rej *verdict.Rejection) error {
	if len(raw) == 0 {
		return nil
	}
	digest := digestOf(raw)
	dir := filepath.Join(r.cfg.StateDir, evidence, "rejected-"+sub)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	path := filepath.Join(dir, digest+".part")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := makeRoom(dir, rejectedMax-rejectedKept); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if err := replaceFile(path, raw[:min(len(raw), rejectedKept)], 0o600, -1); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return r.keepVerdict(dir, sub, digest, int64(len(raw)), e, rej)
}

// keepVerdict writes the account beside the message.
func (r *run) keepVerdict(dir, sub, digest string, size int64, e *imagelist.Explanation, rej *verdict.Rejection) error {
	ev := Evidence{Schema: "vouch/evidence/v1", Subscription: sub, Message: digest, Size: size, At: r.at, Verdict: "accepted"}
	if rej != nil {
		ev.Verdict, ev.Reason, ev.Detail = "rejected", rej.Code, rej.Detail
	}
	if e != nil && e.Signer != nil {
		ev.Signer = e.Signer
	}
	if e != nil && e.Trust != nil {
		ev.CRLs, ev.Policies = e.Trust.CRLs, e.Trust.Policies
		for _, c := range e.Trust.Chain {
			d := sha512.Sum512_256(c.Raw)
			ev.Chain = append(ev.Chain, hex.EncodeToString(d[:]))
		}
	}
	data, err := json.MarshalIndent(ev, "", "  ")
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if err := replaceFile(filepath.Join(dir, digest+".json"), data, 0o600, -1); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return nil
}

// makeRoom removes the oldest files of dir until at most limit bytes are left.
func makeRoom(dir string, limit int64) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	var total int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
			total += info.Size()
		}
	}
	sort.Slice(files, func(i, j int) bool { return files[i].ModTime().Before(files[j].ModTime()) })
	for _, f := range files {
		if total <= limit {
			break
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
		total -= f.Size()
	}
	return nil
}

// pruneEvidence drops what is older than evidence_keep and no longer named by
// a list or a published image.
func (r *run) pruneEvidence() error {
	needed := map[string]bool{}
	for _, l := range r.st.Lists {
		needed[l.Message] = true
	}
	for _, i := range r.st.Images {
		needed[i.Message] = true
	}
	root := filepath.Join(r.cfg.StateDir, evidence)
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name := filepath.Base(path)
		digest := name[:len(name)-len(filepath.Ext(name))]
		info, err := d.Info()
		if err != nil || needed[digest] || r.at.Sub(info.ModTime()) < r.cfg.EvidenceKeep {
			return nil
		}
		return os.Remove(path)
	})
}
