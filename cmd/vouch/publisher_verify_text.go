package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
	"vouch/subscriber"
	"vouch/subscriber/event"
)

// clauses are where the rules of the checks stand, by name.
var clauses = map[string]string{
	"envelope":       "RFC 8551 §3, RFC 5652 §5.1",
	"signature":      "RFC 5652 §5.4, §5.6, §11",
	"algorithm":      "RFC 8551 §2.1, §2.2",
	"chain":          "RFC 5280 §6.1",
	"validity":       "RFC 5280 §4.1.2.5",
	"key-usage":      "RFC 8550 §4.4",
	"proxy":          "RFC 3820 §3.8",
	"signing-policy": "Globus EACL, EUGridPMA namespaces 1.0",
	"crl":            "RFC 5280 §5, §6.3",
	"list":           "HEPiX image list, RFC 8259",
	"endorser":       "HEPiX image list: hv:endorser",
	"authorised":     "--endorser-dn, --endorser-ca",
	"current":        "HEPiX image list: dc:date:created, dc:date:expires",
}

// checkOrder are the names of the checks as they are made.
var checkOrder = []string{"envelope", "signature", "algorithm", "chain", "validity", "key-usage", "proxy",
	"signing-policy", "crl", "list", "endorser", "authorised", "current"}

// verifyHints are what somebody who judges a list by hand can do, where that is
// not what an administrator of a subscription would.
var verifyHints = map[verdict.Code]string{
	verdict.Fetch:           "check the URL, the server and the network",
	verdict.NetworkDenied:   "a site follows a name to a private address only with fetch.allow_networks; to judge the list, save it and verify the file",
	verdict.TooLarge:        "a list may have 16 MiB unless a site raises fetch.max_list_size",
	verdict.NotSigned:       "a list is signed, with vouch publisher sign or openssl cms -sign; a web page or bare JSON is none",
	verdict.Signature:       "something changed it on the way, or it was signed over LF lines (openssl -binary): --binary",
	verdict.WeakAlgorithm:   "sign with SHA-256 (openssl cms -sign -md sha256); --allow-sha1 accepts SHA-1 message digests",
	verdict.Untrusted:       "the CA must lie in --anchors as HASH.0 (openssl x509 -subject_hash), a subordinate CA there or in the message",
	verdict.KeyUsage:        "the certificate is not made for signing mail; --purpose any does not ask the extended key usage",
	verdict.SigningPolicy:   "HASH.signing_policy and HASH.namespaces of the CA, or of one above it, must permit the name",
	verdict.CRLMissing:      "run fetch-crl; --crl if-present does without CRLs that are not there",
	verdict.CRLStale:        "run fetch-crl; --at judges at a time at which the CRL was current",
	verdict.NotAuthorised:   "--endorser-dn and --endorser-ca must be those of the signer, shown here, if that is who may speak",
	verdict.CertExpired:     "the endorser must renew the certificate and sign again; --at judges at an earlier time",
	verdict.CertNotYetValid: "check the clock of whoever judges, and of the CA; --at judges at a later time",
	verdict.ListExpired:     "the endorser must sign a new list; --at judges at an earlier time",
	verdict.CreatedInFuture: "check the clock of whoever judges, and of the endorser; --at judges at a later time",
}

// hint says what to do about the reason.
func (d *verdictDocument) hint() string {
	switch last := len(d.Checks) - 1; {
	case d.Reason == "":
		return ""
	case d.Reason == verdict.WeakAlgorithm && d.Checks[last].Name == "algorithm":
		return "the endorser needs a certificate signed over SHA-256, and a key of 2048 bits; no option allows less"
	case d.Reason == verdict.KeyUsage && strings.Contains(d.Checks[last].Detail, " is a CA"):
		return "a CA certifies; an endorser needs a certificate of their own"
	}
	if hint := verifyHints[d.Reason]; hint != "" {
		return hint
	}
	return subscriber.HintFor(d.Reason)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// asked tells what a command line asks.
func asked(c *cli.Context, store *trust.Store) *verdictAsked {
	cas, crls := store.Count()
	message := c.Args().First()
	if isURL(message) {
		message = redacted(message)
	}
	return &verdictAsked{
		Message: message, Anchors: store.Path(), Snapshot: store.ID(), CAs: cas, CRLFiles: crls,
		CRL: trust.Mode(c.String("crl")), SigningPolicy: trust.Mode(c.String("signing-policy")), Purpose: c.String("purpose"),
		AllowSHA1: c.Bool("allow-sha1"), Binary: c.Bool("binary"),
	}
}

// writeVerdict prints a verdict as it goes into a ticket: what was asked, each
// check in order with the facts behind it, and the one reason.
func (s *session) writeVerdict(d *verdictDocument) {
	paint := s.colours()
	s.writeAsked(d)
	for i, c := range d.Checks {
		word, colour, clause := "ok    ", green, ""
		if !c.OK {
			word, colour = "FAILED", red
		}
		if c.Clause != "" && (i == 0 || d.Checks[i-1].Name != c.Name) {
			clause = "  [" + c.Clause + "]"
		}
		fmt.Fprintf(s.out, "%s  %-15s %s%s\n", paint.paint(colour, word), event.Printable(c.Name), event.Printable(c.Detail), clause)
	}
	if missed := d.missed(); len(missed) > 0 {
		fmt.Fprintf(s.out, "-       %-15s %s\n", "not reached", strings.Join(missed, ", "))
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(s.out, "%s %s\n", paint.paint(yellow, "warning"), event.Printable(w))
	}
	if w := d.Signer; w != nil {
		s.pairs("signer", w.DN, "certified by", w.CA, "valid until", instant(w.NotAfter, s.now), "SHA-256", colons(w.SHA256), "key", w.Key)
	}
	if l := d.List; l != nil {
		s.pairs("list", l.Identifier, "version", l.Version, "created", instant(l.Created, s.now), "expires", instant(l.Expires, s.now),
			"images", fmt.Sprint(l.Images))
	}
	if d.Verdict == "accepted" {
		fmt.Fprintf(s.out, "%s at %s\n", paint.paint(green, "accepted"), stamp(d.At))
		return
	}
	fmt.Fprintf(s.out, "%s at %s: %s\n", paint.paint(red, "rejected"), stamp(d.At), codeAnd(string(d.Reason), d.Detail))
	if d.Hint != "" {
		fmt.Fprintf(s.out, "      -> %s\n", event.Printable(d.Hint))
	}
}

// writeAsked prints what was judged and by which rules.
func (s *session) writeAsked(d *verdictDocument) {
	a := d.Asked
	if a == nil {
		return
	}
	rules := []string{"crl " + string(a.CRL), "signing-policy " + string(a.SigningPolicy), "purpose " + a.Purpose}
	if a.AllowSHA1 {
		rules = append(rules, "allow-sha1")
	}
	if a.Binary {
		rules = append(rules, "binary")
	}
	s.pairs("message", a.Message, "SHA-512", a.SHA512,
		"anchors", fmt.Sprintf("%s (%s, %s, %.16s)", a.Anchors, plural(a.CAs, "CA"), plural(a.CRLFiles, "CRL file"), a.Snapshot),
		"asked", strings.Join(rules, ", "), "judged at", instant(d.At, s.now))
}

// missed are the checks that a rejection left out.
func (d *verdictDocument) missed() []string {
	if d.Verdict == "accepted" || len(d.Checks) == 0 {
		return nil
	}
	var missed []string
	for _, name := range checkOrder {
		if !slices.ContainsFunc(d.Checks, func(c verdictCheck) bool { return c.Name == name }) {
			missed = append(missed, name)
		}
	}
	return missed
}
