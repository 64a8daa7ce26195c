package history

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"vouch/imagelist"
)

// disk is a history as it lies in a workspace or bundle.
type disk struct {
	fsys   fs.FS
	lines  [][]byte
	torn   []byte  // behind the last line end
	sizes  []int64 // of which there are checkpoints, ascending
	newest int64   // the last of them, or 0
	next   *batch  // an Append that was announced and not finished
	stray  []string
}

// readDisk reads entries.jsonl, history/next and the names of the
// checkpoints.
func readDisk(fsys fs.FS) (*disk, error) {
	names, err := list(fsys, dirName)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	if len(names) == 0 {
		return nil, ErrNone
	}
	d := &disk{fsys: fsys}
	for _, name := range names {
		switch name = dirName + "/" + name; name {
		case entriesName:
			err = d.readEntries()
		case checkpointsDir:
			err = d.listCheckpoints()
		case nextName:
			err = d.readNext()
		default:
			d.stray = append(d.stray, name)
		}
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
	}
	return d, nil
}

func (d *disk) readEntries() error {
	raw, err := read(d.fsys, entriesName, MaxHistory)
	if err != nil {
		return err
	}
	for len(raw) > 0 {
		line, rest, whole := bytes.Cut(raw, []byte{'\n'})
		if !whole {
			d.torn = line
			break
		}
		if d.lines = append(d.lines, line); len(d.lines) > MaxEntries {
			return &fault{entriesName, fmt.Sprintf("more than %d entries", MaxEntries)}
		}
		raw = rest
	}
	return nil
}

func (d *disk) listCheckpoints() error {
	names, err := list(d.fsys, checkpointsDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		name = checkpointsDir + "/" + name
		size, err := strconv.ParseInt(name[len(checkpointsDir)+1:], 10, 64)
		if err != nil || size < 1 || checkpointName(size) != name {
			d.stray = append(d.stray, name)
			continue
		}
		d.sizes = append(d.sizes, size)
	}
	if len(d.sizes) > 0 {
		slices.Sort(d.sizes)
		d.newest = d.sizes[len(d.sizes)-1]
	}
	return nil
}

func (d *disk) readNext() error {
	raw, err := read(d.fsys, nextName, MaxHistory)
	if err != nil {
		return err
	}
	d.next = &batch{}
	if err := json.Unmarshal(raw, d.next); err != nil || d.next.Base < 0 {
		d.next = &batch{} // of no use, and found to be so
	}
	return nil
}

// checkpoint is the text of the checkpoint of a size.
func (d *disk) checkpoint(size int64) (string, error) {
	raw, err := read(d.fsys, checkpointName(size), maxCheckpoint)
	return string(raw), err
}

// problem is one with an entry, of which it says what can be read.
func (d *disk) problem(i int64, detail string) *Problem {
	p := &Problem{Where: entriesName, Entry: &i, Detail: detail}
	if i < int64(len(d.lines)) {
		if e, err := parseEntry(d.lines[i]); err == nil {
			p.Kind, p.Time = e.Kind, e.Time
		}
	}
	return p
}

// A fault is the error for a file that is not as any history's is: no plain
// file, too large, or damaged within its archive.
type fault struct{ name, detail string }

func (f *fault) Error() string { return f.name + ": " + f.detail }

func tooLarge(name string, limit int64) error {
	return &fault{name, fmt.Sprintf("larger than %d bytes", limit)}
}

// open opens a regular file of at most so many bytes.
func open(fsys fs.FS, name string, limit int64) (fs.File, error) {
	info, err := fs.Lstat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fault{name, "not a regular file"}
	}
	if info.Size() > limit {
		return nil, tooLarge(name, limit)
	}
	return fsys.Open(name)
}

// pour copies a file to w and returns its length.
func pour(w io.Writer, fsys fs.FS, name string, limit int64) (int64, error) {
	f, err := open(fsys, name, limit)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := io.Copy(w, io.LimitReader(f, limit+1))
	switch {
	case damaged(err):
		return n, &fault{name, err.Error()}
	case err == nil && n > limit:
		return n, tooLarge(name, limit)
	}
	return n, err
}

// damaged says whether an archive does not hold what it says.
func damaged(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &corrupt)
}

func read(fsys fs.FS, name string, limit int64) ([]byte, error) {
	var b bytes.Buffer
	_, err := pour(&b, fsys, name, limit)
	return b.Bytes(), err
}

// list is the names in a directory, sorted; none when there is no such name.
func list(fsys fs.FS, dir string) ([]string, error) {
	info, err := fs.Lstat(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.IsDir() {
		err = &fault{dir, "not a directory"}
	}
	if err != nil {
		return nil, err
	}
	found, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.Name()
	}
	return names, nil
}

// Entries are entries of a history, oldest first.
type Entries []Entry

// Read gives the entries of a workspace or bundle for display: those whole
// lines that can be read. It verifies nothing. The error is ErrNone when there
// is no history.
func Read(fsys fs.FS) (Entries, error) {
	d, err := readDisk(fsys)
	if err != nil {
		return nil, err
	}
	var entries Entries
	for _, line := range d.lines {
		if e, err := parseEntry(line); err == nil {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// Since are the entries not older than t.
func (e Entries) Since(t time.Time) Entries {
	return e.filter(func(x Entry) bool { return !x.Time.Before(t) })
}

// OfImage are the entries about an image.
func (e Entries) OfImage(id imagelist.ImageID) Entries {
	return e.filter(func(x Entry) bool { return x.Image.Identifier == id })
}

// OfDigest are the entries that name a SHA-512, as that of an image, of what
// one replaced, of a signed message or of a software bill of materials (E9).
func (e Entries) OfDigest(d imagelist.Digest) Entries {
	text := d.String()
	return e.filter(func(x Entry) bool {
		return x.Image.SHA512 == text || x.Replaces.SHA512 == text || x.List.SHA512 == text || x.SBOM.SHA512 == text
	})
}

func (e Entries) filter(want func(Entry) bool) Entries {
	var out Entries
	for _, x := range e {
		if want(x) {
			out = append(out, x)
		}
	}
	return out
}
