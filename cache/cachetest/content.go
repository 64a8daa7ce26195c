// Package cachetest is the contract of a cache.Store as a test suite, with
// the faults that file systems and their users commit.
package cachetest

import (
	"bytes"
	"crypto/sha512"
	"math/rand/v2"
	"testing"

	"vouch/cache"
)

// Content is n bytes that differ from those of any other seed. The same seed
// has the same bytes, however many are asked for.
func Content(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// DigestOf is the SHA-512 of b.
func DigestOf(b []byte) cache.Digest { return sha512.Sum512(b) }

// Ingest puts content into the store and returns its digest and Stamp.
func Ingest(t testing.TB, s *cache.Store, content []byte) (cache.Digest, cache.Stamp) {
	t.Helper()
	d := DigestOf(content)
	return d, IngestAs(t, s, d, content)
}

// IngestAs is Ingest for content whose digest is known.
func IngestAs(t testing.TB, s *cache.Store, d cache.Digest, content []byte) cache.Stamp {
	t.Helper()
	p, err := s.Begin(d, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.ReadFrom(bytes.NewReader(content[p.Offset():])); err != nil {
		t.Fatal(err)
	}
	stamp, err := p.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stamp
}
