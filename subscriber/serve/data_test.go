package serve

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// large is more than is held back, and does not compress.
var large = func() string {
	b := make([]byte, 3<<20+17)
	rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}()

func withLarge(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.Publish("1", subscribertest.Image{ID: "one", Content: large}, subscribertest.Image{ID: "small", Content: "small"})
	s.pass()
	return s
}

// tamper changes a blob as only its owner can, and hides it as far as one can.
func tamper(t *testing.T, path string, at int64, hide bool) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	f.ReadAt(b, at)
	b[0] ^= 1
	f.WriteAt(b, at)
	f.Close()
	os.Chmod(path, 0o444)
	if hide {
		os.Chtimes(path, info.ModTime(), info.ModTime())
	}
}

// What is whole is right: a request for an image whose bytes were changed in
// the cache ends in an error, whatever was changed, before or after the server
// had looked at it; the daemon is told.
func TestT27_ChangedBytes(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]int64{"first": 0, "middle": int64(len(large)) / 2, "last": int64(len(large)) - 1} {
		for _, known := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := withLarge(t)
				if known {
					if r := s.want(200, "/v1/images/one/data"); r.body != large {
						t.Fatal("other bytes")
					}
				}
				tamper(t, s.blob("one"), at, true)
				for _, headers := range [][]string{nil, {"Range: bytes=-1"}, {"Range: bytes=5-2000000"}} {
					if r := s.ask("/v1/images/one/data", headers...); r.Response != nil && r.StatusCode < 300 && r.err == nil {
						t.Errorf("%q: %d, %d bytes, and a clean end", headers, r.StatusCode, len(r.body))
					}
				}
				select {
				case d := <-s.doubts:
					if d != cache.Digest(sha512.Sum512([]byte(large))) {
						t.Errorf("doubt of %v", d)
					}
				case <-time.After(time.Minute):
					t.Error("the daemon was not told")
				}
				s.want(503, "/v1/images/one/data")
				if r := s.want(200, "/v1/images/small/data"); r.body != "small" {
					t.Error("another image suffers")
				}
				rep, err := subscriber.CheckCache(t.Context(), s.Config, subscriber.Options{})
				if err != nil || len(rep.Corrupt) != 1 {
					t.Fatalf("%+v, %v", rep, err)
				}
				s.pass()
				if r := s.want(200, "/v1/images/one/data"); r.body != large {
					t.Error("other bytes after the repair")
				}
			})
		}
	}
}

// The clock of a file system moves in steps, of 10 ms before Linux 6.13: bytes
// that change within the step in which they were judged look as they did, so a
// judgement takes longer than a step.
func TestT27_LongerThanATick(t *testing.T) {
	t.Parallel()
	s := withLarge(t)
	i, _ := s.server.look().find("small", "")
	f, stamp, err := s.server.openBlob(i)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	begun := time.Now()
	v := s.server.judge.of(i, stamp)
	<-v.done
	if took := time.Since(begun); v.err != nil || took < 10*time.Millisecond {
		t.Errorf("%v, after %v", v.err, took)
	}
}

// Bytes that change while they are sent: no clean end, although they were right
// when the server looked.
func TestT27_ChangedWhileSending(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	huge := strings.Repeat(large, 8) // more than two kernels keep
	s.Publish("1", subscribertest.Image{ID: "one", Content: huge})
	s.pass()
	s.want(200, "/v1/images/one/data") // judged
	body := holdUp(t, s, "/v1/images/one/data")
	tamper(t, s.blob("one"), int64(len(huge))-100, true)
	if n, err := io.Copy(io.Discard, body); err == nil {
		t.Errorf("%d bytes and a clean end", n)
	}
}

// holdUp is a request on a connection with so little room that the answer
// cannot be under way as a whole.
func holdUp(t *testing.T, s *site, path string) io.Reader {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	transport := &http.Transport{DialContext: d.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport}).Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 {
		t.Fatalf("%+v", response)
	}
	return response.Body
}

// An image that is withdrawn while it is sent does not end cleanly either.
func TestData_WithdrawnWhileSending(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	huge := strings.Repeat(large, 8) // more than two kernels keep
	s.Publish("1", subscribertest.Image{ID: "one", Content: huge})
	s.pass()
	body := holdUp(t, s, "/v1/images/one/data")
	s.Config.Blocks = []subscriber.Block{{Image: "one", Reason: "CVE-2026-1"}}
	s.pass()
	if n, err := io.Copy(io.Discard, body); err == nil {
		t.Errorf("%d bytes and a clean end", n)
	}
	s.want(410, "/v1/images/one/data")
}

// Another name for the same bytes moves their ctime and is no change.
func TestData_AnotherNameMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	huge := strings.Repeat(large, 8)
	s.Publish("1", subscribertest.Image{ID: "one", Content: huge})
	s.pass()
	body := holdUp(t, s, "/v1/images/one/data")
	if err := os.Link(s.blob("one"), s.write("second", "", 0o600)+"-name"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); err != nil || n != int64(len(huge)) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// So does a blob that gets another name before it is hashed: nothing is wrong
// with it.
func TestData_AnotherNameBefore(t *testing.T) {
	t.Parallel()
	s := withLarge(t)
	second := s.write("second", "", 0o600) + "-name"
	blob := s.blob("one")
	time.AfterFunc(tick/2, func() { os.Link(blob, second) })
	if r := s.want(200, "/v1/images/one/data"); r.body != large {
		t.Errorf("%d bytes", len(r.body))
	}
}

// What a pass has seen since it was last touched is not hashed again; what was
// touched since is.
func TestT27_WhatAPassHasSeen(t *testing.T) {
	t.Parallel()
	s := withLarge(t)
	i, p := s.server.look().find("one", "")
	if p != nil {
		t.Fatal(p)
	}
	f, stamp, err := s.server.openBlob(i)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	now := *s.server.look()
	for _, c := range []struct {
		inspected time.Time
		trusted   bool
	}{
		{time.Time{}, false},
		{time.Unix(0, stamp.Ctime).Add(granule - time.Millisecond), false},
		{time.Now().Add(2 * granule), false}, // a clock that was ahead
	} {
		now.inspected = c.inspected
		s.server.view.now.Store(&now)
		if have := s.server.judge.of(i, stamp) == sound; have != c.trusted {
			t.Errorf("inspected %v: trusted %v", c.inspected, have)
		}
	}
	stamp.Ctime = time.Now().Add(-2 * granule).UnixNano()
	now.inspected = time.Now()
	s.server.view.now.Store(&now)
	if s.server.judge.of(i, stamp) != sound {
		t.Error("an old blob is hashed")
	}
	at := s.At.Add(time.Minute)
	s.SyncAt(at)
	if inspected := s.server.look().inspected; !inspected.Equal(at) {
		t.Errorf("inspected %v", inspected)
	}
	// A small operation inspects nothing, and says nothing of the kind.
	before := s.server.look()
	if _, err := subscriber.Deliver(t.Context(), s.Config, subscriber.Options{At: at.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	if after := s.server.look(); !after.inspected.Equal(before.inspected) || !after.passed.After(before.passed) {
		t.Errorf("after a delivery: inspected %v, before %v", after.inspected, before.inspected)
	}
}

// T-22, T-26: no name leads out of the cache, and what is not a regular file of
// the signed size is not served.
func TestT26_WhatStandsThere(t *testing.T) {
	t.Parallel()
	s := withLarge(t)
	blob := s.blob("one")
	secret := s.write("secret", large, 0o600)
	for name, put := range map[string]func() error{
		"a link out":    func() error { return os.Symlink(secret, blob) },
		"a link inside": func() error { return os.Symlink(s.blob("small"), blob) },
		"a pipe":        func() error { return syscall.Mkfifo(blob, 0o644) },
		"a directory":   func() error { return os.Mkdir(blob, 0o755) },
		"too short":     func() error { return os.WriteFile(blob, []byte(large[1:]), 0o444) },
		"nothing":       func() error { return nil },
	} {
		if err := os.RemoveAll(blob); err != nil {
			t.Fatal(err)
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if r := s.want(503, "/v1/images/one/data"); strings.Contains(r.body, large[:100]) {
			t.Errorf("%s: served", name)
		}
	}
	for _, path := range []string{"/v1/images/..%2f..%2fsecret/data", "/v1/lists/..%2f.vouch/message", "/v1/images/%00/data", "/v1/images/one%2f..%2fsmall/data", "/v1/lists/%2e%2e%2findex.json/message"} {
		s.want(404, path)
	}
	for path, there := range map[string]string{
		"/v1/images/../../secret": "/secret", "//v1/images?os=linux": "/v1/images?os=linux", "/v1/images/one/../../status": "/v1/status", "//evil.example/": "/evil.example/", "/./": "/",
	} {
		r := s.want(307, path)
		if r.Header.Get("Location") != there || r.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(r.body, "urn:vouch:problem:path") {
			t.Errorf("%s: %+v %s", path, r.Header, r.body)
		}
	}
}

// What is under way when the service stops is told so, not that its image is
// broken.
func TestData_Stopping(t *testing.T) {
	t.Parallel()
	s := withLarge(t)
	s.server.stop() // as Close begins
	for _, path := range []string{"/v1/images/one/data", "/v1/events"} {
		if r := s.want(503, path); !strings.Contains(r.body, "urn:vouch:problem:stopping") || r.Header.Get("Retry-After") != "10" {
			t.Errorf("%s: %+v %.300q", path, r.Header, r.body)
		}
	}
	if len(s.doubts) != 0 || strings.Contains(s.log.String(), "not served") {
		t.Errorf("a doubt:\n%s", s.log)
	}
}

// The headers that middleware relies on.
func TestData_Headers(t *testing.T) {
	t.Parallel()
	s := withLarge(t)
	r := s.want(200, "/v1/images/one/data")
	sum := sha512.Sum512([]byte(large))
	for name, want := range map[string]string{
		"ETag": `"` + cache.Digest(sum).String() + `"`, "Repr-Digest": "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
		"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff",
		"Content-Disposition": `attachment; filename="one.img"`, "Content-Encoding": "",
	} {
		if have := r.Header.Get(name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	if r.body != large || r.ContentLength != int64(len(large)) {
		t.Errorf("%d bytes", len(r.body))
	}
	for _, c := range []struct {
		status  int
		headers []string
		body    string
	}{
		{206, []string{"Range: bytes=10-19"}, large[10:20]},
		{206, []string{"Range: bytes=-5"}, large[len(large)-5:]},
		{206, []string{"Range: bytes=3000000-"}, large[3000000:]},
		{206, []string{"Range: bytes=1-2", "If-Range: " + r.Header.Get("ETag")}, large[1:3]},
		{200, []string{"Range: bytes=1-2", `If-Range: "other"`}, large},
		{200, []string{"Range: bytes=1-2", "Range: bytes=3-4"}, large},
		{200, []string{"Range: bytes=1-2,5-6"}, large},
		{200, []string{"Range: bytes=" + strings.Repeat("1-2,", 100) + "5-6"}, large},
		{200, []string{"Range: chapters=1-2"}, large},
		{304, []string{"If-None-Match: " + r.Header.Get("ETag")}, ""},
		{200, []string{"Accept-Encoding: gzip"}, large},
	} {
		if r := s.want(c.status, "/v1/images/one/data", c.headers...); r.body != c.body {
			t.Errorf("%.80q: %d bytes, want %d", c.headers, len(r.body), len(c.body))
		}
	}
}

// A client that takes nothing is left; the others go on.
func TestT06_ClientThatStands(t *testing.T) {
	t.Parallel()
	first, left := "", make(chan struct{})
	s := newSite(t, func(s *site) {
		s.server.pace = 3 * time.Second
		s.server.http.ConnState = func(c net.Conn, state http.ConnState) { // called for the first alone before there is another
			switch {
			case state == http.StateNew && first == "":
				first = c.RemoteAddr().String()
			case state == http.StateClosed && c.RemoteAddr().String() == first:
				close(left)
			}
		}
	})
	huge := strings.Repeat(large, 8)
	s.Publish("1", subscribertest.Image{ID: "one", Content: huge})
	s.pass()
	body := holdUp(t, s, "/v1/images/one/data")
	if r := s.want(200, "/v1/images/one/data"); len(r.body) != len(huge) {
		t.Errorf("%d bytes", len(r.body))
	}
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Error("it is waited for")
	}
	if _, err := io.Copy(io.Discard, body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it got everything: %v", err)
	}
}
