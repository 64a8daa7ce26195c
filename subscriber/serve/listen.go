package serve

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// listener takes at most maxConnections at a time: whoever comes beyond that
// waits in the kernel. Half of them are for one address, which is refused more,
// lest it keep all others waiting. What it accepts keeps the methods of a TCP connection,
// for without its ReadFrom there is no sendfile.
type listener struct {
	*net.TCPListener
	asked  string // the address as configured
	slots  chan struct{}
	shares shares
	warned time.Time // of a refusal
	tls    *certificates
}

// listen opens an address; nil for none.
func (s *Server) listen(address string) (*listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(address)
		return nil, startError("somebody else listens there: ss -ltnp 'sport = :"+port+"' shows who; or give http.listen another port, or off", "http: listen %s: the address is in use", address)
	case errors.Is(err, syscall.EACCES):
		return nil, startError("ports below 1024 are root's: take another", "http: listen %s: permission denied", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, startError("http.listen is an address of this machine, such as 127.0.0.1:8780", "http: listen %s: no such address on this machine", address)
	case err != nil:
		return nil, startError("http.listen is an address of this machine, such as 127.0.0.1:8780, or off", "http: %w", err)
	}
	return &listener{TCPListener: l.(*net.TCPListener), asked: address, slots: make(chan struct{}, maxConnections),
		shares: shares{most: maxConnections / 2}, tls: &s.tls}, nil
}

// Accept waits for a place, then for a connection.
func (l *listener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, share, err := l.accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	counted := &conn{TCPConn: c, leave: sync.OnceFunc(func() { share(); <-l.slots })}
	if config := l.tls.config.Load(); config != nil {
		return tls.Server(counted, config), nil
	}
	return counted, nil
}

// accept waits for a connection from an address that may have one more.
func (l *listener) accept() (c *net.TCPConn, share func(), err error) {
	for {
		if c, err = l.AcceptTCP(); err != nil {
			return nil, nil, err
		}
		address := c.RemoteAddr().String()
		share, ok := l.shares.take(address)
		if ok {
			return c, share, nil
		}
		if now := time.Now(); now.Sub(l.warned) > time.Minute {
			l.warned = now
			l.tls.server.Log.Warn("HTTP interface: connection refused, its address has its share", "address", address, "most", l.shares.most)
		}
		c.Close()
	}
}

// conn gives its place back.
type conn struct {
	*net.TCPConn
	leave func()
}

func (c *conn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// loopback says whether an address with a port is of this machine alone.
func loopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().Unmap().IsLoopback()
}
