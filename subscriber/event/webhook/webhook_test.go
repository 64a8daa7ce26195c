package webhook

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/subscriber/event"
)

const state = "8e6f2b1c-3c0e-4d0e-9f0a-000000000001"

func sample(t *testing.T) event.Event {
	t.Helper()
	e, err := event.New(state, 42, event.ImageAvailable, "a", time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), event.ImageData{Image: event.Image{Identifier: "a", Title: "é \u202e <&>"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func write(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func encode(secret string) string { return base64.StdEncoding.EncodeToString([]byte(secret)) }

const first, second = "the first secret, 24 bytes", "the second secret, 24 bytes"

// request is one that the server got.
type request struct {
	http.Header
	body []byte
}

// deliver sends the sample to a server that answers so.
func deliver(t *testing.T, c Config, answer http.HandlerFunc) (got []request, err error) {
	t.Helper()
	return deliverWithin(t, t.Context(), c, answer)
}

func deliverWithin(t *testing.T, ctx context.Context, c Config, answer http.HandlerFunc) (got []request, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, request{r.Header, body})
		answer(w, r)
	}))
	defer server.Close()
	c.URL = server.URL + "/canary-path?canary-query=1"
	s := New(c)
	defer s.Close()
	err = s.Send(ctx, sample(t))
	return got, err
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.Header().Set("Location", "/canary-elsewhere")
		w.WriteHeader(code)
		io.WriteString(w, "canary-answer")
	}
}

// The request is CloudEvents' structured mode, and openssl agrees with both
// signatures of what was sent.
func TestSend_SignedAsOpenSSLSays(t *testing.T) {
	begun := time.Now().Truncate(time.Second)
	file := write(t, 0o640, "# rotated in November\nwhsec_"+encode(first)+"\n\n"+encode(second)+"\n")
	got, err := deliver(t, Config{SecretFile: file}, status(202))
	if err != nil || len(got) != 1 {
		t.Fatalf("%v %v", got, err)
	}
	e, r := sample(t), got[0]
	line, _ := e.Line()
	if !bytes.Equal(r.body, line) || r.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" || r.Get("Webhook-Id") != e.ID || r.Get("User-Agent") != "vouch" {
		t.Errorf("request %q with %s", r.Header, r.body)
	}
	if sent, err := strconv.ParseInt(r.Get("Webhook-Timestamp"), 10, 64); err != nil || time.Unix(sent, 0).Before(begun) || time.Unix(sent, 0).After(time.Now()) {
		t.Errorf("timestamp %q", r.Get("Webhook-Timestamp"))
	}
	signed := e.ID + "." + r.Get("Webhook-Timestamp") + "." + string(r.body)
	if want := "v1," + openssl(t, first, signed) + " v1," + openssl(t, second, signed); r.Get("Webhook-Signature") != want {
		t.Errorf("signature %q, openssl says %q", r.Get("Webhook-Signature"), want)
	}
}

func openssl(t *testing.T, secret, text string) string {
	t.Helper()
	cmd := exec.Command("openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString([]byte(secret)), "-binary")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skip("openssl is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(out)
}

// What each answer means, and that nothing of the server's words or of the URL
// is in an error.
func TestT30_Statuses(t *testing.T) {
	for code, want := range map[int]string{
		200: "", 204: "", 299: "",
		301: "unavailable", 302: "unavailable", 307: "unavailable",
		401: "unavailable", 403: "unavailable", 404: "unavailable", 408: "unavailable", 410: "unavailable", 425: "unavailable", 429: "unavailable",
		400: "event", 409: "event", 413: "event", 422: "event",
		500: "unavailable", 502: "unavailable", 503: "unavailable", 599: "unavailable", 999: "unavailable",
	} {
		got, err := deliver(t, Config{}, status(code))
		have, u := "", (*event.Unavailable)(nil)
		switch {
		case errors.As(err, &u) && errors.Is(err, event.ErrUnreachable):
			have = "unavailable"
		case err != nil && !errors.Is(err, event.ErrUnreachable):
			have = "event"
		}
		if have != want || len(got) != 1 {
			t.Errorf("%d: %v (%s), want %s; %d requests", code, err, have, want, len(got))
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), strconv.Itoa(code))) {
			t.Errorf("%d: error %v", code, err)
		}
		if code >= 400 && u != nil && u.After != 2*time.Minute {
			t.Errorf("%d: after %v", code, u.After)
		}
		if got[0].Get("Webhook-Signature") != "" {
			t.Errorf("signed without a secret")
		}
	}
}

// A server that never answers may be there; one that is not is not.
func TestSend_NoAnswer(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := deliverWithin(t, ctx, Config{}, func(_ http.ResponseWriter, r *http.Request) {
		cancel(errors.New("timed out after 2s"))
		<-r.Context().Done()
	})
	var u *event.Unavailable
	if !errors.As(err, &u) || err.Error() != "no answer: timed out after 2s" {
		t.Errorf("hangs: %v", err)
	}
	err = New(Config{URL: "http://" + listtest.FreeAddress(t) + "/canary"}).Send(t.Context(), sample(t))
	if !errors.Is(err, event.ErrUnreachable) || errors.As(err, &u) || err.Error() != "unreachable: connection refused" {
		t.Errorf("nobody there: %v", err)
	}
}

// Who may vouch for the server: ca_file alone, when there is one.
func TestSend_Certificates(t *testing.T) {
	server := httptest.NewTLSServer(status(200))
	defer server.Close()
	ours := write(t, 0o644, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	for file, want := range map[string]string{
		ours:                           "",
		"":                             "unreachable: tls: certificate: ",
		write(t, 0o644, "no PEM"):      "no certificate in it",
		filepath.Join(ours, "missing"): "ca_file: ",
	} {
		err := New(Config{URL: server.URL, CAFile: file}).Send(t.Context(), sample(t))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, event.ErrUnreachable)) {
			t.Errorf("ca_file %q: %v, want %q", file, err, want)
		}
	}
	for _, tls := range []string{"anchors", "both"} { // fetch.tls, without a ca_file
		s := New(Config{URL: server.URL, TLS: tls})
		if err := s.Send(t.Context(), sample(t)); err == nil || !errors.Is(err, event.ErrUnreachable) {
			t.Errorf("tls %s without anchors: %v", tls, err)
		}
		s.Close()
		s.Trust([]*x509.Certificate{server.Certificate()})
		if err := s.Send(t.Context(), sample(t)); err != nil {
			t.Errorf("tls %s: %v", tls, err)
		}
		s.Close()
	}
}

// T-29: what a secret file may look like, and that errors never show it.
func TestT29_SecretFile(t *testing.T) {
	good := "whsec_" + encode(first)
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{good, 0o600, ""}, {good + "\r\n", 0o440, ""}, {encode(first), 0o640, ""},
		{good, 0o604, "others can read or change it (mode 0604)"},
		{"", 0o600, "holds no secret"}, {"# " + good, 0o600, "holds no secret"},
		{"canary in plain text", 0o600, "line 1: not the base64 of 24 to 64 bytes"},
		{"\nwhsec_" + encode("canary"), 0o600, "line 2: not the base64"},
		{"whsec_" + encode(strings.Repeat("canary", 11)), 0o600, "line 1: not the base64"},
		{good + "\n" + good + "\n" + good, 0o600, "more than 2 secrets"},
		{strings.Repeat("#", 5000), 0o600, "larger than 4096 bytes"},
	} {
		file := write(t, c.mode, c.text)
		err := New(Config{URL: "http://127.0.0.1/", SecretFile: file}).Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q %o: %v, want %q", c.text, c.mode, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), encode(first))) {
			t.Errorf("shown: %v", err)
		}
	}
}

// A new secret counts after Close: in the next run.
func TestSend_SecretIsReadAgain(t *testing.T) {
	var signature string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { signature = r.Header.Get("Webhook-Signature") }))
	defer server.Close()
	file := write(t, 0o600, encode(first))
	s := New(Config{URL: server.URL, SecretFile: file})
	send := func() string {
		t.Helper()
		if err := s.Send(t.Context(), sample(t)); err != nil {
			t.Fatal(err)
		}
		return signature
	}
	before := send()
	if err := os.WriteFile(file, []byte(encode(second)+"\n"+encode(first)), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(send())); n != 1 {
		t.Errorf("%d signatures in the middle of a run", n)
	}
	s.Close()
	if n := len(strings.Fields(send())); n != 2 || before == "" {
		t.Errorf("%d signatures afterwards", n)
	}
}
