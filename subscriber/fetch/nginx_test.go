package fetch

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"vouch/imagelist/listtest"
	"vouch/imagelist/verdict"
)

const nginxConf = `
daemon off;
worker_processes 1;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 64; }
http {
	access_log off;
	sendfile on;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	root %[1]s/www;
	server {
		listen %[2]s;
		location /private/ { auth_basic x; auth_basic_user_file %[1]s/users; alias %[1]s/www/; }
		location /slow/ { limit_rate_after 300k; limit_rate 100k; alias %[1]s/www/; }
		location /norange/ { max_ranges 0; alias %[1]s/www/; }
		location /cut/ { return 444; }
		location /busy/ { add_header Retry-After 3600 always; return 503; }
	}
	server {
		listen %[3]s ssl;
		ssl_certificate %[1]s/cert.pem;
		ssl_certificate_key %[1]s/key.pem;
	}
}
`

// nginx is a real server of its own directory.
type nginx struct {
	dir, plain, secure string
	authority          ca
}

func startNginx(t testing.TB, size int) *nginx {
	path, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	n := &nginx{dir: t.TempDir(), authority: newCA(t), plain: listtest.FreeAddress(t), secure: listtest.FreeAddress(t)}
	if err := os.Chmod(n.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n.write(t, "nginx.conf", fmt.Appendf(nil, "user root;"+nginxConf, n.dir, n.plain, n.secure))
	n.write(t, "users", []byte("alice:{PLAIN}wonder\n"))
	n.write(t, "www/image", content(size))
	n.keys(t)
	n.run(t, path)
	return n
}

func (n *nginx) write(t testing.TB, name string, b []byte) {
	path := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (n *nginx) keys(t testing.TB) {
	pair := n.authority.server(t, "127.0.0.1", time.Hour)
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	n.write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	n.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (n *nginx) run(t testing.TB, path string) {
	cmd := exec.Command(path, "-e", n.dir+"/error.log", "-c", n.dir+"/nginx.conf")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for range 3000 { // a minute
		c, err := net.Dial("tcp", n.secure)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nginx does not start: %s", out.String())
}

func (n *nginx) image(c *Client, path string, size int, sink Sink) (Transfer, error) {
	base := "http://" + n.plain
	return c.Image(context.Background(), Origin{URL: base + "/list"}, Source{URI: base + path, Size: int64(size)}, sink)
}

// TestNginx is the protocol as a real server speaks it.
func TestNginx(t *testing.T) {
	const size = 2 << 20
	n := startNginx(t, size)
	data := content(size)
	c := quick(t, Config{TLS: "both", Anchors: []*x509.Certificate{n.authority.cert}, PerHost: 2})
	ctx := context.Background()
	list := Origin{URL: "http://" + n.plain + "/image"}
	check := func(t *testing.T, sink *memory, moved Transfer, from int64, err error) {
		t.Helper()
		want(t, err, "", false)
		if !bytes.Equal(sink.Bytes(), data) || moved != (Transfer{Downloaded: size - from, ResumedFrom: from}) {
			t.Errorf("moved %+v, %d bytes held", moved, sink.Len())
		}
	}
	sink := &memory{}
	moved, err := n.image(c, "/image", size, sink)
	check(t, sink, moved, 0, err)
	tag := sink.validator
	half := func(validator string) *memory {
		m := &memory{validator: validator}
		m.Write(data[:size/2])
		return m
	}

	t.Run("resume", func(t *testing.T) {
		for _, v := range []string{tag, ""} {
			sink := half(v)
			moved, err := n.image(c, "/image", size, sink)
			check(t, sink, moved, size/2, err)
		}
	})
	t.Run("another version", func(t *testing.T) {
		sink := half(`"old"`)
		moved, err := n.image(c, "/image", size, sink)
		check(t, sink, moved, 0, err)
		if sink.validator != tag {
			t.Errorf("validator %q, want %q", sink.validator, tag)
		}
	})
	t.Run("no ranges", func(t *testing.T) {
		sink := half(tag)
		moved, err := n.image(c, "/norange/image", size, sink)
		check(t, sink, moved, 0, err)
	})
	t.Run("other size", func(t *testing.T) {
		_, err := n.image(c, "/image", size-1, &memory{})
		want(t, err, verdict.SizeMismatch, false)
		_, err = n.image(c, "/image", size+1, half(tag))
		want(t, err, verdict.SizeMismatch, false)
		m := half(tag)
		m.Write(data)
		_, err = n.image(c, "/image", 2*size, m)
		want(t, err, verdict.SizeMismatch, false)
	})
	t.Run("conditional", func(t *testing.T) {
		touch := func(at time.Time) {
			t.Helper()
			if err := os.Chtimes(filepath.Join(n.dir, "www", "image"), at, at); err != nil {
				t.Fatal(err)
			}
		}
		before, err := os.Stat(filepath.Join(n.dir, "www", "image"))
		if err != nil {
			t.Fatal(err)
		}
		defer touch(before.ModTime()) // its ETag is made of it
		touch(time.Now().Add(time.Hour))
		fresh, err := c.Document(ctx, list, Doc{})
		want(t, err, "", false)
		if fresh.ETag != "" || fresh.LastModified != "" {
			t.Error("validators of a file that may change again within this second")
		}
		touch(time.Now().Add(-time.Hour))
		doc, err := c.Document(ctx, list, Doc{})
		want(t, err, "", false)
		doc, err = c.Document(ctx, list, Doc{ETag: doc.ETag, LastModified: doc.LastModified})
		want(t, err, "", false)
		if !doc.NotModified {
			t.Error("not a 304")
		}
	})
	t.Run("basic auth", func(t *testing.T) {
		o := Origin{URL: "http://" + n.plain + "/private/image"}
		_, err := c.Document(ctx, o, Doc{})
		want(t, err, verdict.Fetch, false)
		o.Username, o.Password = "alice", "wonder"
		_, err = c.Document(ctx, o, Doc{})
		want(t, err, "", false)
	})
	t.Run("TLS", func(t *testing.T) {
		o := Origin{URL: "https://" + n.secure + "/image"}
		sink := half(tag)
		moved, err := c.Image(ctx, o, Source{URI: o.URL, Size: size}, sink)
		check(t, sink, moved, size/2, err)
	})
	t.Run("cut and busy", func(t *testing.T) {
		_, err := n.image(c, "/cut/", size, &memory{})
		want(t, err, verdict.Fetch, true)
		_, err = n.image(c, "/busy/", size, &memory{})
		if e := want(t, err, verdict.Fetch, true); e.RetryAfter != time.Hour {
			t.Errorf("Retry-After %v", e.RetryAfter)
		}
	})
	t.Run("slow", func(t *testing.T) {
		c := quick(t, Config{MinRate: 1 << 30})
		c.dog.window, c.pace.patience = 500*time.Millisecond, 0
		sink := &memory{}
		_, err := n.image(c, "/slow/image", size, sink)
		want(t, err, verdict.Fetch, true)
		if sink.Len() == 0 || !bytes.Equal(sink.Bytes(), data[:sink.Len()]) {
			t.Errorf("%d bytes kept", sink.Len())
		}
	})
}

// discard reads into buffers of 512 KiB, as a hashing sink does.
type discard struct {
	n   int64
	buf []byte
}

func (d *discard) Offset() int64               { return d.n }
func (d *discard) Validator() string           { return "" }
func (d *discard) Restart(string) error        { d.n = 0; return nil }
func (d *discard) Write(p []byte) (int, error) { d.n += int64(len(p)); return len(p), nil }
func (d *discard) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		n, err := r.Read(d.buf)
		d.n += int64(n)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func BenchmarkImage(b *testing.B) {
	const size = 256 << 20
	n := startNginx(b, size)
	c := quick(b, Config{})
	for _, sink := range []struct {
		name string
		new  func() Sink
	}{
		{"ReadFrom", func() Sink { return &discard{buf: make([]byte, 512<<10)} }},
		{"Write", func() Sink { return writeOnly{&discard{}} }},
	} {
		b.Run(sink.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, err := n.image(c, "/image", size, sink.new()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
