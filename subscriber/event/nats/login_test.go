package nats

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"vouch/imagelist/listtest"
	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
	"vouch/subscriber/event/broker/brokertest"
)

func TestT29_Users(t *testing.T) {
	server := brokertest.NATS(t, `accounts { A { jetstream: enabled, users: [
	{ user: admin, password: canary-admin }
	{ user: vouch, password: canary, permissions: { publish: "vouch.>", subscribe: "_INBOX.>" } }
	{ user: elsewhere, password: canary, permissions: { publish: "other.>", subscribe: "_INBOX.>" } }
	{ user: deaf, password: canary, permissions: { publish: "vouch.>", subscribe: "vouch.>" } }
] } }
`)
	newAdministrator(t, server.Addr, nats.UserInfo("admin", "canary-admin")).stream(jetstream.StreamConfig{})
	as := func(user, password string) *Sender {
		return sender(t, Config{URL: "nats://" + server.Addr, Login: broker.Login{UsernameFile: brokertest.File(t, user), PasswordFile: brokertest.File(t, password)}})
	}
	e := numbered(t, 1, event.ImageAvailable, 0)
	fails(t, sender(t, Config{URL: "nats://" + server.Addr}), e, true, "the server does not let us in")
	fails(t, as("vouch", "canary-wrong"), e, true, "the server does not let us in")
	fails(t, as("elsewhere", "canary"), e, true, "not permitted", "vouch.image.available")
	fails(t, as("deaf", "canary"), e, true, "not permitted", "_INBOX")
	mustSend(t, as("vouch", "canary"), e)

	open := brokertest.File(t, "canary")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	s := as("vouch", "canary")
	s.config.Login.PasswordFile = open
	fails(t, s, e, true, "others can read or change it (mode 0644)")
	s.config.Login.PasswordFile = t.TempDir() + "/none"
	fails(t, s, e, true, "no such file")
	s.config.Login.PasswordFile = brokertest.File(t, "")
	fails(t, s, e, true, "empty")
	// A file that has been mended counts at the next event.
	s.config.Login.PasswordFile = brokertest.File(t, "canary")
	mustSend(t, s, e)
}

func TestSend_TLS(t *testing.T) {
	cert, key := brokertest.Certificate(t)
	other, _ := brokertest.Certificate(t)
	server := brokertest.NATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }\nauthorization { token: canary }\n", cert, key))
	newAdministrator(t, server.Addr, nats.RootCAs(cert), nats.Token("canary")).stream(jetstream.StreamConfig{})
	e := numbered(t, 1, event.ImageAvailable, 0)
	with := func(host, ca, token string) *Sender {
		_, port, _ := strings.Cut(server.Addr, ":")
		return sender(t, Config{URL: "tls://" + host + ":" + port, CAFile: ca, Login: broker.Login{TokenFile: brokertest.File(t, token)}})
	}
	fails(t, with("127.0.0.1", other, "canary"), e, true, "certificate")
	fails(t, with("127.0.0.1", "", "canary"), e, true, "certificate")
	fails(t, with("127.0.0.2", cert, "canary"), e, true, "connection refused")
	fails(t, with("localhost", cert, "canary-wrong"), e, true, "does not let us in")
	fails(t, with("localhost", key, "canary"), e, true, "no certificate in it")
	mustSend(t, with("localhost", cert, "canary"), e)
	mustSend(t, with("127.0.0.1", cert, "canary"), e)

	plain := brokertest.NATS(t, "")
	s := sender(t, Config{URL: "tls://" + plain.Addr, CAFile: cert, Login: broker.Login{TokenFile: brokertest.File(t, "canary")}})
	fails(t, s, e, true, "does not speak TLS")
}

// A credentials file is a user's signed name and the key to prove it.
func TestSend_Credentials(t *testing.T) {
	operator, account, user := newKey(t, nkeys.CreateOperator), newKey(t, nkeys.CreateAccount), newKey(t, nkeys.CreateUser)
	no := -1
	limits := map[string]any{"subs": no, "data": no, "payload": no, "conn": no, "leaf": no, "imports": no, "exports": no, "wildcards": true,
		"mem_storage": no, "disk_storage": no, "streams": no, "consumer": no}
	system := newKey(t, nkeys.CreateAccount)
	accountToken := token(t, operator, account, map[string]any{"type": "account", "version": 2, "limits": limits})
	server := brokertest.NATS(t, fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %[2]s: %[5]s }\n",
		token(t, operator, operator, map[string]any{"type": "operator", "version": 2}), public(t, system), public(t, account), accountToken,
		token(t, operator, system, map[string]any{"type": "account", "version": 2, "limits": map[string]any{"conn": no, "subs": no}})))
	credentials := func(k nkeys.KeyPair) string {
		seed, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		return brokertest.File(t, fmt.Sprintf("-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
			token(t, k, user, map[string]any{"type": "user", "version": 2, "subs": no, "data": no, "payload": no}), seed))
	}
	newAdministrator(t, server.Addr, nats.UserCredentials(credentials(account))).stream(jetstream.StreamConfig{})
	e := numbered(t, 1, event.ImageAvailable, 0)
	with := func(file string) *Sender {
		return sender(t, Config{URL: "nats://" + server.Addr, Login: broker.Login{CredentialsFile: file}})
	}
	mustSend(t, with(credentials(account)), e)
	fails(t, with(credentials(newKey(t, nkeys.CreateAccount))), e, true, "does not let us in")
	fails(t, with(brokertest.File(t, "canary")), e, true)
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	k, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t *testing.T, k nkeys.KeyPair) string {
	t.Helper()
	p, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// token is what issuer says of subject, a JSON web token.
func token(t *testing.T, issuer, subject nkeys.KeyPair, says map[string]any) string {
	t.Helper()
	claims := map[string]any{"iat": time.Now().Unix(), "iss": public(t, issuer), "sub": public(t, subject), "name": "x", "nats": says}
	unnamed, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(unnamed)
	claims["jti"] = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + b64(body)
	signature, err := issuer.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(signature)
}

// What Send and Close leave behind: nothing.
func TestClose_LeavesNoGoroutine(t *testing.T) {
	server := brokertest.NATS(t, "")
	newAdministrator(t, server.Addr).stream(jetstream.StreamConfig{})
	before := runtime.NumGoroutine()
	s := sender(t, Config{URL: "nats://" + server.Addr})
	down := sender(t, Config{URL: "nats://" + listtest.FreeAddress(t)})
	for n := 1; n <= 20; n++ {
		mustSend(t, s, numbered(t, n, event.ImageAvailable, 0))
		fails(t, down, numbered(t, n, event.ImageAvailable, 0), true)
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 1200 { // a minute
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}
