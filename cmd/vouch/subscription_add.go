package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/verdict"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/fetch"
)

func (s *session) subscriptionAdd() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "subscribe to a list", ArgsUsage: "URL",
		Description: `Writes subscriptions.d/NAME.yaml; the next vouch sync follows it.

Name the endorsers who may speak for the list by their DN and the DN of their
CA, in pairs. They are told to you by the endorsers themselves, on a way that is
not the list. --trust-on-first-use fetches the list instead, verifies it, shows
who signed it and writes that down: compare the fingerprint with the endorser.

Credentials never stand in a URL or on a command line: --username-file and
--password-file name files that only vouch can read.

Examples:
  vouch subscription add https://lists.example.org/image.list --name example \
      --endorser-dn "/DC=org/DC=example/CN=Alice" --endorser-ca "/DC=org/DC=example/CN=Example CA"
  vouch subscription add https://lists.example.org/image.list --name example --trust-on-first-use`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the subscription: [a-z0-9][a-z0-9-]{0,63}"},
			&cli.StringSliceFlag{Name: "endorser-dn", Usage: "`DN` of an endorser; may be repeated"},
			&cli.StringSliceFlag{Name: "endorser-ca", Usage: "`DN` of the CA of that endorser, in the same order"},
			&cli.BoolFlag{Name: "trust-on-first-use", Usage: "authorise whoever validly signed the list now"},
			&cli.StringFlag{Name: "list", Usage: "`ID` of the list; otherwise the first accepted list decides"},
			&cli.StringSliceFlag{Name: "image", Usage: "`ID` of an image that is wanted; may be repeated; otherwise all are"},
			&cli.StringFlag{Name: "new", Usage: "new images: `accept|hold`"},
			&cli.StringFlag{Name: "updates", Usage: "new bytes of known images: `accept|hold`"},
			&cli.StringFlag{Name: "schedule", Usage: "when the daemon fetches it: `CRON`"},
			&cli.StringFlag{Name: "username-file", Usage: "`FILE` with the user name or token"},
			&cli.StringFlag{Name: "password-file", Usage: "`FILE` with the password"},
			&cli.StringFlag{Name: "purpose", Usage: "asked of the signer's certificate: `smime|any`"},
			&cli.BoolFlag{Name: "allow-sha1", Usage: "accept SHA-1 message digests"},
			&cli.BoolFlag{Name: "binary", Usage: "also accept signatures over content with LF line ends"},
		},
		Action: takes(1, 1, s.addSubscription),
	}
}

// subscriptionFile is the file as it is written. The keys are those of
// readSubscription; what is empty is left to the defaults.
type subscriptionFile struct {
	URL          string         `yaml:"url"`
	List         string         `yaml:"list,omitempty"`
	Endorsers    []endorserFile `yaml:"endorsers"`
	Schedule     string         `yaml:"schedule,omitempty"`
	UsernameFile string         `yaml:"username_file,omitempty"`
	PasswordFile string         `yaml:"password_file,omitempty"`
	Images       *imagesFile    `yaml:"images,omitempty"`
	Purpose      string         `yaml:"purpose,omitempty"`
	AllowSHA1    bool           `yaml:"allow_sha1,omitempty"`
	Binary       bool           `yaml:"binary,omitempty"`
}

type endorserFile struct {
	DN   string `yaml:"dn" json:"dn"`
	CA   string `yaml:"ca" json:"ca"`
	Seen string `yaml:"seen,omitempty" json:"seen,omitempty"`
}

type imagesFile struct {
	Include []map[string]string `yaml:"include,omitempty"`
	Exclude []map[string]string `yaml:"exclude,omitempty"`
	New     string              `yaml:"new,omitempty"`
	Updates string              `yaml:"updates,omitempty"`
}

// addedDocument is vouch/subscription-added/v1.
type addedDocument struct {
	Schema string            `json:"schema"`
	Name   string            `json:"name"`
	File   string            `json:"file"`
	Signer *imagelist.Signer `json:"signer,omitempty"` // with --trust-on-first-use
}

func (s *session) addSubscription(c *cli.Context) error {
	if err := need(c, "name"); err != nil {
		return err
	}
	f, err := fileFromFlags(c)
	if err != nil {
		return err
	}
	conf, err := s.load()
	if err != nil {
		return err
	}
	name := c.String("name")
	if have, ok := conf.origins[name]; ok {
		return &refusal{"subscription " + quoted(name) + " is there already, in " + have, "vouch subscription rm removes it"}
	}
	doc := addedDocument{Schema: "vouch/subscription-added/v1", Name: name, File: filepath.Join(conf.subscriptionsDir(), name+".yaml")}
	if c.Bool("trust-on-first-use") {
		if doc.Signer, err = s.firstUse(c.Context, conf, name, f); err != nil {
			return err
		}
	}
	if err := writeSubscription(doc.File, name, f); err != nil {
		return err
	}
	return s.result(doc, func() error {
		if s.quiet {
			return nil
		}
		_, err := fmt.Fprintf(s.out, "%s is written; the next vouch sync follows it\n", event.Printable(doc.File))
		return err
	})
}

func fileFromFlags(c *cli.Context) (*subscriptionFile, error) {
	dns, cas := c.StringSlice("endorser-dn"), c.StringSlice("endorser-ca")
	switch first := c.Bool("trust-on-first-use"); {
	case len(dns) != len(cas):
		return nil, usage(c, fmt.Sprintf("%d --endorser-dn but %d --endorser-ca: they come in pairs", len(dns), len(cas)))
	case first && len(dns) > 0:
		return nil, usage(c, "--trust-on-first-use finds the endorser itself: no --endorser-dn")
	case !first && len(dns) == 0:
		return nil, usage(c, "needs --endorser-dn and --endorser-ca, or --trust-on-first-use")
	}
	f := &subscriptionFile{
		URL: c.Args().First(), List: c.String("list"), Schedule: c.String("schedule"),
		UsernameFile: c.String("username-file"), PasswordFile: c.String("password-file"),
		Purpose: c.String("purpose"), AllowSHA1: c.Bool("allow-sha1"), Binary: c.Bool("binary"),
	}
	for i := range dns {
		f.Endorsers = append(f.Endorsers, endorserFile{DN: dns[i], CA: cas[i]})
	}
	if c.IsSet("image") || c.IsSet("new") || c.IsSet("updates") {
		f.Images = &imagesFile{New: c.String("new"), Updates: c.String("updates")}
		for _, id := range c.StringSlice("image") {
			f.Images.Include = append(f.Images.Include, map[string]string{"identifier": id})
		}
	}
	return f, nil
}

// parseSubscription reads a file about to be written as sync will read it.
// Errors speak of the command line, where the mistake is.
func parseSubscription(name string, raw []byte) (subscriber.Subscription, error) {
	if what, fix := checkName(name); what != "" {
		return subscriber.Subscription{}, &refusal{what, fix}
	}
	d := &document{file: name + ".yaml"}
	root, ok := d.parse(raw)
	var sub subscriber.Subscription
	if ok && root != nil {
		sub = readSubscription(node{d, root}, name)
	}
	if len(d.errs) > 0 {
		return sub, &refusal{d.errs[0].What, d.errs[0].Fix}
	}
	return sub, nil
}

func writeSubscription(file, name string, f *subscriptionFile) error {
	raw, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("subscription: %w", err)
	}
	if _, err := parseSubscription(name, raw); err != nil {
		return err
	}
	if err := writeFileNew(file, raw); exists(err) {
		return &refusal{file + " is there already", "vouch subscription rm removes it"}
	} else if err != nil {
		return fmt.Errorf("subscription: %w", err)
	}
	return nil
}

// firstUse fetches and verifies the list, shows who signed it and authorises
// that endorser. A list that does not verify authorises nobody.
func (s *session) firstUse(ctx context.Context, conf *configuration, name string, f *subscriptionFile) (*imagelist.Signer, error) {
	v, why, err := s.firstSigner(ctx, conf, name, f)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, s.refused(why, exitRefused)
	}
	who := f.authorise(v)
	if !s.json {
		s.pairs("list", string(v.List().Identifier), "title", v.List().Title, "version", v.List().Version,
			"signed by", who.DN, "certified by", who.CA, "SHA-256", colons(who.SHA256), "valid until", instant(who.NotAfter, s.now))
		fmt.Fprintln(s.out, "compare the SHA-256 fingerprint of the certificate with the endorser")
	}
	return who, nil
}

// authorise lets the signer of a verified list speak for the subscription.
func (f *subscriptionFile) authorise(v *imagelist.Verified) *imagelist.Signer {
	who := v.Signer()
	f.Endorsers = []endorserFile{{DN: who.DN, CA: who.CA, Seen: who.SHA256}}
	if f.List == "" {
		f.List = string(v.List().Identifier)
	}
	return &who
}

// firstSigner fetches and verifies the list, whoever signed it. A list that
// cannot be had or does not verify is an explanation. When trust itself is
// unusable that is said, and the error is its exit status.
func (s *session) firstSigner(ctx context.Context, conf *configuration, name string, f *subscriptionFile) (*imagelist.Verified, *imagelist.Explanation, error) {
	probe := *f
	probe.Endorsers = []endorserFile{{DN: "/CN=nobody", CA: "/CN=nobody"}} // a subscription must name somebody
	raw, err := yaml.Marshal(probe)
	if err != nil {
		return nil, nil, fmt.Errorf("subscription: %w", err)
	}
	sub, err := parseSubscription(name, raw)
	if err != nil {
		return nil, nil, err
	}
	sub.Endorsers = nil
	v, why, err := subscriber.FirstUse(ctx, conf.Site, s.options(), sub)
	var failed *fetch.Error
	switch no := verdict.As(err); {
	case no != nil: // of the trust directory itself
		return nil, nil, s.refused(&imagelist.Explanation{At: s.now, Rejection: no}, exitDistrust)
	case errors.As(err, &failed):
		return nil, &imagelist.Explanation{At: s.now, Rejection: verdict.Reject(failed.Code, "%s", failed.Detail)}, nil
	}
	return v, why, err
}

// colons writes a digest as OpenSSL prints fingerprints.
func colons(digest string) string {
	var b strings.Builder
	for i := 0; i+1 < len(digest); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToUpper(digest[i : i+2]))
	}
	return b.String()
}
