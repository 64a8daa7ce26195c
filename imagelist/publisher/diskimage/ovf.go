package diskimage

import (
	"bytes"
	"encoding/xml"
	"io"
	"path/filepath"
	"strings"
)

const maxFiles = 1000 // references in a descriptor

// checkReferences refuses a descriptor whose files are not in the archive.
// Somebody who imports it would fetch or open them.
func checkReferences(ovf []byte, all []member) error {
	d := xml.NewDecoder(bytes.NewReader(ovf))
	ids, disks := map[string]bool{}, map[string]bool{}
	var envelope bool
	for n := 0; ; {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return broken("ova", "its descriptor is not XML: %.200q", err.Error())
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "Envelope":
			envelope = true
		case "File":
			if n++; n > maxFiles {
				return broken("ova", "its descriptor refers to more than %d files", maxFiles)
			}
			if err := checkHref(e, all); err != nil {
				return err
			}
			ids[attr(e, "id")] = true
		case "Disk":
			if ref := attr(e, "fileRef"); ref != "" {
				disks[ref] = true
			}
		}
	}
	if !envelope {
		return broken("ova", "its descriptor has no Envelope")
	}
	for ref := range disks {
		if !ids[ref] {
			return broken("ova", "its descriptor has a disk in a file %.200q that it does not list", ref)
		}
	}
	return nil
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func checkHref(e xml.StartElement, all []member) error {
	href := attr(e, "href")
	if strings.Contains(href, ":") || !filepath.IsLocal(href) || strings.Contains(href, `\`) {
		return refuse("ova", todoOVA, "its descriptor refers to what is outside: %.200q", href)
	}
	if attr(e, "chunkSize") != "" {
		href += ".000000000"
	}
	if _, ok := byName(all, href); !ok {
		return refuse("ova", todoOVA, "its descriptor refers to %.200q, which is not in it", href)
	}
	return nil
}
