package brokertest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vouch/imagelist/listtest"
)

// Rabbit is a RabbitMQ with a user "admin", who may do everything, and a user
// "vouch", who may write to the exchange "vouch" only. Both have the password
// that it was started with. It takes messages of up to 1 MiB.
type Rabbit struct {
	*Server
	TLSAddr string // host:port with TLS, or ""

	launcher string
}

// Ctl runs rabbitmqctl, which takes seconds too.
func (r *Rabbit) Ctl(args ...string) {
	r.T.Helper()
	cmd := exec.Command(filepath.Join(filepath.Dir(r.launcher), "rabbitmqctl"), args...)
	cmd.Env = append(r.env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME="+r.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.T.Fatalf("rabbitmqctl: %v\n%s", err, out)
	}
}

// RabbitMQ makes one ready for Start, which takes seconds. With a certificate
// and key it speaks TLS too.
func RabbitMQ(t testing.TB, password, cert, key string) *Rabbit {
	t.Helper()
	// Not the one in the path, which wants to be root or the user rabbitmq.
	Tool(t, "rabbitmq-server")
	launcher, err := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
	if err != nil || len(launcher) == 0 {
		t.Fatal("rabbitmq-server is not where Debian puts it")
	}
	// Erlang's port mapper would be started too, and stay behind when the test
	// is over: this one does not.
	mapper := newServer(t)
	_, mapperPort, _ := net.SplitHostPort(mapper.Addr)
	mapper.argv = []string{Tool(t, "epmd"), "-address", "127.0.0.1", "-port", mapperPort}
	mapper.Start()
	r := &Rabbit{Server: newServer(t), launcher: launcher[0]}
	_, distribution, _ := net.SplitHostPort(listtest.FreeAddress(t))
	tls := ""
	if cert != "" {
		r.TLSAddr = listtest.FreeAddress(t)
		tls = fmt.Sprintf(`{ssl_listeners, [%s]}, {ssl_options, [{certfile, %q}, {keyfile, %q}]},`, listener(r.TLSAddr), cert, key)
	}
	r.write("definitions.json", definitions(t, password))
	r.write("enabled_plugins", []byte("[].\n"))
	r.write("rabbit.config", fmt.Appendf(nil, `[{rabbit, [{tcp_listeners, [%s]}, %s {load_definitions, %q}, {max_message_size, 1048576}, {log, [{console, [{enabled, true}]}]}]}].`+"\n",
		listener(r.Addr), tls, filepath.Join(r.Dir, "definitions.json")))
	for key, value := range map[string]string{
		"NODENAME": "vouchtest@localhost", "NODE_IP_ADDRESS": "127.0.0.1", "DIST_PORT": distribution,
		"MNESIA_BASE": filepath.Join(r.Dir, "mnesia"), "LOG_BASE": filepath.Join(r.Dir, "log"), "CONFIG_FILE": filepath.Join(r.Dir, "rabbit.config"),
		"ENABLED_PLUGINS_FILE": filepath.Join(r.Dir, "enabled_plugins"), "PID_FILE": filepath.Join(r.Dir, "pid"),
		"SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
	} {
		r.env = append(r.env, "RABBITMQ_"+key+"="+value)
	}
	// Under systemd the launcher becomes the server.
	r.env = append(r.env, "RUNNING_UNDER_SYSTEMD=1", "ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT="+mapperPort)
	r.argv = launcher[:1]
	return r
}

func (s *Server) write(name string, data []byte) {
	s.T.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), data, 0o600); err != nil {
		s.T.Fatal(err)
	}
}

// listener is an address as Erlang writes it.
func listener(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("{%q, %s}", host, port)
}

// definitions are what the broker begins with, in the form of its own export.
func definitions(t testing.TB, password string) []byte {
	t.Helper()
	salt := []byte("salt")
	sum := sha256.Sum256(append(salt, password...))
	hash := base64.StdEncoding.EncodeToString(append(salt, sum[:]...))
	type object = map[string]any
	user := func(name string) object {
		return object{"name": name, "password_hash": hash, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
	}
	raw, err := json.Marshal(object{
		"vhosts": []object{{"name": "/"}, {"name": "other"}},
		"users":  []object{user("admin"), user("vouch")},
		"permissions": []object{
			{"user": "admin", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
			{"user": "vouch", "vhost": "/", "configure": "^$", "write": "^vouch$", "read": "^$"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
