package cachetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vouch/cache"
)

// at is an instant west of Greenwich, so that local time would show.
var at = time.Date(2026, 11, 23, 20, 30, 5, 0, time.FixedZone("", -2*3600))

const (
	name = "a2a35c5e-3f3a-4b4c-9d2e-000000000001"
	kept = "expired/" + name + ".2026-11-23_22-30-05"
)

func testNames(t *testing.T, s *cache.Store) {
	d, _ := Ingest(t, s, Content(1, 1000))
	for _, good := range []string{"a", "0", "A.b_c-d", "x..", strings.Repeat("a", 128)} {
		if !cache.Name(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{
		"", ".", "..", "...", ".a", "-a", "_a", "../a", "a/b", "/a", "a/", "a\\b", "a\x00b", "a\nb", "a b", "a\n",
		"é", "a;b", "$(a)", "templates", strings.Repeat("a", 129), "../blobs/sha512/" + d.String(),
	} {
		if cache.Name(bad) {
			t.Errorf("%q is accepted", bad)
		}
		for verb, err := range useName(s, bad, d) {
			if !errors.Is(err, cache.ErrName) {
				t.Errorf("%s %q: got error %v, want ErrName", verb, bad, err)
			}
		}
	}
	for _, bad := range []string{
		"", "expired", "expired/", "expired/x", "expired/../" + kept, "endorsed/" + name, "/" + kept, kept + "/x",
		kept + "-0", kept + "\n", cache.BlobPath(d), "expired/../index.json.2026-11-23_22-30-05",
	} {
		wantErr(t, s.RemoveExpired(bad), cache.ErrName)
		wantErr(t, s.SealExpired(bad), cache.ErrName)
	}
	if foreign, err := s.Foreign(); err != nil || len(foreign) > 0 {
		t.Errorf("made %q (%v)", foreign, err)
	}
}

// useName calls everything that takes a name.
func useName(s *cache.Store, name string, d cache.Digest) map[string]error {
	errs := map[string]error{
		"Unstage":    s.Unstage(name),
		"WriteList":  s.WriteList(name, nil),
		"RemoveList": s.RemoveList(name),
	}
	_, errs["Publish"] = s.Publish(name, d)
	_, errs["NameStamp"] = s.NameStamp(name)
	_, errs["Unpublish"] = s.Unpublish(name, at)
	_, errs["Retain"] = s.Retain(name, d, at)
	_, errs["Stage"] = s.Stage(name, d)
	_, errs["ReadList"] = s.ReadList(name)
	return errs
}

func testPublish(t *testing.T, s *cache.Store) {
	first, second := Content(1, 700_000), Content(2, 300_000)
	d1, _ := Ingest(t, s, first)
	d2, _ := Ingest(t, s, second)
	_, err := s.Publish(name, DigestOf(nil))
	wantErr(t, err, fs.ErrNotExist)
	wantGone(t, s, cache.EndorsedPath(name))
	// Twice, since recovery does not know whether it was done.
	for _, step := range []struct {
		d       cache.Digest
		content []byte
	}{{d1, first}, {d1, first}, {d2, second}, {d2, second}, {d1, first}} {
		stamp, err := s.Publish(name, step.d)
		must(t, err)
		wantFile(t, s, cache.EndorsedPath(name), step.content)
		wantMode(t, s, cache.EndorsedPath(name), 0o444)
		if now, err := s.NameStamp(name); err != nil || now != stamp {
			t.Errorf("Publish said %+v, NameStamp %+v (%v)", stamp, now, err)
		}
	}
	before, err := s.NameStamp(name)
	must(t, err)
	if again, err := s.Publish(name, d1); err != nil || again != before {
		t.Errorf("publishing what is published changed it: %+v to %+v (%v)", before, again, err)
	}
	must(t, s.Sync())
	wantNoPartials(t, s)
	if names, err := s.Endorsed(); err != nil || len(names) != 1 || names[0] != name {
		t.Errorf("endorsed: %q (%v)", names, err)
	}
	Verify(t, s, d1)
}

func testUnpublish(t *testing.T, s *cache.Store) {
	content := Content(1, 1000)
	d, _ := Ingest(t, s, content)
	if got, err := s.Unpublish(name, at); got != "" || err != nil {
		t.Errorf("no such name: got %q (%v)", got, err)
	}
	for _, want := range []string{kept, kept + "-2", kept + "-3"} {
		_, err := s.Publish(name, d)
		must(t, err)
		got, err := s.Unpublish(name, at)
		must(t, err)
		if got != want {
			t.Errorf("kept as %q, want %q", got, want)
		}
		wantFile(t, s, got, content)
		wantGone(t, s, cache.EndorsedPath(name))
	}
	if got, err := s.Expired(); err != nil || strings.Join(got, " ") != kept+" "+kept+"-2 "+kept+"-3" {
		t.Errorf("expired: %q (%v)", got, err)
	}
	must(t, s.SealExpired(kept))
	wantMode(t, s, kept, 0o400)
	for range 2 {
		must(t, s.RemoveExpired(kept+"-2"))
		wantGone(t, s, kept+"-2")
	}
	_, err := s.NameStamp(name)
	wantErr(t, err, fs.ErrNotExist)
	must(t, s.Sync())
}

// testRetain is an update: the name is never without bytes, the old ones are
// kept.
func testRetain(t *testing.T, s *cache.Store) {
	first, second := Content(1, 1000), Content(2, 2000)
	d1, _ := Ingest(t, s, first)
	d2, _ := Ingest(t, s, second)
	if got, err := s.Retain(name, DigestOf(nil), at); got != "" || err != nil {
		t.Errorf("nothing to keep: got %q (%v)", got, err)
	}
	_, err := s.Publish(name, d1)
	must(t, err)
	for _, want := range []string{kept, kept + "-2"} {
		got, err := s.Retain(name, d1, at)
		must(t, err)
		if got != want {
			t.Errorf("kept as %q, want %q", got, want)
		}
		wantFile(t, s, want, first)
		wantFile(t, s, cache.EndorsedPath(name), first)
	}
	_, err = s.Publish(name, d2)
	must(t, err)
	wantFile(t, s, kept, first)
	wantFile(t, s, cache.EndorsedPath(name), second)
	wantNoPartials(t, s)
}

func testStage(t *testing.T, s *cache.Store) {
	content := Content(1, 1000)
	d, _ := Ingest(t, s, content)
	for range 2 {
		staged, err := s.Stage(name, d)
		must(t, err)
		if staged != "partial/"+name {
			t.Errorf("staged at %q", staged)
		}
		wantFile(t, s, staged, content)
	}
	must(t, s.RemovePartials(nil))
	wantFile(t, s, "partial/"+name, content) // it is in use
	for range 2 {
		must(t, s.Unstage(name))
		wantNoPartials(t, s)
	}
	_, err := s.Stage(name, DigestOf(nil))
	wantErr(t, err, fs.ErrNotExist)
	wantNoPartials(t, s)
}

func testSeal(t *testing.T, s *cache.Store) {
	d, before := Ingest(t, s, Content(1, 1000))
	for _, step := range []struct {
		do   func(cache.Digest) (cache.Stamp, error)
		mode os.FileMode
	}{{s.Seal, 0o400}, {s.Seal, 0o400}, {s.Unseal, os.FileMode(before.Mode & 0o777)}} {
		stamp, err := step.do(d)
		must(t, err)
		wantMode(t, s, cache.BlobPath(d), step.mode)
		if now, err := s.Stat(d); err != nil || now != stamp {
			t.Errorf("stamp %+v, Stat says %+v (%v)", stamp, now, err)
		}
	}
	_, err := s.Seal(DigestOf(nil))
	wantErr(t, err, fs.ErrNotExist)
}

func testQuarantine(t *testing.T, s *cache.Store) {
	content := Content(1, 1000)
	d, _ := Ingest(t, s, content)
	must(t, s.Quarantine(d))
	_, err := s.Stat(d)
	wantErr(t, err, fs.ErrNotExist)
	wantErr(t, s.Quarantine(d), fs.ErrNotExist)
	wantMode(t, s, filepath.Join("partial", partials(t, s)[0]), 0o400)
	Ingest(t, s, content)
	must(t, s.Quarantine(d)) // a second time replaces the first
	must(t, s.RemovePartials(nil))
	if got, err := s.Quarantined(); err != nil || len(got) != 1 || got[0] != d {
		t.Errorf("quarantined: %v (%v)", got, err)
	}
	must(t, s.PruneQuarantine(time.Now().Add(-time.Hour)))
	if got, _ := s.Quarantined(); len(got) != 1 {
		t.Error("what was put there just now is gone")
	}
	must(t, s.PruneQuarantine(time.Now().Add(time.Minute)))
	wantNoPartials(t, s)
}
