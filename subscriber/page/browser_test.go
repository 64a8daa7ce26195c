package page

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium, spoken to over two pipes in the DevTools
// protocol: messages of JSON, each ended by a zero byte.
type browser struct {
	t    *testing.T
	in   *os.File
	out  *bufio.Reader
	last int

	mu      sync.Mutex
	waiting map[int]chan answer
	page    string   // session of the one tab
	said    []string // what the console and the policy complained of
}

type answer struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct{ Message string }
}

// requireChromium is the program, which CI must have.
func requireChromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatal("chromium is not installed, and CI must look at the page")
	}
	t.Skip("chromium is not installed (apt-get install chromium)")
	return ""
}

// startBrowser has one tab open until the test ends.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program := requireChromium(t)
	theirs, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "vouch-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
		"--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, ours} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	ours.Close()
	b := &browser{t: t, in: in, out: bufio.NewReader(out), waiting: map[int]chan answer{}}
	t.Cleanup(func() {
		in.WriteString(`{"id":0,"method":"Browser.close"}` + "\x00")
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		timer.Stop()
		in.Close()
		out.Close()
		// Its other processes may write there for a moment after its end.
		for end := time.Now().Add(time.Minute); os.RemoveAll(profile) != nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		}
	})
	go b.read()

	var made struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	var session struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &session)
	b.page = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.do(domain+".enable", nil)
	}
	return b
}

func (b *browser) read() {
	for {
		line, err := b.out.ReadBytes(0)
		if err != nil {
			return
		}
		var a answer
		if json.Unmarshal(line[:len(line)-1], &a) != nil {
			continue
		}
		b.mu.Lock()
		if c := b.waiting[a.ID]; a.ID > 0 && c != nil {
			c <- a
			delete(b.waiting, a.ID)
		}
		switch a.Method {
		case "Runtime.exceptionThrown", "Log.entryAdded":
			b.said = append(b.said, string(a.Params))
		}
		b.mu.Unlock()
	}
}

// call sends a command and waits for its result.
func (b *browser) call(session, method string, params, result any) {
	b.t.Helper()
	if err := b.try(session, method, params, result); err != nil {
		b.t.Fatalf("chromium: %s: %v", method, err)
	}
}

func (b *browser) try(session, method string, params, result any) error {
	b.mu.Lock()
	b.last++
	c := make(chan answer, 1)
	b.waiting[b.last] = c
	message := map[string]any{"id": b.last, "method": method}
	b.mu.Unlock()
	if params != nil {
		message["params"] = params
	}
	if session != "" {
		message["sessionId"] = session
	}
	raw, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(raw, 0)); err != nil {
		return err
	}
	select {
	case a := <-c:
		if a.Error != nil {
			return errors.New(a.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-time.After(2 * time.Minute):
		return errors.New("no answer")
	}
}

func (b *browser) do(method string, params any) {
	b.t.Helper()
	b.call(b.page, method, params, nil)
}

// open shows an address and waits until it is there.
func (b *browser) open(url string) {
	b.t.Helper()
	b.do("Page.navigate", map[string]any{"url": url})
	b.until(`document.readyState === "complete" && location.href === ` + fmt.Sprintf("%q", url))
}

// evaluated is the answer to Runtime.evaluate.
type evaluated struct {
	Result           struct{ Value json.RawMessage }
	ExceptionDetails json.RawMessage
}

func evaluate(expression string) map[string]any {
	return map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}
}

// eval is the value of an expression, as JSON has it.
func (b *browser) eval(expression string, value any) {
	b.t.Helper()
	var r evaluated
	b.call(b.page, "Runtime.evaluate", evaluate(expression), &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if len(r.Result.Value) == 0 {
		return
	}
	if err := json.Unmarshal(r.Result.Value, value); err != nil {
		b.t.Fatalf("%s: %v: %s", expression, err, r.Result.Value)
	}
}

func (b *browser) text(expression string) (s string) {
	b.t.Helper()
	b.eval(expression, &s)
	return s
}

// until waits for a condition to be true in the page, which may be on its way
// to another address.
func (b *browser) until(condition string) {
	b.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var r evaluated
		err := b.try(b.page, "Runtime.evaluate", evaluate("!!("+condition+")"), &r)
		if err == nil && string(r.Result.Value) == "true" {
			return
		}
	}
	b.t.Fatalf("never true: %s\nconsole: %s", condition, strings.Join(b.complaints(), "\n"))
}

// complaints are what the console has heard since the last call.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.said
	b.said = nil
	return said
}

// key presses a key by its name and code.
func (b *browser) key(name string, code int) {
	b.t.Helper()
	p := map[string]any{"type": "rawKeyDown", "key": name, "code": name, "windowsVirtualKeyCode": code}
	if name == "Enter" {
		p["type"], p["text"] = "keyDown", "\r"
	}
	b.do("Input.dispatchKeyEvent", p)
	b.do("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code})
}

// look is a screen of this size and colour scheme.
func (b *browser) look(width, height int, scheme string) {
	b.t.Helper()
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
}

// screenshot is what is seen, as PNG.
func (b *browser) screenshot() []byte {
	b.t.Helper()
	var r struct{ Data string }
	b.call(b.page, "Page.captureScreenshot", map[string]any{"format": "png"}, &r)
	png, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}
