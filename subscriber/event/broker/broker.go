// Package broker is what the senders to message brokers have in common: how a
// broker is addressed, what is shown to it, over which connection, and how its
// troubles are told. It knows neither protocol.
//
// A password leaves its file for one connection only: to the configured host,
// encrypted, or to this machine (T-29). No error has one in it.
package broker

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"vouch/subscriber/event"
)

// Trouble is an error about the broker, or about how it or vouch is set up,
// not about the event: it matches event.ErrUnreachable.
type Trouble struct {
	What string
	Err  error  // more about it; may be nil
	Fix  string // what a person can do; may be empty
}

func (t *Trouble) Error() string {
	if t.Err == nil {
		return joined(t.What, t.Fix)
	}
	return joined(t.What+": "+t.Err.Error(), t.Fix)
}

// Unwrap is what it matches.
func (t *Trouble) Unwrap() []error {
	if t.Err == nil {
		return []error{event.ErrUnreachable}
	}
	return []error{event.ErrUnreachable, t.Err}
}

// Refusal is an error about one event, or about how its type is set up at the
// broker: others may pass.
type Refusal struct {
	What string
	Fix  string // what a person can do; may be empty
}

func (r *Refusal) Error() string { return joined(r.What, r.Fix) }

// joined is one line, because what is kept of a failed delivery is its text.
func joined(what, fix string) string {
	if fix == "" {
		return what
	}
	return what + "; " + fix
}

// Scheme names a protocol's two kinds of URL and the ports they mean.
type Scheme struct {
	Plain, Secure         string // without and with TLS
	PlainPort, SecurePort string
}

// Address is where a broker is.
type Address struct {
	URL    *url.URL // without user information
	Host   string   // a name or an address
	Port   string
	Secure bool
}

// Parse reads a broker's URL. Its errors are *Refusal and never quote the
// URL, which may hold a secret.
func (s Scheme) Parse(raw string) (Address, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return Address{}, &Refusal{"no url", "url: " + s.Secure + "://host"}
	case err != nil:
		return Address{}, &Refusal{"url is not a URL", "such as " + s.Secure + "://host"}
	case u.User != nil:
		return Address{}, &Refusal{"user information in a URL", "put the user name into a file named by username_file, the password into one named by password_file"}
	case u.Scheme != s.Plain && u.Scheme != s.Secure:
		return Address{}, &Refusal{"url is neither " + s.Secure + ":// nor " + s.Plain + "://", ""}
	case u.Hostname() == "":
		return Address{}, &Refusal{"a URL without a host", ""}
	case u.RawQuery != "" || u.Fragment != "":
		return Address{}, &Refusal{"a URL with ? or #", "the keys beside url say the rest"}
	}
	a := Address{URL: u, Host: u.Hostname(), Port: u.Port(), Secure: u.Scheme == s.Secure}
	if a.Port == "" {
		a.Port = s.PlainPort
		if a.Secure {
			a.Port = s.SecurePort
		}
	}
	return a, nil
}

// String is the address for people and for the protocols' libraries.
func (a Address) String() string {
	return (&url.URL{Scheme: a.URL.Scheme, Host: net.JoinHostPort(a.Host, a.Port), Path: a.URL.Path, RawPath: a.URL.RawPath}).String()
}

// local says whether the URL itself, not a resolver, names this machine.
func (a Address) local() bool {
	ip, err := netip.ParseAddr(a.Host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(a.Host, "localhost")
}

// Login names the files that hold what is shown to a broker. The zero value is
// nothing.
type Login struct {
	UsernameFile, PasswordFile string
	TokenFile                  string
	CredentialsFile            string
}

// Check is a *Refusal of what cannot be meant: files that do not fit together, or
// secrets on their way over an open network. caFile is that of Connect.
func (l Login) Check(a Address, caFile string) error {
	kinds := 0
	for _, file := range []string{l.UsernameFile, l.TokenFile, l.CredentialsFile} {
		if file != "" {
			kinds++
		}
	}
	switch {
	case (l.UsernameFile == "") != (l.PasswordFile == ""):
		return &Refusal{"only one of username_file and password_file", "give both"}
	case kinds > 1:
		return &Refusal{"more than one kind of credentials", "one of them"}
	case kinds == 1 && !a.Secure && !a.local():
		return &Refusal{"credentials over an unencrypted connection", "use TLS: everybody on the way could read them"}
	case caFile != "" && !a.Secure:
		return &Refusal{"ca_file for an unencrypted connection", fmt.Sprintf("a URL of a broker with TLS does not begin with %s:", a.URL.Scheme)}
	}
	return nil
}
