// Package destination is where an endorser's list and images are put: a local
// path, a server reached over SSH, or a web server that takes PUT. A list is
// replaced whole, at once, and only if what is there is what the caller has
// read; at no moment is there none. What a list says is not known here.
//
// What each kind of server can promise differs, and is said at its type: local
// (one file system), remote (SFTP) and web (HTTP).
package destination

import (
	"context"
	"crypto/sha512"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// MaxList is the most bytes a list has, here as at subscribers.
const MaxList = 16 << 20

// Options say how to get in. The zero value is for a local path, or for an SSH
// server that ~/.ssh/config and the agent open.
type Options struct {
	// Credentials of a web server, read from files that only their owner can
	// read. User name and password make basic authentication, a token makes
	// bearer authentication; not both. They are sent to the destination only,
	// over https, or to this machine.
	UsernameFile, PasswordFile, TokenFile string
	// ClientCert is shown to a web server that asks for one.
	ClientCert *tls.Certificate
	// RootsFile holds certificates that may vouch for a web server's name,
	// beside the system's: a PEM bundle, or a hashed directory (IGTF).
	RootsFile string
	// SSH is the command that connects, with its arguments; {"ssh"} if empty.
	SSH []string
	// Overwrite lets Upload put other bytes under a name that has some.
	Overwrite bool
	// Note is told what a person should know although nothing failed, for
	// example that the server cannot exclude a second publisher. May be nil.
	Note func(text string)
}

// Destination is where one list is put, and images beside it. It is for one
// goroutine. Its three implementations are local, remote and web.
type Destination interface {
	// String is the destination, printable, without secrets; a local path is
	// absolute. Open understands it.
	String() string
	// Read returns the list that is there now, or nil and no error when there
	// is none.
	Read(ctx context.Context) (*Live, error)
	// Replace puts content in the place of old (nil: of nothing), atomically,
	// and durably as far as the server lets it. It returns a *Conflict
	// when what is there is not old. Any other error is a *ReplaceError and
	// says what is there now.
	Replace(ctx context.Context, content []byte, old *Live) error
	// Upload puts the file at path beside the list, under name. sum is the
	// SHA-512 that it must have: otherwise nothing is sent, and the error is
	// ErrOtherBytes. A transfer that was cut is continued where the server
	// allows it. Progress may be nil.
	Upload(ctx context.Context, name, path string, sum [sha512.Size]byte, progress Progress) (Uploaded, error)
	// Close ends the connection.
	Close() error
}

// Progress is told how many bytes of how many are done. It is called from one
// goroutine at a time, and starts above zero for a transfer that continues.
type Progress func(done, total int64)

// Live is a list as it was read.
type Live struct {
	Content  []byte // at most MaxList bytes
	etag     string // of a web server; may be weak or empty
	modified string // Last-Modified of a web server
}

// Uploaded says what Upload did.
type Uploaded struct {
	Size    int64
	Resumed int64 // bytes that were there from a transfer that was cut
	Skipped bool  // nothing was sent: the name has a file of this size already
	// Verified: the bytes under the name were hashed. Only a local destination
	// can; for others use Check with the image's URL.
	Verified bool
}

// ErrOtherBytes says that a file is not the one that was to be uploaded.
var ErrOtherBytes = errors.New("its bytes are others than they were")

// A Conflict says that what is there is not what the caller read:
// somebody else published.
type Conflict struct {
	Dest string
	Live *Live // what is there; nil is nothing
}

func (e *Conflict) Error() string {
	return fmt.Sprintf("%s: published by somebody else meanwhile: %s is live", e.Dest, e.Live.describe())
}

// Hint says what to do about it.
func (e *Conflict) Hint() string {
	return "look at what is live (publisher diff), then publish again"
}

// A ReplaceError says why a list was not replaced, and what is there now.
type ReplaceError struct {
	Dest string
	Live string // "the old list (…)", "the new list (…)", "another list (…)", "no list", "unknown: …"
	Err  error
}

func (e *ReplaceError) Error() string {
	return fmt.Sprintf("%s: %v; live now: %s", e.Dest, e.Err, e.Live)
}

// Unwrap returns the cause, which may have a hint.
func (e *ReplaceError) Unwrap() error { return e.Err }

// hinted is an error that a person can do something about.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }

func hint(text string, err error) error { return &hinted{err, text} }

// describe names a list in a message.
func (l *Live) describe() string {
	if l == nil {
		return "no list"
	}
	sum := sha512.Sum512(l.Content)
	return fmt.Sprintf("a list of %d bytes, sha512 %x…", len(l.Content), sum[:6])
}

// same holds when both are nothing or the same bytes.
func (l *Live) same(o *Live) bool {
	if l == nil || o == nil {
		return l == nil && o == nil
	}
	return string(l.Content) == string(o.Content)
}

// patience is how long a look at what is live takes at most when the caller's
// own context may be over.
const patience = 30 * time.Second
