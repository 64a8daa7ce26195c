package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/publisher"
	"vouch/imagelist/publisher/destination"
	"vouch/imagelist/publisher/diskimage"
	"vouch/imagelist/publisher/sbom"
)

func (s *session) publisherAdd() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "endorse an image", ArgsUsage: "FILE",
		Description: `Measures the file in one pass: size, SHA-512 and format, by content. Refuses an
image that would make a hypervisor open other files. Records the endorsement in
the history and puts the image into the draft; the next "vouch publisher
publish" signs and publishes it. Nothing is uploaded here.

With --replace the image keeps its identifier and whatever is not said anew, and
its version is raised. Give new bytes a new file name: subscribers that still
have the old list would download bytes that it does not vouch for.

The policy asks for the versions of all installed software: --sbom attaches a
bill of materials (CycloneDX or SPDX) by digest, --no-sbom records why there is
none.

Keys of hv:image that have no flag are set with --set, for example
--set hv:ram_minimum=2147483648 or --set ad:mpuri=… .

Examples:
  vouch publisher add debian-13.qcow2 --uri https://images.example.org/debian-13-1.qcow2 --title "Debian 13" \
      --os Linux --os-version 13 --arch x86_64 --hypervisor kvm --sbom debian-13.cdx.json
  vouch publisher add debian-13.qcow2 --replace ID --uri https://images.example.org/debian-13-2.qcow2 --no-sbom "ticket 4711"`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "uri", Usage: "where subscribers download it: `URL` (hv:uri)"},
			&cli.StringFlag{Name: "title", Usage: "`TEXT` (dc:title)"},
			&cli.StringFlag{Name: "description", Usage: "`TEXT` (dc:description)"},
			&cli.StringFlag{Name: "comments", Usage: "`TEXT` (sl:comments)"},
			&cli.StringFlag{Name: "os", Usage: "operating system: `TEXT` (sl:os)"},
			&cli.StringFlag{Name: "os-version", Usage: "`TEXT` (sl:osversion)"},
			&cli.StringFlag{Name: "arch", Usage: "`TEXT` such as x86_64 (sl:arch)"},
			&cli.StringFlag{Name: "hypervisor", Usage: "`TEXT` such as kvm (hv:hypervisor)"},
			&cli.StringFlag{Name: "version", Usage: "`TEXT`; the next one otherwise (hv:version)"},
			&cli.StringFlag{Name: "expires", Usage: "when the image itself expires: `TIME` or duration (dc:date:expires)"},
			&cli.StringSliceFlag{Name: "set", Usage: "any other key of hv:image: `KEY=VALUE`; may be repeated"},
			&cli.StringFlag{Name: "identifier", Usage: "`ID` of a new image; a random UUID otherwise"},
			&cli.StringFlag{Name: "replace", Usage: "`ID` of the image that these bytes replace"},
			&cli.StringFlag{Name: "built-at", Usage: "when the image was built: `TIME`"},
			&cli.StringFlag{Name: "sbom", Usage: "bill of materials, CycloneDX or SPDX: `FILE`"},
			&cli.StringFlag{Name: "no-sbom", Usage: "`REASON` for going without one"},
			&cli.BoolFlag{Name: "check-uri", Usage: "download from --uri and compare before anything is recorded"},
			rootsFlag(),
			&cli.StringFlag{Name: "cert", Usage: "the endorser's certificate, named in the history: `FILE`; the last one used otherwise"},
		}, whoFlags()...),
		Action: takes(1, 1, s.addImage),
	}
}

// imageFlags are the flags that set keys of hv:image.
var imageFlags = []struct{ flag, key string }{
	{"title", "dc:title"}, {"description", "dc:description"}, {"comments", "sl:comments"}, {"os", "sl:os"}, {"os-version", "sl:osversion"},
	{"arch", "sl:arch"}, {"hypervisor", "hv:hypervisor"}, {"version", "hv:version"},
}

// addedImageDocument is vouch/image-added/v1.
type addedImageDocument struct {
	Schema      string            `json:"schema"`
	Identifier  imagelist.ImageID `json:"identifier"`
	Version     string            `json:"version"`
	Replaces    string            `json:"replaces"` // the version before; "" for a new image
	Title       string            `json:"title"`
	URI         string            `json:"uri"`
	Size        int64             `json:"size"`
	SHA512      string            `json:"sha512"`
	Format      string            `json:"format"`
	VirtualSize int64             `json:"virtual_size"` // 0 when the format does not say
	Notes       []string          `json:"notes"`
	Warnings    []string          `json:"warnings"`
}

func (s *session) addImage(c *cli.Context) error {
	a, err := s.addition(c)
	if err != nil {
		return err
	}
	w, err := s.workspace(c, true) // before minutes of hashing
	if err != nil {
		return err
	}
	if a.Who, err = s.who(c, w); err != nil {
		return badInput(err)
	}
	if err := w.Ready(a); err != nil {
		return badInput(err)
	}
	if a.Facts, err = s.measure(c.Context, a.File); err != nil {
		return badInput(err)
	}
	if c.Bool("check-uri") {
		if err := s.checkURI(c.Context, a, c.String("roots")); err != nil {
			return err
		}
	}
	if w, err = s.workspace(c, false); err != nil {
		return err
	}
	defer w.Close()
	done, err := w.Add(a)
	if err != nil {
		return badInput(err)
	}
	return s.added(&a, done)
}

// addition reads the flags.
func (s *session) addition(c *cli.Context) (publisher.Addition, error) {
	a := publisher.Addition{
		File: c.Args().First(), URI: c.String("uri"), At: s.now, NoSBOM: c.String("no-sbom"),
		Identifier: imagelist.ImageID(c.String("identifier")), Replace: imagelist.ImageID(c.String("replace")),
	}
	required := []string{"uri"}
	if a.Replace == "" {
		required = append(required, "title")
	}
	if err := need(c, required...); err != nil {
		return a, err
	}
	if err := checkPublic(a.URI); err != nil {
		return a, err
	}
	if a.Replace != "" && a.Identifier != "" {
		return a, usage(c, "--replace keeps the identifier: no --identifier")
	}
	var err error
	if a.Keys, err = s.imageKeys(c); err != nil {
		return a, err
	}
	if a.BuiltAt, err = s.when(c, "built-at", false); err != nil {
		return a, err
	}
	if a.BuiltAt.After(s.now) {
		return a, usage(c, "--built-at is in the future")
	}
	a.SBOM, err = s.materials(c)
	return a, err
}

// imageKeys are the keys of hv:image that flags set.
func (s *session) imageKeys(c *cli.Context) ([]publisher.KeyValue, error) {
	var keys []publisher.KeyValue
	for _, f := range imageFlags {
		if c.IsSet(f.flag) {
			keys = append(keys, publisher.KeyValue{Key: f.key, Value: c.String(f.flag)})
		}
	}
	expires, err := s.when(c, "expires", true)
	if err != nil {
		return nil, err
	}
	if !expires.IsZero() {
		keys = append(keys, publisher.KeyValue{Key: "dc:date:expires", Value: expires.Format(time.RFC3339)})
	}
	for _, kv := range c.StringSlice("set") {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, usage(c, "--set is KEY=VALUE, not "+quoted(kv))
		}
		keys = append(keys, publisher.KeyValue{Key: k, Value: v})
	}
	return keys, nil
}

// materials reads the bill of materials.
func (s *session) materials(c *cli.Context) (*publisher.SBOM, error) {
	file := c.String("sbom")
	switch {
	case file != "" && c.IsSet("no-sbom"):
		return nil, usage(c, "either --sbom or --no-sbom")
	case file == "" && strings.TrimSpace(c.String("no-sbom")) == "":
		return nil, usage(c, "needs --sbom FILE, or --no-sbom REASON: the policy asks what is installed (E6)")
	case file == "":
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, badInput(err)
	}
	defer f.Close()
	content, kind, err := sbom.Read(f)
	if err != nil {
		return nil, &refusal{quoted(file) + ": " + err.Error(), hint(err)}
	}
	return &publisher.SBOM{Content: content, Format: kind.String(), Extension: kind.Ext()}, nil
}

// measure hashes the file, with a bar on a terminal.
func (s *session) measure(ctx context.Context, file string) (*diskimage.Facts, error) {
	bar, finish := s.transfers()
	defer finish()
	return diskimage.Measure(ctx, file, bar(file))
}

// checkURI downloads the image as a subscriber would.
func (s *session) checkURI(ctx context.Context, a publisher.Addition, roots string) error {
	bar, finish := s.transfers()
	defer finish()
	err := destination.Check(ctx, a.URI, a.Facts.Size, a.Facts.SHA512, bar(a.URI), destination.Options{RootsFile: roots})
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	fix := hint(err)
	if fix == "" {
		fix = "upload the file first, or leave --check-uri out"
	}
	return &refusal{"--check-uri: " + err.Error(), fix}
}

// transfers shows bars on a terminal, one for each name; nil off one. The
// second function gives the terminal back.
func (s *session) transfers() (func(name string) destination.Progress, func()) {
	if !s.progress || s.quiet {
		return func(string) destination.Progress { return nil }, func() {}
	}
	area := newBars(s.err)
	return func(name string) destination.Progress {
		id := 0
		return func(done, total int64) {
			if id == 0 {
				id = area.Start(name, "", done, total)
			}
			area.Advance(id, done)
		}
	}, area.finish
}

func (s *session) added(a *publisher.Addition, done *publisher.Added) error {
	i := &done.Image
	doc := addedImageDocument{
		Schema: "vouch/image-added/v1", Identifier: i.Identifier, Version: i.Version, Title: i.Title, URI: i.URI, Size: i.Size,
		SHA512: i.SHA512.String(), Format: i.Format, VirtualSize: a.Facts.VirtualSize, Notes: a.Facts.Notes, Warnings: done.Warnings,
	}
	if done.Replaced != nil {
		doc.Replaces = done.Replaced.Version
	}
	for _, key := range done.Unknown {
		w := "unknown key " + quoted(key) + ": kept, and passed on to subscribers"
		if near := nearest(key, imagelist.KnownKeys()); near != "" {
			w += "; did you mean " + near + "?"
		}
		doc.Warnings = append(doc.Warnings, w)
	}
	return s.result(doc, func() error {
		s.warnings(doc.Warnings)
		if s.quiet {
			return nil
		}
		replaces := ""
		if doc.Replaces != "" {
			replaces = "version " + doc.Replaces
		}
		s.pairs("image", string(doc.Identifier), "title", doc.Title, "version", doc.Version, "replaces", replaces, "size", bytesText(doc.Size),
			"SHA-512", doc.SHA512, "format", doc.Format, "URI", doc.URI)
		for _, n := range doc.Notes {
			s.field("note", n)
		}
		_, err := fmt.Fprintln(s.out, "endorsed in the draft; next: vouch publisher publish")
		return err
	})
}
