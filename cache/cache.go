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
//
// # Durability
//
// Bytes become visible in one order only: write and hash under partial/, fsync
// the file, rename to the final name, fsync the directory. A file whose write
// or fsync failed is thrown away and never synced again: the kernel may have
// marked its lost pages clean (threats §2.1). Names under endorsed/ and
// expired/ are made durable in batches, by Sync.
//
// # Who may use it
//
// A Store may be used by several goroutines of one process. Two processes that
// write at once are the caller's to prevent (contract §3, .vouch); they cannot
// make a name resolve to wrong bytes, but each may remove the other's
// temporary files.
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
//
// Linking, renaming, sealing and removing another name of the same inode all
// move Ctime: whoever records stamps compares first, operates, and then asks
// Stat or NameStamp again. A Stamp does not promise to notice a writer who
// also sets the machine's clock.
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
	ErrName     = errors.New("not usable as a file name")
	ErrBusy     = errors.New("somebody else is downloading it")
	ErrNoSpace  = errors.New("no space left") // ENOSPC, EDQUOT, EFBIG
	ErrUnsafe   = errors.New("unsafe permissions")
	ErrUnusable = errors.New("file system cannot hold a cache") // create, link, rename or fsync does not work there
)

// Limits and sizes.
const (
	// Checkpoint bounds what a crash costs: at most this much of what a
	// partial held is read, or downloaded, again (threats I7).
	Checkpoint = 16 << 20
)
