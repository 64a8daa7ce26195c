package legacy

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenPassword is the password that goes with AppDB's tokens. Whoever has
// only a user name gets it.
const tokenPassword = "x-oauth-basic"

// setAddress takes a list's URL and the user information in it. The text may
// hold a secret: what is wrong with it is said without quoting it.
func (l *List) setAddress(raw string) (why, fix string) {
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil || strings.ContainsFunc(raw, unicode.IsControl):
		return "its address is not a URL", "subscribe by hand: vouch subscription add URL"
	case u.Scheme == "" && u.Host == "" && u.Path == "":
		return "it has no URL", ""
	case u.Scheme == "file":
		return "it was read from a file, and lists are fetched from a web server", "ask the endorser for its URL; then: vouch subscription add URL"
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "its address is not an http or https URL", "ask the endorser for its URL; then: vouch subscription add URL"
	}
	user := u.User
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	u.Host = strings.ToLower(u.Host)
	l.URL, l.Name = u.String(), slug(appName(u.Path), u.Host)
	if user == nil {
		return "", ""
	}
	password, _ := user.Password()
	return l.setCredentials(user.Username(), password)
}

// shown is an address as far as it can be told of a list that is left: nothing
// when user information could be in a part that is not taken for it, as in
// token:password@host without a scheme.
func shown(raw string) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Opaque != "" || u.Host == "" && u.Scheme != "file" || strings.Contains(u.Host+u.Path, "@") {
		return ""
	}
	u.User = nil
	return u.String()
}

// setCredentials takes a user name and a password.
func (l *List) setCredentials(username, password string) (why, fix string) {
	const most = 4 << 10
	switch {
	case username == "" && password == "":
		return "", ""
	case username == "":
		return "it has a password but no user name", "subscribe by hand, with --username-file and --password-file"
	case strings.ContainsFunc(username+password, unicode.IsControl) || !utf8.ValidString(username+password) || len(username) > most || len(password) > most || strings.Contains(username, ":"):
		return "its user name or password cannot be sent", "subscribe by hand, with --username-file and --password-file"
	}
	if strings.HasPrefix(l.URL, "http:") {
		l.Notes = append(l.Notes, "its user name and password are sent unencrypted: ask for an https address")
	}
	l.Username, l.Password = username, password
	if password == tokenPassword {
		l.Password = ""
	}
	return "", ""
}

var appPath = regexp.MustCompile(`/(?:vo|vappliance)/([^/]+)/`)

// appName is the part of an AppDB address that tells lists apart: the virtual
// organisation or the appliance.
func appName(path string) string {
	if m := appPath.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}
