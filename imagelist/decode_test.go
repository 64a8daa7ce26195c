package imagelist_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/verdict"
)

const digestA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// head and entry are the smallest list and image that nothing can be said against.
const (
	head = `"dc:identifier":"list-1","hv:version":"1.0","dc:date:created":"2026-11-01T00:00:00Z",` +
		`"dc:date:expires":"2026-12-01T00:00:00Z","dc:title":"T","dc:description":"D","dc:source":"S",` +
		`"hv:uri":"https://example.org/l","hv:endorser":{"hv:x509":{"hv:dn":"/CN=A","hv:ca":"/CN=CA","hv:email":"a@b","dc:creator":"A"}}`
	entry = `"dc:identifier":"image-1","hv:version":"1","hv:uri":"https://example.org/i","sl:checksum:sha512":"` + digestA + `",` +
		`"hv:size":5,"dc:title":"t","dc:description":"d","sl:comments":"c","sl:os":"Linux","sl:osversion":"12",` +
		`"sl:arch":"x86_64","hv:hypervisor":"kvm","hv:format":"qcow2"`
)

func listOf(head string, entries ...string) string {
	for i, e := range entries {
		entries[i] = `{"hv:image":{` + e + `}}`
	}
	return `{"hv:imagelist":{` + head + `,"hv:images":[` + strings.Join(entries, ",") + `]}}`
}

func mustDecode(t testing.TB, text string) *imagelist.List {
	t.Helper()
	l, err := imagelist.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refused asserts that text is malformed-list for a reason that names want.
func refused(t *testing.T, text, want string) {
	t.Helper()
	l, err := imagelist.Decode([]byte(text))
	if l != nil || verdict.Of(err) != verdict.MalformedList {
		t.Fatalf("want malformed-list (%s), have list %v, error %v", want, l != nil, err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("want a detail with %q, have %q", want, err)
	}
	if len(err.Error()) > 600 {
		t.Errorf("detail of %d bytes", len(err.Error()))
	}
}

func TestDecode(t *testing.T) {
	l := mustDecode(t, "\r\n"+listOf(head+`,"ad:vo":"vo","x:y":{"A":1}`, entry+`,"ad:mpuri":"m", "ad:user" : [ 1 , "\u00e9é" ]`)+"\r\n")
	if len(l.Warnings)+len(l.Refused) != 0 {
		t.Errorf("warnings %q, refused %v", l.Warnings, l.Refused)
	}
	digest, _ := imagelist.ParseDigest(digestA)
	want := imagelist.List{
		Identifier: "list-1", Version: "1.0", Title: "T", Description: "D", Source: "S", URI: "https://example.org/l", VO: "vo",
		Created:   time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Expires:   time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		Endorsers: []imagelist.Endorser{{DN: "/CN=A", CA: "/CN=CA", Email: "a@b", Creator: "A"}},
		Extra:     []byte(`{"x:y":{"A":1}}`),
		Images: []imagelist.Image{{
			Identifier: "image-1", Version: "1", URI: "https://example.org/i", SHA512: digest, Size: 5,
			Title: "t", Description: "d", Comments: "c", OS: "Linux", OSVersion: "12", Arch: "x86_64",
			Hypervisor: "kvm", Format: "qcow2", MPURI: "m",
			Metadata: []byte(`{` + entry + `,"ad:mpuri":"m","ad:user":[1,"\u00e9é"]}`),
		}},
	}
	if !reflect.DeepEqual(*l, want) {
		t.Errorf("have %+v\nwant %+v", *l, want)
	}
}

func TestDecode_KeepsNothingOfItsInput(t *testing.T) {
	text := []byte(listOf(head, entry))
	l := mustDecode(t, string(text))
	again, err := imagelist.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	if !reflect.DeepEqual(l, again) {
		t.Error("the list changed with the bytes it was read from")
	}
}

// Variants that are out there and mean what they say.
func TestDecode_Lenient(t *testing.T) {
	replaced := func(old, new string) string {
		if !strings.Contains(head, old) {
			t.Fatalf("head has no %s", old)
		}
		return listOf(strings.Replace(head, old, new, 1), entry)
	}
	tests := []struct {
		name, text string
		ok         func(*imagelist.List) bool
	}{
		{"numeric version keeps its text", replaced(`"1.0"`, `1.10`), func(l *imagelist.List) bool { return l.Version == "1.10" }},
		{"offset", replaced(`2026-12-01T00:00:00Z`, `2026-12-01T02:00:00+02:00`), func(l *imagelist.List) bool {
			return l.Expires.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) && l.Expires.Location() == time.UTC
		}},
		{"far expiry", replaced(`2026-12-01T00:00:00Z`, `2499-12-31T22:00:00Z`), func(l *imagelist.List) bool { return l.Expires.Year() == 2499 }},
		{"endorser array", listOf(strings.Replace(head, `"hv:endorser":{`, `"hv:endorser":[{"hv:x509":{"hv:dn":"/CN=B","hv:ca":"/CN=CB"}},{`, 1)+`]`, entry),
			func(l *imagelist.List) bool { return len(l.Endorsers) == 2 && l.Endorsers[0].DN == "/CN=B" }},
		{"no images", listOf(head), func(l *imagelist.List) bool { return len(l.Images) == 0 }},
		{"null text", replaced(`"dc:title":"T"`, `"dc:title":null`), func(l *imagelist.List) bool { return l.Title == "" && len(l.Warnings) == 1 }},
		{"title of another type", replaced(`"dc:title":"T"`, `"dc:title":["x"]`), func(l *imagelist.List) bool { return l.Title == "" && len(l.Warnings) == 1 }},
		{"escaped name", replaced(`"dc:identifier"`, `"dc\u003aidentifier"`), func(l *imagelist.List) bool { return l.Identifier == "list-1" }},
		{"size as text", listOf(head, strings.Replace(entry, `"hv:size":5`, `"hv:size":"5"`, 1)), func(l *imagelist.List) bool { return l.Images[0].Size == 5 }},
		{"upper-case digest", listOf(head, strings.Replace(entry, digestA, strings.ToUpper(digestA), 1)), func(l *imagelist.List) bool {
			return l.Images[0].SHA512.String() == digestA
		}},
		{"image expiry", listOf(head, entry+`,"dc:date:expires":"2026-11-20T00:00:00Z"`), func(l *imagelist.List) bool { return l.Images[0].Expires.Day() == 20 }},
		{"null image expiry", listOf(head, entry+`,"dc:date:expires":null`), func(l *imagelist.List) bool { return l.Images[0].Expires.IsZero() }},
		{"recommended keys absent", listOf(head, strings.Replace(entry, `"sl:os":"Linux",`, ``, 1)), func(l *imagelist.List) bool {
			return len(l.Warnings) == 1 && l.Warnings[0] == "hv:images[0].hv:image.sl:os: missing"
		}},
		{"recurring oddities told once", listOf(head, `"dc:identifier":"a",`+bare(5), `"dc:identifier":"b",`+bare(5)), func(l *imagelist.List) bool {
			return len(l.Images) == 2 && len(l.Warnings) == 7 && l.Warnings[0] == "hv:images[0].hv:image.dc:title: missing (and in 1 more)"
		}},
		{"endorser in two scripts", replaced(`"/CN=A"`, `"/CN=Аlice"`), func(l *imagelist.List) bool { return len(l.Warnings) == 1 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := mustDecode(t, test.text)
			if len(l.Refused) > 0 || !test.ok(l) {
				t.Errorf("have %+v", l)
			}
		})
	}
}

// bare is an entry's required keys save the identifier.
func bare(size int64) string {
	return fmt.Sprintf(`"hv:version":"1","hv:uri":"http://example.org/i","sl:checksum:sha512":"%s","hv:size":%d`, digestA, size)
}

func TestDecode_Revoked(t *testing.T) {
	good := `{"dc:identifier":"old","hv:version":"1","sl:checksum:sha512":"` + digestA + `","date":"2026-11-02T00:00:00Z","reason":"leak"}`
	for _, test := range []struct {
		name, value   string
		read, remarks int
	}{
		{"one", `[` + good + `]`, 1, 0},
		{"unusable ones passed over", `[` + good + `,5,{"dc:identifier":"../x"},{}]`, 1, 3},
		{"not an array", `{}`, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := mustDecode(t, listOf(head+`,"vouch:revoked":`+test.value, entry))
			if len(l.Revoked) != test.read || len(l.Warnings) != test.remarks {
				t.Fatalf("read %v, warnings %q", l.Revoked, l.Warnings)
			}
			if test.read == 1 && (l.Revoked[0].Reason != "leak" || l.Revoked[0].Date.Day() != 2) {
				t.Errorf("read %+v", l.Revoked[0])
			}
		})
	}
}

func TestDecode_RequiredOfTheList(t *testing.T) {
	for _, key := range []string{"dc:identifier", "hv:version", "dc:date:created", "dc:date:expires", "hv:endorser", "hv:dn", "hv:ca", "hv:x509"} {
		t.Run(key, func(t *testing.T) {
			refused(t, listOf(strings.Replace(head, `"`+key+`"`, `"absent"`, 1), entry), key)
			upper := strings.ToUpper(key[:1]) + key[1:]
			refused(t, listOf(strings.Replace(head, `"`+key+`"`, `"`+upper+`"`, 1), entry), key)
		})
	}
	for name, text := range map[string][2]string{
		"hv:images absent":         {`{"hv:imagelist":{` + head + `}}`, "hv:images"},
		"hv:images null":           {`{"hv:imagelist":{` + head + `,"hv:images":null}}`, "hv:images"},
		"hv:images an object":      {`{"hv:imagelist":{` + head + `,"hv:images":{}}}`, "hv:images"},
		"no container":             {`{` + head + `,"hv:images":[]}`, "hv:imagelist"},
		"T-14 another container":   {`{"hv:revocationlist":{` + head + `,"hv:images":[]}}`, "hv:imagelist"},
		"T-14 a second container":  {strings.TrimSuffix(listOf(head), "}") + `,"vouch:blocks":{}}`, "hv:imagelist"},
		"empty object":             {`{}`, "hv:imagelist"},
		"array":                    {`[]`, "want '{'"},
		"no endorser":              {listOf(strings.Replace(head, `{"hv:x509"`, `[],"x":{"hv:x509"`, 1)), "hv:endorser"},
		"identifier not a string":  {listOf(strings.Replace(head, `"list-1"`, `1`, 1)), "dc:identifier"},
		"T-22 identifier unsafe":   {listOf(strings.Replace(head, `list-1`, `../list`, 1)), "dc:identifier"},
		"empty version":            {listOf(strings.Replace(head, `"1.0"`, `""`, 1)), "hv:version"},
		"version of another type":  {listOf(strings.Replace(head, `"1.0"`, `true`, 1)), "hv:version"},
		"date without zone":        {listOf(strings.Replace(head, `2026-12-01T00:00:00Z`, `2026-12-01T00:00:00`, 1)), "dc:date:expires"},
		"date that is none":        {listOf(strings.Replace(head, `2026-12-01T`, `2026-02-30T`, 1)), "dc:date:expires"},
		"date with short hour":     {listOf(strings.Replace(head, `T00:00:00Z","dc:title`, `T0:00:00Z","dc:title`, 1)), "dc:date:expires"},
		"date with comma":          {listOf(strings.Replace(head, `00:00:00Z","dc:title`, `00:00:00,5Z","dc:title`, 1)), "dc:date:expires"},
		"date with wild offset":    {listOf(strings.Replace(head, `00:00:00Z","dc:title`, `00:00:00+24:00","dc:title`, 1)), "dc:date:expires"},
		"more than 64 endorsers":   {listOf(strings.Replace(head, `"hv:endorser":{`, `"hv:endorser":[`+strings.Repeat(`{"hv:x509":{"hv:dn":"d","hv:ca":"c"}},`, 64)+`{`, 1) + `]`), "endorsers"},
		"endorser of another type": {listOf(strings.Replace(head, `{"hv:x509":{`, `5,"x":{"y":{`, 1)), "want '['"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, text[0], text[1]) })
	}
}

func TestDecode_EntryRefusedAlone(t *testing.T) {
	change := func(old, new string) string {
		if !strings.Contains(entry, old) {
			t.Fatalf("entry has no %s", old)
		}
		return `{"hv:image":{` + strings.Replace(entry, old, new, 1) + `}}`
	}
	uri := func(u string) string { return change(`https://example.org/i`, u) }
	tests := []struct{ name, element, key string }{
		{"not an object", `5`, ""},
		{"null", `null`, ""},
		{"no hv:image", `{}`, "hv:image"},
		{"hv:image not an object", `{"hv:image":[]}`, "hv:image"},
		{"identifier absent", change(`"dc:identifier"`, `"x"`), "dc:identifier"},
		{"identifier in another case", change(`"dc:identifier"`, `"DC:Identifier"`), "dc:identifier"},
		{"identifier null", change(`"image-1"`, `null`), "dc:identifier"},
		{"identifier a number", change(`"image-1"`, `1`), "dc:identifier"},
		{"T-22 identifier a path", change(`image-1`, `../etc/passwd`), "dc:identifier"},
		{"T-22 identifier with NUL's cousin", change(`image-1`, `a\u0001b`), "dc:identifier"},
		{"T-22 identifier templates", change(`image-1`, `templates`), "dc:identifier"},
		{"T-45 identifier not ASCII", change(`image-1`, `imagе-1`), "dc:identifier"},
		{"version absent", change(`"hv:version"`, `"x"`), "hv:version"},
		{"URI absent", change(`"hv:uri"`, `"x"`), "hv:uri"},
		{"URI file", uri(`file:///etc/passwd`), "hv:uri"},
		{"URI ftp", uri(`ftp://example.org/i`), "hv:uri"},
		{"URI relative", uri(`/i`), "hv:uri"},
		{"URI without host", uri(`http:///i`), "hv:uri"},
		{"URI opaque", uri(`http:example.org`), "hv:uri"},
		{"URI with user", uri(`https://u@example.org/i`), "hv:uri"},
		{"URI with line feed", uri(`https://example.org/i\n`), "hv:uri"},
		{"URI with C1 control", uri(`https://example.org/\u0085`), "hv:uri"},
		{"digest absent", change(`"sl:checksum:sha512"`, `"x"`), "sl:checksum:sha512"},
		{"digest short", change(`aaaa`, ``), "sl:checksum:sha512"},
		{"digest not hexadecimal", change(`aaaa`, `aaag`), "sl:checksum:sha512"},
		{"size absent", change(`"hv:size"`, `"x"`), "hv:size"},
		{"image expiry not a date", change(`"hv:size"`, `"dc:date:expires":"soon","hv:size"`), "dc:date:expires"},
		{"image expiry a number", change(`"hv:size"`, `"dc:date:expires":5,"hv:size"`), "dc:date:expires"},
		{"longer than MaxEntry", change(`"hv:size"`, `"x":"`+strings.Repeat("x", 60<<10)+`","y":"`+strings.Repeat("x", 60<<10)+
			`","z":"`+strings.Repeat("x", 10<<10)+`","hv:size"`), "hv:image"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.TrimSuffix(listOf(head, strings.Replace(entry, "image-1", "good-1", 1)), "]}}")
			text += "," + test.element + `,{"hv:image":{` + strings.Replace(entry, "image-1", "good-2", 1) + `}}]}}`
			l := mustDecode(t, text)
			if len(l.Images) != 2 || l.Images[0].Identifier != "good-1" || l.Images[1].Identifier != "good-2" {
				t.Fatalf("the others are affected: %v", l.Images)
			}
			if len(l.Refused) != 1 || l.Refused[0].Index != 1 {
				t.Fatalf("refused %v", l.Refused)
			}
			want := "hv:images[1]"
			if test.key == "hv:image" {
				want += ".hv:image"
			} else if test.key != "" {
				want += ".hv:image." + test.key
			}
			if l.Refused[0].Field != want {
				t.Errorf("field %q, want %q", l.Refused[0].Field, want)
			}
		})
	}
}

func TestDecode_RefusedEntryTellsWhatItNames(t *testing.T) {
	l := mustDecode(t, listOf(head, strings.Replace(entry, `"hv:size":5`, `"hv:size":-5`, 1)))
	if e := l.Refused[0]; e.Identifier != "image-1" || e.SHA512.String() != digestA {
		t.Errorf("have %+v", e)
	}
}

func TestT29_RefusedURIIsNotQuoted(t *testing.T) {
	for _, uri := range []string{"https://u:canary@example.org/", "canary://u:canary@h", "https://u:canary@%zz/", "http://u:canary@h:port/"} {
		l := mustDecode(t, listOf(head, strings.Replace(entry, "https://example.org/i", uri, 1)))
		if len(l.Refused) != 1 || strings.Contains(fmt.Sprintf("%+v", l.Refused), "canary") {
			t.Errorf("%s: refused %+v", uri, l.Refused)
		}
	}
}

func TestDecode_TwoEntriesWithOneIdentifier(t *testing.T) {
	other := strings.Replace(entry, "image-1", "image-2", 1)
	broken := strings.Replace(entry, `"hv:size":5`, `"hv:size":-1`, 1)
	for _, test := range []struct {
		name    string
		entries []string
		refused []int
	}{
		{"both", []string{entry, other, entry}, []int{0, 2}},
		{"all three", []string{entry, entry, other, entry}, []int{0, 1, 3}},
		{"a broken one counts", []string{entry, other, broken}, []int{0, 2}},
		{"two broken ones without identifier do not", []string{`"hv:size":1`, other, `"hv:size":2`}, []int{0, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := mustDecode(t, listOf(head, test.entries...))
			if len(l.Images) != 1 || l.Images[0].Identifier != "image-2" {
				t.Fatalf("images %v", l.Images)
			}
			var have []int
			for _, e := range l.Refused {
				have = append(have, e.Index)
			}
			if !reflect.DeepEqual(have, test.refused) {
				t.Errorf("refused %v, want %v", have, test.refused)
			}
		})
	}
}

func TestT40_DuplicateKeys(t *testing.T) {
	tests := map[string]string{
		"list level":             listOf(head+`,"dc:title":"x"`, entry),
		"list level, folded":     listOf(head+`,"DC:TITLE":"x"`, entry),
		"entry":                  listOf(head, entry+`,"hv:size":6`),
		"entry, folded":          listOf(head, entry+`,"HV:Size":6`),
		"entry, folded first":    listOf(head, `"HV:SIZE":6,`+entry),
		"entry, two folded":      listOf(head, entry+`,"AD:MPURI":1,"Ad:mpuri":2`),
		"entry, long s":          listOf(head, entry+`,"hv:ſize":6`),
		"entry, escaped":         listOf(head, entry+`,"hv\u003asize":6`),
		"entry, escaped folded":  listOf(head, entry+`,"\u0048v:size":6`),
		"endorser":               listOf(strings.Replace(head, `"hv:dn"`, `"hv:dn":"x","hv:dn"`, 1), entry),
		"endorser, folded":       listOf(strings.Replace(head, `"hv:dn"`, `"hv:DN":"x","hv:dn"`, 1), entry),
		"unknown object":         listOf(head+`,"x":{"a":[{"b":1,"b":2}]}`, entry),
		"unknown, known inside":  listOf(head+`,"x":{"a":[{"hv:uri":1,"hv:URI":2}]}`, entry),
		"element":                `{"hv:imagelist":{` + head + `,"hv:images":[{"hv:image":{` + entry + `},"hv:image":{}}]}}`,
		"hv:images":              strings.TrimSuffix(listOf(head, entry), "}}") + `,"HV:images":[]}}`,
		"document":               `{"hv:imagelist":{},` + listOf(head, entry)[1:],
		"many unknown, last one": listOf(head+manyKeys(200)+`,"k7":0`, entry),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) { refused(t, text, "") })
	}
	t.Run("unknown keys that differ in case are two", func(t *testing.T) {
		mustDecode(t, listOf(head+`,"x":1,"X":2`, entry))
	})
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":0`, i)
	}
	return b.String()
}

func TestT41_Text(t *testing.T) {
	bad := map[string]string{
		"invalid UTF-8": "\xff", "overlong": "\xc0\xaf", "encoded surrogate": "\xed\xa0\x80", "above U+10FFFF": "\xf4\x90\x80\x80",
		"lone high surrogate": `\ud800`, "lone low surrogate": `\udc00`, "swapped pair": `\udc00\ud800`,
		"escaped NUL": `a\u0000b`, "raw NUL": "\x00", "raw control": "\x1f", "raw line feed": "\n",
		"noncharacter": "\ufdd0", "escaped noncharacter": `\ufffe`, "last of the range": "\ufdef", "astral noncharacter": "\U0001ffff",
		"escaped astral noncharacter": `\udbff\udfff`, "unknown escape": `\x41`, "cut escape": `\u12`,
	}
	for name, s := range bad {
		t.Run(name, func(t *testing.T) {
			refused(t, listOf(strings.Replace(head, `"T"`, `"`+s+`"`, 1), entry), "")
			refused(t, listOf(head, entry+`,"x":{"y":["`+s+`"]}`), "")
			refused(t, listOf(head, entry+`,"x`+s+`":1`), "")
		})
	}
	for name, s := range map[string]string{"pair": `\ud83d\ude00`, "neighbours": "\ufdcf\ufdf0\ufffd", "escapes": `\"\\\/\b\f\n\r\t\u00e9`} {
		t.Run(name, func(t *testing.T) { mustDecode(t, listOf(strings.Replace(head, `"T"`, `"`+s+`"`, 1), entry)) })
	}
}

func TestT41_Document(t *testing.T) {
	good := listOf(head, entry)
	for name, text := range map[string]string{
		"empty": "", "white space": " \r\n", "BOM": "\ufeff" + good, "UTF-16": "\xff\xfe{\x00}\x00",
		"trailing text": good + "x", "second document": good + good, "trailing NUL": good + "\x00", "trailing comma": good + ",",
		"comment": "/* */" + good, "line comment": "// x\n" + good, "comma before brace": strings.TrimSuffix(good, "}") + ",}",
		"single quotes": strings.ReplaceAll(good, `"`, `'`), "cut": good[:len(good)-1], "NaN": listOf(head + `,"x":NaN`), "leading zero": listOf(head + `,"x":01`),
		"plus": listOf(head + `,"x":+1`), "bare word": listOf(head + `,"x":True`), "number as name": listOf(head + `,5:1`),
	} {
		t.Run(name, func(t *testing.T) { refused(t, text, "") })
	}
	mustDecode(t, "\t\r\n "+strings.ReplaceAll(good, ",", "\r\n,\r\n")+"\r\n\t ")
}

func TestT42_Limits(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	repeated := func(n int) string { return strings.TrimSuffix(strings.Repeat("1,", n), ",") }
	tests := []struct {
		name     string
		ok, over string
	}{
		{"depth", listOf(head + `,"x":` + nested(imagelist.MaxDepth-2)), listOf(head + `,"x":` + nested(imagelist.MaxDepth-1))},
		{"depth of objects", listOf(head + `,"x":` + strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30)),
			listOf(head + `,"x":` + strings.Repeat(`{"a":`, 31) + "1" + strings.Repeat("}", 31))},
		{"string", listOf(head + `,"x":"` + strings.Repeat("x", imagelist.MaxString) + `"`), listOf(head + `,"x":"` + strings.Repeat("x", imagelist.MaxString+1) + `"`)},
		{"string of escapes", listOf(head + `,"x":"` + strings.Repeat(`\u0041`, imagelist.MaxString/8) + `"`), listOf(head + `,"x":"` + strings.Repeat(`\u0041`, imagelist.MaxString+1) + `"`)},
		{"name", listOf(head + `,"` + strings.Repeat("x", imagelist.MaxString) + `":1`), listOf(head + `,"` + strings.Repeat("x", imagelist.MaxString+1) + `":1`)},
		{"number", listOf(head + `,"x":12345678901234567890`), listOf(head + `,"x":123456789012345678901`)},
		{"version", listOf(strings.Replace(head, `"1.0"`, `12345678901234567890`, 1)), listOf(strings.Replace(head, `"1.0"`, `123456789012345678901`, 1))},
		{"images", `{"hv:imagelist":{` + head + `,"hv:images":[` + repeated(imagelist.MaxImages) + `]}}`,
			`{"hv:imagelist":{` + head + `,"hv:images":[` + repeated(imagelist.MaxImages+1) + `]}}`},
		{"members", listOf(head, entry+`,"x":{"a":0`+manyKeys(9999)+`}`), listOf(head, entry+`,"x":{"a":0`+manyKeys(10000)+`}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mustDecode(t, test.ok)
			refused(t, test.over, "")
		})
	}
}

// The worst that a list may hold must neither overflow a stack nor take more
// than T-42 allows: 16 times its size, shown on lists of 4 MiB.
func TestT42_WorstCases(t *testing.T) {
	const size = 4 << 20
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	var names strings.Builder
	for i := 0; names.Len() < size; i++ {
		fmt.Fprintf(&names, `"%x":0,`, i)
	}
	for name, text := range map[string]string{
		"brackets":      fill("["),
		"objects":       fill(`{"":`),
		"unread nested": listOf(head + `,"x":` + fill("[")),
		"names":         `{"hv:imagelist":{` + names.String(),
		"small numbers": listOf(head + `,"x":[` + fill("0,") + `0]`),
		"empty objects": listOf(head + `,"x":[` + fill("{},") + `{}]`),
		"refusals":      listOf(head + `,"x":[` + fill(`"\u0041",`) + `0]`),
		"one entry":     listOf(head, entry+`,"x":[`+fill(`"x",`)+`0]`),
		"revoked":       listOf(head + `,"vouch:revoked":[` + fill("{},") + `{}]`),
		"fold":          listOf(head + `,"x":[` + fill(`{"a":1,"B":2},`) + `{}]`),
		"endorsers":     listOf(`"hv:endorser":[` + fill("{},") + `{}]`),
	} {
		t.Run(name, func(t *testing.T) {
			content := []byte(text)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, err := imagelist.Decode(content)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 16*size {
				t.Errorf("allocated %d MiB (error %v)", used>>20, err)
			}
		})
	}
}

func TestT42_TenThousandImages(t *testing.T) {
	content := bigList(imagelist.MaxImages)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := imagelist.Decode(content)
	runtime.ReadMemStats(&after)
	if err != nil || len(l.Images) != imagelist.MaxImages {
		t.Fatalf("%d images, error %v", len(l.Images), err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 100<<20 {
		t.Errorf("allocated %d MiB for %d MiB", used>>20, len(content)>>20)
	}
}

func TestT43_Size(t *testing.T) {
	good := map[string]int64{"0": 0, "1": 1, "10737418240": 10737418240, "9223372036854775807": math.MaxInt64}
	for text, want := range good {
		for _, form := range []string{text, `"` + text + `"`} {
			l := mustDecode(t, listOf(head, strings.Replace(entry, `"hv:size":5`, `"hv:size":`+form, 1)))
			if len(l.Images) != 1 || l.Images[0].Size != want {
				t.Errorf("%s: have %+v, refused %v", form, l.Images, l.Refused)
			}
		}
	}
	bad := []string{`-1`, `-0`, `1e3`, `1E3`, `1.0`, `1.5`, `9223372036854775808`, `9999999999999999999`, `18446744073709551616`, `true`, `null`, `[]`, `{}`, `""`,
		`"-1"`, `"+1"`, `"01"`, `"1.0"`, `"1e3"`, `"0x10"`, `" 1"`, `"1 "`, `"1_000"`, `"9223372036854775808"`, `"00"`, `"٣"`, `"` + strings.Repeat("9", 1000) + `"`}
	for _, form := range bad {
		l := mustDecode(t, listOf(head, strings.Replace(entry, `"hv:size":5`, `"hv:size":`+form, 1)))
		if len(l.Images) != 0 || len(l.Refused) != 1 || l.Refused[0].Field != "hv:images[0].hv:image.hv:size" {
			t.Errorf("%s: images %v, refused %v", form, l.Images, l.Refused)
		}
	}
}

func TestT22_SafeIdentifier(t *testing.T) {
	long := strings.Repeat("a", 128)
	for _, id := range []string{"a", "0", "A.b_c-D", "63175437-7d59-4851-b333-c96cb6545a86", long, "templates2", "Templates", "a..b"} {
		if !imagelist.SafeIdentifier(id) {
			t.Errorf("%q is not safe", id)
		}
	}
	for _, id := range []string{"", ".", "..", ".a", "-a", "_a", "a/b", `a\b`, "a b", "a\x00b", "a\n", "é", "a:b", "a%2f", "templates", long + "a", "a*", "~", "a\u202eb"} {
		if imagelist.SafeIdentifier(id) {
			t.Errorf("%q is safe", id)
		}
	}
}

func bigList(images int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"hv:imagelist":{` + head + `,"hv:images":[`)
	for i := range images {
		if i > 0 {
			b.WriteString(",\r\n")
		}
		fmt.Fprintf(&b, "{\r\n \"hv:image\": {\r\n  \"dc:identifier\": \"%08d-7d59-4851-b333-c96cb6545a86\",\r\n", i)
		fmt.Fprintf(&b, "  \"sl:checksum:sha512\": \"%0128x\",\r\n  \"hv:size\": %d,\r\n  \"hv:version\": \"%d\",\r\n", i, 1<<30+i, i)
		fmt.Fprintf(&b, "  \"hv:uri\": \"https://images.example.org/releases/%08d/image.qcow2\",\r\n", i)
		for _, k := range []string{"dc:title", "dc:description", "sl:comments", "sl:os", "sl:osversion", "sl:arch", "hv:hypervisor", "hv:format", "ad:mpuri", "ad:group", "ad:appid"} {
			fmt.Fprintf(&b, "  %q: \"%s\",\r\n", k, strings.Repeat("text ", 12))
		}
		b.WriteString("  \"hv:ram_minimum\": 512\r\n }\r\n}")
	}
	b.WriteString("]}}\r\n")
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	content := bigList(imagelist.MaxImages)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := imagelist.Decode(content); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(listOf(head, entry)))
	f.Add([]byte(listOf(head+`,"vouch:revoked":[{}],"x":{"y":[1,"\ud83d\ude00"]}`, entry, entry)))
	f.Add([]byte(strings.ReplaceAll(listOf(head, entry), ",", "\r\n,")))
	for _, c := range readCases(f) {
		signed, err := smime.Open(c.Message, smime.Options{})
		if err == nil && c.Family() == "list" && len(signed.Content) <= 8<<10 {
			f.Add(signed.Content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		before := bytes.Clone(content)
		l, err := imagelist.Decode(content)
		if !bytes.Equal(before, content) {
			t.Fatal("Decode wrote to its input")
		}
		if err != nil {
			if l != nil || verdict.Of(err) != verdict.MalformedList {
				t.Fatalf("list %v with error %v", l, err)
			}
			return
		}
		if !json.Valid(content) || !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
			t.Fatalf("no JSON: %q", content)
		}
		if fault := strictFault(t, content); fault != "" || len(l.Images) > imagelist.MaxImages {
			t.Fatalf("%s, %d images: %q", fault, len(l.Images), content)
		}
		for _, image := range l.Images {
			if !imagelist.SafeIdentifier(string(image.Identifier)) || image.Size < 0 || image.URI == "" || image.Version == "" {
				t.Fatalf("passed %+v", image)
			}
		}
		l.Refused = nil
		encoded, err := l.Encode()
		if err != nil {
			t.Fatalf("decoded but not encodable: %v", err)
		}
		again, err := mustDecode(t, string(encoded)).Encode()
		if err != nil || !bytes.Equal(encoded, again) {
			t.Fatalf("not canonical (%v):\n%s\n%s", err, encoded, again)
		}
	})
}

// strictFault is what the rules of format.md have against a JSON text, found
// with the other JSON package.
func strictFault(t *testing.T, content []byte) string {
	type object struct {
		keys map[string]bool // nil for an array
		key  bool            // a key comes next
	}
	var open []object
	in := json.NewDecoder(bytes.NewReader(content))
	in.UseNumber()
	for {
		token, err := in.Token()
		if err == io.EOF {
			return ""
		} else if err != nil {
			t.Fatal(err)
		}
		if delim, ok := token.(json.Delim); ok && (delim == ']' || delim == '}') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open); n > 0 && open[n-1].keys != nil {
			o := &open[n-1]
			if o.key {
				if o.keys[token.(string)] {
					return fmt.Sprintf("the key %q twice", token)
				}
				o.keys[token.(string)] = true
			}
			o.key = !o.key
		}
		switch v := token.(type) {
		case string:
			if len(v) > 64<<10 || strings.ContainsRune(v, 0) {
				return "a string that is long or has a NUL"
			}
		case json.Delim:
			o := object{}
			if v == '{' {
				o = object{keys: map[string]bool{}, key: true}
			}
			if open = append(open, o); len(open) > 32 {
				return "deeper than 32"
			}
		}
	}
}
