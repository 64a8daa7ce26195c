package credential

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxFile bounds a certificate or key file, in bytes.
const maxFile = 1 << 20

// content is a file that was read, and who may touch it. Both are of the open
// file, whatever the name leads to later.
type content struct {
	name string
	data []byte
	mode fs.FileMode
	uid  int
}

// readFile takes in a file, or a pipe such as the shell's <(command). Symbolic
// links are followed: the file at their end counts.
func readFile(name string) (*content, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%q: more than %d bytes", name, maxFile)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("%q: no owner", name)
	}
	return &content{name: name, data: data, mode: info.Mode(), uid: int(owner.Uid)}, nil
}

// private refuses a secret that others can get at, as ssh does. An encrypted
// key is one too: with a copy, a passphrase can be guessed at leisure.
func (c *content) private() error {
	switch perm := c.mode.Perm(); {
	case perm&0o077 != 0:
		return fault(fmt.Sprintf("chmod 600 %q", c.name), "%q: mode %04o: group or others can use it", c.name, perm)
	case c.uid != 0 && c.uid != os.Geteuid():
		return fault("a secret must be yours or root's: copy it, or run as its owner", "%q: belongs to user %d", c.name, c.uid)
	}
	return nil
}
