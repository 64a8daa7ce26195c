package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist/publisher"
	"vouch/imagelist/publisher/credential"
	"vouch/subscriber"
)

func (s *session) publisherCommand() *cli.Command {
	group := &cli.Command{
		Name: "publisher", Usage: "for endorsers: make, sign, publish and revoke lists",
		Description: `An endorser keeps a workspace: a directory with the draft of the list, every
signed version and the history that the policy asks for. Nothing in it is
secret; put it under version control. -C names it, otherwise it is the current
directory.

A release is two commands, a revocation one:
  vouch publisher add image.qcow2 --replace ID --uri https://images.example.org/image-2.qcow2 --sbom image-2.cdx.json
  vouch publisher publish lists.example.org:/srv/www/image.list
  vouch publisher remove ID --reason "CVE-2026-12345" --publish lists.example.org:/srv/www/image.list

None of these commands needs a configuration file or touches a site's state.

Exit status: 0 done; 2 what was given cannot be used, and nothing was changed;
3 refused, not published, not valid or due; 4 another command is at work in the
workspace.`,
		Flags: []cli.Flag{directoryFlag()},
		Subcommands: []*cli.Command{
			s.publisherInit(), s.publisherImport(), s.publisherAdd(), s.publisherRemove(), s.publisherValidate(),
			s.publisherSign(), s.publisherPublish(), s.publisherRenew(), s.publisherStatus(), s.publisherDiff(),
			s.publisherHistory(), s.publisherVerify(),
		},
	}
	for _, c := range group.Subcommands {
		if c.Name != "verify" && c.Name != "validate" {
			c.Flags = append(c.Flags, directoryFlag())
		}
	}
	return group
}

func directoryFlag() cli.Flag {
	return &cli.StringFlag{Name: "C", Value: ".", Usage: "work in the workspace `DIR`"}
}

// The flags that several commands share.

// whoFlags say who answers for what is done.
func whoFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "responsible", Usage: "the individual who answers for it: `NAME`; the workspace's otherwise"},
		&cli.StringFlag{Name: "history-key", Usage: "`FILE` of the key that signs the history's checkpoints, made if need be; otherwise below ~/.config/vouch/history", EnvVars: []string{"VOUCH_HISTORY_KEY"}},
	}
}

// keyFlags say what signs.
func keyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cert", Usage: "certificate, PEM or PKCS#12: `FILE`; the last one used or ~/.globus/usercert.pem otherwise"},
		&cli.StringFlag{Name: "key", Usage: "its key, PEM or PKCS#12: `FILE`; the last one used or ~/.globus/userkey.pem otherwise"},
		&cli.StringFlag{Name: "passphrase-file", Usage: "`FILE` whose first line is the key's passphrase; asked for on the terminal otherwise"},
		&cli.IntFlag{Name: "passphrase-fd", Usage: "file `DESCRIPTOR` to read the passphrase from", Value: -1, DefaultText: "none"},
		&cli.StringFlag{Name: "exec", Usage: "`COMMAND` that holds the key: gets the content on standard input, prints S/MIME"},
		&cli.StringFlag{Name: "lifetime", Usage: "how long the list is good for: `DURATION`; kept for the next time", DefaultText: "28d"},
		&cli.StringFlag{Name: "anchors", Usage: "hashed directory or PEM bundle to check the chain against: `DIR`; " + defaultAnchors + " if it is there", EnvVars: []string{"X509_CERT_DIR"}},
	}
}

// placeFlags say how to get into a destination.
func placeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "images", Usage: "upload the image files first, beside the list"},
		&cli.BoolFlag{Name: "overwrite", Usage: "let an upload replace other bytes of the same file name"},
		&cli.StringFlag{Name: "username-file", Usage: "`FILE` with the user name for HTTP"},
		&cli.StringFlag{Name: "password-file", Usage: "`FILE` with the password for HTTP"},
		&cli.StringFlag{Name: "token-file", Usage: "`FILE` with a bearer token for HTTP"},
		&cli.BoolFlag{Name: "client-cert", Usage: "show the endorser's certificate to the web server"},
		rootsFlag(),
		&cli.BoolFlag{Name: "no-fetch-back", Usage: "do not read images and list back from their own addresses"},
		&cli.StringFlag{Name: "notify", Usage: "tell a site that runs vouch to look now: `URL`; --roots names the CAs of its certificate"},
		&cli.StringFlag{Name: "notify-token-file", Usage: "`FILE` with the token that the site gave you for this"},
	}
}

func rootsFlag() cli.Flag {
	return &cli.StringFlag{Name: "roots", Usage: "PEM bundle or hashed directory of the web server's CAs, beside the system's: `DIR`"}
}

const defaultAnchors = "/etc/grid-security/certificates"

// workspace opens the workspace that -C names.
func (s *session) workspace(c *cli.Context, readOnly bool) (*publisher.Workspace, error) {
	w, err := publisher.Open(c.Context, c.String("C"), publisher.Options{HistoryKey: c.String("history-key"), ReadOnly: readOnly})
	return w, badInput(err)
}

// who is who answers: the name given, and whatever certificate is at hand. A
// certificate that cannot be read matters only to whoever named it.
func (s *session) who(c *cli.Context, w *publisher.Workspace) (publisher.Who, error) {
	who := publisher.Who{Responsible: c.String("responsible")}
	file := c.String("cert")
	if file == "" && w != nil {
		file = w.Local.Cert
	}
	if file == "" {
		file, _ = credential.Defaults()
	}
	if file == "" {
		return who, nil
	}
	cert, _, err := credential.Certificate(file)
	if err != nil && c.String("cert") != "" {
		return who, err
	}
	who.Certificate = cert
	return who, nil
}

// whoSigns is who for a command that may have read the key, and then knows the
// certificate, which in a PKCS#12 file cannot be read without.
func (s *session) whoSigns(c *cli.Context, w *publisher.Workspace, key *signer) (publisher.Who, error) {
	if key != nil && key.known.Certificate != nil {
		return publisher.Who{Responsible: c.String("responsible"), Certificate: key.known.Certificate}, nil
	}
	who, err := s.who(c, w)
	if errors.Is(err, credential.ErrEncrypted) {
		err = nil // it is not needed: who signed the list is recorded
	}
	return who, err
}

// personName is the name of whoever runs this, as far as the machine knows it.
func personName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(u.Name, ",") // the rest of the field is rooms and telephones
	return strings.TrimSpace(name)
}

// lifetime is how long the next list is good for.
func (s *session) lifetime(c *cli.Context, w *publisher.Workspace) (time.Duration, error) {
	text, from := c.String("lifetime"), "--lifetime"
	if text == "" {
		text, from = w.Settings.Lifetime, "lifetime in workspace.json"
	}
	if text == "" {
		return publisher.DefaultLifetime, nil
	}
	d, ok := subscriber.ParseSpan(text)
	if !ok || d <= 0 {
		return 0, usage(c, from+" is a duration such as 28d, not "+quoted(text))
	}
	return d, nil
}

var errInterrupted = errors.New("interrupted; nothing was recorded")

// badInput turns an error that a person can do something about into a
// refusal, exit 2: nothing was changed. Others stay unexpected.
func badInput(err error) error {
	if err == nil || exitCode(err) != exitFailure {
		return err
	}
	if h := hint(err); h != "" {
		return &refusal{err.Error(), h}
	}
	if invalid, ok := errors.AsType[*publisher.InvalidError](err); ok {
		return &refusal{invalid.Error(), invalid.Hint()}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EROFS):
		return &refusal{err.Error(), "make room, or -C names a directory that can be written to; what was begun is finished by the next command"}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return &refusal{err.Error(), "check the path and who may use it"}
	}
	return err
}

// checkPublic refuses an address that subscribers could not or must not read.
func checkPublic(uri string) error {
	if what, _ := checkURL(uri); what != "" {
		return &refusal{"--uri: " + what, "the address is in the signed list, for everybody to read: http or https, without user name and password"}
	}
	return nil
}

// isDir says whether there is a directory of this name.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
