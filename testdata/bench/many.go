package main

import (
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vouch/imagelist"
)

const (
	lists     = 1000
	perList   = 10
	allImages = "all.list" // names every image of all the others
)

// subscriptions is a run in which there is nothing new, which is most runs.
func (b *bench) subscriptions() error {
	sites := map[int]*site{}
	for _, n := range []int{10, lists / 2, lists} {
		var err error
		if sites[n], err = b.populated(n); err != nil {
			return err
		}
	}
	conditional, err := b.conditional()
	if err != nil {
		return err
	}
	medians, err := b.inTurn(
		func() (cost, error) { return b.shell(conditional) },
		func() (cost, error) { return sites[10].run("sync") },
		func() (cost, error) { return sites[lists/2].run("sync") },
		func() (cost, error) { return sites[lists].run("sync") },
	)
	if err != nil {
		return err
	}
	curl, few, half, all := medians[0], medians[1], medians[2], medians[3]
	what := fmt.Sprintf("%d subscriptions, %d images, nothing new: ", lists, lists*perList)
	times := ratio(all.wall, curl.wall)
	b.add(times <= 10, what+"time to curl --parallel", "<= 10", "%.1f (%.2f s to %.2f s)", times, all.wall.Seconds(), curl.wall.Seconds())
	b.add(all.peak <= 192<<20, what+"memory", "<= 192 MiB", "%d MiB", all.peak>>20)
	// Processor time: what waiting there is, is in the time above.
	lower := (half.cpu - few.cpu) / (lists/2 - 10)
	upper := (all.cpu - half.cpu) / (lists / 2)
	growth := ratio(upper, lower)
	b.add(growth <= 1.25, what+"cost of one more, to its cost where there are few", "<= 1.25", "%.2f (%v to %v)", growth, upper.Round(time.Microsecond), lower.Round(time.Microsecond))
	return nil
}

// conditional asks for the same lists, all of which are unchanged.
func (b *bench) conditional() (string, error) {
	var urls strings.Builder
	for i := range lists {
		fmt.Fprintf(&urls, "url = %s/%s\noutput = /dev/null\n", b.world.url, listName(i))
	}
	file := filepath.Join(b.dir, "urls")
	if err := os.WriteFile(file, []byte(urls.String()), 0o644); err != nil {
		return "", err
	}
	since := published.Format("Mon, 02 Jan 2006 15:04:05 GMT")
	return fmt.Sprintf("test $(curl -s --parallel -H 'If-Modified-Since: %s' -K %s -w '%%{http_code}\\n' | grep -c 304) = %d", since, file, lists), nil
}

func listName(n int) string { return fmt.Sprintf("small-%d.list", n) }

// populated is a site that has all images of the first n lists; of allImages
// alone when n is 0.
func (b *bench) populated(n int) (*site, error) {
	if err := b.small(); err != nil {
		return nil, err
	}
	names := []string{allImages}
	if n > 0 {
		names = nil
	}
	for i := range n {
		names = append(names, listName(i))
	}
	name := fmt.Sprintf("site-%d", n)
	if _, err := os.Stat(filepath.Join(b.dir, name)); err == nil {
		return &site{b: b, dir: filepath.Join(b.dir, name), config: filepath.Join(b.dir, name, "etc", "vouch.yaml")}, nil
	}
	s, err := b.newSite(name, names...)
	if err != nil {
		return nil, err
	}
	c, err := s.run("sync")
	if err == nil {
		progress("first sync of %s: %v", name, c)
	}
	return s, err
}

// small makes all the small images and the lists of them, unless they are there.
func (b *bench) small() error {
	w := b.world
	if _, err := os.Stat(filepath.Join(w.www, allImages)); err == nil {
		return nil
	}
	progress("making %d lists of %d images", lists, perList)
	if err := os.Mkdir(filepath.Join(w.www, "small"), 0o755); err != nil {
		return err
	}
	var all []imagelist.Image
	for i := range lists {
		for j := range perList {
			n := i*perList + j
			content := binary.BigEndian.AppendUint64(nil, uint64(n))
			file := fmt.Sprintf("small/%d", n)
			if err := os.WriteFile(filepath.Join(w.www, file), content, 0o644); err != nil {
				return err
			}
			all = append(all, w.describe(file, n, int64(len(content)), sha512.Sum512(content)))
		}
		if err := w.publish(listName(i), imagelist.ListID(identifier("c", i)), all[i*perList:]); err != nil {
			return err
		}
	}
	return w.publish(allImages, imagelist.ListID(identifier("d", 0)), all)
}
