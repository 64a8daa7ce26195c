package main_test

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var addressLine = regexp.MustCompile(`HTTP interface" address=(https?://[0-9.:]+)`)

// url waits until the daemon listens, and says where.
func (d *running) url() string {
	d.site.T.Helper()
	d.says(`HTTP interface" address=`)
	all := addressLine.FindAllStringSubmatch(d.log.String(), -1)
	return all[len(all)-1][1]
}

// curl asks with the real curl, and returns the status, the headers and the body.
func (s *site) curl(args ...string) (code, headers, body string) {
	s.T.Helper()
	cmd := exec.Command(requireTool(s.T, "curl"), append([]string{"-sS", "--max-time", "120", "-D", s.path("headers"), "-w", "\n%{http_code}"}, args...)...)
	cmd.Dir = s.dir
	out, err := cmd.Output()
	if err != nil {
		s.T.Logf("curl %s: %v", strings.Join(args, " "), err)
	}
	raw, _ := os.ReadFile(s.path("headers"))
	i := strings.LastIndexByte(string(out), '\n')
	return string(out[i+1:]), string(raw), string(out[:i])
}

// TestHTTP_Curl: what middleware does all day, with its usual tool.
func TestHTTP_Curl(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := strings.Repeat("an image, byte for byte. ", 400000)
	s.publish(s.draft("1", picture{"one", content, nil}, picture{"two", "second", nil}))
	d := s.daemon()
	url := d.url()
	s.here("one", true)
	s.here("two", true)
	waitUntil(t, "ready", func() bool { code, _, _ := s.curl(url + "/readyz"); return code == "200" })
	expect := func(want string, args ...string) (headers, body string) {
		t.Helper()
		code, headers, body := s.curl(args...)
		if code != want {
			t.Errorf("curl %s: %s, want %s\n%s%.500s", strings.Join(args, " "), code, want, headers, body)
		}
		return headers, body
	}
	_, body := expect("200", url+"/v1/images?os=linux")
	var images struct {
		Images []struct{ Identifier, SHA512, State string }
	}
	if err := json.Unmarshal([]byte(body), &images); err != nil || len(images.Images) != 2 || images.Images[0].State != "available" {
		t.Errorf("images: %v, %s", err, body)
	}
	sum := sha512.Sum512([]byte(content))
	data, file := url+"/v1/images/one/data", s.path("one.img")
	headers, _ := expect("200", "-o", file, data)
	if raw, _ := os.ReadFile(file); string(raw) != content {
		t.Errorf("%d bytes, want %d", len(raw), len(content))
	}
	if etag := hex.EncodeToString(sum[:]); !strings.Contains(headers, `Etag: "`+etag) || !strings.Contains(headers, "Repr-Digest: sha-512=:") {
		t.Errorf("headers: %s", headers)
	}
	if headers, _ := expect("200", "-I", data); !strings.Contains(headers, fmt.Sprintf("Content-Length: %d", len(content))) {
		t.Errorf("HEAD: %s", headers)
	}
	if headers, body := expect("206", "-r", "5-9", data); body != content[5:10] || !strings.Contains(headers, fmt.Sprintf("bytes 5-9/%d", len(content))) {
		t.Errorf("range: %q %s", body, headers)
	}
	os.Truncate(file, 1<<20)
	expect("206", "-C", "-", "-o", file, data)
	if raw, _ := os.ReadFile(file); string(raw) != content {
		t.Errorf("resumed: %d bytes, want %d", len(raw), len(content))
	}
	tag := strings.TrimSpace(regexp.MustCompile(`(?m)^Etag: (.*)$`).FindStringSubmatch(headers)[1])
	expect("304", "-H", "If-None-Match: "+tag, data)
	expect("416", "-r", "99999999-", data)
	_, message := expect("200", url+"/v1/lists/"+"63175437-7d59-4851-b333-c96cb6545a86"+"/message")
	if string(s.pub.files["/list"]) != message {
		t.Error("the message is not the publisher's, byte for byte")
	}
	expect("200", url+"/openapi.json")
	expect("200", url+"/v1/status")
	expect("405", "-X", "DELETE", data)
	expect("403", "-X", "POST", url+"/v1/subscriptions/main/refresh")
	if headers, body := expect("200", url+"/"); !strings.Contains(headers, "Content-Security-Policy: default-src 'none'") || !strings.Contains(body, "No problems") {
		t.Errorf("the page: %s%s", headers, body)
	}
	if _, body := expect("200", url+"/metrics"); !strings.Contains(body, `vouch_subscription_state{state="ok",subscription="main"} 1`) {
		t.Errorf("metrics: %s", body)
	}
	if _, body := expect("200", url+"/events"); !strings.Contains(body, "image.available") {
		t.Errorf("the page of events: %s", body)
	}
	expect("404", url+"/nothing")
	s.expect(0, []string{"block", "--image", "one", "--reason", "CVE-2026-1"})
	if _, body := expect("410", data); !strings.Contains(body, `"reason":"blocked"`) || !strings.Contains(body, "CVE-2026-1") {
		t.Errorf("gone: %s", body)
	}
	d.stop(syscall.SIGTERM, 0)
}

// secret writes a file for the service alone.
func (s *site) secret(name, text string) string {
	s.T.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.T.Fatal(err)
	}
	return s.path(name)
}

const httpToken = "canary-0123456789abcdef"

// TestHTTP_Notify: an endorser removes an image and tells the site, which looks
// at once: the image is gone and the handler has been told within seconds.
func TestHTTP_Notify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.conf["http"] = object{"listen": "127.0.0.1:0", "token_file": s.secret("tokens", "alice "+httpToken+"\n")}
	told := s.path("told")
	s.handler("middleware", "echo \"$VOUCH_EVENT_TYPE\" >>"+told+"\n", object{"events": []string{"image.revoked"}})
	e := endorserIn(t, s.World)
	list := e.path("image.list")
	s.pub.hook("/list", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, list) })
	e.must("init", "--uri", s.pub.URL+"/list", "--title", "T", "--cert", e.path("cert.pem"))
	for _, id := range []string{"one", "two"} {
		e.write(id, []byte(id+"'s bytes"))
		e.must("add", e.path(id), "--identifier", id, "--uri", s.pub.put("/images/"+id, []byte(id+"'s bytes")), "--title", id, "--no-sbom", "test")
	}
	key := []string{"--cert", e.path("cert.pem"), "--key", e.path("key.pem"), "--no-fetch-back"}
	e.must(append([]string{"publish", list}, key...)...)
	d := s.daemon()
	s.here("one", true)
	s.here("two", true)

	refresh := d.url() + "/v1/subscriptions/main/refresh"
	e.write("token", []byte(httpToken))
	e.write("wrong", []byte("another-0123456789abcdef"))
	notify := func(url, token string) []string {
		return append(key, "--notify", url, "--notify-token-file", e.path(token))
	}
	if out := e.fails(2, append([]string{"publish"}, notify("http://192.0.2.1/v1/subscriptions/main/refresh", "token")...)...); !strings.Contains(out, "credentials over http") {
		t.Error(out)
	}
	if out := e.fails(3, append([]string{"publish"}, notify(refresh, "wrong")...)...); !strings.Contains(out, "could not be told") || !strings.Contains(out, "answers 401, it wants a token") {
		t.Error(out)
	}
	begun := time.Now()
	if out := e.must(append([]string{"remove", "one", "--reason", "leak", "--publish", list}, notify(refresh, "token")...)...); !strings.Contains(out, "the site is told\n") {
		t.Error(out)
	}
	published := time.Since(begun)
	s.here("one", false)
	withdrawn := time.Since(begun)
	waitUntil(t, "the handler", func() bool { raw, _ := os.ReadFile(told); return string(raw) == "image.revoked\n" })
	t.Logf("published and notified %v, withdrawn %v, handler told %v after the command began", published, withdrawn, time.Since(begun))
	if late := time.Since(begun); late > time.Minute {
		t.Errorf("%v from removal to handler", late)
	}
	if code, _, body := s.curl(d.url() + "/v1/images/one/data"); code != "410" || !strings.Contains(body, "removed") {
		t.Errorf("%s %s", code, body)
	}
	if s.endorsed("two") == "" {
		t.Error("the other image went as well")
	}
	if strings.Contains(d.log.String(), "canary") {
		t.Error("the log shows the token")
	}
	d.stop(syscall.SIGTERM, 0)
}

// TestHTTP_TLS: certificates by openssl, asked with curl; clients with and
// without one, and one that is revoked; what is wrong at start and at SIGHUP.
func TestHTTP_TLS(t *testing.T) {
	t.Parallel()
	requireTool(t, "openssl")
	s := newSite(t)
	s.publish(s.draft("1", picture{"one", "first", nil}))
	openssl := func(args ...string) {
		t.Helper()
		cmd := exec.Command("openssl", args...)
		cmd.Dir = s.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	ca, caKey := s.CA.WritePEM(s.dir, "ca")
	issue := func(name, subject, extension string) (cert, key string) {
		t.Helper()
		if err := os.WriteFile(s.path(name+".ext"), []byte("basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n"+extension), 0o600); err != nil {
			t.Fatal(err)
		}
		openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", subject)
		openssl("x509", "-req", "-in", name+".csr", "-CA", ca, "-CAkey", caKey, "-days", "30", "-out", name+".pem", "-extfile", name+".ext")
		os.Chmod(s.path(name+".key"), 0o600)
		return s.path(name + ".pem"), s.path(name + ".key")
	}
	cert, key := issue("host", "/DC=org/DC=example/CN=host", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth")
	mine, mineKey := issue("node", "/DC=org/DC=example/CN=node", "extendedKeyUsage=clientAuth")
	carol, carolKey := s.Carol.WritePEM(s.dir, "carol")
	conf := object{"listen": "127.0.0.1:0", "certificate_file": cert, "key_file": key, "clients": "require"}
	s.conf["http"] = conf

	os.Chmod(key, 0o644)
	s.expect(2, []string{"daemon"}, "key_file: .*host.key: others can read or change it", "hint: chmod 600")
	s.expect(2, []string{"config", "check"}, "vouch.*: http: key_file: .*host.key: others can read or change it .*; chmod 600")
	os.Chmod(key, 0o600)
	conf["certificate_file"] = s.path("none.pem")
	s.expect(2, []string{"daemon"}, "certificate_file: open .*none.pem: no such file", "hint: ")
	conf["certificate_file"] = cert
	s.expect(0, []string{"config", "check"}, "good: ")
	d := s.daemon()
	s.here("one", true)
	url := d.url()
	expect := func(want string, args ...string) {
		t.Helper()
		if code, _, body := s.curl(append(args, "--cacert", ca, url+"/v1/images/one/data")...); code != want || want == "200" && body != "first" {
			t.Errorf("%q: %s %q, want %s", args, code, body, want)
		}
	}
	expect("200", "--cert", mine, "--key", mineKey)
	expect("000")
	expect("000", "--cert", carol, "--key", carolKey)
	expect("000", "--cert", mine, "--key", mineKey, "--tls-max", "1.1")
	d.says("client refused")

	conf["listen"] = "192.0.2.1:1" // not ours: everything stays as it was
	s.writeConfig()
	d.Process.Signal(syscall.SIGHUP)
	d.says("configuration not reloaded, the old one stays")
	d.says(` hint="`)
	expect("200", "--cert", mine, "--key", mineKey)
	conf["listen"], conf["clients"] = "localhost:0", "none"
	s.writeConfig()
	d.Process.Signal(syscall.SIGHUP)
	waitUntil(t, "another address", func() bool { return d.url() != url })
	url = d.url()
	expect("200")
	taken := strings.TrimPrefix(url, "https://")
	d2 := newSite(t)
	d2.conf["http"] = object{"listen": taken}
	d2.expect(2, []string{"daemon"}, "http: listen "+taken+": the address is in use", "hint: .*ss -ltnp")
	if _, err := os.Lstat(d2.path("state", "control.sock")); err == nil {
		t.Error("a daemon that did not start left its socket")
	}
	d.stop(syscall.SIGTERM, 0)
}

// TestHTTP_EventsOverRestart: a client that comes back with the last id it had
// misses nothing of what happened while the daemon was away.
func TestHTTP_EventsOverRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(s.draft("1", picture{"one", "first", nil}))
	var ids []string
	for _, kill := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		d := s.daemon()
		s.here("one", true)
		waitUntil(t, "a pass", func() bool { code, _, _ := s.curl(d.url() + "/readyz"); return code == "200" })
		args := []string{"-sSN", d.url() + "/v1/events?since=2020-01-01T00:00:00Z"}
		if len(ids) > 0 {
			args = []string{"-sSN", d.url() + "/v1/events", "-H", "Last-Event-ID: " + ids[len(ids)-1]}
		}
		var body journal
		listens := exec.Command(requireTool(t, "curl"), args...)
		listens.Stdout = &body
		if err := listens.Start(); err != nil {
			t.Fatal(err)
		}
		all := s.events()
		waitUntil(t, "the last event", func() bool { return strings.Contains(body.String(), "id: "+all[len(all)-1].ID+"\n") })
		listens.Process.Kill()
		listens.Wait()
		for _, m := range regexp.MustCompile(`(?m)^id: (.*)\n`).FindAllStringSubmatch(body.String(), -1) {
			ids = append(ids, m[1])
		}
		d.stop(kill, map[syscall.Signal]int{syscall.SIGTERM: 0, syscall.SIGKILL: -1}[kill])
		s.expect(0, []string{"sync"}) // happens while nobody listens
	}
	for i, e := range s.events() {
		if i >= len(ids) {
			break // after the last stream
		}
		if e.ID != ids[i] {
			t.Fatalf("event %d: %s, heard %s", i, e.ID, ids[i])
		}
	}
	if len(ids) < 5 {
		t.Errorf("only %d events", len(ids))
	}
}

// TestHTTP_Sendfile: an image goes from the page cache to the socket without
// coming through the daemon.
func TestHTTP_Sendfile(t *testing.T) {
	t.Parallel()
	strace := requireTool(t, "strace")
	s := newSite(t)
	content := strings.Repeat("an image, byte for byte. ", 400000)
	s.publish(s.draft("1", picture{"one", content, nil}))
	d := s.daemon()
	s.here("one", true)
	data := d.url() + "/v1/images/one/data"
	for _, first := range []bool{true, false} { // hashed beside, and known
		trace := exec.Command(strace, "-f", "-qq", "-e", "trace=sendfile,write,read", "-o", s.path("trace"), "-p", fmt.Sprint(d.Process.Pid))
		if err := trace.Start(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "strace", func() bool { // which takes one thread after the other
			threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.Process.Pid))
			for _, thread := range threads {
				if raw, err := os.ReadFile(thread); err == nil && !strings.Contains(string(raw), fmt.Sprintf("TracerPid:\t%d\n", trace.Process.Pid)) {
					return false
				}
			}
			return len(threads) > 0
		})
		if code, _, body := s.curl(data); code != "200" || body != content {
			t.Errorf("%s, %d bytes", code, len(body))
		}
		trace.Process.Signal(syscall.SIGINT)
		trace.Wait()
		raw, err := os.ReadFile(s.path("trace"))
		if err != nil {
			t.Fatal(err)
		}
		sent, calls := 0, 0
		for _, m := range regexp.MustCompile(`sendfile.*= (\d+)\n`).FindAllStringSubmatch(string(raw), -1) {
			n := 0
			fmt.Sscan(m[1], &n)
			sent, calls = sent+n, calls+1
		}
		if sent < len(content)-1024 {
			t.Errorf("first %v: sendfile has sent %d of %d bytes\n%.2000s", first, sent, len(content), raw)
		}
		t.Logf("first %v: %d bytes in %d calls of sendfile", first, sent, calls)
	}
}

// TestT28_HTTPCorrupt: bytes that rot in the cache are not served; the daemon
// hears of it from its own server, and heals, whatever else it downloads.
func TestT28_HTTPCorrupt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	content := strings.Repeat("an image, byte for byte. ", 40000)
	s.pub.hook("/images/hung", slow("never all of it", nil))
	s.publish(s.draft("1", picture{"one", content, nil}).Image("hung", []byte("never all of it"), s.pub.URL+"/images/hung"))
	d := s.daemon()
	s.here("one", true)
	data := d.url() + "/v1/images/one/data"
	waitUntil(t, "the image", func() bool { // its name comes before the catalogue
		code, _, body := s.curl(data)
		return code == "200" && body == content
	})
	blob := s.path("cache", s.index().Images[0].Blob)
	if err := os.Chmod(blob, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(blob, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("X"), 500000)
	f.Close()
	begun := time.Now()
	waitUntil(t, "healed", func() bool {
		code, _, body := s.curl(data)
		if body != content && code == "200" {
			t.Fatalf("%d other bytes", len(body))
		}
		return code == "200" && strings.Contains(d.log.String(), "an image was found corrupt")
	})
	t.Logf("healed after %v", time.Since(begun))
	d.stop(syscall.SIGTERM, 0)
}
