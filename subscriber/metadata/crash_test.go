package metadata

import (
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	crashKills = 20
	crashRows  = 40
)

// writeChild checks what it finds, then writes transactions for ever, each of
// which changes every row, and says the Seq of each after it is durable.
func writeChild(dir string) error {
	db, err := Open(dir)
	if err != nil {
		return err
	}
	s, err := db.Load()
	if err != nil {
		return err
	}
	if err := whole(s); err != nil {
		return err
	}
	for n := s.Meta.Seq + 1; ; n++ {
		if err := db.Update(func(tx *Tx) { wholeTx(tx, n) }); err != nil {
			return err
		}
		fmt.Println(db.Seq())
	}
}

// wholeTx leaves n in every row, and one event, n.
func wholeTx(tx *Tx, n uint64) {
	for r := range crashRows {
		i := image("list", identifier("i", r), 2000)
		i.Available = n
		tx.PutImage(i)
	}
	tx.PutEvent(&Event{Number: n})
	tx.DeleteEvent(n - 1)
	tx.PutMeta(Meta{NextEvent: n})
}

// whole says whether s is what some number of wholeTx leaves.
func whole(s *Snapshot) error {
	n := s.Meta.Seq
	if n == 0 {
		return nil
	}
	if s.Meta.NextEvent != n || len(s.Events) != 1 || s.Events[n] == nil || len(s.Images) != crashRows {
		return fmt.Errorf("transaction %d: next event %d, %d events, %d images", n, s.Meta.NextEvent, len(s.Events), len(s.Images))
	}
	for k, i := range s.Images {
		if i.Available != n {
			return fmt.Errorf("transaction %d: %v is of %d", n, k, i.Available)
		}
	}
	return nil
}

func TestT07_KilledWhileWriting(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "metadata")
	var acknowledged uint64
	for range crashKills {
		acknowledged = writeAndKill(t, dir, acknowledged)
	}
	db := reopen(t, dir)
	s := loaded(t, db)
	if err := whole(s); err != nil {
		t.Error(err)
	}
	if s.Meta.Seq < acknowledged {
		t.Errorf("transaction %d was acknowledged, %d is there", acknowledged, s.Meta.Seq)
	}
}

// writeAndKill is one life of a writer: it must begin after the transactions
// acknowledged before. It returns the last one it acknowledged itself.
func writeAndKill(t *testing.T, dir string, acknowledged uint64) uint64 {
	t.Helper()
	c := start(t, "write", dir)
	first := number10(t, c.line(t))
	if first <= acknowledged {
		t.Fatalf("transaction %d was acknowledged, then came %d", acknowledged, first)
	}
	last := first
	time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { c.Process.Kill() })
	for c.lines.Scan() {
		last = number10(t, c.lines.Text())
	}
	c.Wait()
	return last
}

func number10(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func holdChild(dir string) error {
	if _, err := Open(dir); err != nil {
		return err
	}
	fmt.Println("open")
	select {}
}

func TestF14_SecondOpener(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "metadata")
	holder := start(t, "hold", dir)
	holder.line(t)
	for range 3 { // being refused is no attempt that died
		if _, err := Open(dir); !errors.Is(err, ErrLocked) {
			t.Fatalf("second opener: %v", err)
		}
	}
	if _, err := Aside(dir, instant); !errors.Is(err, ErrLocked) {
		t.Fatalf("aside while open: %v", err)
	}
	holder.Process.Kill()
	holder.Wait()
	loaded(t, reopen(t, dir))
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Fatalf("second opener in one process: %v", err)
	}
}

// dieChild dies while opening: the way log.Fatal inside badger would have it,
// or by a panic in a goroutine; or it is killed.
func dieChild(dir string) error {
	dir, how, _ := strings.Cut(dir, "?")
	if _, err := Open(dir); err != nil {
		return err
	}
	switch how {
	case "fatal":
		log.Fatal("an assertion of badger's")
	case "panic":
		go panic("a fault in a goroutine of badger's")
		select {}
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func die(t *testing.T, dir, how string) {
	t.Helper()
	c := start(t, "die", dir+"?"+how)
	if c.lines.Scan(); c.Wait() == nil {
		t.Fatal("child lived")
	}
}

func TestF13_CrashesWhileOpening(t *testing.T) {
	for _, how := range []string{"fatal", "panic"} {
		t.Run(how, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "metadata")
			for range maxCrashes {
				die(t, dir, how)
			}
			if _, err := Open(dir); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("after %d crashes: %v", maxCrashes, err)
			}
			if _, err := Aside(dir, instant); err != nil {
				t.Fatal(err)
			}
			loaded(t, reopen(t, dir))
		})
	}
}

// F-01: kills are no damage, however many; nor is one crash.
func TestF01_KilledWhileOpening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "metadata")
	for range 3 {
		die(t, dir, "panic")
		for range 3 {
			die(t, dir, "kill")
		}
		db := reopen(t, dir)
		loaded(t, db)
		closed(t, db)
	}
}

// F-01: killed between creating a log and giving it its size.
func TestF01_KilledWhileCreatingALog(t *testing.T) {
	_, killed, held := victim(t)
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		if err := os.WriteFile(filepath.Join(killed, tree, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := loaded(t, reopen(t, killed))
	if want, ok := held[s.Meta.Seq]; !ok || sumOf(s) != want {
		t.Errorf("transaction %d: other content", s.Meta.Seq)
	}
}
