package differential

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"vouch/testdata/cases"
)

func generatorOf(t *testing.T, seed uint64) *generator {
	t.Helper()
	g, err := newGenerator(seed)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMake_FollowsFromTheSeed(t *testing.T) {
	one, two, other := generatorOf(t, 7), generatorOf(t, 7), generatorOf(t, 8)
	differ := 0
	for i := range 200 {
		a, base := one.make(i)
		b, _ := two.make(i)
		c, _ := other.make(i)
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("message %d is made of %s in two ways", i, base.ID)
		}
		if !bytes.Equal(a.Message, c.Message) {
			differ++
		}
	}
	if differ < 190 {
		t.Errorf("another seed makes other messages of only %d", differ)
	}
}

// Signatures that are made again are true: with another serial number in the
// certificate and another digest, a message is accepted as before.
func TestMend(t *testing.T) {
	g := generatorOf(t, 1)
	d := newDifferential(g)
	mended := 0
	for _, base := range g.bases {
		m, ok := carve(base.Message)
		root := parse(m.der)
		if !ok || root == nil || base.Expect != cases.Accepted {
			continue
		}
		p := partsOf(root)
		issuer := g.issuer(p)
		if issuer == nil || p.digest == nil || g.keys.signer(p.certs.at(0)) == nil {
			continue
		}
		p.certs.at(0, 0, 1).value = []byte{5}
		p.digest.value = nil
		c := *base
		c.Message = m.with(root.der(), 64)
		if o := d.judge(&c); o.accepted() {
			t.Errorf("%s: accepted with a false signature", base.ID)
		}
		g.keys.mend(rand.New(careful{}), root, issuer, signedContent(base.Message))
		c.Message = m.with(root.der(), 64)
		if o := d.judge(&c); o.accepted() {
			mended++
		}
	}
	if mended < 100 {
		t.Errorf("%d messages could be signed again", mended)
	}
}

// careful leaves nothing out.
type careful struct{}

func (careful) Uint64() uint64 { return 1<<64 - 1 }

// A difference that is in no class is found, written, and found again.
func TestFinding(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	classes := Stricter
	defer func() { Stricter = classes }()
	g := generatorOf(t, 1)
	var base *cases.Case
	for _, c := range g.bases {
		if c.Expect == cases.Accepted && c.Differs == "" && c.EndorserDN == "" && c.CRL == "" {
			base = c
			break
		}
	}
	c := *base
	c.ID = "found-1-000001-" + base.ID
	c.EndorserDN, c.EndorserCA = "/CN=nobody", "/CN=nobody"
	Stricter = nil
	d := newDifferential(g)
	d.compare(&c, base, d.judge(&c))
	if len(d.report.Findings) != 1 {
		t.Fatalf("%+v", d.report)
	}
	path, err := d.report.Findings[0].Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for n, table := range map[int][]Class{1: nil, 0: classes} {
		Stricter = table
		if r, err := Replay(path); err != nil || len(r.Findings) != n {
			t.Errorf("%v: %d findings, want %d", err, len(r.Findings), n)
		}
	}
}
