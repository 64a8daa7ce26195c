package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"vouch/imagelist/listtest"
	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
	"vouch/subscriber/event/broker/brokertest"
)

const state = "6f1c2a52-0b0e-4f0e-9a55-2f9b3d9d0e11"

func numbered(t *testing.T, n int, kind event.Type, size int) event.Event {
	t.Helper()
	data := map[string]string{"title": "ünï\u202e", "padding": strings.Repeat("x", size)}
	e, err := event.New(state, uint64(n), kind, fmt.Sprintf("image-%d", n%3), time.Unix(1795600000, 0), data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func sender(t *testing.T, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func mustSend(t *testing.T, s *Sender, e event.Event) {
	t.Helper()
	if err := s.Send(within(t, time.Minute), e); err != nil {
		t.Fatal(err)
	}
}

// fails sends what must not be delivered, and says what kind of error it has.
func fails(t *testing.T, s *Sender, e event.Event, unreachable bool, want ...string) {
	t.Helper()
	ctx := within(t, time.Minute)
	err := s.Send(ctx, e)
	if err == nil {
		t.Fatal("delivered")
	}
	if errors.Is(err, event.ErrUnreachable) != unreachable {
		t.Errorf("is it about the other side: want %v: %v", unreachable, err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("want %q: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret is shown: %v", err)
	}
	if ctx.Err() != nil {
		t.Errorf("not before its time was over: %v", err)
	}
}

// administrator is another client, who makes streams and reads them back.
type administrator struct {
	*testing.T
	conn *nats.Conn
	js   jetstream.JetStream
}

func newAdministrator(t *testing.T, addr string, options ...nats.Option) *administrator {
	t.Helper()
	conn, err := nats.Connect("nats://"+addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return &administrator{t, conn, js}
}

func (a *administrator) stream(c jetstream.StreamConfig) {
	a.Helper()
	c.Name, c.Subjects = "vouch", []string{"vouch.>"}
	if _, err := a.js.CreateStream(a.Context(), c); err != nil {
		a.Fatal(err)
	}
}

// messages are all that the stream has, in its order.
func (a *administrator) messages() []*jetstream.RawStreamMsg {
	a.Helper()
	stream, err := a.js.Stream(a.Context(), "vouch")
	if err != nil {
		a.Fatal(err)
	}
	var all []*jetstream.RawStreamMsg
	for n := uint64(1); n <= stream.CachedInfo().State.LastSeq; n++ {
		m, err := stream.GetMsg(a.Context(), n)
		if err != nil {
			a.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestSend_ArrivesOnceInOrder(t *testing.T) {
	server := brokertest.NATS(t, "")
	admin := newAdministrator(t, server.Addr)
	admin.stream(jetstream.StreamConfig{})
	s := sender(t, Config{URL: "nats://" + server.Addr})
	kinds := []event.Type{event.ImageAvailable, event.ListAccepted, event.ImageRevoked}
	const count = 300
	for n := 1; n <= count; n++ {
		mustSend(t, s, numbered(t, n, kinds[n%3], n))
		if n%50 == 0 { // a handler may be told again, also over another connection
			if n%100 == 0 {
				s.Close()
			}
			mustSend(t, s, numbered(t, n, kinds[n%3], n))
		}
	}
	got := admin.messages()
	if len(got) != count {
		t.Fatalf("%d messages, want %d", len(got), count)
	}
	for i, m := range got {
		e := numbered(t, i+1, kinds[(i+1)%3], i+1)
		line, _ := e.Line()
		if string(m.Data) != string(line) || m.Subject != "vouch."+string(e.Type) || m.Header.Get("Nats-Msg-Id") != e.ID {
			t.Fatalf("message %d is %s %v %s", i+1, m.Subject, m.Header, m.Data)
		}
		if have := m.Header.Get("Content-Type"); have != "application/cloudevents+json" {
			t.Fatalf("content type %q", have)
		}
	}
}

// F-16: a server that is killed in mid-stream, again and again.
func TestF16_KilledServerLosesNothing(t *testing.T) {
	server := brokertest.NATS(t, "")
	newAdministrator(t, server.Addr, nats.NoReconnect()).stream(jetstream.StreamConfig{Storage: jetstream.FileStorage})
	s := sender(t, Config{URL: "nats://" + server.Addr})
	const count = 400
	failed := 0
	dead := make(chan bool)
	for n := 1; n <= count; n++ {
		if n%100 == 50 {
			dead = make(chan bool)
			go func() { defer close(dead); time.Sleep(time.Millisecond); server.Kill() }()
		}
		if n%100 == 90 {
			<-dead // what comes next meets nobody
		}
		e := numbered(t, n, event.ImageAvailable, 1000)
		for misses := 1; ; misses++ { // what the outbox does
			err := s.Send(within(t, time.Minute), e)
			if err == nil {
				break
			}
			failed++
			if !errors.Is(err, event.ErrUnreachable) || n < 50 {
				t.Fatal(err)
			}
			<-dead
			if misses == 2 { // a while later
				server.Start()
			}
		}
	}
	if failed < 8 {
		t.Errorf("failed %d times: the server was not missed", failed)
	}
	seen := map[string]bool{}
	last := ""
	for i, m := range newAdministrator(t, server.Addr).messages() {
		var e event.Event
		if err := json.Unmarshal(m.Data, &e); err != nil || seen[e.ID] {
			t.Fatalf("message %d: %v, twice: %v", i+1, err, seen[e.ID])
		}
		seen[e.ID], last = true, e.ID
	}
	if len(seen) != count || last != fmt.Sprintf("%s-%d", state, count) {
		t.Fatalf("%d events, the last is %s", len(seen), last)
	}
}

func TestSend_NobodyThere(t *testing.T) {
	addr := listtest.FreeAddress(t)
	s := sender(t, Config{URL: "nats://" + addr})
	fails(t, s, numbered(t, 1, event.ImageAvailable, 0), true, addr, "connection refused")

	// Somebody who takes connections and says nothing.
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := s.Send(within(t, 300*time.Millisecond), numbered(t, 1, event.ImageAvailable, 0)); !errors.Is(err, event.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent server: %v", err)
	}
}

// A server that stops answering holds a delivery no longer than its time, also
// when the connection is full.
func TestSend_ServerHangs(t *testing.T) {
	server := brokertest.NATS(t, "max_payload: 8388608\n")
	admin := newAdministrator(t, server.Addr)
	admin.stream(jetstream.StreamConfig{})
	s := sender(t, Config{URL: "nats://" + server.Addr})
	for n, size := range []int{0, 5 << 20} {
		e := numbered(t, n+1, event.ImageAvailable, size)
		mustSend(t, s, numbered(t, n+10, event.ImageAvailable, 0))
		server.Stop()
		for range 3 {
			begun := time.Now()
			err := s.Send(within(t, 200*time.Millisecond), e)
			if took := time.Since(begun); !errors.Is(err, event.ErrUnreachable) || took > time.Minute {
				t.Fatalf("after %v: %v", took, err)
			}
		}
		server.Continue()
		mustSend(t, s, e)
	}
	if n := len(admin.messages()); n != 4 {
		t.Errorf("%d messages, want 4", n)
	}
}

func TestSend_StreamSaysNo(t *testing.T) {
	server := brokertest.NATS(t, "max_payload: 200000\n")
	admin := newAdministrator(t, server.Addr)
	s := sender(t, Config{URL: "nats://" + server.Addr})
	one := numbered(t, 1, event.ImageAvailable, 0)
	fails(t, s, one, true, `no stream takes the subject "vouch.image.available"`)

	// Somebody else on the subject is no stream.
	other, err := admin.conn.Subscribe("vouch.>", func(m *nats.Msg) { m.Respond([]byte("+OK")) })
	if err != nil || admin.conn.Flush() != nil {
		t.Fatal(err)
	}
	fails(t, s, one, true, "not a stream")
	if err := other.Unsubscribe(); err != nil || admin.conn.Flush() != nil {
		t.Fatal(err)
	}

	admin.stream(jetstream.StreamConfig{MaxMsgs: 2, Discard: jetstream.DiscardNew, MaxMsgSize: 100_000})
	mustSend(t, s, one)
	fails(t, s, numbered(t, 2, event.ImageAvailable, 150_000), false, "larger than the stream takes")
	fails(t, s, numbered(t, 2, event.ImageAvailable, 250_000), false, "larger than the server takes (200000 bytes)")
	mustSend(t, s, numbered(t, 3, event.ImageAvailable, 0))
	fails(t, s, numbered(t, 4, event.ImageAvailable, 0), true, "the stream refused: maximum messages exceeded")
	if n := len(admin.messages()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

func TestSend_WithoutJetStream(t *testing.T) {
	server := brokertest.NATS(t, "accounts { A { users: [ { user: a, password: canary } ] } }\n")
	s := sender(t, Config{URL: "nats://" + server.Addr, Login: broker.Login{UsernameFile: brokertest.File(t, "a"), PasswordFile: brokertest.File(t, "canary")}})
	fails(t, s, numbered(t, 1, event.ImageAvailable, 0), true, "no stream")
}

func TestNew_Refuses(t *testing.T) {
	login := broker.Login{TokenFile: "/t"}
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{URL: "tls://alice:canary@nats.example.org"}, "user information"},
		{Config{URL: "tls://canary@nats.example.org"}, "user information"},
		{Config{URL: "http://nats.example.org/canary"}, "neither tls:// nor nats://"},
		{Config{URL: "tls://nats.example.org:4222/canary"}, "path"},
		{Config{URL: "tls://nats.example.org?token=canary"}, "?"},
		{Config{URL: "tls://"}, "without a host"},
		{Config{URL: "%zz canary"}, "not a URL"},
		{Config{}, "no url"},
		{Config{URL: "nats://h", Subject: "a.>"}, "not a subject"},
		{Config{URL: "nats://h", Subject: "$JS.API"}, "not a subject"},
		{Config{URL: "nats://h", Subject: "a b"}, "not a subject"},
		{Config{URL: "nats://nats.example.org", Login: login}, "credentials over an unencrypted connection"},
		{Config{URL: "nats://127.0.0.1.example.org", Login: login}, "credentials over an unencrypted connection"},
		{Config{URL: "nats://h", CAFile: "/ca"}, "ca_file"},
		{Config{URL: "tls://h", Login: broker.Login{UsernameFile: "/u"}}, "only one of"},
		{Config{URL: "tls://h", Login: broker.Login{TokenFile: "/t", CredentialsFile: "/c"}}, "more than one kind"},
	} {
		_, err := New(tt.config)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v, want %q", tt.config, err, tt.want)
		}
	}
	for _, url := range []string{"nats://127.0.0.1", "nats://[::1]:4222", "nats://localhost", "tls://nats.example.org"} {
		if _, err := New(Config{URL: url, Login: login}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
