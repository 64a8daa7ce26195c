package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"
)

// raw sends bytes and returns what comes back until the connection ends.
func (s *site) raw(text string) string {
	s.T.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.T.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	go io.WriteString(c, text)
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// Requests that no client sends in good faith: each has an answer of its own
// and harms nobody.
func TestHostile_Requests(t *testing.T) {
	t.Parallel()
	s := populated(t)
	const end = "\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	for request, want := range map[string]string{
		"GET /v1/images HTTP/1.1" + end:                        "200",
		"nonsense\r\n\r\n":                                     "400",
		"GET  HTTP/1.1" + end:                                  "400",
		"GET /v1/images HTTP/9.9" + end:                        "505",
		"GET /v1/images HTTP/1.1\r\nConnection: close\r\n\r\n": "400", // no Host
		"GET /v1/images HTTP/1.1\r\nHost: localhost\r\nHost: b\r\nConnection: close\r\n\r\n":               "400",
		"GET /v1/images HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 80<<10) + "\r\n\r\n":     "431",
		"GET /v1/images?" + strings.Repeat("a", 80<<10) + " HTTP/1.1" + end:                                "431",
		"GET /v1/images HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 20000) + "Host: localhost\r\n\r\n":      "431",
		"GET /v1/images HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n":                   "421",
		"GET /v1/images HTTP/1.1\r\nHost: localhost.attacker.example:80\r\nConnection: close\r\n\r\n":      "421",
		"GET http://attacker.example/v1/images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n":   "421",
		"GET /v1/images HTTP/1.1\r\nHost: [::1]:1234\r\nConnection: close\r\n\r\n":                         "200",
		"GET /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n":                          "200",
		"CONNECT attacker.example:443 HTTP/1.1\r\nHost: attacker.example:443\r\nConnection: close\r\n\r\n": "400",
		"OPTIONS * HTTP/1.1" + end:                                         "400",
		"OPTIONS /v1/images HTTP/1.1" + end:                                "405",
		"TRACE /v1/images HTTP/1.1" + end:                                  "405",
		"G\x00T /v1/images HTTP/1.1" + end:                                 "400",
		"GET /v1/images\x00 HTTP/1.1" + end:                                "400",
		"GET /v1/images/\x80 HTTP/1.1" + end:                               "404",
		"GET /v1/images/%2e%2e%2f%2e%2e/data HTTP/1.1" + end:               "404",
		"GET /v1/images/" + strings.Repeat("a/", 1000) + " HTTP/1.1" + end: "404",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                 "400",
		"POST /v1/subscriptions/main/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n":        "400",
		"POST /v1/subscriptions/main/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello": "400",
	} {
		line, _, _ := strings.Cut(s.raw(request), "\r\n")
		if !strings.HasPrefix(line, "HTTP/1.1 "+want) && !strings.HasPrefix(line, "HTTP/1.0 "+want) {
			t.Errorf("%.80q: %q, want %s", request, line, want)
		}
	}
	for _, probe := range []string{"/v1/images", "/v1/images/one/data"} {
		s.want(200, probe)
	}
}

// Clients that begin a request and do not go on are left after ten seconds, and
// keep nobody out meanwhile.
func TestHostile_Slow(t *testing.T) {
	t.Parallel()
	// What this goroutine begins, and what that begins, has its label.
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("test", t.Name())))
	s := populated(t)
	before := labelled(t, t.Name())
	var held []net.Conn
	for i := range 200 {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 4 {
		case 0: // a header without an end
			fmt.Fprintf(c, "GET /v1/images HTTP/1.1\r\nHost: localhost\r\nX-%d: ", i)
		case 1: // a body that does not come
			io.WriteString(c, "GET /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
		case 2:
			io.WriteString(c, "POST /v1/subscriptions/main/refresh HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")
		case 3:
			io.WriteString(c, "GET /v1/images/one/data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		}
		held = append(held, c)
	}
	s.want(200, "/v1/images/one/data")
	begun := time.Now()
	for _, c := range held {
		c.SetDeadline(begun.Add(headerTime + time.Minute))
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatalf("still open after %v: %v", time.Since(begun), err)
		}
	}
	for end := time.Now().Add(time.Minute); labelled(t, t.Name()) > before+50; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", labelled(t, t.Name()), before)
		}
	}
}

// labelled counts the goroutines of one test: others run beside it.
func labelled(t *testing.T, name string) (n int) {
	t.Helper()
	var text strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	for _, stack := range regexp.MustCompile(`(?m)^(\d+) @.*\n# labels: .*`+name).FindAllStringSubmatch(text.String(), -1) {
		count, _ := strconv.Atoi(stack[1])
		n += count
	}
	if n == 0 {
		t.Fatalf("not even this one:\n%.1000s", &text)
	}
	return n
}

// More connections than there are places wait, and get one when it is free.
func TestHostile_Connections(t *testing.T) {
	t.Parallel()
	s := populated(t)
	var held []net.Conn
	for range maxConnections {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Skipf("this process may not have so many files: %v", err)
		}
		defer c.Close()
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	answered := make(chan error, 1)
	go func() {
		r, err := (&http.Client{Transport: &http.Transport{}}).Get(s.url + "/healthz")
		if err == nil {
			r.Body.Close()
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("answered beyond the limit: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	held[0].Close()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("a free place is not used")
	}
}
