package cache

import (
	"errors"
	"io/fs"
)

// partials lists the digests of the files in partial/ with this suffix.
func (s *Store) partials(suffix string) ([]Digest, error) {
	names, err := s.names(partialDir, partial)
	if err != nil {
		return nil, err
	}
	var digests []Digest
	for _, name := range names {
		if d, ok := digestWithSuffix(name, suffix); ok {
			digests = append(digests, d)
		}
	}
	return digests, nil
}

// RemovePartials removes what earlier processes left in partial/: temporary
// files, staged names, and the downloads that keep does not want (nil: none).
// What this process is working on, and the quarantine, stay. Only the process
// that owns the cache may call it.
func (s *Store) RemovePartials(keep func(Digest) bool) error {
	names, err := s.names(partialDir, partial)
	if err != nil {
		return wrap("partials", err)
	}
	var errs []error
	for _, name := range names {
		if s.unwanted(name, keep) {
			errs = append(errs, s.remove(partialDir+"/"+name))
		}
	}
	return wrap("partials", errors.Join(errs...))
}

// unwanted judges a file in partial/ by its name.
func (s *Store) unwanted(name string, keep func(Digest) bool) bool {
	if _, ok := digestWithSuffix(name, corruptSuffix); ok {
		return false
	}
	if d, ok := digestWithSuffix(name, partSuffix); ok {
		return !s.isLive(partPath(d)) && (keep == nil || !keep(d))
	}
	if d, ok := digestWithSuffix(name, checkpointSuffix); ok {
		return !s.isLive(partPath(d)) && (keep == nil || !keep(d) || s.missing(partPath(d)))
	}
	return !s.isLive(partialDir + "/" + name)
}

func (s *Store) missing(path string) bool {
	_, err := s.root.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
