package main

import (
	"strings"
)

// policyCase is a list by a user of a root that is there for this case alone.
// In its files CA and USER stand for the two names.
type policyCase struct {
	id, description, expect string
	signing, namespaces     string // "" for no file
	user                    string // the rest of the user's name, below /DC=org/DC=example
	more                    []about
}

const (
	rights    = "pos_rights globus CA:sign\n"
	blockHead = "access_id_CA X509 'CA'\n" + rights
	allowed   = blockHead + "cond_subjects globus '\"/DC=org/DC=example/*\"'\n"
	statement = "TO Issuer \"CA\" \\\n  PERMIT Subject \"/DC=org/DC=example/.*\"\n"
)

// policies are about .signing_policy and .namespaces.
func policies(b *book) {
	b.base("policy")
	groups := [][]policyCase{bothFiles(), signingGrammar(), signingGlobs(), namespacesGrammar(), namespacesPatterns()}
	for _, group := range groups {
		for _, c := range group {
			ca := root(example("/CN=CA "+c.id), ecKey("policy "+c.id))
			if c.user == "" {
				c.user = "/OU=people/CN=Alice"
			}
			user := ca.user(example(c.user))
			fill := strings.NewReplacer("CA\"", ca.dn+"\"", "'CA'", "'"+ca.dn+"'", "USER", user.dn)
			b.certificate("policy", ca)
			b.put("policy", of(ca, "r0"), ca.crl())
			for suffix, text := range map[string]string{"signing_policy": c.signing, "namespaces": c.namespaces} {
				if text != "" {
					b.put("policy", of(ca, suffix), []byte(fill.Replace(text)))
				}
			}
			b.add("policy-"+c.id, c.description, c.expect, "trust.md 3.2, 3.3", clearSigned(user, list(user)), append([]about{trusting("policy")}, c.more...)...)
		}
	}
	policyLookups(b)
}

func bothFiles() []policyCase {
	denied := strings.ReplaceAll(allowed, "DC=org", "DC=com")
	deniedToo := strings.ReplaceAll(statement, "/DC=org", "/DC=com")
	ifPresent, ignored := []about{policyMode("if-present")}, []about{policyMode("ignore")}
	const version2 = "#NAMESPACES-VERSION: 2.0\n" + statement
	return []policyCase{
		{"both", "both files permit", accepted, allowed, statement, "", nil},
		{"signing-only", "a signing_policy alone", accepted, allowed, "", "", nil},
		{"namespaces-only", "namespaces alone", accepted, "", statement, "", nil},
		{"neither", "no file", policyDenies, "", "", "", nil},
		{"neither-if-present", "no file, asked for if present", accepted, "", "", "", ifPresent},
		{"neither-ignored", "no file, not asked for", accepted, "", "", "", ignored},
		{"signing-against", "namespaces permit, signing_policy does not", policyDenies, denied, statement, "", nil},
		{"namespaces-against", "signing_policy permits, namespaces do not", policyDenies, allowed, deniedToo, "", nil},
		{"both-deny", "neither file permits", policyDenies, denied, deniedToo, "", nil},
		{"denies-if-present", "signing_policy does not permit, asked for if present", policyDenies, denied, "", "", ifPresent},
		{"denies-ignored", "signing_policy does not permit, not asked for", accepted, denied, "", "", ignored},
		{"unusable-beside-permit", "signing_policy permits, namespaces cannot be read", policyDenies, allowed, version2, "", nil},
		{"unusable-if-present", "the same, asked for if present", policyDenies, allowed, version2, "", ifPresent},
		{"empty-file", "a signing_policy of blank lines", policyDenies, "\n\n", "", "", nil},
		{"empty-file-beside-permit", "a signing_policy of comments alone, namespaces that permit", policyDenies, "# nothing\n", statement, "", nil},
	}
}

func signingGrammar() []policyCase {
	subjects := func(value string) string { return blockHead + "cond_subjects globus " + value + "\n" }
	good := func(id, description, text string) policyCase {
		return policyCase{"signing-" + id, description, accepted, text, "", "", nil}
	}
	bad := func(id, description, text string) policyCase {
		return policyCase{"signing-" + id, description, policyDenies, text, "", "", nil}
	}
	const star = "/DC=org/DC=example/*"
	return []policyCase{
		good("comments", "comments and blank lines", "# EACL\n\n"+strings.ReplaceAll(allowed, "\n", "\n\n# x\n")),
		good("crlf-tabs", "CRLF and tabs", crlf(strings.ReplaceAll(allowed, " globus ", "\tglobus\t\t"))),
		good("several", "several patterns in one condition", subjects(`'"/C=X/*" "`+star+`" "/C=Y/*"'`)),
		good("bare-single", "one pattern in single quotes alone", subjects("'"+star+"'")),
		good("bare", "one pattern without quotes", subjects(star)),
		good("double", "one pattern in double quotes alone", subjects(`"`+star+`"`)),
		good("two-conditions", "two conditions of a block", subjects(`'"/C=X/*"'`)+"cond_subjects globus '\""+star+"\"'\n"),
		good("two-blocks", "another CA's block before", strings.ReplaceAll(allowed, "'CA'", "'/C=X/CN=Other'")+allowed),
		good("trailing-comment", "a comment behind a value", strings.ReplaceAll(allowed, "CA:sign", "CA:sign # sign")),
		bad("other-ca", "only another CA's block", strings.ReplaceAll(allowed, "'CA'", "'/C=X/CN=Other'")),
		bad("anybody", "access_id_ANYBODY", strings.ReplaceAll(allowed, "access_id_CA", "access_id_ANYBODY")),
		bad("negative-rights", "neg_rights", strings.ReplaceAll(allowed, "pos_rights", "neg_rights")),
		bad("other-right", "a right that is not CA:sign", strings.ReplaceAll(allowed, "CA:sign", "CA:other")),
		bad("no-rights", "no rights", strings.ReplaceAll(allowed, rights, "")),
		bad("no-condition", "no condition", blockHead),
		bad("condition-first", "the condition before the rights", "access_id_CA X509 'CA'\ncond_subjects globus '\"*\"'\n"+rights),
		bad("no-issuer", "no access_id_CA", rights+"cond_subjects globus '\"*\"'\n"),
		bad("not-x509", "an authority other than X509", strings.ReplaceAll(allowed, "X509", "PGP")),
		bad("not-globus", "an authority other than globus", strings.ReplaceAll(allowed, "cond_subjects globus", "cond_subjects mars")),
		bad("open-quote", "a single quote that does not end", strings.ReplaceAll(allowed, "\"'\n", "\"\n")),
		bad("open-double-quote", "a double quote that does not end", strings.ReplaceAll(allowed, "*\"'", "*'")),
		bad("empty-pattern", "an empty pattern", subjects(`'""'`)),
		bad("text-behind", "text behind the quotes", strings.ReplaceAll(allowed, "\"'\n", "\"' '*'\n")),
		bad("unknown-keyword", "an unknown keyword in a file that otherwise permits", allowed+"cond_time globus '\"now\"'\n"),
		bad("html", "an error page for a policy", "<html>404</html>\n"),
		bad("banned", "cond_banned_subjects that names the user", allowed+"cond_banned_subjects globus '\"USER\"'\n"),
		good("banned-other", "cond_banned_subjects that names somebody else", allowed+"cond_banned_subjects globus '\"USERx\"'\n"),
		bad("banned-first", "the ban before the permission", blockHead+"cond_banned_subjects globus '\"*/CN=Alice\"'\ncond_subjects globus '\"*\"'\n"),
		bad("issuer-lower-case", "the CA's name in lower case", strings.ReplaceAll(allowed, "'CA'", "'/dc=org/dc=example/cn=ca signing-issuer-lower-case'")),
	}
}

func signingGlobs() []policyCase {
	glob := func(id, description, expect, pattern, user string) policyCase {
		return policyCase{"glob-" + id, description, expect, blockHead + "cond_subjects globus '\"" + pattern + "\"'\n", "", user, nil}
	}
	return []policyCase{
		glob("exact", "the whole name", accepted, "USER", ""),
		glob("prefix", "the beginning of the name without a star", policyDenies, "/DC=org/DC=example", ""),
		glob("suffix", "the end of the name without a star", policyDenies, "/CN=Alice", ""),
		glob("not-at-start", "a pattern that matches further on (VOMS permits)", policyDenies, "/DC=example/*", ""),
		glob("star-suffix", "a star and the end", accepted, "*/CN=Alice", ""),
		glob("star-middle", "a star in the middle, over a slash", accepted, "/DC=org/*/CN=Alice", ""),
		glob("star-two", "two stars", accepted, "*/OU=people/*", ""),
		glob("star-after-end", "a star after the end of the name", accepted, "USER*", ""),
		glob("question", "a question mark for one character", accepted, "/DC=org/DC=example/OU=people/CN=Al?ce", ""),
		glob("question-none", "a question mark for no character", policyDenies, "/DC=org/DC=example/OU=people/CN=Alice?", ""),
		glob("case", "the pattern in lower case", policyDenies, "/dc=org/dc=example/*", ""),
		glob("dot", "a dot is a dot", policyDenies, "/DC.org/DC=example/*", ""),
		glob("brackets", "brackets are brackets", policyDenies, "/DC=org/DC=example/OU=people/CN=[A]lice", ""),
		glob("tail", "the pattern's name and more in the subject", policyDenies, "/DC=org/DC=example/OU=people", ""),
		glob("short-name", "a pattern that is the beginning of the last value", policyDenies, "/DC=org/DC=example/OU=people/CN=Ali", ""),
	}
}

func namespacesGrammar() []policyCase {
	v := namespacesVersion
	good := func(id, description, text string) policyCase {
		return policyCase{"namespaces-" + id, description, accepted, "", text, "", nil}
	}
	bad := func(id, description, text string) policyCase {
		return policyCase{"namespaces-" + id, description, policyDenies, "", text, "", nil}
	}
	deny := func(pattern string) string { return "TO Issuer \"CA\" DENY Subject \"" + pattern + "\"\n" }
	return []policyCase{
		good("version", "the version line", v+statement),
		good("one-line", "a statement in one line", v+strings.ReplaceAll(statement, "\\\n", "")),
		good("three-lines", "a statement continued twice", strings.ReplaceAll(statement, "PERMIT ", "PERMIT \\\n ")),
		good("continued-in-word", "a statement continued within words", strings.NewReplacer("PERMIT", "PER\\\nMIT", "example", "exam\\\nple").Replace(statement)),
		good("comment-behind", "a comment behind a statement", strings.ReplaceAll(statement, ".*\"", ".*\" # \"everybody\"")),
		bad("comment-continued", "a comment that is continued would hide a denial", strings.TrimSuffix(statement, "\n")+" # \\\n"+deny("USER")),
		good("keywords-any-case", "keywords in other cases", strings.NewReplacer("TO Issuer", "to ISSUER", "PERMIT Subject", "Permit SUBJECT").Replace(statement)),
		good("crlf", "CRLF", crlf(v+statement)),
		good("self", "SELF for the CA", strings.ReplaceAll(statement, `"CA"`, "SELF")),
		good("self-lower-case", "self in lower case", strings.ReplaceAll(statement, `"CA"`, "self")),
		good("comments", "comments between", v+"# people\n\n"+statement+"# end\n"),
		good("deny-other", "a denial of somebody else", statement+deny("USERx")),
		good("deny-part", "a denial that matches only a part of the name", statement+deny("/CN=Alice")),
		bad("deny", "a denial after a permission", statement+deny("USER")),
		bad("deny-first", "a denial before a permission", deny("USER")+statement),
		bad("deny-pattern", "a denial by a pattern", statement+deny(".*/CN=Al.*")),
		bad("deny-only", "a denial of somebody else and no permission", deny("USERx")),
		bad("deny-self", "a denial by SELF", statement+strings.ReplaceAll(deny("USER"), `"CA"`, "SELF")),
		bad("version-2", "version 2.0", strings.ReplaceAll(v, "1.0", "2.0")+statement),
		bad("version-empty", "a version line without a version", strings.ReplaceAll(v, " 1.0", "")+statement),
		bad("open-quote", "a quote that does not end", strings.ReplaceAll(statement, ".*\"", ".*")),
		bad("no-subject", "a statement without a subject", "TO Issuer \"CA\" PERMIT\n"),
		bad("neither", "neither PERMIT nor DENY", strings.ReplaceAll(statement, "PERMIT", "ALLOW")),
		bad("text-behind", "text behind the subject", strings.ReplaceAll(statement, ".*\"", ".*\" or so")),
		bad("continued-by-nothing", "a last line that is continued", statement+"TO Issuer \\\n"),
		bad("one-bad", "one statement that is not understood among good ones", statement+"FROM Issuer SELF PERMIT Subject \".*\"\n"),
		bad("other-ca", "only another CA's statement", strings.ReplaceAll(statement, `"CA"`, `"/C=X/CN=Other"`)),
		bad("issuer-pattern", "a pattern for the issuer", strings.ReplaceAll(statement, `"CA"`, `"/DC=org/.*"`)),
	}
}

func namespacesPatterns() []policyCase {
	re := func(id, description, expect, pattern string) policyCase {
		return policyCase{"pattern-" + id, description, expect, "", "TO Issuer \"CA\" PERMIT Subject \"" + pattern + "\"\n", "", nil}
	}
	return []policyCase{
		re("exact", "the whole name", accepted, "USER"),
		re("prefix", "the beginning of the name (vmcatcher permits)", policyDenies, "/DC=org/DC=example"),
		re("inside", "a part of the name (canl-c permits)", policyDenies, "DC=example/.*"),
		re("alternatives", "alternatives, one of them the whole name", accepted, "/C=X|USER"),
		re("alternatives-parts", "alternatives that together make the name", policyDenies, "/DC=org/DC=example|/OU=people/CN=Alice"),
		re("case", "the pattern in lower case (canl-java permits)", policyDenies, "/dc=org/dc=example/.*"),
		re("class", "a class that lower case would turn round", accepted, `/DC=org/DC=example/\S+`),
		re("anchors", "anchors of its own", accepted, "^USER$"),
		re("literal-brackets", "brackets that are a character class", policyDenies, "/DC=org/DC=example/[OU=people]/CN=Alice"),
		re("unbalanced", "a parenthesis that would undo the anchors", policyDenies, "x)|(.*"),
		re("backreference", "a back reference, which RE2 does not know", policyDenies, `(/)DC=org\1.*`),
		re("catastrophic", "nested repetition: matched in linear time", policyDenies, "(.*a)*(.*a)*(.*a)*b"),
		re("too-long", "a pattern of more than 1 KiB", policyDenies, ".*"+strings.Repeat("(|x)", 256)),
		re("too-large", "a repetition that would be huge", policyDenies, "(((.{100}){100}){100})*.*"),
	}
}

// policyLookups are about which file speaks of whom.
func policyLookups(b *book) {
	const dir = "policy-lookup"
	top := b.in(dir, "Policy root")
	b.drop(dir, of(top, "signing_policy"))
	permit := func(issuer, pattern string) string { return namespaces(issuer, "PERMIT", pattern) }
	const all = "/DC=org/DC=example/.*"
	bare := func(cn string) *entity {
		ca := b.below(dir, top, cn)
		b.drop(dir, of(ca, "signing_policy"))
		return ca
	}
	above, silent, own, foreign := bare("CA spoken of above"), bare("CA nobody speaks of"), bare("CA with an own file against"), bare("CA with a file about another")
	narrow, banned, oldHash := bare("CA permitted by half"), bare("CA that the root bans"), bare("CA with a file under the old hash")
	twoFiles := bare("CA with two files")
	b.put(dir, of(top, "namespaces"), []byte(permit(top.dn, all)+permit(above.dn, all)+permit(own.dn, all)+permit(narrow.dn, person("Bob"))+namespaces(top.dn, "DENY", banned.dn)))
	b.put(dir, of(own, "namespaces"), []byte(permit(own.dn, person("Bob"))))
	b.put(dir, of(foreign, "signing_policy"), signingPolicy(top.dn, example("/*")))
	b.put(dir, of(banned, "signing_policy"), signingPolicy(banned.dn, example("/*")))
	b.put(dir, ofOld(oldHash, "signing_policy"), signingPolicy(oldHash.dn, example("/*")))
	b.put(dir, of(twoFiles, "signing_policy"), signingPolicy(twoFiles.dn, example("/*")))
	b.put(dir, ofOld(twoFiles, "signing_policy"), signingPolicy(twoFiles.dn, "/C=X/*"))
	selfRoot := b.in(dir, "Root that says SELF")
	b.drop(dir, of(selfRoot, "signing_policy"))
	b.put(dir, of(selfRoot, "namespaces"), []byte("TO Issuer SELF PERMIT Subject \""+all+"\"\n"))
	belowSelf := b.below(dir, selfRoot, "CA below SELF")
	b.drop(dir, of(belowSelf, "signing_policy"))
	strict := b.in(dir, "Root that permits only one CA")
	b.put(dir, of(strict, "signing_policy"), signingPolicy(strict.dn, example("/CN=Another CA")))
	belowStrict := b.below(dir, strict, "CA outside its root's policy")
	ambiguous := b.in(dir, "Root for ambiguous names")
	b.put(dir, of(ambiguous, "signing_policy"), signingPolicy(ambiguous.dn, example("/OU=people/CN=Alice")))
	pretender := ambiguous.user(person("Pretender"), named(rdns([]ava{{"DC", "org", 0}}, []ava{{"DC", "example/OU=people/CN=Alice", utf8String}})))
	pretender.dn = person("Alice")
	labelled := issue(nil, example("/CN=CA/emailAddress=ca@example.org"), ecKey("labelled"), valid(-100, 100), asCA)
	b.install(dir, labelled)
	b.put(dir, of(labelled, "signing_policy"), signingPolicy(example("/CN=CA/Email=ca@example.org"), example("/OU=people/CN=*/E=*")))
	mailed := labelled.user(person("Alice/emailAddress=a@example.org"))
	for _, c := range []struct {
		id, description, expect string
		who                     *entity
	}{
		{"above", "the CA is spoken of in the file of the CA above it", accepted, above.user(person("Alice"))},
		{"above-silent", "nobody speaks of the CA", policyDenies, silent.user(person("Alice"))},
		{"above-narrow", "the file above permits somebody else", policyDenies, narrow.user(person("Alice"))},
		{"above-narrow-met", "the file above permits this one user", accepted, narrow.user(person("Bob"))},
		{"own-first", "the CA's own file is against, the one above is not asked", policyDenies, own.user(person("Alice"))},
		{"own-first-met", "the CA's own file permits", accepted, own.user(person("Bob"))},
		{"own-about-other", "the CA's own file speaks of another CA alone", policyDenies, foreign.user(person("Alice"))},
		{"ca-banned", "the root's file denies the CA", policyDenies, banned.user(person("Alice"))},
		{"ca-outside", "the root's policy does not permit the CA", policyDenies, belowStrict.user(person("Alice"))},
		{"self-is-not-below", "SELF of the root is not the CA below", policyDenies, belowSelf.user(person("Alice"))},
		{"self-root", "SELF of the root is the root", accepted, selfRoot.user(person("Alice"))},
		{"old-hash", "the policy under the old hash alone", accepted, oldHash.user(person("Alice"))},
		{"two-files", "another policy under the old hash: both count", policyDenies, twoFiles.user(person("Alice"))},
		{"pretender", "one value that reads like the permitted name", policyDenies, pretender},
		{"old-labels", "Email and E for emailAddress", accepted, mailed},
	} {
		b.add("policy-"+c.id, c.description, c.expect, "trust.md 3.2, 3.3, 3.5", clearSigned(c.who, list(c.who)), trusting(dir))
	}
}
