package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// crlFile is a file of revocation lists under one of its names.
type crlFile struct {
	name string
	*crlLists
}

// crlLists is the content of a file of revocation lists, parsed when first
// asked for: a site has a CRL of every CA and needs few of them.
type crlLists struct {
	data []byte
	err  error // it could not be read
	once sync.Once

	lists  []*crl
	broken []error // what in it is no CRL
}

// parsed returns the file's lists, and what is wrong with the rest of it.
func (f *crlLists) parsed() ([]*crl, []error) {
	f.once.Do(func() {
		if f.err != nil {
			f.broken = []error{f.err}
			return
		}
		f.parse()
	})
	return f.lists, f.broken
}

// parse takes PEM or DER, one list or several.
func (f *crlLists) parse() {
	if bytes.Contains(f.data, []byte("-----BEGIN ")) {
		for block := range pemBlocks(f.data) {
			f.take(block)
		}
	} else {
		f.parseDER()
	}
	if len(f.lists) == 0 && len(f.broken) == 0 {
		f.broken = []error{errors.New("no CRL in it")}
	}
}

func (f *crlLists) take(block *pem.Block) {
	if block.Type == pemCRL {
		f.add(block.Bytes)
	}
}

func (f *crlLists) parseDER() {
	rest := cryptobyte.String(f.data)
	for len(bytes.TrimSpace(rest)) > 0 {
		var element cryptobyte.String
		if !rest.ReadASN1Element(&element, cbasn1.SEQUENCE) {
			f.broken = append(f.broken, errors.New("neither PEM nor DER"))
			return
		}
		f.add(element)
	}
}

func (f *crlLists) add(der []byte) {
	list, err := parseCRL(der)
	if err != nil {
		f.broken = append(f.broken, err)
		return
	}
	f.lists = append(f.lists, list)
}

// crl is one CertificateList of RFC 5280 §5.1, version 1 or 2.
// x509.ParseRevocationList knows version 2 only.
type crl struct {
	der        []byte
	tbs        []byte // what is signed
	algorithm  x509.SignatureAlgorithm
	signature  []byte
	issuer     []byte // DER of the name
	thisUpdate time.Time
	nextUpdate time.Time // zero if absent
	number     string    // decimal; "" if absent
	keyID      []byte    // of the issuer's key; nil if absent
	scope      scope
	unusable   error // well-formed, and yet it must not be used (RFC 5280 §5.2, §5.3)
	entries    cryptobyte.String
	serials    map[string]struct{}

	mu       sync.Mutex
	verified map[string]error // by the issuer's public key
}

var errNotCRL = errors.New("malformed CRL")

// parseCRL decodes one DER element and looks at every entry once. It verifies nothing.
func parseCRL(der []byte) (*crl, error) {
	in := cryptobyte.String(der)
	var outer, tbs, outerAlgorithm cryptobyte.String
	var signature []byte
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() ||
		!outer.ReadASN1Element(&tbs, cbasn1.SEQUENCE) ||
		!outer.ReadASN1Element(&outerAlgorithm, cbasn1.SEQUENCE) ||
		!outer.ReadASN1BitStringAsBytes(&signature) || !outer.Empty() {
		return nil, errNotCRL
	}
	c := &crl{der: der, tbs: tbs, signature: signature, verified: map[string]error{}}
	if err := c.parseTBS(tbs, outerAlgorithm); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *crl) parseTBS(tbs, outerAlgorithm cryptobyte.String) error {
	var in, innerAlgorithm, issuer cryptobyte.String
	version := 0
	if !tbs.ReadASN1(&in, cbasn1.SEQUENCE) ||
		in.PeekASN1Tag(cbasn1.INTEGER) && !in.ReadASN1Integer(&version) || version < 0 || version > 1 {
		return fmt.Errorf("%w: version", errNotCRL)
	}
	if !in.ReadASN1Element(&innerAlgorithm, cbasn1.SEQUENCE) || !in.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return errNotCRL
	}
	if !bytes.Equal(innerAlgorithm, outerAlgorithm) {
		return fmt.Errorf("%w: two signature algorithms", errNotCRL)
	}
	c.issuer, c.algorithm = issuer, signatureAlgorithm(innerAlgorithm)
	if !readTime(&in, &c.thisUpdate) {
		return fmt.Errorf("%w: thisUpdate", errNotCRL)
	}
	if isTime(in) && !readTime(&in, &c.nextUpdate) {
		return fmt.Errorf("%w: nextUpdate", errNotCRL)
	}
	return c.parseBody(in, version)
}

// parseBody reads the entries and the extensions.
func (c *crl) parseBody(in cryptobyte.String, version int) error {
	var wrapped, extensions cryptobyte.String
	var some, present bool
	if !in.ReadOptionalASN1(&c.entries, &some, cbasn1.SEQUENCE) ||
		!in.ReadOptionalASN1(&wrapped, &present, context(0).Constructed()) || !in.Empty() {
		return errNotCRL
	}
	if err := c.index(version); err != nil {
		return err
	}
	if !present {
		return nil
	}
	if version == 0 || !wrapped.ReadASN1(&extensions, cbasn1.SEQUENCE) || !wrapped.Empty() {
		return fmt.Errorf("%w: extensions", errNotCRL)
	}
	return c.parseExtensions(extensions)
}

func isTime(in cryptobyte.String) bool {
	return in.PeekASN1Tag(cbasn1.UTCTime) || in.PeekASN1Tag(cbasn1.GeneralizedTime)
}

func readTime(in *cryptobyte.String, t *time.Time) bool {
	if in.PeekASN1Tag(cbasn1.UTCTime) {
		return in.ReadASN1UTCTime(t)
	}
	return in.ReadASN1GeneralizedTime(t)
}

// entry is one revoked certificate.
type entry struct {
	serial     string // see serialKey
	extensions cryptobyte.String
	date       time.Time // zero if it is not a time
}

// readEntry takes the next of entries.
func readEntry(entries *cryptobyte.String) (entry, bool) {
	var e entry
	var body, serial, date cryptobyte.String
	var tag cbasn1.Tag
	if !entries.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&serial, cbasn1.INTEGER) ||
		len(serial) == 0 || !isTime(body) || !body.ReadAnyASN1Element(&date, &tag) {
		return e, false
	}
	readTime(&date, &e.date)
	e.serial = serialKey(serial)
	if !body.Empty() && (!body.ReadASN1(&e.extensions, cbasn1.SEQUENCE) || !body.Empty()) {
		return e, false
	}
	return e, true
}

// serialKey makes one key of the ways a serial number may be encoded: CAs have
// padded theirs in certificates and not in CRLs.
func serialKey(content []byte) string {
	if content[0]&0x80 != 0 {
		return "-" + string(content)
	}
	return string(bytes.TrimLeft(content, "\x00"))
}

func serialOf(n *big.Int) string {
	if n.Sign() < 0 {
		return "-" + n.Text(16) // x509 parses no such certificate
	}
	return string(n.Bytes())
}

// index reads every entry: the serial numbers, and whether any asks for
// something that is not understood.
func (c *crl) index(version int) error {
	c.serials = map[string]struct{}{}
	for rest := c.entries; !rest.Empty(); {
		e, ok := readEntry(&rest)
		if !ok || version == 0 && len(e.extensions) > 0 {
			return fmt.Errorf("%w: entry %d", errNotCRL, len(c.serials)+1)
		}
		c.serials[e.serial] = struct{}{}
		for len(e.extensions) > 0 {
			x, ok := readExtension(&e.extensions)
			if !ok {
				return fmt.Errorf("%w: extension of entry %d", errNotCRL, len(c.serials))
			}
			if x.critical && !knownEntryExtensions[x.oid] {
				c.unusable = fmt.Errorf("an entry has the critical extension %s", x.oid)
			}
		}
	}
	return nil
}

// find returns the entry of a serial number. The date and the reason do not
// matter to the verdict: on hold is revoked, and so is revoked tomorrow.
func (c *crl) find(serial *big.Int) (entry, bool) {
	key := serialOf(serial)
	if _, listed := c.serials[key]; !listed {
		return entry{}, false
	}
	for rest := c.entries; !rest.Empty(); {
		if e, ok := readEntry(&rest); ok && e.serial == key {
			return e, true
		}
	}
	return entry{}, false
}

// reason is the entry's CRLReason in the words of RFC 5280 §5.3.1.
func (e entry) reason() string {
	for rest := e.extensions; len(rest) > 0; {
		x, ok := readExtension(&rest)
		if !ok {
			break
		}
		var code int
		value := cryptobyte.String(x.value)
		if x.oid == oidReasonCode && value.ReadASN1Enum(&code) && code >= 0 && code < len(reasons) {
			return reasons[code]
		}
	}
	return "unspecified"
}

var reasons = []string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
	"cessationOfOperation", "certificateHold", "unused", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}
