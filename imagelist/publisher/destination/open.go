package destination

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Open understands, each naming the list's own file and not a directory:
//
//	/srv/www/image.list, ./image.list     a local path
//	[user@]host:path                      over SSH, as scp writes it; path is relative to the home
//	sftp://[user@]host[:port]/path        over SSH; path is absolute, /~/path relative to the home
//	https://host[:port]/path, http://…    by PUT
//
// A colon before the first slash means a host, as for scp: write ./a:b for a
// local file. It connects (SSH) or reads credentials (HTTP) but changes
// nothing. Its errors have a hint and show no secret that dest may hold.
func Open(ctx context.Context, dest string, o Options) (Destination, error) {
	if dest == "" || !printable(dest) {
		return nil, refuse("not a destination", "name a path, user@host:path, sftp:// or https:// URL; no control characters")
	}
	if scheme, _, ok := strings.Cut(dest, "://"); ok && !strings.Contains(scheme, "/") {
		return openURL(ctx, scheme, dest, o)
	}
	if host, file, ok := scpForm(dest); ok {
		p, err := scpPlace(host, file)
		if err != nil {
			return nil, err
		}
		return openRemote(ctx, p, o)
	}
	return openLocal(dest, o)
}

func openURL(ctx context.Context, scheme, dest string, o Options) (Destination, error) {
	u, err := url.Parse(dest)
	if err != nil {
		return nil, refuse("not a URL", "special characters in a URL are written %xx") // err may show a password
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		return openWeb(u, o)
	case "sftp":
		p, err := sftpPlace(u)
		if err != nil {
			return nil, err
		}
		return openRemote(ctx, p, o)
	case "file":
		return nil, refuse("file: URL", "write a local path plainly")
	case "ssh", "scp":
		return nil, refuse("ssh: URL", "write sftp://[user@]host[:port]/path, or user@host:path")
	}
	return nil, refuse(fmt.Sprintf("scheme %q is not known", scheme), "name a path, user@host:path, sftp:// or https:// URL")
}

// refuse is an error about what the operator wrote. It never shows that whole.
func refuse(what, text string) error {
	return hint(text, errors.New("destination: "+what))
}

// A place is a file on a server that is reached over SSH.
type place struct {
	user, host, port string // user and port may be empty
	path             string
	text             string
}

// scpForm splits host:path. A bracketed host may hold colons.
func scpForm(dest string) (host, file string, ok bool) {
	start := 0
	if end := strings.Index(dest, "]:"); end > 0 && strings.Contains(dest[:end], "[") && !strings.Contains(dest[:end], "/") {
		start = end
	}
	colon := strings.IndexByte(dest[start:], ':') + start
	if colon < start || strings.Contains(dest[:colon], "/") {
		return "", "", false
	}
	return dest[:colon], dest[colon+1:], true
}

func scpPlace(host, file string) (place, error) {
	p := place{host: host, path: strings.TrimPrefix(file, "~/")}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		p.user, p.host = host[:at], host[at+1:]
		if p.user == "" {
			return place{}, refuse("no user before @", "write user@host:path, or host:path")
		}
	}
	if at := strings.IndexByte(file, '@'); strings.Contains(p.user, ":") || at >= 0 && strings.Contains(file[at:], ":") {
		return place{}, passwordRefused() // user:password@host:path
	}
	switch p.host {
	case "http", "https", "sftp", "ssh", "file":
		return place{}, refuse(p.host+": without //", "a URL has two slashes after the colon")
	}
	p.host = strings.TrimSuffix(strings.TrimPrefix(p.host, "["), "]")
	p.text = host + ":" + file
	return p, p.check()
}

func sftpPlace(u *url.URL) (place, error) {
	if _, has := u.User.Password(); has {
		return place{}, passwordRefused()
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return place{}, refuse("query or fragment in an sftp: URL", "write a ? in a path as %3F, a # as %23")
	}
	p := place{user: u.User.Username(), host: u.Hostname(), port: u.Port(), path: u.Path}
	p.path = strings.TrimPrefix(p.path, "/~/")
	if n, err := strconv.Atoi(p.port); p.port != "" && (err != nil || n < 1 || n > 65535) {
		return place{}, refuse("port is not 1 to 65535", "write sftp://host:22/path")
	}
	p.text = u.String()
	return p, p.check()
}

func passwordRefused() error {
	return refuse("password in the destination", "others see it in the process list; for SSH use a key or an agent, for a web server a password file")
}

var (
	hostname = regexp.MustCompile(`^[A-Za-z0-9_.:%-]+$`)
	username = regexp.MustCompile(`^[A-Za-z0-9_.@+$\\-]*$`)
)

// check refuses what ssh would take as an option or expand into a command.
func (p place) check() error {
	for _, s := range []string{p.user, p.host, p.path} {
		if strings.HasPrefix(s, "-") {
			return refuse("user, host or path begins with -", "ssh would take it as an option; write ./-name for such a path")
		}
	}
	switch {
	case !hostname.MatchString(p.host):
		return refuse("host is not a host name or address", "write user@host:path or sftp://user@host/path")
	case !username.MatchString(p.user):
		return refuse("user has characters that ssh cannot take", "set User for the host in ~/.ssh/config")
	case !printable(p.path):
		return refuse("path has control characters", "rename the file on the server")
	}
	return checkFile(p.path)
}

// checkFile refuses what names no file.
func checkFile(p string) error {
	base := path.Base(p)
	if p == "" || strings.HasSuffix(p, "/") || base == "." || base == ".." {
		return refuse("names a directory", "name the list's own file, for example …/image.list")
	}
	if len(base) > 200 {
		return refuse("file name longer than 200 bytes", "temporary names beside it are longer still; use a shorter one")
	}
	return nil
}

// printable holds for text that a terminal may be shown.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
