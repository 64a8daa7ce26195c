package subscriber_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vouch/cache"
	"vouch/subscriber"
	"vouch/subscriber/subscribertest"
)

// max_size is never exceeded: the oldest expired bytes go first, then the
// download is refused before it starts.
func TestT24_Quota(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Cache.MaxSize = 100
	w.Publish("1.0", image{ID: "a", Content: strings.Repeat("a", 60)})
	expectExit(t, w.Sync(), 0)
	w.Publish("1.1", image{ID: "b", Content: strings.Repeat("b", 70)})
	rep := w.SyncAt(w.At.Add(time.Minute)) // a is withdrawn, then pruned for b
	expectExit(t, rep, 0)
	expect(t, rep, "b", "available")
	w.Publish("1.2", image{ID: "b", Content: strings.Repeat("b", 70)}, image{ID: "c", Content: strings.Repeat("c", 60)}, image{ID: "d", Content: "small"})
	rep = w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 3)
	expect(t, rep, "c", "failed over-quota")
	expect(t, rep, "d", "available")
	expect(t, rep, "b", "unchanged")
}

// min_free is respected before a download starts.
func TestT24_MinFree(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Cache.MinFree = 1 << 60
	w.Publish("1.0", image{ID: "a", Content: "alpha"})
	rep := w.Sync()
	expectExit(t, rep, 3)
	expect(t, rep, "a", "failed no-space")
	if w.Bytes.Load() != 0 {
		t.Error("it was downloaded all the same")
	}
}

// Bytes that were pruned to make room leave nothing behind that a later run
// could miss.
func TestT24_PrunedForRoom(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	w.Config.Cache.MaxSize = 10
	w.Publish("1.0", image{ID: "a", Content: "alphaaaa"})
	expectExit(t, w.Sync(), 0)
	w.Publish("1.1")
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
	w.Publish("1.2", image{ID: "b", Content: "betaaaaa"})
	for i := range 3 {
		expectExit(t, w.SyncAt(w.At.Add(time.Duration(i+2)*time.Minute)), 0)
	}
	if n := len(blobs(t, w)); n != 1 || w.Read("b") != "betaaaaa" {
		t.Errorf("%d blobs, b=%q", n, w.Read("b"))
	}
	w.Check()
}

// Withdrawn bytes that the same run publishes again are not pruned to make
// room for others.
func TestT24_NoRoomFromWhatComesBack(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	w.Config.Cache.MaxSize = 10
	w.Publish("1.0", image{ID: "a", Content: "alphaaaa"})
	expectExit(t, w.Sync(), 0)
	w.Publish("1.1")
	expectExit(t, w.SyncAt(w.At.Add(time.Minute)), 0)
	w.Publish("1.2", image{ID: "a", Content: "alphaaaa"}, image{ID: "b", Content: "betaaaaa"})
	rep := w.SyncAt(w.At.Add(2 * time.Minute))
	expectExit(t, rep, 3)
	expect(t, rep, "a", "available")
	expect(t, rep, "b", "failed over-quota")
	w.Check()
}

// What a cut download holds already is not asked for a second time: the image
// fits when its rest does.
func TestT24_ResumedDownloadFits(t *testing.T) {
	t.Parallel()
	w := subscribertest.New(t)
	w.Config.Cache.MaxSize = 6 << 20
	w.Config.Fetch.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	body := strings.Repeat("x", 4<<20)
	var asked atomic.Int64
	cut := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("ETag", `"x"`)
		switch asked.Add(1) {
		case 1: // most of it, and the connection is closed
			rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
			fmt.Fprint(rw, body[:len(body)-1024])
			panic(http.ErrAbortHandler)
		case 2: // not tried again in the same run
			http.NotFound(rw, req)
		default:
			http.ServeContent(rw, req, "", time.Time{}, strings.NewReader(body))
		}
	}))
	t.Cleanup(cut.Close)
	w.Publish("1.0", image{ID: "a", Content: body, Set: map[string]any{"hv:uri": cut.URL + "/a"}})
	rep := w.Sync()
	expect(t, rep, "a", "failed fetch")
	rep = w.SyncAt(w.At.Add(time.Minute))
	expectExit(t, rep, 0)
	expect(t, rep, "a", "available")
	if rep.Images[0].ResumedFrom == 0 {
		t.Error("downloaded from the beginning")
	}
}

// A published copy counts beside the bytes it was made from.
func TestT24_CopiesCount(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Cache.MaxSize = 10
	w.Config.Cache.Publish = cache.Copy
	w.Publish("1.0", image{ID: "a", Content: "alphaaaa"})
	rep := w.Sync()
	expectExit(t, rep, 3)
	expect(t, rep, "a", "failed over-quota")
	expectUsage(t, w, 0)
}

// Adopting files is no way around max_size.
func TestT24_Adopt(t *testing.T) {
	w := subscribertest.New(t)
	w.Config.Cache.MaxSize = 4
	w.Publish("1.0", image{ID: "a", Content: "alphaaaa"})
	old := t.TempDir()
	must(t, os.WriteFile(filepath.Join(old, "x"), []byte("alphaaaa"), 0o644))
	rep, err := subscriber.Adopt(context.Background(), w.Config, subscriber.Options{At: w.At}, []string{old}, cache.AdoptCopy, false)
	must(t, err)
	if len(rep.Adopted) != 0 || len(rep.Skipped) != 1 || !strings.Contains(rep.Skipped[0].Detail, "over-quota") {
		t.Errorf("%+v", rep)
	}
	expectUsage(t, w, 0)
}

func expectUsage(t *testing.T, w *subscribertest.World, want int64) {
	t.Helper()
	s, err := subscriber.ReadStatus(w.Config.StateDir)
	must(t, err)
	if got := s.Cache.Usage.Bytes(); got != want {
		t.Errorf("the cache holds %d bytes, want %d", got, want)
	}
}
