// Package cache keeps images by digest on a local file system and gives them
// names that middleware reads.
//
// It knows bytes, names and durability. It does not know lists, endorsers,
// expiry, events, URLs or the metadata store. Its layout is contract §3:
//
//	index.json                       replaced atomically
//	endorsed/<name>                  appears and vanishes atomically
//	blobs/sha512/<2 hex>/<128 hex>   content-addressed, read-only
//	lists/<name>.smime               replaced atomically
//	expired/<name>.<timestamp>       withdrawn
//	partial/                         0700: downloads, staged names, quarantine
//	.vouch                           who owns this cache
//
// Every name is resolved inside an os.Root: no symbolic link is followed out
// of the cache and no list text is ever a path component unless Name accepts
// it. Foreign files are reported, never deleted or followed.
package cache

import (
	"encoding/hex"
	"errors"
	"io/fs"
)

// Digest is a SHA-512.
type Digest [64]byte

// String is the digest as 128 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Publish modes: how endorsed/<name> comes from its blob.
type Mode string

// The values of cache.publish (contract §2).
const (
	Hardlink Mode = "hardlink"
	Reflink  Mode = "reflink"
	Copy     Mode = "copy"
)

// Options of a cache.
type Options struct {
	Publish  Mode
	FileMode fs.FileMode // of readable files: 0444 or 0440
	GID      int         // group of everything readable; -1 leaves it alone
}

// Stamp is what an inode looks like when we have last touched it. A blob
// whose Stamp differs from the recorded one is hashed again before it is
// shown to anybody. It is comparable with ==.
type Stamp struct {
	Ino   uint64 `json:"ino"`
	Size  int64  `json:"size"`
	Mtime int64  `json:"mtime"` // nanoseconds since the epoch
	Ctime int64  `json:"ctime"`
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	Mode  uint32 `json:"mode"`
}

// Errors of this package; test with errors.Is.
var (
	ErrCorrupt  = errors.New("content does not match its digest") // a blob or finished partial
	ErrSize     = errors.New("content does not match its size")
	ErrNoSpace  = errors.New("no space left") // ENOSPC, EDQUOT
	ErrUnsafe   = errors.New("unsafe permissions")
	ErrUnusable = errors.New("file system cannot hold a cache") // create, link, rename or fsync does not work there
)

// Limits and sizes.
const (
	// Checkpoint is how often a partial's hash state is saved: after a crash
	// at most this much of it is read again.
	Checkpoint = 16 << 20
)
