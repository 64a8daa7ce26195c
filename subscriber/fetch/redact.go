package fetch

import (
	"net/url"
	"strings"
)

const masked = "***"

// Redact is raw without what may be secret: user information and fragment are
// dropped, every query value is masked. Text that is not a URL is not shown at
// all. It does not know of secrets in a path.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	return redact(u)
}

func redact(u *url.URL) string {
	if u.Opaque != "" {
		return u.Scheme + ":" + masked
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: maskQuery(u.RawQuery)}
	return shown.String()
}

// maskQuery keeps the keys of key=value pairs; a bare word may be a token.
func maskQuery(query string) string {
	if query == "" {
		return ""
	}
	pairs := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, pair := range pairs {
		key, _, found := strings.Cut(pair, "=")
		if !found || !allOf(key, keyLetters) {
			pairs[i] = masked
			continue
		}
		pairs[i] = key + "=" + masked
	}
	return strings.Join(pairs, "&")
}

const keyLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~[]"
