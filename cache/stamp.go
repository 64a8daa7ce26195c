package cache

import (
	"io/fs"
	"os"
	"syscall"
)

// FileStamp is the Stamp of an open file: for whoever serves a blob and wants
// to know that what it opened is what was checked (T-27).
func FileStamp(f *os.File) (Stamp, error) {
	fi, err := f.Stat()
	if err != nil {
		return Stamp{}, wrap("stamp", err)
	}
	return stampOf(fi), nil
}

func stampOf(fi fs.FileInfo) Stamp {
	st := fi.Sys().(*syscall.Stat_t)
	return Stamp{
		Ino:   st.Ino,
		Size:  st.Size,
		Mtime: st.Mtim.Nano(),
		Ctime: st.Ctim.Nano(),
		UID:   st.Uid,
		GID:   st.Gid,
		Mode:  st.Mode,
	}
}

// stamp is the Stamp of the regular file at path.
func (s *Store) stamp(path string) (Stamp, error) {
	fi, err := s.regular(path)
	if err != nil {
		return Stamp{}, err
	}
	return stampOf(fi), nil
}
