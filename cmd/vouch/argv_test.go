package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Flags stand where people put them (contract §1).
func TestOrder(t *testing.T) {
	app := (&session{err: io.Discard}).app()
	for _, c := range []struct{ in, want string }{
		{"status", "status"},
		{"status --nagios", "status --nagios"},
		{"-o json status", "--o=json status"},
		{"status -o json", "--o=json status"},
		{"status --output=json --nagios", "--output=json status --nagios"},
		{"image show X -o json", "--o=json image show -- X"},
		{"image --verbose show X", "--verbose image show -- X"},
		{"image show -v X", "--v image show -- X"},
		{"image approve ID --sha512 H", "image approve --sha512=H -- ID"},
		{"image approve --sha512 H ID", "image approve --sha512=H -- ID"},
		{"subscription add URL --name N --endorser-dn /CN=a,b --endorser-ca -x --binary", "subscription add --name=N --endorser-dn=/CN=a,b --endorser-ca=-x --binary -- URL"},
		{"sync a --dry-run b", "sync --dry-run -- a b"},
		{"sync -- --dry-run", "sync -- --dry-run"},
		{"publisher verify - --anchors d", "publisher verify --anchors=d -- -"},
		{"block --image I --reason R", "block --image=I --reason=R"},
		{"block ls", "block ls"},
		{"sync a --help", "sync --help -- a"},
		{"-h", "--help"},
		{"image --help", "image --help"},
		{"--version", "--version"},
		{"--config=c status", "--config=c status"},
		{"status --config c", "--config=c status"},
	} {
		o, err := order(app, strings.Fields(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if have := strings.Join(o.words("vouch")[1:], " "); have != c.want {
			t.Errorf("%s: %s, want %s", c.in, have, c.want)
		}
	}
}

func TestOrder_Refuses(t *testing.T) {
	app := (&session{err: io.Discard}).app()
	for _, c := range []struct{ in, want, hint string }{
		{"", "no command given", "see vouch --help"},
		{"frobnicate", `no command "frobnicate"`, ""},
		{"imgae ls", `no command "imgae"`, `did you mean "image"?`},
		{"image sohw X", `image: no command "image sohw"`, `did you mean "image show"?`},
		{"image", "image: which one? ls, show, path, approve, release", "see vouch image --help"},
		{"sync --no-wiat", `sync: no flag "--no-wiat"`, "did you mean --no-wait?"},
		{"--dry-run sync", `no flag "--dry-run"`, ""},
		{"status -x", `status: no flag "-x"`, ""},
		{"status --output", "status: flag --output needs a value", ""},
		{"image approve X --sha512 -- Y", "image approve: flag --sha512 needs a value", ""},
	} {
		_, err := order(app, strings.Fields(c.in))
		var usage *usageError
		if !errors.As(err, &usage) || usage.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.in, err, c.want)
			continue
		}
		if !strings.Contains(usage.Hint(), c.hint) {
			t.Errorf("%s: hint %s, want %s", c.in, usage.Hint(), c.hint)
		}
	}
}
