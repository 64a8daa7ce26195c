package credential

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The places of Debian's softhsm2.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// TestExec_Token signs with keys that are on a PKCS#11 token (SoftHSM) and
// nowhere else: the key pairs are made there. The PIN comes from a file that
// nobody else can read.
func TestExec_Token(t *testing.T) {
	s := newShop(t)
	tk := newToken(s)
	for _, key := range []struct{ name, kind string }{{"robot", "rsa:2048"}, {"eve", "EC:secp256r1"}} {
		tk.user(key.name, key.kind)
		for _, command := range []string{
			"openssl smime -sign -engine pkcs11 -keyform engine -signer %s.pem -inkey %s",
			"openssl cms -sign -engine pkcs11 -keyform engine -signer %s.pem -inkey %s -certfile sub.pem",
		} {
			var stderr strings.Builder
			command := "cd " + s.dir + " && " + fmt.Sprintf(command, key.name, "'"+tk.uri(key.name)+"'")
			message, err := Exec(t.Context(), command, list, &stderr)
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			opens(t, message, key.name)
		}
	}
	s.put("pin", []byte("000000"), 0o600)
	_, err := Exec(t.Context(), "cd "+s.dir+" && openssl cms -sign -engine pkcs11 -keyform engine -signer eve.pem -inkey '"+tk.uri("eve")+"'", list, nil)
	if err == nil || !strings.Contains(err.Error(), "signing command: exit status") {
		t.Errorf("a wrong PIN: %v", err)
	}
}

// TestExec_TokenAsksForPIN: a person types the PIN at the token's own prompt,
// on the terminal that vouch runs on.
func TestExec_TokenAsksForPIN(t *testing.T) {
	s := newShop(t)
	tk := newToken(s)
	tk.user("eve", "EC:secp256r1")
	uri, _, _ := strings.Cut(tk.uri("eve"), ";pin-source")
	s.put("list", list, 0o600)
	tty := newTerminal(t, "exec", "cd "+s.dir+" && openssl smime -sign -engine pkcs11 -keyform engine -signer eve.pem -inkey '"+uri+"'", s.path("list"))
	tty.await("PIN")
	tty.await(":")
	tty.awaitEcho(false)
	tty.write("123456\n")
	tty.await("and then?")
	tty.write("over\n")
	message, said := tty.end()
	if !strings.HasSuffix(message, "\nover\n") {
		t.Fatalf("%q\non the terminal: %s", message, said)
	}
	opens(t, []byte(strings.TrimSuffix(message, "over\n")), "eve")
	if strings.Contains(said, "123456") {
		t.Errorf("the PIN shows: %s", said)
	}
}

// token is a SoftHSM token in a shop.
type token struct{ *shop }

func newToken(s *shop) token {
	for _, program := range []string{"softhsm2-util", "pkcs11-tool"} {
		need(s.t, program)
	}
	engines, _ := filepath.Glob("/usr/lib/*/engines-3/pkcs11.so")
	if len(engines) == 0 {
		if os.Getenv("CI") != "" {
			s.t.Fatal("libengine-pkcs11-openssl is not installed")
		}
		s.t.Skip("libengine-pkcs11-openssl is not installed")
	}
	must(s.t, os.Mkdir(s.path("tokens"), 0o700))
	conf := s.put("softhsm2.conf", fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", s.path("tokens")), 0o600)
	s.t.(*testing.T).Setenv("SOFTHSM2_CONF", conf)
	s.t.(*testing.T).Setenv("PKCS11_MODULE_PATH", softHSM)
	s.put("pin", []byte("123456"), 0o600)
	s.run(nil, "softhsm2-util", "--init-token", "--free", "--label", "vouch", "--so-pin", "12345678", "--pin", "123456")
	return token{s}
}

// uri names a key on the token, and the file of the PIN.
func (k token) uri(name string) string {
	return "pkcs11:token=vouch;object=" + name + ";type=private;pin-source=" + k.path("pin")
}

// user makes a key pair on the token and a certificate for it, whose request
// the token signs.
func (k token) user(name, kind string) {
	k.t.Helper()
	k.run(nil, "pkcs11-tool", "--module", softHSM, "--token-label", "vouch", "--login", "--pin", "123456", "--keypairgen", "--key-type", kind, "--label", name, "--id", fmt.Sprintf("%x", name))
	k.openssl("req", "-new", "-engine", "pkcs11", "-keyform", "engine", "-key", k.uri(name), "-out", name+".csr", "-subj", "/DC=org/DC=example/CN="+name)
	k.openssl("x509", "-req", "-in", name+".csr", "-CA", "sub.pem", "-CAkey", "sub.key", "-CAcreateserial", "-extfile", "ext", "-extensions", "user", "-days", "300", "-out", name+".pem")
}
