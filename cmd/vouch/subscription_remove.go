package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"vouch/subscriber"
)

func (s *session) subscriptionRemove() *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "unsubscribe, and withdraw the list's images", ArgsUsage: "NAME",
		Description: `Removes the subscription's file; its images are withdrawn at once, without
asking further. Their bytes stay under expired/ for cache.keep_expired. When
another process is at work the next run withdraws them.

Its files with a user name and a password are removed as well, if they are in
credentials/ beside the configuration file and nothing else in the configuration
has them as its ..._file. Those that are left are named.`,
		Action: takes(1, 1, s.removeSubscription),
	}
}

func (s *session) removeSubscription(c *cli.Context) error {
	conf, err := s.load()
	if err != nil {
		return err
	}
	name := c.Args().First()
	sub, err := conf.subscription(name)
	if err != nil {
		return err
	}
	file := conf.origins[name]
	if file == conf.File {
		return &refusal{"subscription " + quoted(name) + " is in " + conf.File, "take it out there; vouch sync does the rest"}
	}
	if err := subscriber.AcceptRemoval(conf.Site, name); err != nil {
		return err
	}
	if err := removeFile(filepath.Dir(file), filepath.Base(file)); err != nil {
		return fmt.Errorf("subscription: %w", err)
	}
	done := "subscription " + quoted(name) + " is removed"
	gone, left, failed := conf.removeCredentials(sub, file)
	next, err := s.takeEffect(c.Context)
	switch {
	case err != nil:
		return errors.Join(err, failed)
	case failed != nil:
		return &halfway{done, failed, "remove the file yourself"}
	}
	if len(gone) > 0 {
		done += ", and " + strings.Join(gone, ", ")
	}
	if next != "" {
		left = append([]string{next}, left...)
	}
	return s.done(done, strings.Join(left, "; "))
}

// removeCredentials removes the files of credentials of a subscription that
// was in file. It names those that are gone and, with the reason, those that
// are left.
func (c *configuration) removeCredentials(sub *subscriber.Subscription, file string) (gone, left []string, err error) {
	for _, path := range []string{sub.UsernameFile, sub.PasswordFile} {
		if _, missing := os.Lstat(path); path == "" || errors.Is(missing, fs.ErrNotExist) {
			continue
		}
		rel, outside := filepath.Rel(c.credentialsDir(), path)
		switch other := c.whoElse(path, file); {
		case other != "":
			left = append(left, path+" is left: "+other+" names it too")
		case outside != nil || !filepath.IsLocal(rel) || rel == ".":
			left = append(left, path+" is left: it is not in "+c.credentialsDir())
		default:
			if e := removeFile(c.credentialsDir(), rel); e != nil {
				err = errors.Join(err, fmt.Errorf("%s is left: %w", path, e))
				continue
			}
			gone = append(gone, path)
		}
	}
	return gone, left, err
}

// whoElse is another file of the configuration that names path, or another
// name of the same file; "" when there is none.
func (c *configuration) whoElse(path, file string) string {
	mine, _ := os.Stat(path)
	for _, named := range c.paths {
		if named.by == file {
			continue
		}
		theirs, err := os.Stat(named.path)
		if filepath.Clean(named.path) == filepath.Clean(path) || err == nil && mine != nil && os.SameFile(mine, theirs) {
			return named.by
		}
	}
	return ""
}

// removeFile removes a file below a directory, durably. No symbolic link on
// the way to it leads out of the directory.
func removeFile(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if info, err := root.Lstat(name); err != nil {
		return err
	} else if info.IsDir() {
		return errors.New("a directory")
	}
	if err := root.Remove(name); err != nil {
		return err
	}
	d, err := root.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
