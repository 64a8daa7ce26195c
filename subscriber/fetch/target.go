package fetch

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"vouch/imagelist/verdict"
)

// endpoint is what credentials and the T-20 allowance belong to.
type endpoint struct {
	scheme, host, port string
}

// target is an http or https URL that may be asked for.
type target struct {
	endpoint
	url     *url.URL
	literal netip.Addr // the host when it is an address, else invalid
}

// loopback says whether the URL itself, not a resolver, names this machine.
func (t target) loopback() bool {
	return t.host == "localhost" || t.literal.Unmap().IsLoopback()
}

// explicit says whether whoever typed the URL chose the address, so that no
// resolver can move it.
func (t target) explicit() bool { return t.literal.IsValid() || t.host == "localhost" }

func (t target) hostPort() string { return net.JoinHostPort(t.host, t.port) }

// fail is a permanent failure about t.
func (t target) fail(code verdict.Code, detail string) *Error {
	return &Error{Code: code, URL: redact(t.url), Detail: detail}
}

// parseTarget reads raw, a URL from a list or an operator.
func parseTarget(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's own text quotes pieces of the URL: user information, say.
		return target{}, &Error{Code: verdict.Fetch, URL: Redact(raw), Detail: "is not a URL"}
	}
	return newTarget(u)
}

// newTarget judges the form of u; where its host leads is judged when it is
// dialled.
func newTarget(u *url.URL) (target, error) {
	t := target{url: u, endpoint: endpoint{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), port: u.Port()}}
	switch {
	case t.scheme != "http" && t.scheme != "https":
		return target{}, t.fail(verdict.Fetch, "scheme "+strconv.Quote(t.scheme)+" is not http or https")
	case u.Opaque != "" || t.host == "":
		return target{}, t.fail(verdict.Fetch, "names no host")
	case u.User != nil:
		return target{}, t.fail(verdict.Fetch, "user information in a URL is not used")
	}
	if t.port == "" {
		t.port = map[string]string{"http": "80", "https": "443"}[t.scheme]
	}
	if n, err := strconv.ParseUint(t.port, 10, 16); err != nil || n == 0 {
		return target{}, t.fail(verdict.Fetch, "has no valid port")
	}
	plain := *u
	plain.Fragment, plain.RawFragment = "", ""
	t.url = &plain
	return t.withHost()
}

// withHost settles what the host is: an address in one canonical spelling or a
// name of plain ASCII. Anything in between is refused, because a resolver, a
// proxy or an IDNA mapping may read 0x7f.1, 2130706433 or ①②⑦.0.0.1 as an
// address that nobody has judged. Names under localhost are loopback by RFC
// 6761 §6.3, whether or not a resolver here knows them; only the plain one is
// of use.
func (t target) withHost() (target, error) {
	if a, err := netip.ParseAddr(t.host); err == nil {
		if a.Zone() != "" {
			return target{}, t.fail(verdict.NetworkDenied, "an address with a zone is link-local")
		}
		t.literal, t.host = a, a.String()
		return t, nil
	}
	switch bare := strings.TrimSuffix(t.host, "."); {
	case len(t.host) > 253 || !allOf(t.host, hostLetters):
		return target{}, t.fail(verdict.Fetch, "host is not a name of ASCII letters, digits, hyphens and dots")
	case numeric(bare):
		return target{}, t.fail(verdict.NetworkDenied, "host is a number but not an address")
	case t.host != "localhost" && (bare == "localhost" || strings.HasSuffix(bare, ".localhost")):
		return target{}, t.fail(verdict.NetworkDenied, "host is another name of localhost")
	}
	return t, nil
}

const hostLetters = "abcdefghijklmnopqrstuvwxyz0123456789-._"

func allOf(s, letters string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(letters, r) }) < 0
}

// numeric says whether a host's last label makes it an IPv4 address for
// somebody: decimal, octal or hexadecimal.
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return allOf(hex, "0123456789abcdef")
	}
	return allOf(last, "0123456789")
}
