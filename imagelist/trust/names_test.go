package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// rawName builds the DER of a name from text like "DC:i=org, OU:u=a + O:p=b":
// RDNs divided by ", ", attributes by " + ", the string type by its letter, the
// value with Go escapes. Sets are not sorted.
func rawName(t testing.TB, text string) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range strings.Split(text, ", ") {
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range strings.Split(rdn, " + ") {
					addAttribute(t, b, a)
				}
			})
		}
	})
	return b.BytesOrPanic()
}

func addAttribute(t testing.TB, b *cryptobyte.Builder, text string) {
	t.Helper()
	label, quoted, _ := strings.Cut(text, "=")
	label, letter, _ := strings.Cut(label, ":")
	value, err := strconv.Unquote(`"` + quoted + `"`)
	must(t, err)
	tags := map[string]cbasn1.Tag{"u": cbasn1.UTF8String, "p": cbasn1.PrintableString, "i": cbasn1.IA5String,
		"t": cbasn1.T61String, "b": tagBMPString, "w": tagUniversalString, "n": cbasn1.Tag(18)}
	content := []byte(value)
	switch letter {
	case "b":
		content = nil
		for _, u := range utf16.Encode([]rune(value)) {
			content = append(content, byte(u>>8), byte(u))
		}
	case "w":
		content = nil
		for _, r := range value {
			content = append(content, byte(r>>24), byte(r>>16), byte(r>>8), byte(r))
		}
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidOf(t, label))
		b.AddASN1(tags[letter], func(b *cryptobyte.Builder) { b.AddBytes(content) })
	})
}

func oidOf(t testing.TB, label string) []int {
	for oid, l := range labels {
		if l == label {
			label = oid
		}
	}
	var arcs []int
	for _, s := range strings.Split(label, ".") {
		n, err := strconv.Atoi(s)
		must(t, err)
		arcs = append(arcs, n)
	}
	return arcs
}

// goldenNames are those of testdata/names.golden.
var goldenNames = []string{
	"C:p=CH, O:p=CERN, CN:p=CERN Root CA",
	"DC:i=ch, DC:i=cern, OU:p=Users, CN:p=alice",
	"DC:i=org, DC:i=example, CN:u=Alice",
	"DC:i=ORG, DC:i=Example, CN:u=ALICE  in   Wonderland",
	"CN:u=  leading and trailing  ",
	"CN:p=  printable   blanks ",
	"CN:u=tab\\tand\\nline",
	"CN:u=J\\u00f6rg",
	"CN:t=J\\xf6rg",
	"CN:b=J\\u00f6rg",
	"CN:b=\\u4e2d\\u6587",
	"CN:u=\\u4e2d\\u6587",
	"CN:u=\\u00c4RGER",
	"CN:u=\\U0001F600",
	"CN:w=Universal",
	"CN:u=a/b",
	"CN:u=host/ce.example.org",
	"CN:u=x/CN=evil",
	"CN:u=a+b",
	"CN:u=a=b",
	"CN:u=back\\\\slash",
	"CN:u=quote\\\"and'quote",
	"CN:u=comma; and <angle>",
	"CN:u=",
	"CN:u= ",
	"CN:u=\\x7f\\x1f",
	"OU:u=C + O:u=A B",
	"C:p=DE, O:u=b + OU:u=a + CN:u=c, CN:u=d",
	"OU:u=a/b + O:u=c+d",
	"DC:i=org, CN:u=Bob, emailAddress:i=bob@example.org",
	"UID:u=bob, CN:u=Bob",
	"SN:u=Surname, GN:u=Given, title:u=Dr, initials:u=B",
	"serialNumber:p=12345, street:u=Road 1, postalCode:u=1211",
	"ST:u=New Jersey, L:u=Jersey City, description:u=text, businessCategory:u=x",
	"name:u=n, generationQualifier:u=III, dnQualifier:p=q, pseudonym:u=p, role:u=r",
	"postalAddress:u=a, postOfficeBox:u=b, telephoneNumber:p=1, mail:i=m@x",
	"unstructuredName:i=un, unstructuredAddress:p=ua, organizationIdentifier:u=oi",
	"jurisdictionC:p=CH, jurisdictionST:u=GE, jurisdictionL:u=Geneva",
	"1.2.3.4.5:u=private",
	"2.5.4.3:n=123",
	"x500UniqueIdentifier:u=x",
	"C:p=US, O:p=Digital Trust L.L.C., CN:p=CA G3  [Run by the Issuer]",
	"DC:i=org, DC:i=terena, DC:i=tcs, C:p=NL, O:u=Nikhef, CN:u=Robot - a b",
	"C:p=UK, O:p=eScience, OU:p=Edinburgh, L:p=NeSC, CN:p=some body",
	"DC:i=ch, DC:i=cern, OU:p=Organic Units, OU:p=Users, CN:p=ab, CN:p=123456, CN:p=A Bee",
	"C:p=IT, O:p=INFN, OU:p=Personal Certificate, L:p=Padova, CN:p=Nome Cognome",
	"O:p=Grid, O:p=NorduGrid, OU:p=example.org, CN:p=Some Body",
	"DC:i=org, DC:i=example, CN:p=Robot: image lists/emailAddress=ops@example.org",
	"DC:i=org, DC:i=example, OU:p=Services, CN:p=lists/host.example.org",
	"DC:i=org, DC:i=example, CN:p=host/a.example.org/b",
	"C:p=FR, O:u=Acad\u00e9mie, CN:u=Fran\u00e7ois \u0152uvre",
	"C:p=PL, O:u=GRID, CN:u=\u0141ukasz \u017b\u00f3\u0142\u0107",
	"C:p=GR, CN:u=\u0391\u03bb\u03af\u03ba\u03b7",
	"C:p=RU, CN:b=\u0410\u043b\u0438\u0441\u0430",
	"C:p=CZ, CN:t=\xe1\xe9\xed",
	"C:p=JP, CN:u=\u30a2\u30ea\u30b9",
	"CN:w=\u00e9t\u00e9",
	"CN:u=e\u0301 is not \u00e9",
	"CN:u=right\u202eleft",
	"CN:u=literal \\x41",
	"CN:u=percent %41 and &amp;",
	"CN:u=#hash and ~tilde",
	"emailAddress:i=first@example.org, emailAddress:i=second@example.org",
	"UID:u=alice + CN:u=Alice, DC:i=org",
	"CN:u=a + CN:u=b + CN:u=c",
	"OU:u=J\u00f6rg + O:t=J\xf6rg",
	"1.3.6.1.4.1.3536.1.1:u=globus, CN:u=x",
}

// certificateOf wraps a name in a certificate, for openssl to look at. Go
// itself could not parse some of them.
func certificateOf(t testing.TB, name []byte, key *identity) []byte {
	t.Helper()
	c := *key.cert
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(context(0).Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
			b.AddASN1BigInt(big.NewInt(1))
			b.AddBytes(algorithmOf(t, &c))
			b.AddBytes(name)
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1UTCTime(c.NotBefore)
				b.AddASN1UTCTime(c.NotAfter)
			})
			b.AddBytes(name)
			b.AddBytes(c.RawSubjectPublicKeyInfo)
		})
		b.AddBytes(algorithmOf(t, &c))
		b.AddASN1BitString(c.Signature)
	})
	return toPEM(pemCertificate, b.BytesOrPanic())
}

func algorithmOf(t testing.TB, c *x509.Certificate) []byte {
	in := cryptobyte.String(c.Raw)
	var outer, tbs, algorithm cryptobyte.String
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !outer.ReadASN1(&tbs, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		t.Fatal("a certificate without algorithm")
	}
	return algorithm
}

// TestRenderings gives the forms no tool at hand writes any more, by hand.
func TestRenderings(t *testing.T) {
	for _, c := range []struct {
		name string
		want []string
	}{
		{"DC:i=org, CN:u=Alice", []string{"/DC=org/CN=Alice"}},
		{"CN:u=host/ce.example.org", []string{"/CN=host/ce.example.org", `/CN=host\/ce.example.org`}},
		{"CN:u=J\\u00f6rg", []string{`/CN=J\xC3\xB6rg`, "/CN=Jörg"}},
		{"CN:t=J\\xf6rg", []string{`/CN=J\xF6rg`, "/CN=Jörg"}},
		{"CN:b=J\\u00f6", []string{`/CN=\x00J\x00\xF6`, "/CN=Jö"}},
		{"OU:u=C + O:u=A B", []string{"/OU=C/O=A B", "/OU=C+O=A B"}},
		{"O:u=a/b + OU:u=c", []string{"/O=a/b/OU=c", `/O=a\/b+OU=c`, "/O=a/b+OU=c"}},
		{"CN:u=B, emailAddress:i=b@x", []string{"/CN=B/emailAddress=b@x", "/CN=B/Email=b@x", "/CN=B/E=b@x"}},
		{"UID:u=b", []string{"/UID=b", "/USERID=b"}},
		{"CN:u=b\\xff", []string{`/CN=b\xFF`}},
	} {
		got := Renderings(rawName(t, c.name))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if one := OneLine(rawName(t, c.name)); one != c.want[0] {
			t.Errorf("%s: one line %q", c.name, one)
		}
	}
}

func TestMatchesExactly(t *testing.T) {
	raw := rawName(t, "DC:i=org, CN:u=Alice")
	for text, want := range map[string]bool{
		"/DC=org/CN=Alice": true, "/dc=org/CN=Alice": false, "/DC=org/CN=alice": false, "/DC=org/CN=Alice ": false,
		"": false, "/DC=org/CN=Alice/CN=proxy": false, "CN=Alice,DC=org": false, "/CN=Alice/DC=org": false,
	} {
		if Matches(raw, text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	if Matches([]byte("no name"), "") || Matches(nil, "") {
		t.Error("what is no name matches")
	}
}

func TestAmbiguous(t *testing.T) {
	for text, want := range map[string]bool{
		"CN:u=host/ce.example.org": false, "CN:u=x/CN=evil": true, "CN:b=x/CN=evil": true, "CN:u=x/1.2.3=y": true,
		"O:u=a/b, CN:u=c": false, "CN:u=a\\\\xC3": true, "CN:u=J\\u00f6rg": false, "CN:u=x/CN=evil\\xff": true, "CN:n=x/CN=evil": true, "CN:u=http://x/?a=b": false,
	} {
		if Ambiguous(rawName(t, text)) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
	one, other := rawName(t, "DC:i=ch, CN:u=x/CN=evil"), rawName(t, "DC:i=ch, CN:u=x, CN:u=evil")
	if OneLine(one) != OneLine(other) || !Ambiguous(one) || Ambiguous(other) {
		t.Error("the structured name is the honest one")
	}
	if !Ambiguous([]byte{0x30}) {
		t.Error("what is no name is not ambiguous")
	}
}

// FuzzNames looks for names that hash or render in contradictory ways.
func FuzzNames(f *testing.F) {
	for _, text := range goldenNames {
		f.Add(rawName(f, text))
	}
	evil, _ := hex.DecodeString("3005310330013000")
	f.Add(evil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		line, all := OneLine(raw), Renderings(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("the name was changed")
		}
		if (all == nil) != (HashOld(raw) == "") {
			t.Fatal("a name to one, none to the other")
		}
		if all == nil {
			return
		}
		if all[0] != line {
			t.Fatal("the first rendering is not the one line")
		}
		for i := range line {
			if line[i] < ' ' || line[i] > '~' {
				t.Fatalf("%q has the byte %#x", line, line[i])
			}
		}
		for _, text := range all {
			if text != "" && !Matches(raw, text) {
				t.Fatalf("%q does not match", text)
			}
		}
		for _, hash := range []string{Hash(raw), HashOld(raw)} {
			if _, err := fmt.Sscanf(hash, "%08x", new(uint32)); hash != "" && (err != nil || len(hash) != 8) {
				t.Fatalf("hash %q", hash)
			}
		}
	})
}
