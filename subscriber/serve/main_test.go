package serve

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// site is one whose files were written by the real thing, served.
type site struct {
	*subscribertest.World
	server  *Server
	conf    Config
	url     string
	doubts  chan cache.Digest
	refresh chan string
	log     *logged
	asked   map[string]bool // "METHOD path status" of the description
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const token = "0123456789abcdef-canary"

func newSite(t *testing.T, changes ...func(*site)) *site {
	t.Helper()
	s := &site{World: subscribertest.New(t), server: New(), doubts: make(chan cache.Digest, 10), refresh: make(chan string, 100), log: &logged{}, asked: map[string]bool{}}
	s.server.Log = slog.New(slog.NewTextHandler(s.log, nil))
	s.server.Doubt, s.server.Refresh = s.doubts, s.refresh
	s.conf = Config{Listen: "127.0.0.1:0", StateDir: s.Config.StateDir, CacheDir: s.Config.Cache.Dir, Trust: s.Config.Trust, Subscriptions: []string{"main"}}
	for _, change := range changes {
		change(s)
	}
	s.configure()
	t.Cleanup(func() {
		s.server.Close()
		if t.Failed() {
			t.Logf("log:\n%s", s.log)
		}
		if strings.Contains(s.log.String(), "canary") {
			t.Errorf("a secret is in the log:\n%s", s.log)
		}
	})
	return s
}

func (s *site) configure() {
	s.T.Helper()
	if err := s.server.Configure(s.conf); err != nil {
		s.T.Fatal(err)
	}
	s.url = s.server.URL()
}

// write makes a file beside the state.
func (s *site) write(name, text string, mode os.FileMode) string {
	s.T.Helper()
	path := filepath.Join(filepath.Dir(s.conf.StateDir), name)
	os.Remove(path)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.T.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		s.T.Fatal(err)
	}
	return path
}

// pass makes a run like the daemon's.
func (s *site) pass() *subscriber.Report {
	s.T.Helper()
	return s.SyncAt(time.Time{})
}

// blob is where an image's bytes are.
func (s *site) blob(id string) string {
	s.T.Helper()
	for _, i := range s.Index().Images {
		if i.Identifier == id {
			return filepath.Join(s.conf.CacheDir, i.Blob)
		}
	}
	s.T.Fatalf("no image %s", id)
	return ""
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body string
	err  error // of reading it
}

// ask sends a request, "METHOD path", with headers "Name: value", and holds the
// answer against the description.
func (s *site) ask(what string, headers ...string) reply {
	s.T.Helper()
	method, path, ok := strings.Cut(what, " ")
	if !ok {
		method, path = http.MethodGet, what
	}
	r, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Add(name, value); name == "Host" {
			r.Host = value
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		return reply{nil, "", err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil {
		s.described(r, response, body)
	}
	return reply{response, string(body), err}
}

// want is ask for a status.
func (s *site) want(status int, what string, headers ...string) reply {
	s.T.Helper()
	r := s.ask(what, headers...)
	if r.Response == nil || r.StatusCode != status || r.err != nil {
		s.T.Errorf("%s %q: %v %+v %.300q, want %d", what, headers, r.err, r.Response, r.body, status)
	}
	if r.Response == nil {
		s.T.FailNow()
	}
	return r
}

var compiled = sync.OnceValue(func() *jsonschema.Compiler {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("https://vouch.invalid/openapi.json", doc); err != nil {
		panic(err)
	}
	return c
})

var compiling sync.Mutex // tests run beside each other, and a compiler works for one

// schemaAt is the schema at a JSON pointer of the description.
func schemaAt(pointer string) (*jsonschema.Schema, error) {
	compiling.Lock()
	defer compiling.Unlock()
	return compiled().Compile("https://vouch.invalid/openapi.json#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer))
}

// described holds an answer against the description: its status, its type and
// what its schema says.
func (s *site) described(r *http.Request, response *http.Response, body []byte) {
	s.T.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Content map[string]json.RawMessage }
		}
	}
	if err := json.Unmarshal(description, &doc); err != nil {
		s.T.Fatal(err)
	}
	method := strings.ToLower(r.Method)
	if r.Method == http.MethodHead {
		method = "get"
	}
	for path, item := range doc.Paths {
		op, ok := item[method]
		if !ok || !like(path, r.URL.Path) {
			continue
		}
		code := strconv.Itoa(response.StatusCode)
		if _, ok := op.Responses[code]; !ok {
			code = "default"
		}
		s.asked[r.Method+" "+path+" "+code] = true
		kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
		content := op.Responses[code].Content
		if _, ok := content[kind]; !ok && len(content)+len(body) > 0 && r.Method != http.MethodHead {
			s.T.Errorf("%s %s: %s: a %q that is not in the description", r.Method, r.URL, code, kind)
			return
		}
		if !strings.HasSuffix(kind, "json") || len(body) == 0 {
			return
		}
		escape := strings.NewReplacer("~", "~0", "/", "~1")
		pointer := "/paths/" + escape.Replace(path) + "/" + method + "/responses/" + code + "/content/" + escape.Replace(kind) + "/schema"
		schema, err := schemaAt(pointer)
		if err != nil {
			s.T.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			s.T.Errorf("%s %s: %v\n%.1000s", r.Method, r.URL, err, body)
		}
		return
	}
	if strings.HasPrefix(r.URL.Path, "/v1/") && response.StatusCode < 300 {
		s.T.Errorf("%s %s is not in the description", r.Method, r.URL)
	}
}

// like says whether a path is one of a template.
func like(template, path string) bool {
	a, b := strings.Split(template, "/"), strings.Split(path, "/")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !strings.HasPrefix(a[i], "{") {
			return false
		}
	}
	return true
}
