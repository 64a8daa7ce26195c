package listtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress is an address of this machine on which nobody listens, for a
// server that cannot choose a port itself or for one that comes and goes. It
// stays the test's until the test ends: the port is below those that the kernel
// gives to connections and to whoever asks for any (32768 and up), and a socket
// of its name keeps it from other tests.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, free, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(free)
	return address
}

// Reserve is FreeAddress for what is no test: the address is the caller's until
// free, or the end of the process.
func Reserve() (address string, free func(), err error) {
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		taken, err := net.Listen("unix", fmt.Sprintf("@vouch-test-port-%d", port))
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return l.Addr().String(), func() { taken.Close() }, nil
		}
		taken.Close()
	}
	return "", nil, errors.New("no port is free")
}
