package main

import (
	"crypto/sha512"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"vouch/imagelist"
	"vouch/testdata/demo/pki"
)

// publisher is the endorser and the web server that carries what she signs.
type publisher struct {
	*pki.Endorser
	www    string // what the server shows
	url    string // of the server, without a slash at the end
	server *http.Server
	etag   atomic.Pointer[string]       // of the list
	bytes  map[imagelist.ImageID][]byte // what the list vouches for now
}

const listFile = "image.list"

func newPublisher(www string) (*publisher, error) {
	if err := os.Mkdir(www, 0o755); err != nil {
		return nil, err
	}
	endorser, err := pki.New(time.Now())
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &publisher{Endorser: endorser, www: www, url: "http://" + listener.Addr().String(), bytes: map[imagelist.ImageID][]byte{}}
	p.server = &http.Server{Handler: p}
	go p.server.Serve(listener) // until stop
	return p, nil
}

// ServeHTTP shows files. The list has an entity tag: it changes twice within one
// second here, which its date alone would not show.
func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if tag := p.etag.Load(); tag != nil && r.URL.Path == "/"+listFile {
		w.Header().Set("ETag", *tag)
	}
	http.FileServer(http.Dir(p.www)).ServeHTTP(w, r)
}

func (p *publisher) stop() { p.server.Close() }

// image uploads data as a file and describes it.
func (p *publisher) image(id imagelist.ImageID, title, version, format, file string, data []byte) (imagelist.Image, error) {
	p.bytes[id] = data
	return imagelist.Image{
		Identifier: id, Version: version, Title: title, Description: title + ", for the demonstration", Comments: "made of noise",
		URI: p.url + "/" + file, Size: int64(len(data)), SHA512: sha512.Sum512(data),
		OS: "Linux", OSVersion: "1", Arch: "x86_64", Hypervisor: "kvm", Format: format,
	}, os.WriteFile(filepath.Join(p.www, file), data, 0o644)
}

// publish signs a list and puts it in place of the one before, atomically.
func (p *publisher) publish(l *imagelist.List) error {
	message, err := p.Sign(l)
	if err != nil {
		return err
	}
	path := filepath.Join(p.www, listFile)
	if err := os.WriteFile(path+".new", message, 0o644); err != nil {
		return err
	}
	tag := strconv.Quote(l.Version)
	p.etag.Store(&tag)
	return os.Rename(path+".new", path)
}

// withdraw takes an image off the list, and says in it why.
func (p *publisher) withdraw(l *imagelist.List, id imagelist.ImageID, at time.Time, reason string) {
	delete(p.bytes, id)
	kept := l.Images[:0:0]
	for _, i := range l.Images {
		if i.Identifier != id {
			kept = append(kept, i)
			continue
		}
		l.Revoked = append(l.Revoked, imagelist.Revocation{Identifier: id, Version: i.Version, SHA512: i.SHA512, Date: at, Reason: reason})
	}
	l.Images = kept
}
