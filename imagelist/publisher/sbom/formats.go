package sbom

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/tagvalue/reader"
)

// checkJSON tells the standards apart by the members that each requires.
func checkJSON(text []byte) (Document, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return Document{}, found("not a JSON object: %s", clean(err))
	}
	str := func(name string) string {
		var s string
		if json.Unmarshal(members[name], &s) != nil {
			return ""
		}
		return s
	}
	switch {
	case members["bomFormat"] != nil:
		return checkCycloneDX(text, cyclonedx.BOMFileFormatJSON, "JSON")
	case members["spdxVersion"] != nil:
		doc, err := spdxjson.Read(bytes.NewReader(text))
		return spdx2(doc, err, str("spdxVersion"), "JSON")
	case strings.HasPrefix(str("@context"), "https://spdx.org/rdf/3."):
		return checkSPDX3(members["@graph"])
	case str("_type") != "" || members["payloadType"] != nil:
		return Document{}, found("an attestation around something: the bill itself is wanted")
	case members["artifacts"] != nil && members["descriptor"] != nil:
		return Document{}, found("Syft's own JSON: it can write CycloneDX and SPDX too")
	}
	var names []string
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	return Document{}, found("a JSON object with the members %.200q", names[:min(len(names), 5)])
}

func checkCycloneDX(text []byte, format cyclonedx.BOMFileFormat, encoding string) (Document, error) {
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(text), format).Decode(&bom); err != nil {
		return Document{}, found("CycloneDX that cannot be read: %s", clean(err))
	}
	version := bom.SpecVersion.String()
	switch {
	case encoding == "JSON" && bom.BOMFormat != cyclonedx.BOMFormat:
		return Document{}, found("JSON of bomFormat %.100q", bom.BOMFormat)
	case bom.SpecVersion == 0:
		return Document{}, found("CycloneDX of a version that is not known here")
	}
	d := Document{Standard: "CycloneDX", Version: version, Encoding: encoding}
	if bom.Components != nil {
		d.Packages = len(*bom.Components)
	}
	return d, nil
}

// checkXML goes by the root element's name space.
func checkXML(text []byte) (Document, error) {
	root, err := rootElement(text)
	switch {
	case err != nil:
		return Document{}, found("not XML: %s", clean(err))
	case root.Local == "bom" && strings.HasPrefix(root.Space, "http://cyclonedx.org/schema/bom/"):
		return checkCycloneDX(text, cyclonedx.BOMFileFormatXML, "XML")
	case root.Local == "RDF" || root.Local == "Document" && strings.Contains(string(text[:min(len(text), 4096)]), "spdx"):
		return Document{}, found("SPDX 2 as RDF or XML, perhaps: convert it to JSON or tag-value")
	case root.Local == "SoftwareIdentity":
		return Document{}, found("a SWID tag")
	}
	return Document{}, found("XML with the root element %.100q", root.Local)
}

func rootElement(text []byte) (xml.Name, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return xml.Name{}, err
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name, nil
		}
	}
}

var tagLine = regexp.MustCompile(`(?m)^[ \t]*SPDXVersion:[ \t]*(\S+)`)

// checkTagValue needs the one line that says what the others are.
func checkTagValue(text []byte) (Document, error) {
	if m := tagLine.FindSubmatch(text); m != nil {
		doc, err := readTags(text)
		return spdx2(doc, err, string(m[1]), "tag-value")
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	if bytes.Contains(text, []byte("\nspdxVersion:")) || bytes.HasPrefix(line, []byte("spdxVersion:")) {
		return Document{}, found("SPDX 2 as YAML: convert it to JSON or tag-value")
	}
	return Document{}, found("text that begins with %.60q", line)
}

// readTags reads the tags without asking for an order: the library's own
// reader of documents refuses the example of the standard.
func readTags(text []byte) (*spdx.Document, error) {
	tags, err := reader.ReadTagValues(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	doc, seen := &spdx.Document{}, map[string]bool{}
	for _, tag := range tags {
		if tag.Tag == "SPDXID" && !seen["SPDXID"] {
			doc.SPDXIdentifier = spdx.ElementID(strings.TrimPrefix(tag.Value, "SPDXRef-"))
		}
		if tag.Tag == "PackageName" {
			doc.Packages = append(doc.Packages, nil)
		}
		seen[tag.Tag] = true
	}
	for _, required := range []string{"DataLicense", "DocumentName", "DocumentNamespace", "Creator", "Created"} {
		if !seen[required] {
			return nil, fmt.Errorf("no %s", required)
		}
	}
	return doc, nil
}

// spdx2 is what the library made of a document that says it is of a version.
func spdx2(doc *spdx.Document, err error, version, encoding string) (Document, error) {
	number, ok := strings.CutPrefix(version, "SPDX-")
	switch {
	case !ok || !strings.HasPrefix(number, "2."):
		return Document{}, found("SPDX of the version %.100q", version)
	case err != nil:
		return Document{}, found("SPDX that cannot be read: %s", clean(err))
	case doc.SPDXIdentifier != "DOCUMENT":
		return Document{}, found("SPDX without its SPDXID, SPDXRef-DOCUMENT")
	}
	return Document{"SPDX", number, encoding, len(doc.Packages)}, nil
}

// checkSPDX3 looks for the document and its version in the graph. The library
// for version 3 is not released yet.
func checkSPDX3(graph json.RawMessage) (Document, error) {
	var elements []struct {
		Type        string `json:"type"`
		SpecVersion string `json:"specVersion"`
	}
	if err := json.Unmarshal(graph, &elements); err != nil {
		return Document{}, found("SPDX 3 whose @graph cannot be read: %s", clean(err))
	}
	d := Document{Standard: "SPDX", Encoding: "JSON-LD"}
	document := false
	for _, e := range elements {
		switch e.Type {
		case "SpdxDocument":
			document = true
		case "CreationInfo":
			d.Version = e.SpecVersion
		case "software_Package":
			d.Packages++
		}
	}
	if !document || !specVersion3.MatchString(d.Version) {
		return Document{}, found("SPDX 3 without an SpdxDocument, or a CreationInfo with a version 3")
	}
	return d, nil
}

var specVersion3 = regexp.MustCompile(`^3\.\d{1,3}(\.\d{1,3})?$`)
