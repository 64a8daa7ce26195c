package subscriber

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vouch/subscriber/metadata"
)

const ledgerSchema = "vouch/ledger/v1"

// ledger is what must outlive the database: who this state is, how far lists
// have come, who owns which identifier, what the administrator approved. It
// is kept twice as plain files, in state_dir and as .vouch in the cache, so
// that losing either costs a rebuild and never a floor.
type ledger struct {
	Schema     string              `json:"schema"`
	State      string              `json:"state"`
	Machine    string              `json:"machine"`
	StateDir   string              `json:"state_dir"`
	Generation uint64              `json:"generation"`
	Baseline   string              `json:"baseline,omitempty"`
	Dirs       []string            `json:"dirs,omitempty"`
	Floors     []metadata.Floor    `json:"floors"`
	Owners     map[string]string   `json:"owners"` // image identifier -> list identifier
	Approvals  []metadata.Approval `json:"approvals,omitempty"`
}

func (r *run) ledger() *ledger {
	l := &ledger{
		Schema: ledgerSchema, State: r.st.Meta.State, Machine: machineID(), StateDir: r.cfg.StateDir,
		Generation: r.st.Meta.Generation, Baseline: r.st.Meta.Baseline, Dirs: r.st.Meta.Dirs,
		Owners: r.st.Owners,
	}
	for _, f := range r.st.Floors {
		l.Floors = append(l.Floors, f)
	}
	slices.SortFunc(l.Floors, func(a, b metadata.Floor) int { return strings.Compare(a.List, b.List) })
	for _, a := range r.st.Approvals {
		l.Approvals = append(l.Approvals, a)
	}
	slices.SortFunc(l.Approvals, func(a, b metadata.Approval) int { return strings.Compare(a.Image, b.Image) })
	return l
}

// writeLedger brings both copies up to date. It is written ahead of the
// transaction that raises a floor: a floor that is too high names a message
// that was verified, and accepting that message again is harmless.
func (r *run) writeLedger() error {
	data, err := json.Marshal(r.ledger())
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if bytes.Equal(data, r.ledgerBytes) {
		return nil
	}
	if err := replaceFile(filepath.Join(r.cfg.StateDir, ledgerFile), data, 0o600, -1); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := r.cache.WriteOwner(data); err != nil {
		return full(fmt.Errorf("ledger: cache: %w", err))
	}
	r.ledgerBytes = data
	return nil
}

// parseLedger reads one copy; nil without error when there is none.
func parseLedger(data []byte, err error) (*ledger, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l ledger
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if l.Schema != ledgerSchema {
		return nil, fmt.Errorf("ledger: schema %q is not known to this version", l.Schema)
	}
	return &l, nil
}

// seal records how many transactions the database has had. A write-ahead log
// that lost its tail opens without an error; the seal is how we notice.
type seal struct {
	State string `json:"state"`
	Seq   uint64 `json:"seq"`
}

func (r *run) writeSeal() error {
	data, err := json.Marshal(seal{State: r.st.Meta.State, Seq: r.db.Seq()})
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(r.cfg.StateDir, sealFile), data, 0o600, -1)
}

// machineID tells this machine from another that mounts the same cache.
func machineID() string {
	if id, err := os.ReadFile("/etc/machine-id"); err == nil && len(bytes.TrimSpace(id)) > 0 {
		return string(bytes.TrimSpace(id))
	}
	name, _ := os.Hostname()
	return "host:" + name
}
