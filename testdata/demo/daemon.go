package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
)

// patience is how long is waited for what the daemon does in a second or two.
const patience = 2 * time.Minute

// door finds a free port for the daemon's HTTP interface, which stays free
// until the end of the story, and makes the token that lets Alice ask the site
// to look.
func (t *story) door() error {
	address, free, err := listtest.Reserve()
	if err != nil {
		return err
	}
	t.free = free
	t.site = "http://" + address
	secret := make([]byte, 32)
	rand.Read(secret)
	token := hex.EncodeToString(secret) + "\n"
	if err := os.WriteFile(filepath.Join(t.dir, "etc/tokens"), []byte("alice "+token), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.dir, "alice/site.token"), []byte(token), 0o600)
}

// live is the same site with the daemon instead of cron.
func (t *story) live() error {
	t.say("Cron would find the next change within an hour. The daemon is there in seconds,\n# and shows a page to people and an interface to programs at %s .", t.site)
	fmt.Println("$ vouch daemon 2>daemon.log &")
	log, err := os.Create(filepath.Join(t.dir, "daemon.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	t.daemon = exec.Command(filepath.Join(t.bin, "vouch"), "daemon")
	t.daemon.Dir, t.daemon.Stderr = t.dir, log
	t.daemon.Env = []string{"PATH=" + t.bin + ":" + os.Getenv("PATH"), "HOME=" + t.dir, "VOUCH_CONFIG=" + filepath.Join(t.dir, "etc/vouch.yaml")}
	if err := t.daemon.Start(); err != nil {
		return err
	}
	if err := t.answers("/readyz", http.StatusOK, patience); err != nil {
		return err
	}
	return t.answers("/v1/images/"+string(rawImage), http.StatusOK, 0)
}

// lastBreath is how long the last list is good: short enough to wait for, and
// three times as long as the same took before, with cron's pass and all that was shown
// of it, so that a slow machine has time for this part of the story too.
func (t *story) lastBreath() string {
	return max(shortest, 3*t.revising).Round(time.Second).String()
}

// revoke has an image leave the site in seconds.
func (t *story) revoke() error {
	lastBreath := t.lastBreath()
	delete(t.images, rawImage)
	t.say("Alice revokes the raw disk as well, and tells the site to look: that carries no trust,\n# it only makes the next look come now. This list is good for %s only, to see what\n# becomes of it.", lastBreath)
	if err := t.run(0, fmt.Sprintf("vouch publisher remove -C workspace %s --reason \"its kernel has a hole\" \\\n    --publish www/image.list --anchors trust --lifetime %s \\\n    --notify %s/v1/subscriptions/alice/refresh --notify-token-file alice/site.token", rawImage, lastBreath, t.site),
		"removed "+string(rawImage), "version 3 is live"); err != nil {
		return err
	}
	var err error
	if t.expires, err = t.signedUntil(); err != nil {
		return err
	}
	begun := time.Now()
	if err := t.answers("/v1/images/"+string(rawImage), http.StatusGone, patience); err != nil {
		return err
	}
	if err := t.until(patience, t.imagesAre); err != nil {
		return err
	}
	if !time.Now().Before(t.expires) {
		return fmt.Errorf("this machine is too slow for the story: the list expired before all was shown")
	}
	t.say("Gone %.1f s after she was told that the list is live, and the handler knows.", time.Since(begun).Seconds())
	if err := t.events("list.accepted "+string(listID), "image.revoked "+string(rawImage)); err != nil {
		return err
	}
	return t.run(0, "vouch status")
}

// imagesAre is published, of what should be there now.
func (t *story) imagesAre() error { return t.published(t.images) }

// answers waits until the site's daemon answers so, and shows it.
func (t *story) answers(path string, code int, within time.Duration) error {
	return t.until(within, func() error {
		answer, err := http.Get(t.site + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(io.LimitReader(answer.Body, 600))
		if err != nil {
			return err
		}
		if answer.StatusCode != code {
			return fmt.Errorf("GET %s: %s, not %d: %s", path, answer.Status, code, body)
		}
		fmt.Printf("GET %s%s: %s\n%s\n", t.site, path, answer.Status, body)
		return nil
	})
}

// until tries again and again.
func (t *story) until(within time.Duration, try func() error) error {
	for deadline := time.Now().Add(within); ; {
		err := try()
		if err == nil || !time.Now().Before(deadline) {
			return err
		}
		if werr := t.wait(time.Now().Add(100 * time.Millisecond)); werr != nil {
			return werr
		}
	}
}

// hush stops the daemon, if it runs.
func (t *story) hush() error {
	if t.daemon == nil || t.daemon.Process == nil {
		return nil
	}
	t.daemon.Process.Signal(syscall.SIGTERM)
	defer func() { t.daemon = nil }()
	return t.daemon.Wait()
}

// expire is what happens when nobody does anything any more.
func (t *story) expire() error {
	t.web.stop()
	t.images = map[imagelist.ImageID][]byte{}
	t.say("Alice's server stops, and nobody renews her list; it expires at %s.\n# A cache that only followed its server would keep the images for ever. The daemon\n# lets go of them by itself.", t.expires.Format(time.RFC3339))
	if err := t.wait(t.expires.Add(time.Second)); err != nil {
		return err
	}
	if err := t.until(patience, t.imagesAre); err != nil {
		return err
	}
	if err := t.until(patience, func() error {
		return t.events("list.expired "+string(listID), "image.expired "+string(cloudImage))
	}); err != nil {
		return err
	}
	fmt.Println("$ kill %1")
	if err := t.hush(); err != nil {
		return err
	}
	if err := t.run(0, "cat daemon.log"); err != nil {
		return err
	}
	t.say("Nothing is offered any more; what was withdrawn is kept for a month, for forensics.\n# The handler let go of its copies too. A pass of cron's would exit 3: not all is well.")
	if err := t.run(3, "vouch sync"); err != nil {
		return err
	}
	if err := t.run(0, "ls cache/endorsed cache/expired store"); err != nil {
		return err
	}
	return t.run(0, "vouch status")
}
