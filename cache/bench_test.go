package cache_test

import (
	"bytes"
	"crypto/sha512"
	"io"
	"os"
	"testing"

	"vouch/cache"
	"vouch/cache/cachetest"
)

const benchSize = 256 << 20

// BenchmarkHashAlone is what nothing that verifies can beat.
func BenchmarkHashAlone(b *testing.B) {
	content := cachetest.Content(1, benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		h := sha512.New()
		io.CopyBuffer(h, struct{ io.Reader }{bytes.NewReader(content)}, make([]byte, 512<<10))
		h.Sum(nil)
	}
}

// BenchmarkIngest ends with the blob on disk. On a disk slower than SHA-512,
// compare it with BenchmarkWriteAlone.
func BenchmarkIngest(b *testing.B) {
	content := cachetest.Content(1, benchSize)
	d := cachetest.DigestOf(content)
	s, err := cache.Open(benchDir(b), cache.Options{GID: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetBytes(benchSize)
	for b.Loop() {
		cachetest.IngestAs(b, s, d, content)
		b.StopTimer()
		s.RemoveBlob(d)
		b.StartTimer()
	}
}

// BenchmarkWriteAlone is the same bytes to the same disk, neither hashed nor
// reserved.
func BenchmarkWriteAlone(b *testing.B) {
	content := cachetest.Content(1, benchSize)
	dir := benchDir(b)
	b.SetBytes(benchSize)
	for b.Loop() {
		f, err := os.Create(dir + "/f")
		if err != nil {
			b.Fatal(err)
		}
		f.Write(content)
		f.Sync()
		f.Close()
		b.StopTimer()
		os.Remove(dir + "/f")
		b.StartTimer()
	}
}

// benchDir is in VOUCH_BENCH_DIR, to measure another file system.
func benchDir(b *testing.B) string {
	dir, err := os.MkdirTemp(os.Getenv("VOUCH_BENCH_DIR"), "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
