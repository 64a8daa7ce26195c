package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"vouch/imagelist"
	"vouch/imagelist/publisher/history"
)

// The names in a workspace.
const (
	draftFile    = "draft.json"
	settingsFile = "workspace.json"
	localFile    = "local.json"
	historyDir   = "history"
	signedDir    = "signed"
	sbomDir      = "sbom"
	pendingDir   = ".pending"
	lockFile     = ".lock"
	ignoreFile   = ".gitignore"

	attributesFile = ".gitattributes"
)

// DefaultLifetime is how long a list is good for if nobody says otherwise.
const DefaultLifetime = 28 * 24 * time.Hour

// Settings are what a workspace was told once (workspace.json).
type Settings struct {
	Schema      string           `json:"schema"` // vouch/workspace/v1
	Identifier  imagelist.ListID `json:"identifier"`
	Responsible string           `json:"responsible"`           // the individual who endorses (policy E6)
	Lifetime    string           `json:"lifetime,omitempty"`    // as typed, e.g. 28d
	Destination string           `json:"destination,omitempty"` // where the list was published last
}

const settingsSchema = "vouch/workspace/v1"

// Local is what only this machine knows (local.json): paths, never secrets.
type Local struct {
	Cert  string            `json:"cert,omitempty"`
	Key   string            `json:"key,omitempty"`
	Files map[string]string `json:"files,omitempty"` // SHA-512 of an image → the file it was measured from
	// Prepared is the SHA-512 of the content that was last given out to be
	// signed elsewhere.
	Prepared string `json:"prepared,omitempty"`
}

// Workspace is one, open. It is for one goroutine.
type Workspace struct {
	Settings Settings
	Local    Local

	dir   string
	draft *imagelist.List
	log   *history.Log
	lock  *flock.Flock // nil when open for reading
}

// Options say how to open a workspace.
type Options struct {
	// HistoryKey is the file of the Ed25519 key that signs the history's
	// checkpoints; made when it does not exist. "" is HistoryKeyFile's.
	HistoryKey string
	// ReadOnly keeps no lock: nothing will be changed, save that what a killed
	// command began is finished.
	ReadOnly bool
}

// Open opens the workspace in dir, finishing what a killed command began. It
// waits a few seconds for another process. The error is an *Error, a
// *LockedError, or one of the file system.
//
// The draft is not read yet: see Draft.
func Open(ctx context.Context, dir string, o Options) (*Workspace, error) {
	w := &Workspace{dir: dir}
	err := readJSON(w.path(settingsFile), &w.Settings)
	if missing(err) { // killed while it was made?
		var begun change
		if err = readJSON(w.path(pendingDir, changeFile), &begun); err == nil && begun.Settings != nil {
			w.Settings = *begun.Settings
		}
	}
	if missing(err) {
		return nil, problem("vouch publisher init makes one; -C names its directory", "%s: no workspace here", dir)
	} else if err != nil {
		return nil, err
	}
	if err := w.Settings.check(); err != nil {
		return nil, &Error{What: w.path(settingsFile), Err: err, Fix: "correct the file, or take it from version control"}
	}
	if err := readJSON(w.path(localFile), &w.Local); err != nil && !missing(err) {
		return nil, &Error{Err: err, Fix: "delete it: it only says where files lie on this machine"}
	}
	if _, err := os.Stat(w.path(pendingDir, changeFile)); o.ReadOnly && missing(err) {
		return w, nil
	}
	if err := w.own(ctx, o.HistoryKey); err != nil {
		return nil, err
	}
	if o.ReadOnly {
		return w, w.Close()
	}
	return w, nil
}

// own takes the lock and finishes what was begun.
func (w *Workspace) own(ctx context.Context, key string) error {
	var err error
	if w.lock, err = lock(ctx, w.path(lockFile)); err != nil {
		return err
	}
	if key == "" {
		key, err = HistoryKeyFile(w.Settings.Identifier)
	}
	var signer *history.Key
	if err == nil {
		signer, err = history.LoadOrCreateKey(key, w.Settings.Identifier)
	}
	if err == nil {
		w.log, err = history.Open(w.dir, w.Settings.Identifier, signer)
	}
	if err == nil {
		err = w.recover()
	}
	if err != nil {
		w.Close()
	}
	return err
}

// Close gives the workspace back.
func (w *Workspace) Close() error {
	if w.lock == nil {
		return nil
	}
	return w.lock.Unlock()
}

func (s Settings) check() error {
	switch {
	case s.Schema != settingsSchema:
		return fmt.Errorf("schema %q, want %q", s.Schema, settingsSchema)
	case !imagelist.SafeIdentifier(string(s.Identifier)):
		return fmt.Errorf("identifier %q is not usable as a file name", s.Identifier)
	}
	return nil
}

// HistoryKeyFile is where a person's key for the history of one list lies:
// outside of the workspace, which is to be shared.
func HistoryKeyFile(list imagelist.ListID) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", &Error{Err: err, Fix: "name a file for the history's key: --history-key FILE"}
	}
	return filepath.Join(dir, "vouch", "history", string(list)+".key"), nil
}

// Dir is the workspace's directory.
func (w *Workspace) Dir() string { return w.dir }

func (w *Workspace) path(name ...string) string {
	return filepath.Join(append([]string{w.dir}, name...)...)
}

// Draft is the list in the making, as it stands in the file. The error is an
// *Error that names line and column of what a person broke.
func (w *Workspace) Draft() (*imagelist.List, error) {
	if w.draft != nil {
		return w.draft, nil
	}
	name := w.path(draftFile)
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, &Error{Err: err, Fix: "take the file from version control, or start again with vouch publisher import"}
	}
	l, err := imagelist.DecodeDraft(content)
	if err != nil {
		return nil, &Error{What: name, Err: err, Fix: "correct the file; vouch publisher validate says what else is wrong"}
	}
	if l.Identifier != w.Settings.Identifier {
		return nil, problem("an identifier is for ever; put it back", "%s: dc:identifier is %q, the workspace's is %q", name, l.Identifier, w.Settings.Identifier)
	}
	w.draft = l
	return l, nil
}

// sound is the draft, refused when rewriting it would lose what a person wrote.
func (w *Workspace) sound() (*imagelist.List, error) {
	l, err := w.Draft()
	if err != nil {
		return nil, err
	}
	if len(l.Refused) > 0 {
		e := l.Refused[0]
		return nil, problem("correct the file; vouch publisher validate says what else is wrong", "%s: %s: %s", w.path(draftFile), e.Field, e.Detail)
	}
	return l, nil
}

// lock takes the lock file, with a little patience: most commands are short.
func lock(ctx context.Context, path string) (*flock.Flock, error) {
	l := flock.New(path, flock.SetPermissions(0o644))
	patient, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ok, err := l.TryLockContext(patient, 50*time.Millisecond)
	if !ok {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("workspace: %w", err)
		}
		var h holder
		readJSON(path, &h) // of a holder that has only just come: nobody
		return nil, &LockedError{Dir: filepath.Dir(path), PID: h.PID, Command: h.Command}
	}
	h, _ := json.Marshal(holder{os.Getpid(), strings.Join(os.Args, " ")})
	if err := os.WriteFile(path, h, 0o644); err != nil {
		l.Unlock()
		return nil, fmt.Errorf("workspace: %w", err)
	}
	return l, nil
}

// holder is what the lock file says.
type holder struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

func asJSON(v any) []byte {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // of our own types only
	}
	return append(raw, '\n')
}
