package imagelist_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"vouch/imagelist"
)

func TestDecodeDraft_WithoutWhatSigningSets(t *testing.T) {
	for name, text := range map[string]string{
		"bare":            `{"hv:imagelist":{"dc:identifier":"list-1"}}`,
		"endorser's mail": `{"hv:imagelist":{"dc:identifier":"list-1","hv:version":null,"hv:endorser":{"hv:x509":{"hv:email":"a@b","hv:dn":""}},"hv:images":[]}}`,
	} {
		l, err := imagelist.DecodeDraft([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range l.Validate() {
			if f.Severity == imagelist.Error {
				t.Errorf("%s: %v", name, f)
			}
		}
		out, err := l.EncodeDraft()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		back, err := imagelist.DecodeDraft(out)
		if err != nil || back.Identifier != l.Identifier || !reflect.DeepEqual(back.Endorsers, l.Endorsers) {
			t.Errorf("%s: back came %+v, %v", name, back, err)
		}
		if _, err := imagelist.Decode(out); err == nil {
			t.Errorf("%s: a draft passes for a list", name)
		}
	}
}

func TestEncodeDraft_KeepsWhatIsThere(t *testing.T) {
	l := draft()
	out, err := l.EncodeDraft()
	whole, err2 := l.Encode()
	if err != nil || err2 != nil || string(out) != string(whole) {
		t.Errorf("a complete draft is not the list: %v %v\n%s", err, err2, out)
	}
}

// JSON that a person broke is named by line and column.
func TestDecodeDraft_Position(t *testing.T) {
	for _, tt := range []struct {
		text         string
		line, column int
		detail       string
	}{
		{"{\n \"hv:imagelist\": {\n  \"dc:identifier\": \"a\",\n  \"dc:title\" \"x\"\n }\n}\n", 4, 14, "':'"},
		{"{\n \"hv:imagelist\": {\n  \"dc:identifier\": \"a\",\n }\n}\n", 3, 23, "','"},
		{"", 1, 1, "EOF"},
		{"{\"hv:imagelist\":{\"dc:identifier\":\"a\",\n\"dc:title\":\"\xff\"}}", 2, 13, "UTF-8"},
		{"{\"hv:imagelist\":{}}\n", 1, 19, "dc:identifier: missing"},
	} {
		_, err := imagelist.DecodeDraft([]byte(tt.text))
		at, ok := errors.AsType[*imagelist.PositionError](err)
		if !ok || at.Line != tt.line || at.Column != tt.column || !strings.Contains(at.Detail, tt.detail) {
			t.Errorf("%q: %v, want line %d, column %d and %q", tt.text, err, tt.line, tt.column, tt.detail)
		}
	}
}

func TestImageSet(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		known       bool
		fails       string
		holds       func(*imagelist.Image) bool
	}{
		{"dc:title", "T2", true, "", func(i *imagelist.Image) bool { return i.Title == "T2" }},
		{"hv:format", "", true, "", func(i *imagelist.Image) bool { return i.Format == "" }},
		{"dc:date:expires", "2027-01-01T00:00:00Z", true, "", func(i *imagelist.Image) bool { return i.Expires.Year() == 2027 }},
		{"dc:date:expires", "", true, "", func(i *imagelist.Image) bool { return i.Expires.IsZero() }},
		{"dc:date:expires", "tomorrow", true, "RFC 3339", nil},
		{"hv:ram_minimum", "2048", true, "", func(i *imagelist.Image) bool { return strings.Contains(string(i.Metadata), `"hv:ram_minimum":2048`) }},
		{"hv:ram_minimum", "", true, "", func(i *imagelist.Image) bool { return !strings.Contains(string(i.Metadata), "hv:ram_minimum") }},
		{"hv:ram_minimum", "2 GiB", true, "not a number", nil},
		{"ad:user:fullname", "Ä", true, "", func(i *imagelist.Image) bool { return strings.Contains(string(i.Metadata), `"ad:user:fullname":"Ä"`) }},
		{"hv:fromat", "raw", false, "", func(i *imagelist.Image) bool { return strings.Contains(string(i.Metadata), `"hv:fromat":"raw"`) }},
		{"HV:Format", "raw", false, "only in case", nil},
		{"hv:size", "1", true, "measured", nil},
		{"hv:uri", "file:///", true, "flag of its own", nil},
		{"hv:endorser", "me", true, "not a key of an image", nil},
	} {
		image := draft().Images[0]
		known, err := image.Set(tt.name, tt.value)
		switch {
		case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
			t.Errorf("%s=%s: %v, want %q", tt.name, tt.value, err, tt.fails)
		case tt.fails == "" && (err != nil || known != tt.known || !tt.holds(&image)):
			t.Errorf("%s=%s: known %v, %v: %+v", tt.name, tt.value, known, err, image)
		}
	}
	for _, name := range imagelist.KnownKeys() {
		image := draft().Images[0]
		if known, err := image.Set(name, ""); !known || err != nil {
			t.Errorf("%s is said to be known: %v, %v", name, known, err)
		}
	}
}

func TestNextVersion(t *testing.T) {
	for v, want := range map[string]string{
		"": "1", "1": "2", "1.0.9": "1.0.10", "9": "10", "1.99": "1.100", "007": "008", "20150618211400": "20150618211401",
		"1.0-beta": "1.0-beta.1", "1.0-beta2": "1.0-beta2.1", "1.": "1..1", "99999999999999999999": "100000000000000000000", "v1": "v1.1", "1/2": "1/3",
	} {
		have := imagelist.NextVersion(v)
		if have != want || imagelist.CompareVersions(have, v) <= 0 {
			t.Errorf("after %q: %q, want %q", v, have, want)
		}
	}
}

func TestValidate_Draft(t *testing.T) {
	l := draft()
	l.Expires = time.Time{}
	found := false
	for _, f := range l.Validate() {
		found = found || f.Severity == imagelist.Error && strings.HasSuffix(f.Path, "dc:date:expires")
	}
	if !found {
		t.Error("a list without a date, not read as a draft, is called good")
	}
}
