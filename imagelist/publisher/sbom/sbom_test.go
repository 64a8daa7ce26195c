package sbom

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	cdxJSON = `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"library","name":"openssl","version":"3.5.1"}]}`
	cdxXML  = `<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1"><components><component type="library"><name>zlib</name><version>1.3</version></component></components></bom>`
	spdxJSON = `{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"image","documentNamespace":"https://example.org/image",
"creationInfo":{"created":"2026-11-25T17:00:00Z","creators":["Tool: example"]},
"packages":[{"SPDXID":"SPDXRef-p","name":"bash","versionInfo":"5.2","downloadLocation":"NOASSERTION"}]}`
	spdxTag = `SPDXVersion: SPDX-2.2
DataLicense: CC0-1.0
SPDXID: SPDXRef-DOCUMENT
DocumentName: image
DocumentNamespace: https://example.org/image
Creator: Tool: example
Created: 2026-11-25T17:00:00Z

PackageName: bash
SPDXID: SPDXRef-p
PackageVersion: 5.2
PackageDownloadLocation: NOASSERTION
FilesAnalyzed: false
`
	spdx3 = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
{"type":"CreationInfo","@id":"_:c","specVersion":"3.0.1","created":"2026-11-25T17:00:00Z"},
{"type":"SpdxDocument","spdxId":"https://example.org/d","creationInfo":"_:c"},
{"type":"software_Package","spdxId":"https://example.org/p","name":"bash"}]}`
)

// TestE6_BillsAreKnown: each standard in each encoding, with its version.
func TestE6_BillsAreKnown(t *testing.T) {
	for want, c := range map[string]struct{ text, ext string }{
		"CycloneDX 1.6 JSON": {cdxJSON, "json"},
		"CycloneDX 1.5 XML":  {cdxXML, "xml"},
		"SPDX 2.3 JSON":      {spdxJSON, "json"},
		"SPDX 2.2 tag-value": {spdxTag, "spdx"},
		"SPDX 3.0.1 JSON-LD": {spdx3, "json"},
	} {
		for _, text := range []string{c.text, "\ufeff\n" + c.text + "\n"} {
			raw, d, err := Read(strings.NewReader(text))
			if err != nil || d.String() != want || d.Ext() != c.ext || d.Packages != 1 || string(raw) != text {
				t.Errorf("%s: %s (.%s), %d packages, %v", want, d, d.Ext(), d.Packages, err)
			}
		}
	}
}

// TestE6_OthersAreRefused: what is no bill is named for what it is.
func TestE6_OthersAreRefused(t *testing.T) {
	replace := func(text, old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not there", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":           {" \n", "empty file"},
		"image":           {"QFI\xfb\x00\x00\x00\x03", "no text"},
		"gzip":            {"\x1f\x8b\x08\x00\x00", "bytes 1f 8b 08"},
		"prose":           {"Packages:\n bash 5.2\n", `text that begins with "Packages:"`},
		"array":           {"[1]", "not a JSON object"},
		"object":          {`{"b":1,"a":2}`, `["a" "b"]`},
		"torn JSON":       {cdxJSON[:60], "not a JSON object"},
		"torn XML":        {cdxXML[:140], "cannot be read"},
		"more after":      {cdxJSON + "{}", "not a JSON object"},
		"other format":    {replace(cdxJSON, `"CycloneDX"`, `"CycloneDY"`), "CycloneDY"},
		"no version":      {replace(cdxJSON, `"specVersion":"1.6",`, ``), "version that is not known"},
		"future":          {replace(cdxJSON, "1.6", "9.9"), "CycloneDX"},
		"wrong type":      {replace(cdxJSON, `"components":[`, `"components":[1,`), "cannot be read"},
		"XML future":      {replace(cdxXML, "bom/1.5", "bom/9.9"), "version that is not known"},
		"html":            {"<html><body/></html>", `root element "html"`},
		"no XML":          {"<", "not XML"},
		"rdf":             {`<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>`, "convert"},
		"swid":            {"<SoftwareIdentity/>", "SWID"},
		"yaml":            {"SPDXID: SPDXRef-DOCUMENT\nspdxVersion: SPDX-2.3\n", "YAML"},
		"spdx 1":          {replace(spdxTag, "SPDX-2.2", "SPDX-1.2"), "SPDX-1.2"},
		"spdx 2 wrong":    {replace(spdxJSON, `"packages":[`, `"packages":[1,`), "cannot be read"},
		"spdx 2 no id":    {replace(spdxJSON, `"SPDXID":"SPDXRef-DOCUMENT",`, ``), "SPDXRef-DOCUMENT"},
		"spdx 2 tag torn": {spdxTag + "PackageComment: <text>never ends", "cannot be read"},
		"spdx 2 tag less": {replace(spdxTag, "Created:", "Made:"), "no Created"},
		"spdx 3 empty":    {`{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`, "without an SpdxDocument"},
		"spdx 3 torn":     {`{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}`, "cannot be read"},
		"attestation":     {`{"_type":"https://in-toto.io/Statement/v1","predicate":{}}`, "attestation"},
		"syft":            {`{"artifacts":[],"descriptor":{}}`, "Syft"},
		"control":         {"\x1b[2Jx", `"\x1b[2Jx"`},
		"too large":       {strings.Repeat(" ", MaxSize+1), "larger than"},
	} {
		_, _, err := Read(strings.NewReader(c.text))
		var e *Error
		if !errors.As(err, &e) || e.Hint() == "" || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 500 {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: raw control characters in %q", name, err)
		}
	}
}

// TestE6_SamplesOfTheStandards reads what the two libraries ship as examples,
// where the module cache has them.
func TestE6_SamplesOfTheStandards(t *testing.T) {
	read := 0
	for module, pattern := range map[string]string{
		"github.com/CycloneDX/cyclonedx-go": "testdata/valid-*.[jx][sm]*",
		"github.com/spdx/tools-golang":      "examples/sample-docs/[jt]*/*",
	} {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatalf("%s: %v", module, err)
		}
		names, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), pattern))
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := Check(raw); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if d.Version == "" {
				t.Errorf("%s: %s", name, d)
			}
			read++
		}
	}
	if read < 20 {
		t.Errorf("only %d samples", read)
	}
}

// FuzzCheck: never a panic, and every error is of the one type and printable.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{cdxJSON, cdxXML, spdxJSON, spdxTag, spdx3, "", "{}", "<a/>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		d, err := Check(raw)
		var e *Error
		if err != nil && (!errors.As(err, &e) || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' })) {
			t.Errorf("%q", err)
		}
		if err == nil && (d.Version == "" || d.Standard == "" || d.Encoding == "") {
			t.Errorf("%q", d)
		}
		if !bytes.Equal(raw, before) {
			t.Error("the input was changed")
		}
	})
}
