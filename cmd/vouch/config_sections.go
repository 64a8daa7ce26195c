package main

import (
	"net"
	"net/url"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"vouch/cache"
	"vouch/imagelist/trust"
	"vouch/subscriber"
	"vouch/subscriber/serve"
)

func cacheFields(c *subscriber.CacheConfig) fields {
	return fields{
		"dir":          pathTo(&c.Dir),
		"max_size":     sizeTo(&c.MaxSize),
		"min_free":     spaceTo(&c.MinFree, &c.MinFreePart),
		"keep_expired": durationTo(&c.KeepExpired),
		"check_every":  durationTo(&c.CheckEvery),
		"publish":      choice(&c.Publish, cache.Hardlink, cache.Reflink, cache.Copy),
		"group":        groupTo(&c.GID),
		"mode": func(n node) {
			mode := "0444"
			choice(&mode, "0444", "0440")(n)
			c.Mode = 0o444
			if mode == "0440" {
				c.Mode = 0o440
			}
		},
	}
}

// groupTo reads the name or number of a group of this machine.
func groupTo(gid *int) func(node) {
	return func(n node) {
		name, ok := n.text()
		if !ok || name == "" {
			return
		}
		if v, err := strconv.ParseUint(name, 10, 31); err == nil {
			*gid = int(v)
			return
		}
		g, err := user.LookupGroup(name)
		if err != nil {
			n.fail("no group "+quoted(name)+" on this machine", "create it first")
			return
		}
		*gid, _ = strconv.Atoi(g.Gid)
	}
}

func trustFields(t *subscriber.TrustConfig) fields {
	return fields{
		"anchors":        pathTo(&t.Anchors),
		"crl":            choice(&t.CRL, trust.Require, trust.IfPresent, trust.Ignore),
		"crl_grace":      durationTo(&t.CRLGrace),
		"signing_policy": choice(&t.SigningPolicy, trust.Require, trust.IfPresent, trust.Ignore),
		"anchor_grace":   durationTo(&t.AnchorGrace),
		"outage_grace":   durationTo(&t.OutageGrace),
	}
}

func fetchFields(f *subscriber.FetchConfig) fields {
	return fields{
		"concurrency":    intTo(&f.Concurrency, 1, 64),
		"per_host":       intTo(&f.PerHost, 1, 64),
		"idle_timeout":   atLeast(&f.IdleTimeout, time.Second),
		"min_rate":       sizeTo(&f.MinRate),
		"alarm_after":    durationTo(&f.AlarmAfter),
		"max_list_size":  sizeFrom(&f.MaxListSize, 1<<10, 64<<20),
		"max_list_age":   durationTo(&f.MaxListAge),
		"allow_networks": func(n node) { n.list(networkTo(&f.AllowNetworks)) },
		"tls":            choice(&f.TLS, "system", "anchors", "both"),
		"proxy":          checked(&f.Proxy, checkProxy),
	}
}

func atLeast(dst *time.Duration, least time.Duration) func(node) {
	return func(n node) {
		d := least
		durationTo(&d)(n)
		if d < least {
			n.fail("too short", "at least "+least.String())
			return
		}
		*dst = d
	}
}

func sizeFrom(dst *int64, least, most int64) func(node) {
	return func(n node) {
		v := least
		sizeTo(&v)(n)
		if v < least || v > most {
			n.fail("out of range", "from "+bytesText(least)+" to "+bytesText(most))
			return
		}
		*dst = v
	}
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func checkName(s string) (string, string) {
	if !nameForm.MatchString(s) {
		return "not a name: " + quoted(s), "lower-case letters, digits and -, at most 64, beginning with a letter or digit"
	}
	return "", ""
}

// checkURL accepts where a list may be fetched from. It never quotes the URL,
// which may hold a secret (T-29).
func checkURL(s string) (string, string) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "not a URL", ""
	case u.User != nil:
		return "user information in a URL", "put the user name into a file named by username_file, the password into one named by password_file"
	case u.Scheme != "https" && u.Scheme != "http":
		return "not an https or http URL", ""
	case u.Hostname() == "":
		return "a URL without a host", ""
	case u.Fragment != "":
		return "a URL with a fragment", "take # and what follows away"
	}
	return "", ""
}

func checkProxy(s string) (string, string) {
	if s == "" {
		return "", ""
	}
	return checkURL(s)
}

// readHTTP reads how the daemon answers over HTTP.
func readHTTP(n node, h *serve.Config) {
	h.Clients = "none"
	n.object(fields{
		"listen":           checked(&h.Listen, checkListen),
		"certificate_file": pathTo(&h.CertificateFile),
		"key_file":         pathTo(&h.KeyFile),
		"token_file":       pathTo(&h.TokenFile),
		"clients":          choice(&h.Clients, "none", "require"),
		"client_dns": func(n node) {
			n.list(func(n node) {
				dn := ""
				checked(&dn, checkDN)(n)
				h.ClientDNs = append(h.ClientDNs, dn)
			})
		},
	})
	switch {
	case n.has("certificate_file") != n.has("key_file"):
		n.fail("only one of certificate_file and key_file", "TLS needs both")
	case h.Clients == "require" && !n.has("certificate_file"):
		n.fail("clients: require without TLS", "name a certificate_file and a key_file")
	case n.has("client_dns") && h.Clients != "require":
		n.fail("client_dns: nobody is asked for a certificate", "clients: require")
	}
}

func checkListen(s string) (string, string) {
	if s == "" || s == "off" {
		return "", ""
	}
	_, port, err := net.SplitHostPort(s)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		return "not an address: " + quoted(s), "such as 127.0.0.1:8780, or off"
	}
	return "", ""
}

// blockKinds are the keys of which a block has exactly one.
var blockKinds = []string{"image", "sha512", "endorser", "cert", "list"}

func checkReason(s string) (string, string) {
	if strings.TrimSpace(s) == "" {
		return "no reason given", "the next person will want to know"
	}
	return "", ""
}

func readBlock(n node) subscriber.Block {
	b := subscriber.Block{File: n.doc.file}
	n.object(fields{
		"image":    identifierTo(&b.Image),
		"sha512":   hexTo(&b.SHA512, 512),
		"endorser": checked(&b.Endorser, checkDN),
		"ca":       checked(&b.CA, checkDN),
		"cert":     hexTo(&b.Cert, 256),
		"list":     identifierTo(&b.List),
		"reason":   checked(&b.Reason, checkReason),
		"until":    instantTo(&b.Until),
	})
	if have := slices.DeleteFunc(slices.Clone(blockKinds), func(k string) bool { return !n.has(k) }); len(have) != 1 {
		n.fail("a block is of exactly one thing", "one of "+strings.Join(blockKinds, ", "))
	}
	if n.has("ca") && !n.has("endorser") {
		n.fail("ca without endorser", "")
	}
	n.need("reason")
	return b
}
