package main_test

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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
	d.says(`HTTP interface" address=`, 10*time.Second)
	all := addressLine.FindAllStringSubmatch(d.log.String(), -1)
	return all[len(all)-1][1]
}

// curl asks with the real curl, and returns the status, the headers and the body.
func (s *site) curl(args ...string) (code, headers, body string) {
	s.T.Helper()
	cmd := exec.Command(requireTool(s.T, "curl"), append([]string{"-sS", "--max-time", "20", "-D", s.path("headers"), "-w", "\n%{http_code}"}, args...)...)
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
	s.here("one", true, 30*time.Second)
	s.here("two", true, 30*time.Second)
	waitUntil(t, "ready", 20*time.Second, func() bool { code, _, _ := s.curl(url + "/readyz"); return code == "200" })
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
