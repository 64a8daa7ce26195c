package main

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"vouch/imagelist"
)

// image is one large image, from the server to a published name, on disk.
func (b *bench) image() error {
	size, err := b.large(1, b.size)
	if err != nil {
		return err
	}
	url, copied := b.world.url+"/large-0", filepath.Join(b.dir, "copy")
	medians, err := b.inTurn(
		func() (cost, error) { return b.shell("curl -sf " + url + " | openssl dgst -sha512") },
		func() (cost, error) {
			defer os.Remove(copied)
			return b.shell(fmt.Sprintf("curl -sf -o %s %s && sha512sum %[1]s", copied, url))
		},
		func() (cost, error) { return b.fresh("large-1.list") },
	)
	if err != nil {
		return err
	}
	hash, copyAndHash, vouch := medians[0], medians[1], medians[2]
	what := fmt.Sprintf("one image of %d MiB: ", size>>20)
	toHash, toCopy, work := ratio(vouch.wall, hash.wall), ratio(vouch.wall, copyAndHash.wall), ratio(vouch.cpu, hash.cpu)
	b.add(toHash <= 1.3, what+"time to curl | openssl dgst", "<= 1.3", "%.2f (%.2f s to %.2f s)", toHash, vouch.wall.Seconds(), hash.wall.Seconds())
	b.add(toCopy <= 0.6, what+"time to curl -o && sha512sum", "<= 0.6", "%.2f (%.2f s to %.2f s)", toCopy, vouch.wall.Seconds(), copyAndHash.wall.Seconds())
	b.add(work <= 1.4, what+"processor time to curl | openssl dgst", "<= 1.4", "%.2f (%.2f s to %.2f s)", work, vouch.cpu.Seconds(), hash.cpu.Seconds())
	b.add(vouch.peak <= 128<<20, what+"memory", "<= 128 MiB", "%d MiB", vouch.peak>>20)
	return nil
}

// four is as many large images at once.
func (b *bench) four() error {
	size, err := b.large(4, b.size)
	if err != nil {
		return err
	}
	medians, err := b.inTurn(
		func() (cost, error) { return b.fresh("large-1.list") },
		func() (cost, error) { return b.fresh("large-4.list") },
	)
	if err != nil {
		return err
	}
	one, four := medians[0], medians[1]
	throughput := 4 * ratio(one.wall, four.wall)
	what := fmt.Sprintf("four images of %d MiB at once: ", size>>20)
	b.add(throughput >= 1.4, what+"throughput to that of one", ">= 1.4", "%.2f (%.2f s to %.2f s)", throughput, four.wall.Seconds(), one.wall.Seconds())
	b.add(four.peak <= 128<<20, what+"memory", "<= 128 MiB", "%d MiB", four.peak>>20)
	return nil
}

// endorse is a large image into an endorser's draft: measured, looked into,
// recorded. The file is in memory on both sides, as it is after it was built.
func (b *bench) endorse() error {
	size, err := b.large(1, b.size)
	if err != nil {
		return err
	}
	file, workspace := filepath.Join(b.world.www, "large-0"), filepath.Join(b.dir, "workspace")
	always := []string{"--history-key", filepath.Join(b.dir, "history.key"), "--responsible", "Alice Endorser", "-C", workspace}
	publisher := func(words ...string) (cost, error) {
		return b.measure(exec.CommandContext(b.ctx, b.vouch, append(append([]string{"publisher"}, words...), always...)...))
	}
	if _, err := publisher("init", "--uri", b.world.url+"/endorsed.list", "--title", "Images to measure with"); err != nil {
		return err
	}
	if _, err := b.shell("cat " + file + " >/dev/null"); err != nil {
		return err
	}
	medians, err := b.inTurn(
		func() (cost, error) { return b.shell("sha512sum " + file) },
		func() (cost, error) {
			return publisher("add", file, "--uri", b.world.url+"/large-0", "--title", "Image", "--no-sbom", "made of noise")
		},
	)
	if err != nil {
		return err
	}
	hash, vouch := medians[0], medians[1]
	what := fmt.Sprintf("publisher add of %d MiB: ", size>>20)
	times, work := ratio(vouch.wall, hash.wall), ratio(vouch.cpu, hash.cpu)
	b.add(times <= 1.15, what+"time to sha512sum", "<= 1.15", "%.2f (%.2f s to %.2f s)", times, vouch.wall.Seconds(), hash.wall.Seconds())
	b.add(work <= 1.15, what+"processor time to sha512sum", "<= 1.15", "%.2f (%.2f s to %.2f s)", work, vouch.cpu.Seconds(), hash.cpu.Seconds())
	b.add(vouch.peak <= 128<<20, what+"memory", "<= 128 MiB", "%d MiB", vouch.peak>>20)
	return nil
}

// fresh measures the first sync of a new site, which it removes again.
func (b *bench) fresh(list string) (_ cost, err error) {
	s, err := b.newSite("fresh", list)
	if err != nil {
		return cost{}, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	syscall.Sync() // what others wrote is not to be waited for here
	c, err := s.run("sync")
	if err != nil {
		return c, err
	}
	published, err := os.ReadDir(filepath.Join(s.dir, "cache", "endorsed"))
	if err == nil && len(published) == 0 {
		err = errors.New("nothing was published")
	}
	return c, err
}

// large makes n large images, unless they are there, and large-n.list of them
// and of the first alone. It takes half the size where the disk is too small
// for twice n images, and says which size it took.
func (b *bench) large(n int, size int64) (int64, error) {
	if info, err := os.Stat(filepath.Join(b.world.www, "large-0")); err == nil {
		size = info.Size()
	} else if free, err := freeSpace(b.dir); err != nil {
		return 0, err
	} else if need := size * 9; free < need+need/4 {
		size /= 2
		progress("%d GiB free are too little for four images: they have %d MiB", free>>30, size>>20)
	}
	var images []imagelist.Image
	for i := range n {
		file := fmt.Sprintf("large-%d", i)
		digest, err := noise(filepath.Join(b.world.www, file), byte(i), size)
		if err != nil {
			return 0, err
		}
		images = append(images, b.world.describe(file, i, size, digest))
	}
	if err := b.world.publish("large-1.list", imagelist.ListID(identifier("a", 1)), images[:1]); err != nil {
		return 0, err
	}
	return size, b.world.publish(fmt.Sprintf("large-%d.list", n), imagelist.ListID(identifier("a", n)), images)
}

// noise writes a file that does not compress, the same for the same seed.
func noise(file string, seed byte, size int64) (digest imagelist.Digest, err error) {
	progress("making %s, %d MiB", filepath.Base(file), size>>20)
	f, err := os.Create(file)
	if err != nil {
		return digest, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha512.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{seed}), size)
	return imagelist.Digest(h.Sum(nil)), err
}

func freeSpace(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}
