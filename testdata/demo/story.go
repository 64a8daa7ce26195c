package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"vouch/imagelist"
)

const (
	cloudImage = imagelist.ImageID("4c1f6e4e-55f5-4b2f-9d0c-6a0f8a0c7d01") // qcow2
	rawImage   = imagelist.ImageID("4c1f6e4e-55f5-4b2f-9d0c-6a0f8a0c7d02")
	gzipImage  = imagelist.ImageID("4c1f6e4e-55f5-4b2f-9d0c-6a0f8a0c7d03")
	listID     = imagelist.ListID("9a0e5a3c-0f0e-4b7e-8c42-2f0d2f6a9e00")

	// lastBreath is how long the last list is good: enough for what is shown
	// meanwhile on a slow machine, short enough to wait for.
	lastBreath = 15 * time.Second

	reason = "the image has a well-known password for root"
)

// tell is the whole story, one step after the other.
func tell(s *shell, p *publisher) error {
	list, err := firstList(s, p)
	if err != nil {
		return err
	}
	for _, step := range []func(*shell, *publisher, *imagelist.List) error{subscribe, firstSync, lookAround, update, secondSync, expire} {
		if err := step(s, p, list); err != nil {
			return err
		}
	}
	s.say("All of that was checked, and is as it should be. %s is yours to look around in.", s.dir)
	return nil
}

// firstList publishes three images under a list that is good for four weeks.
func firstList(s *shell, p *publisher) (*imagelist.List, error) {
	now := time.Now().UTC()
	l := &imagelist.List{
		Identifier: listID, Version: "1.0.0", Created: now, Expires: now.AddDate(0, 0, 28),
		Title: "Images of Alice", Description: "Three small images", Source: p.url, URI: p.url + "/" + listFile,
	}
	for _, i := range []struct {
		id                  imagelist.ImageID
		title, format, file string
		data                []byte
	}{
		{cloudImage, "Cloud image", "qcow2", "cloud-1.0.qcow2", qcow2(noise(1, 4*mib))},
		{rawImage, "Raw disk", "raw", "disk-1.0.raw", rawDisk(2, 3*mib)},
		{gzipImage, "Shipped disk", "raw", "shipped-1.0.raw.gz", gzipped(rawDisk(3, 2*mib))},
	} {
		image, err := p.image(i.id, i.title, "1.0", i.format, i.file, i.data)
		if err != nil {
			return nil, err
		}
		l.Images = append(l.Images, image)
	}
	s.say("%s, certified by %s, vouches for three images\n# in a list that she signs and serves at %s", p.DN(), p.CA(), l.URI)
	return l, p.publish(l)
}

// subscribe configures the site.
func subscribe(s *shell, p *publisher, l *imagelist.List) error {
	if _, err := p.WriteTrust(filepath.Join(s.dir, "trust"), time.Now()); err != nil {
		return err
	}
	for _, d := range []string{"etc", "store"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			return err
		}
	}
	config := fmt.Sprintf(`state_dir: %[1]s/state
cache: {dir: %[1]s/cache}
trust: {anchors: %[1]s/trust}
handlers:
  - name: local-store
    exec: [%[1]s/bin/vmcatcher-eventhndl]
    vmcatcher: true
    env: {IMAGE_STORE: %[1]s/store}
`, s.dir)
	if err := os.WriteFile(filepath.Join(s.dir, "etc/vouch.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	s.say("The site trusts that CA, with its CRL and signing policy, and has an event handler\n# as they were written for vmcatcher: it keeps a copy of what may be used.")
	fmt.Printf("$ cd %s\n$ export PATH=$PWD/bin:$PATH VOUCH_CONFIG=$PWD/etc/vouch.yaml\n", s.dir)
	if err := s.run(0, "ls trust"); err != nil {
		return err
	}
	if err := s.run(0, "cat etc/vouch.yaml"); err != nil {
		return err
	}
	s.say("Anybody can ask whether a list deserves trust, and why.")
	if err := s.run(0, "vouch publisher verify "+l.URI+" --anchors trust"); err != nil {
		return err
	}
	s.say("The site subscribes, and says who may speak for this list.")
	return s.run(0, fmt.Sprintf("vouch subscription add %s --name alice --endorser-dn '%s' --endorser-ca '%s'", l.URI, p.DN(), p.CA()))
}

func firstSync(s *shell, p *publisher, _ *imagelist.List) error {
	s.say("One complete pass, as cron would run it: fetch, verify, download, publish, tell.")
	if err := s.run(0, "vouch sync"); err != nil {
		return err
	}
	if err := s.events(
		"list.accepted "+string(listID),
		"image.announced "+string(cloudImage), "image.announced "+string(rawImage), "image.announced "+string(gzipImage),
		"image.available "+string(cloudImage), "image.available "+string(rawImage), "image.available "+string(gzipImage),
	); err != nil {
		return err
	}
	return s.published(p.bytes)
}

func lookAround(s *shell, _ *publisher, _ *imagelist.List) error {
	s.say("How things are, for people ...")
	if err := s.run(0, "vouch status"); err != nil {
		return err
	}
	if err := s.run(0, "vouch image ls"); err != nil {
		return err
	}
	s.say("... for scripts: a file in endorsed/ is there exactly as long as it is vouched for ...")
	if err := s.run(0, "ls -l cache cache/endorsed"); err != nil {
		return err
	}
	s.say("... and for middleware: one catalogue, replaced atomically.")
	if err := s.run(0, "head -c 1500 cache/index.json"); err != nil {
		return err
	}
	fmt.Println("...")
	return nil
}

// update publishes the second list: one image has new bytes, one is revoked,
// and the list itself will not be good for long.
func update(s *shell, p *publisher, l *imagelist.List) error {
	s.say("Alice publishes a new version: the raw disk is updated, and the shipped one is\n# revoked, because %s. This list expires in %v.", reason, lastBreath)
	updated, err := p.image(rawImage, "Raw disk", "1.1", "raw", "disk-1.1.raw", rawDisk(4, 3*mib))
	if err != nil {
		return err
	}
	l.Version, l.Created = "1.0.1", time.Now().UTC()
	l.Expires = l.Created.Add(lastBreath)
	for i := range l.Images {
		if l.Images[i].Identifier == rawImage {
			l.Images[i] = updated
		}
	}
	p.withdraw(l, gzipImage, l.Created, reason)
	return p.publish(l)
}

func secondSync(s *shell, p *publisher, l *imagelist.List) error {
	if err := s.run(0, "vouch sync"); err != nil {
		return err
	}
	if !time.Now().Before(l.Expires) {
		return fmt.Errorf("this machine is too slow for the story: the list expired before all was shown")
	}
	if err := s.events(
		"list.accepted "+string(listID),
		"image.superseded "+string(rawImage), "image.available "+string(rawImage),
		"image.revoked "+string(gzipImage),
	); err != nil {
		return err
	}
	if err := s.published(p.bytes); err != nil {
		return err
	}
	s.say("Everything that happened so far ...")
	if err := s.run(0, "vouch event ls"); err != nil {
		return err
	}
	s.say("... why the shipped disk is gone ...")
	if err := s.run(0, "vouch image show "+string(gzipImage)); err != nil {
		return err
	}
	s.say("... with Alice's own words, which the event carried to the handlers ...")
	if err := s.run(0, "vouch event ls -o json --subject "+string(gzipImage)+` | grep -o '"revocation":"[^"]*"'`); err != nil {
		return err
	}
	s.say("... and what the handler heard and keeps.")
	if err := s.run(0, "cat store/.events.log"); err != nil {
		return err
	}
	return s.run(0, "ls store")
}

func expire(s *shell, p *publisher, l *imagelist.List) error {
	p.stop()
	s.say("Alice's server stops, and nobody renews her list; it expires at %s.\n# A cache that only followed its server would keep the images for ever.", l.Expires.Format(time.RFC3339))
	if err := s.wait(l.Expires.Add(time.Second)); err != nil {
		return err
	}
	if err := s.run(3, "vouch sync"); err != nil {
		return err
	}
	if err := s.events("list.expired "+string(listID), "image.expired "+string(cloudImage), "image.expired "+string(rawImage)); err != nil {
		return err
	}
	if err := s.published(nil); err != nil {
		return err
	}
	s.say("It exited 3: not all is well. Nothing is offered any more; what was withdrawn is kept\n# for a month, for forensics. The handler let go of its copies too.")
	if err := s.run(0, "ls cache/endorsed cache/expired store"); err != nil {
		return err
	}
	return s.run(0, "vouch status")
}
