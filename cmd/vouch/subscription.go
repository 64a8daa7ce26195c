package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"vouch/subscriber"
	"vouch/subscriber/fetch"
)

func (s *session) subscriptionCommand() *cli.Command {
	return &cli.Command{
		Name: "subscription", Usage: "say which lists to follow, and whom to believe",
		Description: `A subscription is one file in subscriptions.d/ beside the configuration file.
These commands write and remove such files; a configuration manager may do so as
well. Subscriptions in the configuration file itself are shown, not changed.`,
		Subcommands: []*cli.Command{
			s.subscriptionAdd(), s.subscriptionImport(), s.subscriptionList(), s.subscriptionShow(), s.subscriptionRemove(), s.subscriptionResetFloor(),
		},
	}
}

// redacted is a URL without what may be secret in it (T-29).
func redacted(url string) string { return fetch.Redact(url) }

// weaker names the settings of a subscription that are weaker than the
// defaults; every listing shows them (T-15).
func weaker(sub subscriber.Subscription) []string {
	var w []string
	if sub.AllowSHA1 {
		w = append(w, "allow_sha1")
	}
	if sub.AnyPurpose {
		w = append(w, "purpose: any")
	}
	if sub.Binary {
		w = append(w, "binary")
	}
	return w
}

func (s *session) subscriptionList() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list the subscriptions",
		Description: "WEAKER names settings that check less than the defaults do.",
		Action:      takes(0, 0, s.listSubscriptions),
	}
}

// subscriptionEntry is a subscription as configured, and where.
type subscriptionEntry struct {
	Name         string                         `json:"name"`
	URL          string                         `json:"url"` // redacted
	List         string                         `json:"list"`
	Endorsers    []endorserEntry                `json:"endorsers"`
	Schedule     string                         `json:"schedule"`
	Include      []selectorEntry                `json:"include"`
	Exclude      []selectorEntry                `json:"exclude"`
	HoldNew      bool                           `json:"hold_new"`
	HoldUpdates  bool                           `json:"hold_updates"`
	UsernameFile string                         `json:"username_file"`
	PasswordFile string                         `json:"password_file"`
	Weaker       []string                       `json:"weaker"`
	File         string                         `json:"file"`
	Status       *subscriber.SubscriptionStatus `json:"status,omitempty"` // as of the last run
}

// endorserEntry is an endorser as configured.
type endorserEntry struct {
	DN  string `json:"dn"`
	CA  string `json:"ca"`
	Pin string `json:"pin,omitempty"`
}

// selectorEntry is a selector as configured.
type selectorEntry struct {
	Identifier string `json:"identifier,omitempty"`
	SHA512     string `json:"sha512,omitempty"`
	Title      string `json:"title,omitempty"`
	OS         string `json:"os,omitempty"`
	Arch       string `json:"arch,omitempty"`
	Format     string `json:"format,omitempty"`
	Hypervisor string `json:"hypervisor,omitempty"`
}

// subscriptionsDocument is vouch/subscriptions/v1.
type subscriptionsDocument struct {
	Schema        string              `json:"schema"`
	Subscriptions []subscriptionEntry `json:"subscriptions"`
}

// entryOf joins what is configured with what the last run found.
func entryOf(conf *configuration, sub subscriber.Subscription, st *subscriber.Status) subscriptionEntry {
	e := subscriptionEntry{
		Name: sub.Name, URL: redacted(sub.URL), List: string(sub.List), Schedule: sub.Schedule,
		HoldNew: sub.HoldNew, HoldUpdates: sub.HoldUpdates, UsernameFile: sub.UsernameFile, PasswordFile: sub.PasswordFile,
		Weaker: weaker(sub), File: conf.origins[sub.Name],
	}
	for _, a := range sub.Endorsers {
		e.Endorsers = append(e.Endorsers, endorserEntry(a))
	}
	for _, sel := range sub.Include {
		e.Include = append(e.Include, selectorEntry(sel))
	}
	for _, sel := range sub.Exclude {
		e.Exclude = append(e.Exclude, selectorEntry(sel))
	}
	for i := range st.Subscriptions {
		if st.Subscriptions[i].Name == sub.Name {
			e.Status = &st.Subscriptions[i]
		}
	}
	return e
}

func (s *session) listSubscriptions(*cli.Context) error {
	conf, st, err := s.snapshot()
	if err != nil {
		return err
	}
	doc := subscriptionsDocument{Schema: "vouch/subscriptions/v1"}
	for _, sub := range conf.Site.Subscriptions {
		doc.Subscriptions = append(doc.Subscriptions, entryOf(conf, sub, st))
	}
	return s.result(doc, func() error {
		t := newTable("NAME:64", "STATE:12", "VERSION:20", "IMAGES", "ENDORSERS", "WEAKER:40", "URL:100")
		for _, e := range doc.Subscriptions {
			state, version, images := "new", "", ""
			if e.Status != nil {
				state, version = e.Status.State, e.Status.Version
				images = fmt.Sprintf("%d/%d", e.Status.Available, e.Status.Images)
			}
			t.add(e.Name, state, version, images, fmt.Sprint(len(e.Endorsers)), strings.Join(e.Weaker, ", "), e.URL)
		}
		t.write(s.out, "", nil)
		return nil
	})
}

func (s *session) subscriptionShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "everything about one subscription", ArgsUsage: "NAME",
		Action: takes(1, 1, func(c *cli.Context) error {
			conf, st, err := s.snapshot()
			if err != nil {
				return err
			}
			sub, err := conf.subscription(c.Args().First())
			if err != nil {
				return err
			}
			doc := struct {
				Schema string `json:"schema"`
				subscriptionEntry
			}{"vouch/subscription/v1", entryOf(conf, *sub, st)}
			return s.result(doc, func() error {
				s.writeSubscription(&doc.subscriptionEntry)
				return nil
			})
		}),
	}
}

func (s *session) writeSubscription(e *subscriptionEntry) {
	s.pairs("subscription", e.Name, "url", e.URL, "list", e.List, "schedule", e.Schedule, "username_file", e.UsernameFile,
		"password_file", e.PasswordFile, "weaker", strings.Join(e.Weaker, ", "), "file", e.File)
	for _, a := range e.Endorsers {
		s.field("endorser", a.DN)
		s.field("  ca", a.CA)
		s.field("  pin", a.Pin)
	}
	for _, sel := range e.Include {
		s.field("include", selectorText(sel))
	}
	for _, sel := range e.Exclude {
		s.field("exclude", selectorText(sel))
	}
	if e.HoldNew {
		s.field("new images", "wait for vouch image approve")
	}
	if e.HoldUpdates {
		s.field("updates", "wait for vouch image approve")
	}
	st := e.Status
	if st == nil {
		s.field("state", "new: vouch sync has not seen it")
		return
	}
	for _, f := range [][2]string{
		{"state", st.State}, {"reason", st.Reason}, {"detail", st.Detail}, {"title", st.Title}, {"pinned list", st.List}, {"version", st.Version},
		{"created", instant(st.Created, s.now)}, {"expires", instant(st.Expires, s.now)}, {"verified", instant(st.Verified, s.now)},
		{"attempted", instant(st.Attempted, s.now)}, {"failing since", instant(st.FailingSince, s.now)},
		{"endorsed by", st.EndorserDN}, {"certified by", st.EndorserCA},
		{"images", fmt.Sprintf("%d in the list, %d available, %d pending", st.Images, st.Available, st.Pending)},
	} {
		s.field(f[0], f[1])
	}
}

func selectorText(e selectorEntry) string {
	var parts []string
	for _, p := range [][2]string{
		{"identifier", e.Identifier}, {"sha512", e.SHA512}, {"title", e.Title}, {"os", e.OS}, {"arch", e.Arch},
		{"format", e.Format}, {"hypervisor", e.Hypervisor},
	} {
		if p[1] != "" {
			parts = append(parts, p[0]+"="+p[1])
		}
	}
	return strings.Join(parts, " ")
}

// pass makes a change of the configuration effective without the network, and
// says what left. The error is a *subscriber.LockedError when another process
// is at work.
func (s *session) pass(ctx context.Context) (gone string, err error) {
	conf, err := s.load() // again: it has changed
	if err != nil {
		return "", err
	}
	o := s.options()
	o.NoWait = true
	rep, err := subscriber.Pass(ctx, conf.Site, o)
	if err != nil {
		return "", err
	}
	n := 0
	for _, i := range rep.Images {
		if i.Result == "withdrawn" {
			n++
		}
	}
	if n == 0 {
		return "", nil
	}
	return plural(n, "image") + " withdrawn", nil
}

// takeEffect is pass for a change that can wait for the other process's next run.
func (s *session) takeEffect(ctx context.Context) (next string, err error) {
	next, err = s.pass(ctx)
	var locked *subscriber.LockedError
	if errors.As(err, &locked) && locked.PID != 0 {
		return fmt.Sprintf("process %d is at work: the next vouch sync acts on it", locked.PID), nil
	}
	return next, err
}

func (s *session) subscriptionResetFloor() *cli.Command {
	return &cli.Command{
		Name: "reset-floor", Usage: "accept lower versions of a list again", ArgsUsage: "NAME",
		Description: `A list's version and creation date never go below the highest ever accepted,
which stops an attacker who replays an old list. An endorser who lost the
workspace may have to start again lower: ask the endorser, then reset the floor.

Examples:
  vouch subscription reset-floor cernvm --reason "endorser started anew, ticket 4711"`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "reason", Usage: "kept with the decision: `TEXT`"}},
		Action: takes(1, 1, func(c *cli.Context) error {
			if err := need(c, "reason"); err != nil {
				return err
			}
			conf, err := s.load()
			if err != nil {
				return err
			}
			name := c.Args().First()
			if _, err := conf.subscription(name); err != nil {
				return err
			}
			if err := subscriber.ResetFloor(c.Context, conf.Site, s.options(), name, c.String("reason")); err != nil {
				return err
			}
			return s.done("the floor of "+quoted(name)+" is reset", "the next vouch sync accepts any version once")
		}),
	}
}
