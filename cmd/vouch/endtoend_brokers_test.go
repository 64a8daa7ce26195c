package main_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rabbitmq/amqp091-go"

	"vouch/subscriber/event/broker/brokertest"
)

const canary = "canary-password"

// brokered is a site whose handlers are two brokers, and what has been
// printed there.
type brokered struct {
	*site
	nats   *brokertest.Server
	rabbit *brokertest.Rabbit
	shown  strings.Builder
}

func newBrokered(t *testing.T) *brokered {
	b := &brokered{
		site:   newSite(t),
		nats:   brokertest.NATS(t, fmt.Sprintf("accounts { A { jetstream: enabled, users: [ { user: vouch, password: %q } ] } }\n", canary)),
		rabbit: brokertest.RabbitMQ(t, canary, "", ""),
	}
	b.nats.Kill()
	user, password := brokertest.File(t, "vouch"), brokertest.File(t, canary)
	b.conf["handlers"] = []any{
		object{"name": "bus", "nats": object{"url": "nats://" + b.nats.Addr, "username_file": user, "password_file": password}},
		object{"name": "mq", "amqp": object{"url": "amqp://" + b.rabbit.Addr, "username_file": user, "password_file": password}},
	}
	return b
}

// says runs a command that must exit with code and say the patterns.
func (b *brokered) says(code int, args []string, patterns ...string) {
	b.T.Helper()
	out := b.expect(code, args, patterns...)
	b.shown.WriteString(out.stdout + out.stderr)
}

// setUp is what the brokers' administrators do.
func (b *brokered) setUp() (jetstream.Stream, *amqp091.Channel) {
	b.T.Helper()
	conn, err := nats.Connect("nats://"+b.nats.Addr, nats.UserInfo("vouch", canary), nats.MaxReconnects(-1))
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		b.T.Fatal(err)
	}
	stream, err := js.CreateStream(b.T.Context(), jetstream.StreamConfig{Name: "vouch", Subjects: []string{"vouch.>"}})
	if err != nil {
		b.T.Fatal(err)
	}
	mq, err := amqp091.Dial("amqp://admin:" + canary + "@" + b.rabbit.Addr)
	if err != nil {
		b.T.Fatal(err)
	}
	b.T.Cleanup(func() { mq.Close() })
	channel, err := mq.Channel()
	if err == nil {
		err = channel.ExchangeDeclare("vouch", "topic", true, false, false, false, nil)
	}
	if err == nil {
		_, err = channel.QueueDeclare("all", true, false, false, false, nil)
	}
	if err == nil {
		err = channel.QueueBind("all", "#", "vouch", false, nil)
	}
	if err != nil {
		b.T.Fatal(err)
	}
	return stream, channel
}

// logged are the lines of the event log that handlers must have had. What
// begins and ends a run is told once, to those who listen.
func (b *brokered) logged() []string {
	b.T.Helper()
	raw, err := os.ReadFile(b.path("state", "events.jsonl"))
	if err != nil {
		b.T.Fatal(err)
	}
	return durable(strings.Split(strings.TrimSpace(string(raw)), "\n"))
}

func durable(lines []string) []string {
	return slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `"type":"sync.`) })
}

// T-29, F-16: a site tells two real brokers, which are there at times.
func TestE5_Brokers(t *testing.T) {
	b := newBrokered(t)
	one, two, three := picture{"one", "first", nil}, picture{"two", "second", nil}, picture{"three", "third", nil}
	b.publish(b.draft("1", one, two))
	b.says(0, []string{"config", "check"})
	b.says(0, []string{"sync"})
	if b.endorsed("one") != "first" {
		t.Fatal("a broker that is down holds up an image")
	}
	b.says(0, []string{"event", "ls", "--pending", "-o", "json"}, `nats://[^"]*connection refused`, `amqp://[^"]*connection refused`)

	b.nats.Start()
	b.rabbit.Start()
	b.says(3, []string{"event", "retry"})
	b.says(0, []string{"event", "ls", "--pending", "-o", "json"}, `no stream takes the subject .*nats stream add vouch`, `no exchange .*rabbitmqadmin declare exchange`)
	stream, channel := b.setUp()
	b.says(0, []string{"event", "retry"}, " 0 pending, 0 dead")

	b.publish(b.draft("2", two, three))
	b.says(0, []string{"sync"})
	b.nats.Kill()
	b.publish(b.draft("3", three))
	b.says(0, []string{"sync"})
	b.says(0, []string{"event", "ls", "--pending", "-o", "json"}, `nats://[^"]*connection refused`)
	b.nats.Start()
	b.says(0, []string{"sync"})
	b.says(0, []string{"status"})

	want := b.logged()
	if have := streamed(t, stream); !slices.Equal(have, want) {
		t.Errorf("NATS has\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	if have := queued(t, channel); !slices.Equal(have, want) {
		t.Errorf("RabbitMQ has\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	b.noCanary()
}

// streamed is what the stream has, in its order, when it can be asked again.
func streamed(t *testing.T, stream jetstream.Stream) []string {
	t.Helper()
	info, err := stream.Info(t.Context())
	for range 50 {
		if err == nil {
			break
		}
		info, err = stream.Info(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for n := uint64(1); n <= info.State.LastSeq; n++ {
		m, err := stream.GetMsg(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(m.Data))
	}
	return durable(lines)
}

func queued(t *testing.T, channel *amqp091.Channel) []string {
	t.Helper()
	var lines []string
	for {
		m, ok, err := channel.Get("all", true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return durable(lines)
		}
		lines = append(lines, string(m.Body))
	}
}

// noCanary looks for the password in everything that was printed or written.
func (b *brokered) noCanary() {
	b.T.Helper()
	if strings.Contains(b.shown.String(), canary) {
		b.T.Error("the password was printed")
	}
	files := 0
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), canary) {
			b.T.Errorf("the password is in %s", path)
		}
		return err
	})
	if err != nil || files < 5 {
		b.T.Errorf("%d files: %v", files, err)
	}
}
