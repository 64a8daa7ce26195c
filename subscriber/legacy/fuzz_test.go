package legacy

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// FuzzRead: whatever a source is, names are names, identifiers identifiers,
// addresses have no secrets in them, and no image is selected by mistake.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 4 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if strings.HasSuffix(file, ".sql") {
			raw = append(append([]byte(begin), raw...), commit...)
			raw = bytes.ReplaceAll(raw, []byte("zeroblob(300000)"), []byte("X'00'"))
			raw = bytes.ReplaceAll(raw, []byte(`'||char(10)||'`), nil)
			if _, err := Read(bytes.NewReader(raw), VMCatcher); err != nil {
				f.Fatal(err)
			}
		}
		for kind := range 4 {
			f.Add(raw, byte(kind))
		}
	}
	f.Add([]byte(begin+`CREATE TABLE t ("a",b);INSERT INTO t VALUES(unistr('\u000a'),replace('a\nb','\n',char(10)));`+commit), byte(1))
	f.Fuzz(func(t *testing.T, raw []byte, kind byte) {
		res, err := Read(bytes.NewReader(raw), []Kind{"", VMCatcher, Cloudkeeper, Atrope}[kind%4])
		if err != nil {
			if res != nil || len(err.Error()) > 200 {
				t.Fatalf("%v with %v", res, err)
			}
			return
		}
		if len(res.Lists)+len(res.Left) == 0 {
			t.Fatal("a result of nothing")
		}
		for _, l := range res.Left {
			if u, err := url.Parse(l.URL); err != nil || u.User != nil || u.Opaque != "" || strings.Contains(u.Path, "@") {
				t.Fatalf("left %q", l.URL)
			}
		}
		for _, l := range res.Lists {
			checkList(t, &l)
		}
	})
}

func checkList(t *testing.T, l *List) {
	t.Helper()
	u, err := url.Parse(l.URL)
	if err != nil || u.User != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(l.URL, unicode.IsControl) {
		t.Fatalf("URL %q", l.URL)
	}
	if !nameForm.MatchString(l.Name) {
		t.Fatalf("name %q", l.Name)
	}
	if strings.ContainsFunc(l.Username+l.Password, unicode.IsControl) || l.Password != "" && l.Username == "" || !utf8.ValidString(l.Username+l.Password) {
		t.Fatalf("credentials %q %q", l.Username, l.Password)
	}
	for _, id := range append(l.Images.Include, l.Images.Exclude...) {
		if !identifierForm.MatchString(id) {
			t.Fatalf("identifier %q", id)
		}
	}
	if l.Images.None && l.Images.Include != nil {
		t.Fatalf("%+v", l.Images)
	}
}
