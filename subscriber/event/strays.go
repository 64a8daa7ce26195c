package event

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
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
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, err := os.FindProcess(pid) // before it is looked at: what has this number later is another
		if err != nil {
			continue
		}
		if has(file, marks) && p.Signal(syscall.SIGKILL) == nil {
			found = true
		}
		p.Release()
	}
	return found
}

func has(file string, marks [][]byte) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	text = append([]byte{0}, text...)
	for _, mark := range marks {
		if !bytes.Contains(text, append(append([]byte{0}, mark...), 0)) {
			return false
		}
	}
	return true
}
