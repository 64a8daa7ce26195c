package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// controlSocket is where a command asks a running daemon for the state. To be
// connected is the request, to hang up, or to die, its end; all that is said is
// a byte from time to time, by which the daemon knows that whoever asks is not
// stopped (SIGSTOP) himself. While somebody asks the daemon makes no pass, and
// stops the one it makes. So a command does its own work, with its own progress
// and exit code, and waits for no download or handler of the daemon.
const controlSocket = "control.sock"

// How often a command says so, and after how long without a word nobody asks
// any more. Variables for tests.
var (
	knockEvery = 2 * time.Second
	knockMost  = 15 * time.Second
)

// askDaemon asks for the state, which the caller then gets by its lock; leave
// ends the request. Without a daemon, or one of another user, it does nothing.
func askDaemon(dir string) (leave func()) {
	ctx, leave := context.WithCancel(context.Background())
	conn := knock(dir)
	if conn == nil {
		return leave
	}
	every := time.NewTicker(knockEvery)
	go func() {
		defer every.Stop()
		defer func() { conn.Close() }()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
			if _, err := conn.Write([]byte{'\n'}); err == nil {
				continue
			}
			conn.Close() // it has given us up, or was started again
			if again := knock(dir); again != nil {
				conn = again
			}
		}
	}()
	return leave
}

// knock connects to the daemon; nil when there is none.
func knock(dir string) (conn net.Conn) {
	inDir(dir, func(place string) (err error) {
		conn, err = net.Dial("unix", filepath.Join(place, controlSocket))
		return err
	})
	return conn
}

// inDir calls fn with a short name of dir: the name of a socket has at most
// 107 bytes.
func inDir(dir string, fn func(place string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return fn(fmt.Sprintf("/proc/self/fd/%d", d.Fd()))
}

// door is the daemon's side of the control socket.
type door struct {
	listener net.Listener
	came     chan int // +1 for somebody who came, -1 for somebody who left
	path     string
}

// openDoor listens. The caller has the daemon's lock, so a socket that is
// there was left by one that was killed.
func openDoor(dir string) (*door, error) {
	d := &door{came: make(chan int), path: filepath.Join(dir, controlSocket)}
	info, err := os.Lstat(d.path)
	switch {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, withHint(storage(fmt.Errorf("control socket: %s is something else", d.path)), "move it away")
	case err == nil:
		err = os.Remove(d.path)
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		err = inDir(dir, func(place string) (err error) {
			if d.listener, err = net.Listen("unix", filepath.Join(place, controlSocket)); err != nil {
				return err
			}
			d.listener.(*net.UnixListener).SetUnlinkOnClose(false)
			return os.Chmod(d.path, 0o600)
		})
	}
	if err != nil {
		return nil, storage(fmt.Errorf("control socket: %w", err))
	}
	return d, nil
}

// close gives up what openDoor made, when nobody serves it.
func (d *door) close() {
	d.listener.Close()
	os.Remove(d.path)
}

// serve tells came of everybody until ctx ends.
func (d *door) serve(ctx context.Context) {
	var inside sync.WaitGroup
	defer inside.Wait()
	defer os.Remove(d.path)
	defer context.AfterFunc(ctx, func() { d.listener.Close() })()
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(100 * time.Millisecond) // no descriptor is left, say
			continue
		}
		if !ours(conn) {
			conn.Close()
			continue
		}
		inside.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			if !d.tell(ctx, 1) {
				return
			}
			for err := error(nil); err == nil; {
				conn.SetReadDeadline(time.Now().Add(knockMost))
				_, err = conn.Read(make([]byte, 64))
			}
			d.tell(ctx, -1)
		})
	}
}

func (d *door) tell(ctx context.Context, change int) bool {
	select {
	case d.came <- change:
		return true
	case <-ctx.Done():
		return false
	}
}

// ours says whether the other end runs as the daemon's user or as root: the
// mode of a socket is set only after it can be connected to.
func ours(conn net.Conn) bool {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || failed != nil {
		return false
	}
	return peer.Uid == 0 || int(peer.Uid) == os.Geteuid()
}
