package metadata

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vouch/cache"
)

// The first component of every key. A key is made of components that cannot
// hold a slash, so joining with slashes is reversible.
const (
	keyMeta     = "meta"
	keySub      = "sub"
	keyList     = "list"
	keyImage    = "image"
	keyBlob     = "blob"
	keyGone     = "gone"
	keyFloor    = "floor"
	keyOwner    = "owner"
	keyApproval = "approval"
	keyEvent    = "event"
)

// maxComponent bounds one component; file systems allow no longer name either.
const maxComponent = 255

// component reports whether s may stand between two slashes: an identifier
// or a name, [A-Za-z0-9][A-Za-z0-9._-]*.
func component(s string) bool {
	if s == "" || len(s) > maxComponent {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// key joins a row type and its components, and refuses a component that
// would read as two.
func key(kind string, components ...string) (string, error) {
	for _, c := range components {
		if !component(c) {
			return "", fmt.Errorf("key of %s: unusable component %.64q", kind, c)
		}
	}
	return kind + "/" + strings.Join(components, "/"), nil
}

// number is a key component that sorts as its number does.
func number(n uint64) string { return fmt.Sprintf("%020d", n) }

var errKey = errors.New("malformed key")

// parseNumber is the inverse of number.
func parseNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || number(n) != s {
		return 0, errKey
	}
	return n, nil
}

// parseDigest is the inverse of cache.Digest.String.
func parseDigest(s string) (cache.Digest, error) {
	var d cache.Digest
	if len(s) != 2*len(d) || strings.ToLower(s) != s {
		return d, errKey
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return d, errKey
	}
	return d, nil
}
