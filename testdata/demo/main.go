// Command demo shows vouch's main job end to end, on one machine and without
// anything installed but Go: an endorser signs and publishes a list of images; a
// site subscribes, gets verified copies, follows an update and a revocation, runs
// the daemon, which acts on the next revocation in seconds and lets go of
// everything when the list expires; the endorser's history shows what was edited
// in it.
//
//	go run ./testdata/demo [-vouch bin/vouch]
//
// Every command is shown as a person would type it, with what it really
// printed. What should have come of it is checked, and the first thing that is
// not so ends the demonstration with exit 1. It takes about forty seconds,
// leaves no process behind, and keeps everything it made in one temporary
// directory, which it names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"vouch/imagelist"
	"vouch/testdata/demo/pki"
)

func main() {
	vouch := flag.String("vouch", "", "the `program` to show; without it, it is built")
	handlers := flag.String("handlers", "etc/handlers", "`directory` of the sample handlers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *vouch, *handlers)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "demo: interrupted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run sets the stage in a temporary directory and tells the story there.
func run(ctx context.Context, vouch, handlers string) error {
	dir, err := os.MkdirTemp("", "vouch-demo-")
	if err != nil {
		return err
	}
	fmt.Printf("Everything happens in %s; afterwards: rm -r %[1]s\n", dir)
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := provide(ctx, vouch, filepath.Join(bin, "vouch")); err != nil {
		return err
	}
	const sample = "vmcatcher-eventhndl"
	script, err := os.ReadFile(filepath.Join(handlers, sample))
	if err != nil {
		return fmt.Errorf("sample handler: %w (run this in the root of the repository)", err)
	}
	if err := os.WriteFile(filepath.Join(bin, sample), script, 0o755); err != nil {
		return err
	}
	alice, err := pki.New(time.Now())
	if err != nil {
		return err
	}
	www, err := serve(filepath.Join(dir, "www"))
	if err != nil {
		return err
	}
	defer www.stop()
	t := story{shell: &shell{ctx: ctx, dir: dir, bin: bin}, alice: alice, web: www, images: map[imagelist.ImageID][]byte{}, free: func() {}}
	defer func() { t.free() }()
	defer t.hush()
	return t.tell()
}

// provide puts the program under the name by which it is called, built if
// nobody did so before.
func provide(ctx context.Context, vouch, name string) error {
	if vouch != "" {
		from, err := filepath.Abs(vouch)
		if err != nil {
			return err
		}
		if _, err := os.Stat(from); err != nil {
			return fmt.Errorf("%w (make build makes it)", err)
		}
		return os.Symlink(from, name)
	}
	out, err := exec.CommandContext(ctx, "go", "build", "-o", name, "./cmd/vouch").CombinedOutput()
	if err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}
