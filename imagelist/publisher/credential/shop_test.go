package credential

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const secret = "Tr0ub4dor&3"

// shop is a directory with a CA made by openssl and certificates of it.
type shop struct {
	t   testing.TB
	dir string
}

const extensions = `
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = keyCertSign,cRLSign
[user]
basicConstraints = critical,CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = emailProtection,clientAuth
[none]
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth
[encipher]
basicConstraints = critical,CA:FALSE
keyUsage = keyEncipherment
[proxy]
keyUsage = digitalSignature
1.3.6.1.5.5.7.1.14 = critical,ASN1:SEQUENCE:proxyinfo
[oldproxy]
1.3.6.1.4.1.3536.1.222 = critical,ASN1:SEQUENCE:proxyinfo
[proxyinfo]
policy = SEQUENCE:inherit
[inherit]
language = OID:1.3.6.1.5.5.7.21.1
`

func TestMain(m *testing.M) {
	if job := os.Getenv("CREDENTIAL_TEST_JOB"); job != "" {
		onTerminal(job)
		return
	}
	code := m.Run()
	os.RemoveAll(stock.dir)
	os.Exit(code)
}

func need(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(program + " is not installed")
	}
	t.Skip(program + " is not installed")
}

// stock is what every shop starts with: a root, a subordinate CA, and alice
// (RSA) under it, as alice.pem and alice.key. Made once: keys take time.
var stock struct {
	once sync.Once
	dir  string // removed by TestMain
}

func newShop(t testing.TB) *shop {
	t.Helper()
	need(t, "openssl")
	stock.once.Do(func() {
		var err error
		stock.dir, err = os.MkdirTemp("", "credential")
		must(t, err)
		s := &shop{t, stock.dir}
		s.put("ext", []byte(extensions), 0o644)
		s.put("pass", []byte(secret+"\n"), 0o600)
		s.key("root", "ec", "P-256")
		s.openssl("req", "-x509", "-key", "root.key", "-out", "root.pem", "-subj", "/DC=org/CN=Root", "-days", "3650")
		s.key("sub", "ec", "P-256")
		s.issue("sub", "/DC=org/CN=Sub", "root", "ca")
		s.user("alice", "rsa", "2048")
	})
	s := &shop{t, t.TempDir()}
	must(t, os.CopyFS(s.dir, os.DirFS(stock.dir)))
	for _, name := range []string{"root.key", "sub.key", "alice.key", "pass"} {
		must(t, os.Chmod(s.path(name), 0o600)) // CopyFS adds the umask's
	}
	return s
}

// user makes a certificate and key of an endorser.
func (s *shop) user(name, kind, size string) {
	s.t.Helper()
	s.key(name, kind, size)
	s.issue(name, "/DC=org/DC=example/CN="+name, "sub", "user")
}

func (s *shop) key(name, kind, size string) {
	s.t.Helper()
	option := map[string]string{"rsa": "rsa_keygen_bits:" + size, "ec": "ec_paramgen_curve:" + size}[kind]
	args := []string{"genpkey", "-algorithm", strings.ToUpper(kind), "-out", name + ".key"}
	if option != "" {
		args = append(args, "-pkeyopt", option)
	}
	s.openssl(args...)
}

func (s *shop) issue(name, subject, issuer, section string, options ...string) {
	s.t.Helper()
	s.openssl("req", "-new", "-key", name+".key", "-out", name+".csr", "-subj", subject)
	s.openssl(append([]string{"x509", "-req", "-in", name + ".csr", "-CA", issuer + ".pem", "-CAkey", issuer + ".key", "-CAcreateserial",
		"-extfile", "ext", "-extensions", section, "-days", "300", "-out", name + ".pem"}, options...)...)
}

// openssl runs the program in the shop; its output is returned.
func (s *shop) openssl(args ...string) []byte {
	s.t.Helper()
	return s.run(nil, "openssl", args...)
}

func (s *shop) run(stdin []byte, program string, args ...string) []byte {
	s.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdin = s.dir, bytes.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		said := ""
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			said = string(exit.Stderr)
		}
		s.t.Fatalf("%s %q: %v\n%s", program, args, err, said)
	}
	return out
}

func (s *shop) path(name string) string { return filepath.Join(s.dir, name) }

// put writes a file with exactly this mode.
func (s *shop) put(name string, data []byte, mode os.FileMode) string {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path(name), data, mode))
	must(s.t, os.Chmod(s.path(name), mode))
	return s.path(name)
}

func (s *shop) get(name string) []byte {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	must(s.t, err)
	return data
}

// join puts files one after the other into a new one that is private.
func (s *shop) join(name string, parts ...string) string {
	s.t.Helper()
	var all []byte
	for _, p := range parts {
		all = append(all, s.get(p)...)
	}
	return s.put(name, all, 0o600)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// asker answers with one passphrase and remembers what it was asked.
type asker struct {
	answer string
	asked  []string
	given  [][]byte
}

func (a *asker) passphrase(what string) ([]byte, error) {
	a.asked = append(a.asked, what)
	a.given = append(a.given, []byte(a.answer))
	return a.given[len(a.given)-1], nil
}

// zeroed reports whether nothing is left of what was given.
func (a *asker) zeroed() bool {
	for _, g := range a.given {
		if len(bytes.Trim(g, "\x00")) > 0 {
			return false
		}
	}
	return true
}

// hintOf is the hint that cmd/vouch would print.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

var soon = time.Now().Add(24 * time.Hour)
