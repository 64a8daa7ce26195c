package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vouch/imagelist"
	"vouch/testdata/demo/pki"
)

const (
	cloudImage = imagelist.ImageID("4c1f6e4e-55f5-4b2f-9d0c-6a0f8a0c7d01") // qcow2
	rawImage   = imagelist.ImageID("4c1f6e4e-55f5-4b2f-9d0c-6a0f8a0c7d02")
	gzipImage  = imagelist.ImageID("4c1f6e4e-55f5-4b2f-9d0c-6a0f8a0c7d03")
	listID     = imagelist.ListID("9a0e5a3c-0f0e-4b7e-8c42-2f0d2f6a9e00")

	// shortest is how long the last list is good at least: enough for what is
	// shown meanwhile. See lastBreath.
	shortest = 20 * time.Second

	reason = "the image has a well-known password for root"
)

// story is what is told: Alice, her web server, and a site that subscribes.
type story struct {
	*shell
	alice *pki.Endorser
	web   *web

	site    string                       // where its daemon answers
	free    func()                       // gives that address back
	daemon  *exec.Cmd                    // nil when it does not run
	images  map[imagelist.ImageID][]byte // what the list vouches for now
	expires time.Time                    // of the last list

	revising time.Duration // from the second version's draft until all of it was shown
}

// list is where subscribers find Alice's list.
func (t *story) list() string { return t.web.url + "/image.list" }

// tell is the whole story, one step after the other.
func (t *story) tell() error {
	for _, step := range []func() error{
		t.stage, t.configure, t.begin, t.endorse, t.publish, t.subscribe, t.firstSync, t.lookAround,
		t.change, t.live, t.revoke, t.audit, t.expire, t.tamper,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	t.say("All of that was checked, and is as it should be. %s is yours to look around in.", t.dir)
	return nil
}

// change is the second version, from Alice's draft to the site's handler.
func (t *story) change() error {
	begun := time.Now()
	defer func() { t.revising = time.Since(begun) }()
	if err := t.revise(); err != nil {
		return err
	}
	return t.secondSync()
}

// configure writes what the site has before it subscribes.
func (t *story) configure() error {
	if _, err := t.alice.WriteTrust(filepath.Join(t.dir, "trust"), time.Now()); err != nil {
		return err
	}
	for _, d := range []string{"etc", "store"} {
		if err := os.Mkdir(filepath.Join(t.dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := t.door(); err != nil {
		return err
	}
	config := fmt.Sprintf(`state_dir: %[1]s/state
cache: {dir: %[1]s/cache}
trust: {anchors: %[1]s/trust}
handlers:
  - name: local-store
    exec: [%[1]s/bin/vmcatcher-eventhndl]
    vmcatcher: true
    env: {IMAGE_STORE: %[1]s/store}
http: {listen: "%[2]s", token_file: %[1]s/etc/tokens}
`, t.dir, strings.TrimPrefix(t.site, "http://"))
	return os.WriteFile(filepath.Join(t.dir, "etc/vouch.yaml"), []byte(config), 0o644)
}

func (t *story) subscribe() error {
	t.say("A site trusts that CA, with its CRL and signing policy, and has an event handler\n# as they were written for vmcatcher: it keeps a copy of what may be used.")
	if err := t.run(0, "ls trust"); err != nil {
		return err
	}
	if err := t.run(0, "cat etc/vouch.yaml"); err != nil {
		return err
	}
	t.say("Anybody can ask whether a list deserves trust, and why.")
	if err := t.run(0, "vouch publisher verify "+t.list()+" --anchors trust"); err != nil {
		return err
	}
	t.say("The site subscribes, and says who may speak for this list.")
	return t.run(0, fmt.Sprintf("vouch subscription add %s --name alice --endorser-dn '%s' --endorser-ca '%s'", t.list(), t.alice.DN(), t.alice.CA()))
}

func (t *story) firstSync() error {
	t.say("One complete pass, as cron would run it: fetch, verify, download, publish, tell.")
	if err := t.run(0, "vouch sync"); err != nil {
		return err
	}
	if err := t.events(
		"list.accepted "+string(listID),
		"image.announced "+string(cloudImage), "image.announced "+string(rawImage), "image.announced "+string(gzipImage),
		"image.available "+string(cloudImage), "image.available "+string(rawImage), "image.available "+string(gzipImage),
	); err != nil {
		return err
	}
	return t.published(t.images)
}

func (t *story) lookAround() error {
	t.say("How things are, for people ...")
	if err := t.run(0, "vouch status"); err != nil {
		return err
	}
	if err := t.run(0, "vouch image ls"); err != nil {
		return err
	}
	t.say("... for scripts: a file in endorsed/ is there exactly as long as it is vouched for ...")
	if err := t.run(0, "ls -l cache cache/endorsed"); err != nil {
		return err
	}
	t.say("... and for middleware: one catalogue, replaced atomically.")
	if err := t.run(0, "head -c 1500 cache/index.json"); err != nil {
		return err
	}
	fmt.Println("...")
	return nil
}

func (t *story) secondSync() error {
	if err := t.run(0, "vouch sync"); err != nil {
		return err
	}
	if err := t.events(
		"list.accepted "+string(listID),
		"image.superseded "+string(rawImage), "image.available "+string(rawImage),
		"image.revoked "+string(gzipImage),
	); err != nil {
		return err
	}
	if err := t.published(t.images); err != nil {
		return err
	}
	t.say("Everything that happened so far ...")
	if err := t.run(0, "vouch event ls"); err != nil {
		return err
	}
	t.say("... why the shipped disk is gone ...")
	if err := t.run(0, "vouch image show "+string(gzipImage)); err != nil {
		return err
	}
	t.say("... with Alice's own words, which the event carried to the handlers ...")
	if err := t.run(0, "vouch event ls -o json --subject "+string(gzipImage)+` | grep -o '"revocation":"[^"]*"'`); err != nil {
		return err
	}
	t.say("... and what the handler heard and keeps.")
	if err := t.run(0, "cat store/.events.log"); err != nil {
		return err
	}
	return t.run(0, "ls store")
}
