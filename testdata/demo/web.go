package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

// web is the server that shows a directory to subscribers.
type web struct {
	dir    string
	url    string // without a slash at the end
	server *http.Server
}

// serve makes a directory and shows it, until stop.
func serve(dir string) (*web, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &web{dir: dir, url: "http://" + listener.Addr().String()}
	w.server = &http.Server{Handler: w}
	go w.server.Serve(listener)
	return w, nil
}

// ServeHTTP shows a file, tagged by its content: the list may change twice
// within one second here, which its date alone would not show.
func (w *web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	content, err := fs.ReadFile(os.DirFS(w.dir), name)
	if err != nil {
		http.NotFound(out, r)
		return
	}
	out.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(content)))
	http.ServeContent(out, r, name, time.Time{}, bytes.NewReader(content))
}

func (w *web) stop() { w.server.Close() }
