package main

import (
	"crypto"
	"fmt"
	"strings"

	"vouch/testdata/cases"
)

// nameCase is a list that names its signer in some way.
type nameCase struct {
	id, description, expect string
	subject                 []byte
	says                    string // hv:dn
	more                    []about
}

// distinguishedNames are about the texts that names travel as, and whom they
// authorise.
func distinguishedNames(b *book) {
	for _, group := range [][]nameCase{renderings(), nearMisses(), stringTypes(), ambiguousNames()} {
		for _, c := range group {
			who := b.ca.user(person("Alice"), named(c.subject))
			b.add("name-"+c.id, c.description, c.expect, "trust.md 3.5; T-08", clearSigned(who, listBy(c.says, b.ca.dn)), append([]about{policyMode("ignore")}, c.more...)...)
		}
	}
	authorisations(b)
	issuerNames(b)
}

// below is a name under /DC=org/DC=example whose last RDNs are given.
func below(parts ...[]ava) []byte {
	return rdns(append([][]ava{{{label: "DC", value: "org"}}, {{label: "DC", value: "example"}}}, parts...)...)
}

func one(label, value string) []ava { return []ava{{label: label, value: value}} }

func renderings() []nameCase {
	multi := below([]ava{{"OU", "people", 0}, {"L", "Here", 0}}, one("CN", "Alice"))
	slash := below(one("CN", "host/ce.example.org"))
	plus := below(one("CN", "C+O"))
	mail := below(one("CN", "Alice"), one("emailAddress", "a@example.org"))
	uid := below(one("UID", "alice"), one("CN", "Alice"))
	umlaut := below(one("CN", "Jörg"))
	robot := below(one("CN", "Robot: image endorser - Jane Doe"))
	unknown := below([]ava{{"1.2.3.4.5", "x", 0}}, one("CN", "Alice"))
	good := func(id, description string, subject []byte, rest string) nameCase {
		return nameCase{id, description, accepted, subject, example(rest), nil}
	}
	return []nameCase{
		good("plain", "no special character", below(one("OU", "people"), one("CN", "Alice")), "/OU=people/CN=Alice"),
		good("multi-slash", "a multi-valued RDN, joined by slashes as OpenSSL up to 1.1", multi, "/L=Here/OU=people/CN=Alice"),
		good("multi-plus", "a multi-valued RDN, joined by plus as OpenSSL 3", multi, "/L=Here+OU=people/CN=Alice"),
		good("service-plain", "a service name with its slash as it is", slash, "/CN=host/ce.example.org"),
		good("service-escaped", "a service name with its slash escaped, as OpenSSL 3", slash, `/CN=host\/ce.example.org`),
		good("plus-plain", "a plus as it is", plus, "/CN=C+O"),
		good("plus-escaped", "a plus escaped, as OpenSSL 3", plus, `/CN=C\+O`),
		good("mail-today", "emailAddress", mail, "/CN=Alice/emailAddress=a@example.org"),
		good("mail-email", "Email, as old tools wrote it", mail, "/CN=Alice/Email=a@example.org"),
		good("mail-e", "E, as others did", mail, "/CN=Alice/E=a@example.org"),
		good("uid", "UID", uid, "/UID=alice/CN=Alice"),
		good("userid", "USERID, as Globus wrote it", uid, "/USERID=alice/CN=Alice"),
		good("utf8-bytes", "UTF-8 as escaped bytes, as OpenSSL writes it", umlaut, `/CN=J\xC3\xB6rg`),
		good("utf8-text", "UTF-8 as it is, as pyOpenSSL writes it", umlaut, "/CN=Jörg"),
		good("robot", "a robot's name with colon and hyphen", robot, "/CN=Robot: image endorser - Jane Doe"),
		good("unknown-attribute", "an attribute without a short name, by its number", unknown, "/1.2.3.4.5=x/CN=Alice"),
	}
}

// nearMisses are texts that somebody might take for the name.
func nearMisses() []nameCase {
	subject := below(one("OU", "people"), one("CN", "Alice Smith"))
	miss := func(id, description, says string) nameCase {
		return nameCase{"not-" + id, description, endorserMismatch, subject, says, nil}
	}
	name := person("Alice Smith")
	return []nameCase{
		miss("lower-case", "the name in lower case", strings.ToLower(name)),
		miss("label-case", "labels in lower case", "/dc=org/dc=example/ou=people/cn=Alice Smith"),
		miss("spaces", "two blanks for one", strings.Replace(name, "Alice Smith", "Alice  Smith", 1)),
		miss("trailing-blank", "a blank at the end", name+" "),
		miss("leading-blank", "a blank at the start", " "+name),
		miss("no-slash", "no slash at the start", name[1:]),
		miss("rfc2253", "the name as RFC 2253 writes it", "CN=Alice Smith,OU=people,DC=example,DC=org"),
		miss("commas", "commas for slashes", "DC=org, DC=example, OU=people, CN=Alice Smith"),
		miss("reversed", "the name back to front", "/CN=Alice Smith/OU=people/DC=example/DC=org"),
		miss("prefix", "the beginning of the name", example("/OU=people")),
		miss("longer", "the name and more", name+"/CN=proxy"),
		miss("star", "a star", "*"),
		miss("pattern", "a pattern that matches the name", example("/OU=people/CN=*")),
		miss("escaped-letter", "a letter as an escaped byte", strings.Replace(name, "Alice", `\x41lice`, 1)),
		miss("homograph", "a Cyrillic letter for a Latin one", strings.Replace(name, "Alice", "Аlice", 1)),
		miss("zero-width", "an invisible character in the name", strings.Replace(name, "Alice", "Ali\u200bce", 1)),
		miss("mail-for-name", "the mail address", "a@example.org"),
		miss("somebody", "somebody else", person("Bob")),
	}
}

func stringTypes() []nameCase {
	as := func(tag byte, value string) []byte { return below([]ava{{"CN", value, tag}}) }
	bmp := "\x00J\x00\xf6\x00r\x00g"
	return []nameCase{
		{"printable", "a PrintableString", accepted, as(printableString, "Alice"), example("/CN=Alice"), nil},
		{"visible", "a VisibleString, which is no DirectoryString: the certificate cannot be read", malformedEnvelope, as(visibleString, "Alice"), example("/CN=Alice"), nil},
		{"t61-bytes", "a T61String by its bytes", accepted, as(t61String, "J\xf6rg"), example(`/CN=J\xF6rg`), nil},
		{"t61-text", "a T61String as text", accepted, as(t61String, "J\xf6rg"), example("/CN=Jörg"), nil},
		{"bmp-bytes", "a BMPString by its bytes", accepted, as(bmpString, bmp), example(`/CN=\x00J\x00\xF6\x00r\x00g`), nil},
		{"bmp-text", "a BMPString as text", accepted, as(bmpString, bmp), example("/CN=Jörg"), nil},
		{"universal-text", "a UniversalString, which crypto/x509 does not read", malformedEnvelope, as(universalString, "\x00\x00\x00A\x00\x00\x00l"), example("/CN=Al"), nil},
		{"numeric", "a NumericString", accepted, as(numericString, "42"), example("/CN=42"), nil},
		{"t61-as-utf8", "the UTF-8 bytes of what is a T61String", endorserMismatch, as(t61String, "J\xf6rg"), example(`/CN=J\xC3\xB6rg`), nil},
		{"control", "a newline in a value, escaped", accepted, as(utf8String, "Ali\nce"), example(`/CN=Ali\x0Ace`), nil},
		{"decomposed", "o and diaeresis for ö", endorserMismatch, as(utf8String, "Jörg"), example("/CN=Jo\u0308rg"), nil},
	}
}

// ambiguousNames can be read as names of another structure.
func ambiguousNames() []nameCase {
	eve := below(one("CN", "x/CN=Alice"))
	hidden := below(one("CN", `J\xF6rg`))
	dn := example("/CN=x/CN=Alice")
	ca := example("/CN=Example CA")
	return []nameCase{
		{"ambiguous-consistent", "a value that reads like two: the list may name it so", accepted, eve, dn, nil},
		{"ambiguous-authorised", "and nobody is authorised by such a name", notAuthorised, eve, dn, []about{endorser(dn, ca)}},
		{"ambiguous-escaped", "nor by its escaped form", notAuthorised, eve, dn, []about{endorser(example(`/CN=x\/CN=Alice`), ca)}},
		{"ambiguous-bytes", "a value that reads like an escaped byte", notAuthorised, hidden, example(`/CN=J\xF6rg`), []about{endorser(example(`/CN=J\xF6rg`), ca)}},
		{"service-authorised", "a service name is not ambiguous", accepted, below(one("CN", "host/ce.example.org")), example("/CN=host/ce.example.org"),
			[]about{endorser(example("/CN=host/ce.example.org"), ca)}},
		{"two-rdns-authorised", "the name that the ambiguous one imitates", accepted, below(one("CN", "x"), one("CN", "Alice")), dn, []about{endorser(dn, ca)}},
	}
}

// authorisations are about the third gate.
func authorisations(b *book) {
	other := root(example("/CN=Other CA"), ecKey("other ca"))
	b.base("names")
	b.install("names", other)
	alice2 := other.user(b.alice.dn)
	pin := func(k *key) about {
		return func(c *cases.Case) { c.EndorserKey = fmt.Sprintf("%x", sum(crypto.SHA256, k.spki)) }
	}
	eve := b.ca.user(person("x/CN=Alice"), named(below(one("CN", "x/CN=Alice"))))
	text := func(who *entity) string { return list(who) }
	for _, c := range []struct {
		id, description, expect string
		who                     *entity
		list                    string
		more                    []about
	}{
		{"authorised", "the signer is authorised", accepted, b.alice, text(b.alice), []about{endorser(b.alice.dn, b.ca.dn)}},
		{"authorised-pinned", "by name and key", accepted, b.alice, text(b.alice), []about{endorser(b.alice.dn, b.ca.dn), pin(b.alice.key)}},
		{"other-pin", "another key is pinned", notAuthorised, b.alice, text(b.alice), []about{endorser(b.alice.dn, b.ca.dn), pin(b.bob.key)}},
		{"ambiguous-pinned", "an ambiguous name, its key pinned", accepted, eve, listBy(example("/CN=x/CN=Alice"), b.ca.dn),
			[]about{endorser(example("/CN=x/CN=Alice"), b.ca.dn), pin(eve.key), policyMode("ignore")}},
		{"same-ca-other-subject", "somebody else of the same CA", notAuthorised, b.bob, text(b.bob), []about{endorser(b.alice.dn, b.ca.dn)}},
		{"same-ca-names-alice", "somebody else of the same CA who names Alice", endorserMismatch, b.bob, text(b.alice), []about{endorser(b.alice.dn, b.ca.dn)}},
		{"same-subject-other-ca", "Alice's name under another CA", notAuthorised, alice2, text(alice2), []about{endorser(b.alice.dn, b.ca.dn)}},
		{"same-subject-other-ca-names", "Alice's name under another CA, the list names Alice's own", endorserMismatch, alice2, text(b.alice), []about{endorser(b.alice.dn, b.ca.dn)}},
		{"ca-swapped", "authorised under another CA", notAuthorised, b.alice, text(b.alice), []about{endorser(b.alice.dn, other.dn)}},
		{"dn-for-ca", "the signer's name for the CA's", endorserMismatch, b.alice, listBy(b.alice.dn, b.alice.dn), nil},
		{"exchanged", "name and CA exchanged", endorserMismatch, b.alice, listBy(b.ca.dn, b.alice.dn), nil},
		{"authorised-lower-case", "authorised in lower case", notAuthorised, b.alice, text(b.alice), []about{endorser(strings.ToLower(b.alice.dn), b.ca.dn)}},
		{"authorised-star", "authorised by a star", notAuthorised, b.alice, text(b.alice), []about{endorser("*", "*")}},
		{"mismatch-and-not-authorised", "consistency is asked before authorisation", endorserMismatch, b.alice, text(b.bob), []about{endorser(b.bob.dn, b.ca.dn)}},
	} {
		b.add("name-"+c.id, c.description, c.expect, "T-08; contract §4", clearSigned(c.who, c.list), append([]about{trusting("names")}, c.more...)...)
	}
}

// issuerNames are about chaining by name.
func issuerNames(b *book) {
	const dir = "names"
	printable := issue(nil, example("/CN=Mixed CA"), ecKey("mixed"), valid(-100, 100), asCA, named(below([]ava{{"CN", "Mixed CA", printableString}})))
	b.install(dir, printable)
	as := func(tag byte, cn string) *entity {
		e := *printable
		e.name = below([]ava{{"CN", cn, tag}})
		return e.user(person("Alice"))
	}
	umlaut := issue(nil, example(`/CN=Jörg CA`), ecKey("umlaut"), valid(-100, 100), asCA)
	b.install(dir, umlaut)
	b.put(dir, of(umlaut, "signing_policy"), signingPolicy(example(`/CN=J\xC3\xB6rg CA`), example("/*")))
	multi := issue(nil, example("/CN=A+B"), ecKey("multi"), valid(-100, 100), asCA, named(below([]ava{{"CN", "Multi CA", 0}, {"OU", "CAs", 0}})))
	multi.dn = example("/OU=CAs/CN=Multi CA")
	b.install(dir, multi)
	for _, c := range []struct {
		id, description, expect string
		who                     *entity
	}{
		{"issuer-same-encoding", "the issuer named in the encoding it has", accepted, as(printableString, "Mixed CA")},
		{"issuer-other-encoding", "the issuer named in another string type: names are compared by their bytes", untrusted, as(utf8String, "Mixed CA")},
		{"issuer-other-case", "the issuer named in another case", untrusted, as(printableString, "mixed ca")},
		{"issuer-more-space", "the issuer named with more blanks", untrusted, as(printableString, "Mixed  CA")},
		{"issuer-umlaut", "a CA whose name is not ASCII, in both forms", accepted, umlaut.user(person("Alice"))},
		{"issuer-multi", "a CA with a multi-valued RDN", accepted, multi.user(person("Alice"))},
	} {
		b.add("name-"+c.id, c.description, c.expect, "trust.md 3.6 name chaining", clearSigned(c.who, list(c.who)), trusting(dir))
	}
}
