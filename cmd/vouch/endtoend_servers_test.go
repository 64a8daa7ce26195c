package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

// daemon starts a server that stays in the foreground, and waits until it
// takes connections.
func (e *endorser) daemon(addr string, argv ...string) {
	e.T.Helper()
	log, err := os.Create(e.path(filepath.Base(argv[0]) + ".log"))
	if err != nil {
		e.T.Fatal(err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait(); log.Close() })
	for range 4800 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	e.T.Fatalf("%s does not listen: %s", argv[0], e.read(log.Name()))
}

func (e *endorser) read(path string) string {
	e.T.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		e.T.Fatal(err)
	}
	return string(raw)
}

func (e *endorser) freeAddr() (addr, port string) {
	e.T.Helper()
	addr = listtest.FreeAddress(e.T)
	_, port, _ = net.SplitHostPort(addr)
	return addr, port
}

// program finds a server, which Debian keeps out of a user's path.
func (e *endorser) program(name string) string {
	if path := "/usr/sbin/" + name; exec.Command("test", "-x", path).Run() == nil {
		return path
	}
	return requireTool(e.T, name)
}

func (e *endorser) tool(name string, args ...string) {
	e.T.Helper()
	cmd := exec.Command(requireTool(e.T, name), args...)
	cmd.Dir = e.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		e.T.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// sshd starts an SSH server, called lists in the ssh configuration of whoever
// runs "ssh" now.
func (e *endorser) sshd() {
	e.T.Helper()
	server, client := e.program("sshd"), requireTool(e.T, "ssh")
	for _, key := range []string{"host", "user"} {
		e.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", e.path(key))
	}
	if os.Getuid() == 0 {
		os.MkdirAll("/run/sshd", 0o755)
	}
	addr, port := e.freeAddr()
	e.write("sshd_config", fmt.Appendf(nil, "ListenAddress %s\nHostKey %[2]s/host\nAuthorizedKeysFile %[2]s/user.pub\nPidFile none\nStrictModes no\nUsePAM no\n"+
		"PasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n", addr, e.dir))
	e.write("known", []byte(fmt.Sprintf("[127.0.0.1]:%s %s", port, e.read(e.path("host.pub")))))
	e.write("ssh_config", fmt.Appendf(nil, "Host lists\n HostName 127.0.0.1\n Port %s\n IdentityFile %[2]s/user\n IdentitiesOnly yes\n UserKnownHostsFile %[2]s/known\n", port, e.dir))
	if err := os.Mkdir(e.path("bin"), 0o755); err != nil {
		e.T.Fatal(err)
	}
	e.write("bin/ssh", fmt.Appendf(nil, "#!/bin/sh\nexec %s -F %s/ssh_config \"$@\"\n", client, e.dir))
	if err := os.Chmod(e.path("bin/ssh"), 0o755); err != nil {
		e.T.Fatal(err)
	}
	e.T.Setenv("PATH", e.path("bin")+":"+os.Getenv("PATH"))
	e.daemon(addr, server, "-D", "-e", "-f", e.path("sshd_config"))
}

// nginx serves www over TLS, and takes PUT with a password. What is put below
// /stuck/ it takes, and goes on serving the list.
func (e *endorser) nginx() (url string) {
	e.T.Helper()
	server := e.program("nginx")
	e.tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "web.key", "-out", "web.pem", "-subj", "/CN=web", "-addext", "subjectAltName=IP:127.0.0.1")
	for _, dir := range []string{"nginx", "www", "www/stuck"} {
		if err := os.Mkdir(e.path(dir), 0o755); err != nil {
			e.T.Fatal(err)
		}
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	addr, _ := e.freeAddr()
	e.write("users", []byte("alice:{PLAIN}canary\n"))
	e.write("nginx.conf", fmt.Appendf(nil, `daemon off; worker_processes 1; pid %[1]s/nginx/pid; %[2]s
events {}
http {
	access_log off; client_body_temp_path %[1]s/nginx/b; proxy_temp_path %[1]s/nginx/p; fastcgi_temp_path %[1]s/nginx/f; uwsgi_temp_path %[1]s/nginx/u; scgi_temp_path %[1]s/nginx/s;
	server {
		listen %[3]s ssl; ssl_certificate %[1]s/web.pem; ssl_certificate_key %[1]s/web.key;
		root %[1]s/www; dav_methods PUT; dav_access all:r; client_max_body_size 64m;
		location / { limit_except GET { auth_basic x; auth_basic_user_file %[1]s/users; } }
		location /stuck/ { if ($request_method = GET) { rewrite ^ /image.list break; } }
	}
}
`, e.dir, user, addr))
	e.daemon(addr, server, "-e", e.path("nginx/error.log"), "-c", e.path("nginx.conf"))
	return "https://" + addr
}

// fails runs a command that must end with a status, and gives what it says.
func (e *endorser) fails(code int, words ...string) string {
	e.T.Helper()
	out, err := e.run(e.command(words...)...)
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != code {
		e.T.Fatalf("vouch publisher %s: %v, want exit status %d\n%s", strings.Join(words, " "), err, code, out)
	}
	return out
}

// An endorser with real servers: releases by SSH and by PUT, what the servers
// refuse, and a removal. What is live at the end is what openssl reads.
func TestE4_PublisherServers(t *testing.T) {
	e := newEndorser(t)
	e.sshd()
	url := e.nginx()
	bytesOf := rand.NewChaCha8([32]byte{4})
	image := make([]byte, 3<<20)
	bytesOf.Read(image)
	e.write("image", image)
	says := func(out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("want %q:\n%s", w, out)
			}
		}
		if strings.Contains(out, "canary") {
			t.Errorf("a secret is shown:\n%s", out)
		}
	}
	live := func(version string) {
		t.Helper()
		if e.read(e.path("www/image.list")) != e.read(e.path("ws/signed", version+".smime")) {
			t.Errorf("version %s is not live", version)
		}
	}
	list := e.path("www/image.list")
	e.must("init", "--uri", url+"/image.list", "--title", "T", "--cert", e.path("cert.pem"))
	e.must("add", e.path("image"), "--identifier", "one", "--uri", url+"/one-1.img", "--title", "One", "--no-sbom", "test")

	says(e.must("publish", "lists:"+list, "--images", "--roots", e.path("web.pem"), "--cert", e.path("cert.pem"), "--key", e.path("key.pem")),
		"one-1.img: uploaded 3.0 MiB", "version 1 is live at lists:", "its hv:uri serves it")
	live("1")
	if e.read(e.path("www/one-1.img")) != string(image) {
		t.Error("other bytes arrived")
	}
	e.write("image-two", image)
	e.must("add", e.path("image-two"), "--identifier", "two", "--uri", url+"/one-1.img", "--title", "Two", "--no-sbom", "test", "--check-uri", "--roots", e.path("web.pem"))

	e.write("name", []byte("alice\n"))
	e.write("wrong", []byte("guess\n"))
	e.write("password", []byte("canary\n"))
	web := func(password, dest string) []string {
		return []string{"publish", dest, "--images", "--roots", e.path("web.pem"), "--username-file", e.path("name"), "--password-file", e.path(password)}
	}
	says(e.fails(3, "publish", url+"/image.list"), "version 2 is signed, but: not published: ", "certificate")
	says(e.fails(3, web("wrong", url+"/image.list")...), "not published: ", "401", "live now: the old list")
	live("1")
	if err := os.Chmod(e.path("password"), 0o644); err != nil {
		t.Fatal(err)
	}
	says(e.fails(2, web("password", url+"/image.list")...), "others can read it")
	if err := os.Chmod(e.path("password"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(e.fails(3, web("password", url+"/stuck/image.list")...), "not published: ", "live now: the old list")
	says(e.must(web("password", url+"/image.list")...), "one-1.img: was there already", "version 2 is live at https://", "in the place of 1", "its hv:uri serves it")
	live("2")

	// A copy that was cut, and a file of the right size with other bytes.
	image[7]++
	e.write("image", image)
	e.must("add", e.path("image"), "--replace", "one", "--uri", url+"/one-2.img", "--no-sbom", "test")
	e.write("www/one-2.img", bytes.Repeat([]byte("x"), len(image)))
	says(e.fails(3, web("password", url+"/image.list")...), "version 3 is signed, but: not published: ", "one-2.img")
	live("2")
	if err := os.Remove(e.path("www/one-2.img")); err != nil {
		t.Fatal(err)
	}
	says(e.must(web("password", url+"/image.list")...), "one-2.img: uploaded 3.0 MiB", "version 3 is live")

	says(e.must("remove", "one", "--reason", "leak", "--publish", "lists:"+list, "--roots", e.path("web.pem")), "removed one 2: leak", "version 4 is live", "in the place of 3")
	live("4")
	e.tool("openssl", "smime", "-verify", "-noverify", "-in", list, "-out", "opened")
	if opened := e.read(e.path("opened")); !strings.Contains(opened, "vouch:revoked") || strings.Contains(opened, "one-2.img") {
		t.Errorf("what openssl reads: %s", opened)
	}
	e.must("history", "--verify", "--witness", list)
	if left, _ := filepath.Glob(e.path("www/.*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
