package cache

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// control calls op with the file's descriptor, again when a signal came
// between.
func control(f *os.File, op func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = c.Control(func(fd uintptr) {
		for {
			if result = op(int(fd)); result != unix.EINTR {
				return
			}
		}
	})
	return errors.Join(err, result)
}

// clone makes dst share the blocks of src.
func clone(dst, src *os.File) error {
	return control(src, func(from int) error {
		return control(dst, func(to int) error { return unix.IoctlFileClone(to, from) })
	})
}

// setDirect has a file's reads and writes pass by the page cache, or go through
// it again. Many file systems cannot.
func setDirect(f *os.File, on bool) error {
	return control(f, func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		flags &^= unix.O_DIRECT
		if on {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
		return err
	})
}

// datasync makes a file's content durable, and what is needed to read it.
func datasync(f *os.File) error { return control(f, unix.Fdatasync) }

// fromDisk drops a file's clean pages from memory, so that reading it reads
// the disk. It is a hint, and its failure says nothing.
func fromDisk(f *os.File) {
	_ = control(f, func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) })
}

// lock takes a file for this open descriptor, until it is closed. A file
// system without locks grants it.
func lock(f *os.File) error {
	err := control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrBusy
	}
	return nil
}

// reserve makes sure that a file can grow to size bytes, without making it
// longer: a full disk is found now and not at the end of a download (T-24).
func reserve(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	err := control(f, func(fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return room(f, size)
	}
	if isNoSpace(err) {
		return fmt.Errorf("%w for %d bytes: %w", ErrNoSpace, size, err)
	}
	return err
}

// room is reserve on a file system that cannot: it looks, and others may take
// the space meanwhile.
func room(f *os.File, size int64) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := control(f, func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; size-fi.Size() > free {
		return fmt.Errorf("%w: %d bytes wanted, %d free", ErrNoSpace, size-fi.Size(), free)
	}
	return nil
}

// unreserve gives back what reserve took beyond the file's end.
func unreserve(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Truncate(fi.Size())
}

// bootID names this boot of the machine: within one, what a killed process
// wrote is still in memory or on disk, in order. "" if the kernel does not say.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(id)
}
