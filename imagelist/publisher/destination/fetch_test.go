package destination

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFetch(t *testing.T) {
	ctx := context.Background()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	mux.HandleFunc("/list", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Accept-Encoding") != "identity" {
			w.WriteHeader(400)
		}
		io.WriteString(w, "the list")
	})
	mux.Handle("/once", http.RedirectHandler("/list", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/secret", http.RedirectHandler("http://a:canary@127.0.0.1/", http.StatusFound))
	for _, path := range []string{"/list", "/once"} {
		if b, err := Fetch(ctx, s.URL+path, 8, Options{TokenFile: "/nonexistent"}); err != nil || string(b) != "the list" {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	for address, want := range map[string]string{
		s.URL + "/none?q=canary": "404", s.URL + "/loop": "too many redirects", s.URL + "/secret": "user information",
		"http://a:canary@127.0.0.1/": "user information", "file:///etc/passwd": "not a http", "::": "not a http",
		"http://127.0.0.1:1/": "refused",
	} {
		if _, err := Fetch(ctx, address, 8, Options{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := Fetch(ctx, s.URL+"/list", 7, Options{}); err == nil || !strings.Contains(err.Error(), "longer than 7") {
		t.Errorf("too long: %v", err)
	}
}

// T-31: no certificate that the system or RootsFile does not know, no TLS
// below 1.2, no way from https to http; a client certificate is shown.
func TestT31_TLS(t *testing.T) {
	ctx := context.Background()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/down":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		case r.URL.Path == "/me" && len(r.TLS.PeerCertificates) == 0:
			w.WriteHeader(401)
		default:
			io.WriteString(w, "ok")
		}
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "0a1b2c3d.0"), bundle)
	write(t, filepath.Join(dir, "0a1b2c3d.r0"), "a CRL")
	for _, roots := range []string{dir, write(t, t.TempDir()+"/bundle.pem", bundle)} {
		if b, err := Fetch(ctx, s.URL, 8, Options{RootsFile: roots}); err != nil || string(b) != "ok" {
			t.Errorf("with roots: %v", err)
		}
	}
	var h interface{ Hint() string }
	if _, err := Fetch(ctx, s.URL, 8, Options{}); !errors.As(err, &h) || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without roots: %v", err)
	}
	if _, err := Fetch(ctx, s.URL+"/down", 8, Options{RootsFile: dir}); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("downgrade: %v", err)
	}
	d := open(t, s.URL+"/me", Options{RootsFile: dir, ClientCert: &s.TLS.Certificates[0]})
	if live := mustRead(t, d); live == nil {
		t.Error("no client certificate was shown")
	}
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if _, err := Fetch(ctx, s.URL, 8, Options{RootsFile: dir}); err != nil {
		t.Errorf("T-32: the environment chose a proxy: %v", err)
	}
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = nil
	old.StartTLS()
	defer old.Close()
	if _, err := Fetch(ctx, old.URL, 8, Options{RootsFile: dir}); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	if os.Getenv("HTTPS_PROXY") == "" {
		t.Error("the test sets no proxy")
	}
}

// A token goes as a bearer to the destination.
func TestWeb_Token(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer abc" {
			w.WriteHeader(401)
		}
	}))
	defer s.Close()
	mustRead(t, open(t, s.URL+"/l", Options{TokenFile: write(t, t.TempDir()+"/token", "abc\n")}))
}
