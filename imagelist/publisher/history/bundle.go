package history

import (
	"archive/zip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Limits of a bundle.
const (
	MaxBundleFiles = 2*MaxEntries + 1000
	MaxBundle      = 8 << 30 // bytes, unpacked
	maxRatio       = 100     // unpacked over packed; what we write stays below 30
	maxSlack       = 16 << 20
)

// readmeName is the one file of a bundle that proves nothing.
const readmeName = "README.txt"

//go:embed README.txt
var readme string

// Export writes a bundle: one zip with everything that Verify reads, and a
// README.txt that says how to check it. Equal workspaces give equal bundles,
// from one build of this program. It verifies nothing. The error is ErrNone
// when there is no history.
func Export(w io.Writer, fsys fs.FS) error {
	if _, err := readDisk(fsys); err != nil {
		return err
	}
	out := zip.NewWriter(w)
	f, err := out.CreateHeader(header(readmeName))
	if err == nil {
		_, err = io.WriteString(f, readme)
	}
	for _, dir := range []string{dirName, sbomDir, signedDir} {
		err = errors.Join(err, pack(out, fsys, dir))
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("history: export: %w", err)
	}
	return nil
}

// header has no time: entries have theirs.
func header(name string) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o644)
	return h
}

// pack adds the files below a directory, in the order of their names.
func pack(out *zip.Writer, fsys fs.FS, dir string) error {
	names, err := list(fsys, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name = dir + "/" + name; name == checkpointsDir {
			err = pack(out, fsys, name)
		} else {
			err = packFile(out, fsys, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func packFile(out *zip.Writer, fsys fs.FS, name string) error {
	f, err := out.CreateHeader(header(name))
	if err != nil {
		return err
	}
	_, err = pour(f, fsys, name, limitOf(name))
	return err
}

// limitOf is the size of a file of this name in bytes.
func limitOf(name string) int64 {
	switch {
	case strings.HasPrefix(name, checkpointsDir+"/"):
		return maxCheckpoint
	case strings.HasPrefix(name, dirName+"/"):
		return MaxHistory
	case strings.HasPrefix(name, signedDir+"/"):
		return MaxMessage
	case strings.HasPrefix(name, sbomDir+"/"):
		return MaxSBOM
	}
	return 64 << 10
}

// A BundleError is the error for a file that Export did not write.
type BundleError struct{ Detail string }

func (e *BundleError) Error() string { return "history bundle: " + e.Detail }

// OpenBundle opens a bundle for Verify and Read, which read within its limits
// and unpack nothing to disk. Anything that Export does not write is refused
// with a *BundleError: other names, links, names that occur twice, more files or
// bytes than MaxBundleFiles and MaxBundle, or more than packing explains.
func OpenBundle(r io.ReaderAt, size int64) (fs.FS, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, &BundleError{err.Error()}
	}
	if len(z.File) > MaxBundleFiles {
		return nil, &BundleError{fmt.Sprintf("more than %d files", MaxBundleFiles)}
	}
	var total uint64
	seen := make(map[string]bool, len(z.File))
	for _, f := range z.File {
		detail := foreign(f)
		if seen[f.Name] {
			detail = "there twice"
		}
		if detail != "" {
			return nil, &BundleError{fmt.Sprintf("%.200q: %s", f.Name, detail)}
		}
		seen[f.Name] = true
		total += f.UncompressedSize64
	}
	if total > MaxBundle || total > maxRatio*uint64(size)+maxSlack {
		return nil, &BundleError{fmt.Sprintf("%d bytes unpack to %d", size, total)}
	}
	return z, nil
}

// foreign says why a file is not of a bundle, or "".
func foreign(f *zip.File) string {
	dir := path.Dir(f.Name)
	switch {
	case !f.Mode().IsRegular():
		return "not a regular file"
	case !fs.ValidPath(f.Name) || strings.ContainsAny(f.Name, "\\:"):
		return "not a name in a bundle"
	case f.Name == readmeName:
	case dir != dirName && dir != checkpointsDir && dir != signedDir && dir != sbomDir:
		return "not a name in a bundle"
	}
	if f.UncompressedSize64 > uint64(limitOf(f.Name)) {
		return fmt.Sprintf("larger than %d bytes", limitOf(f.Name))
	}
	return ""
}
