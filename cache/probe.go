package cache

import (
	"fmt"
	"os"
)

// probe tries what a cache is made of, so that a file system that cannot do
// it is found at start and not at the end of a download. A full one passes:
// what it lacks is not an ability.
func (s *Store) probe() error {
	f, tmp, err := s.temp()
	if err != nil {
		return unfit("create", err, "is it mounted read-only, or another user's?")
	}
	defer s.drop(tmp)
	defer f.Close()
	if err := f.Sync(); err != nil {
		return unfit("fsync", err, "use another file system")
	}
	if err := s.probePublish(f, tmp); err != nil {
		return err
	}
	renamed := s.tempName()
	defer s.drop(renamed)
	if err := s.root.Rename(tmp, renamed); err != nil {
		return unfit("rename", err, "use another file system")
	}
	if err := s.syncDir(partialDir); err != nil {
		return unfit("fsync of a directory", err, "use another file system")
	}
	return nil
}

// probePublish tries how names are to come from their blobs.
func (s *Store) probePublish(f *os.File, tmp string) error {
	switch s.opt.Publish {
	case Hardlink:
		return s.probeLink(f, tmp)
	case Reflink:
		return s.probeReflink(f)
	}
	return nil
}

func (s *Store) probeLink(f *os.File, tmp string) error {
	const hint = "set cache.publish to reflink or copy"
	link := s.tempName()
	defer s.drop(link)
	if err := s.root.Link(tmp, link); err != nil {
		return unfit("link", err, hint)
	}
	a, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := s.root.Lstat(link)
	if err != nil {
		return err
	}
	if !os.SameFile(a, b) {
		return fmt.Errorf("%w: a link is another file here; %s", ErrUnusable, hint)
	}
	return nil
}

func (s *Store) probeReflink(f *os.File) error {
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		return unfit("write", err, "use another file system")
	}
	g, tmp, err := s.temp()
	if err != nil {
		return unfit("create", err, "use another file system")
	}
	defer s.drop(tmp)
	defer g.Close()
	return unfit("reflink", clone(g, f), "set cache.publish to hardlink or copy")
}

// unfit turns the failure of a probe into ErrUnusable.
func unfit(what string, err error, hint string) error {
	if err == nil || isNoSpace(err) {
		return nil
	}
	return fmt.Errorf("%w: %s: %w; %s", ErrUnusable, what, err, hint)
}
