package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"vouch/imagelist/trust"
	"vouch/testdata/cases"
	"vouch/testdata/cases/judge"
)

// book is everything that is written: the cases and their trust directories.
type book struct {
	cases []*cases.Case
	seen  map[string]bool
	files map[string][]byte // by path below trust/

	ca      *entity // self-signed, installed in every directory that needs no other
	issuing *entity // below it, installed as well
	alice   *entity // certified by ca
	bob     *entity // another person certified by ca
}

func newBook() *book {
	b := &book{seen: map[string]bool{}, files: map[string][]byte{}}
	b.ca = root(example("/CN=Example CA"), ecKey("ca"))
	b.issuing = b.ca.sub(example("/CN=Example Issuing CA"), ecKey("issuing"))
	b.alice = b.ca.user(person("Alice"))
	b.bob = b.ca.user(person("Bob"))
	b.base("grid")
	return b
}

// base puts the two usual CAs into a directory.
func (b *book) base(dir string) {
	b.install(dir, b.ca)
	b.install(dir, b.issuing)
}

// An about says more of a case.
type about func(*cases.Case)

// add enters a case. Its identifier begins with the family.
func (b *book) add(id, description, expect, clause string, message []byte, more ...about) {
	if b.seen[id] {
		panic("twice: " + id)
	}
	b.seen[id] = true
	c := &cases.Case{ID: id, Description: description, Expect: expect, Clause: clause, At: at, Trust: "grid", Message: message}
	for _, m := range more {
		m(c)
	}
	b.cases = append(b.cases, c)
}

func trusting(dir string) about { return func(c *cases.Case) { c.Trust = dir } }

func options(o ...string) about { return func(c *cases.Case) { c.Options = o } }

func crlMode(mode string) about { return func(c *cases.Case) { c.CRL = mode } }

func policyMode(mode string) about { return func(c *cases.Case) { c.SigningPolicy = mode } }

func grace(d time.Duration) about { return func(c *cases.Case) { c.CRLGrace = d } }

func judgedAt(t time.Time) about { return func(c *cases.Case) { c.At = t } }

func endorser(dn, ca string) about {
	return func(c *cases.Case) { c.EndorserDN, c.EndorserCA = dn, ca }
}

// differs names the class of a case that is accepted and refused by OpenSSL.
func differs(class string) about { return func(c *cases.Case) { c.Differs = class } }

// put writes a file of a trust directory.
func (b *book) put(dir, name string, data []byte) { b.files[filepath.Join(dir, name)] = data }

func (b *book) drop(dir, name string) { delete(b.files, filepath.Join(dir, name)) }

// of is the name of an authority's file under the hash since OpenSSL 1.0.
func of(e *entity, suffix string) string { return trust.Hash(e.name) + "." + suffix }

// ofOld is the same under the hash before.
func ofOld(e *entity, suffix string) string { return trust.HashOld(e.name) + "." + suffix }

// install puts an authority with all a site has of it into a directory.
func (b *book) install(dir string, e *entity) {
	b.certificate(dir, e)
	b.put(dir, of(e, "signing_policy"), signingPolicy(e.dn, example("/*")))
	b.put(dir, of(e, "r0"), e.crl())
}

// certificate puts the certificate alone.
func (b *book) certificate(dir string, e *entity) {
	for n := 0; ; n++ {
		name := fmt.Sprint(trust.Hash(e.name), ".", n)
		if _, taken := b.files[filepath.Join(dir, name)]; !taken {
			b.put(dir, name, toPEM("CERTIFICATE", e.cert))
			return
		}
	}
}

func signingPolicy(issuer string, patterns ...string) []byte {
	text := fmt.Sprintf("access_id_CA X509 '%s'\npos_rights globus CA:sign\ncond_subjects globus '", issuer)
	for i, p := range patterns {
		if i > 0 {
			text += " "
		}
		text += `"` + p + `"`
	}
	return []byte(text + "'\n")
}

const namespacesVersion = "#NAMESPACES-VERSION: 1.0\n"

func namespaces(issuer, effect, pattern string) string {
	return fmt.Sprintf("TO Issuer %q \\\n  %s Subject \"%s\"\n", issuer, effect, pattern)
}

// write replaces all files below dir that this program makes.
func (b *book) write(dir string) error {
	trustDir := filepath.Join(dir, "trust")
	if err := os.RemoveAll(trustDir); err != nil {
		return err
	}
	for name, data := range b.files {
		if err := writeFile(filepath.Join(trustDir, name), data); err != nil {
			return err
		}
	}
	if err := b.secondOpinions(); err != nil {
		return err
	}
	families := map[string]bool{}
	for _, c := range b.cases {
		if family := filepath.Join(dir, c.Family()); !families[family] {
			families[family] = true
			if err := os.RemoveAll(family); err != nil {
				return err
			}
		}
		if err := writeFile(filepath.Join(dir, c.Family(), c.ID+".case"), c.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// secondOpinions records what OpenSSL makes of each case.
func (b *book) secondOpinions() error {
	var group sync.WaitGroup
	work, errs := make(chan *cases.Case), make(chan error, len(b.cases))
	for range runtime.NumCPU() + 1 {
		group.Go(func() {
			for c := range work {
				if err := secondOpinion(c); err != nil {
					errs <- fmt.Errorf("%s: %w", c.ID, err)
				}
			}
		})
	}
	for _, c := range b.cases {
		work <- c
	}
	close(work)
	group.Wait()
	close(errs)
	return <-errs
}

func secondOpinion(c *cases.Case) (err error) {
	if c.Smime, err = judge.OpenSSL(c, "smime"); err != nil {
		return err
	}
	c.CMS, err = judge.OpenSSL(c, "cms")
	return err
}
