package cache_test

import (
	"testing"

	"vouch/cache"
	"vouch/cache/cachetest"
)

// open opens a cache that is closed when the test ends.
func open(t *testing.T, dir string, o cache.Options) *cache.Store {
	t.Helper()
	s, err := cache.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// empty is a new cache with the default options.
func empty(t *testing.T) *cache.Store {
	t.Helper()
	return open(t, t.TempDir(), cache.Options{GID: -1})
}

func TestContract(t *testing.T) {
	for _, mode := range []cache.Mode{cache.Hardlink, cache.Copy} {
		t.Run(string(mode), func(t *testing.T) {
			cachetest.Run(t, func(t *testing.T) *cache.Store {
				return open(t, t.TempDir(), cache.Options{Publish: mode, GID: -1})
			})
		})
	}
}

func TestContractReflink(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) *cache.Store {
		return open(t, cachetest.ReflinkFS(t), cache.Options{Publish: cache.Reflink, GID: -1})
	})
}
