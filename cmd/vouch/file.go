package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeFileNew creates a file with its content, whole or not at all, and
// refuses to replace one.
func writeFileNew(path string, content []byte) error {
	return writeFile(path, 0o644, whole(content), func(tmp string) error { return os.Link(tmp, path) })
}

// writeSecretNew is writeFileNew for what only the owner may read, also of a
// directory that it has to make.
func writeSecretNew(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(path, 0o600, whole(content), func(tmp string) error { return os.Link(tmp, path) })
}

// writeFileOver creates or replaces a file, whole or not at all.
func writeFileOver(path string, content []byte) error {
	return writeFileBy(path, whole(content))
}

// writeFileBy is writeFileOver for content that is written bit by bit.
func writeFileBy(path string, write func(io.Writer) error) error {
	return writeFile(path, 0o644, write, func(tmp string) error { return os.Rename(tmp, path) })
}

func whole(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// writeFile writes to a temporary file beside path, durably, and gives
// it its name by place. Readers see no file, or all of it.
func writeFile(path string, mode fs.FileMode, write func(io.Writer) error, place func(tmp string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when it was renamed
	err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = place(f.Name())
	}
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// exists says whether an error is that of a name taken.
func exists(err error) bool { return errors.Is(err, fs.ErrExist) }
