package main

import (
	"fmt"
	"strings"
)

// listCase is a validly signed text.
type listCase struct {
	id, description, expect string
	text                    string
}

// page is what the list cases are cut from.
type page struct{ good string }

func (p page) edit(old, new string) string { return replace(p.good, old, new) }

// without takes the line of a key away.
func (p page) without(key string) string {
	start := strings.Index(p.good, "\""+key+"\": ")
	if start < 0 {
		panic(key)
	}
	end := start + strings.Index(p.good[start:], "\n") + 1
	return p.good[:start] + p.good[end:]
}

// image edits within the image.
func (p page) image(old, new string) string {
	at := strings.Index(p.good, `"hv:image":`)
	return p.good[:at] + replace(p.good[at:], old, new)
}

// lists are about the text once its signature holds.
func lists(b *book) {
	p := page{list(b.alice)}
	for _, group := range []struct {
		clause string
		cases  []listCase
	}{
		{"format.md JSON rules; T-40 to T-42", p.jsonRules()},
		{"format.md JSON rules; T-42", p.limits()},
		{"format.md List level", p.heads()},
		{"format.md List level", p.endorsers()},
		{"format.md List level; contract §4 current", p.dates()},
		{"format.md Image; T-22, T-43", p.images()},
		{"format.md Image", p.entries()},
	} {
		for _, c := range group.cases {
			b.add("list-"+c.id, c.description, c.expect, group.clause, clearSigned(b.alice, c.text))
		}
	}
}

func (p page) jsonRules() []listCase {
	const title = `"Test list"`
	bad := func(id, description, text string) listCase { return listCase{id, description, malformedList, text} }
	good := func(id, description, text string) listCase { return listCase{id, description, accepted, text} }
	asTitle := func(s string) string { return p.edit(title, s) }
	return []listCase{
		good("good", "nothing said against it", p.good),
		good("compact", "in one line", strings.ReplaceAll(p.good, "\n", "")+"\n"),
		good("escapes", "escapes in a name and a text", strings.Replace(asTitle(`"\u00e9\ud83d\ude00\/\n\""`), `"dc:title"`, `"dc:t\u0069tle"`, 1)),
		good("unicode", "text beyond ASCII", asTitle(`"Größe 試験 😀"`)),
		good("unknown-keys", "unknown keys of all kinds", p.edit("\n \"hv:uri\"", "\n \"x\": [1, -2.5e3, true, null, {\"y\": []}], \"ad:swid\": \"s\",\n \"hv:uri\"")),
		good("unknown-twice-by-case", "unknown keys that differ in case alone", p.edit("\n \"hv:uri\"", "\n \"x\": 1, \"X\": 2,\n \"hv:uri\"")),
		bad("duplicate", "a key twice", p.edit("\n \"hv:uri\"", "\n \"dc:title\": \"x\",\n \"hv:uri\"")),
		bad("duplicate-case", "a known key and again in capitals", p.edit("\n \"hv:uri\"", "\n \"DC:IDENTIFIER\": \"x\",\n \"hv:uri\"")),
		bad("duplicate-escaped", "a key, and again with an escape", p.edit("\n \"hv:uri\"", "\n \"dc:t\\u0069tle\": \"x\",\n \"hv:uri\"")),
		bad("duplicate-long-s", "a known key again, with a long s for its s", p.edit("\n \"hv:uri\"", "\n \"dc:ſource\": \"x\",\n \"hv:uri\"")),
		bad("duplicate-unknown", "an unknown key twice", p.edit("\n \"hv:uri\"", "\n \"x\": 1, \"x\": 1,\n \"hv:uri\"")),
		bad("duplicate-deep", "a key twice in an object that is not read", p.edit("\n \"hv:uri\"", "\n \"x\": [{\"y\": {\"z\": 1, \"z\": 2}}],\n \"hv:uri\"")),
		bad("duplicate-image", "a key twice in an image", p.image(`"hv:size": 3`, `"hv:size": 3, "hv:size": 3`)),
		bad("duplicate-image-case", "a known key twice by case in an image", p.image(`"hv:size": 3`, `"hv:size": 3, "HV:Size": 4`)),
		bad("duplicate-endorser", "a key twice in the endorser", p.edit(`"hv:email"`, `"hv:ca": "/CN=x", "hv:email"`)),
		bad("duplicate-images", "hv:images twice", p.edit(`"hv:images"`, `"hv:images": [], "hv:images"`)),
		bad("duplicate-top", "hv:imagelist twice", strings.TrimSuffix(p.good, "}\n")+`, "hv:imagelist": {}}`+"\n"),
		bad("utf8-invalid", "a byte that is no UTF-8", asTitle("\"\xff\"")),
		bad("utf8-overlong", "an overlong encoding", asTitle("\"\xc0\xaf\"")),
		bad("utf8-surrogate", "a surrogate in UTF-8", asTitle("\"\xed\xa0\x80\"")),
		bad("utf8-cut", "a sequence cut short", asTitle("\"\xe8\xa9\"")),
		bad("latin-1", "ISO 8859-1", asTitle("\"Gr\xf6\xdfe\"")),
		bad("surrogate-alone", "an unpaired surrogate as escape", asTitle(`"\ud800"`)),
		bad("surrogate-reversed", "a pair the wrong way round", asTitle(`"\ude00\ud83d"`)),
		bad("nul", "U+0000 as escape", asTitle(`"a\u0000b"`)),
		bad("nul-in-name", "U+0000 in an unknown name", p.edit("\n \"hv:uri\"", "\n \"x\\u0000\": 1,\n \"hv:uri\"")),
		bad("noncharacter", "U+FFFE", asTitle(`"\ufffe"`)),
		bad("noncharacter-plane", "U+1FFFF", asTitle("\"\U0001ffff\"")),
		bad("control", "a tab as it is in a string", asTitle("\"a\tb\"")),
		bad("byte-order-mark", "a byte order mark before the text", "\ufeff"+p.good),
		bad("comment", "a comment", p.edit("{\n", "{ // list\n")),
		bad("trailing-comma", "a comma before a brace", p.image(`"qcow2"}`, `"qcow2",}`)),
		bad("single-quotes", "single quotes", asTitle("'x'")),
		bad("escape-unknown", "an escape that there is not", asTitle(`"\x41"`)),
		bad("number-leading-zero", "a number with a leading zero", p.edit("\n \"hv:uri\"", "\n \"x\": 01,\n \"hv:uri\"")),
		bad("number-plus", "a number with a plus", p.edit("\n \"hv:uri\"", "\n \"x\": +1,\n \"hv:uri\"")),
		bad("nan", "NaN", p.edit("\n \"hv:uri\"", "\n \"x\": NaN,\n \"hv:uri\"")),
		bad("bytes-after", "text after the list", p.good+"x\n"),
		bad("second-list", "a second list after the first", p.good+p.good),
		bad("cut", "the text without its last brace", strings.TrimSuffix(p.good, "}\n")),
		bad("empty-object", "an empty object", "{}\n"),
		bad("array", "an array around the list", "["+p.good+"]\n"),
		bad("null", "null", "null\n"),
		bad("white-space", "white space alone", " \n\n"),
		{"yaml", "YAML, whose first line reads like a MIME header", malformedEnvelope, "hv:imagelist:\n  dc:identifier: x\n"},
		bad("no-container", "the older form without hv:imagelist", strings.TrimSuffix(replace(p.good, `{"hv:imagelist": `, ""), "}\n")+"\n"),
		bad("beside", "a key beside hv:imagelist", strings.TrimSuffix(p.good, "}\n")+`, "x": 1}`+"\n"),
		bad("container-case", "HV:IMAGELIST", p.edit(`"hv:imagelist"`, `"HV:IMAGELIST"`)),
		bad("container-null", "hv:imagelist is null", `{"hv:imagelist": null}`+"\n"),
		bad("other-type", "an object of another type", `{"hv:revocationlist": {}}`+"\n"),
	}
}

func (p page) limits() []listCase {
	extra := func(value string) string { return p.edit("\n \"hv:uri\"", "\n \"x\": "+value+",\n \"hv:uri\"") }
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	images := func(n int) string {
		at := strings.Index(p.good, `[{"hv:image"`)
		return p.good[:at] + "[" + strings.Repeat("{},", n-1) + "{}]}}\n"
	}
	return []listCase{
		{"depth-32", "32 levels", accepted, extra(deep(30))},
		{"depth-33", "33 levels", malformedList, extra(deep(31))},
		{"depth-10000", "10,000 levels", malformedList, extra(deep(10000))},
		{"string-64k", "a string of 64 KiB", accepted, extra(`"` + strings.Repeat("x", 64<<10) + `"`)},
		{"string-over-64k", "a string of 64 KiB and one", malformedList, extra(`"` + strings.Repeat("x", 64<<10+1) + `"`)},
		{"number-20", "a number of 20 characters", accepted, extra(strings.Repeat("9", 20))},
		{"number-21", "a number of 21 characters", malformedList, extra(strings.Repeat("9", 21))},
		{"images-10000", "10,000 entries, none of them good", malformedEntry, images(10000)},
		{"images-10001", "10,001 entries", malformedList, images(10001)},
		{"entry-too-long", "an entry of more than 128 KiB", malformedEntry, p.image(`"hv:size"`, fmt.Sprintf(`"x": [%s""], "hv:size"`, strings.Repeat(`"`+strings.Repeat("x", 60000)+`", `, 3)))},
	}
}

func (p page) heads() []listCase {
	bad := func(id, description, text string) listCase { return listCase{id, description, malformedList, text} }
	good := func(id, description, text string) listCase { return listCase{id, description, accepted, text} }
	const id, version = `"63175437-7d59-4851-b333-c96cb6545a86"`, `"hv:version": "1.0.0"`
	images := p.good[:strings.Index(p.good, `[{"hv:image"`)]
	return []listCase{
		bad("no-identifier", "no dc:identifier", p.without("dc:identifier")),
		bad("no-version", "no hv:version", p.without("hv:version")),
		bad("no-created", "no dc:date:created", p.without("dc:date:created")),
		bad("no-expires", "no dc:date:expires", p.without("dc:date:expires")),
		bad("no-images", "no hv:images", strings.TrimSuffix(images, ",\n \"hv:images\": ")+"}}\n"),
		bad("images-null", "hv:images is null", images+"null}}\n"),
		bad("images-object", "hv:images is an object", images+"{}}}\n"),
		good("images-empty", "an empty list, which shuts it down", images+"[]}}\n"),
		good("no-title", "no dc:title", p.without("dc:title")),
		good("no-description", "no dc:description", p.without("dc:description")),
		good("no-source", "no dc:source", p.without("dc:source")),
		good("no-uri", "no hv:uri", p.without("hv:uri")),
		good("title-null", "dc:title is null", p.edit(`"Test list"`, "null")),
		good("vo", "ad:vo, as AppDB writes it", p.edit("\n \"hv:uri\"", "\n \"ad:vo\": \"vo.example.org\",\n \"hv:uri\"")),
		bad("identifier-number", "dc:identifier is a number", p.edit(id, "5")),
		bad("identifier-null", "dc:identifier is null", p.edit(id, "null")),
		bad("identifier-empty", "an empty dc:identifier", p.edit(id, `""`)),
		bad("identifier-path", "a dc:identifier that climbs", p.edit(id, `"../../etc/passwd"`)),
		bad("identifier-dots", "two dots", p.edit(id, `".."`)),
		bad("identifier-blank", "a blank in dc:identifier", p.edit(id, `"a b"`)),
		bad("identifier-umlaut", "a letter beyond ASCII in dc:identifier", p.edit(id, `"größe"`)),
		bad("identifier-long", "a dc:identifier of 129 characters", p.edit(id, `"`+strings.Repeat("a", 129)+`"`)),
		good("identifier-128", "a dc:identifier of 128 characters", p.edit(id, `"`+strings.Repeat("a", 128)+`"`)),
		good("identifier-word", "a dc:identifier that is no UUID", p.edit(id, `"cernvm_4.1-list"`)),
		bad("identifier-case-key", "dc:Identifier for dc:identifier", p.edit(`"dc:identifier"`, `"dc:Identifier"`)),
		good("version-number", "hv:version is a number", p.edit(version, `"hv:version": 20150618211400`)),
		good("version-text", "hv:version is any text", p.edit(version, `"hv:version": "2026-06, rc/1"`)),
		bad("version-empty", "an empty hv:version", p.edit(version, `"hv:version": ""`)),
		bad("version-null", "hv:version is null", p.edit(version, `"hv:version": null`)),
		bad("version-array", "hv:version is an array", p.edit(version, `"hv:version": ["1"]`)),
		bad("version-true", "hv:version is true", p.edit(version, `"hv:version": true`)),
	}
}

func (p page) endorsers() []listCase {
	start, end := strings.Index(p.good, `{"hv:x509"`), strings.Index(p.good, ",\n \"hv:images\"")
	whole := p.good[start:end]
	with := func(value string) string { return p.good[:start] + value + p.good[end:] }
	x509 := func(dn, ca string) string { return fmt.Sprintf(`{"hv:x509": {"hv:dn": %s, "hv:ca": %s}}`, dn, ca) }
	bad := func(id, description, value string) listCase {
		return listCase{"endorser-" + id, description, malformedList, with(value)}
	}
	other := x509(`"/CN=Bob"`, `"/CN=CA"`)
	alice, ca := quote(person("Alice")), quote(example("/CN=Example CA"))
	return []listCase{
		{"endorser-array", "an array of one endorser", accepted, with("[" + whole + "]")},
		{"endorser-several", "several endorsers, the signer the last", accepted, with("[" + other + ", " + whole + "]")},
		{"endorser-without-mail", "an endorser without mail and creator", accepted, with(x509(alice, ca))},
		{"endorser-crossed", "the signer's name and CA in two endorsers", endorserMismatch, with("[" + x509(alice, `"/CN=CA"`) + ", " + x509(`"/CN=Bob"`, ca) + "]")},
		{"endorser-others", "several endorsers, none of them the signer", endorserMismatch, with("[" + other + ", " + other + "]")},
		bad("array-empty", "an empty array of endorsers", "[]"),
		bad("null", "hv:endorser is null", "null"),
		bad("text", "hv:endorser is a text", alice),
		bad("no-x509", "an endorser without hv:x509", `{"hv:pgp": {}}`),
		bad("x509-text", "hv:x509 is a text", `{"hv:x509": `+alice+`}`),
		bad("no-dn", "no hv:dn", `{"hv:x509": {"hv:ca": `+ca+`}}`),
		bad("no-ca", "no hv:ca", `{"hv:x509": {"hv:dn": `+alice+`}}`),
		bad("dn-x509", "hv:dn_x509, an error in the specification's text", `{"hv:x509": {"hv:dn_x509": `+alice+`, "hv:ca": `+ca+`}}`),
		bad("dn-empty", "an empty hv:dn", x509(`""`, ca)),
		bad("dn-null", "hv:dn is null", x509("null", ca)),
		bad("dn-array", "hv:dn is an array", x509("["+alice+"]", ca)),
		bad("one-bad", "a good endorser and one without hv:dn", "["+whole+`, {"hv:x509": {"hv:ca": "/CN=x"}}]`),
		bad("65", "65 endorsers", "["+strings.Repeat(other+",", 64)+whole+"]"),
		{"endorser-64", "64 endorsers, the signer the last", accepted, with("[" + strings.Repeat(other+",", 63) + whole + "]")},
		{"endorser-missing", "no hv:endorser", malformedList, replace(p.good, `"hv:endorser"`, `"hv:Endorser2"`)},
	}
}

func (p page) dates() []listCase {
	created := func(s string) string { return p.edit("2026-05-31T23:00:00Z", s) }
	expires := func(s string) string { return p.edit("2026-06-29T00:00:00Z", s) }
	bad := func(id, description, text string) listCase { return listCase{id, description, malformedList, text} }
	return []listCase{
		{"expired", "expired yesterday", listExpired, expires("2026-05-31T23:30:00Z")},
		{"expires-now", "expires at the very instant: then it is expired", listExpired, expires("2026-06-01T00:00:00Z")},
		{"expires-in-a-second", "expires in a second", accepted, expires("2026-06-01T00:00:01Z")},
		{"expired-by-offset", "expired, read with its offset", listExpired, expires("2026-06-01T01:00:00+02:00")},
		{"not-expired-by-offset", "not expired, read with its offset", accepted, expires("2026-05-31T23:00:00-02:00")},
		{"expires-2499", "expires in 2499, as AppDB writes it", accepted, expires("2499-12-31T22:00:00Z")},
		{"expires-fraction", "expires a fraction of a second after the instant", accepted, expires("2026-06-01T00:00:00.5Z")},
		{"created-now", "created at the very instant", accepted, created("2026-06-01T00:00:00Z")},
		{"created-in-5m", "created in five minutes", accepted, created("2026-06-01T00:05:00Z")},
		{"created-in-5m1s", "created in five minutes and a second", createdInFuture, created("2026-06-01T00:05:01Z")},
		{"created-by-offset", "created in the future, read with its offset", createdInFuture, created("2026-05-31T23:00:00-02:00")},
		{"created-future-and-expired", "from the future and expired: the first is the reason", createdInFuture, replace(created("2027-01-01T00:00:00Z"), "2026-06-29T", "2026-01-01T")},
		bad("date-only", "a date without time", created("2026-05-31")),
		bad("date-no-zone", "a time without zone", created("2026-05-31T23:00:00")),
		bad("date-blank", "a blank for the T", created("2026-05-31 23:00:00Z")),
		bad("date-lower-z", "a small z", created("2026-05-31T23:00:00z")),
		bad("date-february-30", "30 February", created("2026-02-30T00:00:00Z")),
		bad("date-hour-24", "hour 24", created("2026-05-30T24:00:00Z")),
		bad("date-comma", "a comma before the fraction", created("2026-05-31T23:00:00,5Z")),
		bad("date-offset-99", "an offset of 99 hours", created("2026-05-31T23:00:00+99:00")),
		bad("date-year-5", "a year of five digits", expires("12026-05-31T23:00:00Z")),
		bad("date-unix", "seconds since 1970", p.edit(`"2026-05-31T23:00:00Z"`, "1780268400")),
		bad("date-rfc-2822", "a date as in mail", created("Sun, 31 May 2026 23:00:00 +0000")),
		bad("date-empty", "an empty date", created("")),
	}
}

// images are entries that are wrong in one key, and those that are not.
func (p page) images() []listCase {
	size := func(id, description, expect, value string) listCase {
		return listCase{"size-" + id, description, expect, p.image(`"hv:size": 3`, `"hv:size": `+value)}
	}
	uri := func(id, description, expect, value string) listCase {
		return listCase{"uri-" + id, description, expect, p.image(`https://images.example.org/image-1.qcow2`, value)}
	}
	sum := func(id, description, expect, value string) listCase {
		return listCase{"digest-" + id, description, expect, p.image(digest, value)}
	}
	name := func(id, description, expect, value string) listCase {
		return listCase{"image-id-" + id, description, expect, p.image("5c7b7e4e-6e2f-4b7a-9b0c-1d2f3a4b5c6d", value)}
	}
	const bad = malformedEntry
	return []listCase{
		size("text", "a decimal string, as AppDB writes it", accepted, `"3"`),
		size("zero", "zero bytes", accepted, "0"),
		size("largest", "2^63-1", accepted, "9223372036854775807"),
		size("overflow", "2^63", bad, "9223372036854775808"),
		size("overflow-64", "2^64", bad, "18446744073709551616"),
		size("negative", "-1", bad, "-1"),
		size("negative-zero", "-0", bad, "-0"),
		size("exponent", "1e3", bad, "1e3"),
		size("fraction", "1.0", bad, "1.0"),
		size("text-leading-zero", `"03"`, bad, `"03"`),
		size("text-hexadecimal", `"0x3"`, bad, `"0x3"`),
		size("text-blank", `" 3"`, bad, `" 3"`),
		size("text-arabic", "an Arabic digit", bad, `"٣"`),
		size("text-unit", `"3 MiB"`, bad, `"3 MiB"`),
		size("null", "null", bad, "null"),
		size("array", "an array", bad, "[3]"),
		uri("http", "http", accepted, "http://images.example.org/i"),
		uri("file", "file", bad, "file:///etc/passwd"),
		uri("ftp", "ftp", bad, "ftp://images.example.org/i"),
		uri("relative", "a relative one", bad, "image-1.qcow2"),
		uri("no-host", "no host", bad, "https:///image"),
		uri("user", "user information", bad, "https://user:password@images.example.org/i"),
		uri("newline", "a newline in it", bad, `https://images.example.org/i\nHost: x`),
		uri("javascript", "javascript", bad, "javascript:alert(1)"),
		uri("option", "an option of wget", bad, "-O/etc/passwd"),
		uri("empty", "empty", bad, ""),
		sum("capitals", "in capitals", accepted, strings.ToUpper(digest)),
		sum("short", "a digit less", bad, digest[1:]),
		sum("long", "a digit more", bad, digest+"0"),
		sum("sha256", "the length of a SHA-256", bad, digest[:64]),
		sum("no-hex", "a letter that is no digit", bad, "g"+digest[1:]),
		sum("blank", "a blank before it", bad, " "+digest[1:]),
		name("word", "no UUID", accepted, "image_1.v2"),
		name("path", "one that climbs", bad, "../x"),
		name("slash", "a slash", bad, "a/b"),
		name("hidden", "a dot at the start", bad, ".bashrc"),
		name("option", "a hyphen at the start", bad, "-rf"),
		name("templates", "templates, which the cache keeps for itself", bad, "templates"),
		name("shell", "a command", bad, "$(reboot)"),
		name("empty", "empty", bad, ""),
		name("bidi", "a character that turns text round", bad, `a\u202eb`),
	}
}

// entries are about which keys there are, and about entries as a whole.
func (p page) entries() []listCase {
	at := strings.Index(p.good, `{"hv:image":`)
	image := strings.TrimSuffix(p.good[at:], "]}}\n")
	with := func(entries string) string { return p.good[:at] + entries + "]}}\n" }
	second := strings.Replace(image, "5c7b7e4e", "6c7b7e4e", 1)
	without := func(key string) string {
		line := image[strings.Index(image, `"`+key+`"`):]
		return with(strings.Replace(image, line[:strings.Index(line, "\n")+1], "", 1))
	}
	all := []listCase{
		{"two-images", "two images", accepted, with(image + ", " + second)},
		{"twins", "two images of one identifier: both refused", malformedEntry, with(image + ", " + image)},
		{"one-bad-of-two", "a good image and one that is not: it is refused alone", malformedEntry, with(image + ", " + strings.Replace(second, `"hv:size": 3`, `"hv:size": -3`, 1))},
		{"entry-number", "a number among the images", malformedEntry, with(image + ", 5")},
		{"entry-empty", "an empty object among the images", malformedEntry, with(image + ", {}")},
		{"entry-null", "hv:image is null", malformedEntry, with(image + `, {"hv:image": null}`)},
		{"entry-array", "an array among the images", malformedEntry, with(image + ", [" + second + "]")},
		{"entry-beside", "an unknown key beside hv:image", accepted, with(strings.Replace(image, `{"hv:image"`, `{"x": 1, "hv:image"`, 1))},
		{"entry-expired", "an image that has expired, which is the image's matter", accepted, p.image(`"hv:size"`, `"dc:date:expires": "2020-01-01T00:00:00Z", "hv:size"`)},
		{"entry-expires-never", "an empty date of expiry", accepted, p.image(`"hv:size"`, `"dc:date:expires": "", "hv:size"`)},
		{"entry-expires-bad", "a date of expiry that is none", malformedEntry, p.image(`"hv:size"`, `"dc:date:expires": "never", "hv:size"`)},
		{"entry-appdb", "what AppDB adds", accepted, p.image(`"hv:size": 3`, `"ad:mpuri": "https://appdb.example.org/1", "ad:group": "General", "ad:user:name": "A", "hv:ram_minimum": "512", "hv:core_minimum": 1, "hv:size": "3"`)},
		{"entry-format-any-case", "a format in capitals", accepted, p.image(`"qcow2"`, `"QCOW2"`)},
	}
	for _, key := range []string{"dc:identifier", "hv:version", "hv:uri", "hv:size", "sl:checksum:sha512"} {
		all = append(all, listCase{"entry-no-" + strings.ReplaceAll(key, ":", "-"), "an image without " + key, malformedEntry, without(key)})
	}
	for _, key := range []string{"dc:title", "sl:os", "sl:arch", "hv:hypervisor"} {
		all = append(all, listCase{"entry-no-" + strings.ReplaceAll(key, ":", "-"), "an image without " + key, accepted, without(key)})
	}
	return all
}
