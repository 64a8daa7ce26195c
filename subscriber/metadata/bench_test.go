package metadata

import (
	"path/filepath"
	"testing"
)

// BenchmarkLoad reads 10,000 images of 2.5 KiB, their blobs and 1,000 lists.
func BenchmarkLoad(b *testing.B) {
	db := reopen(b, filepath.Join(b.TempDir(), "metadata"))
	fillStore(b, db, 10_000, 1_000)
	closed(b, db)
	db = reopen(b, db.dir)
	for b.Loop() {
		if s := loaded(b, db); len(s.Images) != 10_000 {
			b.Fatalf("%d images", len(s.Images))
		}
	}
}

// BenchmarkOpen opens and closes the same store.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "metadata")
	db := reopen(b, dir)
	fillStore(b, db, 10_000, 1_000)
	closed(b, db)
	for b.Loop() {
		db := reopen(b, dir)
		b.StopTimer()
		closed(b, db)
		b.StartTimer()
	}
}

// BenchmarkUpdate writes one image row per transaction.
func BenchmarkUpdate(b *testing.B) {
	db := reopen(b, filepath.Join(b.TempDir(), "metadata"))
	i := image("list", "image", 2000)
	for b.Loop() {
		i.Mismatch++
		update(b, db, func(tx *Tx) { tx.PutImage(i) })
	}
}

// BenchmarkUpdateBatch rewrites 10,000 images in batches of MaxTx.
func BenchmarkUpdateBatch(b *testing.B) {
	db := reopen(b, filepath.Join(b.TempDir(), "metadata"))
	n := 0
	for b.Loop() {
		n++
		for next := 0; next < 10_000; {
			update(b, db, func(tx *Tx) {
				for ; next < 10_000 && tx.Size() < MaxTx; next++ {
					i := image("list", identifier("i", next), 2000)
					i.Mismatch = n
					tx.PutImage(i)
				}
			})
		}
	}
}
