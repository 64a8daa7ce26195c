package destination

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vouch/imagelist/listtest"
)

// nginx starts a real server over dir that takes PUT, below /private/ only
// with a password.
func nginx(t *testing.T, dir, more string) (base string) {
	t.Helper()
	program := requireProgram(t, "nginx")
	conf, addr := t.TempDir(), listtest.FreeAddress(t)
	run := ""
	if os.Getuid() == 0 {
		run = "user root;"
	}
	write(t, conf+"/users", "alice:{PLAIN}secret\n")
	daemon(t, addr, program, "-e", conf+"/error.log", "-c", write(t, conf+"/nginx.conf", fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; %[2]s
events {}
http {
	access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen %[3]s; root %[4]s; dav_methods PUT; dav_access all:r; client_max_body_size 64m;
		location /private/ { auth_basic x; auth_basic_user_file %[1]s/users; }
		%[5]s
	}
}
`, conf, run, addr, dir, more)))
	return "http://" + addr
}

// apache starts a real server over dir with WebDAV.
func apache(t *testing.T, dir string) (base string) {
	t.Helper()
	program := requireProgram(t, "apache2")
	conf, addr := t.TempDir(), listtest.FreeAddress(t)
	const modules = "/usr/lib/apache2/modules"
	load := ""
	for _, m := range []string{"mpm_event", "authz_core", "dav", "dav_fs"} {
		load += fmt.Sprintf("LoadModule %s_module %s/mod_%s.so\n", m, modules, m)
	}
	run := ""
	if os.Getuid() == 0 { // Apache's workers never are root
		run = "User nobody\nGroup nogroup\n"
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(conf, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	daemon(t, addr, program, "-DFOREGROUND", "-f", write(t, conf+"/apache.conf", fmt.Sprintf(`ServerName localhost
Listen %s
ServerRoot %[2]s
PidFile %[2]s/pid
ErrorLog %[2]s/error.log
%[3]s%[4]sDavLockDB %[2]s/lock
DocumentRoot %[5]s
<Directory %[5]s>
Require all granted
Dav On
</Directory>
`, addr, conf, run, load, dir)))
	return "http://" + addr
}

func noting(notes *[]string) Options {
	return Options{Note: func(s string) { *notes = append(*notes, s) }}
}

// nginx heeds no condition on PUT: that is said each time.
func TestWeb_Nginx(t *testing.T) {
	dir := t.TempDir()
	base := nginx(t, dir, "")
	var notes []string
	suite(t, base+"/image.list", dir, noting(&notes))
	if len(notes) != 3 || !strings.Contains(notes[0], "ignores the version") {
		t.Errorf("notes %q", notes)
	}
}

// Apache heeds them: nothing to say, and a version that is no longer there
// is not replaced.
func TestWeb_Apache(t *testing.T) {
	dir := t.TempDir()
	base := apache(t, dir)
	var notes []string
	suite(t, base+"/image.list", dir, noting(&notes))
	d := open(t, base+"/image.list", noting(&notes)).(*web)
	stale := mustRead(t, d)
	mustReplace(t, d, "theirs", stale)
	var conflict *Conflict
	if err := d.put(context.Background(), []byte("mine"), stale); !errors.As(err, &conflict) || string(conflict.Live.Content) != "theirs" {
		t.Errorf("stale version: %v", err)
	}
	if len(notes) != 0 {
		t.Errorf("notes %q", notes)
	}
}

// What real servers answer when they do not take the list.
func TestWeb_Refusals(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "private"), 0o755); err != nil {
		t.Fatal(err)
	}
	base := nginx(t, dir, `location /closed/ { deny all; } location /static/ { dav_methods off; } location /small/ { client_max_body_size 8; }
		location /moved/ { return 301 http://user:pw@elsewhere.example$uri; }`)
	name, password := write(t, t.TempDir()+"/name", "alice\n"), write(t, t.TempDir()+"/password", "secret\n")
	wrong := write(t, t.TempDir()+"/password", "other\n")
	basic := Options{UsernameFile: name, PasswordFile: password}
	for path, c := range map[string]struct {
		o          Options
		want, hint string
	}{
		"/private/l":  {Options{}, "401", "password file"},
		"/private/l2": {Options{UsernameFile: name, PasswordFile: wrong}, "401", "does not accept"},
		"/closed/l":   {basic, "403", "may not write"},
		"/static/l":   {basic, "405", "dav_methods"},
		"/small/l":    {basic, "413", "client_max_body_size"},
		"/none/l":     {basic, "500", "directory is missing"},
		"/moved/l":    {basic, "301", `"http://elsewhere.example/moved/l"`},
	} {
		d := open(t, base+path, c.o)
		err := d.Replace(context.Background(), []byte("a longer list"), nil)
		var failed *ReplaceError
		var h interface{ Hint() string }
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || !errors.As(err, &h) || !strings.Contains(h.Hint(), c.hint) {
			t.Errorf("%s: %v", path, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(h.Hint(), "pw")) {
			t.Errorf("%s: a secret is shown: %v", path, err)
		}
	}
	mustReplace(t, open(t, base+"/private/l", basic), "with a password", nil)
}
