package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// chainCase is a list by somebody, with further certificates in the message.
type chainCase struct {
	id, description, expect string
	who                     *entity
	carried                 []*entity
	more                    []about
}

// chains are about paths, validity, purposes and proxies.
func chains(b *book) {
	b.base("chain")
	b.addChains("trust.md 3.1, 3.6", flat(anchorPaths(b), subordinatePaths(b), rollovers(b), longPaths(b), issuers(b), constraints(b), oddCertificates(b)))
	b.addChains("trust.md 3.6 time", flat(validities(b), authorityValidities(b)))
	b.addChains("trust.md case table: key usage and purpose", flat(keyUsages(b), purposes(b), authorityPurposes(b)))
	b.addChains("trust.md 3.7", proxies(b))
	trustDirectories(b)
}

func flat(groups ...[]chainCase) []chainCase { return slices.Concat(groups...) }

func (b *book) addChains(clause string, group []chainCase) {
	for _, c := range group {
		more := append([]about{trusting("chain")}, c.more...)
		b.add("chain-"+c.id, c.description, c.expect, clause, clearSigned(c.who, list(c.who), carrying(c.carried...)), more...)
	}
}

// lax asks for neither policies nor CRLs, so that the path alone decides.
var lax = []about{crlMode("ignore"), policyMode("ignore")}

// in makes a root and installs it.
func (b *book) in(dir, cn string, options ...option) *entity {
	e := root(example("/CN="+cn), ecKey(cn), options...)
	b.install(dir, e)
	return e
}

// below makes a subordinate CA and installs it.
func (b *book) below(dir string, ca *entity, cn string, options ...option) *entity {
	e := ca.sub(example("/CN="+cn), ecKey(cn), options...)
	b.install(dir, e)
	return e
}

func anchorPaths(b *book) []chainCase {
	stranger := root(example("/CN=Stranger"), ecKey("stranger"))
	namesake := root(b.ca.dn, ecKey("namesake"))
	self := root(b.alice.dn, ecKey("self"), bare, asUser)
	forged := issue(&entity{dn: b.ca.dn, name: b.ca.name, key: ecKey("forger")}, b.alice.dn, ecKey("forged"), asUser,
		func(c *certificate) { c.extensions[0] = authorityKey(b.ca.key.id) })
	installed := root(example("/CN=Installed self-signed user"), ecKey("installed"), bare, asUser, valid(-10, 10))
	b.install("chain", installed)
	return []chainCase{
		{"root", "certified by a root", accepted, b.alice, nil, nil},
		{"root-in-message", "the root in the message too", accepted, b.alice, []*entity{b.ca}, nil},
		{"unknown-root", "certified by nobody that is installed", untrusted, stranger.user(person("Alice")), nil, nil},
		{"unknown-root-in-message", "the same, and the message brings the root along", untrusted, stranger.user(person("Alice")), []*entity{stranger}, nil},
		{"namesake-root", "certified by another root of the anchor's name", untrusted, namesake.user(person("Alice")), nil, nil},
		{"namesake-root-in-message", "the same, and the message brings that root along", untrusted, namesake.user(person("Alice")), []*entity{namesake}, nil},
		{"namesake-root-lax", "the same without asking for policies and CRLs", untrusted, namesake.user(person("Alice")), []*entity{namesake}, lax},
		{"self-signed", "self-signed with the endorser's name", untrusted, self, nil, nil},
		{"self-signed-lax", "the same without asking for policies and CRLs", untrusted, self, nil, lax},
		{"forged-issuer", "names the root, and its key identifier, and was signed by another key", untrusted, forged, nil, nil},
		{"anchor-is-user", "a self-signed user certificate among the anchors", untrusted, installed, nil, nil},
	}
}

func subordinatePaths(b *book) []chainCase {
	carried := b.ca.sub(example("/CN=Carried CA"), ecKey("carried"))
	covered := b.ca.sub(example("/CN=Covered CA"), ecKey("covered"))
	b.put("chain", of(covered, "signing_policy"), signingPolicy(covered.dn, example("/*")))
	b.put("chain", of(covered, "r0"), covered.crl())
	policyOnly := b.ca.sub(example("/CN=Carried CA with policy"), ecKey("policy only"))
	b.put("chain", of(policyOnly, "signing_policy"), signingPolicy(policyOnly.dn, example("/*")))
	orphan := root(example("/CN=Absent root"), ecKey("absent"))
	left := orphan.sub(example("/CN=Orphaned CA"), ecKey("orphan"))
	b.install("chain", left)
	damaged := b.ca.sub(example("/CN=Damaged CA"), ecKey("damaged"), func(c *certificate) { c.bend = flipLast })
	b.install("chain", damaged)
	return []chainCase{
		{"subordinate", "certified by an installed subordinate CA", accepted, b.issuing.user(person("Alice")), nil, nil},
		{"subordinate-in-message", "the installed subordinate CA in the message too", accepted, b.issuing.user(person("Alice")), []*entity{b.issuing}, nil},
		{"carried", "a subordinate CA that only the message brings, without an installed policy", policyDenies, carried.user(person("Alice")), []*entity{carried}, nil},
		{"carried-missing", "the same, and the message does not bring it", untrusted, carried.user(person("Alice")), nil, nil},
		{"carried-covered", "a CA of the message with policy and CRL installed", accepted, covered.user(person("Alice")), []*entity{covered}, nil},
		{"carried-no-crl", "a CA of the message with a policy and no CRL", crlMissing, policyOnly.user(person("Alice")), []*entity{policyOnly}, nil},
		{"carried-lax", "a CA of the message, policies and CRLs not asked for", accepted, carried.user(person("Alice")), []*entity{carried}, lax},
		{"orphan", "an installed subordinate CA whose root is not: it is no chain end", untrusted, left.user(person("Alice")), nil, nil},
		{"orphan-lax", "the same without asking for policies and CRLs", untrusted, left.user(person("Alice")), nil, lax},
		{"orphan-root-in-message", "the same, the root in the message", untrusted, left.user(person("Alice")), []*entity{orphan}, lax},
		{"damaged-subordinate", "a subordinate CA whose signature is damaged", untrusted, damaged.user(person("Alice")), nil, nil},
	}
}

func rollovers(b *book) []chainCase {
	const name = "/CN=Rollover CA"
	older, newer := root(example(name), ecKey("older")), root(example(name), ecKey("newer"))
	b.install("chain", older)
	b.certificate("chain", newer)
	b.put("chain", of(newer, "r1"), newer.crl())
	plain := func(c *certificate) { without(idSubjectKey)(c); without(idAuthority)(c) }
	noIDs, noIDs2 := root(example("/CN=Rollover without key identifiers"), ecKey("no ids"), plain), root(example("/CN=Rollover without key identifiers"), ecKey("no ids 2"), plain)
	b.install("chain", noIDs)
	b.certificate("chain", noIDs2)
	unidentified := func(c *crl) { c.extensions = c.extensions[1:] }
	b.put("chain", of(noIDs, "r0"), noIDs.crl(unidentified))
	b.put("chain", of(noIDs, "r1"), noIDs2.crl(unidentified))
	link := b.in("chain", "Link CA")
	linked := issue(link, link.dn, ecKey("link, new key"), valid(-100, 100), asCA)
	b.put("chain", of(link, "r1"), linked.crl())
	one, other := b.in("chain", "Cross A"), root(example("/CN=Cross B, expired"), ecKey("cross b"), valid(-300, -1))
	b.install("chain", other)
	gone := root(example("/CN=Cross C, not installed"), ecKey("cross c"))
	crossed := func(by *entity) *entity { return by.sub(example("/CN=Crossed CA"), ecKey("crossed")) }
	first, second, third := crossed(one), crossed(other), crossed(gone)
	b.install("chain", first)
	b.certificate("chain", second)
	b.certificate("chain", third)
	return []chainCase{
		{"rollover-older", "two roots of one name: certified by the older key", accepted, older.user(person("Alice")), nil, nil},
		{"rollover-newer", "two roots of one name: certified by the newer key", accepted, newer.user(person("Alice")), nil, nil},
		{"rollover-third", "two roots of one name: certified by a third key", untrusted, root(example(name), ecKey("third")).user(person("Alice")), nil, nil},
		{"rollover-no-identifiers-older", "the same without key identifiers: the older key", accepted, noIDs.user(person("Alice"), without(idAuthority)), nil, nil},
		{"rollover-no-identifiers-newer", "the same without key identifiers: the newer key", accepted, noIDs2.user(person("Alice"), without(idAuthority)), nil, []about{differs("rollover")}},
		{"rollover-link", "the new key certified by the old one, self-issued, in the message", accepted, linked.user(person("Alice")), []*entity{linked}, nil},
		{"rollover-link-missing", "the same, and the message does not bring it", untrusted, linked.user(person("Alice")), nil, nil},
		{"cross", "a CA certified by three roots, of which one is expired and one not installed", accepted, first.user(person("Alice")), nil, nil},
		{"cross-good-in-message", "a CA certified by two roots, the good certificate in the message", accepted, second.user(person("Alice")), []*entity{third, first}, nil},
	}
}

func longPaths(b *book) []chainCase {
	deep, links := b.ca, []*entity(nil)
	var cases []chainCase
	for n := 2; n <= 7; n++ {
		deep = deep.sub(example(fmt.Sprintf("/CN=Level %d", n)), ecKey(fmt.Sprint("level ", n)))
		b.put("chain", of(deep, "signing_policy"), signingPolicy(deep.dn, example("/*")))
		b.put("chain", of(deep, "r0"), deep.crl())
		links = append(links, deep)
		if n == 6 {
			cases = append(cases, chainCase{"deep-6", "six CAs above the signer", accepted, deep.user(person("Alice")), links, nil})
		}
	}
	maze := root(example("/CN=Maze"), ecKey("maze"))
	var turns []*entity
	for n := range 14 {
		turns = append(turns, issue(maze, maze.dn, ecKey("maze"), asCA, serial(int64(5000+n))))
	}
	crowd := make([]*entity, 15)
	for n := range crowd {
		crowd[n] = b.ca.user(person(fmt.Sprintf("Bystander %d", n)))
	}
	circleA, circleB := &entity{dn: example("/CN=Circle A"), key: ecKey("circle a")}, &entity{dn: example("/CN=Circle B"), key: ecKey("circle b")}
	circleA.name, circleB.name = dn(circleA.dn), dn(circleB.dn)
	a, c := circleB.sub(circleA.dn, circleA.key), circleA.sub(circleB.dn, circleB.key)
	return append(cases,
		chainCase{"deep-7", "seven CAs above the signer", untrusted, deep.user(person("Alice")), links, nil},
		chainCase{"deep-7-lax", "the same without asking for policies and CRLs", untrusted, deep.user(person("Alice")), links, lax},
		chainCase{"maze", "fourteen CAs of one name that all certify each other", untrusted, maze.user(person("Alice")), turns, lax},
		chainCase{"circle", "two CAs that certify each other, and no root", untrusted, a.user(person("Alice")), []*entity{a, c}, lax},
		chainCase{"crowd", "fifteen certificates of others in the message", accepted, b.alice, crowd, nil},
		chainCase{"gap", "a level of the path missing from the message", untrusted, links[4].user(person("Alice")), []*entity{links[4], links[3], links[1], links[0]}, lax})
}

// issuers are about who may issue at all.
func issuers(b *book) []chainCase {
	dir := "chain"
	plainRoot := b.in(dir, "Root without basic constraints", without(idBasic))
	versionOne := root(example("/CN=Version 1 root"), ecKey("v1 root"), bare, func(c *certificate) { c.version = nil })
	b.install(dir, versionOne)
	noBasic := b.below(dir, b.ca, "CA without basic constraints", without(idBasic))
	notCA := b.below(dir, b.ca, "CA that says it is none", basic(true, false, -1))
	versionOneSub := b.below(dir, b.ca, "Version 1 CA", bare, func(c *certificate) { c.version = nil })
	noSign := b.below(dir, b.ca, "CA without keyCertSign", usage(cRLSign))
	noUsage := b.below(dir, b.ca, "CA without key usage", without(idKeyUsage))
	notCritical := b.below(dir, b.ca, "CA with uncritical constraints", basic(false, true, -1))
	zero := b.below(dir, b.ca, "CA with path length 0", basic(true, true, 0))
	zeroRoot := b.in(dir, "Root with path length 0", basic(true, true, 0))
	oneRoot := b.in(dir, "Root with path length 1", basic(true, true, 1))
	belowZeroRoot := b.below(dir, zeroRoot, "CA below path length 0")
	belowZero := b.below(dir, zero, "CA below a CA with path length 0")
	belowOne := b.below(dir, oneRoot, "CA below path length 1")
	return []chainCase{
		{"root-no-constraints", "a root of version 3 without basic constraints", untrusted, plainRoot.user(person("A")), nil, nil},
		{"root-version-1", "a root of version 1, as the first CAs had", accepted, versionOne.user(person("A"), without(idAuthority)), nil, nil},
		{"ca-no-constraints", "a subordinate CA without basic constraints", proxyCertificate, noBasic.user(person("A")), nil, nil},
		{"ca-false", "a subordinate CA that says it is none", proxyCertificate, notCA.user(person("A")), nil, nil},
		{"ca-version-1", "a subordinate CA of version 1", proxyCertificate, versionOneSub.user(person("A"), without(idAuthority)), nil, nil},
		{"ca-no-cert-sign", "a subordinate CA whose key usage lacks keyCertSign", untrusted, noSign.user(person("A")), nil, nil},
		{"ca-no-key-usage", "a subordinate CA without key usage", accepted, noUsage.user(person("A")), nil, nil},
		{"ca-not-critical", "basic constraints that are not critical", accepted, notCritical.user(person("A")), nil, nil},
		{"path-length-0", "path length 0 and a user below", accepted, zero.user(person("A")), nil, nil},
		{"path-length-0-root-user", "a root of path length 0 and a user below", accepted, zeroRoot.user(person("A")), nil, nil},
		{"path-length-0-root", "a root of path length 0 and a CA below", untrusted, belowZeroRoot.user(person("A")), nil, nil},
		{"path-length-0-ca", "a CA of path length 0 and a CA below", untrusted, belowZero.user(person("A")), nil, nil},
		{"path-length-1", "a root of path length 1 and a CA below", accepted, belowOne.user(person("A")), nil, nil},
		{"user-as-ca", "certified by a user", proxyCertificate, b.alice.user(person("A")), []*entity{b.alice}, nil},
		{"user-as-ca-for-ca", "a CA certified by a user", proxyCertificate, b.alice.sub(example("/CN=Alice's CA"), ecKey("alices")).user(person("A")),
			[]*entity{b.alice, b.alice.sub(example("/CN=Alice's CA"), ecKey("alices"))}, nil},
	}
}

// constraints are those that CAs put on what is below them.
func constraints(b *book) []chainCase {
	dir := "chain"
	directory := func(name []byte) []byte { return explicit(4, name) }
	permitted := func(names ...[]byte) []byte { return seq(explicit(0, wrapEach(names)...)) }
	excluded := func(names ...[]byte) []byte { return seq(explicit(1, wrapEach(names)...)) }
	mail := func(s string) []byte { return implicit(1, []byte(s)) }
	below := func(cn string, o ...option) *entity { return b.below(dir, b.ca, cn, o...) }
	people := dn(example("/OU=people"))
	permits := below("Permits a directory", with(idConstraints, true, permitted(directory(people))))
	excludes := below("Excludes a directory", with(idConstraints, true, excluded(directory(people))))
	softly := below("Excludes a directory, uncritical", with(idConstraints, false, excluded(directory(people))))
	mailCA := below("Permits mail addresses", with(idConstraints, true, permitted(mail("example.org"))))
	withMail := func(address string) option { return with(idAltName, false, seq(implicit(1, []byte(address)))) }
	explicitPolicy := below("Requires a policy", with("2.5.29.36", true, seq(implicit(0, []byte{0}))))
	policy := with(idPolicies, false, seq(seq(oid("1.2.3.4.5"))))
	withPolicy := below("Requires a policy and has it", policy, with("2.5.29.36", true, seq(implicit(0, []byte{0}))))
	unknown := below("Unknown critical extension", with("1.2.3.4.5", true, null()))
	return []chainCase{
		{"constraint-directory-permits", "a critical directory name constraint, met: not supported, refused", untrusted, permits.user(person("A")), nil, nil},
		{"constraint-directory-excludes", "a critical directory name constraint, broken", untrusted, excludes.user(person("A")), nil, nil},
		{"constraint-directory-uncritical", "an uncritical directory name constraint, broken", untrusted, softly.user(person("A")), nil, nil},
		{"constraint-mail-met", "a constraint on mail addresses, met", accepted, mailCA.user(person("A"), withMail("a@example.org")), nil, nil},
		{"constraint-mail-broken", "a constraint on mail addresses, broken", untrusted, mailCA.user(person("A"), withMail("a@example.com")), nil, nil},
		{"constraint-mail-in-subject", "a constraint on mail addresses, broken by the one in the subject", untrusted, mailCA.user(person("A/emailAddress=a@example.com")), nil, nil},
		{"policy-required", "a certificate policy is required, and there is none", untrusted, explicitPolicy.user(person("A")), nil, nil},
		{"policy-required-met", "a certificate policy is required and there", accepted, withPolicy.user(person("A"), policy), nil, nil},
		{"ca-unknown-critical", "a subordinate CA with an unknown critical extension", untrusted, unknown.user(person("A")), nil, nil},
	}
}

func wrapEach(names [][]byte) [][]byte {
	var all [][]byte
	for _, n := range names {
		all = append(all, seq(n))
	}
	return all
}

// oddCertificates of the signer.
func oddCertificates(b *book) []chainCase {
	user := func(o ...option) *entity { return b.ca.user(person("Alice"), o...) }
	names := func(n int) option {
		var list [][]byte
		for i := range n {
			list = append(list, implicit(1, fmt.Appendf(nil, "a%d@example.org", i)))
		}
		return with(idAltName, false, seq(list...))
	}
	twice := func(c *certificate) { c.extensions = append(c.extensions, c.extensions[1]) }
	return []chainCase{
		{"unknown-critical", "an unknown critical extension", untrusted, user(with("1.2.3.4.5", true, null())), nil, nil},
		{"unknown", "an unknown extension that is not critical", accepted, user(with("1.2.3.4.5", false, null())), nil, nil},
		{"netscape-comment", "a Netscape comment, as OpenCA wrote it", accepted, user(with("2.16.840.1.113730.1.13", false, tlv(ia5String, []byte("Grid user")))), nil, nil},
		{"policies", "certificate policies, as IGTF asks for", accepted, user(with(idPolicies, false, seq(seq(oid("1.2.840.113612.5.2.2.1"))))), nil, nil},
		{"policies-critical", "critical certificate policies", accepted, user(with(idPolicies, true, seq(seq(oid("1.2.840.113612.5.2.2.1"))))), nil, nil},
		{"alt-names-100", "a hundred alternative names", accepted, user(names(100)), nil, nil},
		{"alt-names-101", "a hundred and one alternative names", unsupportedAlgorithm, user(names(101)), nil, nil},
		{"serial-0", "serial number 0, which nine real CAs use", accepted, user(serial(0)), nil, nil},
		{"serial-negative", "a negative serial number", malformedEnvelope, user(serial(-5)), nil, nil},
		{"serial-20-octets", "a serial number of twenty octets", accepted, user(func(c *certificate) { c.serial = tlv(2, []byte{0x7f}, make([]byte, 19)) }), nil, nil},
		{"extension-twice", "the same extension twice", malformedEnvelope, user(twice), nil, nil},
		{"no-authority-key", "no authority key identifier", accepted, user(without(idAuthority)), nil, nil},
		{"other-authority-key", "an authority key identifier of another key", accepted, user(with(idAuthority, false, seq(implicit(0, []byte("another key"))))), nil,
			[]about{differs("key-identifier-mismatch")}},
		{"version-1", "a user certificate of version 1", accepted, issue(b.ca, person("Alice"), ecKey("v1"), bare, func(c *certificate) { c.version = nil }), nil, nil},
		{"version-1-extensions", "version 1 with extensions", accepted, user(func(c *certificate) { c.version = nil }), nil, nil},
		{"version-4", "a certificate of version 4", malformedEnvelope, user(func(c *certificate) { c.version = explicit(0, integer(3)) }), nil, nil},
		{"bytes-after-key", "a key with bytes after it", accepted, user(func(c *certificate) {
			c.key = &key{spki: seq(body(c.key.spki), null())}
		}), nil, []about{differs("certificate-parser")}},
	}
}

func validities(b *book) []chainCase {
	second := time.Second
	user := func(o ...option) *entity { return b.ca.user(person("Alice"), o...) }
	back := user(valid(-30, -1))
	return []chainCase{
		{"expired", "the signer's certificate expired yesterday", certExpired, user(valid(-30, -1)), nil, nil},
		{"expired-lax", "the same without asking for policies and CRLs", certExpired, back, nil, lax},
		{"expires-now", "it expires at the very instant", accepted, user(between(days(-30), at)), nil, []about{differs("last-second")}},
		{"expired-a-second-ago", "it expired a second ago", certExpired, user(between(days(-30), at.Add(-second))), nil, nil},
		{"begins-now", "it begins at the very instant", accepted, user(between(at, days(30))), nil, nil},
		{"begins-in-a-second", "it begins in a second", certNotYetValid, user(between(at.Add(second), days(30))), nil, nil},
		{"not-yet", "it begins tomorrow", certNotYetValid, user(valid(1, 30)), nil, nil},
		{"judged-later", "good today, judged two years later", certExpired, user(), nil, []about{judgedAt(days(730))}},
		{"judged-earlier", "good today, judged two years earlier", certNotYetValid, user(), nil, []about{judgedAt(days(-730))}},
		{"validity-reversed", "it ends before it begins", certExpired, user(valid(30, -30)), nil, nil},
		{"generalized-2060", "it expires in 2060", accepted, user(between(days(-1), time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC))), nil, nil},
		{"no-end", "it expires on 31 December 9999, which means never", accepted, user(func(c *certificate) { c.until = tlv(0x18, []byte("99991231235959Z")) }), nil, nil},
		{"generalized-before-2050", "GeneralizedTime for a date before 2050", accepted, user(func(c *certificate) { c.until = generalTime(days(30)) }), nil, nil},
		{"time-without-seconds", "a time without seconds", accepted, user(func(c *certificate) { c.until = tlv(0x17, []byte("3001010000Z")) }), nil, []about{differs("certificate-parser")}},
		{"expired-and-purpose", "expired, and for TLS only: expiry is the first reason", certExpired, user(valid(-30, -1), extended(false, serverAuth)), nil, nil},
		{"expired-and-unknown-root", "expired, and of an unknown root: that is the first reason", untrusted, root(example("/CN=Stranger"), ecKey("stranger")).user(person("Alice"), valid(-30, -1)), nil, nil},
	}
}

func authorityValidities(b *book) []chainCase {
	dir := "chain"
	oldRoot, newRoot := b.in(dir, "Expired root", valid(-300, -1)), b.in(dir, "Future root", valid(1, 300))
	oldCA, newCA := b.below(dir, b.ca, "Expired CA", valid(-300, -1)), b.below(dir, b.ca, "Future CA", valid(1, 300))
	return []chainCase{
		{"expired-root", "the root expired yesterday", certExpired, oldRoot.user(person("A")), nil, nil},
		{"future-root", "the root begins tomorrow", certNotYetValid, newRoot.user(person("A")), nil, nil},
		{"expired-ca", "the subordinate CA expired yesterday", certExpired, oldCA.user(person("A")), nil, nil},
		{"future-ca", "the subordinate CA begins tomorrow", certNotYetValid, newCA.user(person("A")), nil, nil},
		{"expired-ca-carried", "the expired CA in the message as well", certExpired, oldCA.user(person("A")), []*entity{oldCA}, nil},
	}
}

func keyUsages(b *book) []chainCase {
	user := func(o ...option) *entity { return b.ca.user(person("Alice"), o...) }
	return []chainCase{
		{"ku-none", "no extensions at all, as the first grid CAs", accepted, user(bare), nil, nil},
		{"ku-absent", "no key usage", accepted, user(without(idKeyUsage)), nil, nil},
		{"ku-non-repudiation", "nonRepudiation only", accepted, user(usage(nonRepudiation)), nil, nil},
		{"ku-both", "digitalSignature and nonRepudiation", accepted, user(usage(digitalSignature | nonRepudiation)), nil, nil},
		{"ku-and-encipherment", "digitalSignature and keyEncipherment", accepted, user(usage(digitalSignature | keyEncipherment | dataEncipherment)), nil, nil},
		{"ku-key-encipherment", "keyEncipherment only", keyUsage, user(usage(keyEncipherment)), nil, nil},
		{"ku-key-encipherment-no-eku", "keyEncipherment only, no extended key usage", keyUsage, user(usage(keyEncipherment), without(idExtended)), nil, nil},
		{"ku-data-encipherment", "dataEncipherment only", keyUsage, user(usage(dataEncipherment)), nil, nil},
		{"ku-key-agreement", "keyAgreement only", keyUsage, user(usage(keyAgreement)), nil, nil},
		{"ku-cert-sign", "keyCertSign only, no CA", keyUsage, user(usage(keyCertSign)), nil, nil},
		{"ku-crl-sign", "cRLSign only", keyUsage, user(usage(cRLSign)), nil, nil},
		{"ku-encipher-only", "encipherOnly", keyUsage, user(usage(encipherOnly)), nil, nil},
		{"ku-empty", "a key usage without a single bit", keyUsage, user(with(idKeyUsage, true, tlv(3, []byte{0}))), nil, nil},
		{"ku-not-critical", "keyEncipherment only, not critical", keyUsage, user(with(idKeyUsage, false, tlv(3, []byte{5, 0x20}))), nil, nil},
		{"ku-any-purpose", "purpose any does not lift the key usage", keyUsage, user(usage(keyEncipherment)), nil, []about{options("purpose-any")}},
	}
}

func purposes(b *book) []chainCase {
	user := func(o ...option) *entity { return b.ca.user(person("Alice"), o...) }
	anything := []about{options("purpose-any")}
	return []chainCase{
		{"eku-absent", "no extended key usage", accepted, user(without(idExtended)), nil, nil},
		{"eku-mail", "emailProtection only", accepted, user(extended(false, emailProtection)), nil, nil},
		{"eku-mail-critical", "emailProtection, critical", accepted, user(extended(true, emailProtection)), nil, nil},
		{"eku-mail-and-unknown", "emailProtection and a usage that is unknown", accepted, user(extended(false, "1.2.3.4.5", emailProtection)), nil, nil},
		{"eku-any", "anyExtendedKeyUsage", accepted, user(extended(false, anyUsage)), nil, []about{differs("any-usage")}},
		{"eku-client", "clientAuth only", keyUsage, user(extended(false, clientAuth)), nil, nil},
		{"eku-client-critical", "clientAuth only, critical", keyUsage, user(extended(true, clientAuth)), nil, nil},
		{"eku-tls", "serverAuth and clientAuth", keyUsage, user(extended(false, serverAuth, clientAuth)), nil, nil},
		{"eku-code", "codeSigning", keyUsage, user(extended(false, codeSigning)), nil, nil},
		{"eku-time", "timeStamping", keyUsage, user(extended(true, timeStamping)), nil, nil},
		{"eku-unknown", "a usage that is unknown", keyUsage, user(extended(false, "1.2.3.4.5")), nil, nil},
		{"eku-client-any-purpose", "clientAuth only, with purpose any", accepted, user(extended(false, clientAuth)), nil, anything},
		{"eku-server-any-purpose", "serverAuth only, with purpose any", accepted, user(extended(false, serverAuth)), nil, anything},
		{"eku-unknown-any-purpose", "a usage that is unknown, with purpose any", accepted, user(extended(false, "1.2.3.4.5")), nil, anything},
		{"netscape-mail", "Netscape certificate type S/MIME", accepted, user(without(idExtended), with("2.16.840.1.113730.1.1", false, tlv(3, []byte{5, 0x20}))), nil, nil},
		{"netscape-server", "Netscape certificate type SSL server, and no other restriction", accepted, user(without(idExtended), with("2.16.840.1.113730.1.1", false, tlv(3, []byte{6, 0x40}))), nil,
			[]about{differs("netscape-type")}},
	}
}

func authorityPurposes(b *book) []chainCase {
	dir := "chain"
	tls := b.below(dir, b.ca, "TLS CA", extended(false, serverAuth, clientAuth))
	mail := b.below(dir, b.ca, "Mail CA", extended(false, emailProtection))
	anyCA := b.below(dir, b.ca, "Any purpose CA", extended(false, anyUsage))
	tlsRoot := b.in(dir, "TLS root", extended(false, serverAuth))
	signing := b.below(dir, b.ca, "CA that signs mail", usage(digitalSignature|keyCertSign|cRLSign))
	anything := []about{options("purpose-any")}
	return []chainCase{
		{"ca-eku-tls", "a subordinate CA for TLS", keyUsage, tls.user(person("A")), nil, nil},
		{"ca-eku-tls-any-purpose", "the same with purpose any", accepted, tls.user(person("A")), nil, anything},
		{"ca-eku-tls-user-without", "a subordinate CA for TLS, a user without extended key usage", keyUsage, tls.user(person("A"), without(idExtended)), nil, nil},
		{"ca-eku-mail", "a subordinate CA for mail", accepted, mail.user(person("A")), nil, nil},
		{"ca-eku-any", "a subordinate CA for any purpose", accepted, anyCA.user(person("A")), nil, []about{differs("any-usage")}},
		{"root-eku-tls", "a root for TLS", keyUsage, tlsRoot.user(person("A")), nil, nil},
		{"signer-ca", "a subordinate CA as the signer", keyUsage, b.issuing, nil, nil},
		{"signer-ca-that-may", "a subordinate CA with digitalSignature as the signer", keyUsage, signing, nil, nil},
		{"signer-ca-any-purpose", "purpose any does not make a CA an endorser", keyUsage, signing, nil, anything},
		{"signer-root", "a root as the signer", keyUsage, b.ca, nil, nil},
		{"signer-ca-carried", "a CA that the message brings as the signer", keyUsage, b.ca.sub(example("/CN=Signing CA"), ecKey("signing"), usage(digitalSignature|keyCertSign)), nil, nil},
	}
}

func proxies(b *book) []chainCase {
	const rfc, draft = "1.3.6.1.5.5.7.1.14", "1.3.6.1.4.1.3536.1.222"
	info := seq(seq(oid("1.3.6.1.5.5.7.21.1")))
	strip := func(c *certificate) { bare(c); usage(digitalSignature)(c) }
	proxy := func(of *entity, cn string, o ...option) *entity {
		return issue(of, of.dn+"/CN="+cn, ecKey(of.dn+cn), append([]option{strip}, o...)...)
	}
	of3820 := proxy(b.alice, "1234", with(rfc, true, info))
	again := proxy(of3820, "5678", with(rfc, true, info))
	owners := []*entity{b.alice}
	userCA := b.ca.sub(person("User CA"), ecKey("user ca"))
	return []chainCase{
		{"proxy", "an RFC 3820 proxy", proxyCertificate, of3820, owners, nil},
		{"proxy-of-proxy", "a proxy of a proxy", proxyCertificate, again, []*entity{b.alice, of3820}, nil},
		{"proxy-alone", "a proxy without its owner's certificate", proxyCertificate, of3820, nil, nil},
		{"proxy-lax", "a proxy, policies and CRLs not asked for", proxyCertificate, of3820, owners, lax},
		{"proxy-any-purpose", "a proxy, with purpose any", proxyCertificate, of3820, owners, []about{options("purpose-any")}},
		{"proxy-uncritical", "an RFC 3820 proxy whose extension is not critical", proxyCertificate, proxy(b.alice, "1", with(rfc, false, info)), owners, nil},
		{"proxy-draft", "a proxy of the draft before RFC 3820", proxyCertificate, proxy(b.alice, "2", with(draft, true, info)), owners, nil},
		{"proxy-legacy", "a legacy proxy, CN=proxy", proxyCertificate, proxy(b.alice, "proxy"), owners, nil},
		{"proxy-legacy-limited", "a legacy proxy, CN=limited proxy", proxyCertificate, proxy(b.alice, "limited proxy"), owners, nil},
		{"proxy-legacy-case", "a legacy proxy, CN=Limited  PROXY", proxyCertificate, proxy(b.alice, "Limited  PROXY"), owners, nil},
		{"proxy-expired", "an expired proxy: that comes first", certExpired, proxy(b.alice, "3", with(rfc, true, info), valid(-2, -1)), owners, nil},
		{"proxy-by-ca", "the extension in a certificate that a CA issued", proxyCertificate, b.ca.user(person("Alice"), with(rfc, false, info)), nil, nil},
		{"proxy-by-user-ca", "a proxy issued by a user whose certificate says CA", proxyCertificate, proxy(userCA, "4", with(rfc, true, info)), []*entity{userCA}, nil},
		{"proxy-no-extension", "issued by a user, another name, no extension", proxyCertificate, issue(b.alice, person("Alice's friend"), ecKey("friend"), asUser), owners, nil},
		{"called-proxy", "a user whom the CA called proxy", accepted, b.ca.user(person("proxy")), nil, nil},
		{"called-proxy-below-ca", "CN=proxy directly below the CA's name", proxyCertificate, b.ca.user(b.ca.dn + "/CN=proxy"), nil, nil},
	}
}

// trustDirectories are about what in a directory is an anchor.
func trustDirectories(b *book) {
	message := clearSigned(b.alice, list(b.alice))
	certificate := toPEM("CERTIFICATE", b.ca.cert)
	rest := func(dir string) {
		b.put(dir, of(b.ca, "signing_policy"), signingPolicy(b.ca.dn, example("/*")))
		b.put(dir, of(b.ca, "r0"), b.ca.crl())
	}
	damaged := toPEM("CERTIFICATE", b.ca.cert[:len(b.ca.cert)-9])
	stranger := toPEM("CERTIFICATE", root(example("/CN=Stranger"), ecKey("stranger")).cert)
	for _, d := range []struct {
		id, description, expect, name string
		data                          []byte
		more                          []about
	}{
		{"dir-old-hash", "the anchor under the hash of OpenSSL before 1.0 alone", accepted, ofOld(b.ca, "0"), certificate, []about{differs("old-hash")}},
		{"dir-number-7", "the anchor as .7 alone", accepted, of(b.ca, "7"), certificate, []about{differs("hash-number")}},
		{"dir-alias-only", "a .pem that is not linked under a hash: the site distrusts it", untrusted, "example-ca.pem", certificate, nil},
		{"dir-wrong-hash", "the anchor under the hash of another name", untrusted, "0badcafe.0", certificate, nil},
		{"dir-upper-case-hash", "the hash in capitals", untrusted, strings.ToUpper(of(b.ca, "0")), certificate, nil},
		{"dir-backup", "an anchor called HASH.0~", untrusted, of(b.ca, "0~"), certificate, nil},
		{"dir-damaged", "the anchor's file is damaged", untrusted, of(b.ca, "0"), damaged, nil},
		{"dir-empty-file", "the anchor's file is empty", untrusted, of(b.ca, "0"), []byte{}, nil},
		{"dir-der", "the anchor in DER", untrusted, of(b.ca, "0"), b.ca.cert, nil},
		{"dir-key", "a PEM block of another type in the anchor's file", untrusted, of(b.ca, "0"), toPEM("PUBLIC KEY", b.ca.key.spki), nil},
		{"dir-other-certificate", "another CA's certificate under the anchor's hash", untrusted, of(b.ca, "0"), stranger, nil},
		{"dir-two-certificates", "text, another certificate and the anchor in one file", accepted, of(b.ca, "0"), join([]byte("Example CA\n"), stranger, certificate), nil},
		{"dir-text-around", "an anchor with openssl x509 -text before it", accepted, of(b.ca, "0"), join([]byte("Certificate:\n    Data:\n        Version: 3 (0x2)\n"), certificate, []byte("# end\n")), nil},
		{"dir-old-label", "an anchor of PEM type X509 CERTIFICATE", accepted, of(b.ca, "0"), toPEM("X509 CERTIFICATE", b.ca.cert), nil},
		{"dir-none", "a directory without any anchor", untrusted, "README", []byte("empty\n"), nil},
		{"dir-user", "the signer's own certificate for an anchor, its issuer missing", untrusted, of(b.alice, "0"), toPEM("CERTIFICATE", b.alice.cert), nil},
	} {
		rest(d.id)
		b.put(d.id, d.name, d.data)
		b.add("chain-"+d.id, d.description, d.expect, "trust.md 3.1", message, append([]about{trusting(d.id)}, d.more...)...)
	}
	bundles(b, message, certificate)
}

func bundles(b *book, message, certificate []byte) {
	stranger := toPEM("CERTIFICATE", root(example("/CN=Stranger"), ecKey("stranger")).cert)
	b.put("", "bundle.pem", join(stranger, certificate, b.ca.crl()))
	b.put("", "bundle-without-crl.pem", join(stranger, certificate))
	b.put("", "bundle-stranger.pem", stranger)
	b.put("", "bundle-issuing.pem", join(toPEM("CERTIFICATE", b.issuing.cert), b.issuing.crl()))
	anyPolicy := policyMode("ignore")
	const clause = "contract §2 trust.anchors"
	b.add("chain-bundle", "a PEM bundle with anchor and CRL", accepted, clause, message, trusting("bundle.pem"), anyPolicy)
	b.add("chain-bundle-policy", "a bundle holds no signing policy", policyDenies, clause, message, trusting("bundle.pem"))
	b.add("chain-bundle-no-crl", "a bundle without CRL", crlMissing, clause, message, trusting("bundle-without-crl.pem"), anyPolicy)
	b.add("chain-bundle-no-crl-ignored", "a bundle without CRL, none asked for", accepted, clause, message, trusting("bundle-without-crl.pem"), anyPolicy, crlMode("ignore"))
	b.add("chain-bundle-stranger", "a bundle of other anchors", untrusted, clause, message, trusting("bundle-stranger.pem"), anyPolicy, crlMode("ignore"))
	b.add("chain-bundle-subordinate", "a bundle of a subordinate CA alone", untrusted, clause,
		clearSigned(b.issuing.user(person("Alice")), listBy(person("Alice"), b.issuing.dn)), trusting("bundle-issuing.pem"), anyPolicy, crlMode("ignore"))
}
