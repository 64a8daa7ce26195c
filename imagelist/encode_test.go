package imagelist_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"vouch/imagelist"
)

func draft() *imagelist.List {
	digest, _ := imagelist.ParseDigest(digestA)
	created := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	return &imagelist.List{
		Identifier: "list-1", Version: "1.0", Created: created, Expires: created.AddDate(0, 0, 28),
		Title: "T", Description: "line\nbreak\r\u2028 \"quoted\" <é😀>", Source: "S", URI: "https://example.org/l", VO: "vo",
		Endorsers: []imagelist.Endorser{{DN: "/CN=A", CA: "/CN=CA", Email: "a@b", Creator: "A"}},
		Images: []imagelist.Image{{
			Identifier: "image-1", Version: "1", URI: "https://example.org/i", SHA512: digest, Size: 1<<63 - 1,
			Title: "t", Description: "d", Comments: "c", OS: "Linux", OSVersion: "12", Arch: "x86_64", Hypervisor: "kvm",
			Format: "qcow2", VO: "v", MPURI: "m", Expires: created.Add(time.Hour + 5*time.Millisecond),
			Metadata: []byte(`{"ad:user:name":"\u00e9","hv:ram_minimum":512,"vouch:x":{"b":1,"a":[null]},"dc:title":"not looked at"}`),
		}},
		Revoked:    []imagelist.Revocation{{Identifier: "old", Version: "2", SHA512: digest, Date: created, Reason: "leak"}},
		Extra:      []byte(`{"ad:swid":"s"}`),
		Checkpoint: "vouch\n1\nroot\n\n\u2014 a b\n",
	}
}

func TestEncode_RoundTrip(t *testing.T) {
	several := draft()
	several.Endorsers = append(several.Endorsers, imagelist.Endorser{DN: "/CN=B", CA: "/CN=CB", Email: "b", Creator: "B"})
	empty := draft()
	empty.Images, empty.Revoked, empty.Extra = nil, nil, nil
	fraction := draft()
	fraction.Created = fraction.Created.Add(1)
	for name, l := range map[string]*imagelist.List{"one endorser": draft(), "several endorsers": several, "shut down": empty, "fraction of a second": fraction} {
		t.Run(name, func(t *testing.T) {
			encoded, err := l.Encode()
			if err != nil {
				t.Fatal(err)
			}
			back := mustDecode(t, string(encoded))
			if len(back.Images) > 0 {
				l.Images[0].Metadata = back.Images[0].Metadata
			}
			if !reflect.DeepEqual(l, back) {
				t.Errorf("have %+v\nwant %+v", back, l)
			}
			again, err := back.Encode()
			if err != nil || !bytes.Equal(encoded, again) {
				t.Errorf("%v: second encoding differs", err)
			}
			crlf := mustDecode(t, strings.ReplaceAll(string(encoded), "\n", "\r\n"))
			if !reflect.DeepEqual(crlf, back) {
				t.Error("line ends make a difference")
			}
		})
	}
}

func TestEncode_FieldsDecide(t *testing.T) {
	l := draft()
	l.Images[0].Metadata = []byte(`{"hv:size":1,"HV:Size":2,"dc:title":"x","ad:mpuri":"y","dc:date:expires":"z"}`)
	l.Images[0].MPURI, l.Images[0].Expires = "", time.Time{}
	encoded, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back := mustDecode(t, string(encoded)).Images[0]
	l.Images[0].Metadata = back.Metadata
	if !reflect.DeepEqual(back, l.Images[0]) {
		t.Errorf("have %+v", back)
	}
}

// A key that is specified is written even when there is nothing to say.
func TestEncode_EverySpecifiedKey(t *testing.T) {
	l := draft()
	l.Title, l.Description, l.Source, l.URI = "", "", "", ""
	l.Endorsers = []imagelist.Endorser{{DN: "/CN=A", CA: "/CN=CA"}}
	l.Images[0] = imagelist.Image{Identifier: "i", Version: "1", URI: "http://h/", SHA512: l.Images[0].SHA512}
	encoded, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		List struct {
			Endorser struct {
				X509 map[string]any `json:"hv:x509"`
			} `json:"hv:endorser"`
			Images []struct {
				Image map[string]any `json:"hv:image"`
			} `json:"hv:images"`
		} `json:"hv:imagelist"`
	}
	var list map[string]map[string]any
	if err := json.Unmarshal(encoded, &list); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &doc); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, list["hv:imagelist"], "dc:identifier dc:date:created dc:date:expires hv:version hv:uri hv:endorser hv:images dc:title dc:description dc:source")
	wantKeys(t, doc.List.Endorser.X509, "hv:dn hv:ca hv:email dc:creator")
	wantKeys(t, doc.List.Images[0].Image, "dc:identifier hv:uri sl:checksum:sha512 hv:size hv:version dc:title dc:description sl:os sl:osversion sl:arch sl:comments hv:hypervisor")
}

func wantKeys(t *testing.T, object map[string]any, keys string) {
	t.Helper()
	for _, k := range strings.Fields(keys) {
		if _, ok := object[k]; !ok {
			t.Errorf("%s is not there", k)
		}
	}
}

func TestEncode_RefusesWhatDecodeWould(t *testing.T) {
	for name, spoil := range map[string]func(*imagelist.List){
		"no version":            func(l *imagelist.List) { l.Version = "" },
		"no endorser":           func(l *imagelist.List) { l.Endorsers = nil },
		"unsafe identifier":     func(l *imagelist.List) { l.Images[0].Identifier = "../x" },
		"two with one":          func(l *imagelist.List) { l.Images = append(l.Images, l.Images[0]) },
		"negative size":         func(l *imagelist.List) { l.Images[0].Size = -1 },
		"file URI":              func(l *imagelist.List) { l.Images[0].URI = "file:///x" },
		"invalid UTF-8":         func(l *imagelist.List) { l.Title = "\xff" },
		"NUL":                   func(l *imagelist.List) { l.Title = "\x00" },
		"noncharacter":          func(l *imagelist.List) { l.Images[0].Title = "\ufffe" },
		"quote beside bad text": func(l *imagelist.List) { l.Title = "\xff\",\"x\":\"" },
		"metadata not JSON":     func(l *imagelist.List) { l.Images[0].Metadata = []byte(`{"x":`) },
		"metadata an array":     func(l *imagelist.List) { l.Images[0].Metadata = []byte(`[]`) },
		"extra not JSON":        func(l *imagelist.List) { l.Extra = []byte(`{"x" 1}`) },
		"entry too long":        func(l *imagelist.List) { l.Images[0].Description = strings.Repeat(`\"`, 63<<10) },
		"year beyond 9999":      func(l *imagelist.List) { l.Expires = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		t.Run(name, func(t *testing.T) {
			l := draft()
			spoil(l)
			if out, err := l.Encode(); err == nil {
				t.Errorf("encoded:\n%.300s", out)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	if findings := draft().Validate(); len(findings) != 0 {
		t.Fatalf("a good draft: %v", findings)
	}
	for path, spoil := range map[string]func(*imagelist.List){
		"error hv:imagelist.dc:identifier":                     func(l *imagelist.List) { l.Identifier = "a/b" },
		"error hv:imagelist.hv:version":                        func(l *imagelist.List) { l.Version = "" },
		"error hv:imagelist.dc:date:created":                   func(l *imagelist.List) { l.Created = time.Time{} },
		"error hv:imagelist.dc:date:expires":                   func(l *imagelist.List) { l.Expires = l.Created },
		"error hv:imagelist.hv:endorser":                       func(l *imagelist.List) { l.Endorsers = nil },
		"error hv:imagelist.hv:endorser[0].hv:x509.hv:ca":      func(l *imagelist.List) { l.Endorsers[0].CA = "" },
		"warning hv:imagelist.hv:endorser[0].hv:x509.hv:email": func(l *imagelist.List) { l.Endorsers[0].Email = "" },
		"warning hv:imagelist.dc:source":                       func(l *imagelist.List) { l.Source = "" },
		"warning hv:imagelist.hv:uri":                          func(l *imagelist.List) { l.URI = "https://u:p@h/" },
		"error hv:images[0].hv:image.dc:identifier":            func(l *imagelist.List) { l.Images[0].Identifier = "templates" },
		"error hv:images[0].hv:image.hv:uri":                   func(l *imagelist.List) { l.Images[0].URI = "ftp://h/" },
		"error hv:images[0].hv:image.sl:checksum:sha512":       func(l *imagelist.List) { l.Images[0].SHA512 = imagelist.Digest{} },
		"error hv:images[0].hv:image.hv:size":                  func(l *imagelist.List) { l.Images[0].Size = -1 },
		"warning hv:images[0].hv:image.hv:size":                func(l *imagelist.List) { l.Images[0].Size = 0 },
		"warning hv:images[0].hv:image.sl:os":                  func(l *imagelist.List) { l.Images[0].OS = "" },
		"warning hv:imagelist.vouch:revoked[0].reason":         func(l *imagelist.List) { l.Revoked[0].Reason = "" },
		"error hv:images[7].hv:image.hv:size": func(l *imagelist.List) {
			l.Refused = []imagelist.EntryError{{Index: 7, Field: "hv:images[7].hv:image.hv:size"}}
		},
	} {
		t.Run(path, func(t *testing.T) {
			l := draft()
			spoil(l)
			findings := l.Validate()
			if len(findings) != 1 || string(findings[0].Severity)+" "+findings[0].Path != path || findings[0].Clause == "" {
				t.Errorf("have %+v", findings)
			}
		})
	}
}

func TestValidate_TellsWhatDecodePassedOver(t *testing.T) {
	l := mustDecode(t, listOf(head+`,"vouch:revoked":5`, strings.Replace(entry, `"dc:title":"t"`, `"dc:title":[]`, 1)))
	paths := map[string]bool{}
	for _, f := range l.Validate() {
		paths[f.Path] = f.Severity == imagelist.Warning
	}
	if !paths["hv:imagelist.vouch:revoked"] || !paths["hv:images[0].hv:image.dc:title"] {
		t.Errorf("have %v", paths)
	}
}

func BenchmarkEncode(b *testing.B) {
	l, err := imagelist.Decode(bigList(imagelist.MaxImages))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := l.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
