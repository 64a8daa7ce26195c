package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const canary = "canary-of-a-secret"

// T-29: which files are taken, and that no error has anything of them.
func TestT29_Read(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		t.Helper()
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		must(t, os.Chmod(file, mode))
		return file
	}
	link := func(name, target string) string {
		t.Helper()
		must(t, os.Symlink(target, filepath.Join(dir, name)))
		return filepath.Join(dir, name)
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o640, 0o440, 0o700, 0o750} {
		file := put("good", canary, mode)
		if text, err := Read(file, int64(len(canary))); err != nil || string(text) != canary {
			t.Errorf("mode %04o: %q, %v", mode, text, err)
		}
		must(t, os.Remove(file))
	}
	for _, mode := range []os.FileMode{0o604, 0o602, 0o601, 0o644, 0o620, 0o660, 0o666, 0o777} {
		file := put("bad", canary, mode)
		refused(t, file, fmt.Sprintf("others can read or change it (mode %04o)", mode), "chmod 600")
		must(t, os.Remove(file))
	}
	fifo := filepath.Join(dir, "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	private := put("private", canary, 0o600)
	refused(t, fifo, "not a regular file", "name a file")
	refused(t, link("to-fifo", fifo), "not a regular file", "name a file")
	refused(t, dir, "not a regular file", "name a file")
	refused(t, "/dev/null", "not a regular file", "name a file")
	refused(t, put("large", canary+"!", 0o600), "larger than 18 bytes", "the right file")
	refused(t, link("to-open", put("open", canary, 0o644)), "to-open: others can read or change it (mode 0644)", "chmod 600")

	none := link("to-nothing", filepath.Join(dir, "nothing"))
	if err := refused(t, none, "no such file", "check the path"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	relative := link("to-private", filepath.Base(private))
	if text, err := Read(relative, 100); err != nil || string(text) != canary {
		t.Errorf("a link to a good file: %q, %v", text, err)
	}
}

// What is no secret may be read by all, and is a file all the same.
func TestPublic(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	must(t, os.WriteFile(file, []byte("text"), 0o644))
	must(t, syscall.Mkfifo(fifo, 0o644))
	if text, err := Public(file); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := Public(fifo); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
}

// refused is the error of reading a file, which is as wanted and comes at once.
func refused(t *testing.T, file, says, hint string) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		text, err := Read(file, int64(len(canary)))
		if text != nil {
			err = errors.Join(err, errors.New("read all the same"))
		}
		done <- err
	}()
	select {
	case err := <-done:
		e, ok := err.(*Error)
		if !ok || !strings.Contains(e.Error(), says) || !strings.Contains(e.Hint(), hint) || strings.Contains(e.Error()+e.Hint(), canary) {
			t.Errorf("%s: %v, want %q and the hint %q", file, err, says, hint)
		}
		return err
	case <-time.After(time.Minute):
		t.Fatalf("%s: it waits", file)
		return nil
	}
}

// A file that the process may not open. Root may open all, so this is another
// user's process.
func TestRead_NoPermission(t *testing.T) {
	if file := os.Getenv("SECRET_TEST_FILE"); file != "" {
		if err := refused(t, file, "permission denied", "the user vouch runs as"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v is not fs.ErrPermission", err)
		}
		return
	}
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte(canary), 0o000))
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestRead_NoPermission$")
	cmd.Env = append(os.Environ(), "SECRET_TEST_FILE="+file)
	if os.Geteuid() == 0 {
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{canary, canary}, {canary + "\n", canary}, {canary + "\r\n\n", canary}, {" " + canary + " \n", " " + canary + " "},
		{"two\nlines\n", "two\nlines"}, {"", ""}, {"\n", ""}, {canary + "\xff", ""},
	} {
		file := filepath.Join(t.TempDir(), "secret")
		must(t, os.WriteFile(file, []byte(c.raw), 0o600))
		text, err := Text(file)
		if text != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.raw, text, err)
		}
		if e, ok := err.(*Error); c.want == "" && (!ok || e.Hint() == "" || strings.Contains(e.Error(), canary)) {
			t.Errorf("%q: %v", c.raw, err)
		}
	}
	if _, err := Text(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
