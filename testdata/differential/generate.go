package differential

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"vouch/testdata/cases"
)

// longest is the longest message that is bent.
const longest = 12 << 10

// generator makes messages: a case, bent once or a few times.
type generator struct {
	seed  uint64
	bases []*cases.Case
	keys  *keyring
}

func newGenerator(seed uint64) (*generator, error) {
	all, err := cases.Read()
	if err != nil {
		return nil, err
	}
	g := &generator{seed: seed, keys: newKeyring()}
	for _, c := range all {
		if len(c.Message) > longest {
			continue
		}
		g.bases = append(g.bases, c)
		if m, ok := carve(c.Message); ok {
			if root := parse(m.der); root != nil {
				g.learn(partsOf(root).certs)
			}
		}
	}
	return g, nil
}

func (g *generator) learn(certs *node) {
	if certs == nil {
		return
	}
	for _, cert := range certs.children {
		g.keys.learn(cert)
	}
}

// make is message number i of the seed, and the case it was made of.
func (g *generator) make(i int) (made, base *cases.Case) {
	r := rand.New(rand.NewPCG(g.seed, uint64(i)))
	base = g.bases[r.IntN(len(g.bases))]
	if r.IntN(3) > 0 { // most of what is interesting is nearly right
		for base.Expect != cases.Accepted {
			base = g.bases[r.IntN(len(g.bases))]
		}
	}
	c := *base
	c.ID = fmt.Sprintf("found-%d-%06d-%s", g.seed, i, base.ID)
	c.Description = fmt.Sprintf("message %d of seed %d, made of %s", i, g.seed, base.ID)
	c.Message = bytes.Clone(base.Message)
	for range 1 + r.IntN(3) {
		switch r.IntN(10) {
		case 0:
			g.context(r, &c)
		case 1:
			g.content(r, &c)
		case 2, 3, 4:
			c.Message = textChanges[r.IntN(len(textChanges))](r, c.Message)
		default:
			g.structure(r, &c)
		}
	}
	return &c, base
}

// context asks another question about the same message.
func (g *generator) context(r *rand.Rand, c *cases.Case) {
	switch r.IntN(5) {
	case 0:
		c.At = c.At.Add([]time.Duration{time.Second, -time.Second, time.Hour, -24 * time.Hour, 300 * 24 * time.Hour, 400 * 24 * time.Hour, -400 * 24 * time.Hour}[r.IntN(7)])
	case 1:
		c.Options = [][]string{nil, {cases.AllowSHA1}, {cases.Binary}, {cases.PurposeAny}}[r.IntN(4)]
	case 2:
		c.CRL = []string{"", "if-present", "ignore"}[r.IntN(3)]
	case 3:
		c.SigningPolicy = []string{"", "if-present", "ignore"}[r.IntN(3)]
	case 4:
		c.Trust = g.bases[r.IntN(len(g.bases))].Trust
	}
}

// structure bends the PKCS#7, mostly in a certificate or a signer, and mostly
// with the signatures made anew.
func (g *generator) structure(r *rand.Rand, c *cases.Case) {
	m, ok := carve(c.Message)
	if !ok {
		return
	}
	root := parse(m.der)
	if root == nil {
		return
	}
	p := partsOf(root)
	issuer := g.issuer(p)
	within := root
	switch near := r.IntN(8); {
	case near < 3 && p.certs.at(0, 0) != nil:
		within = p.certs.at(0, 0)
	case near < 6 && p.info != nil:
		within = p.info
	}
	all := within.all()
	derChanges[r.IntN(len(derChanges))](r, within, all[r.IntN(len(all))])
	if r.IntN(4) > 0 {
		g.keys.mend(r, root, issuer, signedContent(c.Message))
	}
	der := root.der()
	if r.IntN(40) == 0 {
		der = append(der, 0)
	}
	c.Message = m.with(der, 64)
}

// content bends what is signed, and mostly signs it again.
func (g *generator) content(r *rand.Rand, c *cases.Case) {
	m, ok := carve(c.Message)
	if !ok {
		return
	}
	root := parse(m.der)
	if root == nil {
		return
	}
	p := partsOf(root)
	if p.content != nil {
		*p.content = *leaf(4, otherText(r, p.content.body()))
	} else if from, to, ok := part(m.before); ok {
		m.before = bytes.Join([][]byte{m.before[:from], otherText(r, m.before[from:to]), m.before[to:]}, nil)
	}
	if r.IntN(8) > 0 {
		g.keys.mend(r, root, g.issuer(p), signedContent(m.before))
	}
	c.Message = m.with(root.der(), 64)
}

func (g *generator) issuer(p parts) (key *ecdsa.PrivateKey) {
	if cert := p.certs.at(0); cert != nil {
		return g.keys.issuer(cert)
	}
	return nil
}

// otherText bends a list.
func otherText(r *rand.Rand, text []byte) []byte {
	switch r.IntN(4) {
	case 0:
		return textChanges[r.IntN(9)](r, text)
	case 1:
		return bytes.Replace(text, []byte("hv:"), []byte("dc:"), 1)
	case 2:
		return append(bytes.Clone(text), strings.Repeat(" ", r.IntN(3))+"\n"...)
	}
	words := bytes.SplitAfter(text, []byte(`"`))
	i := r.IntN(len(words))
	words[i] = append([]byte([]string{"", "x", `\u0000`, "é", "\xff", "\t"}[r.IntN(6)]), words[i]...)
	return bytes.Join(words, nil)
}
