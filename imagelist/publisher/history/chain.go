package history

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// chain is a history in memory: entries, their lines, the tree over them and
// the keys that they introduce.
type chain struct {
	origin  string
	lines   [][]byte
	bytes   int64 // of the lines, each with its LF
	entries []Entry
	hashes  storedHashes
	keys    keyring
}

// storedHashes are a tree's nodes in tlog's order.
type storedHashes []tlog.Hash

// ReadHashes is tlog.HashReader.
func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if at < 0 || at >= int64(len(s)) {
			return nil, fmt.Errorf("node %d: not in the tree", at)
		}
		out[i] = s[at]
	}
	return out, nil
}

// signingKey is a verifier and the entry that introduced it.
type signingKey struct {
	note.Verifier
	text        string
	since       int64
	at          time.Time
	responsible string
}

// keyring are the keys known so far. It is a note.Verifiers.
type keyring []signingKey

// Verifier finds a key by name and hash.
func (k keyring) Verifier(name string, hash uint32) (note.Verifier, error) {
	for _, key := range k {
		if key.Name() == name && key.KeyHash() == hash {
			return key, nil
		}
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

func (k keyring) knows(verifier string) bool {
	for _, key := range k {
		if key.text == verifier {
			return true
		}
	}
	return false
}

func (c *chain) size() int64 { return int64(len(c.entries)) }

// leaf is the hash of an entry's line.
func (c *chain) leaf(i int64) tlog.Hash { return c.hashes[tlog.StoredHashIndex(0, i)] }

// tree is the tree as it stands.
func (c *chain) tree() tlog.Tree { return c.treeAt(c.size()) }

// treeAt is the tree of the first n entries; there must be so many.
func (c *chain) treeAt(n int64) tlog.Tree {
	hash, err := tlog.TreeHash(n, c.hashes)
	if err != nil {
		panic(err) // nodes of a tree in memory
	}
	return tlog.Tree{N: n, Hash: hash}
}

// prev is what the next entry must say of the one before it.
func (c *chain) prev() string {
	if c.size() == 0 {
		return ""
	}
	h := c.leaf(c.size() - 1)
	return hex.EncodeToString(h[:])
}

// add takes the next line, if it is an entry that can stand here.
func (c *chain) add(line []byte) error {
	e, err := parseEntry(line)
	if err != nil {
		return err
	}
	switch n := c.size(); {
	case n == MaxEntries || c.bytes+int64(len(line)) >= MaxHistory:
		return fmt.Errorf("more than %d entries or %d bytes", MaxEntries, MaxHistory)
	case e.Index != n:
		return &misplacedError{e.Index}
	case e.Prev != c.prev():
		return errors.New("prev is not the hash of the entry before")
	case n == 0 && (e.List.Identifier == "" || e.Key == ""):
		return errors.New("the first entry must name the list and a key")
	case n == 0:
		c.origin = Origin(e.List.Identifier)
	}
	if err := c.introduce(e); err != nil {
		return err
	}
	nodes, err := tlog.StoredHashes(c.size(), line, c.hashes)
	if err != nil {
		return err
	}
	c.hashes = append(c.hashes, nodes...)
	c.lines = append(c.lines, line)
	c.bytes += int64(len(line)) + 1
	c.entries = append(c.entries, e)
	return nil
}

// misplacedError is an entry whose own index is not its position.
type misplacedError struct{ index int64 }

func (e *misplacedError) Error() string { return fmt.Sprintf("says that it is entry %d", e.index) }

// introduce takes note of an entry's key.
func (c *chain) introduce(e Entry) error {
	if e.Key == "" {
		return nil
	}
	v, err := note.NewVerifier(e.Key)
	switch {
	case err != nil:
		return errors.New("key: not a note verifier key")
	case v.Name() != c.origin:
		return fmt.Errorf("key: of %.200q, not of this history", v.Name())
	}
	if _, err := c.keys.Verifier(v.Name(), v.KeyHash()); err == nil {
		return errors.New("key: known already")
	}
	c.keys = append(c.keys, signingKey{v, e.Key, e.Index, e.Time, e.Responsible})
	return nil
}

// cut takes the entries from n on away again.
func (c *chain) cut(n int64) {
	for _, line := range c.lines[n:] {
		c.bytes -= int64(len(line)) + 1
	}
	c.lines, c.entries, c.hashes = c.lines[:n], c.entries[:n], c.hashes[:tlog.StoredHashCount(n)]
	for len(c.keys) > 0 && c.keys[len(c.keys)-1].since >= n {
		c.keys = c.keys[:len(c.keys)-1]
	}
}

// rootWith is the root of the tree with one more line; the chain stays as it
// is.
func (c *chain) rootWith(line []byte) tlog.Hash {
	n := c.size()
	nodes, err := tlog.StoredHashes(n, line, c.hashes)
	if err != nil {
		panic(err) // nodes of a tree in memory
	}
	c.hashes = append(c.hashes, nodes...)
	root := c.treeAt(n + 1).Hash
	c.hashes = c.hashes[:tlog.StoredHashCount(n)]
	return root
}

// holds says whether a checkpoint is over the tree as it stands.
func (c *chain) holds(raw string) error {
	cp, err := openCheckpoint(raw, c.origin, c.keys)
	switch {
	case err != nil:
		return err
	case cp.N != c.size():
		return fmt.Errorf("a checkpoint over %d entries", cp.N)
	case cp.Tree != c.tree():
		return errors.New("the checkpoint has another root")
	}
	return nil
}
