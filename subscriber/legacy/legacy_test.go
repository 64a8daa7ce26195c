package legacy

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

func source(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func read(t *testing.T, text string, kind Kind) *Result {
	t.Helper()
	res, err := Read(strings.NewReader(text), "")
	if err != nil {
		t.Fatal(err)
	}
	if res.Kind != kind {
		t.Errorf("taken for %s, is %s", res.Kind, kind)
	}
	said, err := Read(strings.NewReader(text), kind)
	if err != nil || !reflect.DeepEqual(res, said) {
		t.Errorf("when told what it is: %v, another result", err)
	}
	return res
}

// brief is a list in one line; credentials as (user:password).
func brief(l List) string {
	text := l.Name + " " + l.URL
	if l.Identifier != "" {
		text += " " + l.Identifier
	}
	if l.Username+l.Password != "" {
		text += fmt.Sprintf(" (%s:%s)", l.Username, l.Password)
	}
	for _, p := range l.Endorsers {
		text += " by " + p.DN + " of " + p.CA
	}
	return text + fmt.Sprintf(" +%d -%d none=%t notes=%d", len(l.Images.Include), len(l.Images.Exclude), l.Images.None, len(l.Notes))
}

func check(t *testing.T, res *Result, lists, left []string) {
	t.Helper()
	var have []string
	for _, l := range res.Lists {
		have = append(have, brief(l))
	}
	compare(t, "lists", have, lists)
	have = nil
	for _, l := range res.Left {
		have = append(have, fmt.Sprintf("%s lost=%t: %s", l.Source, l.Lost, l.Why))
	}
	compare(t, "left", have, left)
}

func compare(t *testing.T, what string, have, want []string) {
	t.Helper()
	if !reflect.DeepEqual(have, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func TestCloudkeeper_ImageListsConf(t *testing.T) {
	res := read(t, source(t, "image-lists.conf"), Cloudkeeper)
	check(t, res, []string{
		"ops-example-org https://vmcaster.example.org/store/vo/ops.example.org/image.list (token-canary-1:) +0 -0 none=false notes=0",
		"lists-example-org-8443 https://lists.example.org:8443/private/image.list?format=smime (joe:password-canary-2) +0 -0 none=false notes=0",
		"cernvm-example-org https://cernvm.example.org/releases/image.list +0 -0 none=false notes=0",
	}, []string{
		"line 7 lost=true: its address is not an http or https URL", "line 8 lost=true: its address is not an http or https URL",
	})
	for _, l := range res.Left {
		if strings.Contains(l.URL, "canary") {
			t.Errorf("left: %+v", l)
		}
	}
}

func TestCloudkeeper_YAML(t *testing.T) {
	res := read(t, source(t, "cloudkeeper.yml"), Cloudkeeper)
	check(t, res, []string{
		"ops-example-org https://vmcaster.example.org/store/vo/ops.example.org/image.list (token-canary-1:) +0 -0 none=false notes=0",
		"biomed https://vmcaster.example.org/store/vo/biomed/image.list (token-canary-1:) +0 -0 none=false notes=0",
	}, []string{"image-lists-file lost=true: it names another file with lists"})
}

func TestAtrope(t *testing.T) {
	res := read(t, source(t, "hepix.yaml"), Atrope)
	by := " by /DC=org/DC=example/CN=appdb.example.org of /DC=org/DC=example/CN=Example CA"
	check(t, res, []string{
		"tiny-core-linux https://vmcaster.example.org/store/vappliance/tinycorelinux/image.list" + by + " +0 -0 none=false notes=0",
		"vo-ops-example-org https://vmcaster.example.org/store/vo/ops.example.org/image.list (token-canary-1:)" + by + " +2 -0 none=false notes=2",
		"only-bad https://lists.example.org/bad.list" + by + " +0 -0 none=true notes=1",
		"nobody https://lists.example.org/nobody.list +0 -0 none=false notes=0",
		"yes http://lists.example.org/yes.list (me:canary) +0 -0 none=false notes=1",
	}, []string{
		"half lost=true: its endorser is not a dn and a ca",
		"foo lost=false: it is not enabled",
		"bar lost=false: it is not enabled",
	})
}

// What is none of the three, or broken, is no result; and no error tells a secret.
func TestRead_Refusals(t *testing.T) {
	for name, c := range map[string]struct {
		kind Kind
		text string
		want string
	}{
		"empty":          {"", "", "neither"},
		"comments":       {"", "# https://canary@example.org/\n\n", "neither"},
		"passwd":         {"", "root:x:0:0:canary:/root:/bin/bash\n", "neither"},
		"database":       {"", magic + "canary", "database"},
		"ELF":            {"", "\x7fELFcanary", "neither"},
		"list":           {Cloudkeeper, "# nothing\n", "no list"},
		"not UTF-8":      {"", "https://canary\xff@example.org/\n", "UTF-8"},
		"large":          {"", "https://a/\n" + strings.Repeat("# canary\n", 150_000), "1 MiB"},
		"yaml":           {Atrope, "a: {token: canary\nb: [", "YAML"},
		"yaml twice":     {Atrope, "a: {token: canary}\na: {token: canary}\n", "line 2"},
		"yaml documents": {Atrope, "a: {token: canary}\n---\nb: {token: canary}\n", "more than one"},
		"yaml scalar":    {Atrope, "canary\n", "YAML"},
		"yaml list":      {Atrope, "a: [canary]\n", "mapping"},
		"yaml bomb":      {Atrope, "a: &a {url: canary}\nb: &b {x: *a, y: *a}\nc: {x: *b, y: *b}\n", "aliases"},
		"kind":           {"glance", "https://canary@a/\n", "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := Read(strings.NewReader(c.text), c.kind)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%+v, %v; want %q", res, err, c.want)
			}
		})
	}
}

// T-22: a name is made of what names are made of, whatever the source says.
func TestT22_Names(t *testing.T) {
	for text, want := range map[string]string{
		"../../etc/passwd": "etc-passwd", "$(reboot)": "reboot", "-rf": "rf", "Äöü": "imported", "": "imported", "a\x1b[31mb": "a-31mb",
		"---": "imported", strings.Repeat("ab.", 40): strings.Repeat("ab-", 21) + "a", "CON": "con",
	} {
		if have := slug(text); have != want || !nameForm.MatchString(have) {
			t.Errorf("%q: %q, want %q", text, have, want)
		}
	}
	if have := slug("", "//", "Second"); have != "second" {
		t.Errorf("%q", have)
	}
}

// What is wrong with an address is told without the address.
func TestAddress_Refusals(t *testing.T) {
	for _, raw := range []string{
		"", "canary", "file:///canary", "https:///canary", "http:canary", "ftp://canary.example.org/", "https://me:canary@[::1/", "https://a\ncanary/",
		"https://:canary@example.org/", "https://me%0acanary:x@example.org/", "https://a%3ab:canary@example.org/",
	} {
		var l List
		if why, fix := l.setAddress(raw); why == "" || strings.Contains(why+fix, "canary") {
			t.Errorf("%q: %q %q", raw, why, fix)
		}
	}
}
