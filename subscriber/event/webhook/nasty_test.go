package webhook

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vouch/subscriber/event"
)

// nasty is an endpoint that does as it likes with each connection; request
// reads what was sent.
func nasty(t *testing.T, do func(c net.Conn, request func() bool)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				do(c, func() bool {
					r, err := http.ReadRequest(in)
					if err == nil {
						_, err = io.Copy(io.Discard, r.Body)
					}
					return err == nil
				})
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// forever says something until the other side is gone.
func forever(c net.Conn, say string, pause time.Duration) {
	for {
		if _, err := io.WriteString(c, say); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// F-16: whatever an endpoint answers costs one event at most its timeout, no
// memory, and never the answer that it gave.
func TestF16_NastyEndpoints(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 64 {
		z.Write(zeros)
	}
	z.Close()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		do   func(c net.Conn, request func() bool)
		want string // of the error; "" is delivered
		soon bool   // well within the timeout
	}{
		"headers that drip": {func(c net.Conn, request func() bool) { request(); forever(c, "H", 50*time.Millisecond) }, "no answer: timed out", false},
		"a header for ever": {func(c net.Conn, request func() bool) { request(); forever(c, ok+"X: "+strings.Repeat("x", 1<<16), 0) }, "unreachable", false},
		"headers for ever":  {func(c net.Conn, request func() bool) { request(); io.WriteString(c, ok); forever(c, "X: y\r\n", 0) }, "unreachable", false},
		"1xx for ever": {func(c net.Conn, request func() bool) {
			request()
			forever(c, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 0)
		}, "unreachable", false},
		"a body for ever": {func(c net.Conn, request func() bool) {
			request()
			io.WriteString(c, ok+"\r\n")
			forever(c, strings.Repeat("x", 1<<16), 0)
		}, "", true},
		"a body that drips": {func(c net.Conn, request func() bool) {
			request()
			io.WriteString(c, ok+"\r\n")
			forever(c, "x", 50*time.Millisecond)
		}, "", true},
		"a body that is short": {func(c net.Conn, request func() bool) { request(); io.WriteString(c, ok+"Content-Length: 100\r\n\r\nx") }, "", true},
		"a gzip bomb": {func(c net.Conn, request func() bool) {
			request()
			fmt.Fprintf(c, ok+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", bomb.Len())
			c.Write(bomb.Bytes())
		}, "", true},
		"307 to elsewhere": {func(c net.Conn, request func() bool) {
			request()
			io.WriteString(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
		}, "redirects are not followed", true},
		"answers before the body": {func(c net.Conn, _ func() bool) {
			io.WriteString(c, ok+"Content-Length: 0\r\nConnection: close\r\n\r\n")
			time.Sleep(100 * time.Millisecond)
		}, "", true},
		"refuses before the body": {func(c net.Conn, _ func() bool) {
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			time.Sleep(100 * time.Millisecond)
		}, "answered 413", true},
		"closes each time": {func(c net.Conn, request func() bool) {
			request()
			io.WriteString(c, ok+"Content-Length: 0\r\nConnection: close\r\n\r\n")
		}, "", true},
		"closes without a word": {func(_ net.Conn, request func() bool) { request() }, "unreachable", true},
		"is no HTTP server":     {func(c net.Conn, request func() bool) { io.WriteString(c, "220 mail.example.org ESMTP\r\n"); request() }, "unreachable", true},
		"two answers": {func(c net.Conn, request func() bool) {
			request()
			io.WriteString(c, strings.Repeat(ok+"Content-Length: 0\r\n\r\n", 2))
		}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(Config{URL: nasty(t, c.do)})
			defer s.Close()
			for i := range 2 { // what the first left behind must not spoil the second
				if i > 0 && !c.soon {
					break
				}
				ctx, cancel := context.WithTimeoutCause(t.Context(), 6*time.Second, errors.New("timed out"))
				begun := time.Now()
				err := s.Send(ctx, sample(t))
				lasted := time.Since(begun)
				cancel()
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%v, want %q", err, c.want)
				}
				if c.want == "unreachable" && !errors.Is(err, event.ErrUnreachable) {
					t.Errorf("%v is about the event", err)
				}
				if c.soon && lasted > 5*time.Second {
					t.Errorf("took %v", lasted)
				}
			}
		})
	}
}

// A certificate that has expired is nobody's; a server that would rather speak
// HTTP/2 is told in HTTP/1.1.
func TestSend_ExpiredCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for left, want := range map[time.Duration]string{-time.Hour: "unreachable: tls: certificate: ", time.Hour: ""} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(left), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		proto := ""
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto = r.Proto }))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.EnableHTTP2 = true
		server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		server.StartTLS()
		file := write(t, 0o644, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		err = New(Config{URL: server.URL, CAFile: file}).Send(t.Context(), sample(t))
		server.Close()
		if want == "" && (err != nil || proto != "HTTP/1.1") || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, event.ErrUnreachable)) {
			t.Errorf("%v left: %v by %s, want %q", left, err, proto, want)
		}
	}
}
