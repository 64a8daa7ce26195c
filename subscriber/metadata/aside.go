package metadata

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keepAside is how many damaged stores are kept for a post-mortem.
const keepAside = 3

// Aside moves a damaged store out of the way, to <dir>.corrupt-<at, UTC>, and
// returns that name; of the stores moved there before, the last two are kept
// with it. Whoever found the damage must have closed the store.
//
// Errors: ErrLocked.
func Aside(dir string, at time.Time) (string, error) {
	dir = filepath.Clean(dir)
	to := dir + ".corrupt-" + at.UTC().Format("20060102T150405.000000000Z")
	if err := aside(dir, to); err != nil {
		return "", fmt.Errorf("metadata: put %s aside: %w", dir, err)
	}
	return to, nil
}

func aside(dir, to string) error {
	held, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock(held)
	if err := os.Rename(dir, to); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return pruneAside(dir, to)
}

// pruneAside never removes the newcomer, however the clock may have jumped.
func pruneAside(dir, newcomer string) error {
	parent, prefix := filepath.Split(dir + ".corrupt-")
	entries, err := os.ReadDir(filepath.Clean(parent + "."))
	if err != nil {
		return err
	}
	var old []string
	for _, e := range entries {
		name := filepath.Join(parent, e.Name())
		if len(e.Name()) > len(prefix) && e.Name()[:len(prefix)] == prefix && name != newcomer {
			old = append(old, name)
		}
	}
	slices.Sort(old)
	for len(old) >= keepAside {
		err = errors.Join(err, os.RemoveAll(old[0]))
		old = old[1:]
	}
	return err
}
