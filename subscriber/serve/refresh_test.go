package serve

import (
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
)

const refreshMain = "POST /v1/subscriptions/main/refresh"

// Whoever has a token of the file may ask; nobody else, and nobody else's words
// get into the daemon.
func TestRefresh_Tokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) {
		s.conf.TokenFile = s.write("tokens", "# tokens\n\nalice "+token+"\nanother-token-canary-2\n", 0o600)
	})
	bearer := func(text string) string { return "Authorization: " + text }
	for _, wrong := range []string{"Bearer", "Bearer ", "Bearer alice", "Bearer " + token + "x", "Basic " + token, token, "Bearer #", "Bearer tokens", "Bearer alice " + token} {
		if r := s.want(401, refreshMain, bearer(wrong)); r.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: no WWW-Authenticate", wrong)
		}
	}
	s.want(202, refreshMain, bearer("bearer "+token))
	if name := <-s.refresh; name != "main" {
		t.Errorf("asked for %q", name)
	}
	s.server.limits.take("main", time.Now().Add(time.Hour)) // so that no wait is long enough
	if r := s.want(429, refreshMain, bearer("Bearer another-token-canary-2")); r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.want(404, "POST /v1/subscriptions/..%2fmain/refresh", bearer("Bearer "+token))
	s.want(404, "POST /v1/subscriptions/nobody/refresh", bearer("Bearer "+token))
	if len(s.refresh) != 0 {
		t.Errorf("asked for %q", <-s.refresh)
	}
	s.write("tokens", "new-token-canary-3333\n", 0o600) // at once, without a reload
	s.want(401, refreshMain, bearer("Bearer "+token))
	s.want(429, refreshMain, bearer("Bearer new-token-canary-3333"))
	s.write("tokens", "new-token-canary-3333\n", 0o644)
	s.want(503, refreshMain, bearer("Bearer new-token-canary-3333"))
	if !strings.Contains(s.log.String(), "others can read or change it") {
		t.Error("the log says nothing")
	}
	os.Remove(s.conf.TokenFile)
	s.want(503, refreshMain, bearer("Bearer new-token-canary-3333"))
}

// A token that everybody on the way could read is none (T-29).
func TestT29_TokenOverPlainHTTP(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.conf.TokenFile = s.write("tokens", token, 0o600) })
	for remote, want := range map[string]int{"192.0.2.7:999": 403, "[2001:db8::1]:999": 403, "127.0.0.2:999": 202, "nonsense": 403} {
		r := httptest.NewRequest("POST", "/v1/subscriptions/main/refresh", nil)
		r.RemoteAddr = remote
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.server.http.Handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("from %s: %d %s", remote, w.Code, w.Body)
		}
	}
}

// Files of secrets that are no secrets, or hold none, are said before anything
// begins, and nothing of them is shown.
func TestConfigure_Secrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, c := range map[string]struct{ file, says string }{
		"others read": {s.write("open", token, 0o644), "others can read or change it"},
		"short":       {s.write("short", "canary\n", 0o600), "short:1: no token"},
		"three words": {s.write("three", "# a\nthe canary canary-canary-canary\n", 0o600), "three:2: no token"},
		"empty":       {s.write("none", "# canary\n\n", 0o600), "no token in it"},
		"large":       {s.write("large", strings.Repeat("canary", 1<<18), 0o600), "larger than"},
		"missing":     {filepath.Join(s.conf.StateDir, "none"), "no such file"},
	} {
		conf := s.conf
		conf.TokenFile = c.file
		err := s.server.Configure(conf)
		var hint interface{ Hint() string }
		if !errors.As(err, &hint) || hint.Hint() == "" || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.want(200, "/healthz")
	s.want(403, refreshMain, "Authorization: Bearer "+token) // the old configuration stands
}

// No more than the limits, whoever asks; and each subscription has its own.
func TestRefresh_Limits(t *testing.T) {
	t.Parallel()
	var l limits
	now := time.Now()
	if wait := l.take("a", now); wait != 0 {
		t.Errorf("the first waits %v", wait)
	}
	if wait := l.take("a", now); wait <= 9*time.Second || wait > refreshEvery {
		t.Errorf("the second waits %v", wait)
	}
	if wait := l.take("a", now.Add(refreshEvery)); wait != 0 {
		t.Errorf("after the time: %v", wait)
	}
	taken := 0
	for i := range 100 {
		if l.take(strings.Repeat("x", i+1), now.Add(refreshEvery)) == 0 {
			taken++
		}
	}
	if taken < refreshBurst-2 || taken > refreshBurst {
		t.Errorf("%d at once, want about %d", taken, refreshBurst)
	}
}

// Addresses that cannot be listened on are said with what to do; the one that
// is listened on stays.
func TestConfigure_Listen(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.conf.Listen = listtest.FreeAddress(t) })
	taken, err := net.Listen("tcp", listtest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	old := s.url
	for listen, says := range map[string]string{taken.Addr().String(): "address is in use", "192.0.2.1:80": "no such address", "nonsense": "missing port"} {
		conf := s.conf
		conf.Listen = listen
		err := s.server.Configure(conf)
		if hint, ok := errors.AsType[*hintError](err); !ok || !strings.Contains(err.Error(), says) || hint.Hint() == "" {
			t.Errorf("%s: %v", listen, err)
		}
		s.want(200, "/healthz")
	}
	taken.Close()
	s.conf.Listen = taken.Addr().String()
	s.configure()
	if s.url != "http://"+taken.Addr().String() {
		t.Errorf("listens on %s", s.url)
	}
	s.want(200, "/healthz")
	if c, err := net.Dial("tcp", strings.TrimPrefix(old, "http://")); err == nil {
		c.Close()
		t.Error("the old address is still open")
	}
	for _, off := range []string{"off", ""} {
		s.conf.Listen = off
		s.configure()
		if s.url != "" {
			t.Errorf("off: %s", s.url)
		}
	}
}
