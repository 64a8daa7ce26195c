package imagelist

import "strings"

// key numbers the names this package knows; everything else is unknown.
type key uint8

const (
	unknown key = iota
	keyList
	keyImages
	keyImage
	keyEndorser
	keyX509
	keyRevoked
	keyCheckpoint
	keyIdentifier
	keyVersion
	keyURI
	keyCreated
	keyExpires
	keyTitle
	keyDescription
	keySource
	keyVO
	keyDN
	keyCA
	keyEmail
	keyCreator
	keySHA512
	keySize
	keyComments
	keyOS
	keyOSVersion
	keyArch
	keyHypervisor
	keyFormat
	keyMPURI
	keyDate
	keyReason
	keys // how many there are; fits the 64 bits of a scanner's seen set
)

var keyNames = [keys]string{
	keyList:        "hv:imagelist",
	keyImages:      "hv:images",
	keyImage:       "hv:image",
	keyEndorser:    "hv:endorser",
	keyX509:        "hv:x509",
	keyRevoked:     "vouch:revoked",
	keyCheckpoint:  "vouch:checkpoint",
	keyIdentifier:  "dc:identifier",
	keyVersion:     "hv:version",
	keyURI:         "hv:uri",
	keyCreated:     "dc:date:created",
	keyExpires:     "dc:date:expires",
	keyTitle:       "dc:title",
	keyDescription: "dc:description",
	keySource:      "dc:source",
	keyVO:          "ad:vo",
	keyDN:          "hv:dn",
	keyCA:          "hv:ca",
	keyEmail:       "hv:email",
	keyCreator:     "dc:creator",
	keySHA512:      "sl:checksum:sha512",
	keySize:        "hv:size",
	keyComments:    "sl:comments",
	keyOS:          "sl:os",
	keyOSVersion:   "sl:osversion",
	keyArch:        "sl:arch",
	keyHypervisor:  "hv:hypervisor",
	keyFormat:      "hv:format",
	keyMPURI:       "ad:mpuri",
	keyDate:        "date",
	keyReason:      "reason",
}

func (k key) String() string { return keyNames[k] }

// step is the key as the next step of a path, nothing for unknown.
func (k key) step() string {
	if k == unknown {
		return ""
	}
	return "." + keyNames[k]
}

var keyOf = func() map[string]key {
	m := make(map[string]key, keys)
	for k := unknown + 1; k < keys; k++ {
		m[keyNames[k]] = k
	}
	return m
}()

// fold finds the key that a case-insensitive reader would take name for. The
// long s and the Kelvin sign are the only characters beyond ASCII that fold
// to an ASCII letter.
func fold(name []byte) key {
	const longest = 64 // bytes; more than any known name in any case
	if len(name) > longest {
		return unknown
	}
	return keyOf[strings.ToLower(toASCII.Replace(string(name)))]
}

var toASCII = strings.NewReplacer("\u017f", "s", "\u212a", "k")
