package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vouch": main})
}

// TestScripts runs the program as an operator meets it: see testdata/script.
func TestScripts(t *testing.T) {
	requireOpenSSL(t)
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: scriptSetup,
		Condition: func(cond string) (bool, error) { // [site]: this machine has a configuration of its own
			_, err := os.Stat("/etc/vouch/vouch.yaml")
			return err == nil && cond == "site", nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			"pki":   pki,
			"list":  signedList,
			"serve": serveFiles,
			"same":  same,
			"await": await,
		},
	})
}

func requireOpenSSL(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("openssl is not installed")
	}
	t.Skip("openssl is not installed")
}

// scriptSetup gives every script a home, and a configuration that keeps to its
// own directory.
func scriptSetup(e *testscript.Env) error {
	e.Setenv("XDG_CONFIG_HOME", e.WorkDir+"/config")
	e.Setenv("VOUCH_CONFIG", e.WorkDir+"/config/vouch/vouch.yaml") // this machine may have a site of its own
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("NO_COLOR", "1")
	conf := fmt.Sprintf("state_dir: %s/state\ncache: {dir: %[1]s/cache, min_free: 0}\ntrust: {anchors: %[1]s/trust}\nfetch: {allow_networks: [127.0.0.0/8]}\n", e.WorkDir)
	dir := filepath.Join(e.WorkDir, "config", "vouch")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "vouch.yaml"), []byte(conf), 0o644)
}

// exits runs a command and checks its exit status: exits 3 vouch sync.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	have := 0
	if exit, ok := err.(*exec.ExitError); ok {
		have = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if have != want {
		ts.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s", have, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// same checks that a file has exactly these lines, given one by one.
func same(ts *testscript.TestScript, neg bool, args []string) {
	have := strings.Split(strings.TrimRight(ts.ReadFile(args[0]), "\n"), "\n")
	want := args[1:]
	if fmt.Sprint(have) != fmt.Sprint(want) == !neg {
		ts.Fatalf("%s is %q, want %q", args[0], have, want)
	}
}

const opensslConfig = `
[req]
distinguished_name = dn
prompt = no
[dn]
[ca_ext]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[user_ext]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, nonRepudiation
extendedKeyUsage = emailProtection
[ca]
default_ca = this
[this]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 30
`

// pki makes, with openssl, a CA, the certificates of alice and mallory (who is
// revoked), and a trust directory in IGTF layout: pki.
func pki(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.MkAbs("pki")
	ts.Check(os.MkdirAll(dir, 0o755))
	write := func(name, text string) { ts.Check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)) }
	write("openssl.cnf", opensslConfig)
	write("index.txt", "")
	write("crlnumber", "01\n")
	run := func(args ...string) string {
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			ts.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("req", "-x509", "-config", "openssl.cnf", "-extensions", "ca_ext", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key",
		"-out", "ca.pem", "-days", "3650", "-subj", "/DC=org/DC=example/CN=Example CA")
	for i, who := range []string{"alice", "mallory"} {
		run("req", "-config", "openssl.cnf", "-newkey", "rsa:2048", "-nodes", "-keyout", who+".key", "-out", who+".csr",
			"-subj", "/DC=org/DC=example/CN="+who)
		run("x509", "-req", "-in", who+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", strconv.Itoa(100+i), "-days", "365",
			"-extfile", "openssl.cnf", "-extensions", "user_ext", "-out", who+".pem")
	}
	run("ca", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-revoke", "mallory.pem")
	run("ca", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-gencrl", "-out", "ca.crl")

	hash := run("x509", "-in", "ca.pem", "-noout", "-subject_hash")
	trusted := ts.MkAbs("trust")
	ts.Check(os.MkdirAll(trusted, 0o755))
	for from, to := range map[string]string{"ca.pem": ".0", "ca.crl": ".r0"} {
		raw, err := os.ReadFile(filepath.Join(dir, from))
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(trusted, hash+to), raw, 0o644))
	}
	policy := "access_id_CA X509 '/DC=org/DC=example/CN=Example CA'\npos_rights globus CA:sign\ncond_subjects globus '\"/DC=org/DC=example/*\"'\n"
	ts.Check(os.WriteFile(filepath.Join(trusted, hash+".signing_policy"), []byte(policy), 0o644))
}

// signedList signs a list with openssl: list OUT [WHO [EXPIRES [VERSION]]] [FILE=URI...].
// Each file becomes an image. $IMAGE1 is the first one's identifier.
func signedList(ts *testscript.TestScript, _ bool, args []string) {
	var plain, images []string
	for _, a := range args {
		file, uri, isImage := strings.Cut(a, "=")
		if !isImage {
			plain = append(plain, a)
			continue
		}
		images = append(images, imageJSON(ts, len(images)+1, file, uri))
	}
	now := time.Now().UTC()
	at := func(d time.Duration) string { return now.Add(d).Format("2006-01-02T15:04:05Z") }
	plain = append(plain, []string{"", "alice", at(30 * day), "1"}[min(len(plain), 4):]...)
	out, who, expires, version := plain[0], plain[1], plain[2], plain[3]
	json := fmt.Sprintf(`{"hv:imagelist":{"dc:identifier":"63175437-7d59-4851-b333-c96cb6545a86","hv:version":%q,`+
		`"dc:date:created":%q,"dc:date:expires":%q,"dc:title":"Examples","dc:description":"of images","dc:source":"here",`+
		`"hv:uri":"https://lists.example.org/image.list","hv:endorser":{"hv:x509":{"hv:dn":"/DC=org/DC=example/CN=%s",`+
		`"hv:ca":"/DC=org/DC=example/CN=Example CA","hv:email":"a@example.org","dc:creator":"A"}},"hv:images":[%s]}}`,
		version, at(-time.Hour), expires, who, strings.Join(images, ","))
	ts.Check(os.WriteFile(ts.MkAbs("list.json"), []byte(json), 0o644))
	cmd := exec.Command("openssl", "smime", "-sign", "-md", "sha256", "-in", ts.MkAbs("list.json"), "-out", ts.MkAbs(out),
		"-signer", ts.MkAbs("pki/"+who+".pem"), "-inkey", ts.MkAbs("pki/"+who+".key"))
	if msg, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("openssl smime: %v\n%s", err, msg)
	}
}

// imageJSON is the entry of a real file.
func imageJSON(ts *testscript.TestScript, n int, file, uri string) string {
	path := ts.MkAbs(file)
	info, err := os.Stat(path)
	ts.Check(err)
	sum, err := exec.Command("openssl", "dgst", "-sha512", "-r", path).Output()
	ts.Check(err)
	digest, _, _ := strings.Cut(string(sum), " ")
	id := fmt.Sprintf("deadbeef-0000-4000-8000-%012d", n)
	ts.Setenv(fmt.Sprintf("IMAGE%d", n), id)
	ts.Setenv(fmt.Sprintf("SHA%d", n), digest)
	return fmt.Sprintf(`{"hv:image":{"dc:identifier":%q,"hv:version":"1.0","hv:uri":%q,"sl:checksum:sha512":%q,"hv:size":%d,`+
		`"dc:title":"Image %d","dc:description":"an image","sl:comments":"none","sl:os":"Linux","sl:osversion":"13","sl:arch":"x86_64",`+
		`"hv:hypervisor":"kvm","hv:format":"raw"}}`, id, uri, digest, info.Size(), n)
}

// serveFiles serves a directory over HTTP and sets $URL: serve DIR. What is under
// /slow/ begins and never ends.
func serveFiles(ts *testscript.TestScript, _ bool, args []string) {
	files := http.FileServer(http.Dir(ts.MkAbs(args[0])))
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/slow/") {
			r.Header.Del("If-Modified-Since") // its second is too long for a test
			files.ServeHTTP(w, r)
			return
		}
		fmt.Fprint(w, "the")
		w.(http.Flusher).Flush()
		select {
		case <-gone:
		case <-r.Context().Done():
		}
	}))
	ts.Defer(func() { close(gone); srv.Close() })
	ts.Setenv("URL", srv.URL)
}

// await waits until a file matches a pattern: await cache/partial/*.
func await(ts *testscript.TestScript, neg bool, args []string) {
	for range 6000 {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		if (len(found) > 0) != neg {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("waited in vain for %s", args[0])
}
