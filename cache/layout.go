package cache

import (
	"encoding/hex"
	"io/fs"
	"regexp"
	"strings"
)

// The names of contract §3, relative to the cache directory.
const (
	indexFile   = "index.json"
	ownerFile   = ".vouch"
	endorsedDir = "endorsed"
	blobsDir    = "blobs"
	sha512Dir   = "blobs/sha512"
	listsDir    = "lists"
	expiredDir  = "expired"
	partialDir  = "partial"
)

// What stands in partial/ besides staged names. A Name neither starts with a
// dot nor has more than 128 characters, so none of these can be one.
const (
	tempPrefix       = ".tmp-"    // .tmp-<random>: about to be renamed
	partSuffix       = ".part"    // <128 hex>.part: a download
	checkpointSuffix = ".json"    // <128 hex>.json: where it can resume
	corruptSuffix    = ".corrupt" // <128 hex>.corrupt: quarantine
)

const listSuffix = ".smime"

// timeFormat of expired/<name>.<timestamp>, in UTC.
const timeFormat = "2006-01-02_15-04-05"

var (
	nameRE    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	expiredRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}(-[1-9][0-9]*)?$`)
	bucketRE  = regexp.MustCompile(`^[0-9a-f]{2}$`)
)

// Name reports whether an identifier may be a file name: it matches
// [A-Za-z0-9][A-Za-z0-9._-]{0,127} and is not "templates", which old handlers
// keep under the cache (contract §3).
func Name(s string) bool { return nameRE.MatchString(s) && s != "templates" }

// BlobPath is where the bytes of d are or would be, relative to the cache
// directory: blobs/sha512/<2 hex>/<128 hex>. It never changes meaning.
func BlobPath(d Digest) string {
	s := d.String()
	return sha512Dir + "/" + s[:2] + "/" + s
}

// EndorsedPath is endorsed/<name>, relative to the cache directory. The name
// must be one that Name accepts.
func EndorsedPath(name string) string { return endorsedDir + "/" + name }

func partPath(d Digest) string       { return partialDir + "/" + d.String() + partSuffix }
func checkpointPath(d Digest) string { return partialDir + "/" + d.String() + checkpointSuffix }
func corruptPath(d Digest) string    { return partialDir + "/" + d.String() + corruptSuffix }
func stagedPath(name string) string  { return partialDir + "/" + name }
func listPath(id string) string      { return listsDir + "/" + id + listSuffix }

// parseDigest reads 128 lower-case hexadecimal digits.
func parseDigest(s string) (d Digest, ok bool) {
	if len(s) != 2*len(d) || strings.ToLower(s) != s {
		return Digest{}, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

// digestWithSuffix reads the digest of a base name such as <128 hex>.part.
func digestWithSuffix(base, suffix string) (Digest, bool) {
	s, ok := strings.CutSuffix(base, suffix)
	if !ok {
		return Digest{}, false
	}
	return parseDigest(s)
}

// kind is what a path in the cache is to us.
type kind int

const (
	foreign  kind = iota
	layout        // our own directories
	document      // index.json, .vouch, lists/; and lost+found, which is nobody's
	blob
	endorsed
	expired
	partial
)

// classify tells what the entry at path, relative to the cache directory, is.
// Whatever has one of our names but is not a regular file is foreign.
func classify(path string, mode fs.FileMode) kind {
	dir, base := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, base = path[:i], path[i+1:]
	}
	switch {
	case mode.IsDir():
		return classifyDir(dir, base, path)
	case !mode.IsRegular():
		return foreign
	}
	return classifyFile(dir, base, path)
}

func classifyDir(dir, base, path string) kind {
	switch path {
	case endorsedDir, blobsDir, sha512Dir, listsDir, expiredDir, partialDir:
		return layout
	case "lost+found":
		return document
	}
	if dir == sha512Dir && bucketRE.MatchString(base) {
		return layout
	}
	return foreign
}

func classifyFile(dir, base, path string) kind {
	switch dir {
	case "":
		if path == indexFile || path == ownerFile {
			return document
		}
	case endorsedDir:
		if Name(base) {
			return endorsed
		}
	case expiredDir:
		if expiredRE.MatchString(base) {
			return expired
		}
	case listsDir:
		if id, ok := strings.CutSuffix(base, listSuffix); ok && Name(id) {
			return document
		}
	case partialDir:
		if isPartial(base) {
			return partial
		}
	default:
		if d, ok := parseDigest(base); ok && path == BlobPath(d) {
			return blob
		}
	}
	return foreign
}

func isPartial(base string) bool {
	for _, suffix := range []string{partSuffix, checkpointSuffix, corruptSuffix} {
		if _, ok := digestWithSuffix(base, suffix); ok {
			return true
		}
	}
	return strings.HasPrefix(base, tempPrefix) || Name(base)
}
