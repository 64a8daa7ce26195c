package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Limits of Load. A file over its limit is a problem of that file.
const (
	maxAnchorFile = 1 << 20
	maxPolicyFile = 1 << 20
	maxCRLFile    = 64 << 20
	maxBundle     = 16 << 20
)

// Load takes a snapshot of a hashed directory in the IGTF layout or of a file
// of PEM certificates and CRLs.
//
// In a directory only the names OpenSSL looks for count: HASH.N, HASH.rN,
// HASH.signing_policy and HASH.namespaces, for both of OpenSSL's hashes. Links
// are followed; a site distrusts a CA by removing its links. A file that
// cannot be used disables itself and is listed by Problems, and so is a
// certificate that is not the one its name says. Expired anchors are normal.
//
// It errs only when path cannot be read at all, or when everybody may write to
// the directory, a file used, or a directory on the way to either (a sticky one
// excepted). A directory without a single anchor is no error: see Usable.
func Load(path string) (*Store, error) {
	s, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("trust anchors: %w", err)
	}
	return s, nil
}

func load(path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(absolute)
	if err != nil {
		return nil, err
	}
	l := &loader{store: newStore(absolute), guard: newGuard(), digest: sha256.New(),
		contents: map[string]content{}, seen: map[contentKey]any{}}
	if info.IsDir() {
		err = l.directory(absolute)
	} else {
		err = l.bundle(absolute)
	}
	if err != nil {
		return nil, err
	}
	l.store.sort()
	l.store.id = fmt.Sprintf("%x", l.digest.Sum(nil))
	return l.store, nil
}

// loader fills a Store.
type loader struct {
	store  *Store
	guard  *guard
	digest hash.Hash // over names and contents: the Store's ID
	// Every CA is there under two names, so most files are met twice.
	contents map[string]content // by real path
	seen     map[contentKey]any // what a content was parsed into, or will be
}

// content is one file as it was read, or the error of it.
type content struct {
	name string // within the directory
	data []byte
	sum  [sha256.Size]byte
	err  error
}

// contentKey identifies what a content means: an empty file is an empty file
// of each sort.
type contentKey struct {
	sort string
	sum  [sha256.Size]byte
}

// The file names that mean something in a hashed directory.
var hashedName = regexp.MustCompile(`^([0-9a-f]{8})\.(?:([0-9]+)|(r[0-9]+)|(signing_policy)|(namespaces))$`)

func (l *loader) directory(path string) error {
	real, err := l.guard.dir(path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	for _, e := range entries {
		m := hashedName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		if err := l.file(real, e.Name(), m); err != nil {
			return err
		}
	}
	return nil
}

// file takes one file; its name was matched as m.
func (l *loader) file(dir, name string, m []string) error {
	limit, take := int64(maxPolicyFile), l.namespaces
	switch {
	case m[2] != "":
		limit, take = maxAnchorFile, l.anchor
	case m[3] != "":
		limit, take = maxCRLFile, l.crl
	case m[4] != "":
		take = l.signingPolicy
	}
	f, err := l.read(dir, name, limit)
	if err != nil {
		return err
	}
	take(m[1], f)
	return nil
}

// read errs only for what makes the whole directory unsafe.
func (l *loader) read(dir, name string, limit int64) (content, error) {
	f := content{name: name}
	p, err := l.guard.file(filepath.Join(dir, name))
	var unsafe *unsafeError
	if errors.As(err, &unsafe) {
		return f, err
	}
	known, ok := l.contents[p.path]
	switch {
	case err != nil:
		f.err = err
	case ok:
		f = known
		f.name = name
	default:
		f.data, f.err = p.read(limit)
		f.sum = sha256.Sum256(f.data)
		l.contents[p.path] = f
	}
	l.note(f)
	return f, nil
}

// note adds a file to the Store's ID, in the order of names. An unreadable
// file is not an empty one.
func (l *loader) note(f content) {
	fmt.Fprintf(l.digest, "%q %x %t\n", f.name, f.sum, f.err != nil)
}

// shared gives files of one sort and content one parsed form.
func shared[T any](l *loader, sort string, f content, make func() *T) *T {
	key := contentKey{sort, f.sum}
	if known, ok := l.seen[key].(*T); ok && f.err == nil {
		return known
	}
	made := make()
	if f.err == nil {
		l.seen[key] = made
	}
	return made
}

func (l *loader) anchor(hash string, f content) {
	p := shared(l, "anchor", f, func() *certificates { return parseCertificates(f) })
	used := 0
	for _, c := range p.certs {
		if !slices.Contains(hashesOf(c.RawSubject), hash) {
			l.store.problem(f.name, "holds %q, whose files are named %v", OneLine(c.RawSubject), hashesOf(c.RawSubject))
			continue
		}
		l.store.add(c, f.name)
		used++
	}
	if p.err != nil {
		l.store.problem(f.name, "%v", p.err)
	}
	if used == 0 {
		l.store.disabled[hash] = f.name
	}
}

// certificates are those of one file that parse, and what the others said.
type certificates struct {
	certs []*x509.Certificate
	err   error
}

func parseCertificates(f content) *certificates {
	p := &certificates{err: f.err}
	for block := range pemBlocks(f.data) {
		if block.Type != pemCertificate && block.Type != pemOldCertificate {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			p.err = err
			continue
		}
		p.certs = append(p.certs, c)
	}
	if len(p.certs) == 0 && p.err == nil {
		p.err = errors.New("no PEM certificate")
	}
	return p
}

// The PEM types that mean something here.
const (
	pemCertificate    = "CERTIFICATE"
	pemOldCertificate = "X509 CERTIFICATE"
	pemCRL            = "X509 CRL"
)

// pemBlocks yields the PEM blocks of data; text around them is nobody's business.
func pemBlocks(data []byte) func(yield func(*pem.Block) bool) {
	return func(yield func(*pem.Block) bool) {
		for {
			block, rest := pem.Decode(data)
			if block == nil || !yield(block) {
				return
			}
			data = rest
		}
	}
}

func (l *loader) crl(hash string, f content) {
	lists := shared(l, "crl", f, func() *crlLists { return &crlLists{data: f.data, err: f.err} })
	for _, known := range l.store.crls[hash] {
		if known.crlLists == lists {
			return
		}
	}
	l.store.crls[hash] = append(l.store.crls[hash], crlFile{f.name, lists})
}

func (l *loader) signingPolicy(hash string, f content) {
	l.policy(signingPolicies, parseSigningPolicy, hash, f)
}

func (l *loader) namespaces(hash string, f content) {
	l.policy(namespaces, parseNamespaces, hash, f)
}

func (l *loader) policy(k kind, parse policyParser, hash string, f content) {
	rules := shared(l, k.String(), f, func() *policyRules { return &policyRules{data: f.data, err: f.err, parse: parse} })
	l.store.policies[k][hash] = policyFile{f.name, rules}
}

// bundle loads a file of PEM certificates, and CRLs if it has any.
func (l *loader) bundle(path string) error {
	name := filepath.Base(path)
	f, err := l.read(filepath.Dir(path), name, maxBundle)
	if err != nil {
		return err
	}
	if f.err != nil {
		return f.err
	}
	n := 0
	for block := range pemBlocks(f.data) {
		n++
		if err := l.block(name, block); err != nil {
			l.store.problem(name, "block %d: %v", n, err)
		}
	}
	if n == 0 {
		l.store.problem(name, "no PEM block")
	}
	return nil
}

func (l *loader) block(name string, block *pem.Block) error {
	switch block.Type {
	case pemCertificate, pemOldCertificate:
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		l.store.add(c, name)
		return nil
	case pemCRL:
		list, err := parseCRL(block.Bytes)
		if err != nil {
			return err
		}
		l.crl(Hash(list.issuer), content{name: name, data: block.Bytes, sum: sha256.Sum256(block.Bytes)})
		return nil
	}
	return fmt.Errorf("a %q is of no use here", block.Type)
}
