package brokertest

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// NATS starts a nats-server with JetStream. conf is added to its
// configuration.
func NATS(t testing.TB, conf string) *Server {
	t.Helper()
	server := Tool(t, "nats-server")
	s := newServer(t)
	host, port, _ := net.SplitHostPort(s.Addr)
	file := filepath.Join(s.Dir, "nats.conf")
	text := "host: " + host + "\nport: " + port + "\njetstream { store_dir: \"" + filepath.Join(s.Dir, "js") + "\" }\n" + conf
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.argv = []string{server, "-c", file}
	s.Start()
	return s
}
