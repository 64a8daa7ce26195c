package main

import (
	"fmt"
	"strings"
)

const digest = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

// listText is the list every message has that is not about lists: one image,
// every key that is asked for. %q twice: the endorser's DN and CA.
const listText = `{"hv:imagelist": {
 "dc:identifier": "63175437-7d59-4851-b333-c96cb6545a86",
 "hv:version": "1.0.0",
 "dc:date:created": "2026-05-31T23:00:00Z",
 "dc:date:expires": "2026-06-29T00:00:00Z",
 "dc:title": "Test list",
 "dc:description": "Images for tests",
 "dc:source": "Example",
 "hv:uri": "https://images.example.org/image.list",
 "hv:endorser": {"hv:x509": {
  "hv:dn": %s,
  "hv:ca": %s,
  "hv:email": "endorser@example.org",
  "dc:creator": "An Endorser"}},
 "hv:images": [{"hv:image": {
  "dc:identifier": "5c7b7e4e-6e2f-4b7a-9b0c-1d2f3a4b5c6d",
  "hv:version": "1.0",
  "hv:uri": "https://images.example.org/image-1.qcow2",
  "hv:size": 3,
  "sl:checksum:sha512": "` + digest + `",
  "dc:title": "Image",
  "dc:description": "An image",
  "sl:comments": "none",
  "sl:os": "Linux",
  "sl:osversion": "12",
  "sl:arch": "x86_64",
  "hv:hypervisor": "KVM",
  "hv:format": "qcow2"}}]}}
`

// list is the list as endorsed by somebody.
func list(by *entity) string { return listBy(by.dn, by.ca) }

// listBy is the list with an endorser of any name.
func listBy(dn, ca string) string { return fmt.Sprintf(listText, quote(dn), quote(ca)) }

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
