package destination

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestOpen_Places(t *testing.T) {
	for dest, want := range map[string]place{
		"host:l":                {host: "host", path: "l"},
		"alice@host:www/l":      {user: "alice", host: "host", path: "www/l"},
		"alice@host:~/l":        {user: "alice", host: "host", path: "l"},
		"alice@host:/srv/l":     {user: "alice", host: "host", path: "/srv/l"},
		"alice@[2001:db8::1]:l": {user: "alice", host: "2001:db8::1", path: "l"},
		"a@dom@host:l":          {user: "a@dom", host: "host", path: "l"},
		"host:a:b":              {host: "host", path: "a:b"},
	} {
		host, file, ok := scpForm(dest)
		got, err := scpPlace(host, file)
		got.text = ""
		if !ok || err != nil || got != want {
			t.Errorf("%s: %+v, %v", dest, got, err)
		}
	}
	for _, dest := range []string{"./a:b", "/a:b", "dir/a:b", "plain"} {
		if _, _, ok := scpForm(dest); ok {
			t.Errorf("%s: taken for a host", dest)
		}
	}
}

// Nothing that a destination holds becomes an option of ssh, and no password
// is shown. Every refusal has a hint.
func TestOpen_Refused(t *testing.T) {
	ran := Options{SSH: []string{"/nonexistent/ssh"}}
	for _, dest := range []string{
		"", "a\nb", "\x1b[0m", "dir/", ".", "..",
		"-oProxyCommand=touch:l", "a@-oProxyCommand=x:l", "-a@host:l", "host:-l", "sftp://-oProxyCommand=x/l", "sftp://-l@host/l", "[-o]:l",
		"ho st:l", "a b@host:l", "host$(x):l", "@host:l", "host:", "host:dir/", "host:..", "https:/host/l",
		"alice:canary@host:l", "sftp://alice:canary@host/l", "https://alice:canary@host/l", "https://canary@host/l", "https://a:canary@ho st/%zz",
		"sftp://host:99999/l", "sftp://host/l?x", "sftp:///l", "https:///l", "https://host/", "https://host", "https://host/l?token=canary", "https://host/l#x",
		"file:///l", "ssh://host/l", "s3://bucket/l", "http://host/" + strings.Repeat("x", 300),
	} {
		_, err := Open(context.Background(), dest, ran)
		var h interface{ Hint() string }
		if !errors.As(err, &h) || strings.Contains(err.Error(), "start ssh") {
			t.Errorf("%q: %v", dest, err)
			continue
		}
		if text := err.Error() + h.Hint(); strings.Contains(text, "canary") || !printable(text) {
			t.Errorf("%q: shown: %q", dest, text)
		}
	}
}

// What came from the destination is one argument each; the host is last but
// one, behind the end of options.
func TestOpen_Arguments(t *testing.T) {
	args := sshArgs(place{user: "alice", host: "host", port: "2222"}, true)
	if want := []string{"-oBatchMode=yes", "-p", "2222", "-l", "alice", "-s", "--", "host", "sftp"}; !slices.Equal(args[len(args)-len(want):], want) {
		t.Errorf("%q", args)
	}
	if slices.Contains(sshArgs(place{host: "host"}, false), "-oBatchMode=yes") {
		t.Error("a terminal could ask")
	}
}

// T-29: credentials come from files only their owner reads, and go over https.
func TestT29_Credentials(t *testing.T) {
	dir := t.TempDir()
	name, password := write(t, dir+"/name", "alice\n"), write(t, dir+"/password", "canary\n")
	open0644 := write(t, dir+"/open", "canary")
	if err := os.Chmod(open0644, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		dest string
		o    Options
	}{
		"over http":       {"http://host.example/l", Options{UsernameFile: name, PasswordFile: password}},
		"token over http": {"http://host.example/l", Options{TokenFile: password}},
		"others read":     {"https://host.example/l", Options{TokenFile: open0644}},
		"a pipe":          {"https://host.example/l", Options{TokenFile: dir + "/fifo"}},
		"two lines":       {"https://host.example/l", Options{TokenFile: write(t, dir+"/two", "canary\ncanary")}},
		"empty":           {"https://host.example/l", Options{TokenFile: write(t, dir+"/empty", "\n")}},
		"both":            {"https://host.example/l", Options{UsernameFile: name, TokenFile: password}},
		"password alone":  {"https://host.example/l", Options{PasswordFile: password}},
		"colon":           {"https://host.example/l", Options{UsernameFile: write(t, dir+"/colon", "a:canary")}},
		"no certificates": {"https://host.example/l", Options{RootsFile: name}},
		"empty directory": {"https://host.example/l", Options{RootsFile: t.TempDir()}},
	} {
		_, err := Open(context.Background(), c.dest, c.o)
		var h interface{ Hint() string }
		if !errors.As(err, &h) || strings.Contains(err.Error()+h.Hint(), "canary") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Open(context.Background(), "https://host.example/l", Options{TokenFile: dir + "/none"}); err == nil {
		t.Error("a missing file was passed over")
	}
	for _, dest := range []string{"https://host.example/l", "http://127.0.0.1/l", "http://[::1]:80/l", "http://localhost/l"} {
		if d, err := Open(context.Background(), dest, Options{UsernameFile: name, PasswordFile: password}); err != nil || d.String() != dest {
			t.Errorf("%s: %v", dest, err)
		}
	}
}
