package main_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	kills    = 110 // of each run of TestF01_Kills
	killIDs  = 6
	killTime = 10 * time.Minute // gives up on more kills after this long
)

// killWorld is what TestF01_Kills knows beside the site itself.
type killWorld struct {
	*site
	rng      *rand.Rand
	version  int
	now      map[string]string // identifier to content, as published now
	signed   map[string]bool   // "identifier digest" of everything that was ever signed
	distinct int64             // bytes of all distinct contents
	since    map[string]int    // identifier to the version since which every list has it
	here     map[string]bool   // identifiers that were published under one of those
	left     map[string]int    // identifier to the last version that left it out
}

// next publishes another version: images come, go and change.
func (k *killWorld) next() {
	k.version++
	var images []picture
	for n := range killIDs {
		id := fmt.Sprintf("image-%d", n)
		switch old := k.now[id]; {
		case old != "" && k.rng.IntN(3) == 0: // stays as it is
		case k.rng.IntN(4) == 0:
			delete(k.now, id)
			delete(k.here, id)
			k.left[id] = k.version
			continue
		default:
			if old == "" {
				k.since[id] = k.version
			}
			content := make([]byte, 1<<20+k.rng.IntN(3<<20))
			for i := 0; i < len(content); i += 4096 { // enough to differ everywhere
				copy(content[i:], fmt.Sprint(id, k.version, i))
			}
			k.now[id] = string(content)
			k.distinct += int64(len(content))
		}
		images = append(images, picture{id, k.now[id], nil})
		k.signed[id+" "+sha512Hex(k.now[id])] = true
	}
	k.publish(k.draft(fmt.Sprint(k.version), images...))
}

func sha512Hex(content string) string {
	sum := sha512.Sum512([]byte(content))
	return hex.EncodeToString(sum[:])
}

// accepted is the version of the list that the index is about.
func (k *killWorld) accepted() (version int) {
	for _, l := range k.index().Lists {
		fmt.Sscan(l.Version, &version)
	}
	return version
}

// check looks at the site as it was left by a kill.
func (k *killWorld) check() {
	k.T.Helper()
	k.checkBytes(k.signed)
	names, _ := os.ReadDir(k.path("cache", "endorsed"))
	have, accepted := map[string]bool{}, k.accepted()
	for _, n := range names {
		have[n.Name()] = true
		if k.now[n.Name()] != "" && accepted >= k.since[n.Name()] {
			k.here[n.Name()] = true
		}
	}
	for id := range k.here {
		if !have[id] {
			k.T.Errorf("endorsed/%s is gone, and no list ever left it out", id)
		}
	}
}

// heard is what a handler was told, in order, each event once.
func (k *killWorld) heard(log string) []loggedEvent {
	k.T.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		k.T.Fatal(err)
	}
	var all []loggedEvent
	seen := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		var e loggedEvent
		if json.Unmarshal([]byte(line), &e) != nil || seen[e.ID] {
			continue // told while vouch was killed, or told again
		}
		seen[e.ID] = true
		all = append(all, e)
	}
	return all
}

// TestF01_Kills kills the program at random moments of its work, a hundred
// times and more, while the publisher goes on. After each kill: I1, a
// readable index that is true, no image gone that nobody withdrew. At the end:
// everything as if nothing had happened.
func TestF01_Kills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	seed := uint64(time.Now().UnixNano())
	k := &killWorld{site: newSite(t), rng: rand.New(rand.NewPCG(seed, 1)), now: map[string]string{}, signed: map[string]bool{}, since: map[string]int{}, here: map[string]bool{}, left: map[string]int{}}
	k.revoked = func(id string) bool { return k.left[id] >= k.accepted() }
	k.section("cache")["keep_expired"] = "1s" // so that pruning is interrupted, too
	log := func(name string) string { return k.path(name + ".log") }
	record := func(name string) string { return `told=$(cat); printf '%s\n' "$told" >>` + log(name) + "\n" }
	k.handler("plain", record("plain"), object{"events": []string{"image.*"}})
	k.handler("second", record("second"), object{"events": []string{"image.*"}})
	k.handler("legacy", `[ -z "$VMCATCHER_EVENT_DC_IDENTIFIER" ] || echo "$VMCATCHER_EVENT_TYPE $VMCATCHER_EVENT_DC_IDENTIFIER $VMCATCHER_EVENT_SL_CHECKSUM_SHA512" >>`+log("legacy")+"\n",
		object{"vmcatcher": true})
	k.next()
	k.sync(0)
	k.next()
	begun := time.Now()
	k.sync(0)
	full := time.Since(begun)
	k.check()

	killed, finished := 0, 0
	begun = time.Now()
	for killed < kills && time.Since(begun) < killTime {
		if finished > 0 || k.rng.IntN(2) == 0 {
			k.next()
			finished = 0
		}
		var stderr bytes.Buffer
		cmd := k.command("sync")
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(k.rng.Int64N(int64(full))), func() { cmd.Process.Kill() })
		started := time.Now()
		if cmd.Wait(); cmd.ProcessState.ExitCode() == -1 {
			killed++
		} else {
			finished++
			full = time.Since(started) // the machine may be faster or slower than it was
		}
		if strings.Contains(stderr.String(), "rebuil") {
			t.Errorf("a kill cost the metadata: %s", stderr.String())
		}
		if k.check(); killed%10 == 0 {
			k.expect(0, []string{"status"}, `(?m)^main `)
			k.expect(0, []string{"image", "ls"})
		}
		if t.Failed() {
			t.Fatalf("after %d kills, seed %d", killed, seed)
		}
	}
	t.Logf("%d kills in %v, version %d, a whole run takes %v, seed %d", killed, time.Since(begun).Round(time.Second), k.version, full.Round(time.Millisecond), seed)
	if killed < 100 {
		t.Errorf("only %d kills", killed)
	}
	k.finish(killed)
}

// finish lets one run come to its end and checks that it mends everything.
func (k *killWorld) finish(killed int) {
	t := k.T
	k.sync(0)
	time.Sleep(1100 * time.Millisecond) // keep_expired
	rep := k.sync(0)
	if rep.Events.Pending != 0 {
		t.Errorf("%d events are pending", rep.Events.Pending)
	}
	k.check()
	x := k.index()
	for _, i := range x.Images {
		if k.now[i.Identifier] == "" || sha512Hex(k.now[i.Identifier]) != i.SHA512 || i.Stale || sha512Hex(k.endorsed(i.Identifier)) != i.SHA512 {
			t.Errorf("index: %s is not what the last list says", i.Identifier)
		}
	}
	if names, _ := os.ReadDir(k.path("cache", "endorsed")); len(x.Images) != len(k.now) || len(names) != len(k.now) {
		t.Errorf("%d images in the index, %d names, want %d", len(x.Images), len(names), len(k.now))
	}
	k.noOrphans()
	k.nobodyMissedAnything()
	if most := k.distinct + int64(killed)*(16<<20); k.pub.sent.Load() > most {
		t.Errorf("%d bytes were sent, want at most %d", k.pub.sent.Load(), most)
	}
	k.publish(k.draft("0.1"))
	if rep := k.sync(3); rep.Lists[0].Reason != "version-rollback" || len(k.index().Images) != len(k.now) {
		t.Errorf("an older list: %+v", rep.Lists)
	}
	k.expect(0, []string{"cache", "check"}, "0 corrupt, 0 missing")
}

// noOrphans: nothing half-made is left, and no blob that nobody names.
func (k *killWorld) noOrphans() {
	k.T.Helper()
	named := map[string]bool{}
	for _, i := range k.index().Images {
		named[filepath.Base(i.Blob)] = true
	}
	for _, w := range k.index().Withdrawn {
		named[w.SHA512] = true
	}
	for _, root := range []string{k.path("cache"), k.path("state")} {
		if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			orphan := strings.Contains(path, "/partial/") || strings.Contains(d.Name(), "tmp") || strings.Contains(path, "/blobs/") && !named[d.Name()]
			if orphan {
				k.T.Errorf("left behind: %s", path)
			}
			return nil
		}); err != nil {
			k.T.Error(err)
		}
	}
}

// withdrawals are the events that take an image's bytes back.
var withdrawals = map[string]bool{
	"image.superseded": true, "image.expired": true, "image.revoked": true, "image.blocked": true, "image.deselected": true, "image.corrupt": true,
	"ExpirePostfix": true,
}

// nobodyMissedAnything: what is published was told to every handler, and so
// was the end of everything whose beginning it was told.
func (k *killWorld) nobodyMissedAnything() {
	k.T.Helper()
	k.events() // ascending, unique, whole
	want := map[string]bool{}
	for id, content := range k.now {
		want[id+" "+sha512Hex(content)] = true
	}
	told := map[string][]loggedEvent{"plain": k.heard(k.path("plain.log")), "second": k.heard(k.path("second.log")), "the event log": k.events(), "legacy": nil}
	data, err := os.ReadFile(k.path("legacy.log"))
	if err != nil {
		k.T.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 {
			e := loggedEvent{Type: f[0], Subject: f[1]}
			e.Data.SHA512 = f[2]
			told["legacy"] = append(told["legacy"], e)
		}
	}
	for who, all := range told {
		have, saw := map[string]bool{}, 0
		for _, e := range all {
			key := e.Subject + " " + e.Data.SHA512
			if e.Type == "image.available" || e.Type == "AvailablePostfix" {
				have[key] = true
				saw++
			} else if withdrawals[e.Type] {
				delete(have, key)
			}
		}
		for key := range want {
			if !have[key] {
				k.T.Errorf("%s never heard that %.60s is available", who, key)
			}
		}
		for key := range have {
			if !want[key] {
				k.T.Errorf("%s never heard that %.60s has left", who, key)
			}
		}
		if saw < len(want) {
			k.T.Errorf("%s heard of only %d images", who, saw)
		}
	}
}

// TestF01_KillWhileRebuilding kills the program while it rebuilds a lost state.
func TestF01_KillWhileRebuilding(t *testing.T) {
	s := newSite(t)
	signed := map[string]bool{}
	var images []picture
	for n := range 20 {
		i := picture{fmt.Sprintf("image-%d", n), strings.Repeat(fmt.Sprint("bytes ", n), 50000), nil}
		images = append(images, i)
		signed[i.id+" "+sha512Hex(i.content)] = true
	}
	s.publish(s.draft("7", images...))
	s.sync(0)
	sent := s.pub.sent.Load()
	for round := range 12 {
		if round%4 == 0 {
			if err := os.RemoveAll(s.path("state")); err != nil {
				t.Fatal(err)
			}
		}
		cmd := s.command("sync")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+rand.IntN(80)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		s.checkBytes(signed)
		if n := len(s.index().Images); n != len(images) {
			t.Fatalf("round %d: %d images in the index", round, n)
		}
	}
	s.sync(0)
	s.sync(0)
	if s.pub.sent.Load() != sent {
		t.Errorf("%d bytes were downloaded again", s.pub.sent.Load()-sent)
	}
	s.publish(s.draft("6", images...))
	if rep := s.sync(3); rep.Lists[0].Reason != "version-rollback" {
		t.Errorf("the floor was lost: %+v", rep.Lists)
	}
}
