// Package secret reads the files that hold a site's secrets, and those that
// belong to them and are none. Secrets are read by one rule: a regular file that only its owner can change, and only its owner and its group
// can read. Mode 0600 is one such; 0640 of root's and the service's group is
// another.
//
// The rule is about the file that is read. Whoever can write to its directory
// can put another in its place; who is in the group is the site's to know.
package secret

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Error says why a file was not taken. It names the file and quotes nothing of
// it. For one that is not there or cannot be opened, errors.Is finds
// fs.ErrNotExist or fs.ErrPermission.
type Error struct {
	err error
	fix string
}

func (e *Error) Error() string { return e.err.Error() }
func (e *Error) Unwrap() error { return e.err }

// Hint is what to do about it.
func (e *Error) Hint() string { return e.fix }

func refuse(fix, format string, args ...any) error { return &Error{fmt.Errorf(format, args...), fix} }

// Read is what a file holds, at most limit bytes; more is an error. Symbolic
// links are followed, since configuration managers make them: the mode of the
// file at their end counts. A named pipe is not waited for. Every error is an
// *Error.
func Read(file string, limit int64) ([]byte, error) { return read(file, limit, 0o027) }

// maxPublic is more than all the authorities of the world need.
const maxPublic = 4 << 20

// Public is Read for what is no secret, such as certificates: any mode will do.
func Public(file string) ([]byte, error) { return read(file, maxPublic, 0) }

// read takes no file that has one of the forbidden permissions.
func read(file string, limit int64, forbidden os.FileMode) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, refuse("check the path, and that the user vouch runs as can read it", "%w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, whatever has the name now
	if err != nil {
		return nil, refuse("", "%w", err)
	}
	switch perm := info.Mode().Perm(); {
	case !info.Mode().IsRegular():
		return nil, refuse("name a file", "%s: not a regular file", file)
	case perm&forbidden != 0:
		return nil, refuse("chmod 600 it, or 640 for the service's group; change the secret if others may have read it", "%s: others can read or change it (mode %04o)", file, perm)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, refuse("", "%w", err)
	case int64(len(text)) > limit:
		return nil, refuse("name the right file", "%s: larger than %d bytes", file, limit)
	}
	return text, nil
}

// maxText bounds a user name, a password or a token. The largest is a NATS
// credentials file of a few kilobytes.
const maxText = 64 << 10

// Text is Read for a user name, a password or a token: text that is not empty.
// Line ends at its end are taken away. Every error is an *Error.
func Text(file string) (string, error) {
	raw, err := Read(file, maxText)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(raw), "\r\n")
	if text == "" || !utf8.ValidString(text) {
		return "", refuse("it holds a user name, a password or a token, and nothing else", "%s: empty or not text", file)
	}
	return text, nil
}
