package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"vouch/imagelist/listtest"
	"vouch/subscriber/event"
	"vouch/subscriber/event/broker"
	"vouch/subscriber/event/broker/brokertest"
)

const (
	state    = "6f1c2a52-0b0e-4f0e-9a55-2f9b3d9d0e11"
	password = "canary"
)

func numbered(t *testing.T, n int, kind event.Type, size int) event.Event {
	t.Helper()
	data := map[string]string{"title": "ünï\u202e", "padding": strings.Repeat("x", size)}
	e, err := event.New(state, uint64(n), kind, fmt.Sprintf("image-%d", n%3), time.Unix(1795600000, 0), data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// site is one running broker, its administrator, and senders to it.
type site struct {
	*testing.T
	*brokertest.Rabbit
	cert  string
	admin *amqp091.Channel
}

// TestRabbitMQ meets one broker, which takes seconds to start.
func TestRabbitMQ(t *testing.T) {
	cert, key := brokertest.Certificate(t)
	s := &site{Rabbit: brokertest.RabbitMQ(t, password, cert, key), cert: cert}
	s.T = t
	s.Start()
	s.administer()
	s.exchange("vouch")
	s.exchange("other")
	for _, part := range []struct {
		name string
		test func(*site)
	}{
		{"arrives in order", (*site).arrivesInOrder},
		{"unroutable", (*site).unroutable},
		{"full queue", (*site).fullQueue},
		{"too large", (*site).tooLarge},
		{"T-29 users", (*site).users},
		{"TLS", (*site).tls},
		{"no goroutine", (*site).noGoroutine},
		{"broker hangs", (*site).hangs},
		{"F-16 killed", (*site).isKilled},
		{"alarm", (*site).alarm}, // the last: it stays
	} {
		t.Run(part.name, func(t *testing.T) {
			s.T = t
			part.test(s)
		})
	}
}

func (s *site) administer() {
	s.Helper()
	conn, err := amqp091.Dial("amqp://admin:" + password + "@" + s.Addr + "/")
	if err != nil {
		s.Fatal(err)
	}
	if s.admin, err = conn.Channel(); err != nil {
		s.Fatal(err)
	}
}

func (s *site) exchange(name string) {
	s.Helper()
	if err := s.admin.ExchangeDeclare(name, "topic", true, false, false, false, nil); err != nil {
		s.Fatal(err)
	}
}

// queue is bound to the exchange for the part of the test that wants it.
func (s *site) queue(name, key string, args amqp091.Table) {
	s.Helper()
	if _, err := s.admin.QueueDeclare(name, true, false, false, false, args); err != nil {
		s.Fatal(err)
	}
	if err := s.admin.QueueBind(name, key, "vouch", false, nil); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { s.admin.QueueDelete(name, false, false, false) })
}

// messages takes all that a queue has.
func (s *site) messages(queue string) []amqp091.Delivery {
	s.Helper()
	var all []amqp091.Delivery
	for {
		m, ok, err := s.admin.Get(queue, true)
		if err != nil {
			s.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, m)
	}
}

func (s *site) with(c Config, user, password string) *Sender {
	s.Helper()
	if c.URL == "" {
		c.URL = "amqp://" + s.Addr
	}
	if user != "" {
		c.Login = broker.Login{UsernameFile: brokertest.File(s.T, user), PasswordFile: brokertest.File(s.T, password)}
	}
	sender, err := New(c)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { sender.Close() })
	return sender
}

func (s *site) sender() *Sender { s.Helper(); return s.with(Config{}, "vouch", password) }

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
	if strings.Contains(err.Error(), password) {
		t.Errorf("a secret is shown: %v", err)
	}
	if ctx.Err() != nil {
		t.Errorf("not before its time was over: %v", err)
	}
}

func (s *site) arrivesInOrder() {
	s.queue("all", "#", nil)
	sender := s.sender()
	kinds := []event.Type{event.ImageAvailable, event.ListAccepted, event.ImageRevoked}
	const count = 200
	for n := 1; n <= count; n++ {
		mustSend(s.T, sender, numbered(s.T, n, kinds[n%3], n))
		if n%100 == 0 {
			sender.Close() // the next one connects
		}
	}
	got := s.messages("all")
	if len(got) != count {
		s.Fatalf("%d messages, want %d", len(got), count)
	}
	for i, m := range got {
		e := numbered(s.T, i+1, kinds[(i+1)%3], i+1)
		line, _ := e.Line()
		if string(m.Body) != string(line) || m.RoutingKey != string(e.Type) || m.Type != string(e.Type) || m.MessageId != e.ID ||
			!m.Timestamp.Equal(e.Time) || m.DeliveryMode != amqp091.Persistent || m.ContentType != "application/cloudevents+json" {
			s.Fatalf("message %d is %+v", i+1, m)
		}
	}
}

// A message that no queue takes is confirmed by the broker all the same.
func (s *site) unroutable() {
	s.queue("images", "image.*", nil)
	sender := s.sender()
	for range 3 {
		fails(s.T, sender, numbered(s.T, 1, event.ListAccepted, 0), false, `no queue takes "list.accepted" from exchange "vouch"`)
		mustSend(s.T, sender, numbered(s.T, 2, event.ImageAvailable, 0))
	}
	if n := len(s.messages("images")); n != 3 {
		s.Errorf("%d messages, want 3", n)
	}
}

// A queue that rejects what comes makes the broker say no.
func (s *site) fullQueue() {
	s.queue("full", "#", amqp091.Table{"x-max-length": int32(2), "x-overflow": "reject-publish"})
	sender := s.sender()
	mustSend(s.T, sender, numbered(s.T, 1, event.ImageAvailable, 0))
	mustSend(s.T, sender, numbered(s.T, 2, event.ImageAvailable, 0))
	fails(s.T, sender, numbered(s.T, 3, event.ImageAvailable, 0), true, "did not take the event")
	if n := len(s.messages("full")); n != 2 {
		s.Errorf("%d messages, want 2", n)
	}
	mustSend(s.T, sender, numbered(s.T, 3, event.ImageAvailable, 0))
}

func (s *site) tooLarge() {
	s.queue("all", "#", nil)
	sender := s.sender()
	mustSend(s.T, sender, numbered(s.T, 1, event.ImageAvailable, 1_000_000))
	fails(s.T, sender, numbered(s.T, 2, event.ImageAvailable, 1_100_000), false, "refused the event", "larger than")
	mustSend(s.T, sender, numbered(s.T, 3, event.ImageAvailable, 0))
	if n := len(s.messages("all")); n != 2 {
		s.Errorf("%d messages, want 2", n)
	}
}

func (s *site) users() {
	s.queue("all", "#", nil)
	e := numbered(s.T, 1, event.ImageAvailable, 0)
	fails(s.T, s.with(Config{}, "vouch", password+"-wrong"), e, true, "does not let us in")
	fails(s.T, s.with(Config{}, "", ""), e, true, "does not let us in")
	fails(s.T, s.with(Config{Exchange: "other"}, "vouch", password), e, true, `not permitted to write "image.available" to exchange "other"`)
	fails(s.T, s.with(Config{Exchange: "none"}, "admin", password), e, true, `no exchange "none" in vhost "/"`)
	fails(s.T, s.with(Config{URL: "amqp://" + s.Addr + "/other"}, "vouch", password), e, true, `no vhost "other" for this user`)
	fails(s.T, s.with(Config{URL: "amqp://" + s.Addr + "/n%2fone"}, "vouch", password), e, true, `no vhost "n/one" for this user`)
	for _, root := range []string{"", "/", "/%2f"} {
		mustSend(s.T, s.with(Config{URL: "amqp://" + s.Addr + root}, "vouch", password), e)
	}
	if n := len(s.messages("all")); n != 3 {
		s.Errorf("%d messages, want 3", n)
	}
}

func (s *site) tls() {
	s.queue("all", "#", nil)
	other, _ := brokertest.Certificate(s.T)
	e := numbered(s.T, 1, event.ImageAvailable, 0)
	_, port, _ := net.SplitHostPort(s.TLSAddr)
	with := func(ca string) *Sender {
		return s.with(Config{URL: "amqps://localhost:" + port, CAFile: ca}, "vouch", password)
	}
	fails(s.T, with(other), e, true, "certificate")
	fails(s.T, with(""), e, true, "certificate")
	fails(s.T, s.with(Config{URL: "amqps://" + s.Addr, CAFile: s.cert}, "vouch", password), e, true)
	mustSend(s.T, with(s.cert), e)
	if n := len(s.messages("all")); n != 1 {
		s.Errorf("%d messages, want 1", n)
	}
}

// What Send and Close leave behind: nothing.
func (s *site) noGoroutine() {
	s.queue("all", "#", nil)
	before := runtime.NumGoroutine()
	up, down := s.sender(), s.with(Config{URL: "amqp://" + listtest.FreeAddress(s.T)}, "", "")
	wrong := s.with(Config{Exchange: "other"}, "vouch", password)
	for n := 1; n <= 10; n++ {
		mustSend(s.T, up, numbered(s.T, n, event.ImageAvailable, 0))
		fails(s.T, down, numbered(s.T, n, event.ImageAvailable, 0), true, "connection refused")
		fails(s.T, wrong, numbered(s.T, n, event.ImageAvailable, 0), true)
		for range 2 {
			if err := up.Close(); err != nil {
				s.Fatal(err)
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
	s.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

// A broker that stops answering holds a delivery no longer than its time.
func (s *site) hangs() {
	s.queue("all", "#", nil)
	sender := s.sender()
	mustSend(s.T, sender, numbered(s.T, 1, event.ImageAvailable, 0))
	s.Stop()
	for range 3 {
		begun := time.Now()
		err := sender.Send(within(s.T, 200*time.Millisecond), numbered(s.T, 2, event.ImageAvailable, 0))
		if took := time.Since(begun); !errors.Is(err, event.ErrUnreachable) || took > time.Minute {
			s.Errorf("after %v: %v", took, err)
		}
	}
	s.Continue()
	mustSend(s.T, sender, numbered(s.T, 2, event.ImageAvailable, 0))
}

func (s *site) alarm() {
	s.queue("all", "#", nil)
	sender := s.sender()
	mustSend(s.T, sender, numbered(s.T, 1, event.ImageAvailable, 0))
	s.Ctl("set_disk_free_limit", "1000000GB")
	ctx, over := context.WithCancelCause(within(s.T, time.Minute))
	go func(l *session) {
		for !l.blocked.Load() && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		over(context.DeadlineExceeded)
	}(sender.live)
	var err error
	for n := 2; err == nil; n++ { // the alarm comes a moment after the command
		err = sender.Send(ctx, numbered(s.T, n, event.ImageAvailable, 0))
	}
	if !errors.Is(err, event.ErrUnreachable) || !strings.Contains(err.Error(), "short of memory or disk") {
		s.Error(err)
	}
}

// F-16: a broker that is killed in mid-stream.
func (s *site) isKilled() {
	s.queue("all", "#", nil)
	sender := s.sender()
	const count = 300
	dead, failed := make(chan bool), 0
	for n := 1; n <= count; n++ {
		if n == 150 {
			go func() { defer close(dead); time.Sleep(time.Millisecond); s.Kill() }()
		}
		if n == 250 {
			<-dead // what comes next meets nobody
		}
		for e := numbered(s.T, n, event.ImageAvailable, 1000); ; { // what the outbox does
			err := sender.Send(within(s.T, time.Minute), e)
			if err == nil {
				break
			}
			if failed++; !errors.Is(err, event.ErrUnreachable) || n < 150 {
				s.Fatal(err)
			}
			if <-dead; failed == 3 { // a while later
				s.Start()
			}
		}
	}
	if failed < 3 {
		s.Errorf("failed %d times: the broker was not missed", failed)
	}
	s.administer()
	have, last := map[string]bool{}, ""
	for _, m := range s.messages("all") {
		have[m.MessageId], last = true, m.MessageId
	}
	for n := 1; n <= count; n++ {
		if id := numbered(s.T, n, event.ImageAvailable, 0).ID; !have[id] {
			s.Errorf("%s is lost", id)
		}
	}
	if last != numbered(s.T, count, event.ImageAvailable, 0).ID {
		s.Errorf("the last is %s", last)
	}
}

func TestNew_Refuses(t *testing.T) {
	login := broker.Login{UsernameFile: "/u", PasswordFile: "/p"}
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{URL: "amqps://alice:canary@mq.example.org"}, "user information"},
		{Config{URL: "tls://mq.example.org"}, "neither amqps:// nor amqp://"},
		{Config{URL: "amqps:///vhost"}, "without a host"},
		{Config{URL: "amqps://h?password=canary"}, "?"},
		{Config{URL: "amqps://h", Exchange: "a\nb"}, "not an exchange"},
		{Config{URL: "amqp://mq.example.org", Login: login}, "credentials over an unencrypted connection"},
		{Config{URL: "amqps://h", Login: broker.Login{PasswordFile: "/p"}}, "only one of"},
	} {
		_, err := New(tt.config)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v, want %q", tt.config, err, tt.want)
		}
	}
}
