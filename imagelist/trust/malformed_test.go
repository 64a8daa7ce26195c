package trust

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"strings"
	"testing"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"vouch/imagelist/verdict"
)

// node is one element of DER taken apart. An octet string that holds DER has
// it as children.
type node struct {
	tag      []byte
	content  []byte
	children []*node
}

func takeApart(der []byte) (*node, []byte, bool) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil {
		return nil, nil, false
	}
	n := &node{tag: der[:1], content: v.Bytes}
	if v.IsCompound || v.Tag == asn1.TagOctetString {
		for in := v.Bytes; len(in) > 0; {
			child, more, ok := takeApart(in)
			if !ok {
				n.children = nil
				break
			}
			n.children, in = append(n.children, child), more
		}
	}
	return n, rest, true
}

// inside are the content octets.
func (n *node) inside() []byte {
	if n.children == nil {
		return bytes.Clone(n.content)
	}
	var content []byte
	for _, c := range n.children {
		content = append(content, c.encode()...)
	}
	return content
}

func (n *node) encode() []byte {
	content := n.inside()
	out := bytes.Clone(n.tag)
	switch size := len(content); {
	case size < 0x80:
		out = append(out, byte(size))
	case size < 0x100:
		out = append(out, 0x81, byte(size))
	default:
		out = append(out, 0x82, byte(size>>8), byte(size))
	}
	return append(out, content...)
}

// bent are all the ways in which one element of DER can be wrong: not there,
// there twice, of another type, empty, with something behind its content, and
// with a length that is not that of its content.
func bent(t testing.TB, der []byte) map[string][]byte {
	t.Helper()
	root, rest, ok := takeApart(der)
	if !ok || len(rest) > 0 || !bytes.Equal(root.encode(), der) {
		t.Fatal("not DER, or not understood")
	}
	all := map[string][]byte{}
	var visit func(path string, n *node)
	visit = func(path string, n *node) {
		whole := *n
		for name, change := range map[string]func(){
			"null":  func() { n.tag, n.content, n.children = []byte{5}, nil, nil },
			"empty": func() { n.content, n.children = nil, nil },
			"longer": func() {
				n.content, n.children = append(bytes.Clone(whole.encode()[len(whole.encode())-len(n.inside()):]), 5, 0), nil
			},
			"cut": func() { n.content, n.children = n.inside()[:max(len(n.inside())-1, 0)], nil },
			"tag": func() { n.tag = []byte{n.tag[0] ^ 0x40} },
		} {
			change()
			all[path+" "+name] = root.encode()
			*n = whole
		}
		for i, c := range whole.children {
			n.children = append(append([]*node{}, whole.children[:i]...), whole.children[i+1:]...)
			all[fmt.Sprintf("%s.%d gone", path, i)] = root.encode()
			n.children = append(append(append([]*node{}, whole.children[:i]...), c), whole.children[i:]...)
			all[fmt.Sprintf("%s.%d twice", path, i)] = root.encode()
			*n = whole
			visit(fmt.Sprintf("%s.%d", path, i), c)
		}
	}
	visit("", root)
	return all
}

// fullCRL has all that a CRL can have.
func fullCRL(t testing.TB, ca *identity) []byte {
	t.Helper()
	return ca.crl(t, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries[0].ReasonCode = 1
		l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Value: []byte{5, 0}}}
	}, ca.user(t, dn(t, "CN=one")), ca.user(t, dn(t, "CN=other")))
}

// lax is where this parser asks for less than the standard library's: the
// issuer's name is compared byte by byte and not read, and neither the date
// nor the reason of an entry decides anything.
var lax = regexp.MustCompile(`^\.0\.2(\.| cut| longer| empty)|^\.0\.5\.\d\.1 |^\.0\.5\.0\.2\.1\.1[. ]`)

// TestCRLs_EachElementBent holds the parser against the standard library's: of
// a CRL in which one element is wrong nothing is accepted that it refuses, and
// what both accept says the same.
func TestCRLs_EachElementBent(t *testing.T) {
	accepted := 0
	all := bent(t, fullCRL(t, newRoot(t, dn(t, "DC=org", "CN=CA"))))
	for name, changed := range all {
		ours, err := parseCRL(changed)
		if err != nil {
			continue
		}
		std, err := x509.ParseRevocationList(changed)
		if err != nil {
			if !lax.MatchString(name) {
				t.Errorf("%q: accepted, and the standard library says %v", name, err)
			}
			continue
		}
		accepted++
		serials := map[string]struct{}{}
		for _, e := range std.RevokedCertificateEntries {
			serials[serialOf(e.SerialNumber)] = struct{}{}
		}
		number := ""
		if std.Number != nil {
			number = std.Number.String()
		}
		if !maps.Equal(ours.serials, serials) || !ours.thisUpdate.Equal(std.ThisUpdate) || !ours.nextUpdate.Equal(std.NextUpdate) ||
			ours.number != number || !bytes.Equal(ours.keyID, std.AuthorityKeyId) ||
			!bytes.Equal(ours.signature, std.Signature) || !bytes.Equal(ours.issuer, std.RawIssuer) {
			t.Errorf("%q: read as %+v; the standard library has %+v", name, ours, std)
		}
	}
	for _, name := range []string{".0.5 twice", ".0.6 twice", ".0 longer", ".0.5.0 longer", ".0.5.0.2.0 longer"} {
		if _, err := parseCRL(all[name]); err == nil || all[name] == nil {
			t.Errorf("%q: accepted", name)
		}
	}
	if accepted < 10 || accepted > 100 {
		t.Errorf("%d accepted", accepted)
	}
}

// TestDistributionPoints_EachElementBent: the scope of a CRL is understood or
// the CRL is refused, and a distribution point that is not understood is that
// of no certificate.
func TestDistributionPoints_EachElementBent(t *testing.T) {
	const uri = "http://x/crl"
	user := &x509.Certificate{CRLDistributionPoints: []string{uri}}
	for _, field := range [][]byte{fullName(uri), flag(1), flag(2), {0x83, 2, 0, 0x40}, flag(4), flag(5)} {
		for name, value := range bent(t, point(field)) {
			var c crl
			if c.distribution(value) != nil || name == " empty" || name == ".0 gone" {
				continue // nothing in it: about all certificates
			}
			more := strings.HasSuffix(name, "twice") || name == ".0.0 longer" // names beside the one
			if said := c.scope.limited && (more || !c.scope.covers(user)); !said && c.unusable == nil {
				t.Errorf("%x %q: accepted as %+v", field, name, c.scope)
			}
		}
	}
}

// more are the names with attributes of three parts, which the standard library
// lets pass.
var more = regexp.MustCompile(`^\.\d\.\d(\.1 twice| longer)$`)

// TestNames_EachElementBent: likewise for names.
func TestNames_EachElementBent(t *testing.T) {
	for name, changed := range bent(t, rawName(t, "DC:i=org, OU:u=b + O:u=a, CN:u=Alice")) {
		_, ok := parseName(changed)
		var std pkix.RDNSequence
		rest, err := asn1.Unmarshal(changed, &std)
		if more.MatchString(name) {
			err = errors.New("more than type and value")
		}
		if ok && (err != nil || len(rest) > 0) {
			t.Errorf("%q: accepted, and the standard library says %v", name, err)
		}
		if !ok && (Hash(changed) != "" || HashOld(changed) != "" || OneLine(changed) != "" || Renderings(changed) != nil || !Ambiguous(changed)) {
			t.Errorf("%q: refused, and yet a name to some", name)
		}
	}
}

// TestText: what is not of its type is no text.
func TestText(t *testing.T) {
	for _, c := range []struct {
		tag   byte
		value string
		want  string
		ok    bool
	}{
		{12, "a", "a", true}, {12, "a\xff", "", false}, {20, "\xe4", "ä", true},
		{30, "\x00a", "a", true}, {30, "\x00a\x00", "", false},
		{28, "\x00\x00\x00a", "a", true}, {28, "\x00\x00a", "", false}, {28, "\x00\x11\x00\x00", "", false},
		{18, "1", "", false},
	} {
		a := ava{oid: "2.5.4.3", tag: cbasn1.Tag(c.tag), value: []byte(c.value)}
		if got, ok := a.text(); ok != c.ok || ok && got != c.want {
			t.Errorf("%d %q: %q, %v", c.tag, c.value, got, ok)
		}
	}
	broken := rawName(t, "DC:i=org, CN:u=\\xff")
	if Hash(broken) != "" || HashOld(broken) == "" {
		t.Error("a name with text that is none has a canonical form")
	}
}

// TestAlgorithmsUnread: an algorithm that cannot be read verifies nothing.
func TestAlgorithmsUnread(t *testing.T) {
	for _, element := range [][]byte{nil, {5, 0}, {0x30, 0}, {0x30, 2, 5, 0}, {0x30, 3, 6, 1, 0x2a},
		encodeAlgorithm(t, asn1.RawValue{FullBytes: []byte{5, 0}}), encodeAlgorithm(t, asn1.RawValue{FullBytes: []byte{0x30, 4, 0xa0, 2, 0x30, 0}})} {
		if a := signatureAlgorithm(element); a != x509.UnknownSignatureAlgorithm {
			t.Errorf("% x is %v", element, a)
		}
	}
}

func encodeAlgorithm(t *testing.T, parameters asn1.RawValue) []byte {
	der, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, Parameters: parameters})
	must(t, err)
	return der
}

// TestNegativeSerial: no certificate has one that Go parses, and no positive
// one is taken for it.
func TestNegativeSerial(t *testing.T) {
	if serialOf(big.NewInt(-128)) == serialOf(big.NewInt(128)) {
		t.Error("a negative number is a positive one")
	}
}

// TestPolicyOfNoName: a subject that is no name is permitted by nothing.
func TestPolicyOfNoName(t *testing.T) {
	w := newWorld(t)
	user := *w.user.cert
	user.RawSubject = []byte{5, 0}
	_, r := w.load().signingPolicy([]*x509.Certificate{&user, w.ca.cert, w.root.cert}, 0, IfPresent)
	wantCode(t, r, verdict.SigningPolicy, false)
	if r != nil && !strings.Contains(r.Detail, "no name") {
		t.Error(r)
	}
	if hashes := hashesOf(user.RawSubject); len(hashes) != 1 || hashes[0] != "" {
		t.Errorf("%q", hashes)
	}
}
