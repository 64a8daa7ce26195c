package history

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"

	"vouch/imagelist"
)

// Key signs checkpoints of one list's history.
type Key struct {
	path     string
	signer   note.Signer
	verifier string
}

// Verifier is the public half, as golang.org/x/mod/sumdb/note writes it.
func (k *Key) Verifier() string { return k.verifier }

// A KeyError is the error for a key file that must not or cannot be used.
type KeyError struct {
	Path string
	Err  error
	hint string
}

func (e *KeyError) Error() string { return fmt.Sprintf("history key %q: %v", e.Path, e.Err) }

// Unwrap gives what is wrong with the file.
func (e *KeyError) Unwrap() error { return e.Err }

// Hint says what to do, if anything helps.
func (e *KeyError) Hint() string { return e.hint }

// LoadOrCreateKey reads the key of a list's history at path, or makes one
// there: an Ed25519 key as note writes it, in a file of mode 0600, in a
// directory of mode 0700 if there is none yet. If we die while it is made,
// there is no file at path.
//
// Every error is a *KeyError: the file can be read by others, is not a
// regular file, is the key of another list, or is no key.
func LoadOrCreateKey(path string, id imagelist.ListID) (*Key, error) {
	text, hint, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = createKey(path, Origin(id))
	}
	if err != nil {
		return nil, &KeyError{path, err, hint}
	}
	k, err := parseKey(strings.TrimSuffix(text, "\n"))
	if err != nil {
		return nil, &KeyError{path, err, ""}
	}
	if k.signer.Name() != Origin(id) {
		return nil, &KeyError{path, fmt.Errorf("a key of %q, not of %q", k.signer.Name(), Origin(id)), "each list's history has its own key"}
	}
	k.path = path
	return k, nil
}

func readKey(path string) (text, hint string, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", "", err
	}
	if !info.Mode().IsRegular() {
		return "", "", errors.New("not a regular file")
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return "", fmt.Sprintf("chmod 600 %q; if others may have read it, move it away: a new one is made and recorded", path),
			fmt.Errorf("mode %04o: others can use it", perm)
	}
	raw, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return string(raw), "", err
}

// createKey makes a key. Who comes second to link the name uses the key of
// who came first.
func createKey(path, origin string) (string, error) {
	text, _, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", err
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		text, _, err := readKey(path)
		return text, err
	} else if err != nil {
		return "", err
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	return text, errors.Join(d.Sync(), d.Close())
}

func parseKey(text string) (*Key, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, errors.New("not a note signing key") // note's errors may say more than a log should
	}
	// PRIVATE+KEY+name+hash+base64(algorithm, seed); note has checked it.
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(text, "+", 5)[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errors.New("not an Ed25519 note signing key")
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, err
	}
	return &Key{signer: signer, verifier: verifier}, nil
}
