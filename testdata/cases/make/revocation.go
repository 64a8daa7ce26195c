package main

import (
	"bytes"
	"crypto"
	"time"
)

// crlCase is a list by a user of a root that is there for this case alone,
// with the files that hold its CRLs.
type crlCase struct {
	id, description, expect string
	files                   func(ca, user *entity) crlFiles
	more                    []about
}

// crlFiles are contents by suffix: r0, r1 and so on.
type crlFiles map[string][]byte

// revocations are about CRLs.
func revocations(b *book) {
	b.base("crl")
	for _, group := range [][]crlCase{crlStates(), crlModes(), revokedUsers(), crlForms(), crlAlgorithms(), crlExtensions(), crlBroken()} {
		for _, c := range group {
			ca := crlIssuer(c.id)
			user := ca.user(person("Alice"), point("http://crl.example.org/a"))
			b.install("crl", ca)
			b.drop("crl", of(ca, "r0"))
			for suffix, data := range c.files(ca, user) {
				name := of(ca, suffix)
				if old, found := bytes.CutPrefix([]byte(suffix), []byte("old.")); found {
					name = ofOld(ca, string(old))
				}
				b.put("crl", name, data)
			}
			b.add("crl-"+c.id, c.description, c.expect, "trust.md 3.4; T-10, T-11", clearSigned(user, list(user)), append([]about{trusting("crl")}, c.more...)...)
		}
	}
	revokedAuthorities(b)
	renewedAuthorities(b)
}

// crlIssuer is the root of a case, with what is special about it.
func crlIssuer(id string) *entity {
	name, k := example("/CN=CA "+id), ecKey("crl "+id)
	switch id {
	case "issuer-may-not":
		return root(name, k, usage(keyCertSign))
	case "issuer-no-usage":
		return root(name, k, without(idKeyUsage))
	case "rsa-sha1", "rsa-md5", "rsa-pss", "rsa-pss-sha1":
		return root(name, rsaKey("root", 2048))
	}
	return root(name, k)
}

// only is one CRL in HASH.r0.
func only(options ...crlOption) func(ca, user *entity) crlFiles {
	return func(ca, _ *entity) crlFiles { return crlFiles{"r0": ca.crl(options...)} }
}

// raw is HASH.r0 as it stands.
func raw(data []byte) func(ca, user *entity) crlFiles {
	return func(_, _ *entity) crlFiles { return crlFiles{"r0": data} }
}

func noFiles(_, _ *entity) crlFiles { return nil }

func crlStates() []crlCase {
	hour := time.Hour
	late := only(dated(days(-8), at.Add(-hour)))
	return []crlCase{
		{"good", "a current CRL", accepted, only(), nil},
		{"missing", "no CRL", crlMissing, noFiles, nil},
		{"stale", "the next one was due an hour ago", crlStale, late, nil},
		{"stale-a-second", "the next one was due a second ago", crlStale, only(dated(days(-8), at.Add(-time.Second))), nil},
		{"due-now", "the next one is due at the very instant", accepted, only(dated(days(-8), at)), []about{differs("last-second")}},
		{"stale-in-grace", "due an hour ago, with a grace of an hour", accepted, late, []about{grace(hour), differs("crl-grace")}},
		{"stale-after-grace", "due an hour ago, with a grace of 59 minutes", crlStale, late, []about{grace(59 * time.Minute)}},
		{"stale-72h", "due 72 hours ago, with a grace of 72 hours", accepted, only(dated(days(-8), days(-3))), []about{grace(72 * hour), differs("crl-grace")}},
		{"stale-over-72h", "due 73 hours ago: no grace is longer than 72", crlStale, only(dated(days(-8), days(-3).Add(-hour))), []about{grace(1000 * hour)}},
		{"future", "made in six minutes", crlStale, only(dated(at.Add(6*time.Minute), days(7))), nil},
		{"future-within-skew", "made in four minutes", accepted, only(dated(at.Add(4*time.Minute), days(7))), []about{differs("clock-skew")}},
		{"made-now", "made at the very instant", accepted, only(dated(at, days(7))), nil},
		{"no-next-update", "it does not say when the next is due", crlMissing, only(func(c *crl) { c.next = nil }), nil},
		{"reversed", "the next one was due before it was made", crlStale, only(dated(days(-1), days(-2))), nil},
		{"judged-later", "current today, judged in ten days", crlStale, only(), []about{judgedAt(days(10))}},
	}
}

// crlModes are the states that matter under the modes that ask for less.
func crlModes() []crlCase {
	stranger := root(example("/CN=Stranger"), ecKey("stranger"))
	var all []crlCase
	for _, s := range []struct {
		id, description, require, ifPresent string
		files                               func(ca, user *entity) crlFiles
	}{
		{"missing", "no CRL", "", accepted, noFiles},
		{"stale", "a stale CRL", "", crlStale, only(dated(days(-8), days(-1)))},
		{"future", "a CRL of tomorrow", "", crlStale, only(dated(days(1), days(7)))},
		{"bad-signature", "a CRL with a bad signature", crlMissing, crlMissing, only(func(c *crl) { c.bend = flipLast })},
		{"other-issuer", "another CA's CRL under the CA's hash", crlMissing, crlMissing, func(_, _ *entity) crlFiles { return crlFiles{"r0": stranger.crl()} }},
		{"unreadable", "an error page for a CRL", crlMissing, crlMissing, raw([]byte("<html>404 Not Found</html>\n"))},
	} {
		if s.require != "" {
			all = append(all, crlCase{s.id, s.description, s.require, s.files, nil})
		}
		all = append(all,
			crlCase{s.id + "-if-present", s.description + ", asked for if present", s.ifPresent, s.files, []about{crlMode("if-present")}},
			crlCase{s.id + "-ignored", s.description + ", not asked for", accepted, s.files, []about{crlMode("ignore")}})
	}
	return all
}

func revokedUsers() []crlCase {
	listed := func(options ...crlOption) func(ca, user *entity) crlFiles {
		return func(ca, user *entity) crlFiles { return crlFiles{"r0": ca.crl(append(options, revokes(user))...)} }
	}
	because := func(code byte) func(ca, user *entity) crlFiles {
		return func(ca, user *entity) crlFiles { return crlFiles{"r0": ca.crl(revokes(user, reason(code)))} }
	}
	beside := func(suffix string) func(ca, user *entity) crlFiles {
		return func(ca, user *entity) crlFiles {
			return crlFiles{"r0": ca.crl(), suffix: ca.crl(revokes(user))}
		}
	}
	serials := func(of func(user *entity) []byte) func(ca, user *entity) crlFiles {
		return func(ca, user *entity) crlFiles {
			return crlFiles{"r0": ca.crl(func(c *crl) { c.entries = [][]byte{entry(of(user), days(-1))} })}
		}
	}
	crowd := func(c *crl) {
		for n := range int64(200) {
			c.entries = append(c.entries, entry(integer(1e9+n), days(-1)))
		}
	}
	return []crlCase{
		{"revoked", "the signer is revoked", revoked, listed(), nil},
		{"revoked-if-present", "revoked, CRLs asked for if present", revoked, listed(), []about{crlMode("if-present")}},
		{"revoked-ignored", "revoked, CRLs not asked for", accepted, listed(), []about{crlMode("ignore")}},
		{"revoked-compromise", "revoked for key compromise", revoked, because(1), nil},
		{"revoked-hold", "on hold, which is revoked", revoked, because(6), nil},
		{"revoked-removed", "removeFromCRL, which belongs to delta CRLs", revoked, because(8), nil},
		{"revoked-superseded", "superseded", revoked, because(4), nil},
		{"revoked-unknown-reason", "a reason that there is not", revoked, because(77), nil},
		{"revoked-tomorrow", "revoked from tomorrow on", revoked, func(ca, user *entity) crlFiles {
			return crlFiles{"r0": ca.crl(func(c *crl) { c.entries = [][]byte{entry(user.tbs.serial, days(1))} })}
		}, nil},
		{"revoked-in-r1", "revoked in .r1 alone", revoked, beside("r1"), nil},
		{"revoked-in-r9", "revoked in .r9 alone, the numbers between missing", revoked, beside("r9"), nil},
		{"revoked-in-old-hash", "revoked in a file under the old hash alone", revoked, beside("old.r0"), nil},
		{"revoked-in-second-block", "revoked in the second PEM block of a file", revoked, func(ca, user *entity) crlFiles {
			return crlFiles{"r0": join(ca.crl(), ca.crl(revokes(user)))}
		}, nil},
		{"revoked-in-second-der", "revoked in the second list of a DER file", revoked, func(ca, user *entity) crlFiles {
			return crlFiles{"r0": join(ca.crl(asDER), ca.crl(asDER, revokes(user)))}
		}, nil},
		{"revoked-in-stale", "revoked in a stale CRL beside a current one that does not say so", revoked, func(ca, user *entity) crlFiles {
			return crlFiles{"r0": ca.crl(), "r1": ca.crl(revokes(user), dated(days(-9), days(-2)))}
		}, nil},
		{"revoked-in-only-stale", "revoked in a CRL that is stale: that is a fact, staleness is not", revoked, listed(dated(days(-9), days(-2))), nil},
		{"revoked-no-next-update", "revoked in a CRL without nextUpdate", revoked, listed(func(c *crl) { c.next = nil }), nil},
		{"revoked-version-1", "revoked in a CRL of version 1", revoked, listed(versionOne), nil},
		{"revoked-crowd", "the last of 201 that are revoked", revoked, listed(crowd), nil},
		{"revoked-invalidity-date", "an entry with reason and invalidity date", revoked, func(ca, user *entity) crlFiles {
			return crlFiles{"r0": ca.crl(revokes(user, reason(1), extension("2.5.29.24", false, generalTime(days(-9)))))}
		}, nil},
		{"revoked-padded-serial", "the serial number with a zero octet more", revoked, serials(func(u *entity) []byte { return tlv(2, []byte{0}, body(u.tbs.serial)) }), nil},
		{"revoked-other", "somebody else is revoked", accepted, serials(func(*entity) []byte { return integer(5) }), nil},
		{"revoked-negative-serial", "the serial number with its sign changed is revoked", accepted, serials(func(*entity) []byte { return integer(-5) }), nil},
		{"revoked-by-stranger", "listed in a CRL with a bad signature: that proves nothing, nor does it help", crlMissing, listed(func(c *crl) { c.bend = flipLast }), nil},
		{"revoked-by-delta", "listed in a delta CRL beside a full one", accepted, func(ca, user *entity) crlFiles {
			return crlFiles{"r0": ca.crl(), "r1": ca.crl(revokes(user), crlExtension("2.5.29.27", true, integer(1)))}
		}, nil},
	}
}

func crlForms() []crlCase {
	older := dated(days(-3), days(5))
	two := func(files func(ca *entity) crlFiles) func(ca, user *entity) crlFiles {
		return func(ca, _ *entity) crlFiles { return files(ca) }
	}
	other := root(example("/CN=Stranger"), ecKey("stranger"))
	first := []about{differs("crl-files")}
	return []crlCase{
		{"version-1", "version 1", accepted, only(versionOne), nil},
		{"der", "DER", accepted, only(asDER), []about{differs("crl-der")}},
		{"version-1-der", "version 1 in DER", accepted, only(versionOne, asDER), []about{differs("crl-der")}},
		{"no-number", "no CRL number", accepted, only(func(c *crl) { c.extensions = c.extensions[:1] }), nil},
		{"no-extensions", "version 2 without extensions", accepted, only(func(c *crl) { c.extensions = nil }), nil},
		{"generalized-time", "dates as GeneralizedTime", accepted, only(func(c *crl) { c.this, c.next = generalTime(days(-1)), generalTime(days(7)) }), nil},
		{"next-2060", "the next one is due in 2060", accepted, only(dated(days(-1), days(12410))), nil},
		{"text-before", "openssl crl -text before the PEM", accepted, two(func(ca *entity) crlFiles {
			return crlFiles{"r0": join([]byte("Certificate Revocation List (CRL):\n    Data:\n"), ca.crl())}
		}), nil},
		{"two-in-file", "two lists in one file", accepted, two(func(ca *entity) crlFiles { return crlFiles{"r0": join(ca.crl(older), ca.crl())} }), nil},
		{"stale-and-good", "a stale .r0 and a current .r1", accepted, two(func(ca *entity) crlFiles {
			return crlFiles{"r0": ca.crl(dated(days(-9), days(-2))), "r1": ca.crl()}
		}), nil},
		{"garbage-and-good", "an unreadable .r0 and a current .r1", accepted, two(func(ca *entity) crlFiles { return crlFiles{"r0": []byte("x"), "r1": ca.crl()} }), []about{differs("crl-files")}},
		{"stranger-and-good", "another CA's list as .r0 and a current .r1", accepted, two(func(ca *entity) crlFiles { return crlFiles{"r0": other.crl(), "r1": ca.crl()} }), nil},
		{"bad-signature-and-good", "a list with a bad signature and a current one", accepted, two(func(ca *entity) crlFiles {
			return crlFiles{"r0": ca.crl(func(c *crl) { c.bend = flipLast }, older), "r1": ca.crl()}
		}), nil},
		{"only-r3", "only .r3", accepted, two(func(ca *entity) crlFiles { return crlFiles{"r3": ca.crl()} }), first},
		{"old-hash", "only under the old hash", accepted, two(func(ca *entity) crlFiles { return crlFiles{"old.r0": ca.crl()} }), []about{differs("old-hash")}},
		{"wrong-suffix", "HASH.crl", crlMissing, two(func(ca *entity) crlFiles { return crlFiles{"crl": ca.crl()} }), nil},
		{"suffix-r", "HASH.r without a number", crlMissing, two(func(ca *entity) crlFiles { return crlFiles{"r": ca.crl()} }), nil},
	}
}

func crlAlgorithms() []crlCase {
	by := func(k *key, h crypto.Hash) func(ca, user *entity) crlFiles {
		return only(func(c *crl) { c.by, c.sign = k, k.with(h) })
	}
	return []crlCase{
		{"sha1", "signed over SHA-1", accepted, only(crlOver(crypto.SHA1)), nil},
		{"sha384", "signed over SHA-384", accepted, only(crlOver(crypto.SHA384)), nil},
		{"sha512", "signed over SHA-512", accepted, only(crlOver(crypto.SHA512)), nil},
		{"sha224", "signed over SHA-224", crlMissing, only(crlOver(crypto.SHA224)), nil},
		{"other-key", "signed with another key of the same name", crlMissing, by(ecKey("other"), crypto.SHA256), nil},
		{"other-key-rsa", "signed with an RSA key of the same name", crlMissing, by(rsaKey("signer", 2048), crypto.SHA256), nil},
		{"rsa-sha1", "signed with RSA over SHA-1, as CAs of old still do", accepted, only(crlOver(crypto.SHA1)), nil},
		{"rsa-md5", "signed with RSA over MD5", crlMissing, only(crlOver(crypto.MD5)), nil},
		{"rsa-pss", "signed with RSA-PSS", accepted, only(func(c *crl) { c.sign = pssWith(crypto.SHA256, 32) }), nil},
		{"rsa-pss-sha1", "signed with RSA-PSS over SHA-1", crlMissing, only(func(c *crl) { c.sign = pssWith(crypto.SHA1, 20) }), nil},
		{"two-algorithms", "two signature algorithms", crlMissing, only(func(c *crl) { c.says = c.by.with(crypto.SHA512).id }), nil},
		{"unknown-algorithm", "an unknown signature algorithm", crlMissing, only(func(c *crl) { c.sign.id = seq(oid("1.2.3.4.5")) }), nil},
		{"other-key-identifier", "an authority key identifier of another key", crlMissing, only(func(c *crl) { c.extensions[0] = authorityKey([]byte("another")) }), nil},
		{"no-key-identifier", "no authority key identifier", accepted, only(func(c *crl) { c.extensions = c.extensions[1:] }), nil},
		{"issuer-may-not", "the CA's key usage lacks cRLSign", crlMissing, only(), nil},
		{"issuer-no-usage", "the CA has no key usage", accepted, only(), nil},
		{"other-name", "signed with the CA's key under another name", crlMissing, only(func(c *crl) { c.issuer = dn(example("/CN=Other")) }), nil},
	}
}

func crlExtensions() []crlCase {
	distribution := func(fields ...[]byte) func(ca, user *entity) crlFiles {
		return only(crlExtension("2.5.29.28", true, seq(fields...)))
	}
	flag := func(n byte) []byte { return implicit(n, []byte{0xff}) }
	uri := func(s string) []byte { return explicit(0, explicit(0, implicit(6, []byte(s)))) }
	listing := func(extensions ...[]byte) func(ca, user *entity) crlFiles {
		return only(func(c *crl) { c.entries = [][]byte{entry(integer(5), days(-1), extensions...)} })
	}
	return []crlCase{
		{"delta", "a delta CRL alone", crlMissing, only(crlExtension("2.5.29.27", true, integer(1))), nil},
		{"delta-uncritical", "a delta CRL whose indicator is not critical", crlMissing, only(crlExtension("2.5.29.27", false, integer(1))), nil},
		{"unknown-critical", "an unknown critical extension", crlMissing, only(crlExtension("1.2.3.4.5", true, null())), nil},
		{"unknown", "an unknown extension that is not critical", accepted, only(crlExtension("1.2.3.4.5", false, null())), nil},
		{"extension-twice", "an extension twice", crlMissing, only(crlExtension("1.2.3.4.5", false, null()), crlExtension("1.2.3.4.5", false, null())), nil},
		{"indirect", "an indirect CRL", crlMissing, distribution(flag(4)), nil},
		{"attributes-only", "only for attribute certificates", crlMissing, distribution(flag(5)), nil},
		{"some-reasons", "only for some reasons", crlMissing, distribution(implicit(3, []byte{0, 0x40})), nil},
		{"ca-only", "only for CAs", crlMissing, distribution(flag(2)), nil},
		{"user-only", "only for users, asked about a user", accepted, distribution(flag(1)), []about{differs("crl-of-root")}},
		{"point", "only for the distribution point that the certificate names", accepted, distribution(uri("http://crl.example.org/a")), []about{differs("crl-of-root")}},
		{"other-point", "only for another distribution point", crlMissing, distribution(uri("http://crl.example.org/b")), nil},
		{"malformed-point", "a distribution point that cannot be read", crlMissing, only(crlExtension("2.5.29.28", true, []byte{0x30, 5})), nil},
		{"freshest", "a pointer to delta CRLs, which are not asked for", accepted, only(crlExtension("2.5.29.46", false, seq(seq(uri("http://crl.example.org/delta"))))), nil},
		{"entry-unknown-critical", "somebody else's entry with an unknown critical extension", crlMissing, listing(extension("1.2.3.4.5", true, null())), nil},
		{"entry-unknown", "somebody else's entry with an unknown extension", accepted, listing(extension("1.2.3.4.5", false, null())), nil},
		{"entry-issuer", "an entry that names its certificate's issuer", crlMissing, listing(extension("2.5.29.29", true, seq(explicit(4, dn("/CN=X"))))), nil},
		{"number-huge", "a CRL number of forty octets", crlMissing, only(func(c *crl) {
			c.extensions[1] = extension("2.5.29.20", false, tlv(2, bytes.Repeat([]byte{1}, 40)))
		}), nil},
	}
}

func crlBroken() []crlCase {
	der := func(change func(der []byte) []byte) func(ca, user *entity) crlFiles {
		return only(asDER, func(c *crl) { c.bend = change })
	}
	return []crlCase{
		{"empty-file", "an empty file", crlMissing, raw([]byte{}), nil},
		{"cut", "a list without its last byte", crlMissing, der(func(d []byte) []byte { return d[:len(d)-1] }), nil},
		{"pem-cut", "PEM without its end", crlMissing, func(ca, _ *entity) crlFiles { return crlFiles{"r0": ca.crl()[:200]} }, nil},
		{"certificate", "a certificate in the file", crlMissing, func(ca, _ *entity) crlFiles { return crlFiles{"r0": toPEM("CERTIFICATE", ca.cert)} }, nil},
		{"version-3", "version 3", crlMissing, only(func(c *crl) { c.version = integer(2) }), nil},
		{"version-1-extensions", "version 1 with extensions", crlMissing, only(func(c *crl) { c.version = nil }), nil},
		{"version-1-entry-extensions", "version 1 with an extension of an entry", crlMissing, only(versionOne, func(c *crl) {
			c.entries = [][]byte{entry(integer(5), days(-1), reason(1))}
		}), nil},
		{"date", "a date that is none", crlMissing, only(func(c *crl) { c.this = tlv(0x17, []byte("261301000000Z")) }), nil},
		{"entry-not-a-sequence", "an entry that is an integer", crlMissing, only(func(c *crl) { c.entries = [][]byte{integer(5)} }), nil},
		{"empty-serial", "an entry with an empty serial number", crlMissing, only(func(c *crl) { c.entries = [][]byte{entry([]byte{2, 0}, days(-1))} }), nil},
		{"tail", "a field more at the end", crlMissing, der(func(d []byte) []byte { return seq(body(d), null()) }), nil},
	}
}

// revokedAuthorities are about the links above the signer.
func revokedAuthorities(b *book) {
	const dir = "crl-authorities"
	top := b.in(dir, "Root of revoked CAs")
	below := func(cn string) (*entity, *entity) {
		ca := b.below(dir, top, cn)
		return ca, ca.user(person("Alice"))
	}
	gone, userOfGone := below("Revoked CA")
	held, userOfHeld := below("CA on hold")
	_, userOfGood := below("Good CA")
	silent, userOfSilent := below("CA without CRL")
	late, userOfLate := below("CA with stale CRL")
	both := gone.user(person("Bob"))
	b.put(dir, of(gone, "r0"), gone.crl(revokes(both)))
	b.put(dir, of(top, "r0"), top.crl(revokes(gone), revokes(held, reason(6))))
	b.drop(dir, of(silent, "r0"))
	b.put(dir, of(late, "r0"), late.crl(dated(days(-9), days(-2))))
	goneSilent := b.below(dir, top, "Revoked CA without CRL")
	b.drop(dir, of(goneSilent, "r0"))
	b.put(dir, of(top, "r1"), top.crl(revokes(goneSilent)))
	noTop := b.in(dir, "Root without CRL")
	b.drop(dir, of(noTop, "r0"))
	userOfNoTop := b.below(dir, noTop, "CA whose root has no CRL").user(person("Alice"))
	selfRevoked := b.in(dir, "Root that revokes itself")
	b.put(dir, of(selfRevoked, "r0"), selfRevoked.crl(revokes(selfRevoked)))
	for _, c := range []struct {
		id, description, expect string
		who                     *entity
		more                    []about
	}{
		{"ca-good", "the CA's CRL and the root's", accepted, userOfGood, nil},
		{"ca-revoked", "the subordinate CA is revoked", revoked, userOfGone, nil},
		{"ca-revoked-if-present", "the same, CRLs asked for if present", revoked, userOfGone, []about{crlMode("if-present")}},
		{"ca-revoked-ignored", "the same, CRLs not asked for", accepted, userOfGone, []about{crlMode("ignore")}},
		{"ca-hold", "the subordinate CA is on hold", revoked, userOfHeld, nil},
		{"ca-and-user-revoked", "both revoked", revoked, both, nil},
		{"ca-no-crl", "the subordinate CA has no CRL", crlMissing, userOfSilent, nil},
		{"ca-no-crl-if-present", "the same, CRLs asked for if present", accepted, userOfSilent, []about{crlMode("if-present")}},
		{"ca-stale", "the subordinate CA's CRL is stale", crlStale, userOfLate, nil},
		{"ca-revoked-no-crl", "the CA is revoked and has no CRL of its own: the fact counts", revoked, goneSilent.user(person("Alice")), nil},
		{"root-no-crl", "the root has no CRL", crlMissing, userOfNoTop, nil},
		{"root-revokes-itself", "a root that lists itself: an anchor is trusted for where it lies", accepted, selfRevoked.user(person("Alice")), []about{differs("crl-of-root")}},
	} {
		b.add("crl-"+c.id, c.description, c.expect, "trust.md 3.4; T-10", clearSigned(c.who, list(c.who)), append([]about{trusting(dir)}, c.more...)...)
	}
}

// renewedAuthorities are CAs with a new key, which signs CRLs about what the
// old one issued as well; the old key's certificate, by the new one, is in the
// message.
func renewedAuthorities(b *book) {
	const dir = "crl-authorities"
	for _, c := range []struct {
		id, description, expect string
		files                   func(newer, older, user *entity) crlFiles
	}{
		{"new-key", "a CRL by the new key alone", accepted, func(newer, _, _ *entity) crlFiles {
			return crlFiles{"r0": newer.crl()}
		}},
		{"new-key-lists", "listed in the CRL by the new key", revoked, func(newer, _, user *entity) crlFiles {
			return crlFiles{"r0": newer.crl(revokes(user))}
		}},
		{"new-key-lists-beside", "listed in the CRL by the new key, not in the old key's", revoked, func(newer, older, user *entity) crlFiles {
			return crlFiles{"r0": older.crl(), "r1": newer.crl(revokes(user))}
		}},
		{"old-key-alone", "a CRL by the old key alone: none about the old key itself", crlMissing, func(_, older, _ *entity) crlFiles {
			return crlFiles{"r0": older.crl()}
		}},
	} {
		newer := b.in(dir, "Renewed CA, "+c.id)
		older := issue(newer, newer.dn, ecKey("old "+c.id), asCA)
		user := older.user(person("Alice"))
		for suffix, data := range c.files(newer, older, user) {
			b.put(dir, of(newer, suffix), data)
		}
		b.add("crl-rollover-"+c.id, c.description, c.expect, "trust.md 3.4, 3.6; T-10", clearSigned(user, list(user), carrying(older)), trusting(dir))
	}
}
