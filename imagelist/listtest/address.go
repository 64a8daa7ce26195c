package listtest

import (
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
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		taken, err := net.Listen("unix", fmt.Sprintf("@vouch-test-port-%d", port))
		if err != nil {
			continue
		}
		t.Cleanup(func() { taken.Close() })
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
