package event

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// killStrays ends what a program left outside its process group. The kernel
// does not say whose it was; its environment does: one handler is told one
// event at a time. What hides its environment, or runs as a user whose we may
// not read, stays; under systemd it goes with the service (KillMode).
//
// It looks again while it finds any, for they may fork meanwhile.
func killStrays(env environment) {
	marks := [][]byte{[]byte("VOUCH_HANDLER=" + env["VOUCH_HANDLER"]), []byte("VOUCH_EVENT_ID=" + env["VOUCH_EVENT_ID"])}
	for range 5 {
		if !killMarked(marks) {
			return
		}
	}
}

// killMarked reports whether there was a process with these variables.
func killMarked(marks [][]byte) (found bool) {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return false
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if filepath.Base(dir) != self && killIf(dir, marks) {
			found = true
		}
	}
	return found
}

// killIf kills the process of a directory under /proc if it has these
// variables. What is read and what is killed is the directory's, not that of a
// number: another process may have that, later or in another namespace.
func killIf(dir string, marks [][]byte) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	text, err := root.ReadFile("environ")
	if err != nil || !has(text, marks) {
		return false
	}
	process, err := root.Open(".")
	if err != nil {
		return false
	}
	defer process.Close()
	return unix.PidfdSendSignal(int(process.Fd()), syscall.SIGKILL, nil, 0) == nil
}

// has says whether an environment has these variables.
func has(text []byte, marks [][]byte) bool {
	text = append([]byte{0}, text...)
	for _, mark := range marks {
		if !bytes.Contains(text, append(append([]byte{0}, mark...), 0)) {
			return false
		}
	}
	return true
}
