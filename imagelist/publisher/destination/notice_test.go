package destination

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// T-29: a notice takes a token over https and on this machine only, follows
// nobody, and shows neither the token nor the address.
func TestT29_Notice(t *testing.T) {
	token := write(t, t.TempDir()+"/token", "canary-token\n")
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		switch r.URL.Path {
		case "/good":
			w.WriteHeader(202)
		case "/often":
			w.WriteHeader(429)
		case "/away":
			http.Redirect(w, r, "/good", http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(401)
		}
	}))
	defer s.Close()
	for path, want := range map[string]string{"/good": "", "/often": "", "/away": "answers 307", "/none?q=canary": "answers 401, it wants a token"} {
		n, err := NewNotice(s.URL+path, Options{TokenFile: token, UsernameFile: "/nonexistent"})
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		err = n.Send(context.Background())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: %v", path, err)
		}
		if path, _, _ := strings.Cut(path, "?"); len(asked) != 1 || asked[0] != "POST "+path+" Bearer canary-token" {
			t.Errorf("%s: asked %q", path, asked)
		}
	}
	for address, want := range map[string]string{
		"http://host.example/x": "credentials over http", "ftp://host.example/x": "not an http or https URL", "https://": "not an http or https URL",
		"https://a:canary@host.example/x": "user information", "::": "not an http or https URL",
	} {
		if _, err := NewNotice(address, Options{TokenFile: token}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := NewNotice("https://host.example/x", Options{TokenFile: write(t, t.TempDir()+"/two", "canary\ncanary")}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("two lines: %v", err)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	if n, err := NewNotice(secure.URL, Options{}); err != nil {
		t.Error(err)
	} else if err := n.Send(context.Background()); err == nil || !strings.Contains(err.Error(), "--roots") {
		t.Errorf("a CA that nobody knows: %v", err)
	}
	n, err := NewNotice("http://127.0.0.1:1/canary", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Send(context.Background()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("nobody there: %v", err)
	}
}

// A site that wants a certificate says so, and the option is named.
func TestNotice_CertificateRequired(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	n, err := NewNotice(s.URL, Options{RootsFile: write(t, t.TempDir()+"/roots", string(roots))})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Send(context.Background()); err == nil || !strings.Contains(err.Error(), "certificate required: --client-cert") {
		t.Error(err)
	}
}
