package metadata

import (
	"crypto/sha512"
	"fmt"
	"strings"
	"testing"
	"time"

	"vouch/cache"
	"vouch/subscriber/event"
)

var instant = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)

// image is a row with about size bytes of JSON.
func image(list, id string, size int) *Image {
	return &Image{
		Entry: event.Image{
			Identifier: id, List: list, Subscription: "vo", Title: "a title", Version: "1.2.3",
			Description: strings.Repeat("d", size/3), OS: "Linux", Arch: "x86_64", Size: 1 << 30,
			SHA512: digest(id).String(), URI: "https://images.example.org/" + id,
			Path: "endorsed/" + id, AvailableSince: instant, Expires: instant.AddDate(1, 0, 0),
			Metadata: []byte(`{"ad:group":"` + strings.Repeat("m", size/3) + `"}`),
		},
		Published:   true,
		Message:     digest(list).String(),
		Name:        cache.Stamp{Ino: 42, Size: 1 << 30, Mtime: 1772600767000000089, Mode: 0o444},
		Available:   17,
		AvailableAt: instant,
	}
}

func digest(s string) cache.Digest { return sha512.Sum512([]byte(s)) }

func identifier(kind string, n int) string {
	return fmt.Sprintf("%s-%08d-4d3c-8a7b-0123456789ab", kind, n)
}

// fillStore stores a large site: lists of images of 2.5 KiB, and their blobs.
func fillStore(tb testing.TB, db *DB, images, lists int) {
	tb.Helper()
	next := 0
	for next < images {
		update(tb, db, func(tx *Tx) {
			for ; next < images && tx.Size() < MaxTx; next++ {
				list, id := identifier("l", next%lists), identifier("i", next)
				tx.PutImage(image(list, id, 2000))
				tx.PutBlob(digest(id), &Blob{Size: 1 << 30, Stamp: cache.Stamp{Ino: uint64(next)}, Checked: instant})
				if next < lists {
					tx.PutList(&List{Entry: event.List{Identifier: list, Expires: instant}, Message: "m"})
				}
			}
		})
	}
}

func update(tb testing.TB, db *DB, fn func(*Tx)) {
	tb.Helper()
	if err := db.Update(fn); err != nil {
		tb.Fatal(err)
	}
}

func reopen(tb testing.TB, dir string) *DB {
	tb.Helper()
	db, err := Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}

func loaded(tb testing.TB, db *DB) *Snapshot {
	tb.Helper()
	s, err := db.Load()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func closed(tb testing.TB, db *DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
}
