package destination

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

// sshd starts a real server for this user, and returns its port and the
// command that gets in.
func sshd(t *testing.T, more string) (port string, ssh []string) {
	t.Helper()
	program := requireProgram(t, "sshd")
	keygen := requireProgram(t, "ssh-keygen")
	requireProgram(t, "ssh")
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if os.Getuid() == 0 {
		os.MkdirAll("/run/sshd", 0o755)
	}
	addr := listtest.FreeAddress(t)
	_, port, _ = net.SplitHostPort(addr)
	// Another home, since the login shell that starts sftp-server reads its files.
	conf := write(t, filepath.Join(dir, "sshd_config"), fmt.Sprintf(`ListenAddress %s
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
SetEnv HOME=%[2]s
%[3]s
`, addr, dir, more))
	daemon(t, addr, program, "-D", "-e", "-f", conf)
	host := strings.Fields(read(t, filepath.Join(dir, "host.pub")))
	write(t, filepath.Join(dir, "known"), fmt.Sprintf("[127.0.0.1]:%s %s %s\n", port, host[0], host[1]))
	return port, []string{"ssh", "-F", "none", "-p", port, "-i", filepath.Join(dir, "user"), "-oIdentitiesOnly=yes", "-oBatchMode=yes",
		"-oUserKnownHostsFile=" + filepath.Join(dir, "known")}
}

// sshdInternal is a server that lets this user do nothing but SFTP.
func sshdInternal(t *testing.T) []string {
	_, ssh := sshd(t, "Subsystem sftp internal-sftp\nForceCommand internal-sftp")
	return ssh
}

func TestSSH(t *testing.T) {
	_, ssh := sshd(t, "Subsystem sftp "+sftpServer(t))
	dir := t.TempDir()
	o := Options{SSH: ssh}
	suite(t, "127.0.0.1:"+dir+"/image.list", dir, o)
	t.Run("Resume", func(t *testing.T) { resume(t, "127.0.0.1:"+t.TempDir()+"/l", o) })
	t.Run("Racing", func(t *testing.T) { racing(t, "127.0.0.1:"+t.TempDir()+"/l", o) })
}

func sftpServer(t *testing.T) string {
	const program = "/usr/lib/openssh/sftp-server"
	if !isFile(program) {
		return "internal-sftp"
	}
	return program
}

func TestSSH_InternalSFTP(t *testing.T) {
	ssh := sshdInternal(t)
	dir := t.TempDir()
	suite(t, "127.0.0.1:"+dir+"/image.list", dir, Options{SSH: ssh})
}

func TestSSH_Killed(t *testing.T) {
	ssh := sshdInternal(t)
	dir := t.TempDir()
	dest := "127.0.0.1:" + dir + "/image.list"
	t.Setenv("DESTINATION_STALE", "300ms")
	killed(t, dest, dir+"/image.list", strings.Join(ssh, " "))
	write(t, dir+"/.image.list.lock", "a publisher that was killed")
	write(t, dir+"/.image.list.0123456789abcdef.tmp", "half a li")
	var notes []string
	d := open(t, dest, Options{SSH: ssh, Note: func(s string) { notes = append(notes, s) }})
	d.(*remote).stale = 300 * time.Millisecond
	mustReplace(t, d, "after", mustRead(t, d))
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "waiting") {
		t.Errorf("notes %q", notes)
	}
}

// A server that can neither replace atomically nor flush takes the first list,
// which is said, and no second.
func TestSSH_NoExtensions(t *testing.T) {
	t.Setenv("DESTINATION_SFTP_SERVER", "1")
	mine, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var notes []string
	o := noting(&notes)
	o.SSH = []string{mine}
	d := open(t, "old.example:"+dir+"/l", o)
	live := mustReplace(t, d, "first", nil)
	if len(notes) != 1 || !strings.Contains(notes[0], "flush") {
		t.Errorf("notes %q", notes)
	}
	err = d.Replace(context.Background(), []byte("second"), live)
	var failed *ReplaceError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "atomically") || !strings.HasPrefix(failed.Live, "the old list") {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

// sftp://user@host:port/path names the same file as user@host:path.
func TestSSH_URL(t *testing.T) {
	port, ssh := sshd(t, "Subsystem sftp internal-sftp")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "with space")
	dest := "sftp://" + me.Username + "@127.0.0.1:" + port + strings.ReplaceAll(list, " ", "%20")
	d := open(t, dest, Options{SSH: append(ssh[:3:3], ssh[5:]...)}) // without -p
	mustReplace(t, d, "over a URL", nil)
	if read(t, list) != "over a URL" {
		t.Error("other file")
	}
}

// What ssh says when it does not get in is in the error, with a hint.
func TestSSH_Errors(t *testing.T) {
	_, ssh := sshd(t, "Subsystem sftp internal-sftp")
	_, without := sshd(t, "")
	unknown := append([]string{}, ssh...)
	unknown[len(unknown)-1] = "-oUserKnownHostsFile=/dev/null"
	dir := t.TempDir()
	for name, c := range map[string]struct {
		ssh        []string
		path       string
		want, hint string
	}{
		"no directory":     {ssh, dir + "/none/l", "no such directory", "create the directory"},
		"no key":           {append(ssh[:5:5], append([]string{"-oIdentityFile=none"}, ssh[7:]...)...), dir + "/l", "Permission denied", "ssh-add"},
		"unknown host key": {append(unknown, "-oStrictHostKeyChecking=yes"), dir + "/l", "Host key verification failed", "compare the host key"},
		"no SFTP":          {without, dir + "/l", "subsystem request failed", "Subsystem sftp"},
		"refused":          {append(ssh[:4:4], append([]string{"1"}, ssh[5:]...)...), dir + "/l", "Connection refused", "listening"},
		"no ssh":           {[]string{"/nonexistent/ssh"}, dir + "/l", "start ssh", "install"},
	} {
		c.ssh = append([]string{}, c.ssh...)
		if name == "refused" {
			c.ssh[4] = "1"
		}
		_, err := Open(context.Background(), "127.0.0.1:"+c.path, Options{SSH: c.ssh})
		var h interface{ Hint() string }
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &h) || !strings.Contains(h.Hint(), c.hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A connection that dies in the middle fails the operation, which says what is
// live by a new one; a context that ends kills ssh.
func TestSSH_Cut(t *testing.T) {
	_, ssh := sshd(t, "Subsystem sftp internal-sftp")
	dir := t.TempDir()
	d := open(t, "127.0.0.1:"+dir+"/l", Options{SSH: ssh}).(*remote)
	live := mustReplace(t, d, "first", nil)

	d.s.kill()
	var failed *ReplaceError
	err := d.Replace(context.Background(), []byte("second"), live)
	if !errors.As(err, &failed) || !strings.HasPrefix(failed.Live, "the old list") || !strings.Contains(err.Error(), "ssh:") {
		t.Errorf("dead connection: %v", err)
	}
	mustReplace(t, d, "second", mustRead(t, d))

	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Open(ctx, "127.0.0.1:"+dir+"/l", Options{SSH: []string{"sh", "-c", "exec sleep 60"}}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 50*time.Second {
		t.Errorf("an ssh that hangs: %v after %v", err, time.Since(start))
	}
}
