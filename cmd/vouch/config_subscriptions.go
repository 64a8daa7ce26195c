package main

import (
	"errors"
	"path"
	"regexp"
	"strings"

	"vouch/imagelist"
	"vouch/subscriber"
)

// checkSchedule accepts what subscriber.ParseSchedule does.
func checkSchedule(s string) (what, fix string) {
	_, err := subscriber.ParseSchedule(s)
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, subscriber.ErrTooOften):
		fix = "at least @every " + subscriber.ShortestEvery.String()
	case errors.Is(err, subscriber.ErrZone):
		fix = `such as "CRON_TZ=Europe/Paris 50 */6 * * *"`
	default:
		fix = `a cron expression such as "50 */6 * * *", or @every 6h`
	}
	return err.Error() + ": " + quoted(s), fix
}

// readSubscription reads one; name is that of its file, "" in the main file.
func readSubscription(n node, name string) subscriber.Subscription {
	s := subscriber.Subscription{Name: name}
	purpose := "smime"
	n.object(fields{
		"name": func(n node) {
			checked(&s.Name, checkName)(n)
			if name != "" && s.Name != name {
				n.fail("the file says "+quoted(name), "take the name away, or rename the file")
			}
		},
		"url":           checked(&s.URL, checkURL),
		"list":          func(n node) { identifierTo((*string)(&s.List))(n) },
		"endorsers":     func(n node) { n.list(func(n node) { s.Endorsers = append(s.Endorsers, readEndorser(n)) }) },
		"schedule":      checked(&s.Schedule, checkSchedule),
		"username_file": pathTo(&s.UsernameFile),
		"password_file": pathTo(&s.PasswordFile),
		"images":        func(n node) { readSelection(n, &s) },
		"purpose":       choice(&purpose, "smime", "any"),
		"allow_sha1":    boolTo(&s.AllowSHA1),
		"binary":        boolTo(&s.Binary),
	})
	s.AnyPurpose = purpose == "any"
	if name == "" {
		n.need("name")
	}
	n.need("url", "endorsers")
	if n.has("endorsers") && len(s.Endorsers) == 0 {
		n.fail("nobody may speak for this subscription", "endorsers: [{dn: /..., ca: /...}]")
	}
	if s.PasswordFile != "" && s.UsernameFile == "" {
		n.fail("password_file without username_file", "")
	}
	return s
}

func readEndorser(n node) imagelist.Authorised {
	var (
		e    imagelist.Authorised
		seen string
	)
	n.object(fields{
		"dn":   checked(&e.DN, checkDN),
		"ca":   checked(&e.CA, checkDN),
		"seen": hexTo(&seen, 256),
		"pin":  hexTo(&e.Pin, 256),
	})
	n.need("dn", "ca")
	return e
}

func checkDN(s string) (string, string) {
	if !strings.HasPrefix(s, "/") || len(s) < 4 || !strings.Contains(s, "=") {
		return "not a distinguished name: " + quoted(s), "such as /DC=org/DC=example/CN=Alice"
	}
	return "", ""
}

var identifierForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func identifierTo(dst *string) func(node) {
	return checked(dst, func(s string) (string, string) {
		if !identifierForm.MatchString(s) {
			return "not an identifier: " + quoted(s), "the dc:identifier of a list or image, such as a UUID"
		}
		return "", ""
	})
}

func readSelection(n node, s *subscriber.Subscription) {
	hold := func(dst *bool) func(node) {
		return func(n node) {
			word := "accept"
			choice(&word, "accept", "hold")(n)
			*dst = word == "hold"
		}
	}
	n.object(fields{
		"include": selectorsTo(&s.Include),
		"exclude": selectorsTo(&s.Exclude),
		"new":     hold(&s.HoldNew),
		"updates": hold(&s.HoldUpdates),
	})
}

func selectorsTo(dst *[]subscriber.Selector) func(node) {
	return func(n node) {
		n.list(func(n node) { *dst = append(*dst, readSelector(n)) })
		if len(*dst) == 0 {
			n.fail("an empty selection", "take the key away to select everything")
		}
	}
}

func readSelector(n node) subscriber.Selector {
	var s subscriber.Selector
	n.object(fields{
		"identifier": identifierTo(&s.Identifier),
		"sha512":     hexTo(&s.SHA512, 512),
		"title":      checked(&s.Title, checkGlob),
		"os":         textTo(&s.OS),
		"arch":       textTo(&s.Arch),
		"format":     textTo(&s.Format),
		"hypervisor": textTo(&s.Hypervisor),
	})
	if s == (subscriber.Selector{}) {
		n.fail("a selector that selects nothing in particular", "one of identifier, sha512, title, os, arch, format, hypervisor")
	}
	return s
}

func checkGlob(s string) (string, string) {
	if _, err := path.Match(s, ""); err != nil {
		return "not a pattern: " + quoted(s), "* any text, ? one character, [ab] one of these"
	}
	return "", ""
}
