package diskimage

import (
	"bytes"
	"crypto/sha1" // what old manifests have; it is compared, not trusted
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"regexp"
	"sort"
	"strings"
)

// members is a sink for an OVA's bytes: it hashes those of its members and
// compares them with what the manifest says.
type members struct {
	offset int64
	rest   []*claimed // not yet past, by offset
	past   []*claimed
}

// claimed is a line of a manifest.
type claimed struct {
	member
	digest string // in lower case hex
	hash   hash.Hash
}

var (
	manifestLine = regexp.MustCompile(`^(?i:(SHA1|SHA256|SHA512))\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)$`)
	hashes       = map[string]func() hash.Hash{"SHA1": sha1.New, "SHA256": sha256.New, "SHA512": sha512.New}
)

func parseManifest(text []byte, all []member) (*members, error) {
	m := &members{}
	seen := map[string]bool{}
	for line := range bytes.Lines(text) {
		l := strings.TrimSpace(string(line))
		if l == "" {
			continue
		}
		f := manifestLine.FindStringSubmatch(l)
		if f == nil {
			return nil, broken("ova", "its manifest has a line that is none: %.200q", l)
		}
		of, ok := byName(all, f[2])
		if !ok {
			return nil, broken("ova", "its manifest speaks of %.200q, which is not in it", f[2])
		}
		if seen[of.name] {
			return nil, broken("ova", "its manifest speaks of %.200q twice", of.name)
		}
		seen[of.name] = true
		m.rest = append(m.rest, &claimed{of, strings.ToLower(f[3]), hashes[strings.ToUpper(f[1])]()})
	}
	sort.Slice(m.rest, func(i, j int) bool { return m.rest[i].off < m.rest[j].off })
	return m, nil
}

// Write never fails. The members lie one after the other.
func (m *members) Write(p []byte) (int, error) {
	start, end := m.offset, m.offset+int64(len(p))
	for len(m.rest) > 0 && m.rest[0].off < end {
		c := m.rest[0]
		last := min(end, c.off+c.size)
		c.hash.Write(p[max(start, c.off)-start : last-start])
		if last < c.off+c.size {
			break
		}
		m.past, m.rest = append(m.past, c), m.rest[1:]
	}
	m.offset = end
	return len(p), nil
}

// verify is for when all has been written.
func (m *members) verify() error {
	for _, c := range append(m.past, m.rest...) {
		if got := hex.EncodeToString(c.hash.Sum(nil)); got != c.digest {
			return refuse("ova", "make the manifest anew, or leave it out", "its member %.200q is not what its manifest says: %s, and it is %s", c.name, c.digest, got)
		}
	}
	return nil
}
