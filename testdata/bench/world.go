package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"vouch/imagelist"
	"vouch/testdata/demo/pki"
)

// world is an endorser, the trust directory of a site, and an nginx.
type world struct {
	*pki.Endorser
	anchors string // the trust directory
	ca      string // the certificate in it
	www     string // what nginx serves
	url     string // of nginx, without a slash at the end
	nginx   *exec.Cmd
}

// prepare makes the world, once.
func (b *bench) prepare() error {
	if b.world != nil {
		return nil
	}
	w := &world{anchors: filepath.Join(b.dir, "trust"), www: filepath.Join(b.dir, "www")}
	b.world = w
	now := time.Now()
	var err error
	if w.Endorser, err = pki.New(now); err != nil {
		return err
	}
	if w.ca, err = w.WriteTrust(w.anchors, now); err != nil {
		return err
	}
	if err := os.Mkdir(w.www, 0o755); err != nil {
		return err
	}
	return w.serve(b.ctx, filepath.Join(b.dir, "nginx"))
}

// serve starts nginx on a free port, as it would be configured for files.
func (w *world) serve(ctx context.Context, dir string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	l.Close()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // its workers must read our temporary directory
	}
	conf := fmt.Sprintf(`%[1]s
daemon off; worker_processes auto; pid %[2]s/pid; error_log %[2]s/error.log;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  server { listen %[3]s; root %[4]s; }
}
`, user, dir, address, w.www)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return err
	}
	w.url = "http://" + address
	w.nginx = exec.Command("nginx", "-e", filepath.Join(dir, "error.log"), "-c", file)
	// An interrupt on the terminal is for us; we stop nginx when all is done.
	w.nginx.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := w.nginx.Start(); err != nil {
		return err
	}
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("nginx does not answer on %s; see %s/error.log", address, dir)
}

func (w *world) stop() {
	if w.nginx != nil && w.nginx.Process != nil {
		w.nginx.Process.Signal(syscall.SIGTERM)
		w.nginx.Wait()
	}
}

// publish signs a list of these images, served as name.
func (w *world) publish(name string, id imagelist.ListID, images []imagelist.Image) error {
	now := time.Now().UTC().Truncate(time.Second)
	message, err := w.Sign(&imagelist.List{
		Identifier: id, Version: "1", Created: now, Expires: now.AddDate(0, 0, 28), Images: images,
		Title: "List " + name, Description: "Images to measure with", Source: "bench", URI: w.url + "/" + name,
	})
	if err != nil {
		return err
	}
	file := filepath.Join(w.www, name)
	if err := os.WriteFile(file, message, 0o644); err != nil {
		return err
	}
	// One date for all, and not of this second: one condition fits every list.
	return os.Chtimes(file, published, published)
}

var published = time.Now().UTC().Truncate(time.Second).Add(-time.Hour)

// describe is the entry of a file that is served.
func (w *world) describe(file string, n int, size int64, digest imagelist.Digest) imagelist.Image {
	return imagelist.Image{
		Identifier: imagelist.ImageID(identifier("b", n)), Version: "1.0", URI: w.url + "/" + file, Size: size, SHA512: digest,
		Title: fmt.Sprintf("Image %d", n), Description: "An image as large as a measurement needs it, with a description as long as most are",
		Comments: "made of noise", OS: "Linux", OSVersion: "AlmaLinux 9.6", Arch: "x86_64", Hypervisor: "kvm", Format: "raw",
		VO: "vo.example.org", MPURI: fmt.Sprintf("https://marketplace.example.org/image/%d", n),
	}
}

// identifier is a UUID, the same for the same kind and number.
func identifier(kind string, n int) string {
	return fmt.Sprintf("%s0000000-0000-4000-8000-%012d", kind, n)
}
