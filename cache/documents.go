package cache

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// WriteIndex replaces index.json, atomically and durably.
func (s *Store) WriteIndex(data []byte) error {
	return s.WriteIndexFrom(func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteIndexFrom is WriteIndex for what is too large to hold: write produces
// it. If write fails, the old index stays.
func (s *Store) WriteIndexFrom(write func(io.Writer) error) error {
	return wrap(indexFile, s.replace(indexFile, s.readable(write)))
}

// ReadIndex returns index.json. It returns fs.ErrNotExist.
func (s *Store) ReadIndex() ([]byte, error) {
	data, err := s.read(indexFile)
	return data, wrap(indexFile, err)
}

// WriteList replaces lists/<id>.smime, atomically and durably, with a signed
// message, byte for byte. It returns ErrName.
func (s *Store) WriteList(id string, message []byte) error {
	return s.withList(id, func(path string) error {
		return s.replace(path, s.readable(func(w io.Writer) error {
			_, err := w.Write(message)
			return err
		}))
	})
}

// ReadList returns lists/<id>.smime. It returns ErrName or fs.ErrNotExist.
func (s *Store) ReadList(id string) (message []byte, err error) {
	err = s.withList(id, func(path string) error {
		message, err = s.read(path)
		return err
	})
	return message, err
}

// RemoveList removes lists/<id>.smime, if it is there. It returns ErrName.
func (s *Store) RemoveList(id string) error { return s.withList(id, s.remove) }

func (s *Store) withList(id string, op func(path string) error) error {
	if err := checkName(id); err != nil {
		return wrap("list", err)
	}
	return wrap(fmt.Sprintf("list %q", id), op(listPath(id)))
}

// Lists returns the identifiers of the lists that are kept, sorted.
func (s *Store) Lists() ([]string, error) {
	names, err := s.names(listsDir, document)
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, listSuffix)
	}
	return names, wrap("lists", err)
}

// WriteOwner replaces .vouch, atomically and durably. Only our user can read
// it.
func (s *Store) WriteOwner(data []byte) error {
	return wrap(ownerFile, s.replace(ownerFile, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	}))
}

// ReadOwner returns .vouch. It returns fs.ErrNotExist.
func (s *Store) ReadOwner() ([]byte, error) {
	data, err := s.read(ownerFile)
	return data, wrap(ownerFile, err)
}
