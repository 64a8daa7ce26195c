package publisher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"vouch/imagelist"
	"vouch/imagelist/publisher/history"
)

// change is one operation: what the workspace will be when it is done.
type change struct {
	Size     int64           `json:"size"`    // of the history before
	Entries  []history.Entry `json:"entries"` // to be appended
	Draft    string          `json:"draft,omitempty"`
	Settings *Settings       `json:"settings,omitempty"`
	Files    []file          `json:"files,omitempty"`
}

// file is one to be put in its place. Its name says version or digest, so that
// putting it there twice is harmless.
type file struct {
	Name    string `json:"name"` // within the workspace
	content []byte
}

const changeFile = "change.json"

// commit makes a change, all of it or nothing. Killed before change.json has
// its name, nothing has happened; killed after, recover finishes.
func (w *Workspace) commit(c change) error {
	c.Size = w.log.Size()
	dir := w.path(pendingDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("workspace: %w", err)
	}
	for i, f := range c.Files {
		if err := writeFile(filepath.Join(dir, strconv.Itoa(i)), f.content); err != nil {
			return fmt.Errorf("workspace: %w", err)
		}
	}
	if err := writeFile(filepath.Join(dir, changeFile), asJSON(c)); err != nil {
		return fmt.Errorf("workspace: %w", err)
	}
	return w.apply(&c)
}

// recover finishes an operation that was committed, and forgets one that was not.
func (w *Workspace) recover() error {
	var c change
	switch err := readJSON(w.path(pendingDir, changeFile), &c); {
	case missing(err):
		return os.RemoveAll(w.path(pendingDir))
	case err != nil:
		return err
	}
	return w.apply(&c)
}

// apply does what change.json says. Every step may find itself done already.
// The history comes before the draft: a removal is recorded first (policy E7).
func (w *Workspace) apply(c *change) error {
	for i, f := range c.Files {
		if err := w.place(w.path(pendingDir, strconv.Itoa(i)), w.path(f.Name)); err != nil {
			return fmt.Errorf("workspace: %w", err)
		}
	}
	if err := w.log.AppendAt(c.Size, c.Entries...); err != nil {
		return err
	}
	if c.Draft != "" {
		if err := writeFile(w.path(draftFile), []byte(c.Draft)); err != nil {
			return fmt.Errorf("workspace: %w", err)
		}
		w.draft = nil
	}
	if c.Settings != nil {
		if err := writeFile(w.path(settingsFile), asJSON(c.Settings)); err != nil {
			return fmt.Errorf("workspace: %w", err)
		}
		w.Settings = *c.Settings
	}
	if err := os.Remove(w.path(pendingDir, changeFile)); err != nil {
		return fmt.Errorf("workspace: %w", err)
	}
	return os.RemoveAll(w.path(pendingDir))
}

// place moves a staged file to its name. When it is gone, it is there already.
func (w *Workspace) place(from, to string) error {
	dir := filepath.Dir(to)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Rename(from, to); missing(err) {
		_, err = os.Stat(to)
		return err
	} else if err != nil {
		return err
	}
	return errors.Join(syncDir(dir), syncDir(w.dir))
}

// drafted is the text of a draft for a change.
func drafted(l *imagelist.List) (string, error) {
	text, err := l.EncodeDraft()
	return string(text), err
}
