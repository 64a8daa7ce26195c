package main

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
	"vouch/subscriber"
	"vouch/subscriber/event"
	"vouch/subscriber/fetch"
)

func (s *session) publisherVerify() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "a subscriber's verdict on any list, check by check", ArgsUsage: "FILE|URL|-",
		Description: `Fetches the list if it is a URL, and judges it as a subscriber would, now or
--at another time: is it authentic, a list, signed by the endorser it names, by
one that is authorised (asked only with --endorser-dn and --endorser-ca), and
current. Needs no configuration file and changes nothing. What only a
subscriber's history can tell, such as a version going back, is not asked.

Exits 0 accepted, 3 rejected, 5 trust unusable, when the verdict is printed all
the same.

Examples:
  vouch publisher verify image.list --anchors /etc/grid-security/certificates
  vouch publisher verify https://lists.example.org/image.list --anchors ca.pem --crl if-present \
      --endorser-dn "/DC=org/DC=example/CN=Alice" --endorser-ca "/DC=org/DC=example/CN=Example CA"
  vouch publisher verify image.list --anchors certificates --at 2026-12-31T00:00:00Z -o json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "anchors", Usage: "hashed directory or PEM bundle: `DIR`", EnvVars: []string{"X509_CERT_DIR"}},
			&cli.StringFlag{Name: "crl", Value: "require", Usage: "`require|if-present|ignore`"},
			&cli.StringFlag{Name: "signing-policy", Value: "require", Usage: "`require|if-present|ignore`"},
			&cli.StringFlag{Name: "endorser-dn", Usage: "who may speak: `DN`"},
			&cli.StringFlag{Name: "endorser-ca", Usage: "certified by: `DN`"},
			&cli.StringFlag{Name: "purpose", Value: "smime", Usage: "asked of the signer's certificate: `smime|any`"},
			&cli.StringFlag{Name: "at", Usage: "judge at a time, or a duration from now: `TIME`"},
			&cli.BoolFlag{Name: "allow-sha1", Usage: "accept SHA-1 message digests"},
			&cli.BoolFlag{Name: "binary", Usage: "also accept signatures over content with LF line ends"},
		},
		Action: takes(1, 1, s.verify),
	}
}

// verdictDocument is vouch/verdict/v1 (contract §7).
type verdictDocument struct {
	Schema   string            `json:"schema"`
	Verdict  string            `json:"verdict"` // accepted | rejected
	Reason   verdict.Code      `json:"reason"`
	Detail   string            `json:"detail"`
	Hint     string            `json:"hint"` // what to do about a rejection
	At       time.Time         `json:"at"`
	Asked    *verdictAsked     `json:"asked,omitempty"` // null when a command other than this one judged
	Signer   *imagelist.Signer `json:"signer"`          // null when no signature could be attributed
	List     *verdictList      `json:"list"`            // null unless accepted
	Checks   []verdictCheck    `json:"checks"`
	Warnings []string          `json:"warnings"`
}

// verdictList is what an accepted list says of itself.
type verdictList struct {
	Identifier string    `json:"identifier"`
	Version    string    `json:"version"`
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires"`
	Images     int       `json:"images"`
}

// verdictAsked is what was judged, and by which rules.
type verdictAsked struct {
	Message       string     `json:"message"`  // file or URL, "-" for standard input
	SHA512        string     `json:"sha512"`   // of the message, "" when it could not be read
	Anchors       string     `json:"anchors"`  // the directory or bundle
	Snapshot      string     `json:"snapshot"` // digest of what it held
	CAs           int        `json:"cas"`
	CRLFiles      int        `json:"crl_files"`
	CRL           trust.Mode `json:"crl"`
	SigningPolicy trust.Mode `json:"signing_policy"`
	Purpose       string     `json:"purpose"`
	AllowSHA1     bool       `json:"allow_sha1"`
	Binary        bool       `json:"binary"`
}

type verdictCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Clause string `json:"clause"` // where the rule stands
}

func checkOf(c trust.Check) verdictCheck {
	return verdictCheck{c.Name, c.OK, c.Detail, clauses[c.Name]}
}

func (s *session) verify(c *cli.Context) error {
	q, err := question(c)
	if err != nil {
		return err
	}
	at, err := s.when(c, "at", true)
	if err != nil {
		return err
	}
	if at.IsZero() {
		at = s.now
	}
	store, err := trust.Load(c.String("anchors"))
	if err != nil {
		return &refusal{err.Error(), "--anchors names a hashed directory such as /etc/grid-security/certificates, or a PEM bundle"}
	}
	doc := verdictDocument{Schema: "vouch/verdict/v1", At: at, Asked: asked(c, store)}
	raw, err := readMessage(c.Context, s.in, c.Args().First())
	if no := verdict.As(err); no != nil {
		doc.reject(no)
	} else if err != nil {
		return err
	} else {
		doc.Asked.SHA512 = fmt.Sprintf("%x", sha512.Sum512(raw))
		doc.judge(raw, store, at, q)
	}
	doc.Hint = doc.hint()
	if err := s.result(doc, func() error { s.writeVerdict(&doc); return nil }); err != nil {
		return err
	}
	return s.verdictStatus(&doc, store.Usable(q.Trust))
}

// verdictStatus is the exit status of a verdict that has been printed.
func (s *session) verdictStatus(doc *verdictDocument, unusable error) error {
	if unusable != nil {
		fmt.Fprintln(s.err, "vouch:", event.Printable(unusable.Error()))
		return status(exitDistrust)
	}
	if doc.Verdict != "accepted" {
		return status(exitRefused)
	}
	return nil
}

// question reads what is asked of the message.
func question(c *cli.Context) (imagelist.Question, error) {
	var q imagelist.Question
	if err := need(c, "anchors"); err != nil {
		return q, err
	}
	for flag, mode := range map[string]*trust.Mode{"crl": &q.Trust.CRL, "signing-policy": &q.Trust.SigningPolicy} {
		*mode = trust.Mode(c.String(flag))
		if *mode != trust.Require && *mode != trust.IfPresent && *mode != trust.Ignore {
			return q, usage(c, "--"+flag+" is require, if-present or ignore, not "+quoted(c.String(flag)))
		}
	}
	switch purpose := c.String("purpose"); purpose {
	case "smime":
	case "any":
		q.Trust.AnyPurpose = true
	default:
		return q, usage(c, "--purpose is smime or any, not "+quoted(purpose))
	}
	q.Envelope = smime.Options{AllowSHA1: c.Bool("allow-sha1"), Binary: c.Bool("binary")}
	if c.IsSet("endorser-dn") != c.IsSet("endorser-ca") {
		return q, usage(c, "--endorser-dn and --endorser-ca come in a pair")
	}
	if c.IsSet("endorser-dn") {
		q.Authorised = []imagelist.Authorised{{DN: c.String("endorser-dn"), CA: c.String("endorser-ca")}}
	}
	return q, nil
}

// maxMessage is the default of fetch.max_list_size.
const maxMessage = 16 << 20

// readMessage reads the list from a URL, a file or standard input. The error
// is a *verdict.Rejection when a subscriber would have refused it for that:
// fetch, too-large.
func readMessage(ctx context.Context, stdin io.Reader, from string) ([]byte, error) {
	if isURL(from) {
		return fetchMessage(ctx, from)
	}
	in := stdin
	if from != "-" {
		f, err := os.Open(filepath.Clean(from))
		if err != nil {
			return nil, &refusal{"list: " + err.Error(), "a file, an http or https URL, or - for standard input"}
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
	if errors.Is(err, syscall.EISDIR) {
		return nil, &refusal{"list: " + err.Error(), "a file, an http or https URL, or - for standard input"}
	}
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	if len(raw) > maxMessage {
		return nil, verdict.Reject(verdict.TooLarge, "more than %d bytes", maxMessage)
	}
	return raw, nil
}

func isURL(text string) bool {
	return strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
}

func fetchMessage(ctx context.Context, url string) ([]byte, error) {
	if what, fix := checkURL(url); what != "" {
		return nil, &refusal{what, fix}
	}
	client, err := fetch.New(fetch.Config{TLS: "system"})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	defer client.Close()
	doc, err := client.Document(ctx, fetch.Origin{URL: url}, fetch.Doc{MaxSize: maxMessage})
	var failed *fetch.Error
	if errors.As(err, &failed) && ctx.Err() == nil {
		return nil, verdict.Reject(failed.Code, "%s", failed.Detail)
	}
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return doc.Body, nil
}

// judge asks the gates, and of the fourth what the list alone can answer.
func (d *verdictDocument) judge(raw []byte, store *trust.Store, at time.Time, q imagelist.Question) {
	v, told := imagelist.Examine(raw, store, at, q)
	d.Signer, d.Warnings = told.Signer, told.Warnings
	for _, c := range told.Checks {
		d.Checks = append(d.Checks, checkOf(c))
	}
	if told.Rejection != nil {
		d.refuse(told.Rejection)
		return
	}
	list := v.List()
	if err := list.Current(at); err != nil {
		d.reject(verdict.As(err))
		return
	}
	d.Checks = append(d.Checks, checkOf(trust.Check{Name: "current", OK: true,
		Detail: fmt.Sprintf("created %s, expires %s", stamp(list.Created), stamp(list.Expires))}))
	d.Verdict = "accepted"
	d.List = &verdictList{string(list.Identifier), list.Version, list.Created.UTC(), list.Expires.UTC(), len(list.Images)}
	for _, e := range list.Refused {
		d.Warnings = append(d.Warnings, fmt.Sprintf("%s: %s: %s", verdict.MalformedEntry, e.Field, e.Detail))
	}
	for _, i := range list.Images {
		if i.ExpiredAt(at) {
			d.Warnings = append(d.Warnings, fmt.Sprintf("%s: %s", verdict.ImageExpired, i.Identifier))
		}
	}
}

// refuse is the verdict on a list that failed a check already recorded.
func (d *verdictDocument) refuse(no *verdict.Rejection) {
	d.Verdict, d.Reason, d.Detail = "rejected", no.Code, no.Detail
}

// reject is refuse with a check of this code's gate.
func (d *verdictDocument) reject(no *verdict.Rejection) {
	d.refuse(no)
	name := "current"
	if no.Code != verdict.CreatedInFuture && no.Code != verdict.ListExpired {
		name = "fetch"
	}
	d.Checks = append(d.Checks, checkOf(trust.Check{Name: name, Detail: no.Detail}))
}

// refused prints why a list was not accepted, check by check, and returns the
// exit status that goes with it.
func (s *session) refused(why *imagelist.Explanation, code int) error {
	d := verdictDocument{Schema: "vouch/verdict/v1", At: why.At, Signer: why.Signer, Warnings: why.Warnings}
	for _, c := range why.Checks {
		d.Checks = append(d.Checks, checkOf(c))
	}
	d.refuse(why.Rejection)
	d.Hint = subscriber.HintFor(d.Reason)
	if err := s.result(d, func() error { s.writeVerdict(&d); return nil }); err != nil {
		return err
	}
	return status(code)
}
