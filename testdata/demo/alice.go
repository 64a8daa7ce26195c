package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/smime"
)

// materials is what is installed in the cloud image, in short.
const materials = `{
  "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
  "components": [
    {"type": "operating-system", "name": "debian", "version": "13"},
    {"type": "library", "name": "openssl", "version": "3.5.4", "purl": "pkg:deb/debian/openssl@3.5.4"}
  ]
}
`

// file writes what Alice made, and remembers the bytes of an image.
func (t *story) file(name string, id imagelist.ImageID, data []byte) error {
	t.images[id] = data
	return os.WriteFile(filepath.Join(t.dir, "alice", name), data, 0o644)
}

// stage is what there is before the first command.
func (t *story) stage() error {
	if err := t.alice.WriteCredential(filepath.Join(t.dir, ".globus")); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(t.dir, "alice"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.dir, "alice/cloud-1.cdx.json"), []byte(materials), 0o644); err != nil {
		return err
	}
	for _, f := range []struct {
		id   imagelist.ImageID
		name string
		data []byte
	}{
		{cloudImage, "cloud-1.qcow2", qcow2(noise(1, 4*mib))},
		{rawImage, "disk-1.raw", rawDisk(2, 3*mib)},
		{gzipImage, "shipped-1.raw.gz", gzipped(rawDisk(3, 2*mib))},
	} {
		if err := t.file(f.name, f.id, f.data); err != nil {
			return err
		}
	}
	t.say("Alice has a certificate of %s and its key, where such files usually lie,\n# and made three images. %s shows the directory www.", t.alice.CA(), t.web.url)
	fmt.Printf("$ cd %s\n$ export HOME=$PWD PATH=$PWD/bin:$PATH VOUCH_CONFIG=$PWD/etc/vouch.yaml\n", t.dir)
	return t.run(0, "ls -l .globus alice", "-rw-------")
}

// begin makes the workspace.
func (t *story) begin() error {
	t.say("She makes a workspace for a list: plain files, and nothing secret in them.")
	return t.run(0, fmt.Sprintf("vouch publisher init -C workspace --uri %s --identifier %s \\\n"+
		`    --title "Images of Alice" --description "Three small images" --source example.org`, t.list(), listID), "Alice Endorser")
}

// endorse puts three images into the draft.
func (t *story) endorse() error {
	t.say("She endorses the images. The policy asks what is installed in each: in a bill of\n# materials, or with the reason why there is none.")
	if err := t.run(0, "cat alice/cloud-1.cdx.json"); err != nil {
		return err
	}
	for _, i := range []struct {
		id                        imagelist.ImageID
		file, title, bill, format string
	}{
		{cloudImage, "cloud-1.qcow2", "Cloud image", "--sbom alice/cloud-1.cdx.json", "qcow2"},
		{rawImage, "disk-1.raw", "Raw disk", `--no-sbom "made of noise"`, "raw"},
		{gzipImage, "shipped-1.raw.gz", "Shipped disk", `--no-sbom "made of noise"`, "raw.gz"},
	} {
		if err := t.run(0, fmt.Sprintf("vouch publisher add -C workspace alice/%[1]s --uri %[2]s/%[1]s --identifier %[3]s \\\n"+
			"    --title %[4]q --description \"For the demonstration\" --comments none %[5]s \\\n"+
			"    --os Linux --os-version 1 --arch x86_64 --hypervisor kvm", i.file, t.web.url, i.id, i.title, i.bill), "format        "+i.format+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// publish makes the list that is good for four weeks.
func (t *story) publish() error {
	t.say("She publishes: what changed is signed, the images are uploaded, the list is put in its\n# place, and read back from its own address.")
	if err := t.run(0, "vouch publisher publish -C workspace www/image.list --images --anchors trust",
		"cloud-1.qcow2: uploaded", "version 1 is live", "its hv:uri serves it"); err != nil {
		return err
	}
	return t.run(0, "vouch publisher status -C workspace", "version 1", "nothing is due")
}

// revise publishes the second version: one image has new bytes, one is revoked.
func (t *story) revise() error {
	if err := t.file("disk-2.raw", rawImage, rawDisk(4, 3*mib)); err != nil {
		return err
	}
	delete(t.images, gzipImage)
	t.say("Alice updates the raw disk: other bytes, another file name, the same identifier ...")
	if err := t.run(0, fmt.Sprintf(`vouch publisher add -C workspace alice/disk-2.raw --uri %s/disk-2.raw --replace %s --no-sbom "made of noise"`, t.web.url, rawImage),
		"Raw disk", "replaces"); err != nil {
		return err
	}
	t.say("... and revokes the shipped one, which is one command, at 2 a.m. too.")
	return t.run(0, fmt.Sprintf("vouch publisher remove -C workspace %s --reason %q \\\n    --publish www/image.list --images --anchors trust", gzipImage, reason),
		"removed "+string(gzipImage), "disk-2.raw: uploaded", "version 2 is live", "in the place of 1", "its hv:uri serves it")
}

// signedUntil is when the published list expires.
func (t *story) signedUntil() (time.Time, error) {
	message, err := os.ReadFile(filepath.Join(t.web.dir, "image.list"))
	if err != nil {
		return time.Time{}, err
	}
	claim, err := imagelist.ReadClaim(message, smime.Options{})
	if err != nil {
		return time.Time{}, err
	}
	return claim.List.Expires, nil
}

// audit looks at what Alice can prove.
func (t *story) audit() error {
	t.say("Alice's list is due for renewal: exit 3, a line for cron.")
	if err := t.run(3, "vouch publisher status -C workspace", "version 3", "due"); err != nil {
		return err
	}
	t.say("Her history says who did what, when and why.")
	if err := t.run(0, "vouch publisher history -C workspace", reason, "CycloneDX", "no SBOM: made of noise", "replaces 1"); err != nil {
		return err
	}
	t.say("It can be checked: entry by entry, and against the lists that were signed meanwhile.\n# Every site that keeps one is a witness.")
	return t.run(0, fmt.Sprintf("vouch publisher history -C workspace --verify --witness cache/lists/%s.smime", listID), "\nholds\n")
}

// tamper edits one byte of the reason, in a copy.
func (t *story) tamper() error {
	t.say("Later somebody wishes that it had been otherwise, and edits one byte of the history,\n# here of a copy.")
	edited := strings.Replace(reason, "root", "boot", 1)
	if err := t.run(0, "cp -R workspace altered"); err != nil {
		return err
	}
	if err := t.run(0, fmt.Sprintf("sed 's/%s/%s/' workspace/history/entries.jsonl >altered/history/entries.jsonl", reason, edited)); err != nil {
		return err
	}
	return t.run(3, "vouch publisher history -C altered --verify", "does not hold", `("remove"`)
}
