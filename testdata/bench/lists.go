package main

import (
	"os/exec"
	"path/filepath"
	"time"
)

// verify is the judgement on the largest list there may be.
func (b *bench) verify() error {
	if err := b.small(); err != nil {
		return err
	}
	list := filepath.Join(b.world.www, allImages)
	medians, err := b.inTurn(
		func() (cost, error) {
			return b.measure(exec.CommandContext(b.ctx, "openssl", "cms", "-verify", "-in", list, "-CAfile", b.world.ca, "-out", "/dev/null"))
		},
		func() (cost, error) {
			return b.measure(exec.CommandContext(b.ctx, b.vouch, "publisher", "verify", list, "--anchors", b.world.anchors))
		},
	)
	if err != nil {
		return err
	}
	openssl, vouch := medians[0], medians[1]
	times := ratio(vouch.wall, openssl.wall)
	b.add(times <= 2, "verify and parse a list of 10000 images: time to openssl cms -verify", "<= 2", "%.2f (%d ms to %d ms, %d MiB)",
		times, vouch.wall.Milliseconds(), openssl.wall.Milliseconds(), vouch.peak>>20)
	return nil
}

// read is what people and scripts ask most.
func (b *bench) read() error {
	for _, site := range []struct {
		lists int
		what  string
	}{{0, "10000 images of one list: vouch "}, {lists, "10000 images of 1000 lists: vouch "}} {
		s, err := b.populated(site.lists)
		if err != nil {
			return err
		}
		medians, err := b.inTurn(
			func() (cost, error) { return s.run("status") },
			func() (cost, error) { return s.run("image", "ls") },
		)
		if err != nil {
			return err
		}
		for i, words := range []string{"status", "image ls"} {
			wall := medians[i].wall
			b.add(wall <= 100*time.Millisecond, site.what+words, "<= 100 ms", "%d ms, %d MiB", wall.Milliseconds(), medians[i].peak>>20)
		}
	}
	return nil
}
