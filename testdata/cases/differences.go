package cases

// Differences are the classes of messages that are accepted although OpenSSL
// refuses them, and why that is right. There are no others.
var Differences = map[string]string{
	"rsa-pss":                 "openssl smime knows no RSA-PSS; cms does (trust.md, case table)",
	"key-identifier":          "openssl smime knows no signer named by subject key identifier; cms does (trust.md, case table)",
	"binary-option":           "openssl -binary takes the content one way only, and smime not at all when verifying; the option tries both",
	"pem-label":               "each of the two tools knows only its own PEM label",
	"openssl-mime":            "OpenSSL's readers take no base64 line over 1 KiB and no empty line within PEM, and lose a quoted parameter of one character",
	"unreadable-extra":        "OpenSSL reads all or nothing; a certificate or CRL beside the signer's that nobody needs decides nothing",
	"certificate-parser":      "crypto/x509 reads what OpenSSL does not, in a certificate that its CA signed: a UTCTime without seconds, bytes after the key, an alternative name of another form, fields after the last",
	"key-identifier-mismatch": "an authority key identifier is a hint (RFC 5280 §4.2.1.1): the signature decides which key it was",
	"any-usage":               "anyExtendedKeyUsage includes emailProtection (RFC 5280 §4.2.1.12); OpenSSL wants it named",
	"netscape-type":           "the Netscape certificate type is in no standard and is not read",
	"last-second":             "validity includes notAfter itself (RFC 5280 §4.1.2.5); OpenSSL excludes it",
	"rollover":                "of two anchors of one name without key identifiers OpenSSL tries one (trust.md 3.6)",
	"old-hash":                "OpenSSL looks for the hash of version 1.0 and later; sites have both (trust.md 3.1)",
	"hash-number":             "OpenSSL stops at the first number that is missing; a snapshot takes all (trust.md 3.1)",
	"crl-der":                 "OpenSSL reads only PEM from a hashed directory; both are in use (trust.md 3.4)",
	"crl-files":               "OpenSSL stops at the first number that is missing or cannot be read; every valid CRL counts (trust.md 3.4)",
	"crl-grace":               "the site allows a grace after nextUpdate, which OpenSSL does not know (trust.md 3.4)",
	"clock-skew":              "a CRL may be five minutes ahead (trust.md 3.4)",
	"crl-of-root":             "OpenSSL asks a root about itself; an anchor is trusted for where it lies",
}
