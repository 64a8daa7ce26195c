// Package diskimage measures an endorser's image file: how many bytes, their
// SHA-512, and which format they are in, by content, in one pass. It refuses
// images that make a hypervisor open other files (T-25). It knows nothing of
// image lists.
//
// It looks at structures, never at what a guest would read: a file that passes
// can still be useless or hostile to the machine that boots it.
package diskimage

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Facts are what one pass over a file tells.
type Facts struct {
	Size   int64    // bytes of the file: hv:size
	SHA512 [64]byte // of all of them: sl:checksum:sha512

	// Format is what hv:format should say: raw, iso, qcow, qcow2, qed, vmdk,
	// vdi, vhd, vhdx, parallels or ova. Compressed once: raw.gz, qcow2.xz,
	// raw.zst, raw.bz2 and so on. raw is what nothing else claims; a fixed VHD
	// that is compressed too, for only its end says what it is.
	Format string

	// VirtualSize is the size in bytes of the disk that a guest sees; 0 when
	// the format does not say (ova, compressed raw).
	VirtualSize int64

	// Notes are remarks worth telling that forbid nothing.
	Notes []string
}

// What keeps Measure from measuring. Each carries a hint.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrEmpty      = errors.New("the file is empty")
	ErrChanged    = errors.New("the file changed while it was read")
)

// Measure reads the file at path once and says what it is. A symbolic link to
// a file is followed. progress may be nil; it is called after every half MiB,
// by the goroutine that called Measure, with bytes read and bytes in all.
//
// An image that must not be published is refused before it is hashed, with
// *Refused; an OVA that is not what its own manifest says, after. The other
// errors are ErrNotRegular (directory, FIFO, device, socket), ErrEmpty,
// ErrChanged (size, times or inode are not what they were when it was opened),
// ctx's, and the operating system's.
//
// It reads with a few buffers, whatever the size. Somebody who writes to the
// file and sets the clock back meanwhile is not found out.
func Measure(ctx context.Context, path string, progress func(done, total int64)) (*Facts, error) {
	f, err := measure(ctx, path, progress)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return f, nil
}

// synonyms are other words in use for what Format says.
var synonyms = map[string]string{
	"img": "raw", "dd": "raw", "vpc": "vhd", "ovf": "ova",
	"gzip": "gz", "bzip2": "bz2", "zstd": "zst",
}

// Agrees says whether a stated hv:format (any case; "QCOW2", "OVA", "raw.gz")
// is what was found. An ISO image is also raw, for that is how a hypervisor is
// told to read it.
func (f *Facts) Agrees(stated string) bool {
	words := strings.Split(strings.ToLower(strings.TrimSpace(stated)), ".")
	for i, w := range words {
		if s := synonyms[w]; s != "" {
			words[i] = s
		}
	}
	said := strings.Join(words, ".")
	rest, iso := strings.CutPrefix(f.Format, "iso")
	return said == f.Format || iso && said == "raw"+rest
}
